"""Dates and times of DICOM (DA, TM, DT) and ranges of them, as integer microseconds.

A text names a span: `2024` a year, `10` an hour. A range `A-B` goes from the first microsecond of A to the last one of
B. Owned: the grammar of these VRs (PS3.5 6.2) and of ranges. Not owned: exact text and wildcards (`matching.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_DAY = 24 * 60 * _MINUTE
_UNITS = (60 * _MINUTE, _MINUTE, _SECOND)

_DATE = r'(?P<year>\d{4})(?:(?P<month>0[1-9]|1[0-2])(?:(?P<day>0[1-9]|[12]\d|3[01])'
_TIME = r'(?P<hour>[01]\d|2[0-3])(?:(?P<minute>[0-5]\d)(?:(?P<second>[0-5]\d|60)(?:\.(?P<fraction>\d{1,6}))?)?)?'
_OFFSET_DIGITS = re.compile(r'(?:0\d|1[0-4])[0-5]\d', re.ASCII)
_OFFSET = rf'(?P<offset>[+-]{_OFFSET_DIGITS.pattern})?'
_GRAMMARS = {
    'DA': re.compile(rf'{_DATE})?)?', re.ASCII),
    'TM': re.compile(_TIME, re.ASCII),
    'DT': re.compile(rf'{_DATE}(?:{_TIME})?)?)?{_OFFSET}', re.ASCII),
}
# As they were written before DICOM 3.0, and still are here and there.
_OLD_SEPARATORS = {'DA': '.', 'TM': ':'}


@dataclass(frozen=True)
class Span:
    """The time that a text names, in microseconds by the clock of its zone, ends included.

    :ivar offset: that of the zone from UTC in microseconds; None where the text has none.
    """

    first: int
    last: int
    offset: int | None = None


@dataclass(frozen=True)
class Range:
    """From the first microsecond of `start` to the last one of `end`; either may be missing, not both."""

    start: Span | None
    end: Span | None

    def holds(self, value: Span) -> bool:
        """Whether the value begins in the range."""
        after = self.start is None or _between(self.start, self.start.first, value) >= 0
        return after and (self.end is None or _between(self.end, self.end.last, value) <= 0)


def parse_span(text: str, vr: str) -> Span | None:
    """What the text names as a DA, TM or DT; None where it is none."""
    match = _GRAMMARS[vr].fullmatch(text.replace(_OLD_SEPARATORS[vr], '') if vr in _OLD_SEPARATORS else text)
    if match is None:
        return None
    parts = match.groupdict()
    days = _days(parts)
    if days is None:
        return None
    first_day, last_day = days
    first, length = _time_of_day(parts)
    return Span(first_day * _DAY + first, last_day * _DAY + first + length - 1, _offset(parts.get('offset')))


def parse_range(text: str, vr: str) -> Range | None:
    """The range `A-B`, `A-` or `-B`; None where the text is none, or A is later than B.

    In DT a hyphen before the last four digits belongs to an offset from UTC if they can be one: `2023-0500` is no
    range, `2023-2024` is one.
    """
    for place in range(len(text) - 1, -1, -1):
        if text[place] == '-':
            found = _range(text[:place], text[place + 1 :], vr)
            if found:
                return found
    return None


def is_same_time(value: Span, other: Span) -> bool:
    """Whether both begin at one time, although they are written with different offsets from UTC."""
    return None not in (value.offset, other.offset) and _between(value, value.first, other) == 0


def _range(start: str, end: str, vr: str) -> Range | None:
    if vr == 'DT' and _OFFSET_DIGITS.fullmatch(end):
        return None
    first, last = (parse_span(text, vr) if text else None for text in (start, end))
    if (first is None and last is None) or bool(start) != bool(first) or bool(end) != bool(last):
        return None
    if first and last and _between(first, first.first, last) < 0:
        return None
    return Range(first, last)


def _between(span: Span, place: int, value: Span) -> int:
    """Microseconds from that place in the span to the beginning of the value.

    Where one of them has no offset from UTC, it is taken to be the other one's.
    """
    zones = 0 if span.offset is None or value.offset is None else span.offset - value.offset
    return value.first - place + zones


def _days(parts: dict[str, str | None]) -> tuple[int, int] | None:
    """The first and the last day that a date names; 0 without a date. A 31st of June is the 1st of July."""
    year, month, day = parts.get('year'), parts.get('month'), parts.get('day')
    if year is None:
        return 0, 0
    if year == '0000':
        return None
    first = date(int(year), int(month or 1), 1).toordinal() + int(day or 1) - 1
    return first, first if day else _last_day(int(year), int(month or 12))


def _last_day(year: int, month: int) -> int:
    return date(year, 12, 31).toordinal() if month == 12 else date(year, month + 1, 1).toordinal() - 1


def _time_of_day(parts: dict[str, str | None]) -> tuple[int, int]:
    """Where a time begins in its day, and how long it is; a leap second is the 59th. Without a time, the whole day."""
    names = ('hour', 'minute', 'second')
    given = [
        (min(59, int(parts.get(name) or 0)), unit) for name, unit in zip(names, _UNITS, strict=True) if parts.get(name)
    ]
    first = sum(number * unit for number, unit in given)
    fraction = parts.get('fraction')
    if fraction:
        return first + int(fraction.ljust(6, '0')), 10 ** (6 - len(fraction))
    return first, given[-1][1] if given else _DAY


def _offset(text: str | None) -> int | None:
    if text is None:
        return None
    minutes = int(text[1:3]) * 60 + int(text[3:5])
    return (-minutes if text[0] == '-' else minutes) * _MINUTE
