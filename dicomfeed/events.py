"""One event of the change feed, and how a page of them is read from the service's bytes.

Owned: the shape of an event, decoding, the look-up of a property whatever its letter case, and the form of a page with
metadata that is split into lines without making objects of the metadata. Not owned: which page was asked for
(`queries.py`), how it came (`transport.py`).
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from contextlib import closing
from enum import Enum
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

from dicomfeed.times import Ticks, is_timestamp, ticks_of_checked, utc_text

Fields = dict[str, Any]
Identity = tuple[int, str, tuple[str, ...]]
Names = tuple[str, str, str, str]
UID_NAMES = ('studyInstanceUid', 'seriesInstanceUid', 'sopInstanceUid')
LAST_SEQUENCE = 2**63 - 1
MOST_EVENTS = 200
"""No page of the service has more."""

_names = itemgetter('partitionName', *UID_NAMES)
_ACTIONS = {action: action for action in ('Create', 'Update', 'Delete')}  # one text for all events
_BLANKS = ' \t\r\n'
_OPENING = b'{"sequence":'
BEFORE_METADATA = b',"metadata":'
"""What the service writes between the known properties of an event and its metadata, which come last."""
_BREAKS = (b'\0', b'\r', b'\n')

# What SQLite takes and `json` may not: about 1,000 levels, and numbers of more than 4,300 digits, of which a sample of
# every hundredth character holds 43 in a row.
_MOST_BRACKETS = 500
_SAMPLING = 100
_SAMPLED_DIGITS = rb'[0-9]{43}'

# What SQLite 3.40 takes for a key: any array or object whose last value is a text, as in {["a"]:1}.
_LAX = '{["a"]:1}'
_ODD_KEY = rb'[}\]][ \t]*:'


class Verdict(Enum):
    """What conditions on attributes say of an event. Only one that matches is delivered."""

    MATCHES = 1
    DIFFERS = 2
    DELETED = 3  # the instance is deleted, so there is nothing to test
    UNREADABLE = 4  # the metadata cannot be read, so nobody knows


class Event(NamedTuple):
    """One item of the change feed.

    `sequence`, 1 to 2^63 - 1, `timestamp` and `action` (None where there is none), the service's texts, never change.
    `line` is the service's own JSON for the event in UTF-8, line breaks inside it made blanks, or what a run that chose
    attributes made of it; its first `head` bytes are what stands before the metadata, where those are known to come
    last in it, else 0. `verdict` is None where there are no conditions on attributes, or they have not been tested.
    `names` are those of the partition and the three UIDs, where they were to be kept.
    """

    sequence: int
    timestamp: str
    action: str | None
    line: bytes
    head: int = 0
    verdict: Verdict | None = None
    names: Names | None = None

    def decode(self) -> Fields:
        """The event as it came, metadata included where it was asked for.

        `state`, `filePath` and `metadata` describe the instance when the page was read, not when the event happened.
        Decoded anew each time: as objects a page of metadata weighs ten times what its text does, and most runs only
        write the text.
        """
        fields: Fields = json.loads(self.line)
        return fields

    def decode_properties(self) -> Fields:
        """The event as `decode` gives it, but without metadata, which are not decoded where that can be helped."""
        if not self.head:
            return {name: value for name, value in self.decode().items() if name.lower() != 'metadata'}
        fields: Fields = json.loads(self.line[: self.head] + b'}')
        return fields

    @property
    def is_deleted(self) -> bool:
        """Whether the instance was deleted when the event was read, and so has no metadata."""
        return str(field(self.decode_properties(), 'state')).lower() == 'deleted'

    @property
    def ticks(self) -> Ticks:
        """The time of the event; the text was checked when the page was read."""
        return ticks_of_checked(self.timestamp)

    @property
    def identity(self) -> Identity:
        """What tells this event from any other for ever: sequence, timestamp (in one form) and the three UIDs."""
        fields = self.decode_properties()
        return (self.sequence, utc_text(self.timestamp), tuple(str(field(fields, name) or '') for name in UID_NAMES))


def field(fields: Mapping[str, Any], name: str) -> Any:
    """The property of that camelCase name, in whatever letter case the service wrote it; None where it is missing.

    The documentation prints Pascal case, the code and recordings camelCase (`contract`: names by either).
    """
    if name in fields:
        return fields[name]
    lowered = name.lower()
    return next((value for key, value in fields.items() if key.lower() == lowered), None)


def decode_page(body: bytes, *, limit: int = MOST_EVENTS, keep_names: bool = False) -> list[Event]:
    """The events of a list answer, in the order in which they came.

    Raises ValueError for anything that is not a JSON array of at most `limit` objects with an integer `sequence` and a
    readable `timestamp`, for nesting without end and for numbers of thousands of digits. No event beyond the limit is
    decoded.

    :param keep_names: for who wants them of every event: nothing is decoded twice then. Not of a page in which a text
        is not ASCII, or a name missing, in another letter case, or no text.
    """
    body = _checked(body)
    return _split_page(body, limit) or _scan_page(body, limit, keep_names and body.isascii())


def decode_event(body: bytes) -> Event:
    """The one event of a `latest` answer. Raises ValueError as `decode_page` does."""
    body = _checked(body)
    text = characters(body)
    event, position = _scan_event(body, text, skip_blanks(text, 0), False)
    expect_end(text, position)
    return event


# Any page, by the book


def refuse_constant(name: str) -> Any:
    """What `json` is to do with `NaN` and the like, which are not JSON: raise ValueError."""
    raise ValueError(f'{name} is not JSON')


# The C scanner behind `raw_decode`: it says where a value ends, which is where the event's line ends.
_scan = json.JSONDecoder(parse_constant=refuse_constant).scan_once  # type: ignore[attr-defined]


def _scan_page(body: bytes, limit: int, keep_names: bool) -> list[Event]:
    text = characters(body)
    position = skip_blanks(text, 0)
    if not text.startswith('[', position):
        raise ValueError('not a list')
    events: list[Event] = []
    position = skip_blanks(text, position + 1)
    closed = text.startswith(']', position)
    while not closed:
        if len(events) == limit:
            raise ValueError('more events than were asked for')
        event, position = _scan_event(body, text, position, keep_names)
        events.append(event)
        if text.startswith(',{', position):  # how the service writes it; the rest is for others
            position += 1
            continue
        position = skip_blanks(text, position)
        closed = text.startswith(']', position)
        if not closed and not text.startswith(',', position):
            raise ValueError('not a list of events')
        if not closed:
            position = skip_blanks(text, position + 1)
    expect_end(text, position + 1)
    return events


def _scan_event(body: bytes, text: str, start: int, keep_names: bool) -> tuple[Event, int]:
    fields, end = _scan_value(text, start)
    line = body[start:end]
    if b'\n' in line or b'\r' in line:
        line = line.replace(b'\r', b' ').replace(b'\n', b' ')
    return _event_of(fields, line, keep_names=keep_names), end


def _scan_value(text: str, start: int) -> tuple[Any, int]:
    try:
        value, end = _scan(text, start)
    except StopIteration:
        raise ValueError('not JSON') from None
    except RecursionError:
        raise ValueError('nested without end') from None
    return value, end


def _event_of(fields: Any, line: bytes, head: int = 0, *, keep_names: bool = False) -> Event:
    if type(fields) is not dict:  # pylint: disable=unidiomatic-typecheck
        raise ValueError('not an event')
    sequence = fields.get('sequence') or field(fields, 'sequence')
    timestamp = fields.get('timestamp') or field(fields, 'timestamp')
    if type(sequence) is not int or not 0 < sequence <= LAST_SEQUENCE:  # pylint: disable=unidiomatic-typecheck
        raise ValueError('an event without a sequence number')
    if not isinstance(timestamp, str) or not is_timestamp(timestamp):
        raise ValueError('an event without a timestamp')
    names = _names_of(fields) if keep_names else None
    return Event(sequence, timestamp, _action_of(fields, line), line, head, names=names)


def _names_of(fields: Fields) -> Names | None:
    names: Names
    try:
        names = _names(fields)
        ''.join(names)  # fails where one is no text
    except (KeyError, TypeError):
        return None
    return names


def _action_of(fields: Fields, line: bytes) -> str | None:
    action = fields.get('action') or field(fields, 'action')
    if not isinstance(action, str):
        return None
    if not action.isascii():  # `characters` has not decoded it right
        return str(field(json.loads(line), 'action'))
    return _ACTIONS.get(action, action)


def _checked(body: bytes) -> bytes:
    """The body without a byte order mark, known to be UTF-8."""
    body = body.removeprefix(codecs.BOM_UTF8)
    body.decode('utf-8')  # UnicodeDecodeError is a ValueError
    return body


def characters(data: bytes) -> str:
    """A text in which each byte is one character, so that a position in it is one in the data.

    What is looked at in it is ASCII; everything else is only checked for its form.
    """
    return data.decode('latin-1')


def skip_blanks(text: str, position: int) -> int:
    """The position of what comes next that is not one of JSON's blanks, from this one on."""
    while position < len(text) and text[position] in _BLANKS:
        position += 1
    return position


