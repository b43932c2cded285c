"""What one run reads: everything from a sequence number on, a window of time, or the newest events.

Owned: where a reading begins, how far it got, how another one continues. Lists, counts and streams share them. Not
owned: where the events go (`results.py`, `stream.py`). How far a run got is one value, the last event that was handled;
who handles the events knows it and hands it in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from azext_dicomtoken._output import say
from azext_dicomtoken.changefeed.options import counted_back
from azext_dicomtoken.changefeed.resume import NextToken
from azext_dicomtoken.changefeed.session import Session
from dicomfeed.events import LAST_SEQUENCE, Event
from dicomfeed.feed import Feed
from dicomfeed.prefetch import InlinePool, Pool
from dicomfeed.queries import SEQUENCE_LIMIT, TIME_LIMIT
from dicomfeed.sequences import AtGap, SequenceReader
from dicomfeed.starts import TailReader, sequence_before, sequence_before_tail, sequence_now
from dicomfeed.summary import Summary
from dicomfeed.times import LAST_TICK, Ticks, format_timestamp
from dicomfeed.windows import WindowReader

if TYPE_CHECKING:
    from dicomfeed.checkpoint import Checkpoint

OnPoll = Callable[[Ticks], None]


class Reading(ABC):
    """One way of reading.

    :param at_most: how many events will be taken; the reading then asks for no more than it has to, one page after the
        other. None: for all of them, and ahead.
    """

    def __init__(self, session: Session, *, at_most: int | None = None) -> None:
        self.session = session
        self.is_cut = False
        """Whether there is more than was taken."""
        self._at_most = at_most

    @property
    def wanted(self) -> Callable[[Event], bool] | None:
        """Which events count at all, beside the filters; None: all of them."""
        return None

    @abstractmethod
    def batches(self, on_poll: OnPoll | None = None) -> Iterator[list[Event]]:
        """What is read. The first batch, which may be empty, comes as soon as the service has answered.

        `on_poll` is told the service's time before it is asked what there is; an empty batch after that says that all
        of it was handed out.
        """

    @abstractmethod
    def fraction(self, reached: Event | None) -> float:
        """How much of the whole has been handled, 0 to 1."""

    @abstractmethod
    def position(self, reached: Event | None) -> NextToken | None:
        """Where another run continues; None where it has to begin like this one."""

    def conclude(self, reached: Event | None) -> None:
        """Complete the summary, and say what is not complete and what was left out."""
        self._conclude(reached)
        say_deleted_not_matched(self.session.summary)

    @abstractmethod
    def _conclude(self, reached: Event | None) -> None: ...

    def order(self, event: Event) -> tuple[int, ...]:
        """Grows from one event to the next."""
        return (event.sequence,)

    def passing(self, events: Iterable[Event]) -> list[Event]:
        """Those of the events that count and pass the filters."""
        return self.session.filters.passing(self._counting(events))

    def deleted(self, events: Iterable[Event]) -> list[Event]:
        """Those that count and would pass, but for conditions that cannot be tested because the instance is deleted."""
        return self.session.filters.deleted(self._counting(events))

    def _counting(self, events: Iterable[Event]) -> Iterable[Event]:
        return events if self.wanted is None else filter(self.wanted, events)

    @property
    def _feed(self) -> Feed:
        """The feed, in which the metadata of events that do not count are not read."""
        return self.session.feed if self.wanted is None else self.session.feed.only(self.wanted)

    @property
    def _pool(self) -> Pool:
        return self.session.pool if self._reads_ahead else InlinePool()

    @property
    def _reads_ahead(self) -> bool:
        """Whether pages are read before they are needed: to take all, or to find the first few that meet conditions."""
        options = self.session.options
        return self._at_most is None or (options.conditions is not None and options.token is None)

    def _page_size(self, largest: int) -> int:
        """A page is no larger than what is taken; with filters nobody knows how much has to be read for that."""
        if self._at_most is None or not self.session.filters.is_empty:
            return largest
        return min(largest, self._at_most)


class BySequence(Reading):
    """Everything from a sequence number on, or for ever."""

    def __init__(self, session: Session, *, checkpoint: Checkpoint | None = None, at_most: int | None = None) -> None:
        super().__init__(session, at_most=at_most)
        self.began_after = checkpoint.sequence if checkpoint is not None else self._first_cursor()
        self._newest, self._polled_ticks = session.feed.poll()  # after the cursor: not below it but after a restore
        newest = self._newest
        self.anchor, self.since = (
            (checkpoint.last, checkpoint.since)
            if checkpoint is not None
            else (newest.identity if newest else None, session.options.start)
        )
        self._through = newest.sequence if newest else 0
        self._reader = SequenceReader(
            self._feed,
            cursor=self.began_after,
            last=self.anchor,
            pool=self._pool,
            settle_seconds=session.options.settle_seconds,
            closed_through=checkpoint.snapshot.closed_through if checkpoint else 0,
            width=self._page_size(SEQUENCE_LIMIT),
        )

    @property
    def wanted(self) -> Callable[[Event], bool] | None:
        since = self.since
        return None if since is None else lambda event: event.ticks >= since

    def batches(self, on_poll: OnPoll | None = None) -> Iterator[list[Event]]:
        options, reader = self.session.options, self._reader
        reader.verify(self._newest)
        yield []
        if options.follow:
            yield from reader.follow(
                poll_interval_seconds=options.poll_interval_seconds,
                until=self._through if options.until_latest else None,
                on_poll=on_poll,
            )
            return
        if on_poll is not None:
            on_poll(self._polled_ticks)
        yield from reader.read(self._through, at_gap=AtGap.STOP if options.checkpoint else AtGap.PASS)
        if reader.has_reached(self._newest):
            yield []

    def fraction(self, reached: Event | None) -> float:
        return (self._handled_through(reached) - self.began_after) / max(1, self._through - self.began_after)

    def position(self, reached: Event | None) -> NextToken | None:
        return NextToken(self._handled_through(reached), reached.ticks if reached else 0)

    def _conclude(self, reached: Event | None) -> None:
        reader, summary = self._reader, self.session.summary
        summary.gaps = reader.gaps
        before_gap = LAST_SEQUENCE if reader.complete_through is None else reader.complete_through
        summary.complete_through = min(self._handled_through(reached), before_gap)
        if not self.session.options.checkpoint and self.session.options.stable_after is None:
            _say_how_far_complete(reader.complete_through, reached)
        if reader.open_gap is not None:
            self.session.invocation.inform(
                f'Sequence number {reader.open_gap.first} is missing and may still appear, so the events after it are '
                'left to the next run.'
            )

    def _handled_through(self, reached: Event | None) -> int:
        return self.began_after if reached is None else reached.sequence

    def _first_cursor(self) -> int:
        session, options = self.session, self.session.options
        feed, settle = session.feed, options.settle_seconds
        if options.after_sequence is not None:
            return options.after_sequence
        if options.token:
            return options.token.sequence
        if options.start is not None:
            return sequence_before(feed, options.start, settle_seconds=settle)
        if options.tail:
            return sequence_before_tail(
                feed, options.tail, filters=session.filters, pool=session.pool, settle_seconds=settle
            )
        return sequence_now(feed, pool=session.pool, settle_seconds=settle) if options.follow else 0


class ByTime(Reading):
    """A window of time."""

    def __init__(self, session: Session, *, at_most: int | None = None) -> None:
        super().__init__(session, at_most=at_most)
        token = session.options.token
        self._start, self._after = (token.ticks, token.sequence) if token else (session.options.start or 0, 0)
        self.end = self._window_end()
        self._oldest: int | None = None  # of its events; a window may start long before the feed
        self._reader = WindowReader(
            self._feed,
            start=self._start,
            end=self.end,
            pool=self._pool,
            settle_seconds=session.options.settle_seconds,
        )

    @property
    def wanted(self) -> Callable[[Event], bool] | None:
        if not self._after:
            return None
        return lambda event: (event.ticks, event.sequence) > (self._start, self._after)

    def batches(self, on_poll: OnPoll | None = None) -> Iterator[list[Event]]:
        if on_poll is not None:
            on_poll(self.session.feed.poll().service_ticks)
        if self._reads_ahead:
            pages = self._reader.read()
        else:
            pages = self._reader.read_slowly(self._start, limit=self._page_size(TIME_LIMIT))
        for events in filter(None, pages):
            if self._oldest is None:
                self._oldest = events[0].ticks
            yield events
        yield []

    def fraction(self, reached: Event | None) -> float:
        if reached is None or self._oldest is None:
            return 0.0
        return (reached.ticks - self._oldest) / max(1, self.end - self._oldest)

    def order(self, event: Event) -> tuple[int, ...]:
        return (event.ticks, event.sequence)

    def position(self, reached: Event | None) -> NextToken | None:
        if reached is None:
            return NextToken(self._after, self._start, self.end)
        return NextToken(reached.sequence, reached.ticks, self.end)

    def _conclude(self, reached: Event | None) -> None:
        settled = self._reader.settled_through
        if settled is None:
            return
        self.session.summary.settled_through = format_timestamp(settled)
        if self.session.options.stable_after is not None:
            return  # a row is written when nothing can join it any more
        if not self.is_cut or (reached is not None and reached.ticks >= settled):
            say(f'Settled through {format_timestamp(settled)}: later events may still appear.')

    def _window_end(self) -> int:
        """As given, else now by the service's clock, or just after the newest event where that is later."""
        options, client = self.session.options, self.session.client
        if options.token and options.token.end is not None:
            return options.token.end
        if options.end is not None:
            return options.end
        newest = client.latest(by_time=True)
        return min(LAST_TICK, max(client.service_now(), newest.ticks + 1 if newest else 0))


