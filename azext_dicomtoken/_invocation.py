"""What az knows of this run of a command, beside the command's own options.

Owned: the subscription, the output format, --query, which of these a person typed, the stream for data, and az's user
agent. Each of them is dug out of az in this one file, so that a release of az that moves one is fixed here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from azext_dicomtoken._stdout import Stdout
    from dicomfeed.transport import HttpTransport

_ARGUMENTS = 'dicom_arguments'
_MESSAGE_FLAGS = ('--only-show-errors', '--verbose', '--debug')
# Short options of az and of this extension that take a value: what follows them in one word is the value.
_SHORT_WITH_VALUE = 'got'


def keep_arguments(cli_ctx: Any, arguments: Sequence[str] | None) -> None:
    """Remember the words of the command line, which the parser's namespace does not hold."""
    cli_ctx.data[_ARGUMENTS] = tuple(arguments or ())


def is_typed(value: Any) -> bool:
    """Whether a person gave the value with this command; az marks what comes from its configuration."""
    return bool(value) and not getattr(value, 'is_default', False)


class Invocation:
    """One run of a command."""

    def __init__(self, cli_ctx: Any) -> None:
        self.cli_ctx = cli_ctx

    @property
    def subscription(self) -> str | None:
        """Name or ID of the subscription that was typed or configured; None is the active one."""
        subscription: str | None = self.cli_ctx.data.get('subscription_id')
        return subscription

    @property
    def typed_subscription(self) -> str | None:
        return self.subscription if is_typed(self.subscription) else None

    @property
    def output(self) -> str:
        """The output format, typed or configured."""
        return str(self._data.get('output') or 'json')

    @property
    def typed_output(self) -> str | None:
        """The output format if a person typed it; neither az nor its parser can tell it from a configured one."""
        return self.output if any(map(_is_output_option, self._arguments)) else None

    @property
    def out_file(self) -> TextIO | None:
        """Where az prints results: standard output, None where that is closed, or what a program that runs az gave.

        knack hands that to no command. It is a local variable of the `CLI.invoke` further up the stack, the nearest of
        which runs this command, with a copy of its own context.
        """
        from knack.cli import CLI

        frame = sys._getframe()  # pylint: disable=protected-access
        while frame.f_back is not None:
            frame = frame.f_back
            if frame.f_code is CLI.invoke.__code__:
                given: TextIO | None = frame.f_locals['out_file']
                return given
        return sys.stdout

    @property
    def stdout(self) -> Stdout:
        """Takes a command's data."""
        from azext_dicomtoken._stdout import Stdout

        return Stdout(self.out_file)

    @property
    def terminal_columns(self) -> int | None:
        """Width of the terminal that data goes to; None where it goes elsewhere."""
        import shutil

        return shutil.get_terminal_size().columns if self.stdout.is_terminal else None

    def inform(self, *lines: str) -> None:
        """Say how a run went, on standard error, unless only errors are shown; no warning, so not by the logger."""
        from azext_dicomtoken._output import say

        if not self.cli_ctx.only_show_errors:
            say(*lines)

    @property
    def typed_flags(self) -> list[str]:
        """az's own options for messages that were typed."""
        return [flag for flag in _MESSAGE_FLAGS if flag in self._arguments]

    @property
    def has_query(self) -> bool:
        return bool(self._data.get('query_active'))

    @property
    def typed_query(self) -> str | None:
        """The text of --query; of two, the last one counts."""
        typed = None
        for position, word in enumerate(self._arguments):
            name, equals, value = word.partition('=')
            if _abbreviates(name, '--query', shortest='--q'):
                typed = value if equals else ''.join(self._arguments[position + 1 : position + 2])
        return typed

    def query(self) -> Callable[[Any], Any]:
        """What --query makes of one result.

        knack applies it to the one result of a command, by a handler that takes itself off the list when it is called,
        and offers no other way to the expression.
        """
        from knack.events import EVENT_INVOKER_FILTER_RESULT

        cli_ctx = self.cli_ctx
        handlers = list(cli_ctx._event_handlers[EVENT_INVOKER_FILTER_RESULT])  # pylint: disable=protected-access

        def queried(result: Any) -> Any:
            data = {'result': result}
            for handler in handlers:
                handler(cli_ctx, event_data=data)
            return data['result']

        return queried

    def spelled(self, *spellings: str) -> str:
        """The spelling of an option that was typed (`--since`, not `--start-time`), or the first where none was."""
        typed = [word.partition('=')[0] for word in self._arguments if word.startswith('--')]
        return next((full for full in spellings for word in typed if word == full), spellings[0])

    def transport(self, **settings: Any) -> HttpTransport:
        """HTTP in az's name."""
        from azure.cli.core.util import get_az_user_agent

        from dicomfeed.transport import HttpTransport

        return HttpTransport(user_agent=get_az_user_agent(), **settings)

    @property
    def _data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.cli_ctx.invocation.data
        return data

    @property
    def _arguments(self) -> tuple[str, ...]:
        arguments: tuple[str, ...] = self.cli_ctx.data.get(_ARGUMENTS, ())
        return arguments


def _is_output_option(word: str) -> bool:
    """Whether the word is -o or --output: abbreviated, with its value, or in a group of short options (`-fo`)."""
    if word.startswith('--'):
        return _abbreviates(word.partition('=')[0], '--output', shortest='--ou')
    if not word.startswith('-'):
        return False
    for letter in word[1:]:
        if letter in _SHORT_WITH_VALUE:
            return letter == 'o'
    return False


def _abbreviates(word: str, option: str, *, shortest: str) -> bool:
    return word.startswith(shortest) and option.startswith(word)
