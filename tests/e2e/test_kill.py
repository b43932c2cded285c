"""An export with a checkpoint, killed again and again: each event is in the file exactly once, in order."""

from __future__ import annotations

import gzip
import json
import random
import re
import time

import pytest

from tests.e2e.logins import SignIn
from tests.e2e.machine import TIMEOUT_SECONDS, Machine
from tests.e2e.processes import Az, changefeed, wait_until
from tests.emulator import trouble
from tests.emulator.cloud import Emulator
from tests.emulator.dicom import DicomService
from tests.emulator.sample import sample_feed
from tests.emulator.trouble import Request

EVENTS = 20_000
KILLS = 20
WORKERS = 4
# So slow that the kills are spread over the feed. Its last pages are not answered before the kills are over.
LATENCY_SECONDS = 2 * WORKERS * 100 / EVENTS * KILLS
LAST_EVENTS = 1_000
KILLED = -9

pytestmark = pytest.mark.slow


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
    hold_last_pages(service)
    service.latency_seconds = LATENCY_SECONDS
    kills, leaves_more = 0, False
    # At least so many, and until one fell between writing and the checkpoint.
    while kills < KILLS or not leaves_more and kills < 5 * KILLS:
        with changefeed(machine, service, *export.options) as az:
            (_wait_for_a_while, _wait_for_data, _wait_for_a_commit)[kills % 3](az, export, chance)
            az.kill()
        assert az.returncode == KILLED, az.communicate()
        kills += 1
        sequence, length = export.committed()
        assert length <= export.size
        _assert_prefix(export.lines(length), truth, through=sequence)
        leaves_more = leaves_more or export.size > length
    assert leaves_more and 0 < sequence < service.store.next_sequence - 1
    service.latency_seconds = 0
    service.trouble.clear()
    assert _completed(machine, service, export) == 0
    assert export.lines(export.size) == truth
    assert _completed(machine, service, export) == 0
    assert export.lines(export.size) == truth


def hold_last_pages(service: DicomService) -> None:
    last = service.store.next_sequence - LAST_EVENTS

    def is_held(request: Request) -> bool:
        offset = re.search(r'offset=(\d+)', request.query)
        return offset is not None and int(offset[1]) > last

    service.trouble.when(is_held, trouble.hang(3600))


def _wait_for_a_while(_az: Az, _export: Export, chance: random.Random) -> None:
    """From start-up on."""
    time.sleep(chance.uniform(0, 2.5))


def _wait_for_data(az: Az, export: Export, chance: random.Random) -> None:
    """Until what has just been written is being made to last."""
    size = export.size
    wait_until(lambda: export.size != size or az.poll() is not None, pause_seconds=0.0001)
    time.sleep(chance.choice((0.0, chance.uniform(0, 0.01))))  # a fast disk needs half a millisecond


def _wait_for_a_commit(az: Az, export: Export, chance: random.Random) -> None:
    """Until the checkpoint has moved, and a while beyond."""
    before = export.committed()
    wait_until(lambda: export.committed() != before or az.poll() is not None)
    time.sleep(chance.uniform(0, 0.5))


def _assert_prefix(lines: bytes, truth: bytes, *, through: int) -> None:
    """The lines are those of all events up to that number, and of no others."""
    assert truth.startswith(lines)
    behind = truth[len(lines) :].split(b'\n', 1)[0]
    assert not lines or json.loads(lines.splitlines()[-1])['sequence'] <= through
    assert not behind or json.loads(behind)['sequence'] > through


def _completed(machine: Machine, service: DicomService, export: Export) -> int:
    with changefeed(machine, service, *export.options) as az:
        az.communicate(timeout=TIMEOUT_SECONDS)
        return az.returncode
