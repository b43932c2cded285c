"""Text with wildcards."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfeed.wildcards import Wildcards, fold

every = settings(max_examples=500)
TEXTS = st.text('ab*?\\\n', max_size=12)


def as_regex(pattern: str) -> str:
    """By the book, for short texts only: it goes back."""
    parts = {'*': '.*', '?': '.'}
    return ''.join(parts.get(token) or re.escape(token[-1]) for token in re.findall(r'\\[*?\\]|.', pattern, re.DOTALL))


@every
@given(TEXTS, TEXTS)
def test_pattern_matches_as_by_the_book(pattern: str, text: str) -> None:
    assert Wildcards(pattern).match(text) == (re.fullmatch(as_regex(pattern), text, re.DOTALL) is not None)


@every
@given(st.text('ab*?', max_size=8), st.text('ab', max_size=8))
def test_canonical_pattern_matches_the_same(pattern: str, text: str) -> None:
    canonical = Wildcards(pattern).canonical
    assert Wildcards(canonical).match(text) == Wildcards(pattern).match(text) == fnmatch.fnmatchcase(text, pattern)
    assert Wildcards(canonical).canonical == canonical


@pytest.mark.parametrize(
    ('one', 'other'),
    [('a**b', 'a*b'), ('*?', '?*'), ('?*?*', '??*'), (r'a\b', r'a\\b'), (r'\*', r'\*')],
    ids=['runs', 'order', 'many', 'backslash', 'escaped'],
)
def test_patterns_that_mean_the_same_have_one_form(one: str, other: str) -> None:
    assert Wildcards(one).canonical == Wildcards(other).canonical


@pytest.mark.parametrize(('one', 'other'), [(r'\*', '*'), (r'\?', '?'), ('a*', 'a?'), (r'\\*', r'\*'), ('a', 'A')])
def test_patterns_that_mean_something_else_have_another_form(one: str, other: str) -> None:
    assert Wildcards(one).canonical != Wildcards(other).canonical


def test_case_is_ignored_on_request_alone() -> None:
    assert Wildcards('weiß*ΓΙΆΝΝΗΣ', ignore_case=True).match(fold('WEISS^γιάννης'))
    assert not Wildcards('weiß').match('WEISS')
    assert Wildcards('WEIß', ignore_case=True).canonical == Wildcards('weiss', ignore_case=True).canonical


class CountingText(str):
    """Counts the characters that a search has to look through."""

    looked_through = 0

    def find(self, piece: str, position: int = 0) -> int:  # type: ignore[override]
        found = super().find(piece, position)
        CountingText.looked_through += (len(self) if found < 0 else found + len(piece)) - position
        return found


def test_stars_never_make_it_go_back() -> None:
    text = CountingText('a' * 50_000)
    assert not Wildcards('*a' * 2_000 + '*b*').match(text)
    assert CountingText.looked_through == len(text)


@pytest.mark.parametrize(
    'pattern', ['*a' * 2_000 + 'b', '*?a' * 1_300 + 'b', '?' * 4_000 + 'b', '*' * 4_000 + 'b', '\\' * 4_001]
)
def test_hostile_pattern_ends(pattern: str) -> None:
    """By a regular expression that goes back, the first one alone would take longer than the universe lasts."""
    assert not Wildcards(pattern).match('a' * 100_000)
    assert Wildcards(Wildcards(pattern).canonical).canonical == Wildcards(pattern).canonical


def test_repr_holds_nothing_of_the_pattern() -> None:
    assert 'DOE' not in repr(Wildcards('DOE*'))
