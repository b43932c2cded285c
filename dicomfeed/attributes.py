"""Some attributes of an event's metadata, as the text that the service wrote, and the line of an event with them.

SQLite finds them in less than half of the time that decoding takes, with the interpreter's lock released. Owned:
finding them, reducing metadata to the requested ones. Not owned: which attribute is meant (`tags.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from dicomfeed.events import BEFORE_METADATA
from dicomfeed.slices import decode, items, members
from dicomfeed.tags import FieldRefused, Problem, TagPath, parse_field

if TYPE_CHECKING:
    from sqlite3 import Connection

Attributes = dict[str, bytes]
"""Tag (eight upper-case hexadecimal digits) to the attribute's JSON text, an object with `vr` and mostly `Value`."""

_KNOWN_PROPERTIES = frozenset(
    [
        'sequence',
        'partitionname',
        'filepath',
        'studyinstanceuid',
        'seriesinstanceuid',
        'sopinstanceuid',
        'action',
        'timestamp',
        'state',
    ]
)
"""What the service writes of an event besides metadata, in lower case: other servers spell names in another case."""

_METADATA = 'metadata'
# A question for each event lets go of the interpreter's lock and takes it back: with many threads at it, most of the
# processor's time goes into changing over.
_ONE_AT_A_TIME = Lock()
_MOST_TAGS = 500  # SQLite takes at least 999 parameters
# Later releases of SQLite read JSON5, too, but for `json_valid`: for anything else than JSON this is an error.
_QUESTION = (
    "SELECT key, value, type FROM (SELECT CAST(? AS TEXT) AS text), json_each(iif(json_valid(text), text, '?'))"
    ' WHERE key IN ({})'
)
_QUESTION_ABOUT_JSON = 'SELECT key, value, type FROM json_each(CAST(? AS TEXT)) WHERE key IN ({})'

_Tree = dict[str, '_Tree']
"""Requested tags, and what is requested inside the items of each; nothing there: the whole attribute."""


class Selection(NamedTuple):
    """An event, reduced to its properties and the selected attributes.

    `properties` is a JSON object without metadata. `attributes` has those of the selected attributes that the instance
    has; it is None where the event came without metadata.
    """

    properties: bytes
    attributes: Attributes | None

    def line(self, metadata: bytes | None = None) -> bytes:
        """The event in JSON with its known properties, and these metadata if any (`Fields.reduce`).

        Raises ValueError where one of its properties occurs twice.
        """
        parts = _known_parts(members(self.properties))
        if metadata is not None:
            parts.append(b'"metadata":' + metadata)
        return b'{' + b','.join(parts) + b'}'


@dataclass(frozen=True)
class Fields:
    """The attributes to add to each event: a sequence comes whole, a path through one keeps its items."""

    paths: frozenset[TagPath] = frozenset()

    @property
    def tags(self) -> frozenset[str]:
        """What to select for `reduce`."""
        return frozenset(path[0] for path in self.paths)

    def canonical(self) -> list[str]:
        """For a checkpoint: tags with points between, sorted; equal for fields that mean the same."""
        return sorted('.'.join(path) for path in self.paths if not self._is_in_another(path))

    def reduce(self, attributes: Mapping[str, bytes]) -> bytes:
        """The metadata with the requested attributes alone, in the order of tags; `{}` where there are none.

        A path through a sequence keeps all of its items, reduced, if one of them has the field. Raises ValueError where
        a sequence is not as DICOM JSON has it, or a name occurs twice in it.
        """
        return _reduced(attributes, self._tree) or b'{}'

    def _is_in_another(self, path: TagPath) -> bool:
        return any(path[:length] in self.paths for length in range(1, len(path)))

    @cached_property
    def _tree(self) -> _Tree:
        tree: _Tree = {}
        for path in self.paths:
            if not self._is_in_another(path):
                within = tree
                for tag in path:
                    within = within.setdefault(tag, {})
        return tree


def parse_fields(texts: Iterable[str]) -> Fields:
    """The fields in texts (`tags.parse_field`). Raises FieldRefused, which names the first bad one by its position."""
    paths = set()
    for position, text in enumerate(texts, 1):
        named = parse_field(text)
        if isinstance(named, Problem):
            raise FieldRefused(named, kind='Field', position=position)
        paths.add(named.path)
    return Fields(frozenset(paths))


