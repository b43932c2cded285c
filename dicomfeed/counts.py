"""Counting events instead of listing them: by hour, by day, or by study.

Buckets of time need a number for each hour or day of the feed, however many events there are; studies need one for each
study.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dicomfeed.events import Event
from dicomfeed.events import field as property_of
from dicomfeed.times import TICKS_PER_DAY, TICKS_PER_SECOND, Ticks, format_timestamp

BY_HOUR, BY_DAY, BY_STUDY = 'hour', 'day', 'study'
_WIDTHS = {BY_HOUR: 3_600 * TICKS_PER_SECOND, BY_DAY: TICKS_PER_DAY}
_TEXT_LENGTHS = {BY_HOUR: len('2026-01-31T09'), BY_DAY: len('2026-01-31')}
_COUNTED = {'create': 'created', 'update': 'updated', 'delete': 'deleted'}
MOST_EMPTY_BUCKETS = 10_000


@dataclass
class _Bucket:
    """What happened in one hour, on one day, or to one study; an action of another name is only an event."""

    created: int = 0
    updated: int = 0
    deleted: int = 0
    events: int = 0
    first: Ticks | None = None
    last: Ticks | None = None

    def add(self, action: str, ticks: Ticks) -> None:
        self.events += 1
        counted = _COUNTED.get(action.lower())
        if counted is not None:
            setattr(self, counted, getattr(self, counted) + 1)
        self.first = ticks if self.first is None else min(self.first, ticks)
        self.last = ticks if self.last is None else max(self.last, ticks)


@dataclass
class Counts:
    """Counters by bucket.

    :ivar by: `hour` or `day`, in UTC, or `study`.
    """

    by: str
    _buckets: dict[Any, _Bucket] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Count one event."""
        fields = event.fields
        ticks = event.ticks
        key = ticks // _WIDTHS[self.by] if self.by in _WIDTHS else str(property_of(fields, 'studyInstanceUid'))
        self._buckets.setdefault(key, _Bucket()).add(str(property_of(fields, 'action')), ticks)

    def rows(self) -> list[dict[str, Any]]:
        """One row a bucket: hours and days in their order, with empty ones between; studies by their first event."""
        if self.by in _WIDTHS:
            return [self._row(self._text(number), self._buckets.get(number, _Bucket())) for number in self._numbers()]
        first_to_last = sorted(self._buckets.items(), key=lambda item: item[1].first or 0)
        return [self._row(study, bucket) for study, bucket in first_to_last]

    def _numbers(self) -> list[int]:
        """The hours or days to show: quiet ones as well, unless there are so many that nobody would look at them."""
        numbers = sorted(self._buckets)
        if not numbers or numbers[-1] - numbers[0] - len(numbers) > MOST_EMPTY_BUCKETS:
            return numbers
        return list(range(numbers[0], numbers[-1] + 1))

    def _text(self, number: int) -> str:
        text = format_timestamp(number * _WIDTHS[self.by])[: _TEXT_LENGTHS[self.by]]
        return f'{text}:00Z' if self.by == BY_HOUR else text

    def _row(self, name: str, bucket: _Bucket) -> dict[str, Any]:
        return {
            self.by: name,
            'created': bucket.created,
            'updated': bucket.updated,
            'deleted': bucket.deleted,
            'events': bucket.events,
            'firstTime': None if bucket.first is None else format_timestamp(bucket.first),
            'lastTime': None if bucket.last is None else format_timestamp(bucket.last),
        }
