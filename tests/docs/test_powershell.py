"""Each PowerShell example of README, docs/ and help runs as it is written, where there is PowerShell.

`az` is a function in it that prints what the real one printed: what is tried is the example, on any system.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping

import pytest

from tests.docs.commands import EXAMPLES, command_lines
from tests.docs.pages import BLOCKS
from tests.e2e.machine import Machine

SCRIPTS = {
    **{block.place: block.code for block in BLOCKS if block.language == 'powershell' and block.is_run},
    **{name: text for name, text in EXAMPLES if 'Invoke-Expression' in text},
}


def with_az(script: str, printed: Mapping[str, str]) -> str:
    """The script after a function `az` that knows what these command lines print, and no other."""
    answers = ''.join(
        f"{_quoted(line.removeprefix('az '))} = @'\n{text.rstrip()}\n'@\n" for line, text in printed.items()
    )
    return (
        "$ErrorActionPreference = 'Stop'\n"
        f'$printed = @{{\n{answers}}}\n'
        'function az { if (-not $printed.ContainsKey($args -join \' \')) { throw "az $args" }; '
        '$printed[$args -join \' \'] -split "`n" }\n'
        f'{script}'
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@pytest.mark.parametrize('script', SCRIPTS.values(), ids=SCRIPTS)
def test_powershell_example_runs(script: str, machine: Machine) -> None:
    if not shutil.which('pwsh'):
        pytest.skip('needs pwsh')
    printed = {line: machine.shell(line).stdout for line in command_lines(script)}
    (machine.folder / 'example.ps1').write_text(with_az(script, printed), 'utf-8')
    done = machine.shell('pwsh -NoProfile -NonInteractive -File example.ps1')
    assert (done.returncode, done.stderr) == (0, '')


@pytest.mark.parametrize('script', SCRIPTS.values(), ids=SCRIPTS)
def test_powershell_example_gets_from_az_what_az_printed(script: str, machine: Machine) -> None:
    """Also without PowerShell: az takes each of its command lines, and they are found."""
    lines = command_lines(script)
    assert lines and [line for line in lines if not machine.shell(line).stdout] == []
    assert with_az(script, dict.fromkeys(lines, 'printed\n')).count("= @'\nprinted\n'@\n") == len(set(lines))
