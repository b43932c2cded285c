"""Each block of README.md and of docs/ runs as it is written there, in a folder of its own, and ends with 0."""

from __future__ import annotations

import os
import re
import shutil
import signal

import pytest

from tests.docs.conftest import Stop
from tests.docs.pages import BLOCKS, Block
from tests.e2e.machine import Machine


def _of(language: str, *, stopped: bool = False) -> list[object]:
    return [
        pytest.param(block, id=block.place)
        for block in BLOCKS
        if block.language == language and block.is_run and (block.mark == 'stopped') == stopped
        if not (stopped and block.code.startswith('az dicom proxy'))  # those are in test_proxy.py
    ]


@pytest.mark.parametrize('block', _of('bash'))
def test_bash_block_runs(block: Block, machine: Machine) -> None:
    for program in ('curl', 'jq', 'duckdb'):
        if program in block.code and not shutil.which(program, path=machine.environment['PATH']):
            pytest.skip(f'needs {program}')
    done = machine.shell(block.code)
    assert done.returncode == 0, done.stderr
    assert 'ERROR' not in done.stderr


@pytest.mark.parametrize('block', _of('bash', stopped=True))
def test_block_that_follows_ends_with_0_when_stopped(block: Block, stop: Stop) -> None:
    assert stop(block.code.partition(' | ')[0], signal.SIGINT) == 0


@pytest.mark.parametrize('block', [block for block in BLOCKS if block.mark == 'stopped' and ' | ' in block.code])
def test_pipe_of_a_block_that_follows_has_a_result(block: Block, machine: Machine) -> None:
    done = machine.shell(block.code.replace('--follow', '--follow --since 1d --until-latest'))
    assert done.returncode == 0 and done.stdout, done.stderr


@pytest.mark.parametrize('block', _of('fish'))
def test_fish_block_runs(block: Block, machine: Machine) -> None:
    if not shutil.which('fish') and not os.environ.get('CI'):
        pytest.skip('needs fish')
    (machine.folder / 'block.fish').write_text(block.code, encoding='utf-8')
    done = machine.shell('fish block.fish')
    assert done.returncode == 0 and done.stdout.endswith('seconds left\n'), done.stderr


@pytest.mark.parametrize('block', _of('python'))
def test_python_block_runs_without_az(block: Block, machine: Machine) -> None:
    for package in ('duckdb', 'pandas'):
        if f'import {package}' in block.code:
            pytest.importorskip(package)
    if 'feed.jsonl.gz' in block.code or 'feed*.jsonl.gz' in block.code:
        machine.shell('az dicom changefeed --output-file feed.jsonl.gz').check_returncode()
    (machine.folder / 'block.py').write_text(block.code, encoding='utf-8')
    done = machine.shell('PYTHONPATH="$AZURE_EXTENSION_DIR/dicomtoken" python -W error block.py')
    assert done.returncode == 0 and re.search('[0-9]', done.stdout), done.stderr


def test_blocks_that_are_not_run_say_why() -> None:
    assert [block.place for block in BLOCKS if not re.fullmatch('|not run: .+|stopped', block.mark)] == []
