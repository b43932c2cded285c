"""The newest events of the feed, found backwards from its end."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from dicomfeed.events import Event
from dicomfeed.feed import Feed
from dicomfeed.filters import Filters
from dicomfeed.gaps import SETTLE_SECONDS, unsettled_ticks
from dicomfeed.prefetch import InlinePool, Pool, in_order
from dicomfeed.queries import SEQUENCE_LIMIT, Page, SequenceRange
from dicomfeed.sequences import WIDE_PAGES
from dicomfeed.times import FIRST_TICK


def newest_events(
    feed: Feed, count: int, *, filters: Filters, pool: Pool, settle_seconds: float = SETTLE_SECONDS
) -> list[Event]:
    """The `count` newest events, by sequence number, that pass the filters; the oldest of them first.

    Fewer where the feed has not as many.
    """
    newest = feed.newest()
    found: list[Event] = []
    if newest is None:
        return found
    # Without filters the first page or two will do; with them nobody knows how far back it goes.
    back_pool = InlinePool() if filters.is_empty else pool
    with closing(_pages_down(feed, newest, pool=back_pool, settle_seconds=settle_seconds)) as pages:
        for page in pages:
            found = filters.passing(page.events) + found
            if len(found) >= count:
                break
    return found[-count:]


def _pages_down(feed: Feed, newest: Event, *, pool: Pool, settle_seconds: float) -> Generator[Page, None, None]:
    """Pages by sequence from the newest event down to number 1; a wide gap is crossed by asking for times."""
    upper, lowest = newest.sequence, newest
    while upper > 0:
        empty_pages = 0
        ranges = (
            SequenceRange(max(0, top - SEQUENCE_LIMIT), min(SEQUENCE_LIMIT, top))
            for top in range(upper, 0, -SEQUENCE_LIMIT)
        )
        with closing(in_order(ranges, feed.page, pool=pool)) as pages:
            for query, page in pages:
                yield page
                upper = query.after
                lowest = page.events[0] if page.events else lowest
                empty_pages = 0 if page.events else empty_pages + 1
                if empty_pages == WIDE_PAGES:
                    break
        if upper > 0 and empty_pages == WIDE_PAGES:
            upper = _highest_below(feed, upper, lowest, settle_seconds=settle_seconds)


def _highest_below(feed: Feed, upper: int, lowest: Event, *, settle_seconds: float) -> int:
    """The highest sequence number up to `upper`, below a wide gap under the event `lowest`; 0 where there is none.

    Some event at or below `upper` is found going back in windows; the highest one is stamped no earlier than the
    unsettled time before it.
    """
    margin = unsettled_ticks(settle_seconds)
    for start, end in feed.windows_back(lowest.ticks + margin):
        some = _highest_in(feed, upper, max(FIRST_TICK, start), end)
        if some is not None:
            highest = _highest_in(feed, upper, max(FIRST_TICK, some.ticks - margin), end)
            return (highest or some).sequence
    return 0


def _highest_in(feed: Feed, upper: int, start: int, end: int) -> Event | None:
    below = (
        event for page in feed.walk(start, end, read=feed.bare_page) for event in page.events if event.sequence <= upper
    )
    return max(below, key=lambda event: event.sequence, default=None)
