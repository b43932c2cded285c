"""The checkpoint's file: what comes back is what was saved; anything else is refused and left as it is."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dicomfeed.checkpoint import (
    Checkpoint,
    CheckpointWriter,
    Match,
    Output,
    Question,
    load_checkpoint,
    lock_checkpoint,
    lock_path,
    save_checkpoint,
)
from dicomfeed.conditions import Conditions, parse_conditions
from dicomfeed.errors import CheckpointDamaged, CheckpointError, CheckpointLocked, CheckpointMismatch, NotACheckpoint
from dicomfeed.events import Event, decode_event
from dicomfeed.stable import OpenRow
from dicomfeed.times import FIRST_TICK, LAST_TICK

QUESTION = Question('https://contoso-imaging.dicom.azurehealthcareapis.com', {'action': ['create', 'delete']}, True)
FULL = Checkpoint(
    QUESTION,
    sequence=2**63 - 1,
    since=LAST_TICK,
    last=(2**63 - 1, '9999-12-31T23:59:59.9999999Z', ('1.2', '1.2.3', '1.2.3.4')),
    output=Output('/data/feed \udce9\u00e9.jsonl', 2**40, '0' * 64),
)
GARBAGE = {
    'nothing': b'',
    'blank': b'\n',
    'null': b'null',
    'list': b'[]',
    'empty': b'{}',
    'text': b'# my checkpoint\n',
    'a number': b'17',
    'binary': bytes(range(256)),
    'UTF-16': '{"format": 1}'.encode('utf-16'),
    'format alone': b'{"format": 1}',
    'format as text': b'{"format": "1"}',
    'old format': b'{"format": 0}',
    'twice': b'{"format": 1}{"format": 1}',
    'nested without end': b'[' * 100_000,
    'digits without end': b'9' * 100_000,
    'no number': b'{"format": NaN}',
    'huge': b' ' * 2**20 + b'{"format": 1}',
}
CT = Conditions(tuple(parse_conditions(['Modality=CT', 'PatientName=Secret^Patient'])))
SAME_CT = Conditions(tuple(parse_conditions(['patientname=SECRET^PATIENT^^', '00080060=ct', 'Modality=CT'])))
WITH_ATTRIBUTES = replace(
    QUESTION, include_metadata=False, fields=['00080060', '00400275.00400009'], match=Match.of(CT), conditions=CT
)
OTHERS = {
    'service': replace(QUESTION, service_url='https://contoso-research.dicom.azurehealthcareapis.com'),
    'no filters': replace(QUESTION, filters={}),
    'fewer values': replace(QUESTION, filters={'action': ['create']}),
    'another filter': replace(QUESTION, filters={'state': ['create', 'delete']}),
    'metadata': replace(QUESTION, include_metadata=False),
    'form of line': replace(QUESTION, form='tsv'),
    'fields': replace(QUESTION, fields=['00080060']),
    'no fields': replace(QUESTION, fields=[]),
    'conditions': replace(QUESTION, conditions=CT),
    'stable after': replace(QUESTION, stable_after=600, level='study'),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'checkpoint'


@contextmanager
def left_as_it_is(path: Path) -> Iterator[None]:
    """Neither the file nor its folder changes in this context."""

    def state() -> tuple[bytes, int, int, list[str]]:
        status = path.stat()
        return path.read_bytes(), status.st_mtime_ns, status.st_ino, sorted(name.name for name in path.parent.iterdir())

    before = state()
    yield
    assert state() == before


@pytest.mark.parametrize(
    'checkpoint',
    [
        FULL,
        Checkpoint(QUESTION),
        Checkpoint(Question('https://a.example'), sequence=1, since=FIRST_TICK),
        replace(FULL, output=Output.empty('feed.jsonl')),
        replace(FULL, question=WITH_ATTRIBUTES),
        replace(
            FULL,
            question=replace(QUESTION, stable_after=1, level='series'),
            mark=LAST_TICK,
            open=(OpenRow(0, FIRST_TICK), OpenRow(2**64 - 1, LAST_TICK)),
        ),
    ],
    ids=['full', 'new', 'plain', 'empty file', 'attributes', 'studies'],
)
def test_checkpoint_comes_back_as_it_was_saved(checkpoint: Checkpoint, path: Path) -> None:
    save_checkpoint(str(path), checkpoint)
    assert load_checkpoint(str(path), checkpoint.question) == checkpoint
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [name.name for name in path.parent.iterdir()] == ['checkpoint']


def test_missing_file_is_no_checkpoint(path: Path) -> None:
    assert load_checkpoint(str(path), QUESTION) is None
    assert not path.exists()


def test_checkpoint_holds_no_more_than_it_needs(path: Path) -> None:
    save_checkpoint(str(path), FULL)
    assert set(json.loads(path.read_text())) == {
        'format',
        'service',
        'filters',
        'includeMetadata',
        'stableAfter',
        'level',
        'form',
        'includeField',
        'match',
        'since',
        'sequence',
        'last',
        'output',
        'mark',
        'open',
        'digest',
    }


def test_checkpoint_holds_no_value_of_a_condition_and_no_hash_without_salt(path: Path) -> None:
    texts = []
    for _ in range(2):
        save_checkpoint(str(path), Checkpoint(WITH_ATTRIBUTES.kept()))
        texts.append(path.read_text())
    first, second = (json.loads(text)['match'] for text in texts)
    assert not any('SECRET' in text.upper() for text in texts)
    assert first['fields'] == second['fields'] == ['00080060', '00100010']
    assert first['salt'] != second['salt'] and first['digest'] != second['digest']


def test_conditions_are_compared_by_what_they_mean(path: Path) -> None:
    save_checkpoint(str(path), Checkpoint(WITH_ATTRIBUTES))
    assert load_checkpoint(str(path), replace(WITH_ATTRIBUTES, conditions=SAME_CT)) is not None


@pytest.mark.parametrize('texts', [None, ['Modality=CT'], ['Modality=CT', 'PatientName=Other']], ids=str)
def test_other_conditions_than_those_of_the_checkpoint_are_refused(texts: list[str] | None, path: Path) -> None:
    save_checkpoint(str(path), Checkpoint(WITH_ATTRIBUTES))
    conditions = Conditions(tuple(parse_conditions(texts))) if texts else None
    with left_as_it_is(path), pytest.raises(CheckpointMismatch, match='other conditions'):
        load_checkpoint(str(path), replace(WITH_ATTRIBUTES, conditions=conditions))


@pytest.mark.parametrize('checkpoint', [FULL, Checkpoint(QUESTION)], ids=['full', 'new'])
def test_file_that_was_cut_anywhere_is_refused(checkpoint: Checkpoint, path: Path) -> None:
    save_checkpoint(str(path), checkpoint)
    whole = path.read_bytes()
    for length in range(len(whole) - 1):  # the last byte is a line feed
        path.write_bytes(whole[:length])
        with left_as_it_is(path), pytest.raises(CheckpointDamaged, match='incomplete'):
            load_checkpoint(str(path), QUESTION)


def test_byte_that_was_changed_anywhere_is_refused_or_means_the_same(path: Path) -> None:
    save_checkpoint(str(path), FULL)
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with left_as_it_is(path):
            try:
                assert load_checkpoint(str(path), QUESTION) == FULL
            except (CheckpointDamaged, CheckpointMismatch):
                pass


@pytest.mark.parametrize('data', GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_checkpoint_is_refused(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    with left_as_it_is(path), pytest.raises(CheckpointDamaged):
        load_checkpoint(str(path), QUESTION)


@pytest.mark.parametrize('nul', [b'\0' * 4_096, b'\0' * 8 + b'mat": 1,'], ids=['all', 'the beginning'])
def test_file_of_a_system_that_crashed_is_a_damaged_checkpoint(nul: bytes, path: Path) -> None:
    path.write_bytes(nul)
    with left_as_it_is(path), pytest.raises(CheckpointDamaged, match='incomplete'):
        load_checkpoint(str(path), QUESTION)


@pytest.mark.parametrize('data', [b'hi\n', b'{"sequence": 1}\n', b'PK', b'{\n  "cursor": 1}'], ids=repr)
def test_other_file_is_not_called_an_incomplete_checkpoint(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    with left_as_it_is(path), pytest.raises(NotACheckpoint, match='is not a checkpoint'):
        load_checkpoint(str(path), QUESTION)


def test_number_that_was_edited_is_refused(path: Path) -> None:
    save_checkpoint(str(path), replace(FULL, sequence=17))
    path.write_text(path.read_text().replace('"sequence": 17', '"sequence": 18'))
    with left_as_it_is(path), pytest.raises(CheckpointDamaged, match='damaged or edited'):
        load_checkpoint(str(path), QUESTION)


@pytest.mark.parametrize('content', [{}, {'cursor': 'of another kind'}], ids=['bare', 'with contents'])
def test_newer_format_is_refused_as_such(content: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps({'format': 2, **content}))
    with left_as_it_is(path), pytest.raises(CheckpointMismatch, match='newer version'):
        load_checkpoint(str(path), QUESTION)


@pytest.mark.parametrize('without', ['service', 'filters', 'includeMetadata', 'since', 'sequence', 'last', 'output'])
def test_checkpoint_without_one_of_its_parts_is_refused(without: str, path: Path) -> None:
    save_checkpoint(str(path), FULL)
    content = {name: value for name, value in json.loads(path.read_text()).items() if name not in (without, 'digest')}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({**content, 'digest': digest}))
    with left_as_it_is(path), pytest.raises(CheckpointDamaged):
        load_checkpoint(str(path), QUESTION)


@pytest.mark.parametrize('asked', OTHERS.values(), ids=OTHERS)
def test_checkpoint_of_another_question_is_refused(asked: Question, path: Path) -> None:
    save_checkpoint(str(path), FULL)
    with left_as_it_is(path), pytest.raises(CheckpointMismatch, match='The checkpoint was made '):
        load_checkpoint(str(path), asked)


def test_host_counts_in_any_letter_case(path: Path) -> None:
    save_checkpoint(str(path), FULL)
    assert load_checkpoint(str(path), replace(QUESTION, service_url=QUESTION.service_url.upper())) == FULL


def test_folder_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(CheckpointError, match='is a folder'):
        load_checkpoint(str(path), QUESTION)


def test_failed_save_leaves_the_old_file_and_no_other(path: Path) -> None:
    path.mkdir()
    (path / 'kept').touch()
    with pytest.raises(CheckpointError, match='cannot be written'):
        save_checkpoint(str(path), FULL)
    assert [name.name for name in path.parent.iterdir()] == ['checkpoint']
    with pytest.raises(CheckpointError, match='cannot be written'):
        save_checkpoint(str(path.parent / 'missing' / 'checkpoint'), FULL)


@pytest.mark.parametrize('is_there', [True, False], ids=['link', 'link to nothing yet'])
def test_l27_checkpoint_behind_a_link_is_read_and_replaced(path: Path, is_there: bool) -> None:
    (path.parent / 'volume').mkdir()
    target = path.parent / 'volume' / 'checkpoint'
    path.symlink_to(Path('volume') / 'checkpoint')
    if is_there:
        save_checkpoint(str(target), FULL)
        assert load_checkpoint(str(path), QUESTION) == FULL
    CheckpointWriter(str(path), replace(FULL, sequence=17)).save(None)
    assert path.is_symlink() and load_checkpoint(str(target), QUESTION) == replace(FULL, sequence=17, output=None)


def test_l27_checkpoint_behind_a_link_is_locked(path: Path) -> None:
    (path.parent / 'volume').mkdir()
    path.symlink_to(Path('volume') / 'checkpoint')
    with (
        lock_checkpoint(str(path)),
        pytest.raises(CheckpointLocked),
        lock_checkpoint(str(path.parent / 'volume' / 'checkpoint')),
    ):
        pass
    assert not (path.parent / 'checkpoint.lock').exists()


@pytest.mark.parametrize('kind', ['FIFO', 'link to a FIFO', 'device', 'folder'])
@pytest.mark.parametrize('use', ['lock', 'load'])
def test_n19_what_is_no_file_is_refused_at_once(path: Path, kind: str, use: str) -> None:
    if kind == 'folder':
        path.mkdir()
    elif kind == 'device':
        path.symlink_to(os.devnull)
    else:
        os.mkfifo(path.with_name('fifo') if kind.startswith('link') else path)
        if kind.startswith('link'):
            path.symlink_to('fifo')
    with pytest.raises(CheckpointError, match='a folder, a device or a pipe') as refused:
        if use == 'load':
            load_checkpoint(str(path), QUESTION)
        else:
            with lock_checkpoint(str(path)):
                pass
    assert refused.value.path == str(path) and not os.path.exists(lock_path(str(path)))


def test_n20_filters_of_a_whole_command_line_are_loaded_again(path: Path) -> None:
    uids = [f'1.2.840.113619.2.55.3.604688119.971.{number:025d}' for number in range(30_000)]
    checkpoint = Checkpoint(replace(QUESTION, filters={'studyInstanceUid': uids}))
    save_checkpoint(str(path), checkpoint)
    assert load_checkpoint(str(path), checkpoint.question) == checkpoint


def test_n20_checkpoint_that_no_load_would_take_is_not_made(path: Path) -> None:
    with pytest.raises(CheckpointError, match='too many filter values') as refused:
        save_checkpoint(str(path), Checkpoint(replace(QUESTION, filters={'action': ['x' * 2**26]})))
    assert refused.value.path == str(path) and not path.exists()


@pytest.mark.parametrize('data', [b'', b'\0' * 700], ids=['empty', 'NUL bytes'])
def test_n24_checkpoint_after_a_power_loss_is_refused_by_its_name(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with left_as_it_is(path), pytest.raises(CheckpointDamaged) as refused:
        load_checkpoint(str(path), QUESTION)
    assert refused.value.path == str(path) and str(path) not in str(refused.value)


@pytest.mark.parametrize('length', [138, 139, 200, 255])
def test_n27_checkpoint_may_have_a_name_as_long_as_a_name_can_be(tmp_path: Path, length: int) -> None:
    path = str(tmp_path / ('n' * length))
    with lock_checkpoint(path):
        save_checkpoint(path, FULL)
        with pytest.raises(CheckpointLocked), lock_checkpoint(path):
            pass
    assert load_checkpoint(path, QUESTION) == FULL
    assert len(os.path.basename(lock_path(path))) <= 143


# The event that it stands at


def event(sequence: int) -> Event:
    text = {'sequence': sequence, 'timestamp': '2026-01-31T09:30:00Z', 'studyInstanceUid': '1.2'}
    return decode_event(json.dumps(text).encode())


def test_writer_says_the_last_event_that_it_was_given(path: Path) -> None:
    writer = CheckpointWriter(str(path), Checkpoint(QUESTION, sequence=7))
    writer.take(event(8))
    writer.take(event(12))
    writer.save(None)
    loaded = load_checkpoint(str(path), QUESTION)
    assert loaded == Checkpoint(QUESTION, sequence=12, last=event(12).identity) == writer.checkpoint


def test_writer_that_was_given_nothing_keeps_where_it_began(path: Path) -> None:
    output = Output('/data/feed.jsonl', 10, '0' * 64)
    CheckpointWriter(str(path), FULL).save(output)
    assert load_checkpoint(str(path), QUESTION) == replace(FULL, output=output)


def test_writer_says_nothing_before_it_is_told_to_save(path: Path) -> None:
    CheckpointWriter(str(path), FULL).take(event(12))
    assert not path.exists()


def test_writer_leaves_a_file_that_says_the_same(path: Path) -> None:
    writer = CheckpointWriter(str(path), FULL)
    writer.save(None)
    with left_as_it_is(path):
        writer.save(None)


def test_writer_that_could_not_save_tries_again(tmp_path: Path) -> None:
    writer = CheckpointWriter(str(tmp_path / 'folder' / 'checkpoint'), FULL)
    with pytest.raises(CheckpointError):
        writer.save(None)
    (tmp_path / 'folder').mkdir()
    writer.save(None)
    assert load_checkpoint(str(tmp_path / 'folder' / 'checkpoint'), QUESTION) == replace(FULL, output=None)


# Its lock


@pytest.mark.parametrize('is_saved', [True, False], ids=['with a checkpoint', 'with none'])
def test_l2_lock_file_stays_only_beside_a_checkpoint(path: Path, is_saved: bool) -> None:
    with lock_checkpoint(str(path)):
        if is_saved:
            save_checkpoint(str(path), FULL)
    assert os.path.exists(lock_path(str(path))) == is_saved


def test_second_lock_is_refused_and_names_the_holder(path: Path) -> None:
    with (
        lock_checkpoint(str(path)),
        pytest.raises(CheckpointLocked, match=f'by process {os.getpid()}') as refused,
        lock_checkpoint(str(path)),
    ):
        pass
    assert refused.value.process_id == os.getpid()


def test_holder_that_is_not_known_is_not_named(path: Path) -> None:
    with lock_checkpoint(str(path)):
        Path(lock_path(str(path))).write_text('nonsense')
        with pytest.raises(CheckpointLocked, match='is in use[.]') as refused, lock_checkpoint(str(path)):
            pass
    assert refused.value.process_id is None


@pytest.mark.parametrize('error', [None, LookupError], ids=['done', 'failed'])
def test_lock_is_free_again_after_the_work(path: Path, error: type[Exception] | None) -> None:
    def work() -> None:
        with lock_checkpoint(str(path)):
            if error:
                raise error

    for _ in range(2):
        if error:
            with pytest.raises(error):
                work()
        else:
            work()


@pytest.mark.skipif(sys.platform == 'win32', reason='flock is of POSIX')
def test_file_system_without_locks_is_a_checkpoint_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr('fcntl.flock', flock)
    with pytest.raises(CheckpointError, match='No locks available') as caught, lock_checkpoint(str(path)):
        pass
    assert not isinstance(caught.value, CheckpointLocked)


def test_lock_in_a_folder_that_is_not_there_is_a_checkpoint_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError), lock_checkpoint(str(tmp_path / 'no' / 'checkpoint')):
        pass
