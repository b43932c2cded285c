"""The words of the help: one term for one thing, in whole sentences. `tests/az/test_help_pages.py` has the layout."""

from __future__ import annotations

import re

import pytest
import yaml
from knack.help_files import helps

from tests.docs.commands import EXAMPLES, HELPS, parsers

# What is refused, by the word that is right.
_REFUSED = {
    'event': r'entry|entries',
    'sequence number': r'(?<!sequence )numbers?(?! of\b)',
    'timestamp': r'moments?|stamps?',
    'gap': r'holes?',
    'the reader': r'library',
    'fix': r'mend(s|ed|ing)?',
    'truncate (a file), limit (a list)': r'cuts?|cutting',
    'the extension': r'skin',
    'subpackage': r'wings?',
    'command function': r'body|bodies',
    'mutant': r'plant(s|ed)?',
    'who': r'whom',
    'also': r'besides?',
    'continue': r'go(es)? on',
    'start': r'begin(s|ning)?',
    'its name': r'affairs?',
}
_GROUPS = {name: yaml.safe_load(helps[name]) for name in ('dicom', 'dicom token')}


def refused_words(text: str) -> dict[str, str]:
    """What stands in the text, by the word that belongs there."""
    plain = ' '.join(text.split())
    found = {right: re.search(rf'\b({words})\b', plain, re.IGNORECASE) for right, words in _REFUSED.items()}
    return {right: match[0] for right, match in found.items() if match}


def _options(command: str) -> dict[str, str]:
    """The help of the options that are the extension's own, by their first spelling."""
    return {
        action.option_strings[0]: action.help
        for action in parsers()[command]._actions
        if not action.dest.startswith('_') and action.dest not in ('help', 'cmd')
    }


def _sentences() -> dict[str, str]:
    """Each text that is one paragraph, by the place where it stands."""
    summaries = {f'{name}: summary': text['short-summary'] for name, text in {**_GROUPS, **HELPS}.items()}
    options = {f'{name} {option}': text for name in HELPS for option, text in _options(name).items()}
    examples = {
        f'{name}: example {place}': example['name']
        for name, text in HELPS.items()
        for place, example in enumerate(text['examples'])
    }
    return {**summaries, **options, **examples}


SENTENCES = _sentences()
LONG_TEXTS = {name: text['long-summary'] for name, text in {**_GROUPS, **HELPS}.items() if 'long-summary' in text}
TEXTS = {**SENTENCES, **LONG_TEXTS}


@pytest.mark.parametrize('place', TEXTS)
def test_help_uses_the_right_words(place: str) -> None:
    assert refused_words(TEXTS[place]) == {}


@pytest.mark.parametrize('place', SENTENCES)
def test_help_is_written_in_sentences(place: str) -> None:
    assert re.fullmatch(r'[A-Z-].*[^ .]\.', SENTENCES[place])


@pytest.mark.parametrize(
    ('text', 'refused'),
    [
        ('An entry of the feed.', {'event': 'entry'}),
        ('Through which\nnumber it is complete.', {'sequence number': 'number'}),
        ('Through which sequence\nnumber, and the number of events.', {}),
        ('The first Moment of the window.', {'timestamp': 'Moment'}),
        ('The timestamp. Recommended; the entrypoint.', {}),
    ],
)
def test_refused_words_are_told(text: str, refused: dict[str, str]) -> None:
    assert refused_words(text) == refused


def test_changefeed_examples_come_in_the_order_in_which_they_are_wanted() -> None:
    first = [text for name, text in EXAMPLES if name == 'dicom changefeed'][:3]
    wanted = ('--since 1d --output-file', '--follow', '--action Delete')
    assert [words for text, words in zip(first, wanted, strict=True) if words not in text] == []


def test_group_says_how_to_name_a_service_once() -> None:
    assert 'az config set \\\ndefaults.dicom_service_url=' in _GROUPS['dicom']['long-summary']
