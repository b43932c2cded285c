"""The picture in README: it is shown, it needs nothing but itself, and its commands are ones that az takes."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from tests.conftest import ROOT
from tests.docs.commands import arguments, command_lines, parser
from tests.docs.pages import README

PICTURE = ROOT / 'docs' / 'terminal.svg'
_SVG = '{http://www.w3.org/2000/svg}'
LINES = [(line.get('class') or '', line.text or '') for line in ElementTree.parse(PICTURE).iter(_SVG + 'text')]
TYPED = '\n'.join(text for style, text in LINES if style == 'typed').replace('$ ', '')


def test_picture_is_near_the_top_and_told_to_who_cannot_see_it() -> None:
    (place,) = [number for number, line in enumerate(README.text.splitlines()) if '(docs/terminal.svg)' in line]
    assert place < 30 and re.search(r'!\[[^]]{40,}\]\(docs/terminal\.svg\)', README.text)


def test_picture_is_a_failed_check_with_its_fix_and_counts_by_hour() -> None:
    shown = ''.join(text for style, text in LINES if style != 'typed')
    assert re.search(r'feed +failed', shown) and 'az role assignment create --assignee-object-id ' in shown
    assert re.search(r'2\d{3}-\d\d-\d\dT\d\d:00Z[ 0-9]+#', shown)


@pytest.mark.parametrize('line', command_lines(TYPED))
def test_command_in_the_picture_is_one_that_the_parser_takes(line: str) -> None:
    parser().parse_args(arguments(line))


def test_picture_has_a_background_of_its_own_and_needs_no_address() -> None:
    root = ElementTree.parse(PICTURE).getroot()
    assert [child.tag for child in root if child.tag != _SVG + 'text'] == [_SVG + 'style', _SVG + 'rect']
    names = {name for element in root.iter() for name in element.attrib}
    assert not [name for name in names if 'href' in name] and 'url(' not in str(root.findtext(_SVG + 'style'))


def test_lines_fit_the_terminal() -> None:
    assert max(len(text) for _, text in LINES) <= 100 and len(command_lines(TYPED)) == 2
