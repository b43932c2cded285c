"""Where a stream stands, as Spark's checkpoint has it.

Spark stores only the end of each batch, compares ends as texts, and asks for the beginning of the first batch again
whenever it likes. So the initial offset says no more than the options do, and the ends say where the stream began: what
the checkpoint says counts, whatever the options of a later run are. Owned: this form, and how an event is recognized
without a UID in the checkpoint. Not owned: how far a stream may go (`prefix.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from dicomfeed.errors import FeedRestored
from dicomfeed.events import Event, Identity
from dicomfeed.feed import Feed
from dicomfeed.queries import SequenceRange
from dicomfeed.sequences import EVENT_REPLACED

_DIGITS = 32


class Watched(NamedTuple):
    """What the driver itself has read of a batch: the events above `after`, how many, and a digest of them all."""

    after: int
    events: int
    digest: str


class Beginning(NamedTuple):
    """Where a stream begins: after `sequence`, and with events not before `start_time`, as the user wrote it."""

    sequence: int
    start_time: str | None = None


@dataclass(frozen=True)
class Offset:
    """Everything through a sequence number has been read.

    :ivar event: digest of the event with that number; empty for the initial offset, which need not be at an event.
    :ivar start_time: of a stream that begins at a time, as the user wrote it, and as far as it is known here.
    :ivar beginning: of the end of a first batch, or of one that may be it: where it begins, if it is.
    :ivar watched: the newer part of the batch that ends here.
    :ivar is_logged: of an initial offset that ended a batch of nothing, before Spark 4.2: it is a place as any other.
    """

    sequence: int
    event: str = ''
    start_time: str | None = None
    beginning: Beginning | None = None
    watched: Watched | None = None
    is_logged: bool = False

    @property
    def is_initial(self) -> bool:
        """Whether it is where the stream begins, and not the end of a batch."""
        return not self.event

    def as_dict(self) -> dict[str, Any]:
        """As `parse` reads it; equal offsets are equal texts."""
        found: dict[str, Any] = {'sequence': self.sequence}
        if self.event:
            found['event'] = self.event
        if self.start_time is not None:
            found['startTime'] = self.start_time
        if self.beginning is not None:
            found['beginning'] = self.beginning._asdict()
        if self.watched is not None:
            found['watched'] = self.watched._asdict()
        if self.is_logged:
            found['logged'] = True
        return found

    @classmethod
    def parse(cls, found: dict[str, Any]) -> Offset:
        """The reverse of `as_dict`."""
        beginning, watched = found.get('beginning'), found.get('watched')
        return cls(
            found['sequence'],
            found.get('event', ''),
            found.get('startTime'),
            None if beginning is None else Beginning(**beginning),
            None if watched is None else Watched(**watched),
            is_logged=found.get('logged', False),
        )


def digest_of(identity: Identity) -> str:
    """What tells the event from any other without naming it."""
    return sha256(repr(identity).encode()).hexdigest()[:_DIGITS]


class Fingerprint:
    """The count and the digest of events, in the order of their sequence numbers."""

    def __init__(self) -> None:
        self.count = 0
        self._digest = sha256()

    def add(self, digests: Iterable[str]) -> None:
        """Take the digests of some more events."""
        for digest in digests:
            self.count += 1
            self._digest.update(digest.encode())

    def after(self, sequence: int) -> Watched:
        """As part of an offset."""
        return Watched(sequence, self.count, self._digest.hexdigest()[:_DIGITS])


def refuse_other_event(feed: Feed, offset: Offset, *, newest: Event | None = None) -> None:
    """Raise FeedRestored unless the event of the offset is there and the same.

    :param newest: the newest event, where it has just been asked for.
    """
    if not offset.event:
        return
    if newest is not None and newest.sequence == offset.sequence:
        found = [newest]
    else:
        found = feed.bare_page(SequenceRange(offset.sequence - 1, 1)).events
    if not found or digest_of(found[0].identity) != offset.event:
        raise FeedRestored(EVENT_REPLACED)
