"""What is written, what is made to last, and what the checkpoint says of it."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dicomfeed.checkpoint import Checkpoint, CheckpointWriter, Output, Question, load_checkpoint, lock_checkpoint
from dicomfeed.delivery import Delivery, open_output
from dicomfeed.errors import CheckpointLocked, HostUnreachable, OutputChanged, OutputError, OutputExists
from dicomfeed.events import Event
from dicomfeed.filters import Filters
from dicomfeed.gaps import settle_margin
from dicomfeed.prefetch import InlinePool
from dicomfeed.queries import SequenceRange
from dicomfeed.sequences import AtGap, SequenceReader
from dicomfeed.sinks import FileSink
from dicomfeed.stable import StableStudies
from dicomfeed.summary import Summary
from dicomfeed.times import TICKS_PER_SECOND
from tests.feed.world import World, after

QUESTION = Question('https://contoso-imaging.dicom.azurehealthcareapis.com')


def deliver(
    world: World,
    folder: Path,
    *,
    filters: Filters = Filters(),
    summary: Summary | None = None,
    batches: Iterable[list[Event]] | None = None,
) -> None:
    """One run to a file with a checkpoint."""
    path = str(folder / 'checkpoint')
    checkpoint = load_checkpoint(path, QUESTION) or Checkpoint(QUESTION)
    reader = SequenceReader(world.feed(), cursor=checkpoint.sequence, last=checkpoint.last, pool=InlinePool())
    writer = CheckpointWriter(path, checkpoint)
    sink, _ = open_output(str(folder / 'feed.jsonl'), committed=checkpoint.output)
    with closing(sink):
        Delivery(sink, filters=filters, summary=summary or Summary(), clock=world.clock, checkpoint=writer).run(
            reader.read(world.committed()[-1], at_gap=AtGap.STOP) if batches is None else batches
        )


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


class Witness(FileSink):
    """Sees whether the file is there already when the checkpoint names it."""

    def begin(self) -> None:
        loaded = load_checkpoint(str(Path(self.output.path).with_name('checkpoint')), QUESTION)
        assert loaded is not None and loaded.output == self.output
        assert not Path(self.output.path).exists()
        super().begin()


def test_rule_9_checkpoint_names_the_file_before_it_is_there(tmp_path: Path) -> None:
    writer = CheckpointWriter(str(tmp_path / 'checkpoint'), Checkpoint(QUESTION))
    with closing(Witness.create(str(tmp_path / 'feed.jsonl'))) as sink:
        Delivery(sink, filters=Filters(), summary=Summary(), clock=World().clock, checkpoint=writer).run([[]])
    assert lines(tmp_path) == []


def test_open_output_begins_another_file_without_a_word(tmp_path: Path) -> None:
    committed = Output(str(tmp_path / 'monday.jsonl'), 100, 'digest')
    sink, is_begun_anew = open_output(str(tmp_path / 'tuesday.jsonl'), committed=committed)
    sink.close()
    assert not is_begun_anew


def test_what_a_poll_brings_is_in_the_file_before_the_next_one(tmp_path: Path) -> None:
    world = World()
    world.create_now(3)
    found: list[list[int]] = []

    def polls() -> Iterator[list[Event]]:
        yield []
        yield world.feed().page(SequenceRange(0, 3)).events
        yield []
        found.append(lines(tmp_path))

    deliver(world, tmp_path, batches=polls())
    assert found == [world.committed()]


def failing(*batches: list[Event]) -> Iterator[list[Event]]:
    yield from batches
    raise HostUnreachable('No connection.', url='')


@pytest.mark.parametrize('is_first_run', [True, False], ids=['first run', 'later run'])
def test_l2_run_without_an_answer_changes_no_file(tmp_path: Path, is_first_run: bool) -> None:
    world = World()
    world.create_now(3)
    if not is_first_run:
        deliver(world, tmp_path)
        with (tmp_path / 'feed.jsonl').open('ab') as file:
            file.write(b'uncommitted')
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    with pytest.raises(HostUnreachable):
        deliver(world, tmp_path, batches=failing())
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before


def test_l2_run_with_an_empty_answer_begins(tmp_path: Path) -> None:
    with pytest.raises(HostUnreachable):
        deliver(World(), tmp_path, batches=failing([]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ['checkpoint', 'feed.jsonl']


def test_l26_checkpoint_passes_nothing_that_a_removed_file_took_along(tmp_path: Path) -> None:
    world = World()
    world.create_now(10)
    deliver(world, tmp_path)
    before = (tmp_path / 'checkpoint').read_bytes()
    world.create_now(5)
    fresh = world.feed().newest()
    assert fresh is not None

    def removed_under_way() -> Iterator[list[Event]]:
        yield []
        (tmp_path / 'feed.jsonl').unlink()
        yield [fresh]

    with pytest.raises(OutputChanged):
        deliver(world, tmp_path, batches=removed_under_way())
    assert (tmp_path / 'checkpoint').read_bytes() == before
    deliver(world, tmp_path)
    assert lines(tmp_path) == [11, 12, 13, 14, 15]


def test_l28_moved_folder_goes_on(tmp_path: Path) -> None:
    world = World()
    world.create_now(150)
    (tmp_path / 'a').mkdir()
    deliver(world, tmp_path / 'a')
    (tmp_path / 'a').rename(tmp_path / 'b')
    world.create_now(5)
    deliver(world, tmp_path / 'b')
    assert lines(tmp_path / 'b') == world.committed()
    loaded = load_checkpoint(str(tmp_path / 'b' / 'checkpoint'), QUESTION)
    assert loaded is not None and loaded.output is not None
    assert loaded.output.path == str(tmp_path / 'b' / 'feed.jsonl')


def test_l28_other_file_under_another_path_is_refused_with_the_recorded_path(tmp_path: Path) -> None:
    world = World()
    world.create_now(3)
    deliver(world, tmp_path)
    (tmp_path / 'feed.jsonl').rename(tmp_path / 'monday.jsonl')
    recorded = load_checkpoint(str(tmp_path / 'checkpoint'), QUESTION)
    assert recorded is not None
    (tmp_path / 'other.jsonl').write_bytes(b'x' * 10_000)
    with pytest.raises(OutputExists) as refused:
        open_output(str(tmp_path / 'other.jsonl'), committed=recorded.output)
    assert refused.value.recorded_path == str(tmp_path / 'feed.jsonl')
    assert (tmp_path / 'other.jsonl').read_bytes() == b'x' * 10_000


@pytest.mark.parametrize(
    ('name', 'content', 'is_same'),
    [
        ('f', b'', True),
        ('f', b'{}\n', False),
        ('f.gz', gzip.compress(b'{}'), False),
        ('f.gz', zlib.compressobj(wbits=31).flush() + gzip.compress(b'{}'), False),
    ],
    ids=['empty', 'with lines', 'gzip', 'gzip with an empty beginning'],
)
def test_l28_file_with_lines_never_matches_a_length_of_nothing(
    tmp_path: Path, name: str, content: bytes, is_same: bool
) -> None:
    (tmp_path / name).write_bytes(content)
    sink = FileSink.recognize(str(tmp_path / name), Output.empty(str(tmp_path / 'moved' / name)))
    assert (sink is not None) == is_same
    if sink:
        sink.close()
    assert (tmp_path / name).read_bytes() == content


def test_failing_lines_lose_nothing_that_was_written_before(tmp_path: Path) -> None:
    world = World()
    world.create_now(2)
    events = [world.feed().page(SequenceRange(after, 1)).events for after in (0, 1)]
    writer = CheckpointWriter(str(tmp_path / 'checkpoint'), Checkpoint(QUESTION))

    def lines_of(delivered: list[Event]) -> list[bytes]:
        assert delivered[0].sequence == 1, 'no line for this one'
        return [b'1']

    with closing(FileSink.create(str(tmp_path / 'feed.jsonl'))) as sink:
        delivery = Delivery(
            sink, filters=Filters(), summary=Summary(), clock=world.clock, checkpoint=writer, lines_of=lines_of
        )
        with pytest.raises(AssertionError, match='no line'):
            delivery.run(events)
    assert writer.checkpoint.sequence == 1 and (tmp_path / 'feed.jsonl').read_bytes() == b'1\n'


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
    sink = FileSink.create(str(tmp_path / 'feed.jsonl.gz'))
    sink.begin()
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


# Rows in the place of events


def deliver_rows(world: World, folder: Path, batches: list[list[Event]], *, asked: float) -> Summary:
    """One poll of studies that are stable after a minute, to a file with a checkpoint."""
    path, summary = str(folder / 'checkpoint'), Summary()
    checkpoint = load_checkpoint(path, QUESTION) or Checkpoint(QUESTION)
    studies = StableStudies(checkpoint.snapshot, stable_after=60 * TICKS_PER_SECOND, settle_margin=settle_margin(60.0))
    sink, _ = open_output(str(folder / 'feed.jsonl'), committed=checkpoint.output)
    with closing(sink):
        delivery = Delivery(
            sink,
            filters=Filters(),
            summary=summary,
            clock=world.clock,
            checkpoint=CheckpointWriter(path, checkpoint),
            studies=studies,
        )
        studies.begin_poll(after(asked))
        delivery.run(batches)
    return summary


def test_rows_are_written_in_the_place_of_events(tmp_path: Path) -> None:
    world = World()
    world.create_now(3)
    world.pass_time(5_000.0)
    world.create_now(1)
    events = world.feed().bare_page(SequenceRange(0)).events
    summary = deliver_rows(world, tmp_path, [events[:2], events[2:], []], asked=5_000.0)
    rows = [json.loads(line) for line in (tmp_path / 'feed.jsonl').read_bytes().splitlines()]
    assert [row['firstSequence'] for row in rows] == [1, 2, 3]
    assert (summary.rows, summary.written, summary.events) == (3, 3, 4)


def test_rule_13_checkpoint_stands_below_an_open_study_and_names_the_last_event(tmp_path: Path) -> None:
    world = World()
    world.create_now(3)
    events = world.feed().bare_page(SequenceRange(0)).events
    deliver_rows(world, tmp_path, [events, []], asked=400.0)
    loaded = load_checkpoint(str(tmp_path / 'checkpoint'), QUESTION)
    assert loaded is not None and (loaded.sequence, loaded.last) == (0, events[-1].identity)
    assert (loaded.mark, len(loaded.open)) == (after(40.0), 3)


def test_checkpoint_of_rows_is_saved_only_when_there_is_news(tmp_path: Path) -> None:
    world = World()
    world.create_now(1)
    events = world.feed().bare_page(SequenceRange(0)).events
    deliver_rows(world, tmp_path, [events, []], asked=400.0)
    before = load_checkpoint(str(tmp_path / 'checkpoint'), QUESTION)
    deliver_rows(world, tmp_path, [[]], asked=410.0)
    assert load_checkpoint(str(tmp_path / 'checkpoint'), QUESTION) == before
    deliver_rows(world, tmp_path, [events, []], asked=1_000.0)
    assert load_checkpoint(str(tmp_path / 'checkpoint'), QUESTION) != before
