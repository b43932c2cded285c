"""Events as they come: lines, --query for each of them, the summary, and what is said when a run ends early."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from azext_dicomtoken._signals import Interrupted, Interruption
from azext_dicomtoken.changefeed.lines import LineError
from azext_dicomtoken.changefeed.stream import in_words, stream
from dicomfeed.delivery import Summary
from dicomfeed.errors import CheckpointMismatch, RequestError
from tests.az.changefeed.conftest import FakeCli, OpenSession
from tests.emulator import trouble
from tests.feed.world import World


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'feed.jsonl'


def lines(path: Path) -> list[int]:
    return [json.loads(line)['sequence'] for line in path.read_bytes().splitlines()]


def test_every_event_is_a_line(open_session: OpenSession, world: World, path: Path) -> None:
    world.create_now(150)
    session = open_session(output_file=str(path))
    stream(session, Interruption())
    assert lines(path) == list(range(1, 151))
    assert (session.summary.events, session.summary.complete_through) == (150, 150)


def test_checkpoint_continues_in_the_same_file(
    open_session: OpenSession, world: World, path: Path, tmp_path: Path
) -> None:
    options = {'output_file': str(path), 'checkpoint': str(tmp_path / 'checkpoint')}
    for _ in range(2):
        world.create_now(5)
        stream(open_session(**options), Interruption())
    assert lines(path) == list(range(1, 11))


def test_summary_is_written_as_json(open_session: OpenSession, world: World, path: Path, tmp_path: Path) -> None:
    world.create_now(5)
    stream(open_session(output_file=str(path), summary_file=str(tmp_path / 'summary')), Interruption())
    summary = json.loads((tmp_path / 'summary').read_text())
    assert (summary['events'], summary['lastSequence']) == (5, 5)


def stored(world: World, *modalities: str) -> None:
    for modality in modalities:
        world.store.create(
            metadata=f'{{"00080060":{{"vr":"CS","Value":["{modality}"]}},"00100020":{{"vr":"LO","Value":["SECRET-1"]}}}}'
        )


def test_lines_of_events_that_match_have_the_named_attributes_alone(
    open_session: OpenSession, world: World, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(world, 'CT', 'MR', 'CT', 'CT')
    world.store.delete(world.store.event(3).instance.study)
    files = {'output_file': str(path), 'summary_file': str(tmp_path / 'summary')}
    stream(
        open_session(match=['Modality=CT', 'PatientID=SECRET*'], include_field=['Modality'], **files), Interruption()
    )
    written = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [line['sequence'] for line in written] == [1, 4]
    assert all(line['metadata'] == {'00080060': {'vr': 'CS', 'Value': ['CT']}} for line in written)
    summary = json.loads((tmp_path / 'summary').read_text())
    assert (summary['events'], summary['eventsRead'], summary['deletedNotMatched']) == (2, 5, 2)
    assert capsys.readouterr().err.count('2 events were left out because the instance is deleted') == 1


def test_event_that_cannot_be_tested_is_left_out_and_reported_without_its_attributes(
    open_session: OpenSession, world: World, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(world, 'CT', 'CT', 'CT')
    world.store.poison(2)
    files = {'output_file': str(path), 'summary_file': str(tmp_path / 'summary')}
    session = open_session(match=['PatientID=SECRET-1'], checkpoint=str(tmp_path / 'checkpoint'), **files)
    stream(session, Interruption())
    assert (lines(path), world.poisoned) == ([1, 3], [2])
    left = [file.read_text() for file in tmp_path.iterdir()]
    assert len(left) == 4 and not any('SECRET' in text for text in (*left, capsys.readouterr().err))


def test_checkpoint_goes_on_with_conditions_that_mean_the_same_and_no_others(
    open_session: OpenSession, world: World, path: Path, tmp_path: Path
) -> None:
    options = {'output_file': str(path), 'checkpoint': str(tmp_path / 'checkpoint')}
    for match in (['Modality=CT', 'PatientID=SECRET-1'], ['00100020=SECRET-1', 'modality=ct']):
        stored(world, 'CT', 'MR')
        stream(open_session(match=match, **options), Interruption())
    assert lines(path) == [1, 3]
    assert 'SECRET' not in (tmp_path / 'checkpoint').read_text()
    for other in ({}, {'match': ['Modality=CT']}, {'match': match, 'include_field': ['Modality']}):
        with pytest.raises(CheckpointMismatch):
            stream(open_session(**other, **options), Interruption())


class _InterruptedAfter(Interruption):
    """A signal comes at the end of a write."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self._writes = writes

    def held_back(self) -> Any:
        self._writes -= 1
        if self._writes < 0:
            self._writes = 1_000
            raise Interrupted(2)
        return super().held_back()


