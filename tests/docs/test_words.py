"""README and docs/ use one word for one thing, and it is the word that people search for."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import PAGES, Page

# What is not written, and what is written in its place. The body of a request is another thing.
_WORDS = {
    r'entry|entries': 'event',
    r'(?<!sequence )numbers?(?! of\b)': 'sequence number',
    r'moments?|stamp(s|ed)?': 'timestamp, time',
    r'holes?': 'gap',
    r'mend(s|ed|ing)?': 'fix',
    r'cuts?(?! short\b)': 'truncate',
    r'skins?': 'the CLI layer',
    r'the library': 'the reader, `dicomfeed`',
    r'wings?': 'subpackage',
    r'plants?|planted': 'mutant',
    r'affairs?|whom': 'a plain word',
}


def found(unwanted: str, text: str) -> list[str]:
    """Each place of an unwanted word, with what is around it."""
    words = ' '.join(text.split())
    return [match[0] for match in re.finditer(rf'.{{0,30}}\b(?:{unwanted})\b.{{0,30}}', words, re.IGNORECASE)]


@pytest.mark.parametrize('unwanted', _WORDS, ids=_WORDS.values())
@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_page_uses_the_term(page: Page, unwanted: str) -> None:
    prose = re.sub('`[^`\n]+`', '`', page.prose)
    assert found(unwanted, prose) == []


@pytest.mark.parametrize(
    ('text', 'is_found'),
    [
        ('the number above it', True),
        ('the sequence\nnumber above it, and a number of events', False),
        ('a list that was cut', True),
        ('a list that was cut\nshort, and an executed command', False),
        ('Whom it speaks for', True),
    ],
)
def test_unwanted_word_is_found_across_lines_and_in_any_case(text: str, is_found: bool) -> None:
    assert any(found(unwanted, text) for unwanted in _WORDS) is is_found
