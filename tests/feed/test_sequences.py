"""Reading by sequence where nothing is in the way. Gaps, jumps and restores: `test_schedules.py`."""

from __future__ import annotations

import pytest

from dicomfeed.errors import FeedRestored
from dicomfeed.prefetch import InlinePool
from dicomfeed.sequences import AtGap, SequenceReader
from tests.emulator.trouble import Response
from tests.feed.world import Ended, World, after, numbers

EITHER = pytest.mark.parametrize('at_gap', AtGap)


def reader(world: World, *, cursor: int = 0, ahead: int = 0, width: int = 100) -> SequenceReader:
    return SequenceReader(world.feed(), cursor=cursor, pool=InlinePool(ahead), width=width)


@EITHER
@pytest.mark.parametrize('ahead', [0, 6])
@pytest.mark.parametrize('width', [1, 7, 100])
def test_read_gives_every_event_in_order(at_gap: AtGap, ahead: int, width: int) -> None:
    world = World()
    world.create_now(210)
    assert numbers(reader(world, ahead=ahead, width=width).read(210, at_gap=at_gap)) == list(range(1, 211))


@EITHER
def test_read_begins_above_the_cursor_and_ends_where_it_is_told(at_gap: AtGap) -> None:
    world = World()
    world.create_now(300)
    assert numbers(reader(world, cursor=17).read(250, at_gap=at_gap)) == list(range(18, 251))


def test_cursor_stands_at_the_last_event_of_the_list_that_was_handed_out() -> None:
    world = World()
    world.create_now(250)
    reading = reader(world, ahead=6)
    for events in reading.read(250, at_gap=AtGap.STOP):
        assert (reading.cursor, reading.last) == (events[-1].sequence, events[-1].identity)


def test_no_list_is_empty_and_none_is_needed_for_nothing() -> None:
    world = World()
    world.create_now(1)
    assert list(reader(world, cursor=1).read(1, at_gap=AtGap.STOP)) == []
    assert all(list(reader(world).read(1, at_gap=AtGap.STOP)))


def test_closed_gaps_are_passed_and_counted() -> None:
    world = World()
    world.create_now(1)
    world.store.burn(3)
    world.create_now(1)
    world.store.burn(1)
    world.create_now(1)
    world.pass_time(3_600.0)
    reading = reader(world)
    assert numbers(reading.read(7, at_gap=AtGap.STOP)) == [1, 5, 7]
    assert (reading.gaps, reading.complete_through, reading.open_gap) == (2, None, None)


def test_gap_that_an_earlier_reading_passed_is_not_watched_again() -> None:
    world = World()
    world.create_now(1)
    world.store.burn(1)
    world.create_now(1)
    again = SequenceReader(world.feed(), cursor=0, pool=InlinePool(), closed_through=3)
    assert numbers(again.read(3, at_gap=AtGap.STOP)) == [1, 3]
    new = SequenceReader(world.feed(), cursor=0, pool=InlinePool(), closed_through=1)
    assert numbers(new.read(3, at_gap=AtGap.STOP)) == [1]


def test_anchor_stays_until_it_is_reached() -> None:
    world = World()
    world.create_now(250)
    newest = world.feed().newest()
    assert newest is not None
    reading = SequenceReader(world.feed(), cursor=0, last=newest.identity, pool=InlinePool())
    anchors = [reading.last for _ in reading.read(250, at_gap=AtGap.STOP)]
    assert anchors == [newest.identity] * 3
    world.create_now(1)
    list(reading.read(251, at_gap=AtGap.STOP))
    assert reading.last is not None and reading.last[0] == 251


def test_follow_tells_the_time_of_each_round_and_when_nothing_is_left() -> None:
    world = World(latency_seconds=0.0)
    world.create_now(1)
    heard: list[object] = []
    world.at(25.0, lambda: world.create_now(2))
    world.end = 35.0
    reading = reader(world).follow(poll_interval_seconds=10.0, on_poll=heard.append)
    with pytest.raises(Ended):
        for events in reading:
            heard.append(numbers([events]))
    assert heard == [after(0), [1], [], after(10), [], after(20), [], after(30), [2, 3], []]


def test_follow_does_not_say_that_nothing_is_left_at_an_open_gap() -> None:
    world = World(latency_seconds=0.0)
    world.create_now(1)
    writer = world.writer()
    world.create_now(1)
    world.at(15.0, writer.commit)
    world.end = 25.0
    heard: list[list[int]] = []
    with pytest.raises(Ended):
        for events in reader(world).follow(poll_interval_seconds=10.0):
            heard.append(numbers([events]))
    assert heard == [[1], [2, 3], []]


