"""From events to a sink: which are written, when that is made to last, when the checkpoint says so; and its summary.

No file is changed before the service has answered. Then the order is always: write, make the file last, then say so in
the checkpoint. So whatever ends the process, the checkpoint claims nothing that is not there. Lists of events are all
that delivery knows of a reading.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from dicomfeed.checkpoint import CheckpointWriter, Output
from dicomfeed.errors import OutputError, OutputExists
from dicomfeed.events import Event
from dicomfeed.filters import Filters
from dicomfeed.sinks import FileSink, Sink
from dicomfeed.times import Clock

COMMIT_SECONDS = 1.0
SUMMARY_FORMAT = 'dicom-changefeed-summary/1'
"""By which a summary of ours is recognized."""


@dataclass
class Summary:
    """What a run did.

    :ivar events: delivered, after the filters.
    :ivar events_read: before them.
    :ivar complete_through: everything up to this sequence number was read and is final; None for a window of time.
    :ivar settled_through: a window's end of what cannot change any more, when that is before the end of the window.
    :ivar gaps: missing ranges of sequence numbers that were passed.
    :ivar unreadable: sequence numbers of events whose metadata could not be read: delivered without, or left out where
        there are conditions on attributes.
    :ivar deleted_not_matched: events that conditions on attributes left out because their instances are deleted.
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
            'seconds': round(self.seconds, 3),
            'eventsPerSecond': round(self.events / self.seconds, 1) if self.seconds > 0 else None,
        }


class Delivery:
    """Writes the events that it is given, lists of which each is final up to its last event.

    :param wanted: which events count at all, beside the filters; None: all of them.
    :param lines_of: turns events into lines; the service's own bytes unless said otherwise.
    :param uninterrupted: a context in which no signal is let through, for each write.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        filters: Filters,
        summary: Summary,
        clock: Clock,
        wanted: Callable[[Event], bool] | None = None,
        checkpoint: CheckpointWriter | None = None,
        lines_of: Callable[[list[Event]], list[bytes]] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self._sink = sink
        self._filters = filters
        self._summary = summary
        self._clock = clock
        self._wanted = wanted
        self._checkpoint = checkpoint
        self._lines_of = lines_of or _service_lines
        self._uninterrupted = uninterrupted
        self._is_sink_intact = True
        self.has_begun = False
        """Whether the service has answered, and files may have changed."""
        self.reached: Event | None = None
        """The last event that has been dealt with: written, or found not to be wanted."""
        self._committed_monotonic = clock.monotonic()

    def run(self, batches: Iterable[list[Event]]) -> None:
        """Take every batch. However that ends, what was written by then is made to last and the checkpoint told.

        The first batch, which may be empty, or the end without one says that the service has answered. Nothing is
        changed before that: neither the output nor the checkpoint.
        """
        try:
            for events in batches:
                with self._uninterrupted():
                    self._begin()
                    self._take(events)
            with self._uninterrupted():
                self._begin()
        finally:
            if self.has_begun and self._is_sink_intact:
                with self._uninterrupted():
                    self._commit()

    def _begin(self) -> None:
        """The checkpoint names a file before it is there: no end of the process leaves one that is then refused."""
        if self.has_begun:
            return
        if self._checkpoint is None:
            self._sink.begin()
        else:
            former = self._checkpoint.checkpoint.output
            self._checkpoint.save(self._sink.output)
            try:
                self._sink.begin()
            except OutputError:
                self._checkpoint.save(former)
                raise
        self.has_begun = True

    def _take(self, events: list[Event]) -> None:
        counting = events if self._wanted is None else list(filter(self._wanted, events))
        delivered = self._filters.passing(counting)
        if delivered:
            lines = self._lines_of(delivered)
            self._is_sink_intact = False
            self._sink.write(lines)
            self._is_sink_intact = True
        if events:
            self.reached = events[-1]
            if self._checkpoint is not None:
                self._checkpoint.take(events[-1])
        self._summary.count(events, delivered, deleted_not_matched=len(self._filters.deleted(counting)))
        if self._clock.monotonic() - self._committed_monotonic >= COMMIT_SECONDS:
            self._commit()

    def _commit(self) -> None:
        self._is_sink_intact = False
        output = self._sink.commit()
        self._is_sink_intact = True
        if self._checkpoint is not None:
            self._checkpoint.save(output)
        self._committed_monotonic = self._clock.monotonic()


def open_output(path: str, *, overwrite: bool = False, committed: Output | None = None) -> tuple[FileSink, bool]:
    """The output file, locked and not changed yet, and whether it is begun anew because the one of this name is gone.

    The one that the checkpoint names (`committed`) goes on after the length that counts, under another path, too, or
    is begun anew where it is gone. Any other file must not exist yet, or is replaced with `overwrite`. Raises
    OutputError.
    """
    if committed is None:
        return FileSink.create(path, overwrite=overwrite), False
    is_known = committed.path == os.path.abspath(path)
    if not os.path.lexists(path):
        return FileSink.create(path), is_known and committed.length > 0
    if is_known:
        return FileSink.resume(path, committed), False
    moved = FileSink.recognize(path, committed)
    if moved is None:
        raise OutputExists(
            'The output file exists already, and is not the one that the checkpoint names.',
            path=os.path.abspath(path),
            recorded_path=committed.path,
        )
    return moved, False


def _service_lines(events: list[Event]) -> list[bytes]:
    return [event.line for event in events]
