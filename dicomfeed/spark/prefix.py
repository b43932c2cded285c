"""The closed prefix of the feed, as the driver of a stream sees it grow.

What is settled is closed without being read here: the tasks read it afterwards. Only the end of the feed that can still
change is read, and all gaps in it are watched at once. Owned: polling, and how far a batch may go. Not owned: Spark's
calls and texts (`stream.py`), when a gap is closed (`gaps.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from math import inf

from dicomfeed.client import MAY_PASS, asked_pause
from dicomfeed.errors import FeedRestored
from dicomfeed.events import Event, Identity
from dicomfeed.feed import Feed
from dicomfeed.prefetch import InlinePool, Pool
from dicomfeed.sequences import EVENT_REPLACED, SequenceReader
from dicomfeed.spark.offsets import Beginning, Fingerprint, Offset, digest_of, refuse_other_event
from dicomfeed.spark.options import Options, absolute_time
from dicomfeed.spark.session import logger
from dicomfeed.starts import sequence_before

_LONGEST_READ_SECONDS = 10.0
"""A poll reads the end of the feed for so long; the next call goes on."""
_PAUSE_SECONDS = 1.0


class Prefix:
    """How far one stream may go.

    :param start: where the stream stands, or its initial offset where that is not known.
    :param is_known: whether the stream stands there; before 4.2, Spark does not say it after a restart.
    :param newest: gives the event that the feed ends with; None: the service is asked, again and again.
    """

    def __init__(
        self,
        options: Options,
        feed: Feed,
        pool: Pool,
        *,
        start: Offset,
        is_known: bool = True,
        newest: Callable[[], Event | None] | None = None,
    ) -> None:
        self._feed = feed
        self._is_known = is_known
        self._clock = feed.clock
        self._newest = newest or feed.newest
        self._interval_seconds = options.poll_interval_seconds
        self._settle_seconds = options.settle_seconds
        self._first = self._first_sequence(start)
        self._reader = SequenceReader(feed, cursor=self._first, pool=pool, settle_seconds=options.settle_seconds)
        self._settled = self._first
        self._watched: list[tuple[int, str]] = []
        self._next_poll = self._clock.monotonic()
        if not is_known:
            self._catch_up()
        self._poll(is_bounded=newest is None)
        if newest is not None:
            self._next_poll = inf

    def end_after(self, start: Offset, *, most_events: int | None = None) -> Offset:
        """How far a stream that stands at `start` may go now; `start` itself where there is nothing new.

        Asks the service once in each poll interval, and else answers from memory. Trouble that outlasts the patience of
        the client is nothing new, as long as nothing is known that is.

        :param most_events: so many events at most; None for all there are.
        """
        begin = self._first if start.is_initial else start.sequence
        del self._watched[: self._watched_through(begin)]
        if begin >= self._reader.cursor:
            self._poll_when_due()
        through, last = self._reader.cursor, self._reader.last
        if last is None or through <= begin:
            return start
        if most_events is not None and through - begin > most_events:
            last = self._event_from(begin + most_events)
        return self._offset(start, begin, last)

    def _first_sequence(self, start: Offset) -> int:
        if start.is_initial and start.start_time is not None:
            time = absolute_time(start.start_time)
            assert time is not None
            return sequence_before(self._feed, time, settle_seconds=self._settle_seconds)
        refuse_other_event(self._feed, start)
        return start.sequence

    def _catch_up(self) -> None:
        """Get to where the stream stands at least: what it has passed is below what is there now, all gaps closed.

        An end below an earlier one would have Spark read events twice.
        """
        newest = self._newest()
        while newest is not None and self._reader.cursor < newest.sequence:
            self._poll(is_bounded=False)
            if self._reader.cursor < newest.sequence:
                self._clock.sleep(_PAUSE_SECONDS)

    def _poll_when_due(self) -> None:
        if self._clock.monotonic() < self._next_poll:
            return
        try:
            self._poll(is_bounded=True)
        except MAY_PASS as error:
            pause = max(self._interval_seconds, asked_pause(error))
            logger.warning('%s Asking again in %.0f s.', error, pause)
            self._next_poll = self._clock.monotonic() + pause

    def _poll(self, *, is_bounded: bool) -> None:
        self._next_poll = self._clock.monotonic() + self._interval_seconds
        reader, newest = self._reader, self._newest()
        reader.verify(newest)
        if newest is None or newest.sequence <= reader.cursor:
            return
        before = reader.cursor
        reader.skip_settled(newest)
        if reader.cursor > before:
            self._settled, self._watched = reader.cursor, []
        deadline = self._clock.monotonic() + _LONGEST_READ_SECONDS
        for events in reader.read_closed(newest):
            self._watched += ((event.sequence, digest_of(event.identity)) for event in events)
            if is_bounded and self._clock.monotonic() > deadline:
                self._next_poll = deadline  # the rest comes with the next call
                break

    def _event_from(self, sequence: int) -> Identity:
        """The first event from that sequence number on: an end is always an event, and the last of its batch."""
        reader = SequenceReader(self._feed, cursor=sequence, pool=InlinePool(), settle_seconds=self._settle_seconds)
        event = reader.first_above(sequence - 1, self._reader.cursor)
        if event is None:  # there was one at the cursor
            raise FeedRestored(EVENT_REPLACED)
        return event.identity

    def _watched_through(self, sequence: int) -> int:
        """How many of the events that were read here have sequence numbers up to that."""
        return bisect_right(self._watched, sequence, key=lambda one: one[0])

    def _offset(self, start: Offset, begin: int, last: Identity) -> Offset:
        sequence, after = last[0], max(self._settled, begin)
        seen = Fingerprint()
        seen.add(digest for _, digest in self._watched[: self._watched_through(sequence)])
        return Offset(
            sequence,
            digest_of(last),
            start_time=start.start_time if self._is_known or not start.is_initial else None,
            beginning=Beginning(self._first, start.start_time) if start.is_initial else None,
            watched=seen.after(after) if seen.count else None,
        )
