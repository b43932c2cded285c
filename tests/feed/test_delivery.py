"""What is written, what is made to last, and what the checkpoint says of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dicomfeed.checkpoint import Checkpoint, CheckpointWriter, Output, Question, load_checkpoint, lock_checkpoint
from dicomfeed.delivery import Delivery, Summary, open_output
from dicomfeed.errors import CheckpointLocked, OutputError
from dicomfeed.filters import Filters
from dicomfeed.prefetch import InlinePool
from dicomfeed.sequences import AtGap, SequenceReader
from dicomfeed.sinks import FileSink
from tests.feed.world import World

QUESTION = Question('https://contoso-imaging.dicom.azurehealthcareapis.com')


def deliver(world: World, folder: Path, *, filters: Filters = Filters(), summary: Summary | None = None) -> None:
    """One run to a file with a checkpoint."""
    path = str(folder / 'checkpoint')
    checkpoint = load_checkpoint(path, QUESTION) or Checkpoint(QUESTION)
    reader = SequenceReader(world.feed(), cursor=checkpoint.sequence, last=checkpoint.last, pool=InlinePool())
    writer = CheckpointWriter(path, checkpoint)
    sink, _ = open_output(str(folder / 'feed.jsonl'), overwrite=False, writer=writer)
    Delivery(sink, filters=filters, summary=summary or Summary(), clock=world.clock, checkpoint=writer).run(
        reader.read(world.committed()[-1], at_gap=AtGap.STOP)
    )
    sink.close()


def lines(folder: Path) -> list[int]:
    return [json.loads(line)['sequence'] for line in (folder / 'feed.jsonl').read_bytes().splitlines()]


def test_rule_11_checkpoint_moves_over_events_that_no_filter_lets_pass(tmp_path: Path) -> None:
    world = World()
    world.create_now(250)
    deliver(world, tmp_path, filters=Filters(action=('Delete',)))
    loaded = load_checkpoint(str(tmp_path / 'checkpoint'), QUESTION)
    assert loaded is not None and loaded.sequence == 250
    assert lines(tmp_path) == []


def test_rule_9_resumed_file_is_truncated_to_the_length_that_counts(tmp_path: Path) -> None:
    world = World()
    world.create_now(150)
    deliver(world, tmp_path)
    with (tmp_path / 'feed.jsonl').open('ab') as file:
        file.write(b'{"sequence": 151}\n' * 1_000 + b'{"half of a li')
    world.create_now(50)
    deliver(world, tmp_path)
    assert lines(tmp_path) == world.committed()


@pytest.mark.parametrize('damage', [lambda data: data[:-1], lambda data: data[:-3] + b'xx\n'], ids=['short', 'other'])
def test_rule_9_other_file_is_refused_and_left_as_it_is(tmp_path: Path, damage: object) -> None:
    world = World()
    world.create_now(150)
    deliver(world, tmp_path)
    file = tmp_path / 'feed.jsonl'
    damaged = damage(file.read_bytes())  # type: ignore[operator]
    file.write_bytes(damaged)
    with pytest.raises(OutputError):
        deliver(world, tmp_path)
    assert file.read_bytes() == damaged


def test_rule_9_missing_file_is_begun_anew(tmp_path: Path) -> None:
    world = World()
    world.create_now(10)
    deliver(world, tmp_path)
    (tmp_path / 'feed.jsonl').unlink()
    world.create_now(5)
    deliver(world, tmp_path)
    assert lines(tmp_path) == [11, 12, 13, 14, 15]


def test_rule_9_checkpoint_names_the_file_before_its_first_byte(tmp_path: Path) -> None:
    path = str(tmp_path / 'feed.jsonl')
    writer = CheckpointWriter(str(tmp_path / 'checkpoint'), Checkpoint(QUESTION))
    sink, _ = open_output(path, overwrite=False, writer=writer)
    sink.close()
    loaded = load_checkpoint(str(tmp_path / 'checkpoint'), QUESTION)
    assert loaded is not None and loaded.output == Output.empty(path)


def test_open_output_begins_another_file_without_a_word(tmp_path: Path) -> None:
    checkpoint = Checkpoint(QUESTION, output=Output(str(tmp_path / 'monday.jsonl'), 100, 'digest'))
    writer = CheckpointWriter(str(tmp_path / 'checkpoint'), checkpoint)
    sink, is_begun_anew = open_output(str(tmp_path / 'tuesday.jsonl'), overwrite=False, writer=writer)
    sink.close()
    assert not is_begun_anew


def test_open_output_leaves_a_foreign_file_alone(tmp_path: Path) -> None:
    (tmp_path / 'feed.jsonl').write_text('mine')
    world = World()
    world.create_now(3)
    with pytest.raises(OutputError):
        deliver(world, tmp_path)
    assert (tmp_path / 'feed.jsonl').read_text() == 'mine'
    assert not (tmp_path / 'checkpoint').exists()


def test_rule_10_second_lock_names_the_holder(tmp_path: Path) -> None:
    path = str(tmp_path / 'checkpoint')
    with lock_checkpoint(path), pytest.raises(CheckpointLocked) as refused, lock_checkpoint(path):
        pass
    assert refused.value.process_id == os.getpid()


def test_rule_10_lock_is_free_again_after_its_holder(tmp_path: Path) -> None:
    path = str(tmp_path / 'checkpoint')
    with lock_checkpoint(path):
        pass
    with lock_checkpoint(path):
        pass


def test_gzip_members_end_with_a_commit(tmp_path: Path) -> None:
    import gzip

    sink = FileSink.create(str(tmp_path / 'feed.jsonl.gz'))
    lengths = []
    for number in range(3):
        sink.write([str(number).encode()])
        lengths.append(sink.commit().length)
    sink.close()
    data = (tmp_path / 'feed.jsonl.gz').read_bytes()
    assert [gzip.decompress(data[:length]) for length in lengths] == [b'0\n', b'0\n1\n', b'0\n1\n2\n']


def test_summary_counts_what_was_read_and_what_was_delivered(tmp_path: Path) -> None:
    world = World()
    world.create_now(20)
    summary = Summary()
    deliver(world, tmp_path, filters=Filters(state=('Deleted',)), summary=summary)
    assert (summary.events, summary.events_read, summary.first_sequence) == (0, 20, None)


def test_summary_has_the_keys_that_users_see() -> None:
    assert Summary(events=2, seconds=0.5, unreadable=[7], complete_through=9).as_dict() == {
        'format': 'dicom-changefeed-summary/1',
        'events': 2,
        'eventsRead': 0,
        'firstSequence': None,
        'lastSequence': None,
        'completeThrough': 9,
        'settledThrough': None,
        'gaps': 0,
        'retries': 0,
        'unreadable': [7],
        'seconds': 0.5,
        'eventsPerSecond': 4.0,
    }
