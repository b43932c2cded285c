"""What readers ask a feed for: pages with metadata or without, and windows of time row by row."""

from __future__ import annotations

import pytest

from dicomfeed.queries import SequenceRange, windows_back
from dicomfeed.times import FIRST_TICK, TICKS_PER_SECOND, Ticks
from tests.feed.world import World, after


@pytest.fixture
def world() -> World:
    world = World()
    world.create_now(3)
    return world


def walked(world: World, start: Ticks, end: Ticks, *, limit: int) -> list[list[int]]:
    feed = world.feed()
    pages = feed.walk(start, end, read=feed.bare_page, limit=limit)
    return [[event.sequence for event in page.events] for page in pages]


@pytest.mark.parametrize('include_metadata', [True, False])
def test_page_has_metadata_where_the_run_wants_them(world: World, include_metadata: bool) -> None:
    events = world.feed(include_metadata=include_metadata).page(SequenceRange(0)).events
    assert ['metadata' in event.decode() for event in events] == [include_metadata] * 3


def test_page_whose_metadata_fail_at_once_is_read_bare_for_a_minute(world: World) -> None:
    world.metadata_at_once = True
    feed = world.feed(include_metadata=True)
    world.store.poison(2)
    assert not any(event.head for event in feed.first_page(SequenceRange(0)).events)
    world.store.fix(2)
    reads = world.store.blob_reads
    assert not any(event.head for event in feed.first_page(SequenceRange(0)).events)
    assert world.store.blob_reads == reads
    world.pass_time(60.0)
    assert all(event.head for event in feed.first_page(SequenceRange(0)).events)


def test_narrowed_feed_reads_bare_pages_first(world: World) -> None:
    world.metadata_at_once = True
    feed = world.feed(include_metadata=True).only(lambda event: event.sequence > 1)
    assert not any(event.head for event in feed.first_page(SequenceRange(0)).events)


def test_bare_page_and_newest_never_have_metadata(world: World) -> None:
    feed = world.feed(include_metadata=True)
    newest = feed.newest()
    events = [*feed.bare_page(SequenceRange(0)).events, *([newest] if newest else [])]
    assert [event.sequence for event in events] == [1, 2, 3, 3]
    assert not any('metadata' in event.decode() for event in events)


def test_feed_without_metadata_is_the_same_feed(world: World) -> None:
    feed = world.feed(include_metadata=True).without_metadata()
    assert [event.sequence for event in feed.page(SequenceRange(0)).events] == [1, 2, 3]
    assert world.store.blob_reads == 0


@pytest.mark.parametrize(
    ('limit', 'pages'),
    [(1, [[1], [2], [3], [4], [5], []]), (2, [[1, 2], [3], [4], [5], []]), (6, [[1, 2, 3, 4, 5]])],
    ids=['one by one', 'two by two', 'all'],
)
def test_walk_gives_each_row_once_across_ties(limit: int, pages: list[list[int]]) -> None:
    world = World()
    for seconds, events in ((0, 1), (1, 3), (2, 1)):
        world.create_now(events, ticks=after(seconds))
    walk = walked(world, after(0), after(9), limit=limit)
    assert [sequence for page in walk for sequence in page] == [sequence for page in pages for sequence in page]
    assert len(walk[-1]) < limit


def test_walk_through_an_empty_window_asks_nothing(world: World) -> None:
    assert walked(world, after(1), after(1), limit=10) == []
    assert world.journal.requests == []


def test_late_row_hides_no_other_from_the_walk() -> None:
    world = World()
    world.create_now(4, ticks=after(5))
    feed = world.feed()
    walk = feed.walk(after(0), after(9), read=feed.bare_page, limit=2)
    seen = [event.sequence for event in next(walk).events]
    world.create_now(1, ticks=after(1))  # commits late, before all that was read
    seen += [event.sequence for page in walk for event in page.events]
    assert [sequence for sequence in seen if sequence <= 4] == [1, 2, 3, 4]


def test_windows_back_grow_to_the_beginning_of_time() -> None:
    bound = after(0)
    windows = list(windows_back(bound))
    assert {end for _, end in windows} == {bound}
    assert [bound - start for start, _ in windows[:3]] == [width * 60 * TICKS_PER_SECOND for width in (1, 8, 64)]
    assert windows[-1][0] == FIRST_TICK and len(windows) < 20
