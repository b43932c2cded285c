"""Instants as the service counts them: ticks of 100 ns since 0001-01-01T00:00:00 UTC.

Owned: the wall clock in ticks, the service's timestamp text, the HTTP date, and what .NET reads as a time with a zone.
Not owned: the reader's conversions in `dicomfeed.times`. They are written twice on purpose: an emulator that shared
them would share their mistakes.
"""

from __future__ import annotations

import re
import time
from datetime import date
from functools import lru_cache

PER_SECOND = 10_000_000
PER_MINUTE = 60 * PER_SECOND
PER_DAY = 86_400 * PER_SECOND
UNIX_EPOCH = date(1970, 1, 1).toordinal() * PER_DAY - PER_DAY
LAST = date(9999, 12, 31).toordinal() * PER_DAY - 1

_MONTHS = ('jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec')
_DAYS = ('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun')
_ISO = re.compile(
    r'(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d+))?)?)?'
    r' *(Z|[+-]\d{1,2}(?::\d{1,2})?)?',
    re.IGNORECASE | re.ASCII,
)
_RFC1123 = re.compile(r'([a-z]{3}), (\d{2}) ([a-z]{3}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT', re.IGNORECASE | re.ASCII)
_UNITED_STATES = re.compile(r'\d{1,2}/\d{1,2}/\d{4}( \d{1,2}:\d{2}(:\d{2})?( [AP]M)?)?', re.IGNORECASE | re.ASCII)


class ZoneMissing(ValueError):
    """A readable time that does not say in which zone."""


def now() -> int:
    """The wall clock."""
    return UNIX_EPOCH + time.time_ns() // 100


def timestamp_text(ticks: int, utc_offset_minutes: int = 0) -> str:
    """The instant as System.Text.Json writes a DateTimeOffset (contract 3.3).

    The fraction has 0 to 7 digits, without zeros at its end; the zone is numeric, never `Z`.
    """
    seconds, fraction = divmod(ticks + utc_offset_minutes * PER_MINUTE, PER_SECOND)
    text = f'{_second_text(seconds)}.{fraction:07d}'.rstrip('0') if fraction else _second_text(seconds)
    if not utc_offset_minutes:
        return text + '+00:00'
    hours, minutes = divmod(abs(utc_offset_minutes), 60)
    return f'{text}{"-" if utc_offset_minutes < 0 else "+"}{hours:02d}:{minutes:02d}'


def http_date(ticks: int) -> str:
    """The instant, cut to the second, as an HTTP `Date` header has it."""
    return _http_date_of_second(ticks // PER_SECOND)


def parse(text: str) -> int:
    """What .NET's invariant culture reads from `text` (contract 2.3, table of accepted and rejected forms).

    Raises ZoneMissing where only the zone is missing, ValueError for everything else that .NET would not read,
    and also for the rarer forms that it would (a month's name, a numeric date with slashes and a zone).
    """
    text = text.strip()
    if match := _RFC1123.fullmatch(text):
        return _rfc1123_ticks(*match.groups())
    if _UNITED_STATES.fullmatch(text):
        raise ZoneMissing(text)
    if not (match := _ISO.fullmatch(text)):
        raise ValueError(text)
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    ticks = _ticks(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
    ticks += _fraction_ticks(fraction or '0')
    if zone is None:
        raise ZoneMissing(text)
    ticks -= _zone_minutes(zone) * PER_MINUTE
    if not 0 <= ticks <= LAST:
        raise ValueError(text)
    return ticks


def _fraction_ticks(digits: str) -> int:
    """More than 7 digits are rounded."""
    if len(digits) <= 7:
        return int(digits.ljust(7, '0'))
    return int(digits[:7]) + (digits[7] >= '5')


def _zone_minutes(zone: str) -> int:
    if zone in 'zZ':
        return 0
    hours, _, minutes = zone[1:].partition(':')
    total = int(hours) * 60 + int(minutes or 0)
    if total > 14 * 60 or int(minutes or 0) > 59:
        raise ValueError(zone)
    return -total if zone[0] == '-' else total


def _rfc1123_ticks(weekday: str, day: str, month: str, year: str, hour: str, minute: str, second: str) -> int:
    month_number = _MONTHS.index(month.lower()) + 1
    if date(int(year), month_number, int(day)).weekday() != _DAYS.index(weekday.lower()):
        raise ValueError(weekday)
    return _ticks(int(year), month_number, int(day), int(hour), int(minute), int(second))


def _ticks(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError('time of day')
    days = date(year, month, day).toordinal() - 1
    return days * PER_DAY + (hour * 3600 + minute * 60 + second) * PER_SECOND


@lru_cache(maxsize=8192)
def _second_text(second: int) -> str:
    return f'{date.fromordinal(second // 86_400 + 1).isoformat()}T{_time_text(second % 86_400)}'


@lru_cache(maxsize=64)
def _http_date_of_second(second: int) -> str:
    day = date.fromordinal(second // 86_400 + 1)
    # Not strftime: it would write the names of the machine's locale.
    return (
        f'{_DAYS[day.weekday()].title()}, {day.day:02d} {_MONTHS[day.month - 1].title()} '
        f'{day.year:04d} {_time_text(second % 86_400)} GMT'
    )


def _time_text(second: int) -> str:
    return f'{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}'
