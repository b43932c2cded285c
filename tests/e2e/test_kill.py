"""An export with a checkpoint, killed again and again: each event is in the file exactly once, in order."""

from __future__ import annotations

import gzip
import json
import random
import time

import pytest

from tests.e2e.logins import SignIn
from tests.e2e.machine import Machine
from tests.e2e.processes import Az, changefeed, wait_until
from tests.emulator.cloud import Emulator
from tests.emulator.dicom import DicomService
from tests.emulator.sample import sample_feed

EVENTS = 20_000
KILLS = 20
WORKERS = 4
# As slow as to outlast the kills: each run may commit no more than about a second's worth of events.
LATENCY_SECONDS = WORKERS * 100 / EVENTS * KILLS
KILLED = -9


@pytest.fixture(scope='module')
def service(emulator: Emulator) -> DicomService:
    service = emulator.add_service('contoso', 'killed')
    service.store.load(sample_feed(EVENTS))
    return service


@pytest.fixture(scope='module')
def truth(service: DicomService) -> bytes:
    texts = service.store.by_sequence(0, 2**62, metadata=True)
    assert len(texts) == EVENTS
    return ''.join(f'{text}\n' for text in texts).encode()


class Export:
    """The files of an export, as they are found after a kill."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.file = machine.folder / name
        self.checkpoint = machine.folder / 'checkpoint'
        self.options = (
            '--output-file',
            name,
            '--checkpoint',
            'checkpoint',
            '--include-metadata',
            '--concurrency',
            str(WORKERS),
            '--only-show-errors',
        )

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def committed(self) -> tuple[int, int]:
        """The sequence number and the length that the checkpoint claims."""
        if not self.checkpoint.exists():
            return 0, 0
        content = json.loads(self.checkpoint.read_bytes())
        return content['sequence'], content['output']['length']

    def lines(self, length: int) -> bytes:
        """What stands in the file up to that length."""
        data = self.file.read_bytes()[:length] if length else b''
        return gzip.decompress(data) if self.file.suffix == '.gz' else data


@pytest.mark.parametrize('name', ['feed.jsonl', 'feed.jsonl.gz'])
def test_export_holds_each_event_once_however_often_it_was_killed(
    name: str, sign_in: SignIn, service: DicomService, truth: bytes
) -> None:
    machine, chance = sign_in('secret'), random.Random(name)
    export = Export(machine, name)
    leftovers = set()
    service.latency_seconds = LATENCY_SECONDS
    for kill in range(KILLS):
        with changefeed(machine, service, *export.options) as az:
            _kill(az, export, chance, at_commit=kill % 2 == 1)
        assert az.returncode == KILLED, az.communicate()
        sequence, length = export.committed()
        assert length <= export.size
        _assert_prefix(export.lines(length), truth, through=sequence)
        leftovers.add(export.size > length)
    assert leftovers == {True, False}  # some kills fell between writing and the checkpoint, others did not
    assert 0 < sequence < service.store.next_sequence - 1
    service.latency_seconds = 0
    assert _completed(machine, service, export) == 0
    assert export.lines(export.size) == truth
    assert _completed(machine, service, export) == 0
    assert export.lines(export.size) == truth


def _kill(az: Az, export: Export, chance: random.Random, *, at_commit: bool) -> None:
    """At any moment from start-up on, or while what has just been written is made to last."""
    if at_commit:
        size = export.size
        wait_until(lambda: export.size > size or az.poll() is not None, pause_seconds=0.0001)
        time.sleep(chance.choice((0.0, chance.uniform(0, 0.01))))  # a fast disk needs half a millisecond
    else:
        time.sleep(chance.uniform(0, 2.5))
    az.kill()


def _assert_prefix(lines: bytes, truth: bytes, *, through: int) -> None:
    """The lines are those of all events up to that number, and of no others."""
    assert truth.startswith(lines)
    behind = truth[len(lines) :].split(b'\n', 1)[0]
    assert not lines or json.loads(lines.splitlines()[-1])['sequence'] <= through
    assert not behind or json.loads(behind)['sequence'] > through


def _completed(machine: Machine, service: DicomService, export: Export) -> int:
    with changefeed(machine, service, *export.options) as az:
        az.communicate(timeout=60)
        return az.returncode
