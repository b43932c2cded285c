"""Which attribute a user means: FIELD as a keyword, a tag or `Sequence.Field`, made a path of tags.

Owned: the grammar of FIELD, and which attributes are refused because no metadata of the service can hold them. Not
owned: the data dictionary (`keywords.py`), values (`matching.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

from dicomfeed.keywords import by_keyword, by_tag, similar_keywords

TagPath = tuple[str, ...]
"""Tags of eight upper-case hexadecimal digits, from the data set inwards; all but the last name sequences."""

_BULK_VRS = frozenset({'OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN'})
"""The service takes attributes of these VRs out of the metadata, at every depth (BlobMetadataStore.cs)."""

DEEPEST = 32
_LONGEST = 4_096

_KEYWORD = re.compile(r'[A-Za-z][A-Za-z0-9]*')
_TAG = re.compile(r'([0-9A-Fa-f]{4})([0-9A-Fa-f]{4})')
_TAG_OF_TWO = re.compile(r'(\()?([0-9A-Fa-f]{4}), ?([0-9A-Fa-f]{4})(?(1)\))')
_NOT_STORED_GROUPS = frozenset({'0000', '0002', 'FFFE'})
_COMPUTED = frozenset(
    {
        '00080061',  # ModalitiesInStudy
        '00080062',  # SOPClassesInStudy
        '00081190',  # RetrieveURL
        '00201200',  # NumberOfPatientRelatedStudies, …Series, …Instances
        '00201202',
        '00201204',
        '00201206',  # NumberOfStudyRelatedSeries, …Instances
        '00201208',
        '00201209',  # NumberOfSeriesRelatedInstances
    }
)


class Reason(Enum):
    """Why a FIELD or a condition is refused; the value says it in words."""

    NOT_A_FIELD = 'it names no attribute: not a keyword, a tag or Sequence.Field'
    ALL = 'all attributes are not a field'
    UNKNOWN_KEYWORD = 'there is no such keyword'
    REPEATING_GROUP = 'an attribute of a repeating group is named by its tag'
    NOT_STORED = 'metadata have no attributes of that group, and no group lengths'
    BULK = 'metadata have no binary attributes'
    COMPUTED = 'only the answer to a search has that attribute'
    NOT_A_SEQUENCE = 'what stands before a point is not a sequence'
    SEQUENCE = 'a sequence has no value of its own'
    TOO_DEEP = f'it names more than {DEEPEST} sequences inside each other'
    TOO_LONG = f'it has more than {_LONGEST:,} characters'
    LINE_BREAK = 'it has a line break'
    NO_EQUALS_SIGN = 'there is no equals sign after the field'
    NO_VALUE = 'the value is empty'
    NOT_A_NUMBER = 'the value is not a decimal number'
    NOT_A_UID = 'the value is not a UID'
    SEVERAL_VALUES = 'it is several values, which are compared one by one'
    NOT_A_DATE = 'the value is not a date as in 20240501, nor a range of them'
    NOT_A_TIME = 'the value is not a time as in 1030, nor a range of them'
    NOT_A_DATE_TIME = 'the value is not a date and time as in 202405011030, nor a range of them'
    NOT_A_NAME = 'a name has at most three component groups'
    NOT_UTF8 = 'the text is not UTF-8'
    TOO_MANY = 'there are too many conditions'


@dataclass(frozen=True)
class Problem:
    """What is wrong with a text, without any of the text.

    :ivar similar: keywords of the dictionary that the user may have meant.
    """

    reason: Reason
    similar: tuple[str, ...] = ()


class FieldRefused(ValueError):
    """A FIELD or a condition that can never match or exist, or none at all. Holds nothing of what was typed.

    :ivar kind: `Field`, `Condition` or `Line`, for what `position` counts from 1; `File` as a whole, with position 0.
    """

    def __init__(self, problem: Problem, *, kind: str, position: int) -> None:
        place = f'{kind} {position}' if position else kind
        super().__init__(f'{place}: {problem.reason.value}.')
        self.reason = problem.reason
        self.similar = problem.similar
        self.kind = kind
        self.position = position


@dataclass(frozen=True)
class NamedField:
    """An attribute as a user named it.

    :ivar vrs: the VRs that the dictionary allows it, without those of binary attributes; none where it has no line.
    """

    path: TagPath
    vrs: tuple[str, ...] = field(default=())


def parse_field(text: str) -> NamedField | Problem:
    """The attribute that FIELD means, or why it means none.

    A keyword in any letter case, a tag (`00100020`, `0010,0020`, `(0010,0020)`), or a path of these with points
    between them. A sequence is an attribute too.
    """
    if len(text) > _LONGEST:
        return Problem(Reason.TOO_LONG)
    parts = text.strip().split('.')
    if len(parts) > DEEPEST:
        return Problem(Reason.TOO_DEEP)
    tags: list[str] = []
    vrs: tuple[str, ...] = ()
    for part in parts:
        tag = _tag_of(part)
        if isinstance(tag, Problem):
            return tag
        if tags and vrs and 'SQ' not in vrs:
            return Problem(Reason.NOT_A_SEQUENCE)
        allowed = _vrs_of(tag, is_nested=bool(tags))
        if isinstance(allowed, Problem):
            return allowed
        tags.append(tag)
        vrs = allowed
    return NamedField(tuple(tags), vrs)


def _tag_of(part: str) -> str | Problem:
    match = _TAG.fullmatch(part)
    if match:
        return (match[1] + match[2]).upper()
    match = _TAG_OF_TWO.fullmatch(part)
    if match:
        return (match[2] + match[3]).upper()
    if not _KEYWORD.fullmatch(part):
        return Problem(Reason.NOT_A_FIELD)
    if part.lower() == 'all':
        return Problem(Reason.ALL)
    element = by_keyword(part)
    if element is None:
        return Problem(Reason.UNKNOWN_KEYWORD, similar_keywords(part))
    return Problem(Reason.REPEATING_GROUP) if element.repeats else element.tag


def _vrs_of(tag: str, *, is_nested: bool) -> tuple[str, ...] | Problem:
    if tag[:4] in _NOT_STORED_GROUPS or tag.endswith('0000'):
        return Problem(Reason.NOT_STORED)
    if tag in _COMPUTED and not is_nested:  # references inside a sequence may have them (PS3.3 C.17.2)
        return Problem(Reason.COMPUTED)
    element = by_tag(tag)
    if element is None:
        return ()
    vrs = tuple(vr for vr in element.vrs if vr not in _BULK_VRS)
    return vrs or Problem(Reason.BULK)
