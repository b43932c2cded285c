"""The newest events. Jumps and open gaps: `test_schedules.py`."""

from __future__ import annotations

from contextlib import closing

import pytest

from dicomfeed.filters import Filters
from dicomfeed.prefetch import InlinePool, ThreadPool
from dicomfeed.starts import TailReader
from tests.feed.world import World


def tail(world: World, count: int, filters: Filters = Filters(), *, ahead: int = 0) -> list[int]:
    reader = TailReader(world.feed(), count, filters=filters, pool=InlinePool(ahead))
    return [event.sequence for events in reader.read() for event in events]


@pytest.mark.parametrize(
    ('size', 'count'),
    [
        (0, 5),
        (1, 1),
        (1, 5),
        (99, 100),
        (100, 100),
        (101, 100),
        (250, 1),
        (250, 100),
        (250, 101),
        (250, 250),
        (250, 999),
    ],
)
def test_tail_is_the_newest_events_oldest_first(size: int, count: int) -> None:
    world = World()
    world.create_now(size)
    assert tail(world, count) == world.committed()[-count:]


@pytest.mark.parametrize('ahead', [0, 4], ids=['one by one', 'read ahead'])
def test_filters_reach_back_across_pages(ahead: int) -> None:
    # Every 97th instance is deleted, so a page of 100 holds one event or two that pass.
    world = World()
    world.create_now(2_000)
    for sequence in range(1, 2_001, 97):
        world.store.delete(world.store.event(sequence).instance.study)
    passing = [event.sequence for event in world.store.events() if event.state == 'Deleted']
    assert tail(world, 30, Filters(state=('deleted',)), ahead=ahead) == passing[-30:]
    assert tail(world, 999, Filters(state=('deleted',)), ahead=ahead) == passing


def test_filters_that_nothing_passes_reach_the_beginning() -> None:
    world = World()
    world.create_now(450)
    assert tail(world, 3, Filters(action=('Update',))) == []
    assert len(world.journal.requests) == 6


def test_filters_reach_back_across_a_jump() -> None:
    world = World()
    world.create_now(10)
    deleted = world.store.delete(world.store.event(3).instance.study)
    world.store.burn(100_000)
    world.create_now(10)
    assert tail(world, 5, Filters(action=('delete',))) == list(deleted)
    assert len(world.journal.requests) < 60


def test_small_tail_asks_for_no_more_than_it_needs() -> None:
    world = World()
    world.create_now(1_000)
    tail(world, 10, ahead=8)
    assert [request.path for request in world.journal.requests] == ['/v1/changefeed/latest', '/v1/changefeed']


def test_tail_has_metadata_where_it_was_asked_for() -> None:
    world = World()
    world.create_now(3)
    found = TailReader(world.feed(include_metadata=True), 2, filters=Filters(), pool=InlinePool()).read()
    assert all('metadata' in event.decode() for events in found for event in events)


def test_tail_does_not_depend_on_the_number_of_workers() -> None:
    world = World(latency_seconds=0.0)
    world.create_now(1_500)
    with closing(ThreadPool(8)) as pool:
        reader = TailReader(world.feed(), 1_200, filters=Filters(action=('create',)), pool=pool)
        found = [event.sequence for events in reader.read() for event in events]
    assert found == world.committed()[-1_200:]


@pytest.mark.parametrize('include_metadata', [False, True])
def test_tail_says_how_much_of_it_is_done(include_metadata: bool) -> None:
    world = World()
    world.create_now(500)
    reader = TailReader(world.feed(include_metadata=include_metadata), 400, filters=Filters(), pool=InlinePool())
    done = [(len(events), reader.fraction) for events in reader.read()]
    back, delivered = done[:3], done[3:]
    assert [count for count, _ in back] == [0, 0, 0] and sum(count for count, _ in delivered) == 400
    moving, still = (delivered, back) if include_metadata else (back, delivered)
    assert [fraction for _, fraction in moving] == sorted({fraction for _, fraction in moving})
    assert len({fraction for _, fraction in still}) == 1


def complete_through(world: World, count: int, filters: Filters = Filters()) -> int | None:
    reader = TailReader(world.feed(), count, filters=filters, pool=InlinePool())
    for _ in reader.read():
        pass
    return reader.complete_through


@pytest.mark.parametrize(
    ('count', 'through'),
    [(5, None), (10, None), (11, 50), (50, 50), (59, 50), (60, 0), (999, 0)],
    ids=['above', 'just above', 'across', 'further', 'down to the next', 'more than there are', 'many more'],
)
def test_l4_tail_says_through_which_number_it_is_complete(count: int, through: int | None) -> None:
    world = World()
    world.writer()  # 1
    world.create_now(49)
    world.writer()  # 51
    world.create_now(10)
    assert complete_through(world, count) == through


def test_l4_tail_across_closed_gaps_is_complete() -> None:
    world = World()
    world.create_now(50)
    world.store.burn(30_000)
    world.create_now(10)
    assert complete_through(world, 20) == 50
    world.pass_time(1_000.0)
    assert complete_through(world, 20) is None


def test_l4_gap_among_events_that_do_not_pass_counts() -> None:
    world = World()
    world.store.delete(world.store.event(world.store.create()).instance.study)
    world.writer()  # 3
    world.create_now(300)
    assert complete_through(world, 1, Filters(action=('Delete',))) == 2
