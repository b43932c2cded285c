"""Counting events instead of listing them: by hour, by day, or by study.

Buckets of time need a counter for each hour or day of the feed, however many events there are; studies need one for
each study.
"""

from __future__ import annotations

from typing import Any

from dicomfeed.events import Event, field
from dicomfeed.times import TICKS_PER_DAY, TICKS_PER_SECOND, format_timestamp, parse_timestamp, utc_text

BY_HOUR, BY_DAY, BY_STUDY = 'hour', 'day', 'study'
MOST_EMPTY_BUCKETS = 10_000

_WIDTHS = {BY_HOUR: 3_600 * TICKS_PER_SECOND, BY_DAY: TICKS_PER_DAY}
_TEXT_LENGTHS = {BY_HOUR: len('2026-01-31T09'), BY_DAY: len('2026-01-31')}
_COUNTED = {'create': 'created', 'update': 'updated', 'delete': 'deleted'}


class _Bucket:
    """What happened in one hour, on one day, or to one study: events by action, first and last timestamp in UTC."""

    __slots__ = ('actions', 'first', 'last')

    def __init__(self) -> None:
        self.actions: dict[str, int] = {}
        self.first = ''
        self.last = ''

    def add(self, action: str, timestamp: str) -> None:
        self.actions[action] = self.actions.get(action, 0) + 1
        if not self.first or timestamp < self.first:
            self.first = timestamp
        if timestamp > self.last:
            self.last = timestamp


class Counts:
    """Counters by bucket.

    :param by: `hour` or `day`, in UTC, or `study`.
    """

    def __init__(self, by: str) -> None:
        self._by = by
        self._text_length = _TEXT_LENGTHS.get(by)
        self._buckets: dict[str, _Bucket] = {}

    def add(self, event: Event) -> None:
        """Count one event; an action of another name than the three is only an event."""
        timestamp = utc_text(event.timestamp)
        name = _study_of(event) if self._text_length is None else timestamp[: self._text_length]
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket()
        bucket.add(event.action or '', timestamp)

    def rows(self) -> list[dict[str, Any]]:
        """One row a bucket: hours and days in their order, with empty ones between; studies by their first event."""
        if self._text_length is not None:
            return [self._row(name, self._buckets.get(name, _Bucket())) for name in self._times()]
        first_to_last = sorted(self._buckets.items(), key=lambda item: item[1].first)
        return [self._row(study, bucket) for study, bucket in first_to_last]

    def _times(self) -> list[str]:
        """The hours or days to show: quiet ones as well, unless there are so many that nobody would look at them."""
        names = sorted(self._buckets)
        if not names:
            return names
        width = _WIDTHS[self._by]
        first, last = (parse_timestamp(self._buckets[name].first) // width for name in (names[0], names[-1]))
        if last - first - len(names) > MOST_EMPTY_BUCKETS:
            return names
        return [format_timestamp(number * width)[: self._text_length] for number in range(first, last + 1)]

    def _row(self, name: str, bucket: _Bucket) -> dict[str, Any]:
        counted = dict.fromkeys(_COUNTED.values(), 0)
        for action, events in bucket.actions.items():
            if action.lower() in _COUNTED:
                counted[_COUNTED[action.lower()]] += events
        return {
            self._by: f'{name}:00Z' if self._by == BY_HOUR else name,
            **counted,
            'events': sum(bucket.actions.values()),
            'firstTimestamp': bucket.first or None,
            'lastTimestamp': bucket.last or None,
        }


def _study_of(event: Event) -> str:
    return str(field(event.decode_properties(), 'studyInstanceUid'))
