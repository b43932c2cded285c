"""Stable studies: events grouped into rows, one for each study in which no event followed another for a while.

The service has no event for "this study has arrived", so it is concluded from the feed's own times. Rows depend on the
events alone, and a row is handed out only when nothing can join it any more: not a poll, a kill or the order of reading
decides where a row ends. Owned: the grouping, and the snapshot from which it goes on. Not owned: reading, whose clock
it is (`StableStudies.begin_poll` says which is meant), where rows go, the file in which a snapshot is kept.
"""

from __future__ import annotations

import hashlib
import json
import sys
from array import array
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush, heapreplace
from operator import itemgetter
from typing import Any, NamedTuple

from dicomfeed.events import LAST_SEQUENCE, UID_NAMES, Event, Identity
from dicomfeed.events import field as property_of
from dicomfeed.times import FIRST_TICK, LAST_TICK, TICKS_PER_DAY, Ticks, format_timestamp

Row = dict[str, Any]

BY_STUDY, BY_SERIES = 'study', 'series'


class OpenRow(NamedTuple):
    """A row that is not handed out yet, as a snapshot lists it.

    `digest` is 64 bits of partition and UIDs; `first` is the timestamp of the row's first event.
    """

    digest: int
    first: Ticks


@dataclass(frozen=True)
class Snapshot:
    """From where another `StableStudies` goes on. Valid only together with the rows handed out by then.

    :ivar cursor: read again from the event after this sequence number on. Below every event that isn't in a row yet.
    :ivar last: the last event read, or the newest one at the start when none was read yet. A restored database is
        found out by it, not by the event at the cursor.
    :ivar mark: events up to this time are in rows. `FIRST_TICK`: none is.
    :ivar open: the rows that events up to `last` can belong to; all other events up to the mark have been handed out.
    """

    cursor: int = 0
    last: Identity | None = None
    mark: Ticks = FIRST_TICK
    open: tuple[OpenRow, ...] = ()

    @property
    def repeats_events(self) -> bool:
        """Whether events above the cursor were read before. Not at a fresh start, where nothing is in a row yet."""
        return self.mark > FIRST_TICK and self.last is not None and self.last[0] > self.cursor

    @property
    def closed_through(self) -> int:
        """Gaps up to this sequence number were closed when they were passed, and need not be watched once more."""
        return self.last[0] if self.repeats_events and self.last else self.cursor


class StillOpen(NamedTuple):
    """Studies or series with events in no row that was handed out.

    :ivar number: how many.
    :ivar since: the first of their events; None when there is none.
    """

    number: int
    since: Ticks | None


