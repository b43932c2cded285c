"""The loader that az looks for, and nothing else.

The class has to live in this very module: az remembers a command by its loader's module and later compares
that with the name of the extension's directory.
"""

from __future__ import annotations

from typing import Any

from azure.cli.core import AzCommandsLoader

from azext_dicomtoken._help import helps  # noqa: F401  pylint: disable=unused-import


class DicomTokenCommandsLoader(AzCommandsLoader):
    """Names the commands and their arguments; the command functions are imported when one of them is asked for."""

    def __init__(self, cli_ctx: Any = None) -> None:
        from azure.cli.core.commands import CliCommandType

        super().__init__(cli_ctx=cli_ctx, custom_command_type=CliCommandType(operations_tmpl='azext_dicomtoken.{}'))

    def load_command_table(self, args: Any) -> dict[str, Any]:
        from azext_dicomtoken.commands import load_command_table

        load_command_table(self, args)
        return self.command_table

    def load_arguments(self, command: str) -> None:
        from azext_dicomtoken._params import load_arguments

        load_arguments(self, command)


COMMAND_LOADER_CLS = DicomTokenCommandsLoader