class Newest(Reading):
    """The newest events that pass the filters, and no more."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._reader = TailReader(
            session.feed,
            session.options.tail or 1,
            filters=session.filters,
            pool=session.pool,
            settle_seconds=session.options.settle_seconds,
        )

    def batches(self, on_poll: OnPoll | None = None) -> Iterator[list[Event]]:
        return self._reader.read()

    def fraction(self, reached: Event | None) -> float:
        return self._reader.fraction

    def position(self, reached: Event | None) -> NextToken | None:
        return NextToken(reached.sequence, reached.ticks) if reached else None

    def _conclude(self, reached: Event | None) -> None:
        _say_how_far_complete(self._reader.complete_through, reached)


def reading_of(session: Session, *, checkpoint: Checkpoint | None = None, at_most: int | None = None) -> Reading:
    """The reading that the options ask for; ages in them count back from the service's clock."""
    if checkpoint is None:
        session = replace(session, options=counted_back(session.options, session.client.service_now))
    options = session.options
    if options.is_window:
        return ByTime(session, at_most=at_most)
    if (options.tail or options.latest) and not options.follow:
        return Newest(session)
    return BySequence(session, checkpoint=checkpoint, at_most=at_most)


def _say_how_far_complete(through: int | None, reached: Event | None) -> None:
    """Say it on standard error whatever --only-show-errors says: what is read as complete may not be."""
    if through is not None and reached is not None and reached.sequence > through:
        say(
            f'Complete through sequence number {through}: events with higher sequence numbers may still appear, even '
            'between those returned.'
        )


def say_deleted_not_matched(summary: Summary) -> None:
    """Say it on standard error whatever --only-show-errors says: a copy that is made so never hears of deletions."""
    number = summary.deleted_not_matched
    if number:
        say(
            f'{number:,} {"event was" if number == 1 else "events were"} left out because the instance is deleted: it '
            'has no attributes that --match could test.'
        )
