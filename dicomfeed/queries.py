"""What one request asks of the change feed, and the page that answers it.

The service has two lists. v1 takes a *range of sequence numbers*: a short or an empty page means gaps, never the end.
v2 takes a *window of time* and counts rows in it: a page shorter than `limit` is the last one at that instant.
(DICOM service: ChangeFeedController, GetChangeFeedV39.sql and GetChangeFeedByTimeV39.sql.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dicomfeed.times import FIRST_TICK, LAST_TICK, Ticks, format_timestamp, ticks_from_seconds

if TYPE_CHECKING:
    from dicomfeed.events import Event

SEQUENCE_LIMIT = 100
"""Widest range of sequence numbers that v1 takes."""
TIME_LIMIT = 200
"""Most rows that v2 gives in one page."""


class Query(Protocol):
    """One request for a page."""

    @property
    def limit(self) -> int:
        """Most events that the answer may hold."""

    @property
    def path(self) -> str:
        """Path of the request, without a leading slash."""

    @property
    def parameters(self) -> dict[str, str]:
        """Query parameters, metadata aside."""

    def answers(self, events: list[Event]) -> bool:
        """Whether the events can be an answer to this query: all inside it, in its order, each once, not too many.

        A cache or a gateway that ignores a query must not look like a feed without end.
        """


class SequenceRange(NamedTuple):
    """The events with sequence numbers `after + 1` to `after + limit`, in their order.

    `after` is 0 to 2^63 - 1, `limit` 1 to 100.
    """

    after: int
    limit: int = SEQUENCE_LIMIT

    @property
    def path(self) -> str:
        return 'v1/changefeed'

    @property
    def through(self) -> int:
        """The last sequence number of the range."""
        return self.after + self.limit

    @property
    def parameters(self) -> dict[str, str]:
        return {'offset': str(self.after), 'limit': str(self.limit)}

    def halves(self) -> tuple[SequenceRange, ...]:
        """Two ranges that are the same together; one element, itself, where it asks for a single event."""
        if self.limit == 1:
            return (self,)
        half = self.limit // 2
        return SequenceRange(self.after, half), SequenceRange(self.after + half, self.limit - half)

    def answers(self, events: list[Event]) -> bool:
        sequences = [self.after, *(event.sequence for event in events)]
        return sequences[-1] <= self.through and all(map(int.__lt__, sequences, sequences[1:]))


class TimeSlice(NamedTuple):
    """Rows `offset` to `offset + limit - 1` of the window [start, end), in (timestamp, sequence) order.

    Bounds in ticks, `limit` 1 to 200.
    """

    start: Ticks
    end: Ticks
    offset: int = 0
    limit: int = TIME_LIMIT

    @property
    def path(self) -> str:
        return 'v2/changefeed'

    @property
    def parameters(self) -> dict[str, str]:
        # A service east or west of UTC refuses the very ends of time, which are its defaults (MandatoryTimeZoneBinder).
        start = {} if self.start == FIRST_TICK else {'startTime': format_timestamp(self.start)}
        end = {} if self.end == LAST_TICK else {'endTime': format_timestamp(self.end)}
        return {**start, **end, 'offset': str(self.offset), 'limit': str(self.limit)}

    def answers(self, events: list[Event]) -> bool:
        rows = [(event.ticks, event.sequence) for event in events]
        return (
            len(rows) <= self.limit
            and all(self.start <= ticks < self.end for ticks, _ in rows)
            and all(map(tuple.__lt__, rows, rows[1:]))
            and len({sequence for _, sequence in rows}) == len(rows)
        )


class Page(NamedTuple):
    """The answer to a query, with what is known of the time at which it was asked.

    `asked_monotonic` is this reader's monotonic clock before the request went out; `asked_ticks` the earlier of the
    local clock and the service's (its `Date`, less the time that the answer took), both for that same time: what was
    settled then, the page shows as it will stay. `answered_monotonic` is the clock when the answer was there.
    """

    events: list[Event]
    asked_monotonic: float
    asked_ticks: Ticks
    answered_monotonic: float


def windows_back(bound: Ticks) -> Iterator[tuple[Ticks, Ticks]]:
    """Windows that end at `bound`, each eight times as long as the one before, down to the beginning of time."""
    width = ticks_from_seconds(60)
    while bound > FIRST_TICK:
        start = max(FIRST_TICK, bound - width)
        yield start, bound
        if start == FIRST_TICK:
            return
        width *= 8
