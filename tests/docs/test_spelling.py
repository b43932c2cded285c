"""What README and help texts say of the commands is what the parser knows."""
from __future__ import annotations

import re

import pytest

from tests.docs.commands import EXAMPLES, HELPS, arguments, command_lines, options, parser, parsers
from tests.docs.readme import BLOCKS, TEXT, rows_below, spans

# Options of other commands of az that the README's text names.
_OTHERS = {'--source', '--use-device-code', '--assignee-principal-type'}
_OF_ANOTHER_COMMAND = '`az configure --defaults group=NAME`'     # core's own words on --resource-group

_OPTION = re.compile(r'(?<![\w-])--[a-z][a-z-]*')


def _written_commands() -> list[str]:
    """Each command line that stands in README or help; one with an ellipsis is none."""
    texts = [block.code for block in BLOCKS] + [example for _, example in EXAMPLES] + spans()
    lines = [line for text in texts for line in command_lines(text)]
    return sorted({line for line in lines if '…' not in line})


def test_commands_of_az_and_of_the_help_are_the_same() -> None:
    assert set(options()) == set(HELPS)


@pytest.mark.parametrize('command', sorted(HELPS))
def test_command_is_in_the_readme_and_has_examples(command: str) -> None:
    assert [f'`az {command}`'] == [row[0] for row in rows_below('| command |') if row[0] == f'`az {command}`']
    assert [name for name, _ in EXAMPLES].count(command) > 1


@pytest.mark.parametrize('line', _written_commands())
def test_command_line_is_one_that_the_parser_takes(line: str) -> None:
    parser().parse_args(arguments(line))


@pytest.mark.parametrize('command', sorted(HELPS))
def test_options_in_the_help_belong_to_the_command(command: str) -> None:
    texts = [HELPS[command]['long-summary'], *(str(argument.help) for argument in parsers()[command]._actions)]
    named = {option for text in texts for option in _OPTION.findall(text.replace(_OF_ANOTHER_COMMAND, ''))}
    assert named <= options()[command]


def test_options_in_the_readme_are_those_of_some_command() -> None:
    named = {option for span in spans() if span.startswith('--') for option in _OPTION.findall(span)}
    assert named <= set().union(*options().values()) | _OTHERS


def test_formats_in_the_readme_are_those_of_the_command() -> None:
    from azext_dicomtoken._formats import FORMATS
    named = [name for row in rows_below('| `--format` |') for name in re.findall(r'`([a-z-]+)`', row[0])]
    assert named == list(FORMATS)


def test_links_in_the_readme_lead_to_headings() -> None:
    headings = {re.sub(r'[^\w -]', '', title.lower()).replace(' ', '-')
                for title in re.findall(r'^#+ (.*)$', TEXT, re.MULTILINE)}
    assert set(re.findall(r'\]\(#([^)]*)\)', TEXT)) <= headings
