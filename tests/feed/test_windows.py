"""What a window of time costs, and its edges. Ties and the unsettled end: `test_schedules.py`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, suppress
from urllib.parse import parse_qs

import pytest

from dicomfeed.errors import MalformedResponse
from dicomfeed.prefetch import InlinePool, Pool, ThreadPool
from dicomfeed.queries import TIME_LIMIT
from dicomfeed.times import FIRST_TICK, LAST_TICK
from dicomfeed.transport import Answer
from dicomfeed.windows import SPLIT_ROWS, WindowReader
from tests.emulator import trouble
from tests.feed.world import World, after, numbers

SIZE = 4_000


def filled(*, latency_seconds: float = 0.02) -> World:
    """Four thousand events, one each tenth of a second, long ago."""
    world = World(latency_seconds=latency_seconds)
    for number in range(SIZE):
        world.store.create(ticks=after(number / 10))
    world.pass_time(10_000.0)
    return world


@pytest.fixture(scope='module')
def busy() -> World:
    """A world that tests only read."""
    return filled(latency_seconds=0.0)


def read(world: World, start: int = FIRST_TICK, end: int | None = None, *, pool: Pool = InlinePool(4)) -> list[int]:
    return numbers(
        WindowReader(world.feed(), start=start, end=world.clock.now() if end is None else end, pool=pool).read()
    )


def test_rows_skipped_grow_with_the_events_and_no_faster(busy: World) -> None:
    busy.journal.clear()
    read(busy)
    assert busy.journal.counters()['rows_skipped'] <= 6 * SIZE
    assert len(busy.journal.requests) <= SIZE / TIME_LIMIT * 1.25 + 5


def test_no_offset_is_deeper_than_a_cut(busy: World) -> None:
    busy.journal.clear()
    read(busy)
    offsets = [int(parse_qs(request.query)['offset'][0]) for request in busy.journal.requests]
    assert max(offsets) == SPLIT_ROWS


def test_service_takes_every_request(busy: World) -> None:
    busy.journal.clear()
    read(busy)
    assert {(request.path, request.status) for request in busy.journal.requests} == {('/v2/changefeed', 200)}
    assert all(1 <= int(parse_qs(request.query)['limit'][0]) <= TIME_LIMIT for request in busy.journal.requests)


@pytest.mark.parametrize('workers', [1, 8])
def test_order_does_not_depend_on_the_number_of_workers(busy: World, workers: int) -> None:
    with closing(ThreadPool(workers)) as pool:
        assert read(busy, pool=pool) == list(range(1, SIZE + 1))


@pytest.mark.parametrize(
    ('start', 'end', 'sequences'),
    [
        (after(10), after(20), range(101, 201)),
        (after(10), after(10) + 1, range(101, 102)),
        (after(10) + 1, after(10.1), ()),
        (FIRST_TICK, after(1), range(1, 11)),
        (after(399), LAST_TICK, range(3_991, 4_001)),
        (LAST_TICK - 1, LAST_TICK, ()),
        (FIRST_TICK, FIRST_TICK + 1, ()),
    ],
    ids=['inside', 'one tick', 'between two', 'from the beginning', 'to the end of time', 'last tick', 'first tick'],
)
def test_window_has_its_start_and_not_its_end(busy: World, start: int, end: int, sequences: range) -> None:
    assert read(busy, start, end) == list(sequences)


def test_small_window_costs_few_requests(busy: World) -> None:
    busy.journal.clear()
    read(busy, after(10), after(20))
    assert len(busy.journal.requests) <= 3


def test_trouble_in_any_request_changes_nothing() -> None:
    world = filled()
    world.service.trouble.every(
        4,
        [trouble.cut(), trouble.unavailable(), trouble.throttled(3), trouble.malformed_json(), trouble.transient_400()],
        seed=5,
    )
    assert read(world) == list(range(1, SIZE + 1))
    assert len(world.retries) >= 5


def test_end_in_the_future_is_not_settled() -> None:
    world = World()
    world.create_now(300)
    reader = WindowReader(world.feed(), start=FIRST_TICK, end=after(86_400), pool=InlinePool())
    assert numbers(reader.read()) == list(range(1, 301))
    assert reader.settled_through is not None and reader.settled_through < after(0)


@pytest.mark.parametrize('ignored', ['startTime', 'endTime', 'offset', 'limit'])
@pytest.mark.parametrize('tied', [False, True], ids=['spread', 'tied'])
def test_l6_cache_that_ignores_the_query_is_no_feed_without_end(ignored: str, tied: bool) -> None:
    world = World()
    for number in range(1_000):
        world.store.create(ticks=after(0 if tied else number))
    world.pass_time(50_000.0)
    answered = world.get
    first: dict[str, str] = {}

    def get(url: str, *, parameters: Mapping[str, str], token: str, is_slow: bool) -> Answer:
        first.update({name: value for name, value in parameters.items() if name not in first})
        return answered(url, parameters={**parameters, ignored: first.get(ignored, '200')}, token=token)

    world.get = get  # type: ignore[method-assign]
    delivered = []
    with suppress(MalformedResponse):
        for events in WindowReader(world.feed(), start=after(-9), end=after(2_000), pool=InlinePool(4)).read():
            delivered += [event.sequence for event in events]
    assert delivered == world.committed()[: len(delivered)]


def test_l6_pages_that_come_again_end_the_walk_of_an_unsettled_end() -> None:
    world = World()
    world.create_now(500, ticks=after(0))
    answered = world.get

    def get(url: str, *, parameters: Mapping[str, str], token: str, is_slow: bool) -> Answer:
        return answered(url, parameters={**parameters, 'offset': '0'}, token=token)

    world.get = get  # type: ignore[method-assign]
    with pytest.raises(MalformedResponse):
        read(world, start=after(-9), end=after(9))


@pytest.mark.parametrize('gap', [0, 1, 10**9])
@pytest.mark.parametrize('slowly', [False, True])
def test_l15_window_that_begins_at_its_end_or_later_is_empty(gap: int, slowly: bool) -> None:
    world = World()
    world.create_now(3)
    reader = WindowReader(world.feed(), start=after(9) + gap, end=after(9), pool=InlinePool(4))
    assert numbers(reader.read_slowly(after(9) + gap) if slowly else reader.read()) == []
    assert (world.journal.requests, reader.settled_through) == ([], None)


@pytest.mark.parametrize('rows', [100, 1_799, 10**6])
def test_settled_windows_tile_the_window(busy: World, rows: int) -> None:
    reader = WindowReader(busy.feed(), start=after(0), end=after(SIZE / 10), pool=InlinePool())
    windows = list(reader.settled_windows(rows))
    assert [start for start, _ in windows] == [after(0), *(end for _, end in windows[:-1])]
    assert windows[-1][1] == after(SIZE / 10) and reader.settled_through is None
    found = [read(busy, start, end) for start, end in windows]
    assert sum(found, []) == list(range(1, SIZE + 1))
    assert max(map(len, found)) <= rows and len(windows) == -(-SIZE // rows)


def test_settled_windows_hold_a_group_of_equal_timestamps_together() -> None:
    world = World()
    world.create_now(30, ticks=after(0))
    world.create_now(1, ticks=after(1))
    world.pass_time(3_600.0)
    windows = list(WindowReader(world.feed(), start=after(0), end=after(2), pool=InlinePool()).settled_windows(10))
    assert [len(read(world, start, end)) for start, end in windows] == [30, 1]


def test_settled_windows_leave_out_what_is_not_settled() -> None:
    world = World()
    world.create_now(10)
    world.pass_time(3_600.0)
    world.create_now(10)
    reader = WindowReader(world.feed(), start=after(0), end=LAST_TICK, pool=InlinePool())
    windows = list(reader.settled_windows(1_000))
    assert reader.settled_through == windows[-1][1] < world.clock.now()
    assert read(world, windows[0][0], windows[-1][1]) == list(range(1, 11))
