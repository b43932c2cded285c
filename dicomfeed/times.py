"""Time as the change feed counts it: integer ticks of 100 ns since 0001-01-01T00:00:00Z, and the texts for them.

The service's timestamps have seven fraction digits (DATETIMEOFFSET(7)); `datetime` has six and would cut one off, so
it never touches a timestamp here. Owned: ticks and their texts, what a user may type for a time, the clocks.
Not owned: what is settled (`gaps.py`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from email.utils import parsedate_to_datetime
from functools import lru_cache

Ticks = int

TICKS_PER_SECOND = 10_000_000
TICKS_PER_DAY = 86_400 * TICKS_PER_SECOND
FIRST_TICK: Ticks = 0
LAST_TICK: Ticks = date.max.toordinal() * TICKS_PER_DAY - 1
"""9999-12-31T23:59:59.9999999Z, the service's default end of time."""

_LAST_DAY = date.max.toordinal() - 1  # the first and the last day are left out: a zone could lead beyond
_EPOCH_TICKS = (date(1970, 1, 1).toordinal() - 1) * TICKS_PER_DAY
_TIMESTAMP = re.compile(
    r'(\d{4})-(\d\d)-(\d\d)'
    r'(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,7}))?)?\s*(?:([Zz])|([+-])(\d\d):?(\d\d)?)?)?',
    re.ASCII,
)
_SERVICE_TIMESTAMP = re.compile(
    r'\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,7})?(?:[Zz]|[+-](?:0\d|1[0-4]):[0-5]\d)', re.ASCII
)
_AGE = re.compile(r'(\d{1,9})([smhdw])', re.ASCII)
_UNIT_SECONDS = {'s': 1, 'm': 60, 'h': 3_600, 'd': 86_400, 'w': 604_800}


@dataclass(frozen=True)
class Clock:
    """The clocks of a reader; a test gives its own."""

    now: Callable[[], Ticks] = lambda: ticks_from_epoch(time.time())
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def ticks_from_epoch(seconds: float) -> Ticks:
    """Ticks of a moment that `time.time()` gave."""
    return _EPOCH_TICKS + round(seconds * TICKS_PER_SECOND)


def epoch_seconds(ticks: Ticks) -> float:
    """The reverse of `ticks_from_epoch`, for clocks and displays; too coarse for a cursor."""
    return (ticks - _EPOCH_TICKS) / TICKS_PER_SECOND


def ticks_from_seconds(seconds: float) -> Ticks:
    """A length of time in ticks."""
    return round(seconds * TICKS_PER_SECOND)


def is_timestamp(text: str) -> bool:
    """Whether `parse_timestamp` can read the text; a quarter of its cost, for every event of every page."""
    return _SERVICE_TIMESTAMP.fullmatch(text) is not None and 0 < _day_number(text[:10]) < _LAST_DAY


def parse_timestamp(text: str) -> Ticks:
    """The moment that a timestamp of the service names: `2024-05-01T10:20:30.1234567+00:00`.

    Zero to seven fraction digits, any zone. Raises ValueError for anything else, a missing zone included: the service
    always writes one; and for the first and the last day of the calendar.
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is None or not is_timestamp(text):
        raise ValueError('not a timestamp with a time zone')
    return _ticks_of(match)


def format_timestamp(ticks: Ticks) -> str:
    """A text that the service takes for exactly this moment: seven fraction digits, UTC.

    Raises ValueError outside the years 1 to 9999.
    """
    if not FIRST_TICK <= ticks <= LAST_TICK:
        raise ValueError('outside the years 1 to 9999')
    days, rest = divmod(ticks, TICKS_PER_DAY)
    seconds, fraction = divmod(rest, TICKS_PER_SECOND)
    day = date.fromordinal(days + 1)
    return f'{day.isoformat()}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:07}Z'


def parse_moment(text: str, *, now: Ticks) -> Ticks:
    """The moment that a user typed: ISO 8601 with up to seven fraction digits, a date, `now`, or an age as in `90s`.

    A time without a zone is UTC, a date is its first moment, an age counts back from `now` (units s, m, h, d, w; not
    before year 1). Raises ValueError for anything else.
    """
    if text.lower() == 'now':
        return now
    age = _AGE.fullmatch(text.lower())
    if age:
        return max(FIRST_TICK, now - int(age[1]) * _UNIT_SECONDS[age[2]] * TICKS_PER_SECOND)
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError('neither a time nor an age')
    return _ticks_of(match)


def parse_http_date(text: str | None) -> Ticks | None:
    """The moment in a `Date` header (whole seconds), or None where there is none that can be read."""
    if not text:
        return None
    try:
        return ticks_from_epoch(parsedate_to_datetime(text).timestamp())
    except (ValueError, OverflowError, TypeError):
        return None


@lru_cache(maxsize=1024)
def _day_number(text: str) -> int:
    try:
        return date.fromisoformat(text).toordinal() - 1
    except ValueError:  # the 30th of February
        return 0


def _ticks_of(match: re.Match[str]) -> Ticks:
    year, month, day, hour, minute, second, fraction, _, sign, zone_hours, zone_minutes = match.groups()
    days = date(int(year), int(month), int(day)).toordinal() - 1
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    if hours > 23 or minutes > 59 or seconds > 59 or int(zone_hours or 0) > 14 or int(zone_minutes or 0) > 59:
        raise ValueError('not a time of day')
    offset_minutes = int(zone_hours or 0) * 60 + int(zone_minutes or 0)
    if sign == '-':
        offset_minutes = -offset_minutes
    ticks = (days * 86_400 + hours * 3_600 + (minutes - offset_minutes) * 60 + seconds) * TICKS_PER_SECOND
    ticks += int((fraction or '').ljust(7, '0'))
    if not FIRST_TICK <= ticks <= LAST_TICK:
        raise ValueError('outside the years 1 to 9999')
    return ticks
