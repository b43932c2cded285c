"""Stable studies followed into a file while writers write, killed again and again: each row is there exactly once.

The service lives thirty times as fast as its reader, so that studies get stable in seconds. Its clock is hours behind
the machine's, which no reader may go by.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from dicomfeed.stable import BY_STUDY
from dicomfeed.times import ticks_from_seconds
from tests.e2e.feed_writers import writing
from tests.e2e.logins import SignIn
from tests.e2e.machine import TIMEOUT_SECONDS
from tests.e2e.processes import Az, changefeed, wait_until
from tests.emulator import ticks
from tests.emulator.cloud import Emulator
from tests.emulator.dicom import DicomService
from tests.feed.studies import all_at_once, all_stored

KILLS = 20
KILLED = -9
SPEED = 30
BEHIND_SECONDS = 4 * 3_600
STABLE_AFTER_SECONDS = 60
SETTLE_SECONDS = 4
LATEST_COMMIT_SECONDS = 1.5  # a writer that a busy machine keeps from it for twice as long gives up
OPTIONS = (
    *('--follow', '--after-sequence', '0', '--poll-interval', '1s', '--settle', f'{SETTLE_SECONDS}s'),
    *('--stable-after', f'{STABLE_AFTER_SECONDS}s', '--output-file', 'studies.jsonl', '--checkpoint', 'checkpoint'),
)

pytestmark = pytest.mark.slow


class FastClock:
    """Ticks that pass quickly."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._start = ticks.now() - ticks_from_seconds(BEHIND_SECONDS)

    def __call__(self) -> int:
        return self._start + ticks_from_seconds(SPEED * (time.monotonic() - self._began))

    def jump(self, seconds: float) -> None:
        self._start += ticks_from_seconds(seconds)


@pytest.fixture
def clock() -> FastClock:
    return FastClock()


@pytest.fixture
def service(emulator: Emulator, clock: FastClock) -> DicomService:
    service = emulator.add_service('contoso', 'studies')
    service.store.clock = clock
    return service


def test_rows_are_in_the_file_once_however_often_a_run_was_killed(
    sign_in: SignIn, service: DicomService, clock: FastClock
) -> None:
    machine, chance = sign_in('secret'), random.Random(1)
    file, checkpoint = machine.folder / 'studies.jsonl', machine.folder / 'checkpoint'
    with writing(service.store, writers=6, latest_commit_seconds=LATEST_COMMIT_SECONDS, seed=1):
        kills, begun_in_the_middle = 0, 0
        # At least so many, and until some fell while there were rows and open studies.
        while kills < KILLS or begun_in_the_middle < KILLS // 4 and kills < 5 * KILLS:
            with changefeed(machine, service, *OPTIONS) as az:
                (_wait_for_a_while, _wait_for_rows)[kills % 2](az, file, chance)
                az.kill()
            assert az.returncode == KILLED, az.communicate()
            kills += 1
            content = (
                json.loads(checkpoint.read_bytes()) if checkpoint.exists() else {'output': {'length': 0}, 'open': []}
            )
            assert content['output']['length'] <= (file.stat().st_size if file.exists() else 0)
            begun_in_the_middle += bool(content['output']['length'] and content['open'])
    assert begun_in_the_middle
    clock.jump(3_600.0)  # nothing can join any row any more
    with changefeed(machine, service, *OPTIONS, '--until-latest', '--summary-file', 'summary') as az:
        _, said = az.communicate(timeout=TIMEOUT_SECONDS)
    assert az.returncode == 0, said
    assert json.loads((machine.folder / 'summary').read_bytes())['late'] == 0
    pause = ticks_from_seconds(STABLE_AFTER_SECONDS)
    assert _rows_in(file) == all_at_once(all_stored(service.store), pause=pause, level=BY_STUDY)


def _wait_for_a_while(_az: Az, _file: Path, chance: random.Random) -> None:
    time.sleep(chance.uniform(0, 4))


def _wait_for_rows(az: Az, file: Path, chance: random.Random) -> None:
    """Until what has just been written is being made to last; a slow machine may not come to it."""
    size, deadline = _size(file), time.monotonic() + 15
    wait_until(lambda: _size(file) != size or az.poll() is not None or time.monotonic() > deadline)
    time.sleep(chance.choice((0.0, chance.uniform(0, 0.01))))


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _rows_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]
