"""Run azdev's style and linter checks on this repository alone: no network, no clone of azure-cli.

usage: python scripts/azdev_check.py [style|linter|all] [low|medium|high]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MODULE = 'azext_dicomtoken'

# azdev.operations.regex fetches this file when it is imported, unless the folder of the "CLI repository" has it.
COVERAGE_PATTERNS = """\
CMD_PATTERN: ['(?!)', '(?!)', '(?!)', '(?!)']
QUO_PATTERN: '(?!)'
END_PATTERN: '(?!)'
DOCS_END_PATTERN: '(?!)'
NOT_END_PATTERN: '(?!)'
NUMBER_SIGN_PATTERN: '(?!)'
"""


def main(arguments: list[str]) -> int:
    what = arguments[0] if arguments else 'all'
    severity = arguments[1] if len(arguments) > 1 else 'low'
    with tempfile.TemporaryDirectory(prefix='azdev-check-') as folder:
        prepare(Path(folder))
        failed = [check.__name__ for check in (style, linter) if what in (check.__name__, 'all') and check(severity)]
    return 1 if failed else 0


def prepare(folder: Path) -> None:
    """Copy what is checked, so that nothing is left in the checkout, and point az and azdev to the copy."""
    checkout = folder / 'dicomtoken'  # az takes the name of a development extension from its directory
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns('.*', '*.egg-info', 'build', 'dist', '__pycache__'))
    stub = folder / 'cli' / 'scripts' / 'ci'
    stub.mkdir(parents=True)
    (stub / 'cmdcov.yml').write_text(COVERAGE_PATTERNS, encoding='utf-8')
    os.environ.update(
        {
            'VIRTUAL_ENV': sys.prefix,  # azdev ends with a traceback without it
            'AZDEV_CONFIG_DIR': str(folder / 'azdev'),
            'AZDEV_CLI_REPO_PATH': str(folder / 'cli'),
            'AZDEV_EXT_REPO_PATHS': str(checkout),
            'AZURE_CONFIG_DIR': str(folder / 'azure'),
            'AZURE_EXTENSION_DIR': str(folder / 'none'),
            'AZURE_EXTENSION_DEV_SOURCES': str(checkout),
            'AZURE_CORE_COLLECT_TELEMETRY': 'false',
            'PATH': os.pathsep.join((os.path.join(sys.prefix, 'bin'), os.environ.get('PATH', ''))),
            'PYLINTHOME': str(folder / 'pylint'),
        }
    )
    os.chdir(checkout)
    sys.path.insert(0, str(checkout))
    # az and azdev know a development extension by its *.egg-info
    subprocess.run([sys.executable, 'setup.py', '-q', 'egg_info'], check=True, stderr=subprocess.DEVNULL)
    from azdev.operations.setup import _copy_config_files

    _copy_config_files()


def style(_severity: str) -> int:
    from azdev.operations.style import check_style

    return _exit_code(lambda: check_style(modules=[MODULE]))


def linter(severity: str) -> int:
    import azdev.operations.linter.util as linter_util
    from azdev.operations.linter import run_linter

    _load_this_extension_only()
    linter_util.has_broken_site_links = lambda *_, **__: []  # it would fetch every address in the help
    # The other types of rules compare two revisions or download their configuration.
    return _exit_code(
        lambda: run_linter(
            modules=[MODULE], min_severity=severity, rule_types=['params', 'commands', 'command_groups', 'help_entries']
        )
    )


def _load_this_extension_only() -> None:
    """One second instead of forty."""
    from azure.cli.core import AzCli, MainCommandsLoader
    from knack.events import EVENT_INVOKER_PRE_CMD_TBL_CREATE

    MainCommandsLoader._load_modules = lambda self, args, modules: []
    original = AzCli.__init__

    def with_command_string(self: Any, **kwargs: Any) -> None:
        original(self, **kwargs)  # without core's modules the loader reads this before anything sets it
        self.register_event(
            EVENT_INVOKER_PRE_CMD_TBL_CREATE, lambda cli, **_: cli.invocation.data.update(command_string='')
        )

    AzCli.__init__ = with_command_string


def _exit_code(check: Callable[[], None]) -> int:
    try:
        check()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
