"""Following a feed for minutes while writers commit late or never and the way there is in trouble.

DICOM_FOLLOW_SECONDS is how long the writers write.
"""

from __future__ import annotations

import json
import os
import signal
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.feed_writers import writing
from tests.e2e.logins import SignIn
from tests.e2e.machine import TIMEOUT_SECONDS, Machine
from tests.e2e.processes import changefeed, wait_until
from tests.emulator import trouble
from tests.emulator.cloud import Emulator
from tests.emulator.dicom import DicomService
from tests.emulator.sample import sample_feed

SECONDS = float(os.environ.get('DICOM_FOLLOW_SECONDS', '120'))
SECONDS_BETWEEN_KILLS = 15
SETTLE_SECONDS = 10
LATEST_COMMIT_SECONDS = 4  # a writer that a busy machine keeps from it for twice as long gives up
WRITERS = 12
OLDER_EVENTS = 500
FOLLOW = ('--follow', '--after-sequence', '0', '--poll-interval', '1s', '--settle', f'{SETTLE_SECONDS}s')
TO_FILE = (*FOLLOW, '--output-file', 'followed.jsonl', '--checkpoint', 'checkpoint')
pytestmark = pytest.mark.slow

FAULTS = [
    trouble.throttled(),
    trouble.throttled(retry_after=1),
    trouble.server_error(),
    trouble.unavailable(),
    trouble.status(502),
    trouble.status(504),
    trouble.transient_400(),
    trouble.cut(),
    trouble.cut_body(),
    trouble.cut_body(chunked=True),
    trouble.malformed_json(),
]


@pytest.fixture
def service(emulator: Emulator) -> DicomService:
    """Of every 20 requests one fails, and once in a while a token is refused, though never twice in a row."""
    service = emulator.add_service('contoso', 'followed')
    service.store.load(sample_feed(OLDER_EVENTS, metadata=False))
    turn = count(1)
    service.trouble.when(lambda request: next(turn) % 97 == 0, trouble.expired_token())
    service.trouble.every(20, FAULTS, seed=1)
    return service


def test_follow_delivers_each_event_once_in_order_through_all_trouble(sign_in: SignIn, service: DicomService) -> None:
    machine = sign_in('secret')
    streamed, errors = machine.folder / 'streamed.jsonl', machine.folder / 'errors'
    with (
        streamed.open('w') as stdout,
        errors.open('w') as stderr,
        changefeed(machine, service, *FOLLOW, stdout=stdout, stderr=stderr) as az,
    ):
        with writing(service.store, writers=WRITERS, latest_commit_seconds=LATEST_COMMIT_SECONDS, seed=1):
            _follow_to_file_and_be_killed(machine, service, seconds=SECONDS)
        service.store.create()
        truth = _truth(service)
        wait_until(lambda: az.poll() is not None or _last_sequence(streamed) == truth[-1]['sequence'])
        az.send_signal(signal.SIGINT)
        assert az.wait(TIMEOUT_SECONDS) == 0, errors.read_text()
    assert _events(streamed) == truth
    with changefeed(machine, service, *TO_FILE, '--until-latest') as az:
        assert az.wait(TIMEOUT_SECONDS) == 0, az.communicate()
    assert _events(machine.folder / 'followed.jsonl') == truth
    assert len(truth) > OLDER_EVENTS + WRITERS
    assert 'Traceback' not in errors.read_text()


def _follow_to_file_and_be_killed(machine: Machine, service: DicomService, *, seconds: float) -> None:
    """Another process follows to a file, with a checkpoint; it is killed time and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with changefeed(machine, service, *TO_FILE) as az:
            time.sleep(min(SECONDS_BETWEEN_KILLS, max(0.0, end - time.monotonic())))
            assert az.poll() is None, az.communicate()


def _truth(service: DicomService) -> list[dict[str, Any]]:
    return [_immutable(text) for text in service.store.by_sequence(0, 2**62)]


def _events(path: Path) -> list[dict[str, Any]]:
    text = path.read_text()
    assert text.endswith('\n')
    return [_immutable(line) for line in text.splitlines()]


def _immutable(text: str) -> dict[str, Any]:
    """An event without what describes its instance at the time of reading."""
    return {name: value for name, value in json.loads(text).items() if name not in ('state', 'filePath', 'metadata')}


def _last_sequence(path: Path) -> int:
    """That of the last whole line; 0 where there is none."""
    lines = path.read_text().split('\n')[:-1]
    return int(json.loads(lines[-1])['sequence']) if lines else 0
