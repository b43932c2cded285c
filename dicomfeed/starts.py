"""Where a reading by sequence begins that was not given a sequence number: at a time, at now, at a tail.

Owned: that nothing which commits later is below the beginning, and the newest events, found backwards from the end.
Not owned: reading on from there (`sequences.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing

from dicomfeed.events import Event
from dicomfeed.feed import Feed
from dicomfeed.filters import Filters
from dicomfeed.gaps import SETTLE_SECONDS, Stretch, contents, settle_margin
from dicomfeed.prefetch import InlinePool, Pool, in_order
from dicomfeed.queries import SEQUENCE_LIMIT, Page, Query, SequenceRange, windows_back
from dicomfeed.sequences import WIDE_PAGES, AtGap, SequenceReader
from dicomfeed.times import FIRST_TICK, Ticks


def sequence_before(feed: Feed, start_time: Ticks, *, settle_seconds: float = SETTLE_SECONDS) -> int:
    """A sequence number below that of every event from `start_time` on, whenever it commits; 0 where there is none.

    It is that of an event older than `start_time` by more than the settle margin, because a writer takes its sequence
    number after it has read its clock. A fixed slack in sequence numbers would not do: one delete may burn thousands.
    """
    event = feed.event_before(start_time - settle_margin(settle_seconds))
    return 0 if event is None else event.sequence


def sequence_now(feed: Feed, *, pool: Pool, settle_seconds: float = SETTLE_SECONDS) -> int:
    """The sequence number above which is all that is still to come.

    That of the newest event, or the one below the lowest gap that is still open: then a few events that are already
    there come, too.
    """
    newest = feed.newest()
    if newest is None:
        return 0
    anchor = sequence_before(feed, newest.ticks, settle_seconds=settle_seconds)
    reader = SequenceReader(feed.without_metadata(), cursor=anchor, pool=pool, settle_seconds=settle_seconds)
    for _ in reader.read(newest.sequence, at_gap=AtGap.STOP):
        pass
    return newest.sequence if reader.open_gap is None else reader.open_gap.first - 1


def sequence_before_tail(
    feed: Feed, count: int, *, filters: Filters, pool: Pool, settle_seconds: float = SETTLE_SECONDS
) -> int:
    """The sequence number above which are the `count` newest events that pass the filters, and all still to come."""
    now = sequence_now(feed, pool=pool, settle_seconds=settle_seconds)
    looked_at = feed.without_metadata() if filters.conditions is None else feed
    tail = TailReader(looked_at, count, filters=filters, pool=pool, settle_seconds=settle_seconds)
    return min([now, *(event.sequence - 1 for events in tail.read() for event in events)])


class TailReader:
    """Reads the `count` newest events, by sequence number, that pass the filters; fewer where there are not as many."""

    def __init__(
        self, feed: Feed, count: int, *, filters: Filters, pool: Pool, settle_seconds: float = SETTLE_SECONDS
    ) -> None:
        self.complete_through: int | None = None
        """The sequence number before the first open gap among them; None as long as there was none."""
        self.fraction = 0.0
        """How much of the reading is done, 0 to 1: of the metadata where they are read, else of the way back."""
        self._feed = feed
        self._count = count
        self._filters = filters
        self._pool = pool
        self._settle_seconds = settle_seconds

    def read(self) -> Generator[list[Event], None, None]:
        """The events in lists, the oldest of them first, and among them those that `Filters.deleted` names.

        Before them comes an empty list for each look further back.
        """
        found = yield from self._found()
        batches = (found[start : start + SEQUENCE_LIMIT] for start in range(0, len(found), SEQUENCE_LIMIT))
        if self._is_way_back_all:
            yield from batches
            return
        for number, events in enumerate(self._feed.completed(batches, pool=self._pool), start=1):
            self.fraction = min(1.0, number * SEQUENCE_LIMIT / len(found))
            yield events

    @property
    def _is_way_back_all(self) -> bool:
        """Whether the events are as they are delivered once they are found: conditions are tested on the way."""
        return self._filters.conditions is not None or not self._feed.reads_metadata

    def _found(self) -> Generator[list[Event], None, list[Event]]:
        """The events, without metadata where there are no conditions."""
        newest = self._feed.newest()
        kept: list[Event] = []
        if newest is None:
            return kept
        read: list[Stretch] = []
        missing = self._count
        with closing(self._batches_down(newest, read)) as batches:
            for batch in batches:
                events, missing = self._newest_of(batch, missing)
                kept = events + kept
                if missing == 0:
                    break
                if self._is_way_back_all:
                    self.fraction = max(1 - missing / self._count, 1 - read[-1].after / newest.sequence)
                yield []
        self._find_open_gap(read[::-1], above=kept[0].sequence if missing == 0 else 0)
        return kept

    def _batches_down(self, newest: Event, read: list[Stretch]) -> Generator[list[Event], None, None]:
        """The events page after page, decided where there are conditions; `read` gets the stretches of the pages."""
        # Without filters the first page or two will do; with them nobody knows how far back it goes.
        pool = InlinePool() if self._filters.is_empty else self._pool
        is_decided = self._filters.conditions is not None
        page = self._feed.first_page if is_decided else self._feed.bare_page
        stretches = _stretches_down(self._feed, newest, page=page, pool=pool, settle_seconds=self._settle_seconds)
        batches = _events_of(stretches, read)
        return self._feed.completed(batches, pool=pool) if is_decided else batches

    def _newest_of(self, events: list[Event], missing: int) -> tuple[list[Event], int]:
        """Of a page what is kept, from the `missing`th event that passes on, and how many are missing after it."""
        passing = self._filters.passing(events)[-missing:]
        first = passing[0].sequence if len(passing) == missing else 0
        deleted = [event for event in self._filters.deleted(events) if event.sequence > first]
        return sorted([*passing, *deleted], key=lambda event: event.sequence), missing - len(passing)

    def _find_open_gap(self, stretches: list[Stretch], *, above: int) -> None:
        """What commits below the oldest of as many as were asked for is none of the newest."""
        _, gaps = contents(stretches)
        for gap in gaps:
            if gap.last > above and not gap.is_settled(self._settle_seconds):
                self.complete_through = gap.first - 1
                return


def _events_of(stretches: Generator[Stretch, None, None], read: list[Stretch]) -> Generator[list[Event], None, None]:
    with closing(stretches):
        for stretch in stretches:
            read.append(stretch)
            yield stretch.events


def _stretches_down(
    feed: Feed, newest: Event, *, page: Callable[[Query], Page], pool: Pool, settle_seconds: float
) -> Generator[Stretch, None, None]:
    """What is visible from the newest event down to sequence number 1; a wide gap is crossed by asking for times."""
    upper, lowest = newest.sequence, newest
    while upper > 0:
        empty_pages = 0
        ranges = (
            SequenceRange(max(0, top - SEQUENCE_LIMIT), min(SEQUENCE_LIMIT, top))
            for top in range(upper, 0, -SEQUENCE_LIMIT)
        )
        with closing(in_order(ranges, page, pool=pool)) as pages:
            for query, answer in pages:
                stretch = Stretch.of_page(query, answer)
                yield stretch
                upper = query.after
                lowest = answer.events[0] if answer.events else lowest
                empty_pages = 0 if answer.events else empty_pages + 1
                if empty_pages == WIDE_PAGES:
                    break
        if upper > 0 and empty_pages == WIDE_PAGES:
            below = _highest_below(feed, upper, lowest, settle_seconds=settle_seconds)
            yield stretch._replace(after=below, through=upper)  # as old as the last empty page
            upper = below


def _highest_below(feed: Feed, upper: int, lowest: Event, *, settle_seconds: float) -> int:
    """The highest sequence number up to `upper`, below a wide gap under the event `lowest`; 0 where there is none.

    Some event at or below `upper` is found going back in windows; the highest one's timestamp is no earlier than the
    settle margin before it.
    """
    margin = settle_margin(settle_seconds)
    for start, end in windows_back(lowest.ticks + margin):
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
