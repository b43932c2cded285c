"""A command of ours as text, to be pasted into the shell of the platform.

Owned: the words and their quoting. Not owned: which command helps (`_advice.py`) or continues (`changefeed/resume.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from azext_dicomtoken._account import quoted
from azext_dicomtoken._given import SERVICE_OPTIONS, option_name

if TYPE_CHECKING:
    from azext_dicomtoken._invocation import Invocation


def command_line(
    options: Iterable[tuple[str, Any]], *, words: Iterable[str] = ('changefeed',), windows: bool = os.name == 'nt'
) -> str:
    """The command with these options, quoted for the platform's shell; False and None are left out."""
    command = ['az', 'dicom', *words]
    for option, value in options:
        if value is True:
            command.append(option)
        elif isinstance(value, (list, tuple)):
            command += _with_values(option, [str(item) for item in value])
        elif value is not None and value is not False:
            command += _with_values(option, [str(value)])
    return ' '.join(quoted(word, windows=windows) for word in command)


def service_command(invocation: Invocation, typed: Mapping[str, Any], *words: str) -> str:
    """Another command of ours for the service and the identity that were typed.

    :param typed: options by name.
    """
    service = typed_options(invocation, typed, only=SERVICE_OPTIONS)
    return command_line([*service, ('--subscription', invocation.typed_subscription)], words=words)


def typed_options(invocation: Invocation, typed: Mapping[str, Any], *, only: Iterable[str]) -> list[tuple[str, Any]]:
    """Options and their values as they were typed."""
    return [(option_name(name, invocation), typed[name]) for name in only if name in typed]


def _with_values(option: str, values: list[str]) -> list[str]:
    """The option with its values, so that none of them passes for an option."""
    if any(value.startswith('-') and value != '-' for value in values):
        return [f'{option}={value}' for value in values]
    return [option, *values] if values else []