class StableStudies:
    """Takes events in any order, and hands out a row when a study was quiet for `stable_after`.

    Each event counts in exactly one row. As long as writers and clocks keep the settle margin, the rows and their order
    are those that all events at once would give. Memory grows with the events of the open rows (16 bytes each) and with
    those newer than the mark.

    A poll is `begin_poll`, `add` for each batch, and `complete_poll` when everything up to the newest event was added.
    A list or a window is one poll. A poll that fails is left as it is; the next one begins where its batches ended.

    :param snapshot: where to go on. Until its last event was added again, no row is handed out and nothing moves.
        A fresh start gives a `cursor`, and `last` when there is an event already.
    :param stable_after: a study is stable when no event follows within this time.
    :param settle_margin: how late events can be (`gaps.settle_margin`).
    :param level: `BY_STUDY` or `BY_SERIES`.
    :param end: end of the window, which is not part of it. What could go on after it stays open.
    """

    def __init__(
        self,
        snapshot: Snapshot | None = None,
        *,
        stable_after: Ticks,
        settle_margin: Ticks,
        level: str = BY_STUDY,
        end: Ticks = LAST_TICK,
    ) -> None:
        snapshot = snapshot or Snapshot()
        self.mark = snapshot.mark
        """Events up to this time are in rows. Never moves back."""
        self.late = 0
        """How many events came with a timestamp at or below the mark: later than the settle margin allows."""
        self._resumed = snapshot if snapshot.repeats_events else None
        self._firsts = dict(sorted(snapshot.open, reverse=True))  # of two rows of one study, the earlier one
        self._read_through, self._last = snapshot.cursor, snapshot.last
        self._stable_after = stable_after
        self._longest = max(TICKS_PER_DAY, stable_after)
        self._settle_margin = settle_margin
        self._level = level
        self._end = end
        self._newest = FIRST_TICK
        self._grouped_through = FIRST_TICK  # of what is read again; the mark, from then on
        self._poll_limit = self.mark
        self._waiting: list[_Item] = []
        self._rows: dict[_Key, list[_Row]] = {}  # of one study: apart from each other, in the order of time
        self._closing: list[tuple[Ticks, int, _Row]] = []  # one for each row; older than the row's end at times

    def begin_poll(self, service_ticks: Ticks) -> None:
        """Begin a poll for which the service's clock (`Date`) gave this time when it was asked for the newest event.

        It bounds the mark until the next poll. The local clock must have no part in it: a fast one would end rows that
        go on. Moves nothing, because the poll can still fail.
        """
        self._poll_limit = min(service_ticks - self._settle_margin, self._end)

    def add(self, read: Sequence[Event], counting: Collection[Event]) -> list[Row]:
        """Take a batch as it was read, and those events of it that count. Return the rows that closed.

        Events that the filters drop tell the time as well, and the cursor moves over them. By sequence number, batches
        come in ascending order; a window in any order, but without the snapshot's use.
        """
        if not read:
            return []
        items = [_item_of(event, self._level) for event in counting]
        self._newest = max(self._newest, read[-1].ticks)  # of the others, none is newer by much
        if self._resumed is not None:
            items = self._add_again(self._resumed, items, read_through=read[-1].sequence)
        self._read_through, self._last = read[-1].sequence, read[-1].identity
        rows = self._add_new(items)
        return rows + self._move_mark(min(self._newest - self._settle_margin, self._poll_limit))

    def complete_poll(self) -> list[Row]:
        """End a poll in which everything through the newest event was added. Return the rows that closed."""
        return self._move_mark(self._poll_limit)

    @property
    def snapshot(self) -> Snapshot:
        """From where to go on after what was handed out. Takes time in proportion to the open rows and events."""
        if self._resumed is not None:
            return self._resumed
        rows = list(self._open_rows())
        sequences = [item.sequence for item in self._waiting] + [row.first_sequence for row in rows]
        return Snapshot(
            cursor=min([self._read_through, *(sequence - 1 for sequence in sequences)]),
            last=self._last,
            mark=self.mark,
            open=tuple(OpenRow(_digest_of(row.key), row.first) for row in rows),
        )

    @property
    def still_open(self) -> StillOpen:
        """What a list or a window leaves out."""
        rows = list(self._open_rows())
        keys = {row.key for row in rows} | {item.key for item in self._waiting}
        firsts = [row.first for row in rows] + [item.ticks for item in self._waiting]
        return StillOpen(len(keys), min(firsts, default=None))

    def _add_again(self, resumed: Snapshot, items: list[_Item], *, read_through: int) -> list[_Item]:
        """Take what was read before the snapshot, unless it was handed out. Return what is new.

        They go into rows again once they are older than what was read again by the settle margin, as an event in a row
        takes far less memory than one that waits.
        """
        assert resumed.last is not None
        last = resumed.last[0]
        for item in items:
            if item.sequence <= last and not self._is_handed_out(item):
                self._add_once_more(item)
        self._grouped_through = max(self._grouped_through, min(self._newest - self._settle_margin, self.mark))
        if read_through >= last:
            self._resumed, self._grouped_through = None, self.mark
        self._group(through=self._grouped_through)
        return [item for item in items if item.sequence > last]

    def _add_once_more(self, item: _Item) -> None:
        """Let it wait; but where it comes too late for that, put it into the row that takes it, or else the first.

        So the rows of a study stay in the order of time, and one that closes first has no event that is later than the
        beginning of another one.
        """
        rows = self._rows.get(item.key)
        if item.ticks > self._grouped_through or not rows:
            self._wait(item)
        else:
            (self._row_begun_by(item) or rows[0]).add(item)

    def _is_handed_out(self, item: _Item) -> bool:
        """Whether an event that was read before the snapshot is in a row that was handed out."""
        return item.ticks <= self.mark and item.ticks < self._firsts.get(_digest_of(item.key), LAST_TICK)

    def _add_new(self, items: list[_Item]) -> list[Row]:
        """Let events wait for the mark. Return rows of those that came too late for that and for an open row."""
        late_rows: dict[_Key, _Row] = {}
        for item in items:
            if item.ticks > self.mark:
                self._wait(item)
                continue
            self.late += 1
            row = self._row_begun_by(item) or late_rows.setdefault(item.key, _Row(item.key))
            row.add(item)
        return [row.as_row() for row in sorted(late_rows.values(), key=_Row.end)]

    def _row_begun_by(self, item: _Item) -> _Row | None:
        """The last open row of the event's study that began no later than the event."""
        return next((row for row in reversed(self._rows.get(item.key, ())) if row.first <= item.ticks), None)

    def _move_mark(self, mark: Ticks) -> list[Row]:
        if self._resumed is not None:
            return []
        self.mark = max(self.mark, mark)
        self._group(through=self.mark)
        return [row.as_row() for row in self._close()]

    def _wait(self, item: _Item) -> None:
        """Keep an event for the mark, in the order of grouping, which is nearly that in which events come."""
        if self._waiting and item < self._waiting[-1]:
            insort(self._waiting, item)
        else:
            self._waiting.append(item)

    def _group(self, *, through: Ticks) -> None:
        """Put the events up to the mark into rows, in (timestamp, sequence number) order."""
        count = bisect_right(self._waiting, through, key=itemgetter(0))
        open_rows, stable_after, longest = self._rows, self._stable_after, self._longest
        for item in self._waiting[:count]:
            ticks, _, key, *_ = item
            rows = open_rows.get(key)
            if rows is None or ticks - rows[-1].last > stable_after or ticks - rows[-1].first > longest:
                rows = self._begin_row(item)
            rows[-1].add(item)
        del self._waiting[:count]

    def _begin_row(self, item: _Item) -> list[_Row]:
        """The rows of a study with a new one, after a pause or after a day.

        Without the cut after a day, a probe that stores and deletes a study every few minutes would hold the cursor
        for ever.
        """
        rows = self._rows.setdefault(item.key, [])
        if rows and item.ticks - rows[-1].last <= self._stable_after:
            rows[-1].is_stable = False
        rows.append(_Row(item.key))
        heappush(self._closing, (item.ticks, item.sequence, rows[-1]))
        return rows

    def _close(self) -> Iterator[_Row]:
        """The rows that nothing can join any more, in the order of their ends."""
        while self._closing and self.mark - self._closing[0][0] > self._stable_after:
            row = self._closing[0][2]
            if self._closing[0][:2] != row.end():
                heapreplace(self._closing, (*row.end(), row))
                continue
            heappop(self._closing)
            self._rows[row.key].remove(row)
            if not self._rows[row.key]:
                del self._rows[row.key]
            yield row

    def _open_rows(self) -> Iterator[_Row]:
        return (row for rows in self._rows.values() for row in rows)