def expect_end(text: str, position: int) -> None:
    """Raise ValueError where anything but blanks comes from that position on."""
    if skip_blanks(text, position) != len(text):
        raise ValueError('something after the end')


# A page with metadata, as the service writes it
#
# As Python's objects the metadata take most of the time that a page costs, all of it under the interpreter's one lock.
# SQLite checks the same text (`json_valid`, RFC 8259) in a third of that time, with the lock let go of.


def _split_page(body: bytes, limit: int) -> list[Event] | None:
    """The events of a page with metadata; None for a page of any other form, which is read by the book."""
    pieces = split(body, limit)
    if pieces is None:
        return None
    try:
        return [_event_of(_whole_value(head), line, len(head) - 1 if head is not line else 0) for head, line in pieces]
    except ValueError:  # the properties in another order, or none of the places to split at
        return None


def _whole_value(body: bytes) -> Any:
    value, end = _scan_value(characters(body), 0)
    if end != len(body):
        raise ValueError('something after the end')
    return value


def split(body: bytes, limit: int = MOST_EVENTS) -> list[tuple[bytes, bytes]] | None:
    """For each event an object of what stands before its metadata, and its whole line; None for any other form.

    Where each first part is an object in JSON, so is each line, and `json` can decode it: a quotation mark inside a
    text is escaped, so neither of the two places to split at can be in one, and the metadata are JSON by themselves, so
    no property comes after them.

    :param body: the answer, known to be UTF-8.
    :param limit: so many events at most.
    """
    if not body.startswith(b'[' + _OPENING) or not body.endswith(b'}]') or BEFORE_METADATA + b'{' not in body:
        return None
    if any(character in body for character in _BREAKS):
        return None
    first, *others = body[1:-1].split(b',' + _OPENING, limit)
    if len(others) >= limit:
        return None
    lines = [first, *(_OPENING + other for other in others)]
    parts = [line.partition(BEFORE_METADATA) for line in lines]
    metadata = [text[:-1] for _, found, text in parts if found]
    if not all(line.endswith(b'}') for line in lines) or not all(map(_is_ordinary, lines)) or not _are_json(metadata):
        return None
    return [(head + b'}' if found else head, line) for (head, found, _), line in zip(parts, lines, strict=True)]


