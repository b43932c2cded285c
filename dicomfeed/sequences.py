"""Reading by sequence: everything, from a sequence number on, for ever.

Sequence numbers are taken before a writer commits, so their order is not the order in which events appear; a prefix
without open gaps is final at once. `gaps.py` says when a gap is closed, `starts.py` where a reading begins that was not
given a sequence number.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from enum import Enum

from dicomfeed.errors import FeedRestored, StartAboveEnd
from dicomfeed.events import Event, Identity
from dicomfeed.feed import Feed
from dicomfeed.gaps import SETTLE_SECONDS, Gap, Stretch, Watch, contents, rest_after_events, settle_margin
from dicomfeed.prefetch import Pool, in_order
from dicomfeed.queries import SEQUENCE_LIMIT, TIME_LIMIT, Page, SequenceRange, TimeSlice, windows_back
from dicomfeed.times import FIRST_TICK, LAST_TICK, Ticks

WIDE_PAGES = 10
"""So many empty pages in a row are a wide gap, which is crossed by asking for times instead."""

START_ABOVE_END = 'The newest event has a lower sequence number than the one to start after.'
FEED_SHORTER = 'The newest event has a lower sequence number than one that was there before.'
EVENT_REPLACED = 'The event that was read last is gone, or another one has its sequence number.'


class AtGap(Enum):
    """What a reading does at an open gap, after it has asked once more."""

    PASS = 1  # deliver what is visible, and say through which sequence number it is complete
    STOP = 2  # deliver nothing above it


class SequenceReader:
    """Reads the feed upwards from a sequence number.

    :param cursor: everything up to this sequence number is done with; moves as events are delivered.
    :param last: identity of the event read last or, before the first one, of any that existed when the reading began: a
        restored database is found out by it.
    :param settle_seconds: how long a writer may take; lower only where the writers are known.
    :param closed_through: gaps up to this sequence number were closed when an earlier reading passed them.
    :param width: sequence numbers a page, 1 to 100; fewer where only a few events are wanted with their metadata.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        cursor: int,
        pool: Pool,
        last: Identity | None = None,
        settle_seconds: float = SETTLE_SECONDS,
        closed_through: int = 0,
        width: int = SEQUENCE_LIMIT,
    ) -> None:
        self.cursor = cursor
        self.last = last
        self.complete_through: int | None = None
        """The sequence number before the first open gap that was passed; None as long as there was none."""
        self.open_gap: Gap | None = None
        """Where the last reading stopped."""
        self.gaps = 0
        """How many gaps were passed, open ones included."""
        self._feed = feed
        self._pool = pool
        self._settle_seconds = settle_seconds
        self._closed_through = closed_through
        self._width = width
        self._watch = Watch()
        self._watched_through = 0

    def read(self, through: int, *, at_gap: AtGap) -> Iterator[list[Event]]:
        """The events above the cursor through `through`, in lists, each in sequence order.

        The cursor moves to the last event of a list, and nowhere else, before the list is handed out. Ends
        early at an open gap with `AtGap.STOP`; then `open_gap` says which. Raises FeedRestored.

        :param through: of an event that exists, as that of the newest one.
        """
        self.open_gap = None
        began = self._feed.client.earlier_now() - settle_margin(self._settle_seconds)
        for events in self._feed.completed(self._batches(through, at_gap), pool=self._pool):
            if any(event.ticks > began for event in events):
                self._verify_last()  # what was written since the beginning may come after a restore
            self._advance(events[-1])
            yield events
        if self.open_gap is None and self.cursor < through:
            self._refuse_end_below(through, self._feed.newest())

    def follow(
        self,
        *,
        poll_interval_seconds: float,
        until: int | None = None,
        on_poll: Callable[[Ticks], None] | None = None,
    ) -> Iterator[list[Event]]:
        """The events above the cursor, and then new ones as they come; an empty list whenever nothing is left.

        Each round begins by telling `on_poll` the service's time, and ends with the empty list if it got to the event
        that was the newest one then. Nothing above an open gap is delivered before it closes or
        fills. Ends when everything through `until` has been dealt with, else never. Raises FeedRestored.
        """
        clock = self._feed.clock
        while True:
            next_round = clock.monotonic() + poll_interval_seconds
            newest, service_ticks = self._feed.poll()
            self.verify(newest)
            if on_poll is not None:
                on_poll(service_ticks)
            if newest is not None and newest.sequence > self.cursor:
                yield from self.read_closed(newest)
            if self.has_reached(newest):
                yield []
            if until is not None and self.cursor >= until:
                return
            clock.sleep(max(0.0, next_round - clock.monotonic()))

    def has_reached(self, newest: Event | None) -> bool:
        """Whether everything through the event that was the newest one has been handed out.

        Where no gap is in the way, a page may still have come without it: older than the answer that named it.
        """
        return self.open_gap is None and (newest is None or self.cursor >= newest.sequence)

    def read_closed(self, newest: Event) -> Iterator[list[Event]]:
        """The events above the cursor up to the first open gap; every gap below `newest` is watched from now on."""
        yield from self.read(newest.sequence, at_gap=AtGap.STOP)
        if self.open_gap is not None:
            self._watch_ahead(newest.sequence)

    def skip_settled(self, newest: Event) -> None:
        """Move the cursor, without reading, to an event that is settled, if one is above it.

        The sequence numbers up to it were taken before its own, so each of them is committed by now or never will be:
        who reads them, and begins after this, finds no open gap there. What is left above the cursor is the end of the
        feed that can still change, and with it little more.

        :param newest: as the service has just given it.
        """
        bound = self._feed.client.earlier_now() - settle_margin(self._settle_seconds)
        settled = newest if newest.ticks < bound else self._feed.event_before(bound)
        if settled is not None and settled.sequence > self.cursor:
            self._advance(settled)

    def read_range(self, through: int) -> Iterator[list[Event]]:
        """The events above the cursor through `through`, where no gap is open: `skip_settled` or `read_closed` said so.

        The cursor moves as in `read`. Nothing is compared with a feed that was restored meanwhile.
        """
        with closing(self._scan(self.cursor, through)) as stretches:
            batches = (stretch.events for stretch in stretches if stretch.events)
            for events in self._feed.completed(batches, pool=self._pool):
                self._advance(events[-1])
                yield events

    def ranges(self, through: int, *, size: int) -> Iterator[tuple[int, int]]:
        """Ranges `(after, through)` that hold every event above the cursor up to `through`, for several readers.

        They are in order, share no sequence number, and have at most `size` of them. Each begins no more than a page
        below an event, so none begins in a wide gap, and one that is wider than `size` costs none.
        """
        after, below = self.cursor, None
        while after < through:
            starts = (
                SequenceRange(start, min(SEQUENCE_LIMIT, through - start)) for start in range(after, through, size)
            )
            with closing(in_order(starts, self._feed.bare_page, pool=self._pool)) as pages:
                for query, page in pages:
                    after = query.after
                    if not page.events:
                        break
                    below = page.events[0]
                    yield after, min(after + size, through)
                else:
                    return
            found = self.first_above(after, through, below=below and self._nearest_found(below, after))
            after = through if found is None else found.sequence - 1

    def first_above(self, sequence: int, through: int, *, below: Event | None = None) -> Event | None:
        """The event with the lowest sequence number above that one and up to `through`; None where there is none.

        :param below: some event not far below, from which a wide gap is crossed.
        """
        with closing(self._scan(sequence, through, below=below)) as stretches:
            return next((stretch.events[0] for stretch in stretches if stretch.events), None)

    def _nearest_found(self, below: Event, sequence: int) -> Event:
        """An event between that one and a sequence number, mostly not far below the latter; found by halving.

        The time between it and the first event above a wide gap is read page after page.
        """
        while sequence - below.sequence > 2 * SEQUENCE_LIMIT:
            middle = (below.sequence + sequence) // 2
            events = self._feed.bare_page(SequenceRange(middle, SEQUENCE_LIMIT)).events
            below, sequence = (events[-1], sequence) if events else (below, middle)
        return below

    def verify(self, newest: Event | None) -> None:
        """Raise FeedRestored unless the event that was read last is still there and the same.

        After a point-in-time restore, sequence numbers come back with other content. The cursor is compared, too: what
        was read last may be unknown.
        """
        self._refuse_end_below(max(self.cursor, self.last[0] if self.last else 0), newest)
        self._verify_last(newest)

    def _refuse_end_below(self, sequence: int, newest: Event | None) -> None:
        if (newest.sequence if newest else 0) < sequence:
            raise FeedRestored(FEED_SHORTER) if self.last else StartAboveEnd(START_ABOVE_END)

    def _verify_last(self, newest: Event | None = None) -> None:
        if self.last is None:
            return
        if newest is not None and newest.sequence == self.last[0]:
            found = [newest]
        else:
            found = self._feed.bare_page(SequenceRange(self.last[0] - 1, 1)).events
        if not found or found[0].identity != self.last:
            raise FeedRestored(EVENT_REPLACED)

    def _batches(self, through: int, at_gap: AtGap) -> Generator[list[Event], None, None]:
        """The events that can be delivered, without metadata: those are read of these alone."""
        with closing(self._parts(self.cursor, through)) as parts:
            for part in parts:
                events = self._deliverable(part, at_gap)
                if events:
                    yield events
                if self.open_gap is not None:
                    return

    def _advance(self, event: Event) -> None:
        self.cursor = event.sequence
        if self.last is None or event.sequence >= self.last[0]:  # what was read before is no anchor once more
            self.last = event.identity
        self._watch.forget_through(event.sequence)

    def _deliverable(self, stretches: list[Stretch], at_gap: AtGap) -> list[Event]:
        """The events of the stretches, as far as no open gap is in the way."""
        events, gaps = contents(stretches)
        still_open = self._open(gaps)
        if still_open:
            first, last = still_open[0].first, still_open[-1].last
            found, left = contents(self._scan(first - 1, last), above=still_open[-1].above)
            events = (
                [event for event in events if event.sequence < first]
                + found
                + [event for event in events if event.sequence > last]
            )
            gaps = [gap for gap in gaps if gap.last < first or gap.first > last] + left
            still_open = self._open(left)
        if still_open and at_gap is AtGap.STOP:
            self.open_gap = still_open[0]
            events = [event for event in events if event.sequence < still_open[0].first]
        elif still_open and self.complete_through is None:
            self.complete_through = still_open[0].first - 1
        self.gaps += sum(bool(events) and gap.last < events[-1].sequence for gap in gaps)
        return events

    def _open(self, gaps: list[Gap]) -> list[Gap]:
        """Those of the gaps that are not closed, from now on watched."""
        still_open = [
            gap
            for gap in gaps
            if gap.last > self._closed_through
            and not gap.is_settled(self._settle_seconds)
            and not self._watch.is_outwaited(gap, self._settle_seconds)
        ]
        for gap in still_open:
            self._watch.see(gap)
        return still_open

    def _watch_ahead(self, through: int) -> None:
        """Start the watch over every gap up to `through` now, not only when delivery reaches it."""
        after = max(self._watched_through, self.cursor)
        for part in self._parts(after, through):
            self._open(contents(part)[1])
        self._watched_through = max(self._watched_through, through)

    def _parts(self, after: int, through: int) -> Generator[list[Stretch], None, None]:
        """Stretches that adjoin, in groups that each end with an event, so that every gap has one above it."""
        waiting: list[Stretch] = []
        with closing(self._scan(after, through)) as stretches:
            for stretch in stretches:
                waiting.append(stretch)
                if stretch.events:
                    yield waiting
                    waiting = rest_after_events(stretch)

    def _scan(self, after: int, through: int, *, below: Event | None = None) -> Generator[Stretch, None, None]:
        """What is visible of the sequence numbers `after + 1` to `through`: stretches that tile them, in order.

        :param below: an event at or below `after`, where one is known.
        """
        while after < through:
            empty_pages = 0
            ranges = (
                SequenceRange(start, min(self._width, through - start)) for start in range(after, through, self._width)
            )
            with closing(in_order(ranges, self._feed.first_page, pool=self._pool)) as pages:
                for query, page in pages:
                    yield Stretch.of_page(query, page)
                    after = query.through
                    below = page.events[-1] if page.events else below
                    empty_pages = 0 if page.events else empty_pages + 1
                    if empty_pages == WIDE_PAGES:
                        break
            if after < through and empty_pages == WIDE_PAGES:
                jump = self._jump(after, through, below)
                yield jump
                after = jump.through

    def _jump(self, after: int, through: int, below: Event | None) -> Stretch:
        """The empty stretch from `after` to just before the lowest event above it, found by time.

        The first event by time need not be the first by sequence, and clocks may have been set back meanwhile:
        every event within the settle margin of the last one below and of the first one found above is looked at.
        `through` is the end where nothing is found.
        """
        margin = settle_margin(self._settle_seconds)
        start = max(FIRST_TICK, (below.ticks if below else self._ticks_below(after)) - margin)
        end = LAST_TICK
        lowest: Event | None = None
        first_page: Page | None = None
        for page in self._feed.walk(start, end, read=self._feed.bare_page):
            first_page = first_page or page
            for event in page.events:
                if event.ticks >= end:
                    break
                if event.sequence > after:
                    end = min(end, event.ticks + margin)
                    lowest = event if lowest is None or event.sequence < lowest.sequence else lowest
            if page.events and page.events[-1].ticks >= end:
                break
        assert first_page is not None
        reached = through if lowest is None else min(through, lowest.sequence - 1)
        return Stretch(
            after, reached, [], first_page.asked_monotonic, first_page.asked_ticks, first_page.answered_monotonic
        )

    def _ticks_below(self, sequence: int) -> Ticks:
        """The timestamp of some event at or below a sequence number; the beginning of time where there is none."""
        newest = self._feed.newest()
        for start, end in windows_back(newest.ticks if newest else FIRST_TICK):
            page = self._feed.bare_page(TimeSlice(start, end, 0, TIME_LIMIT))
            for event in page.events:
                if event.sequence <= sequence:
                    return event.ticks
        return FIRST_TICK
