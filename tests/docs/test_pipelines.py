"""The scripts of the pipelines in docs/recipes.md: each run starts on an empty machine, and the next one continues.

A stand-in for `az storage` keeps the files; everything else is the real az. What starts the scripts is not tried.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.build_wheel import build
from tests.docs.pages import BLOCKS
from tests.e2e.machine import PATH, Done, Machine
from tests.emulator.cloud import Emulator

_STAND_IN = f"""#!/bin/sh
case "$*" in
    'storage blob download-batch --auth-mode login --source feed '*) cp "$KEPT"/feed.* . 2>/dev/null || true ;;
    'storage blob upload --auth-mode login --container-name feed --overwrite --file '*) cp "${{10}}" "$KEPT" ;;
    *) exec {shutil.which('az', path=PATH)} "$@" ;;
esac
"""


def _script(pipeline: dict[str, Any]) -> str:
    """What a shell runs: GitHub ends it at a failure, Azure Pipelines does only where it says so."""
    step = pipeline['steps'][-1]
    return f'set -e\n{step["run"]}' if 'run' in step else str(step['inputs']['inlineScript'])


PIPELINES = {block.place: yaml.safe_load(block.code) for block in BLOCKS if block.language == 'yaml'}


@pytest.fixture(scope='session')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp('wheel'))


@pytest.fixture
def runner(machine: Machine, wheel: Path) -> Machine:
    """A machine with the sign-in and nothing else."""
    for name in ('bin', 'kept'):
        (machine.folder / name).mkdir()
    stand_in = machine.folder / 'bin' / 'az'
    stand_in.write_text(_STAND_IN, 'utf-8')
    stand_in.chmod(0o755)
    machine.environment.update(
        PATH=f'{stand_in.parent}:{PATH}',
        KEPT=str(machine.folder / 'kept'),
        WHEEL_URL=str(wheel),
        AZURE_EXTENSION_DIR=str(machine.folder / 'extensions'),
        PIP_NO_INDEX='1',
    )
    return machine


def _run(runner: Machine, script: str, number: int = 0) -> Done:
    """Run it in a folder of its own, as on another machine."""
    folder = runner.folder / f'run-{number}'
    folder.mkdir()
    (folder / 'script').write_text(script, 'utf-8')
    return runner.shell(f'cd {folder} && bash script')


@pytest.mark.parametrize('place', PIPELINES)
def test_each_run_continues_where_the_previous_one_ended(place: str, runner: Machine, emulator: Emulator) -> None:
    lines = []
    for number in range(2):
        done = _run(runner, _script(PIPELINES[place]), number)
        assert (done.returncode, done.stdout) == (0, ''), done.stderr
        lines.append((runner.folder / 'kept' / 'feed.jsonl').read_text('utf-8').splitlines())
        emulator.service.store.create()
    first, second = lines
    assert second[: len(first)] == first and len(second) == len(first) + 1 > 100
    assert len({json.loads(line)['sequence'] for line in second}) == len(second)


@pytest.mark.parametrize('place', PIPELINES)
def test_failure_of_the_run_is_one_of_the_pipeline_and_keeps_nothing(place: str, runner: Machine) -> None:
    done = _run(runner, _script(PIPELINES[place]).replace('--since 1d', '--since never'))
    assert done.returncode == 1 and '--since is not a time' in done.stderr
    assert list((runner.folder / 'kept').iterdir()) == []
