"""The commands as az knows them: the command table, the real parser, the help texts. No command runs here."""

from __future__ import annotations

import re
import shlex
from functools import cache
from typing import Any

import yaml
from knack.help_files import helps

# From `az dicom` to what ends a simple command, or to where its output goes; quoted text may hold anything in its line.
_COMMAND_LINE = re.compile(r"""az dicom(?:"[^"\n]*"|'[^'\n]*'|[^|;>&)"'\n])*""")
_EXPANSION = re.compile(r'\$(?:\w+|\(.*\))')


@cache
def parser() -> Any:
    """az's parser for the commands of the extension, global options included."""
    from azure.cli.core import get_default_cli
    from azure.cli.core.commands.events import EVENT_INVOKER_PRE_LOAD_ARGUMENTS

    cli = get_default_cli()
    invocation = cli.invocation = cli.invocation_cls(
        cli_ctx=cli, parser_cls=cli.parser_cls, commands_loader_cls=cli.commands_loader_cls, help_cls=cli.help_cls
    )
    loader = invocation.commands_loader
    table = loader.load_command_table(['dicom'])
    loader.command_table = {name: command for name, command in table.items() if name.startswith('dicom')}
    cli.raise_event(EVENT_INVOKER_PRE_LOAD_ARGUMENTS, commands_loader=loader)  # --subscription
    for name in loader.command_table:
        invocation.data['command_string'] = name
        loader.load_arguments(name)
    invocation.parser.load_command_table(loader)
    return invocation.parser


@cache
def options() -> dict[str, set[str]]:
    """For each command that az has, all spellings of its options."""
    return {
        name: {text for action in command._actions for text in action.option_strings}
        for name, command in parsers().items()
    }


def parsers() -> dict[str, Any]:
    """The part of the parser that each command has."""
    found = [command for group in parser().subparsers.values() for command in group.choices.values()]
    return {
        command.prog.removeprefix('az '): command
        for command in found
        if command.prog.startswith('az dicom ') and command.get_default('command')
    }


def command_lines(script: str) -> list[str]:
    """The commands of the extension in a shell script."""
    return [line.strip() for line in _COMMAND_LINE.findall(script.replace('\\\n', ' '))]


def arguments(command_line: str) -> list[str]:
    """The words of a command line; a number, which suits every option, in the place of what the shell would know."""
    return ['1' if _EXPANSION.fullmatch(word) else word for word in shlex.split(command_line, comments=True)[1:]]


def _helps() -> dict[str, dict[str, Any]]:
    from azext_dicomtoken import _help  # noqa: F401  pylint: disable=unused-import

    texts = {name: yaml.safe_load(text) for name, text in helps.items() if name.startswith('dicom')}
    return {name: text for name, text in texts.items() if text['type'] == 'command'}


HELPS = _helps()

EXAMPLES: list[tuple[str, str]] = [
    (name, example['text']) for name, text in HELPS.items() for example in text.get('examples', [])
]
"""Command and text of each example of the help texts."""