def _is_ordinary(line: bytes) -> bool:
    return line.count(b'{') + line.count(b'[') <= _MOST_BRACKETS and not _digits().search(line[::_SAMPLING])


@cache
def _digits() -> re.Pattern[bytes]:
    return re.compile(_SAMPLED_DIGITS)


def _are_json(texts: list[bytes]) -> bool:
    """Whether each text is, as far as can be told: a Python or an SQLite without the means says no."""
    try:
        import sqlite3  # only pages with metadata need it
    except ImportError:
        return False
    question = 'SELECT json_valid(?), ' + ' + '.join(['json_valid(CAST(? AS TEXT))'] * len(texts))
    try:
        with closing(sqlite3.connect(':memory:')) as database:
            is_lax, valid = database.execute(question, (_LAX, *texts)).fetchone()
    except sqlite3.Error:  # built without json_valid, or more texts than any page of the service has
        return False
    return bool(valid == len(texts)) and not (is_lax and any(map(_may_have_odd_key, texts)))


def _may_have_odd_key(text: bytes) -> bool:
    """Whether an array or object may stand in the place of a key; also where that is inside a text."""
    if text.count(b':') == text.count(b'":'):  # as the service writes it, and much faster to find out
        return False
    return re.search(_ODD_KEY, text) is not None