def test_follow_does_not_say_that_nothing_is_left_where_a_page_lacks_the_newest_event() -> None:
    world = World(latency_seconds=0.0)
    world.create_now(2)
    world.end = 15.0
    stale = Response(200, {'Content-Type': 'application/json'}, b'[]')
    world.service.trouble.when(lambda request: request.path == '/v1/changefeed', lambda answer: stale, times=1)
    heard: list[list[int]] = []
    with pytest.raises(Ended):
        for events in reader(world).follow(poll_interval_seconds=10.0):
            heard.append(numbers([events]))
    assert heard == [[1, 2], []]


def test_verify_takes_the_event_that_was_read_last() -> None:
    world = World()
    world.create_now(3)
    reading = reader(world)
    list(reading.read(3, at_gap=AtGap.STOP))
    world.create_now(2)
    reading.verify(world.feed().newest())


def test_verify_refuses_a_feed_that_ends_below_the_cursor() -> None:
    world = World()
    world.create_now(3)
    reading = reader(world)
    list(reading.read(3, at_gap=AtGap.STOP))
    with pytest.raises(FeedRestored):
        reading.verify(None)


def test_skip_settled_moves_to_an_event_that_is_settled_and_reads_nothing() -> None:
    world = World()
    world.create_now(5)
    world.store.burn(2)
    world.create_now(5)
    world.pass_time(3_600.0)
    reading, newest = reader(world), world.feed().newest()
    assert newest is not None
    asked = len(world.journal.requests)
    reading.skip_settled(newest)
    assert (reading.cursor, reading.last) == (12, newest.identity)
    assert len(world.journal.requests) == asked


def test_skip_settled_stays_below_what_can_still_change() -> None:
    world = World()
    world.create_now(5)
    world.pass_time(3_600.0)
    late = world.writer()
    world.create_now(1)
    reading, newest = reader(world), world.feed().newest()
    assert newest is not None
    reading.skip_settled(newest)
    assert reading.cursor == 5
    assert numbers(reading.read_closed(newest)) == []
    late.commit()
    assert numbers(reading.read_closed(newest)) == [6, 7]


def test_skip_settled_never_moves_back() -> None:
    world = World()
    world.create_now(5)
    world.pass_time(3_600.0)
    reading, newest = reader(world, cursor=4), world.feed().newest()
    assert newest is not None
    world.create_now(1)
    reading.cursor = 6
    reading.skip_settled(newest)
    assert reading.cursor == 6


def test_first_above_crosses_a_wide_gap() -> None:
    world = World()
    world.create_now(3)
    world.store.burn(50_000)
    world.create_now(3)
    world.pass_time(3_600.0)
    found = [reader(world).first_above(sequence, 50_006) for sequence in (0, 3, 20_000, 50_005)]
    assert [event and event.sequence for event in found] == [1, 50_004, 50_004, 50_006]
    assert reader(world).first_above(3, 50_003) is None


@pytest.mark.parametrize('ahead', [0, 6])
@pytest.mark.parametrize('size', [1, 100, 150, 1_000, 10**6])
@pytest.mark.parametrize('gap', [0, 99, 450, 30_000])
def test_ranges_hold_every_event_once_and_none_begins_in_a_wide_gap(gap: int, size: int, ahead: int) -> None:
    world = World()
    world.create_now(130)
    world.store.burn(gap)
    world.create_now(130)
    world.pass_time(3_600.0)
    through = 260 + gap
    ranges = list(reader(world, cursor=7, ahead=ahead).ranges(through, size=size))
    assert all(0 < last - after <= size for after, last in ranges)
    assert [last <= after for (_, last), (after, _) in zip(ranges, ranges[1:], strict=False)] == [True] * (
        len(ranges) - 1
    )
    found = [number for after, last in ranges for number in numbers(reader(world, cursor=after).read_range(last))]
    assert found == [number for number in world.committed() if number > 7]
    assert len(ranges) <= -(-123 // size) + -(-130 // size) + 100 // size + 1


def test_read_range_ends_in_the_middle_of_a_page_and_moves_the_cursor() -> None:
    world = World()
    world.create_now(250)
    reading = reader(world, cursor=20)
    assert numbers(reading.read_range(130)) == list(range(21, 131))
    assert reading.cursor == 130


def test_wide_gap_between_ranges_costs_few_requests() -> None:
    world = World()
    for second in range(9_900):
        world.create_now(1, ticks=after(second))
    world.store.burn(200_000)
    world.create_now(1, ticks=after(10_000))
    world.pass_time(20_000.0)
    world.journal.clear()
    assert list(reader(world).ranges(209_901, size=10_000)) == [(0, 10_000), (209_900, 209_901)]
    assert len(world.journal.requests) < 30