def test_interrupted_stream_says_how_to_continue(
    open_session: OpenSession, world: World, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.create_now(250)
    with pytest.raises(Interrupted):
        stream(open_session(output_file=str(path)), _InterruptedAfter(2))
    written = lines(path)
    assert written and f'--after-sequence {written[-1]} --output-file ANOTHER_FILE' in capsys.readouterr().err


def test_interrupted_tail_continues_after_what_it_has_written(
    open_session: OpenSession, world: World, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.create_now(250)
    with pytest.raises(Interrupted):
        stream(open_session(output_file=str(path), tail=250), _InterruptedAfter(4))
    written = lines(path)
    assert 0 < len(written) < 250 and written[0] == 1
    assert f'--after-sequence {written[-1]} --output-file ANOTHER_FILE' in capsys.readouterr().err


def test_stream_that_an_error_ends_says_how_to_continue(
    open_session: OpenSession, world: World, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.create_now(250)
    world.service.trouble.when(lambda request: 'offset=200' in request.query, trouble.cut())
    with pytest.raises(RequestError):
        stream(open_session(output_file=str(path)), Interruption())
    assert 'The run ended early. Continue with:\n' in capsys.readouterr().err and lines(path)[-1] == 200


def test_l12_configured_output_format_does_not_change_a_line(
    open_session: OpenSession, world: World, cli: FakeCli, path: Path
) -> None:
    cli.invocation.data['output'] = 'tsv'
    world.create_now(3)
    stream(open_session(output_file=str(path)), Interruption())
    assert lines(path) == [1, 2, 3]


def test_l24_query_that_fails_names_the_event_and_what_comes_before_is_written(
    open_session: OpenSession, world: World, cli: FakeCli, path: Path
) -> None:
    world.create_now(150)
    cli.search('sequence == `130` && length(@.nothing) || sequence')
    with pytest.raises(LineError, match='sequence number 130: length.. does not take a value of type null') as error:
        stream(open_session(output_file=str(path), after_sequence=0), Interruption())
    assert path.read_text() == ''.join(f'{sequence}\n' for sequence in range(1, 130))
    assert error.value.recommendations


def test_l24_query_that_fails_at_the_first_event_of_a_batch_loses_no_earlier_one(
    open_session: OpenSession, world: World, cli: FakeCli, path: Path
) -> None:
    world.create_now(150)
    cli.search('sequence == `101` && length(@.nothing) || sequence')
    with pytest.raises(LineError, match='sequence number 101'):
        stream(open_session(output_file=str(path)), Interruption())
    assert len(path.read_text().splitlines()) == 100


@pytest.mark.parametrize(
    ('query', 'is_said'), [('[].sequence', True), ('sequence', False), ("action=='Delete'", False)]
)
def test_l32_query_without_any_result_is_explained(
    query: str,
    is_said: bool,
    open_session: OpenSession,
    world: World,
    cli: FakeCli,
    path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cli.only_show_errors = False
    cli.search(query)
    world.create_now(3)
    stream(open_session(output_file=str(path)), Interruption())
    assert ('--query applies to each event' in capsys.readouterr().err) is is_said


def test_l31_start_beside_a_checkpoint_is_said_to_be_ignored(
    open_session: OpenSession, world: World, cli: FakeCli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.only_show_errors = False
    options = {'output_file': str(tmp_path / 'feed'), 'checkpoint': str(tmp_path / 'checkpoint'), 'after_sequence': 2}
    world.create_now(5)
    stream(open_session(**options), Interruption())
    assert 'ignored' not in capsys.readouterr().err
    stream(open_session(**options), Interruption())
    said = capsys.readouterr().err
    assert said.startswith('--after-sequence is ignored: the run continues after sequence number 5, ')


def test_l4_file_says_through_where_it_is_complete_though_only_errors_are_shown(
    open_session: OpenSession, world: World, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.create_now(2)
    world.writer()
    world.create_now(2)
    stream(open_session(output_file=str(path)), Interruption())
    assert capsys.readouterr().err.startswith('Complete through sequence number 2: ')


def test_checkpoint_of_another_form_of_line_is_refused(
    open_session: OpenSession, world: World, cli: FakeCli, path: Path, tmp_path: Path
) -> None:
    options = {'output_file': str(path), 'checkpoint': str(tmp_path / 'checkpoint')}
    world.create_now(2)
    stream(open_session(**options), Interruption())
    cli.data['dicom_arguments'] = ('-o', 'tsv')
    cli.invocation.data['output'] = 'tsv'
    with pytest.raises(CheckpointMismatch, match='form of line'):
        stream(open_session(**options), Interruption())


def test_table_has_its_header_once(open_session: OpenSession, world: World, cli: FakeCli) -> None:
    cli.data['dicom_arguments'] = ('-o', 'table')
    cli.invocation.data['output'] = 'table'
    cli.out_file = io.StringIO()
    world.create_now(150)
    with redirect_stdout(cli.out_file):
        stream(open_session(stream=True), Interruption())
    header, *rows = cli.out_file.getvalue().splitlines()
    assert header.split() == ['Sequence', 'Timestamp', 'Action', 'State', 'Study', 'Instance']
    assert [int(row.split()[0]) for row in rows] == list(range(1, 151))


@pytest.mark.parametrize(
    ('summary', 'words'),
    [
        (Summary(events=2000, complete_through=3000), '2,000 events written to feed; complete through 3000.'),
        (Summary(events=1), '1 event written to feed.'),
        (
            Summary(events=0, complete_through=7, gaps=1, retries=2, unreadable=[3]),
            '0 events written to feed; complete through 7. 1 gap, 2 retries, 1 event without metadata.',
        ),
        (Summary(events=3, gaps=1200, retries=1), '3 events written to feed. 1,200 gaps, 1 retry.'),
    ],
    ids=['plain', 'one', 'everything', 'thousands'],
)
def test_summary_in_words(summary: Summary, words: str) -> None:
    assert in_words(summary, 'feed') == words


def test_summary_tells_what_was_left_out_from_what_came_without_metadata() -> None:
    words = in_words(Summary(events=2, unreadable=[3, 5]), 'feed', has_conditions=True)
    assert words == '2 events written to feed. 2 unreadable events.'


@pytest.mark.parametrize('quiet', [True, False], ids=['only errors', 'ordinary'])
def test_summary_is_no_warning(
    quiet: bool,
    open_session: OpenSession,
    world: World,
    cli: FakeCli,
    path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cli.only_show_errors = quiet
    world.create_now(3)
    stream(open_session(output_file=str(path)), Interruption())
    expected = '' if quiet else f'3 events written to {path}; complete through 3.\n'
    assert capsys.readouterr().err == expected
