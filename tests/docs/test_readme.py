"""Each block of README.md runs as it is written there, in a folder of its own, and ends with 0."""
from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess

import pytest

from tests.docs.conftest import Stop
from tests.docs.readme import BLOCKS, Block, rows_below
from tests.e2e.machine import Machine
from tests.emulator import trouble
from tests.emulator.cloud import Emulator


def _of(language: str, *, stopped: bool = False) -> list[object]:
    return [pytest.param(block, id=f'line-{block.line}') for block in BLOCKS
            if block.language == language and block.is_run and (block.mark == 'stopped') == stopped]


@pytest.mark.parametrize('block', _of('bash'))
def test_bash_block_runs(block: Block, machine: Machine) -> None:
    for program in ('curl', 'jq'):
        if program in block.code and not shutil.which(program):
            pytest.skip(f'needs {program}')
    done = machine.shell(block.code)
    assert done.returncode == 0, done.stderr
    assert 'ERROR' not in done.stderr


@pytest.mark.parametrize('block', _of('bash', stopped=True))
def test_block_that_follows_ends_with_0_when_stopped(block: Block, stop: Stop) -> None:
    assert stop(block.code, signal.SIGINT) == 0


@pytest.mark.parametrize('block', _of('fish'))
def test_fish_block_runs(block: Block, machine: Machine) -> None:
    if not shutil.which('fish') and not os.environ.get('CI'):
        pytest.skip('needs fish')
    done = subprocess.run(['fish', '-c', block.code], env=machine.environment, cwd=machine.folder, capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0 and done.stdout.endswith('seconds left\n'), done.stderr


def test_blocks_that_are_not_run_say_why() -> None:
    assert all(re.fullmatch('|not run: .+|stopped', block.mark) for block in BLOCKS)


@pytest.mark.parametrize(('code', 'command'), [
    (0, 'changefeed --start-time 2026-01-31 --end-time 2026-02-01'),
    (0, 'changefeed --stream | head -n 1'),
    (1, 'changefeed --max-items 0'),
    (2, 'changefeed --offset 1'),
    (3, 'changefeed --sequence 999999999'),
    (3, 'token issue --resource-group imaging --workspace-name contoso --dicom-service-name none'),
])
def test_exit_code_is_that_of_the_readme(code: int, command: str, machine: Machine) -> None:
    assert code in _exit_codes()
    assert machine.shell(f'az dicom {command}').returncode == code


@pytest.mark.parametrize(('code', 'number'), [(130, signal.SIGINT), (143, signal.SIGTERM)], ids=['INT', 'TERM'])
def test_exit_code_of_a_run_cut_short_is_that_of_the_readme(
        code: int, number: signal.Signals, stop: Stop, emulator: Emulator) -> None:
    assert code in _exit_codes()
    emulator.service.trouble.when(lambda request: 'offset=2000' in request.query, trouble.hang())
    try:
        assert stop('az dicom changefeed --stream', number) == code
    finally:
        emulator.service.trouble.clear()


def test_exit_codes_of_the_readme_are_all_tried() -> None:
    assert _exit_codes() == {0, 1, 2, 3, 130, 143}


def _exit_codes() -> set[int]:
    return {int(code) for row in rows_below('| exit code |') for code in row[0].split(', ')}
