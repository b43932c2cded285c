"""From events to a sink: which are written, when that is made to last, when the checkpoint says so.

No file is changed before the service has answered. Then the order is always: write, make the file last, then say so in
the checkpoint. So whatever ends the process, the checkpoint claims nothing that is not there. Lists of events are all
that delivery knows of a reading.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from dicomfeed.checkpoint import CheckpointWriter, Output
from dicomfeed.errors import OutputError, OutputExists
from dicomfeed.events import Event
from dicomfeed.filters import Filters
from dicomfeed.sinks import FileSink, Sink
from dicomfeed.summary import Summary
from dicomfeed.times import Clock

if TYPE_CHECKING:
    from dicomfeed.stable import StableStudies

COMMIT_SECONDS = 1.0


class Delivery:
    """Writes the events that it is given, lists of which each is final up to its last event.

    :param wanted: which events count at all, beside the filters; None: all of them.
    :param studies: groups the events, and its rows are written in their place. An empty list then says that everything
        up to the newest event was given, since its `begin_poll`.
    :param lines_of: turns events, or rows, into lines; the service's own bytes, or JSON, unless said otherwise.
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
        studies: StableStudies | None = None,
        lines_of: Callable[[list[Any]], list[bytes]] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self._sink = sink
        self._filters = filters
        self._summary = summary
        self._clock = clock
        self._wanted = wanted
        self._checkpoint = checkpoint
        self._studies = studies
        self._lines_of: Callable[[list[Any]], list[bytes]] = lines_of or (
            _service_lines if studies is None else _row_lines
        )
        self._uninterrupted = uninterrupted
        self._is_sink_intact = True
        self._has_moved = False
        self.has_lost_rows = False
        """Whether rows that closed could not be made into lines, and the grouping has gone on without them."""
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
            if self.has_begun and self._is_sink_intact and not self.has_rows_to_repeat:
                with self._uninterrupted():
                    self._commit()

    @property
    def has_rows_to_repeat(self) -> bool:
        """Whether rows come again when another run continues: those that were lost, and all since the last commit."""
        return self._checkpoint is not None and self.has_lost_rows

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
        if self._studies is None:
            self._write_events(events, delivered)
        else:
            self._write_rows(self._studies, events, delivered)
        if events:
            self.reached = events[-1]
        self._summary.count(events, delivered, deleted_not_matched=len(self._filters.deleted(counting)))
        self._has_moved = self._has_moved or bool(events)
        is_over_for_now = not events and self._has_moved  # it may be a day before the next poll
        if is_over_for_now or self._clock.monotonic() - self._committed_monotonic >= COMMIT_SECONDS:
            self._commit()

    def _write_events(self, events: list[Event], delivered: list[Event]) -> None:
        if delivered:
            self._write(self._lines_of(delivered))
        if events and self._checkpoint is not None:
            self._checkpoint.take(events[-1])

    def _write(self, lines: list[bytes]) -> None:
        self._is_sink_intact = False
        self._sink.write(lines)
        self._is_sink_intact = True

    def _write_rows(self, studies: StableStudies, events: list[Event], delivered: list[Event]) -> None:
        """Write the rows that these events close."""
        self.has_lost_rows = True
        rows = studies.add(events, delivered) if events else studies.complete_poll()
        lines = self._lines_of(rows) if rows else []
        self.has_lost_rows = False
        if lines:
            self._write(lines)
        self._has_moved = self._has_moved or bool(rows)
        self._summary.rows = (self._summary.rows or 0) + len(rows)

    def _commit(self) -> None:
        self._is_sink_intact = False
        output = self._sink.commit()
        self._is_sink_intact = True
        if self._checkpoint is not None:
            if self._studies is not None and self._has_moved:
                self._checkpoint.take_snapshot(self._studies.snapshot)
            self._checkpoint.save(output)
        self._has_moved = False
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


def _row_lines(rows: list[Any]) -> list[bytes]:
    from dicomfeed.stable import json_lines  # only a run that groups events needs it

    return json_lines(rows)


def _service_lines(events: list[Event]) -> list[bytes]:
    return [event.line for event in events]
