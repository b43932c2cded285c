"""Reading a window of time, [start, end), in (timestamp, sequence) order.

`offset` over a whole window makes the service read every skipped row again, which is quadratic. So the window is
split: the row at offset `SPLIT_ROWS` bounds a half-open sub-window of at most that many rows, whose pages have small
offsets and go out in parallel while the next bound is searched for. What is not settled yet is read last, alone.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import NamedTuple

from dicomfeed.events import Event
from dicomfeed.feed import Feed
from dicomfeed.gaps import SETTLE_SECONDS, settle_margin
from dicomfeed.metadata import Attempt
from dicomfeed.prefetch import Pool, in_order
from dicomfeed.queries import TIME_LIMIT, Page, TimeSlice
from dicomfeed.times import Ticks

SPLIT_ROWS = 9 * TIME_LIMIT - 1
"""One less than nine pages, so that the last page of a sub-window is short and no tenth request has to show its end."""


class _Slice(NamedTuple):
    """One page of a sub-window; whether it is the last one that was foreseen."""

    query: TimeSlice
    is_last: bool


class WindowReader:
    """Reads one window.

    :param settle_seconds: how long a writer may take.
    """

    def __init__(
        self, feed: Feed, *, start: Ticks, end: Ticks, pool: Pool, settle_seconds: float = SETTLE_SECONDS
    ) -> None:
        self._feed = feed
        self._start = start
        self._end = end
        self._pool = pool
        self._settle_seconds = settle_seconds
        self.settled_through: Ticks | None = None
        """The end of what can't change any more, when that is before the end of the window."""

    def read(self) -> Iterator[list[Event]]:
        """All events of the window, in lists, in order. After the last one `settled_through` is known.

        A window that begins at its end or after it, as one from the future up to now does, is empty; nothing is asked.
        """
        if self._start >= self._end:
            return
        settled = self._settled_bound()
        if settled > self._start:
            yield from self._read_settled(self._start, settled)
        if settled < self._end:
            self.settled_through = max(settled, self._start)
            yield from self.read_slowly(self.settled_through)

    def settled_windows(self, rows: int) -> Iterator[tuple[Ticks, Ticks]]:
        """Sub-windows that tile what is settled of the window, for several readers; then `settled_through` is known.

        Each has at most so many events, or one timestamp that more of them share.
        """
        start, end = self._start, self._settled_bound() if self._start < self._end else self._end
        while start < end:
            bound, _ = self._split((start, end), rows)
            yield start, bound
            start = bound
        self.settled_through = max(end, self._start) if end < self._end else None

    def read_slowly(self, start: Ticks, *, limit: int = TIME_LIMIT) -> Iterator[list[Event]]:
        """The events from `start` on, by one worker, page after page of `limit`: right even where rows still appear."""
        for page in self._feed.walk(start, self._end, read=self._feed.first_page, limit=limit):
            if self.settled_through is None:
                settled = page.asked_ticks - settle_margin(self._settle_seconds)
                self.settled_through = settled if settled < self._end else None
            yield self._feed.with_metadata(page.events)

    def _settled_bound(self) -> Ticks:
        """Where the settled part of the window ends, by the clocks at a first small question."""
        page = self._feed.bare_page(TimeSlice(self._start, self._end, 0, 1))
        return min(self._end, page.asked_ticks - settle_margin(self._settle_seconds))

    def _read_settled(self, start: Ticks, end: Ticks) -> Iterator[list[Event]]:
        last = (start, 0)
        for events in self._settled_pages(start, end):
            if events:
                self._feed.refuse_repetition(is_new=(events[0].ticks, events[0].sequence) > last)
                last = (events[-1].ticks, events[-1].sequence)
            yield events

    def _settled_pages(self, start: Ticks, end: Ticks) -> Iterator[list[Event]]:
        with closing(in_order(self._slices(start, end), self._page, pool=self._pool)) as pages:
            for part, (page, attempt) in pages:
                yield self._feed.complete(attempt)
                if part.is_last:
                    yield from self._beyond(part.query, page)

    def _slices(self, start: Ticks, end: Ticks) -> Generator[_Slice, None, None]:
        """The pages of all sub-windows; they share their bounds, so they tile the window exactly."""
        splitting = self._pool.submit(self._split, (start, end))
        while start < end:
            bound, size = splitting.result()
            if bound < end:
                splitting = self._pool.submit(self._split, (bound, end))
            for offset in range(0, size, TIME_LIMIT):
                yield _Slice(TimeSlice(start, bound, offset), is_last=offset + TIME_LIMIT >= size)
            start = bound

    def _split(self, window: tuple[Ticks, Ticks], rows: int = SPLIT_ROWS) -> tuple[Ticks, int]:
        """The end of the first sub-window, and a number of rows to ask for at once; more may be there.

        A group of equal timestamps larger than that is a sub-window of its own.
        """
        start, end = window
        events = self._feed.bare_page(TimeSlice(start, end, rows, 1)).events
        if not events:
            return end, TIME_LIMIT  # perhaps nearly none: one page, and more only when it is full
        return max(events[0].ticks, start + 1), rows

    def _page(self, part: _Slice) -> tuple[Page, Attempt]:
        page = self._feed.first_page(part.query)
        return page, self._feed.attempt(page.events)

    def _beyond(self, query: TimeSlice, page: Page) -> Iterator[list[Event]]:
        """What follows a full page where a short one was expected: only a short page is the end of a sub-window."""
        offset = query.offset
        while len(page.events) == query.limit:
            offset += query.limit
            page = self._feed.page(TimeSlice(query.start, query.end, offset, query.limit))
            yield page.events