def select(lines: Iterable[bytes], tags: Collection[str], *, are_split: bool = False) -> list[Selection]:
    """For each event's line (`Event.line`, or any JSON object in UTF-8), the attributes with these tags.

    `are_split`: each line is of an event with a `head`, so its metadata are known to be JSON and to come last.

    Raises ValueError where a line or its metadata are not objects, a selected attribute is none, or a name occurs twice
    where it matters: among properties (`Selection.line`) or selected attributes.
    """
    with _ONE_AT_A_TIME, _database() as database:
        question = _QUESTION_ABOUT_JSON if are_split else _QUESTION
        return [_by_sqlite(line, tags, question, database) or _by_the_book(line, tags) for line in lines]


def _by_the_book(line: bytes, tags: Collection[str]) -> Selection:
    properties = members(line)
    found = [name for name in properties if name.lower() == _METADATA]
    if len(found) > 1:
        raise ValueError('metadata occur twice in an event')
    if not found or properties[found[0]] == b'null':
        return Selection(_object_of_known(properties), None)
    attributes = members(properties[found[0]], tags)
    if not all(text.startswith(b'{') for text in attributes.values()):
        raise ValueError('an attribute is not an object')
    return Selection(_object_of_known(properties), attributes)


def _object_of_known(properties: Mapping[str, bytes]) -> bytes:
    return b'{' + b','.join(_known_parts(properties)) + b'}'


def _known_parts(properties: Mapping[str, bytes]) -> list[bytes]:
    return [f'"{name}":'.encode() + text for name, text in properties.items() if name.lower() in _KNOWN_PROPERTIES]


def _by_sqlite(line: bytes, tags: Collection[str], question: str, database: Connection | None) -> Selection | None:
    """The same, if the line is as the service writes it; None for any other.

    What stands before the metadata is an object by itself, and what begins there up to the last brace is one too: so
    they are the metadata, and nothing comes after them.
    """
    head, found, metadata = line.partition(BEFORE_METADATA)
    if database is None or not found or len(tags) > _MOST_TAGS:
        return None
    if not metadata.startswith(b'{') or not metadata.endswith(b'}') or b'\0' in metadata:  # ends a text of SQLite's
        return None
    try:
        properties = decode(head + b'}')
    except ValueError:
        return None
    if any(name.lower() == _METADATA for name in properties):
        return None
    attributes = _extracted(metadata[:-1], tags, question, database)
    return None if attributes is None else Selection(head + b'}', attributes)


def _extracted(metadata: bytes, tags: Collection[str], question: str, database: Connection) -> Attributes | None:
    """Attributes of the metadata; None where SQLite does not take them, or writes one in other words.

    SQLite leaves texts and numbers as they are and drops the blanks between them.
    """
    try:
        rows = database.execute(question.format(','.join('?' * len(tags))), (metadata, *tags)).fetchall()
    except database.Error:  # no JSON, or built without its functions
        return None
    attributes = {key: value.encode() for key, value, kind in rows if kind == 'object'}
    is_whole = len(attributes) == len(rows)  # no other kind, and none twice
    as_written = all(f'"{tag}":'.encode() + text in metadata for tag, text in attributes.items())
    return attributes if is_whole and as_written else None


@contextmanager
def _database() -> Iterator[Connection | None]:
    """A database without anything in it; None for a Python without SQLite."""
    try:
        import sqlite3
    except ImportError:
        yield None
        return
    with closing(sqlite3.connect(':memory:')) as database:
        yield database


def _reduced(attributes: Mapping[str, bytes], tree: _Tree) -> bytes:
    """An object of the wanted attributes; nothing where there are none."""
    kept = [(tag, _kept(attributes[tag], tree[tag])) for tag in sorted(tree) if tag in attributes]
    parts = [f'"{tag}":'.encode() + text for tag, text in kept if text]
    return b'{' + b','.join(parts) + b'}' if parts else b''


def _kept(attribute: bytes, within: _Tree) -> bytes:
    if not within:
        return attribute
    element = members(attribute)
    if decode(element.get('vr', b'null')) != 'SQ' or 'Value' not in element:
        return b''
    reduced = [
        (item, _reduced(members(item, within), within) if item != b'null' else b'') for item in items(element['Value'])
    ]
    if not any(text for _, text in reduced):
        return b''
    texts = [text or (b'null' if item == b'null' else b'{}') for item, text in reduced]
    return b'{"vr":"SQ","Value":[' + b','.join(texts) + b']}'
