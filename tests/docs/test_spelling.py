"""What README, docs/ and help texts say of the commands is what the parser knows, and links lead somewhere."""

from __future__ import annotations

import argparse
import re

import pytest

from tests.docs.commands import EXAMPLES, HELPS, arguments, command_lines, options, parser, parsers
from tests.docs.pages import BLOCKS, PAGES, README, REFERENCE, USING_THE_TOKEN, Page

# Options of other commands that the text names.
_OTHERS = {'--source', '--use-device-code', '--assignee-principal-type', '--fail-with-body'}
_OF_EVERY_COMMAND = {'-h', '--help', '-o', '--output', '--query', '--debug', '--verbose', '--only-show-errors'}
_OF_ANOTHER_COMMAND = '`az configure --defaults group=NAME`'  # core's own words on --resource-group

_OPTION = re.compile(r'(?<![\w-])--[a-z][a-z-]*')
_EACH_PAGE = pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)


def _written_commands() -> list[str]:
    """Each command line that stands in a page or in a help text; one with an ellipsis is none."""
    texts = (
        [block.code for block in BLOCKS]
        + [example for _, example in EXAMPLES]
        + [span for page in PAGES for span in page.spans()]
    )
    lines = [line for text in texts for line in command_lines(text)]
    return sorted({line for line in lines if '…' not in line})


def test_commands_of_az_and_of_the_help_are_the_same() -> None:
    assert set(options()) == set(HELPS)


@pytest.mark.parametrize('command', sorted(HELPS))
def test_command_is_in_the_readme_and_has_examples(command: str) -> None:
    assert [f'`az {command}`'] == [row[0] for row in README.rows_below('| command |') if row[0] == f'`az {command}`']
    assert [name for name, _ in EXAMPLES].count(command) > 1


@pytest.mark.parametrize('line', _written_commands())
def test_command_line_is_one_that_the_parser_takes(line: str) -> None:
    parser().parse_args(arguments(line))


@pytest.mark.parametrize('command', sorted(HELPS))
def test_options_in_the_help_belong_to_the_command(command: str) -> None:
    texts = [HELPS[command]['long-summary'], *(str(argument.help) for argument in parsers()[command]._actions)]
    named = {option for text in texts for option in _OPTION.findall(text.replace(_OF_ANOTHER_COMMAND, ''))}
    assert named <= options()[command]


@pytest.mark.parametrize('command', sorted(HELPS))
def test_every_option_of_a_command_is_in_the_reference(command: str) -> None:
    documented = {option for row in REFERENCE.rows() for option in re.findall(r'`(--?[a-z][a-z-]*)`', row[0])}
    shown = [action for action in parsers()[command]._actions if action.help != argparse.SUPPRESS]
    taken = {option for action in shown for option in action.option_strings}
    assert taken - _OF_EVERY_COMMAND - documented == set()


@_EACH_PAGE
def test_options_in_a_page_are_those_of_some_command(page: Page) -> None:
    named = {option for span in page.spans() if span.startswith('--') for option in _OPTION.findall(span)}
    assert named <= set().union(*options().values()) | _OTHERS


def test_formats_in_the_docs_are_those_of_the_command() -> None:
    from azext_dicomtoken._formats import FORMATS

    named = [
        name for row in USING_THE_TOKEN.rows_below('| `--format` |') for name in re.findall(r'`([a-z-]+)`', row[0])
    ]
    assert named == list(FORMATS)


@_EACH_PAGE
def test_links_of_a_page_lead_to_files_and_headings(page: Page) -> None:
    anchors = {other.path: other.anchors() for other in PAGES}
    for link in page.links():
        name, _, anchor = link.partition('#')
        target = (page.path.parent / name).resolve() if name else page.path
        assert target.exists(), link
        assert not anchor or anchor in anchors[target], link


def test_readme_links_to_every_page() -> None:
    assert {page.name for page in PAGES} - {README.name} <= set(README.links())
