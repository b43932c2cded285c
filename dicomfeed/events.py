"""One event of the change feed, and how a page of them is read from the service's bytes.

Owned: the shape of an event, decoding, the look-up of a property whatever its letter case. Not owned: which page was
asked for (`queries.py`), how it came (`transport.py`).
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from dicomfeed.cutting import cut
from dicomfeed.times import Ticks, format_timestamp, is_timestamp, parse_timestamp

Fields = dict[str, Any]
Identity = tuple[int, str, tuple[str, ...]]
UID_NAMES = ('studyInstanceUid', 'seriesInstanceUid', 'sopInstanceUid')
LAST_SEQUENCE = 2**63 - 1

_BLANKS = ' \t\r\n'


class Event(NamedTuple):
    """An entry of the change feed.

    `sequence`, 1 to 2^63 - 1, and `timestamp`, the service's text, never change. `line` is the service's own JSON for
    the entry in UTF-8, line breaks inside it made blanks.
    """

    sequence: int
    timestamp: str
    line: bytes

    @property
    def fields(self) -> Fields:
        """The entry as it came, metadata included where it was asked for.

        `state`, `filePath` and `metadata` describe the instance when the page was read, not when the event happened.
        Decoded anew each time: as objects a page of metadata weighs ten times what its text does, and most runs only
        write the text.
        """
        fields: Fields = json.loads(self.line)
        return fields

    @property
    def ticks(self) -> Ticks:
        """The moment of the event; the text was checked when the page was read."""
        return parse_timestamp(self.timestamp)

    @property
    def identity(self) -> Identity:
        """What tells this event from any other for ever: sequence, timestamp (in one form) and the three UIDs."""
        fields = self.fields
        return (
            self.sequence,
            format_timestamp(self.ticks),
            tuple(str(field(fields, name) or '') for name in UID_NAMES),
        )


def _refuse_constant(name: str) -> Any:
    raise ValueError(f'{name} is not JSON')


# The C scanner behind `raw_decode`: it says where a value ends, which is where the event's line ends.
_scan = json.JSONDecoder(parse_constant=_refuse_constant).scan_once  # type: ignore[attr-defined]


def field(fields: Mapping[str, Any], name: str) -> Any:
    """The property of that camelCase name, in whatever letter case the service wrote it; None where it is missing.

    The documentation prints Pascal case, the code and recordings camelCase (`contract`: names by either).
    """
    if name in fields:
        return fields[name]
    lowered = name.lower()
    return next((value for key, value in fields.items() if key.lower() == lowered), None)


def decode_page(body: bytes) -> list[Event]:
    """The events of a list answer, in the order in which they came.

    Raises ValueError for anything that is not a JSON array of objects with an integer `sequence` and a readable
    `timestamp`, for nesting without end and for numbers of thousands of digits.
    """
    body = _checked(body)
    pieces = cut(body)
    if pieces is not None:
        try:
            return [_event_of(_scan_value(_characters(head), 0)[0], line) for head, line in pieces]
        except ValueError:
            pass  # the properties in another order
    return _scan_page(body)


def _scan_page(body: bytes) -> list[Event]:
    text = _characters(body)
    position = _skip_blanks(text, 0)
    if not text.startswith('[', position):
        raise ValueError('not a list')
    events: list[Event] = []
    position = _skip_blanks(text, position + 1)
    closed = text.startswith(']', position)
    while not closed:
        event, position = _scan_event(body, text, position)
        events.append(event)
        if text.startswith(',{', position):  # how the service writes it; the rest is for others
            position += 1
            continue
        position = _skip_blanks(text, position)
        closed = text.startswith(']', position)
        if not closed and not text.startswith(',', position):
            raise ValueError('not a list of events')
        if not closed:
            position = _skip_blanks(text, position + 1)
    _expect_end(text, position + 1)
    return events


def decode_event(body: bytes) -> Event:
    """The one event of a `latest` answer. Raises ValueError as `decode_page` does."""
    body = _checked(body)
    text = _characters(body)
    event, position = _scan_event(body, text, _skip_blanks(text, 0))
    _expect_end(text, position)
    return event


def _scan_event(body: bytes, text: str, start: int) -> tuple[Event, int]:
    fields, end = _scan_value(text, start)
    line = body[start:end]
    if b'\n' in line or b'\r' in line:
        line = line.replace(b'\r', b' ').replace(b'\n', b' ')
    return _event_of(fields, line), end


def _scan_value(text: str, start: int) -> tuple[Any, int]:
    try:
        value, end = _scan(text, start)
    except StopIteration:
        raise ValueError('not JSON') from None
    except RecursionError:
        raise ValueError('nested without end') from None
    return value, end


def _event_of(fields: Any, line: bytes) -> Event:
    if type(fields) is not dict:  # pylint: disable=unidiomatic-typecheck
        raise ValueError('not an event')
    sequence = fields.get('sequence') or field(fields, 'sequence')
    timestamp = fields.get('timestamp') or field(fields, 'timestamp')
    if type(sequence) is not int or not 0 < sequence <= LAST_SEQUENCE:  # pylint: disable=unidiomatic-typecheck
        raise ValueError('an event without a sequence number')
    if not isinstance(timestamp, str) or not is_timestamp(timestamp):
        raise ValueError('an event without a timestamp')
    return Event(sequence, timestamp, line)


def _checked(body: bytes) -> bytes:
    """The body without a byte order mark, known to be UTF-8."""
    body = body.removeprefix(codecs.BOM_UTF8)
    body.decode('utf-8')  # UnicodeDecodeError is a ValueError
    return body


def _characters(body: bytes) -> str:
    """A text in which each byte is one character, so that a position in it is one in the body.

    What is looked at in it is ASCII; everything else is only checked for its form.
    """
    return body.decode('latin-1')


def _skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position] in _BLANKS:
        position += 1
    return position


def _expect_end(text: str, position: int) -> None:
    if _skip_blanks(text, position) != len(text):
        raise ValueError('something after the end')