_Key = tuple[str | None, str, str | None]
"""What the events of a row have in common: partition, study, and series, which is None for rows of studies."""


class _Item(NamedTuple):
    """What counts of an event, in the order in which events are grouped."""

    ticks: Ticks
    sequence: int
    key: _Key
    action: str | None
    series_digest: int
    instance_digest: int


@dataclass(eq=False, slots=True)
class _Row:
    """A row as it grows. Of its events, only digests are kept: 8 bytes each for instance and series."""

    key: _Key
    first: Ticks = LAST_TICK
    last: Ticks = FIRST_TICK
    first_sequence: int = LAST_SEQUENCE
    last_sequence: int = 0
    actions: Counter[str | None] = field(default_factory=Counter)
    instances: array[int] = field(default_factory=lambda: array('q'))
    series: array[int] = field(default_factory=lambda: array('q'))
    is_stable: bool = True

    def add(self, item: _Item) -> None:
        ticks, sequence, _, action, series, instance = item
        if ticks < self.first:
            self.first = ticks
        if ticks > self.last:
            self.last = ticks
        if sequence < self.first_sequence:
            self.first_sequence = sequence
        if sequence > self.last_sequence:
            self.last_sequence = sequence
        self.actions[action] += 1
        self.instances.append(instance)
        self.series.append(series)

    def end(self) -> tuple[Ticks, int]:
        """By what rows are ordered. No two are the same: the sequence number is that of one of the row's events."""
        return self.last, self.last_sequence

    def as_row(self) -> Row:
        """The row as it is shown; `firstSequence` and `lastSequence` are the lowest and the highest one."""
        partition, study, series = self.key
        return {
            'studyInstanceUid': study,
            **({} if series is None else {'seriesInstanceUid': series}),
            'partitionName': partition,
            'firstTimestamp': format_timestamp(self.first),
            'lastTimestamp': format_timestamp(self.last),
            'firstSequence': self.first_sequence,
            'lastSequence': self.last_sequence,
            'events': len(self.instances),
            'created': self._count('create'),
            'updated': self._count('update'),
            'deleted': self._count('delete'),
            'instances': len(set(self.instances)),
            **({'series': len(set(self.series))} if series is None else {}),
            'stable': self.is_stable,
        }

    def _count(self, action: str) -> int:
        return sum(number for name, number in self.actions.items() if (name or '').lower() == action)


def json_lines(rows: list[Row]) -> list[bytes]:
    """The rows as lines of JSON, in ASCII."""
    return [json.dumps(row, separators=(',', ':')).encode() for row in rows]


def _item_of(event: Event, level: str) -> _Item:
    partition, study, series, instance = event.names or _decoded_names_of(event)
    return _Item(
        event.ticks,
        event.sequence,
        (partition, study, series if level == BY_SERIES else None),
        event.action,
        _fingerprint((series,)),
        _fingerprint((series, instance)),
    )


def _decoded_names_of(event: Event) -> tuple[str | None, str, str, str]:
    fields = event.decode_properties()
    partition = property_of(fields, 'partitionName')
    study, series, instance = (str(property_of(fields, name) or '') for name in UID_NAMES)
    return None if partition is None else str(partition), study, series, instance


def _digest_of(names: Iterable[str | None]) -> int:
    """64 bits that are the same for the same names in every run; JSON may have lone surrogates in a text."""
    text = '\0'.join(name or '' for name in names)
    digest = hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=8).digest()
    return int.from_bytes(digest, 'big')


_fingerprint: Callable[[tuple[str, ...]], int] = (
    hash if sys.hash_info.width >= 64 else lambda names: _digest_of(names) - 2**63
)
"""64 bits that are the same for the same names in one run; a digest costs five times as much."""
