"""Conditions on the attributes of an instance, `FIELD=VALUE`: which instances have the wanted values.

Values may name a patient. So no message, repr or cause of an exception holds one, and a checkpoint keeps a hash. Owned:
the grammar of conditions and of a file of them, several of them together. Not owned: FIELD (`tags.py`), what a value
means (`matching.py`).
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, BinaryIO

from dicomfeed.matching import Matcher, canonical, matcher_of, problem_of, trimmed
from dicomfeed.slices import decode
from dicomfeed.tags import FieldRefused, NamedField, Problem, Reason, TagPath, parse_field

LARGEST_FILE_BYTES = 16 * 1024 * 1024
MOST_CONDITIONS = 100_000
_LONGEST_VALUE = 4_096
_HASH_ROUNDS = 100_000


@dataclass(frozen=True)
class Condition:
    """A wanted value of an attribute.

    :ivar vrs: those that the dictionary allows the attribute; none where it does not know it.
    """

    path: TagPath
    value: str = field(repr=False)
    vrs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conditions:
    """Conditions that an instance has to meet: any value of each attribute, every attribute.

    Those on fields of one sequence are met by one item of it, at every depth.
    """

    conditions: tuple[Condition, ...] = field(default=(), repr=False)

    @property
    def is_empty(self) -> bool:
        """Whether every instance meets them."""
        return not self.conditions

    @property
    def tags(self) -> frozenset[str]:
        """The attributes of the instance itself that `match` needs."""
        return frozenset(condition.path[0] for condition in self.conditions)

    @property
    def paths(self) -> list[str]:
        """Which attributes there are conditions on, for a checkpoint: tags with points between, sorted."""
        return sorted({'.'.join(condition.path) for condition in self.conditions})

    def match(self, attributes: Mapping[str, bytes]) -> bool:
        """Whether an instance with these attributes (`attributes.select`) meets all of them.

        Raises ValueError where an attribute is not DICOM JSON, or a name occurs twice in it.
        """
        return all(
            tag in attributes and wanted.match(decode(attributes[tag])) for tag, wanted in self._wanted.within.items()
        )

    def condition_digest(self, salt: bytes) -> str:
        """A salted hash, equal for conditions that mean the same; slow on purpose, as names can be guessed."""
        wanted: dict[str, set[str]] = {}
        for condition in self.conditions:
            values = wanted.setdefault('.'.join(condition.path), set())
            values.add(canonical(condition.value, condition.vrs))
        meant = {path: ['*'] if '*' in values else sorted(values) for path, values in wanted.items()}
        text = json.dumps(meant, sort_keys=True).encode()
        return hashlib.pbkdf2_hmac('sha256', text, salt, _HASH_ROUNDS).hex()

    @cached_property
    def _wanted(self) -> _Wanted:
        root = _Wanted()
        for condition in self.conditions:
            root.add(condition)
        return root


class _Wanted:
    """What is wanted of one attribute: one of some values, or an item of a sequence that has what is wanted in it."""

    def __init__(self) -> None:
        self.within: dict[str, _Wanted] = {}
        self._values: list[str] = []
        self._matchers: dict[str, Matcher | None] = {}

    def add(self, condition: Condition) -> None:
        wanted = self
        for tag in condition.path:
            wanted = wanted.within.setdefault(tag, _Wanted())
        wanted._values.append(condition.value)

    def match(self, element: Any) -> bool:
        """Whether an attribute in DICOM JSON has it."""
        if not isinstance(element, dict):
            return False
        values = element.get('Value')
        if not isinstance(values, list):
            return False
        return (not self._values or self._has_value(element.get('vr'), values)) and (
            not self.within or (element.get('vr') == 'SQ' and any(map(self._is_met_by, values)))
        )

    def _has_value(self, vr: Any, values: list[Any]) -> bool:
        if not isinstance(vr, str):
            return False
        if vr not in self._matchers:
            self._matchers[vr] = matcher_of(self._values, vr)
        matches = self._matchers[vr]
        return matches is not None and any(map(matches, values))

    def _is_met_by(self, item: Any) -> bool:
        return isinstance(item, dict) and all(wanted.match(item.get(tag)) for tag, wanted in self.within.items())


def parse_conditions(texts: Iterable[str]) -> list[Condition]:
    """The conditions in texts `FIELD=VALUE`, for `Conditions`.

    Blanks around FIELD and VALUE do not count. Raises FieldRefused, which names the first that can never match by its
    position.
    """
    numbered = enumerate(texts, 1)
    del texts  # what an error's frames show
    return _parsed(numbered, 'Condition')


def read_conditions(file: BinaryIO) -> list[Condition]:
    """The conditions in a file: UTF-8, with or without a byte order mark, one in a line.

    Blanks around a line, empty lines and lines that begin with `#` are skipped; there is no quoting, and a `#`
    further on belongs to the value. Raises FieldRefused, which names the line; also for a file of more than
    `LARGEST_FILE_BYTES`, `MOST_CONDITIONS`, or in another encoding.
    """
    text = _decoded(file.read(LARGEST_FILE_BYTES + 1))
    if isinstance(text, Problem):
        raise FieldRefused(text, kind='File', position=0)
    lines = ((number, trimmed(line)) for number, line in enumerate(text.split('\n'), 1))
    del text  # what an error's frames show
    return _parsed(((number, line) for number, line in lines if line and not line.startswith('#')), 'Line')


def _decoded(data: bytes) -> str | Problem:
    if len(data) > LARGEST_FILE_BYTES:
        return Problem(Reason.TOO_MANY)
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode('utf-8')
    except UnicodeDecodeError:  # which holds the data
        return Problem(Reason.NOT_UTF8)


def _parsed(texts: Iterable[tuple[int, str]], kind: str) -> list[Condition]:
    known: dict[str, NamedField | Problem] = {}
    conditions: list[Condition] = []
    for position, text in texts:
        condition = _parse(text, known) if len(conditions) < MOST_CONDITIONS else Problem(Reason.TOO_MANY)
        if isinstance(condition, Problem):
            del text, texts, known, conditions  # what an error's frames show
            raise FieldRefused(condition, kind=kind, position=position)
        conditions.append(condition)
    return conditions


def _parse(text: str, known: dict[str, NamedField | Problem]) -> Condition | Problem:
    name, equals, value = text.partition('=')
    value = trimmed(value)
    if '\n' in text.strip() or '\r' in text.strip():
        return Problem(Reason.LINE_BREAK)
    if not equals:
        return Problem(Reason.NO_EQUALS_SIGN)
    if len(value) > _LONGEST_VALUE:
        return Problem(Reason.TOO_LONG)
    if name not in known:
        known[name] = parse_field(name)
    named = known[name]
    if isinstance(named, Problem):
        return named
    if 'SQ' in named.vrs:
        return Problem(Reason.SEQUENCE)
    reason = problem_of(value, named.vrs)
    return Problem(reason) if reason else Condition(named.path, value, named.vrs)
