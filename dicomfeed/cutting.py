"""A page with metadata, cut into the lines of its events without making objects of the metadata.

As Python's objects the metadata take most of the time that a page costs, all of it under the interpreter's one lock.
SQLite checks the same text (`json_valid`, RFC 8259) in a third of that time, with the lock let go of.

Owned: the form in which the service writes such a page, and where that may be cut. Not owned: pages of any other form,
which `events.py` decodes by the book.
"""

from __future__ import annotations

import re
from contextlib import closing

_OPENING = b'{"sequence":'
_METADATA = b',"metadata":{'
_BREAKS = (b'\0', b'\r', b'\n')

# What SQLite takes and `json` may not: about 1,000 levels, and numbers of more than 4,300 digits, of which a sample of
# every hundredth character holds 43 in a row.
_MOST_BRACKETS = 500
_SAMPLING = 100
_DIGITS = re.compile(rb'[0-9]{43}')


def cut(body: bytes) -> list[tuple[bytes, bytes]] | None:
    """For each event an object of what stands before its metadata, and its whole line; None for any other form.

    Each line is an object in JSON that `json` can decode. A quotation mark inside a text is escaped, so neither of the
    two places to cut can be in one.

    :param body: the answer, known to be UTF-8.
    """
    if not body.startswith(b'[' + _OPENING) or not body.endswith(b'}]') or _METADATA not in body:
        return None
    if any(character in body for character in _BREAKS):
        return None
    first, *others = body[1:-1].split(b',' + _OPENING)
    lines = [first, *(_OPENING + other for other in others)]
    if not all(map(_is_ordinary, lines)) or not _are_json(lines):
        return None
    return [(_head(line), line) for line in lines]


def _head(line: bytes) -> bytes:
    end = line.find(_METADATA)
    return line if end < 0 else line[:end] + b'}'


def _is_ordinary(line: bytes) -> bool:
    return line.count(b'{') + line.count(b'[') <= _MOST_BRACKETS and not _DIGITS.search(line[::_SAMPLING])


def _are_json(lines: list[bytes]) -> bool:
    """Whether each line is, as far as can be told: a Python or an SQLite without the means says no."""
    try:
        import sqlite3
    except ImportError:
        return False
    question = 'SELECT ' + ' + '.join(['json_valid(CAST(? AS TEXT))'] * len(lines))
    try:
        with closing(sqlite3.connect(':memory:')) as database:
            (valid,) = database.execute(question, lines).fetchone()
    except sqlite3.Error:  # built without json_valid, or more lines than any page of the service has
        return False
    return bool(valid == len(lines))
