"""What the service makes of a query string: ASP.NET's and .NET's reading of names, numbers, booleans and times.

Owns: contract, section 2, and the texts of 4.2 that name a parameter.
Does not own: what is done with the values.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from tests.emulator import ticks

_INTEGER = re.compile(r'[+-]?\d+', re.ASCII)
_INT32 = 2**31 - 1
_INT64 = 2**63 - 1


class BadQuery(Exception):
    """A 400; its text is the body."""


@dataclass(frozen=True)
class Page:
    """A list request. `start` and `end` are ticks; None: a list by sequence, as v1 has it."""

    offset: int
    limit: int
    metadata: bool
    start: int | None = None
    end: int | None = None


def read_query(query: str) -> dict[str, str]:
    """Lower-case names and their first values. Raises BadQuery for a `<`, however it is written."""
    if not query:
        return {}
    if '<' in unquote(query):
        raise BadQuery('The query string holds a character that is not allowed.')
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name.lower(), value)
    return values


def sequence_page(values: Mapping[str, str]) -> Page:
    """The parameters of the v1 list; others are ignored."""
    return Page(
        offset=_integer(values, 'offset', 0, minimum=0, maximum=_INT64, bits=64),
        limit=_integer(values, 'limit', 10, minimum=1, maximum=100, bits=32),
        metadata=include_metadata(values),
    )


def time_page(values: Mapping[str, str]) -> Page:
    """The parameters of the v2 list; others are ignored."""
    start = _time(values, 'StartTime', 0)
    end = _time(values, 'EndTime', ticks.LAST)
    page = Page(
        offset=_integer(values, 'Offset', 0, minimum=0, maximum=_INT64, bits=64),
        limit=_integer(values, 'Limit', 100, minimum=1, maximum=200, bits=32),
        metadata=include_metadata(values),
        start=start,
        end=end,
    )
    if start >= end:
        raise BadQuery("Specified argument was out of the range of valid values. (Parameter 'startTime')")
    return page


def include_metadata(values: Mapping[str, str]) -> bool:
    """True unless the caller says no."""
    value = values.get('includemetadata', 'true')
    known = {'true': True, 'false': False}.get(value.strip().lower())
    if known is None:
        raise _bad('includeMetadata', f"The value '{value}' is not valid.")
    return known


def _integer(values: Mapping[str, str], name: str, default: int, *, minimum: int, maximum: int, bits: int) -> int:
    value = values.get(name.lower())
    if value is None:
        return default
    number = int(value) if len(value) < 100 and _INTEGER.fullmatch(value.strip()) else None
    if number is None or not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        raise _bad(name, f"The value '{value}' is not valid.")
    if not minimum <= number <= maximum:
        raise _bad(name, f'The field {name} must be between {minimum} and {_as_double(maximum)}.')
    return number


def _as_double(number: int) -> str:
    """The service's range check counts in doubles, and its message shows it."""
    return str(number) if number <= _INT32 else f'{float(number):.17E}'


def _time(values: Mapping[str, str], name: str, default: int) -> int:
    value = values.get(name.lower(), '').strip()
    if not value:
        return default
    try:
        return ticks.parse(value)
    except ticks.ZoneMissing:
        raise _bad(name, 'The time must name its zone.') from None
    except ValueError:
        raise _bad(name, '') from None


def _bad(name: str, reason: str) -> BadQuery:
    return BadQuery(f"Invalid query: '{name}'. {html.escape(reason, quote=False)}")
