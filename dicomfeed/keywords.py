"""The keywords of DICOM's data dictionary (PS3.6): which tag and which value representation (VR) a keyword stands for.

The table is a text file beside this one, read when it is first needed and searched as bytes: as Python objects it costs
more to load than a command takes that names three attributes. `scripts/keywords.py` writes it.
"""

from __future__ import annotations

import pkgutil
import re
from dataclasses import dataclass
from functools import cache

_SIMILAR = 3
_LONGEST_KEYWORD = 64


@dataclass(frozen=True)
class Element:
    """What the dictionary says of an element.

    :ivar tag: eight upper-case hexadecimal digits; `x` stands for any digit, in a repeating group (`60xx0010`).
    :ivar vrs: the VRs that the standard allows, mostly one.
    """

    keyword: str
    tag: str
    vrs: tuple[str, ...]

    @property
    def repeats(self) -> bool:
        """Whether it is in a repeating group, so that the keyword alone names no element."""
        return 'x' in self.tag


def by_keyword(keyword: str) -> Element | None:
    """The element of that keyword, in any letter case; None if there is none."""
    return _at(_lowered().find(f'\n{keyword.lower()} '.encode()) + 1) if keyword.isalnum() else None


def by_tag(tag: str) -> Element | None:
    """The element of that tag (eight upper-case hexadecimal digits); None if the dictionary has none: a private one."""
    return _at(_table().rfind(b'\n', 0, _table().find(f' {tag} '.encode()) + 1) + 1) or _in_repeating_group(tag)


def similar_keywords(keyword: str) -> tuple[str, ...]:
    """At most three keywords that are spelled like it, the most similar first. Takes a tenth of a second."""
    from difflib import get_close_matches  # only for an error

    if len(keyword) > _LONGEST_KEYWORD:
        return ()
    spelled = {line.split(' ', 1)[0].lower(): line.split(' ', 1)[0] for line in _table().decode().splitlines() if line}
    return tuple(spelled[found] for found in get_close_matches(keyword.lower(), spelled, _SIMILAR))


def _at(start: int) -> Element | None:
    """The element whose line begins there; None for 0, which is the line feed before the first line."""
    if start == 0:
        return None
    keyword, tag, vrs = _table()[start : _table().index(b'\n', start)].decode().split(' ')
    return _element(keyword, tag, vrs)


def _element(keyword: str, tag: str, vrs: str) -> Element:
    return Element(keyword, tag, tuple(vrs.split('|')))


def _in_repeating_group(tag: str) -> Element | None:
    if int(tag[:4], 16) % 2:  # private: only even groups repeat
        return None
    return next((element for pattern, element in _repeating() if pattern.fullmatch(tag)), None)


@cache
def _table() -> bytes:
    """The file, after a line feed: so each line begins after one."""
    return b'\n' + (pkgutil.get_data('dicomfeed', 'keywords.txt') or b'')


@cache
def _lowered() -> bytes:
    return _table().lower()


@cache
def _repeating() -> list[tuple[re.Pattern[str], Element]]:
    lines = re.findall(r'^(\S+) (\w*x\w*) (\S+)$', _table().decode(), re.MULTILINE)
    return [(re.compile(tag.replace('x', '[0-9A-F]')), _element(keyword, tag, vrs)) for keyword, tag, vrs in lines]
