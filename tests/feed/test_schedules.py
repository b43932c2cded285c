"""Schedules that lose or double an event where a rule of the reader is missing. Each names the rule it stands for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dicomfeed.errors import FeedRestored, StartAboveEnd
from dicomfeed.events import Event
from dicomfeed.filters import Filters
from dicomfeed.gaps import SKEW_SECONDS
from dicomfeed.prefetch import InlinePool
from dicomfeed.queries import SequenceRange
from dicomfeed.sequences import AtGap, SequenceReader
from dicomfeed.starts import TailReader, sequence_before, sequence_before_tail, sequence_now
from dicomfeed.windows import WindowReader
from tests.emulator import trouble
from tests.emulator.trouble import Request
from tests.feed.world import BEGINNING, Ended, World, after, numbers


@pytest.fixture
def world() -> World:
    return World()


def reader(
    world: World, *, cursor: int = 0, ahead: int = 0, include_metadata: bool = False, follows: bool = False
) -> SequenceReader:
    feed = world.feed(include_metadata=include_metadata, patience_seconds=None if follows else 300.0)
    return SequenceReader(feed, cursor=cursor, pool=InlinePool(ahead))


def top(world: World) -> int:
    return world.committed()[-1]


def followed(world: World, reading: SequenceReader, *, until: float, poll_interval_seconds: float = 10.0) -> list[int]:
    """What `follow` has delivered when the world ends."""
    world.end = until
    delivered: list[int] = []
    with pytest.raises(Ended):
        for events in reading.follow(poll_interval_seconds=poll_interval_seconds):
            delivered += [event.sequence for event in events]
    return delivered


def slowly(world: World, batches: Iterator[list[Event]], seconds: float) -> Iterator[list[Event]]:
    """A consumer that takes so long over each batch."""
    for events in batches:
        yield events
        world.pass_time(seconds)


# Rule 1: open and closed gaps


def page_and_late_commit(world: World) -> None:
    """51 commits 20 seconds after its number was taken, between 200 others."""
    world.create_now(50)
    late = world.writer()
    world.create_now(150)
    world.at(20.0, late.commit)


@pytest.mark.parametrize('at_gap', list(AtGap), ids=lambda kind: kind.name)
def test_rule_1_prefetched_page_is_asked_again(world: World, at_gap: AtGap) -> None:
    # The second page was read while 101 was missing, and waited a minute behind a slow consumer.
    world.create_now(100)
    late = world.writer()
    world.create_now(99)
    world.at(20.0, late.commit)
    reading = reader(world, ahead=4)
    delivered = numbers(slowly(world, reading.read(200, at_gap=at_gap), 60.0))
    assert delivered == world.committed()


def test_rule_1_settled_gap_needs_no_second_read(world: World) -> None:
    page_and_late_commit(world)
    world.pass_time(SKEW_SECONDS + 100)
    numbers(reader(world).read(201, at_gap=AtGap.STOP))
    assert [request.query.count('offset=0') for request in world.journal.requests].count(1) == 1


def test_rule_1_outwaited_gap_is_asked_once_more(world: World) -> None:
    # 1 is seen missing at 0, watched for a minute, and appears in the very last moment before the last look.
    late = world.writer()
    world.create_now(5)
    world.at(59.9, late.commit)
    reading = reader(world, follows=True)
    assert followed(world, reading, until=200.0, poll_interval_seconds=60.0) == [1, 2, 3, 4, 5, 6]


def test_rule_1_young_events_are_not_settled_by_a_fast_laptop(world: World) -> None:
    world.local_clock_ahead_seconds = 86_400
    page_and_late_commit(world)
    reading = reader(world)
    assert numbers(reading.read(201, at_gap=AtGap.STOP)) == list(range(1, 51))


def test_rule_1_young_events_are_not_settled_by_a_fast_server(world: World) -> None:
    world.create_now(50)
    world.writer()
    world.create_now(10)
    world.database_clock_ahead_seconds = 86_400
    assert numbers(reader(world).read(61, at_gap=AtGap.STOP)) == list(range(1, 51))


# Rule 2: what an open gap does


def test_rule_2_follow_waits_and_delivers_in_order(world: World) -> None:
    page_and_late_commit(world)
    assert followed(world, reader(world, follows=True), until=60.0) == list(range(1, 202))


def test_rule_2_follow_goes_on_after_a_gap_that_stays(world: World) -> None:
    world.create_now(3)
    world.store.burn(1)
    world.create_now(3)
    reading = reader(world, follows=True)
    assert followed(world, reading, until=50.0) == [1, 2, 3]
    assert followed(world, reading, until=90.0) == [5, 6, 7]


def test_rule_2_gaps_are_watched_together(world: World) -> None:
    # Ten gaps, each of which would cost a minute if its watch began when the one before had closed.
    for _ in range(10):
        world.create_now(150)
        world.store.burn(1)
    world.create_now(1)
    assert followed(world, reader(world, follows=True), until=90.0) == world.committed()


def test_rule_2_run_with_checkpoint_ends_before_the_gap(world: World) -> None:
    page_and_late_commit(world)
    reading = reader(world)
    assert numbers(reading.read(201, at_gap=AtGap.STOP)) == list(range(1, 51))
    world.pass_time(30.0)
    assert numbers(reading.read(201, at_gap=AtGap.STOP)) == list(range(51, 202))


def test_rule_2_run_without_checkpoint_says_how_far_it_is_complete(world: World) -> None:
    page_and_late_commit(world)
    reading = reader(world)
    assert numbers(reading.read(201, at_gap=AtGap.PASS)) == [*range(1, 51), *range(52, 202)]
    assert reading.complete_through == 50


# Rule 3: wide gaps


def test_rule_3_event_older_than_the_last_one_is_found(world: World) -> None:
    for _ in range(500):
        world.store.create(ticks=after(100.0))
    world.store.burn(5_000)
    world.store.create(ticks=after(99.9))
    world.store.create(ticks=after(101.0))
    world.pass_time(1_000.0)
    assert numbers(reader(world).read(5_502, at_gap=AtGap.STOP)) == world.committed()


def test_rule_3_first_by_time_is_not_first_by_sequence(world: World) -> None:
    # 18,001 read its clock first and took its number last, 25 seconds later.
    world.store.create(ticks=after(0))
    world.store.burn(9_999)
    for number in range(8_000):
        world.store.create(ticks=after(15.0 + number / 1_000))
    world.store.create(ticks=after(10.0))
    world.pass_time(1_000.0)
    assert numbers(reader(world).read(18_001, at_gap=AtGap.STOP)) == world.committed()


def test_rule_3_jump_while_the_clock_steps_back(world: World) -> None:
    world.pass_time(200.0)
    world.create_now(200)
    world.store.burn(10_000)
    world.database_clock_ahead_seconds = -90.0
    for _ in range(200):
        world.create_now(1)
        world.pass_time(1.0)
    world.pass_time(1_000.0)
    assert numbers(reader(world).read(top(world), at_gap=AtGap.STOP)) == world.committed()


def test_rule_3_wide_gap_is_not_crossed_page_by_page(world: World) -> None:
    world.create_now(100)
    world.store.burn(100_000)
    world.create_now(100)
    world.pass_time(1_000.0)
    assert numbers(reader(world).read(top(world), at_gap=AtGap.STOP)) == world.committed()
    assert len(world.journal.requests) < 40


def test_rule_3_open_wide_gap_is_still_a_gap(world: World) -> None:
    world.create_now(5)
    burned = world.writer()
    world.store.burn(20_000)
    world.create_now(5)
    world.at(20.0, burned.commit)
    assert numbers(reader(world).read(top(world), at_gap=AtGap.STOP)) == [1, 2, 3, 4, 5]
    assert followed(world, reader(world, follows=True), until=200.0) == world.committed()


# Rule 4: starting at a time


def test_rule_4_burned_block_before_the_start_loses_nothing(world: World) -> None:
    world.create_now(100)
    world.pass_time(2_000.0)
    late = world.store.begin_create()
    late.take_clock()
    world.store.burn(7_000)
    start = world.clock.now()
    late.take_sequence()
    late.commit()
    world.create_now(10)
    cursor = sequence_before(world.feed(), start)
    wanted = [event.sequence for event in world.store.events() if event.ticks >= start]
    world.pass_time(1_000.0)
    read = numbers(reader(world, cursor=cursor).read(top(world), at_gap=AtGap.STOP))
    assert set(wanted) <= set(read)


def test_rule_4_number_taken_late_is_above_the_start(world: World) -> None:
    # Its timestamp is at 1,000 s, but its neighbours by sequence have timestamps up to 25 seconds later.
    world.store.create(ticks=after(0))
    for second in range(975, 1_000):
        world.store.create(ticks=after(second))
    world.store.create(ticks=after(1_020))
    world.store.create(ticks=after(1_000))
    world.pass_time(2_000.0)
    assert sequence_before(world.feed(), after(1_000)) == 1


def test_rule_4_start_before_everything_is_zero(world: World) -> None:
    world.create_now(3)
    assert sequence_before(world.feed(), BEGINNING) == 0


# Rule 5: starting at now or at a tail


def test_rule_5_now_is_below_an_open_gap(world: World) -> None:
    world.create_now(99)
    late = world.writer()
    world.create_now(1)
    world.at(1.0, late.commit)
    cursor = sequence_now(world.feed(), pool=InlinePool())
    assert followed(world, reader(world, cursor=cursor, follows=True), until=30.0) == [100, 101]


def test_rule_5_now_is_the_newest_event_without_gaps(world: World) -> None:
    world.create_now(200)
    assert sequence_now(world.feed(), pool=InlinePool()) == 200


def test_rule_5_tail_of_follow_is_below_an_open_gap(world: World) -> None:
    world.create_now(50)
    world.writer()
    world.create_now(50)
    assert sequence_before_tail(world.feed(), 10, filters=Filters(), pool=InlinePool()) == 50


def test_rule_5_tail_crosses_a_jump_by_windows(world: World) -> None:
    world.create_now(100)
    world.store.burn(50_000)
    world.create_now(3)
    found = TailReader(world.feed(), 10, filters=Filters(), pool=InlinePool()).read()
    assert [event.sequence for events in found for event in events] == world.committed()[-10:]
    assert len(world.journal.requests) < 60


# Rule 6: a restored database


def test_rule_6_lower_newest_event_is_refused(world: World) -> None:
    world.create_now(1_000)
    reading = reader(world)
    numbers(reading.read(1_000, at_gap=AtGap.STOP))
    world.store.restore(600)
    with pytest.raises(FeedRestored):
        reading.verify(world.feed().newest())


def test_rule_6_number_with_other_content_is_refused(world: World) -> None:
    world.create_now(1_000)
    reading = reader(world)
    numbers(reading.read(1_000, at_gap=AtGap.STOP))
    world.store.restore(600)
    world.pass_time(3_600.0)
    world.create_now(600)
    with pytest.raises(FeedRestored):
        reading.verify(world.feed().newest())


def test_rule_6_restore_ends_follow(world: World) -> None:
    world.create_now(1_000)
    world.at(100.0, lambda: world.store.restore(600))
    world.at(101.0, lambda: world.create_now(700))
    world.end = 1_000.0
    with pytest.raises(FeedRestored):
        numbers(reader(world, follows=True).follow(poll_interval_seconds=10.0))


def quiet(world: World, kind: str) -> SequenceReader:
    """A reader that begins at the end of a feed of a hundred, and has read nothing yet."""
    world.create_now(100)
    world.pass_time(10_000.0)
    feed, pool = world.feed(patience_seconds=None), InlinePool()
    cursor = {
        'now': lambda: sequence_now(feed, pool=pool),
        'tail': lambda: sequence_before_tail(feed, 1, filters=Filters(), pool=pool),
        'time': lambda: sequence_before(feed, world.clock.now()),
        'number': lambda: 100,
    }[kind]()
    newest = feed.newest()
    assert newest is not None
    return SequenceReader(feed, cursor=cursor, last=newest.identity, pool=pool)


@pytest.mark.parametrize('new_events', [0, 20, 40, 60])
@pytest.mark.parametrize('kind', ['now', 'tail', 'time', 'number'])
def test_l5_restore_of_a_quiet_feed_is_found_by_its_anchor(world: World, kind: str, new_events: int) -> None:
    reading = quiet(world, kind)
    world.store.restore(60)
    world.create_now(new_events)
    with pytest.raises(FeedRestored):
        reading.verify(world.feed().newest())


def test_l5_newest_event_below_the_cursor_is_refused_where_no_event_is_known(world: World) -> None:
    world.create_now(80)
    with pytest.raises(StartAboveEnd):
        reader(world, cursor=100).verify(world.feed().newest())
    with pytest.raises(StartAboveEnd):
        reader(World(), cursor=1).verify(None)


@pytest.mark.parametrize('to', [10, 150, 250])
@pytest.mark.parametrize('new_events', [0, 100, 1_000])
@pytest.mark.parametrize('ahead', [0, 2, 9])
def test_rule_6_restore_in_the_middle_of_a_run_is_found(world: World, to: int, new_events: int, ahead: int) -> None:
    # The first pages were read before, the others after it.
    world.create_now(1_000)
    world.pass_time(10_000.0)
    reading = reader(world, ahead=ahead)

    def restore() -> None:
        world.store.restore(to)
        world.create_now(new_events)

    world.at(10_000.0 + 0.06 * 3, restore)
    with pytest.raises(FeedRestored):
        numbers(slowly(world, reading.read(1_000, at_gap=AtGap.STOP), 0.01))
    assert reading.cursor <= 1_000


def test_rule_6_restore_behind_the_trouble_of_one_request_is_found(world: World) -> None:
    # All is well when the round begins; then the database is away, and comes back as it was earlier.
    world.create_now(100)
    reading = reader(world, follows=True)
    world.end = 5_000.0

    def go_away() -> None:
        world.create_now(1)
        world.service.trouble.when(lambda request: 'offset=100&' in request.query, trouble.unavailable())

    def come_back() -> None:
        world.store.restore(60)
        world.create_now(200)
        world.service.trouble.clear()

    world.at(1_000.0, go_away)
    world.at(2_000.0, come_back)
    with pytest.raises(FeedRestored):
        numbers(reading.follow(poll_interval_seconds=10.0))


def test_rule_6_old_events_cost_no_request_more(world: World) -> None:
    world.create_now(1_000)
    world.pass_time(10_000.0)
    numbers(reader(world).read(1_000, at_gap=AtGap.STOP))
    assert len(world.journal.requests) == 10


# Rule 7: ties


def window(world: World, *, start: int = 0, end: int | None = None, ahead: int = 4) -> WindowReader:
    return WindowReader(
        world.feed(), start=start, end=world.clock.now() if end is None else end, pool=InlinePool(ahead)
    )


def truth(world: World, start: int, end: int) -> list[int]:
    """The numbers of the events in a window, in the order of time."""
    events = [(event.ticks, event.sequence) for event in world.store.events() if start <= event.ticks < end]
    return [sequence for _, sequence in sorted(events)]


@pytest.mark.parametrize('tied', [1, 199, 200, 1_799, 1_800, 1_801, 6_000], ids=str)
def test_rule_7_tie_groups_come_once_and_whole(world: World, tied: int) -> None:
    for size in (3, tied, 5, tied, 1):
        world.pass_time(1.0)
        world.create_now(size, ticks=world.store.clock())
    world.pass_time(1_000.0)
    assert numbers(window(world).read()) == truth(world, 0, world.clock.now())


@pytest.mark.parametrize('size', [0, 1, 199, 200, 1_799, 1_800, 1_801, 5_400], ids=str)
def test_rule_7_windows_of_every_size_are_tiled(world: World, size: int) -> None:
    for number in range(size):
        world.store.create(ticks=after(number // 3))
    world.pass_time(10_000.0)
    assert numbers(window(world).read()) == truth(world, 0, world.clock.now())


# Rule 8: the unsettled end


def test_rule_8_late_row_in_the_unsettled_end_doubles_nothing(world: World) -> None:
    world.create_now(300)
    world.pass_time(1_000.0)
    for number in range(900):
        world.create(at=1_000.0 + number / 100, commit_after=5.0 if number % 7 else 0.0)
    world.pass_time(8.0)
    reading = window(world)
    delivered = numbers(slowly(world, reading.read(), 0.5))
    assert len(delivered) == len(set(delivered))
    assert set(range(1, 301)) <= set(delivered)
    assert reading.settled_through is not None


def test_rule_8_settled_window_says_nothing(world: World) -> None:
    world.create_now(300)
    world.pass_time(1_000.0)
    reading = window(world, end=world.clock.now() - 600 * 10_000_000)
    numbers(reading.read())
    assert reading.settled_through is None


# Rule 12: poison or trouble


def test_rule_12_outage_of_blobs_is_outlived_and_one_broken_event_reported(world: World) -> None:
    world.create_now(250)
    world.store.poison(117)
    world.store.blobs_down = True

    def fix() -> None:
        world.store.blobs_down = False

    world.at(600.0, fix)
    reading = reader(world, include_metadata=True, follows=True)
    assert followed(world, reading, until=1_500.0) == world.committed()
    assert world.poisoned == [117]


def test_rule_12_outage_that_begins_while_one_event_is_suspected_is_no_poison(world: World) -> None:
    world.create_now(250)
    world.store.poison(117)

    def go_down() -> None:
        world.store.fix(117)
        world.store.blobs_down = True

    def come_up() -> None:
        world.store.blobs_down = False

    world.at(20.0, go_down)
    world.at(400.0, come_up)
    reading = reader(world, include_metadata=True, follows=True)
    assert followed(world, reading, until=900.0) == world.committed()
    assert world.poisoned == []


def test_rule_12_outage_ends_a_one_shot_run(world: World) -> None:
    from dicomfeed.errors import ServiceTrouble

    world.create_now(250)
    world.store.blobs_down = True
    with pytest.raises(ServiceTrouble):
        numbers(reader(world, include_metadata=True).read(250, at_gap=AtGap.STOP))
    assert world.poisoned == []


def test_rule_12_poisoned_event_comes_without_metadata_its_neighbours_with(world: World) -> None:
    world.create_now(10)
    world.store.poison(4, status=500)
    events = [event for batch in reader(world, include_metadata=True).read(10, at_gap=AtGap.STOP) for event in batch]
    assert [event.sequence for event in events if 'metadata' not in event.decode()] == [4]


def test_rule_12_too_many_poisoned_end_the_run_before_them(world: World) -> None:
    from dicomfeed.errors import TooManyPoisoned

    world.create_now(300)
    for sequence in range(150, 161):
        world.store.poison(sequence)
    reading = reader(world, include_metadata=True)
    with pytest.raises(TooManyPoisoned):
        numbers(reading.read(300, at_gap=AtGap.STOP))
    assert reading.cursor == 100


def test_rule_12_throttling_is_no_poison(world: World) -> None:
    world.create_now(10)
    world.service.trouble.next(trouble.throttled(30), times=5)
    assert numbers(reader(world, include_metadata=True).read(10, at_gap=AtGap.STOP)) == world.committed()
    assert world.poisoned == []


def test_gaps_at_the_edges_of_pages_are_found(world: World) -> None:
    for sequence in range(1, 420):
        if sequence % 100 in (0, 1):
            world.store.burn(1)
        else:
            world.create_now(1)
    world.pass_time(1_000.0)
    reading = reader(world, ahead=3)
    assert numbers(reading.read(top(world), at_gap=AtGap.STOP)) == world.committed()
    assert reading.gaps == 5


def test_request_is_never_wider_than_the_service_takes(world: World) -> None:
    world.create_now(250)
    numbers(reader(world).read(250, at_gap=AtGap.STOP))
    assert all(request.status == 200 for request in world.journal.requests)
    assert SequenceRange(0).limit == 100


def test_failing_requests_are_no_end_of_the_feed(world: World) -> None:
    def is_page(request: Request) -> bool:
        return 'offset' in request.query

    world.create_now(500)
    world.service.trouble.when(is_page, trouble.cut(), times=3)
    assert numbers(reader(world, ahead=3).read(500, at_gap=AtGap.STOP)) == world.committed()
