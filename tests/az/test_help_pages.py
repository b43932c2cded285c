"""What `-h` puts on the screen: the headings, their order, and examples that can be copied."""

from __future__ import annotations

import re

import pytest

from tests.az.conftest import Az
from tests.docs.commands import EXAMPLES, HELPS

# az folds at 100 columns, indents examples by 8, and adds headings of its own.
_NARROW_TERMINAL = 80
_OF_AZ = ('Global Policy Arguments', 'Global Arguments')
_PAGES = pytest.mark.parametrize('command', sorted({*HELPS, 'dicom', 'dicom token'}))


def _headings(page: str) -> list[str]:
    return [heading for heading in re.findall(r'^(.*Arguments)$', page, re.MULTILINE) if heading not in _OF_AZ]


@pytest.mark.parametrize(
    ('command', 'groups'),
    [
        ('dicom changefeed', ['Filter', 'Limit', 'Output', 'Polling', 'Reports', 'Service']),
        ('dicom token issue', ['Service']),
        ('dicom token show-claims', ['Service']),
        ('dicom proxy', ['Service']),
        ('dicom check-access', []),
    ],
)
def test_options_are_in_groups_after_the_ungrouped_ones(az: Az, command: str, groups: list[str]) -> None:
    page = az(*command.split(), '-h').stdout
    assert _headings(page) == ['Arguments', *(f'{group} Arguments' for group in groups)]


@_PAGES
def test_no_heading_is_empty(az: Az, command: str) -> None:
    page = az(*command.split(), '-h').stdout
    assert re.findall(r'^(.*Arguments|Examples)\n(?! )', page, re.MULTILINE) == []


@_PAGES
def test_no_line_is_folded_at_a_hyphen(az: Az, command: str) -> None:
    page = az(*command.split(), '-h').stdout
    assert re.findall(r'^.*\w-$', page, re.MULTILINE) == []


@pytest.mark.parametrize(('command', 'text'), EXAMPLES)
def test_example_is_on_the_screen_as_it_is_typed(az: Az, command: str, text: str) -> None:
    page = az(*command.split(), '-h').stdout
    assert '\n'.join(f'        {line}' for line in text.splitlines()) in page


@_PAGES
def test_examples_fit_a_narrow_terminal(az: Az, command: str) -> None:
    _, _, examples = az(*command.split(), '-h').stdout.partition('\nExamples\n')
    examples, _, _ = examples.partition('\nTo search AI knowledge base')  # the end of a page of older releases of az
    assert [line for line in examples.splitlines() if len(line) > _NARROW_TERMINAL] == []
