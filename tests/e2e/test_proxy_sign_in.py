"""`az dicom proxy` while tokens live for ten seconds, and while the sign-in service is away."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.logins import SignIn
from tests.e2e.machine import TIMEOUT_SECONDS, Machine
from tests.e2e.processes import wait_until
from tests.e2e.proxies import proxy
from tests.emulator import trouble
from tests.emulator.cloud import Emulator
from tests.emulator.sample import sample_feed

pytestmark = pytest.mark.slow

TOKEN_SECONDS = 10
AWAY_SECONDS = 20
DOWNLOAD_SECONDS = 60


class SlowFile:
    """A file that takes as many seconds as it has pieces."""

    PIECE = bytes(range(256)) * 16

    def __init__(self) -> None:
        self.pieces_sent = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        length = str(len(self.PIECE) * DOWNLOAD_SECONDS).encode()
        await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', length)]})
        for _ in range(DOWNLOAD_SECONDS):
            await send({'type': 'http.response.body', 'body': self.PIECE, 'more_body': True})
            self.pieces_sent += 1
            await asyncio.sleep(1)
        await send({'type': 'http.response.body', 'body': b''})


@pytest.fixture(scope='module')
def emulator() -> Iterator[Emulator]:
    """A cloud of this file's own."""
    with Emulator() as running:
        running.service.store.load(sample_feed(40))
        yield running


@pytest.fixture
def logins_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every test signs in anew."""
    return tmp_path_factory.mktemp('logins')


@pytest.fixture
def short_tokens(sign_in: SignIn, emulator: Emulator) -> Machine:
    """A machine that has signed in, and from now on gets tokens that live for ten seconds."""
    machine = sign_in('secret')
    emulator.entra.token_lifetime_seconds = TOKEN_SECONDS
    emulator.journal.clear()
    return machine


def test_download_outlives_its_token_and_new_requests_have_new_ones(short_tokens: Machine, emulator: Emulator) -> None:
    emulator.service.dicomweb = slow = SlowFile()
    with proxy(short_tokens, emulator) as running:
        command = ['curl', '--silent', '--show-error', '--fail', '--noproxy', '*', f'{running.root}/studies/1']
        with subprocess.Popen(command, stdout=subprocess.PIPE) as download:
            statuses = []
            while download.poll() is None and slow.pieces_sent < DOWNLOAD_SECONDS:
                statuses.append(running.status())
                time.sleep(1)
            content, _ = download.communicate(timeout=TIMEOUT_SECONDS)
    assert content == slow.PIECE * DOWNLOAD_SECONDS and download.returncode == 0
    assert set(statuses) == {200}
    sent = {request.headers['authorization'] for request in emulator.journal.requests if 'feed' in request.path}
    assert len(sent) > 2


@pytest.mark.parametrize('fault', [trouble.unavailable(), trouble.cut()], ids=['503', 'cut'])
def test_sign_in_that_is_away_for_a_while_is_found_again(
    fault: trouble.Fault, short_tokens: Machine, emulator: Emulator
) -> None:
    with proxy(short_tokens, emulator) as running:
        assert running.status() == 200
        emulator.sign_in_trouble.when(lambda request: True, fault)
        statuses = []
        for _ in range(AWAY_SECONDS):
            statuses.append(running.status())
            time.sleep(1)
        emulator.sign_in_trouble.clear()
        wait_until(lambda: running.status() == 200, pause_seconds=0.5)
        said = running.end()
    assert set(statuses) == {200, 502} and statuses == sorted(statuses)
    assert said.count('There is no access token') == 1
