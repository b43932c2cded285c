"""What one run reads: everything from a number on, a window of time, or the newest events.

Owned: where a run begins, how far it got, how another one goes on. Not owned: where the events go (`_stream`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from knack.log import get_logger

from azext_dicomtoken._checkpoints import question_of
from azext_dicomtoken._paging import NextToken
from azext_dicomtoken._reading import Reading
from dicomfeed.checkpoint import Checkpoint, CheckpointWriter
from dicomfeed.events import LAST_SEQUENCE, Event
from dicomfeed.sequences import AtGap, SequenceReader
from dicomfeed.starts import newest_events, sequence_before, sequence_before_tail, sequence_now
from dicomfeed.times import format_timestamp
from dicomfeed.windows import WindowReader

logger = get_logger(__name__)


class Run:
    """One way of reading, as delivery and the summary see it."""

    def __init__(self, reading: Reading, _checkpoint: Checkpoint | None) -> None:
        self.reading = reading
        self.checkpoint: CheckpointWriter | None = None
        self.wanted: Callable[[Event], bool] | None = None
        """Which events count at all, beside the filters; None: all of them."""
        self.reached: Callable[[], Event | None] = lambda: None
        """The last event that has been dealt with; a reader is always a step ahead of that."""

    def batches(self) -> Iterator[list[Event]]:
        """What is read. The first batch, which may be empty, comes as soon as the service has answered."""
        raise NotImplementedError

    def fraction(self, events: list[Event]) -> float:
        """How much of the whole has been read after these events, 0 to 1."""
        raise NotImplementedError

    def go_on(self) -> list[tuple[str, Any]]:
        """The options with which another run goes on where this one ended."""
        raise NotImplementedError

    def conclude(self) -> None:
        """Complete the summary."""


class Sequences(Run):
    """Everything from a number on, or for ever."""

    def __init__(self, reading: Reading, checkpoint: Checkpoint | None) -> None:
        super().__init__(reading, checkpoint)
        options = reading.options
        cursor, last, since = (
            (checkpoint.sequence, checkpoint.last, checkpoint.since)
            if checkpoint is not None
            else (self._first_cursor(), None, options.start)
        )
        self.reader = SequenceReader(
            reading.feed, cursor=cursor, last=last, pool=reading.pool, settle_seconds=options.settle_seconds
        )
        self._began_at = cursor
        self._through = 0
        self.wanted = None if since is None else lambda event: event.ticks >= since
        if options.checkpoint:
            checkpoint = checkpoint or Checkpoint(question_of(reading), sequence=cursor, since=since)
            self.checkpoint = CheckpointWriter(options.checkpoint, checkpoint)

    def batches(self) -> Iterator[list[Event]]:
        options, reader = self.reading.options, self.reader
        newest = self.reading.feed.newest()
        reader.verify(newest)
        self._through = newest.sequence if newest else 0
        yield []
        if options.follow:
            yield from reader.follow(
                poll_interval_seconds=options.poll_interval_seconds,
                until=self._through if options.until_latest else None,
            )
        else:
            yield from reader.read(self._through, at_gap=AtGap.STOP if options.checkpoint else AtGap.PASS)

    def fraction(self, events: list[Event]) -> float:
        return (self.reader.cursor - self._began_at) / max(1, self._through - self._began_at)

    def go_on(self) -> list[tuple[str, Any]]:
        return [] if self.checkpoint else [('--after-sequence', self._dealt_with())]

    def conclude(self) -> None:
        reader, summary = self.reader, self.reading.summary
        summary.gaps = reader.gaps
        before_gap = LAST_SEQUENCE if reader.complete_through is None else reader.complete_through
        summary.complete_through = min(self._dealt_with(), before_gap)
        if reader.complete_through is not None:
            logger.warning(
                'Complete through sequence number %d: above it, events may still appear that belong '
                'between those delivered.',
                reader.complete_through,
            )

    def _dealt_with(self) -> int:
        reached = self.reached()
        return self._began_at if reached is None else reached.sequence

    def _first_cursor(self) -> int:
        options, feed, pool = self.reading.options, self.reading.feed, self.reading.pool
        settle = options.settle_seconds
        if options.after_sequence is not None:
            return options.after_sequence
        if options.token:
            return options.token.sequence
        if options.start is not None:
            return sequence_before(feed, options.start, settle_seconds=settle)
        if options.tail:
            return sequence_before_tail(
                feed, options.tail, filters=self.reading.filters, pool=pool, settle_seconds=settle
            )
        return sequence_now(feed, pool=pool, settle_seconds=settle) if options.follow else 0


class Window(Run):
    """A window of time."""

    def __init__(self, reading: Reading, checkpoint: Checkpoint | None) -> None:
        super().__init__(reading, checkpoint)
        self._after = reading.options.window_start
        self._end = reading.window_end()
        self._reader = WindowReader(
            reading.feed,
            start=self._after[0],
            end=self._end,
            pool=reading.pool,
            settle_seconds=reading.options.settle_seconds,
        )
        if reading.options.token:
            self.wanted = lambda event: (event.ticks, event.sequence) > self._after

    def batches(self) -> Iterator[list[Event]]:
        return self._reader.read()

    def fraction(self, events: list[Event]) -> float:
        if not events:
            return 0.0
        return (events[-1].ticks - self._after[0]) / max(1, self._end - self._after[0])

    def go_on(self) -> list[tuple[str, Any]]:
        reached = self.reached()
        ticks, sequence = self._after if reached is None else (reached.ticks, reached.sequence)
        return [('--next-token', NextToken(sequence, ticks, self._end).encoded())]

    def conclude(self) -> None:
        settled = self._reader.settled_through
        if settled is not None:
            self.reading.summary.settled_through = format_timestamp(settled)


class Tail(Run):
    """The newest events, and no more."""

    def batches(self) -> Iterator[list[Event]]:
        options = self.reading.options
        yield newest_events(
            self.reading.feed,
            options.tail or 1,
            filters=self.reading.filters,
            pool=self.reading.pool,
            settle_seconds=options.settle_seconds,
        )

    def fraction(self, events: list[Event]) -> float:
        return 1.0

    def go_on(self) -> list[tuple[str, Any]]:
        return [('--tail', self.reading.options.tail)]
