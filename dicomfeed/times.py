"""Time as the change feed counts it: integer ticks of 100 ns since 0001-01-01T00:00:00Z, and the texts for them.

The service's timestamps have seven fraction digits (DATETIMEOFFSET(7)); `datetime` has six and would lose one, so it
never touches a timestamp here. Owned: ticks and their texts, what a user may type for a time or a duration, the
clocks. Not owned: what is settled (`gaps.py`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import date
from functools import cache, lru_cache
from typing import NamedTuple

Ticks = int

TICKS_PER_SECOND = 10_000_000
TICKS_PER_DAY = 86_400 * TICKS_PER_SECOND
FIRST_TICK: Ticks = 0
LAST_TICK: Ticks = date.max.toordinal() * TICKS_PER_DAY - 1
"""9999-12-31T23:59:59.9999999Z, the service's default end of time."""

_LAST_DAY = date.max.toordinal() - 1  # the first and the last day are left out: a zone could lead beyond
_EPOCH_TICKS = (date(1970, 1, 1).toordinal() - 1) * TICKS_PER_DAY
_UTC_LENGTH = len('2026-01-31T09:30:00.1234567')
_UNIT_SECONDS = {'w': 604_800, 'd': 86_400, 'h': 3_600, 'm': 60, 's': 1}


class Clock(NamedTuple):
    """The clocks of a reader; a test gives its own."""

    now: Callable[[], Ticks] = lambda: ticks_from_epoch(time.time())
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def ticks_from_epoch(seconds: float) -> Ticks:
    """Ticks of a time that `time.time()` gave."""
    return _EPOCH_TICKS + round(seconds * TICKS_PER_SECOND)


def epoch_seconds(ticks: Ticks) -> float:
    """The reverse of `ticks_from_epoch`, for clocks and displays; too coarse for a cursor."""
    return (ticks - _EPOCH_TICKS) / TICKS_PER_SECOND


def ticks_from_seconds(seconds: float) -> Ticks:
    """A length of time in ticks."""
    return round(seconds * TICKS_PER_SECOND)


def is_timestamp(text: str) -> bool:
    """Whether `parse_timestamp` can read the text; a quarter of its cost, for every event of every page."""
    return _service_form().fullmatch(text) is not None and 0 < _day_number(text[:10]) < _LAST_DAY


def parse_timestamp(text: str) -> Ticks:
    """The time that a timestamp of the service names: `2024-05-01T10:20:30.1234567+00:00`.

    Zero to seven fraction digits, any zone. Raises ValueError for anything else, a missing zone included: the service
    always writes one; and for the first and the last day of the calendar.
    """
    match = _typed_form().fullmatch(text)
    if match is None or not is_timestamp(text):
        raise ValueError('not a timestamp with a time zone')
    return _ticks_of(match)


def ticks_of_checked(timestamp: str) -> Ticks:
    """What `parse_timestamp` gives for a text that `is_timestamp` has taken, at a tenth of its cost for most.

    The service nearly always writes UTC, and stores many events in a minute.
    """
    if not timestamp.endswith('+00:00'):
        return parse_timestamp(timestamp)
    ticks = f'{timestamp[17:19]}{timestamp[20:-6]}'.ljust(9, '0')  # two digits of seconds, up to seven of a fraction
    return _ticks_of_minute(timestamp[:16]) + int(ticks)


def format_timestamp(ticks: Ticks) -> str:
    """A text that the service takes for exactly this time: seven fraction digits, UTC.

    Raises ValueError outside the years 1 to 9999.
    """
    if not FIRST_TICK <= ticks <= LAST_TICK:
        raise ValueError('outside the years 1 to 9999')
    days, rest = divmod(ticks, TICKS_PER_DAY)
    seconds, fraction = divmod(rest, TICKS_PER_SECOND)
    day = date.fromordinal(days + 1)
    return f'{day.isoformat()}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:07}Z'


def utc_text(timestamp: str) -> str:
    """A timestamp of the service in the one form of `format_timestamp`, in which texts sort as times do.

    The service nearly always writes UTC and seven digits, and then nothing has to be computed.
    """
    if len(timestamp) == _UTC_LENGTH + 6 and timestamp.endswith('+00:00') and timestamp[10] == 'T':
        return f'{timestamp[:_UTC_LENGTH]}Z'
    return format_timestamp(parse_timestamp(timestamp))


def parse_time(text: str, *, now: Ticks) -> Ticks:
    """The time that a user typed: ISO 8601, a date, `now`, or an age, which is a duration without a sign.

    A time without a zone is UTC, a date is its first tick, an age counts back from `now`, but not beyond year 1.
    Fraction digits after the seventh are rounded up: no event lies between two ticks, so both bounds of a window stay
    exact. Blanks around the text do not count. Raises ValueError for anything else.
    """
    text = text.strip()
    if text.lower() == 'now':
        return now
    match = _typed_form().fullmatch(text)
    if match is None:
        return max(FIRST_TICK, now - ticks_from_seconds(parse_duration(text)))
    return _ticks_of(match)


def parse_duration(text: str) -> float:
    """Seconds of a duration: `90s`, `15m`, `2h`, `3d`, `1w`, fractions (`1.5h`) and sums (`1h30m`).

    In a sum each unit stands once at most, the longest first. Letter case and blanks around the text do not count.
    Raises ValueError for anything else.
    """
    match = re.fullmatch(
        ''.join(f'(?:([0-9]{{1,9}}(?:[.][0-9]{{1,9}})?){unit})?' for unit in 'wdhms'), text.strip().lower()
    )
    if match is None or match.lastindex is None:
        raise ValueError('not a duration')
    return sum(
        float(number) * seconds for number, seconds in zip(match.groups('0'), _UNIT_SECONDS.values(), strict=True)
    )


def parse_http_date(text: str | None) -> Ticks | None:
    """The time in a `Date` header (whole seconds), or None where there is none that can be read."""
    from email.utils import parsedate_to_datetime  # a run without an answer does not need it

    if not text:
        return None
    try:
        return ticks_from_epoch(parsedate_to_datetime(text).timestamp())
    except (ValueError, OverflowError, TypeError):
        return None


@cache
def _service_form() -> re.Pattern[str]:
    """What a timestamp of the service looks like. Compiled when the first is read, not when the module is loaded."""
    return re.compile(
        r'\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,7})?'
        r'(?:[Zz]|[+-](?:0\d|1[0-4]):[0-5]\d)',
        re.ASCII,
    )


@cache
def _typed_form() -> re.Pattern[str]:
    """What a time may look like where a person types it; every timestamp of the service does, too."""
    return re.compile(
        r'(\d{4})-(\d\d)-(\d\d)'
        r'(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s*(?:([Zz])|([+-])(\d\d):?(\d\d)?)?)?',
        re.ASCII,
    )


@lru_cache(maxsize=1024)
def _day_number(text: str) -> int:
    try:
        return date.fromisoformat(text).toordinal() - 1
    except ValueError:  # the 30th of February
        return 0


@lru_cache(maxsize=1024)
def _ticks_of_minute(text: str) -> Ticks:
    return parse_timestamp(f'{text}:00Z')


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
    digits = fraction or ''
    ticks += int(digits[:7].ljust(7, '0')) + bool(digits[7:].strip('0'))
    if not FIRST_TICK <= ticks <= LAST_TICK:
        raise ValueError('outside the years 1 to 9999')
    return ticks
