"""Whether an attribute has one of the wanted values, by the value representation (VR) that the service wrote for it.

Owned: what a wanted value means for each VR, and which ones can never match. Not owned: which attribute is meant
(`tags.py`), several attributes together (`conditions.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from dicomfeed.spans import Range, Span, is_same_time, parse_range, parse_span
from dicomfeed.tags import Reason
from dicomfeed.wildcards import Wildcards, fold, folded_forms

Matcher = Callable[[Any], bool]
"""Whether one value of an attribute, as decoded from JSON with numbers as text, is a wanted one."""

_BLANKS = ' \t\r\n\f\v\0'
_NUMBER = re.compile(r'([+-]?)(?=\.?\d)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,18}))?', re.ASCII)
_SPECIAL = re.compile(r'[*?\\]')
_GROUPS = ('Alphabetic', 'Ideographic', 'Phonetic')
_NOT_A = {'DA': Reason.NOT_A_DATE, 'TM': Reason.NOT_A_TIME, 'DT': Reason.NOT_A_DATE_TIME}
_UID = re.compile(r'[\d.*?]+', re.ASCII)
_ONE_VALUE = re.compile(r'(?:[^\\]|\\[*?])+')  # a backslash stands between two values
_ONE_CODE = re.compile(r'(?:[^\\,]|\\[*?])+')  # which has no comma; other tools put one between two values
_AGE = re.compile(r'\d{1,3}[DWMY]', re.ASCII)
_WHOLE_DATE = 8
_CHARACTERS = {'DA': r'[\d.*?]+', 'TM': r'[\d.:*?]+', 'DT': r'[\d.*?+-]+'}


def trimmed(text: str) -> str:
    """A value without the blanks around it, which do not count; the padding of a UID is a NUL."""
    return text.strip(_BLANKS)


def is_any(wanted: str) -> bool:
    """Whether the wanted value means that the attribute has some value."""
    return not wanted.strip('*')


def problem_of(wanted: str, vrs: Iterable[str]) -> Reason | None:
    """Why the value can match no attribute of these VRs (none: unknown), or None.

    :param wanted: as typed, trimmed.
    """
    if not wanted:
        return Reason.NO_VALUE
    problems = [_RULES[vr].problem(wanted) for vr in vrs if vr in _RULES]
    return problems[0] if problems and not is_any(wanted) and all(problems) else None


def canonical(wanted: str, vrs: Iterable[str]) -> str:
    """One way to write the value: equal for values that mean the same in an attribute of these VRs."""
    if is_any(wanted):
        return '*'
    return next((_RULES[vr] for vr in vrs if vr in _RULES), _EXACT).canonical(wanted)


def matcher_of(wanted: Iterable[str], vr: str) -> Matcher | None:
    """The comparison with any of the values in an attribute of that VR; None where nothing in it can match."""
    rule = _RULES.get(vr)
    if rule is None:
        return None
    wanted = list(wanted)
    return rule.has_value if any(map(is_any, wanted)) else rule.matcher(wanted)


class _Rule(Protocol):
    """What a wanted value means in some VRs."""

    def problem(self, wanted: str) -> Reason | None: ...

    def canonical(self, wanted: str) -> str: ...

    def has_value(self, value: Any) -> bool: ...

    def matcher(self, wanted: list[str]) -> Matcher: ...


class _Text:
    """The whole value, with wildcards.

    :param possible: what a wanted value must look like; None: anything.
    :param otherwise: what is wrong with any other.
    :param form: makes texts without wildcards equal that mean the same.
    """

    def __init__(
        self,
        *,
        ignore_case: bool = False,
        possible: re.Pattern[str] | None = None,
        otherwise: Reason = Reason.SEVERAL_VALUES,
        form: Callable[[str], str] = lambda text: text,
    ) -> None:
        self._ignore_case = ignore_case
        self._form = form
        self._possible = possible
        self._otherwise = otherwise

    def problem(self, wanted: str) -> Reason | None:
        return None if self._possible is None or self._possible.fullmatch(wanted) else self._otherwise

    def canonical(self, wanted: str) -> str:
        if not _SPECIAL.search(wanted):  # there may be a hundred thousand
            return self._folded(wanted)
        return Wildcards(wanted, ignore_case=self._ignore_case).canonical

    def has_value(self, value: Any) -> bool:
        return isinstance(value, str) and trimmed(value) != ''

    def matcher(self, wanted: list[str]) -> Matcher:
        plain = frozenset(self._folded(text) for text in wanted if not _SPECIAL.search(text))
        patterns = [Wildcards(text, ignore_case=self._ignore_case) for text in wanted if _SPECIAL.search(text)]

        def matches(value: Any) -> bool:
            if not self.has_value(value):
                return False
            text = trimmed(value)
            if self._folded(text) in plain:
                return True
            forms = folded_forms(text) if self._ignore_case and patterns else (text,)
            return any(pattern.match(form) for pattern in patterns for form in forms)

        return matches

    def _folded(self, text: str) -> str:
        return self._form(fold(text) if self._ignore_case else text)


_EXACT = _Text()
_FOLDED = _Text(ignore_case=True)


def _age(text: str) -> str:
    """With three digits, as the standard has it (PS3.5 6.2); people and some devices leave out zeros."""
    return text.zfill(4) if _AGE.fullmatch(text) else text


class _Name:
    """A person's name: any component group, or group by group where the wanted value has an equals sign.

    An empty group of a wanted value stands for any. A caret at the end of a group means nothing, so `DOE^JOHN^*` is
    `DOE^JOHN`, too.
    """

    def problem(self, wanted: str) -> Reason | None:
        groups = _wanted_groups(wanted)
        if len(groups) > len(_GROUPS):
            return Reason.NOT_A_NAME
        return None if any(groups) else Reason.NO_VALUE

    def canonical(self, wanted: str) -> str:
        groups = [_FOLDED.canonical(group) for group in _wanted_groups(wanted)]
        while len(groups) > 2 and not groups[-1]:
            groups.pop()
        return '='.join(groups)

    def has_value(self, value: Any) -> bool:
        return any(_groups_of(value))

    def matcher(self, wanted: list[str]) -> Matcher:
        wanted = [text for text in wanted if not self.problem(text)]
        any_group = _group_matcher(*(text for text in wanted if '=' not in text))
        by_group = [[_group_matcher(text) for text in _wanted_groups(name)] for name in wanted if '=' in name]

        def matches(value: Any) -> bool:
            groups = _groups_of(value)
            return any(map(any_group, filter(None, groups))) or any(
                all(matches_group(group) for matches_group, group in zip(matchers, groups, strict=False))
                for matchers in by_group
            )

        return matches


def _wanted_groups(name: str) -> list[str]:
    groups = [_without_carets(group) for group in name.split('=')]
    return ['' if is_any(group) else group for group in groups]


def _group_matcher(*wanted: str) -> Matcher:
    if wanted == ('',):
        return lambda group: True
    variants = []
    for text in map(_without_carets, wanted):
        variants.append(text)
        while (shorter := text.rstrip('*')) != text and shorter.endswith('^'):
            text = _without_carets(shorter)
            variants.append(text)
    return _FOLDED.matcher(variants)


def _groups_of(value: Any) -> list[str]:
    """The three component groups of a name in DICOM JSON, or of one that was written as a text."""
    parts = [value.get(name) for name in _GROUPS] if isinstance(value, dict) else []
    if isinstance(value, str):
        parts = list(value.split('=', 2))
    texts = [_without_carets(part) if isinstance(part, str) else '' for part in parts]
    return texts + [''] * (len(_GROUPS) - len(texts))


def _without_carets(text: str) -> str:
    return trimmed(text).rstrip('^' + _BLANKS)


class _Time:
    """A date or time: its text, with wildcards; or a range. With different offsets from UTC, times are compared."""

    def __init__(self, vr: str) -> None:
        self._vr = vr

    def problem(self, wanted: str) -> Reason | None:
        if self._range(wanted):
            return None
        is_text = re.fullmatch(_CHARACTERS[self._vr], wanted, re.ASCII)
        needs_span = '-' in wanted and not _has_wildcards(wanted)
        is_part = self._vr == 'DA' and len(wanted) < _WHOLE_DATE and not _has_wildcards(wanted)
        is_possible = is_text and not is_part and (not needs_span or parse_span(wanted, self._vr))
        return None if is_possible else _NOT_A[self._vr]

    def canonical(self, wanted: str) -> str:
        return _EXACT.canonical(wanted)

    def has_value(self, value: Any) -> bool:
        return _EXACT.has_value(value)

    def matcher(self, wanted: list[str]) -> Matcher:
        range_of = {text: self._range(text) for text in wanted}
        ranges = [found for found in range_of.values() if found]
        as_text = _EXACT.matcher([text for text, found in range_of.items() if not found])
        times = [span for text in wanted if (span := parse_span(text, self._vr)) and span.offset is not None]

        def matches(value: Any) -> bool:
            if not self.has_value(value):
                return False
            span = parse_span(trimmed(value), self._vr) if ranges or times else None
            return as_text(value) or (span is not None and _is_in(span, ranges, times))

        return matches

    def _range(self, wanted: str) -> Range | None:
        is_text = _has_wildcards(wanted) or parse_span(wanted, self._vr)
        return None if is_text else parse_range(wanted, self._vr)


def _has_wildcards(text: str) -> bool:
    return '*' in text or '?' in text


def _is_in(span: Span, ranges: list[Range], times: list[Span]) -> bool:
    return any(found.holds(span) for found in ranges) or any(is_same_time(time, span) for time in times)


class _Number:
    """A decimal number of any size, as its value; the service writes it as a number or as a text."""

    def problem(self, wanted: str) -> Reason | None:
        return None if _number(wanted) else Reason.NOT_A_NUMBER

    def canonical(self, wanted: str) -> str:
        return _number(wanted) or wanted

    def has_value(self, value: Any) -> bool:
        return _EXACT.has_value(value)

    def matcher(self, wanted: list[str]) -> Matcher:
        numbers = frozenset(filter(None, map(_number, wanted)))
        return lambda value: isinstance(value, str) and _number(trimmed(value)) in numbers


def _number(text: str) -> str | None:
    """The number in one form, digits and a power of ten, exact whatever its size; None for anything else."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction, exponent = (part or '' for part in match.groups())
    digits = (whole + fraction).lstrip('0')
    significant = digits.rstrip('0')
    if not significant:
        return '0'
    power = int(exponent or 0) - len(fraction) + len(digits) - len(significant)
    return f'{sign.strip("+")}{significant}e{power}'


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(('LT', 'ST', 'UR', 'UT', 'AT'), _EXACT),
    **dict.fromkeys(('AE', 'LO', 'SH', 'UC'), _Text(possible=_ONE_VALUE)),
    'AS': _Text(possible=_ONE_VALUE, form=_age),
    'UI': _Text(possible=_UID, otherwise=Reason.NOT_A_UID),
    'CS': _Text(ignore_case=True, possible=_ONE_CODE),
    'PN': _Name(),
    **{vr: _Time(vr) for vr in ('DA', 'TM', 'DT')},
    **dict.fromkeys(('IS', 'DS', 'US', 'SS', 'UL', 'SL', 'FL', 'FD', 'SV', 'UV'), _Number()),
}
