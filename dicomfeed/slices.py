"""Values in JSON text, as the text they came in: the members of an object and the items of an array.

What is written again is a slice of the service's own text, so a number keeps its digits and a text its escapes,
whatever they are. Owned: finding the slices, and decoding one. Not owned: what they mean.
"""

from __future__ import annotations

import json
from collections.abc import Container
from typing import Any

from dicomfeed.events import characters, expect_end, refuse_constant, skip_blanks


def members(data: bytes, names: Container[str] | None = None) -> dict[str, bytes]:
    """The members of a JSON object in UTF-8, name to text, in their order: those with these names, or all.

    A name that is not ASCII is not decoded. Raises ValueError for anything else, for nesting without end, and where one
    of the names occurs twice: of two values, each reader may take another one.
    """
    text = characters(data)
    found: dict[str, bytes] = {}
    first = position = _after_opening(text, '{')
    while not text.startswith('}', position):
        start = position if position == first else _after_comma(text, position)
        name, position = _scan_value(text, start)
        position = skip_blanks(text, position)
        if not text.startswith('"', start) or not text.startswith(':', position):
            raise ValueError('not an object')
        if name in found:
            raise ValueError('a name occurs twice in an object')
        start = skip_blanks(text, position + 1)
        _, end = _scan_value(text, start)
        if names is None or name in names:
            found[name] = data[start:end]
        position = skip_blanks(text, end)
    expect_end(text, position + 1)
    return found


def items(data: bytes) -> list[bytes]:
    """The items of a JSON array in UTF-8. Raises ValueError as `members` does."""
    text = characters(data)
    found: list[bytes] = []
    position = _after_opening(text, '[')
    while not text.startswith(']', position):
        start = _after_comma(text, position) if found else position
        _, end = _scan_value(text, start)
        found.append(data[start:end])
        position = skip_blanks(text, end)
    expect_end(text, position + 1)
    return found


def decode(data: bytes) -> Any:
    """The value, its numbers as the text that they are. Raises ValueError as `members` does, at any depth."""
    try:
        return _DECODER.decode(data.decode('utf-8'))
    except RecursionError:
        pass
    except ValueError:  # which holds the text
        pass
    raise ValueError('not JSON, nested without end, or a name occurs twice in an object')


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError('a name occurs twice in an object')
    return found


_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=refuse_constant, object_pairs_hook=_unique)
# The C scanner behind `raw_decode`: it says where a value ends.
_scan = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=refuse_constant).scan_once  # type: ignore[attr-defined]


def _scan_value(text: str, start: int) -> tuple[Any, int]:
    try:
        value, end = _scan(text, start)
        return value, end
    except (StopIteration, RecursionError, ValueError):  # which hold the text
        pass
    raise ValueError('not JSON, or nested without end')


def _after_opening(text: str, bracket: str) -> int:
    start = skip_blanks(text, 0)
    if not text.startswith(bracket, start):
        raise ValueError('another kind of value')
    return skip_blanks(text, start + 1)


def _after_comma(text: str, position: int) -> int:
    if not text.startswith(',', position):
        raise ValueError('no comma between two values')
    return skip_blanks(text, position + 1)
