"""What a run did, in numbers, under the names that users see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dicomfeed.events import Event

SUMMARY_FORMAT = 'dicom-changefeed-summary/1'
"""By which a summary of ours is recognized."""


@dataclass
class Summary:
    """What a run did.

    :ivar events: delivered, after the filters.
    :ivar events_read: before them.
    :ivar complete_through: everything up to this sequence number was read and is final, and where events are grouped,
        is in rows; None for a window of time.
    :ivar settled_through: a window's end of what cannot change any more, when that is before the end of the window.
    :ivar gaps: missing ranges of sequence numbers that were passed.
    :ivar unreadable: sequence numbers of events whose metadata could not be read: delivered without, or left out where
        there are conditions on attributes.
    :ivar deleted_not_matched: events that conditions on attributes left out because their instances are deleted.
    :ivar rows: written in the place of events; None where those are not grouped. Then `open` says how many studies
        have events in no row, and `late` how many events came later than the settle margin allows.
    """

    events: int = 0
    events_read: int = 0
    first_sequence: int | None = None
    last_sequence: int | None = None
    complete_through: int | None = None
    settled_through: str | None = None
    gaps: int = 0
    retries: int = 0
    unreadable: list[int] = field(default_factory=list)
    deleted_not_matched: int = 0
    seconds: float = 0.0
    rows: int | None = None
    open: int = 0
    late: int = 0

    @property
    def written(self) -> int:
        """How many lines, without any header."""
        return self.events if self.rows is None else self.rows

    def count(self, read: list[Event], delivered: list[Event], *, deleted_not_matched: int = 0) -> None:
        """Take a batch into account."""
        self.events_read += len(read)
        self.deleted_not_matched += deleted_not_matched
        self.events += len(delivered)
        if delivered:
            if self.first_sequence is None:
                self.first_sequence = delivered[0].sequence
            self.last_sequence = delivered[-1].sequence

    def as_dict(self) -> dict[str, Any]:
        """The summary under the names that users see."""
        return {
            'format': SUMMARY_FORMAT,
            'events': self.events,
            'eventsRead': self.events_read,
            'firstSequence': self.first_sequence,
            'lastSequence': self.last_sequence,
            'completeThrough': self.complete_through,
            'settledThrough': self.settled_through,
            'gaps': self.gaps,
            'retries': self.retries,
            'unreadable': self.unreadable,
            'deletedNotMatched': self.deleted_not_matched,
            **({} if self.rows is None else {'rows': self.rows, 'open': self.open, 'late': self.late}),
            'seconds': round(self.seconds, 3),
            'eventsPerSecond': round(self.events / self.seconds, 1) if self.seconds > 0 else None,
        }
