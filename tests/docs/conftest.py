"""A shell whose az is signed in, in a cloud with a feed that is large enough for every example.

The feed ends now, because examples say `--since 2h`; `tests/emulator/tests/test_sample.py` holds what they find there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.logins import LOGINS
from tests.e2e.machine import TIMEOUT_SECONDS, Machine
from tests.emulator import ticks
from tests.emulator.cloud import Emulator
from tests.emulator.identities import HOME_TENANT, READER_APPLICATION
from tests.emulator.sample import sample_feed

Stop = Callable[[str, signal.Signals], int]


@pytest.fixture(scope='session')
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        running.service.store.load(sample_feed(3000, end_ticks=ticks.now()))
        yield running


@pytest.fixture(scope='session')
def signed_in(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('signed-in')
    _machine(folder, emulator).result(*LOGINS['user'].arguments(emulator, folder))
    return folder


@pytest.fixture
def machine(emulator: Emulator, signed_in: Path, tmp_path: Path) -> Machine:
    """The examples' service is its default, as the pages and the help texts take it to be.

    An application's credentials are in its environment, as a platform with workload identity puts them there.
    """
    shutil.copytree(signed_in, tmp_path, dirs_exist_ok=True)
    machine = _machine(tmp_path, emulator)
    token_file = tmp_path / 'federated.token'
    token_file.write_text(
        emulator.entra.client_credentials.federate(READER_APPLICATION, 'system:serviceaccount:imaging:reader'), 'utf-8'
    )
    machine.environment.update(
        {
            'AZURE_CLIENT_ID': READER_APPLICATION.client_id,
            'AZURE_TENANT_ID': HOME_TENANT.id,
            'AZURE_FEDERATED_TOKEN_FILE': str(token_file),
            'AZURE_AUTHORITY_HOST': 'https://login.microsoftonline.com/',
        }
    )
    return machine


@pytest.fixture
def stop(machine: Machine, emulator: Emulator) -> Stop:
    """Runs one command until it waits for the service, then signals it; its exit code."""

    def run(command: str, number: signal.Signals) -> int:
        before = _requests(emulator)
        with subprocess.Popen(
            ['bash', '-c', f'exec {command}'],
            env=machine.environment,
            cwd=machine.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        ) as process:
            try:
                _wait_until_quiet(lambda: _requests(emulator) - before, lambda: process.poll() is None)
                process.send_signal(number)
                return process.wait(timeout=TIMEOUT_SECONDS)
            finally:
                process.kill()

    return run


def _machine(folder: Path, emulator: Emulator) -> Machine:
    return Machine(
        folder,
        extensions=Path(os.environ['AZURE_EXTENSION_DIR']),
        environment={**emulator.environment, 'AZURE_DEFAULTS_DICOM_SERVICE_URL': emulator.service_url},
    )


def _wait_until_quiet(requests: Callable[[], int], is_running: Callable[[], bool]) -> None:
    """Until there were requests, and none for a second: less than --follow's pause between two looks.

    Nothing is judged by that second. On a busy machine the signal may come sooner, and must end the run the same way.
    """
    deadline = time.monotonic() + TIMEOUT_SECONDS
    seen, since = 0, time.monotonic()
    while is_running() and time.monotonic() < min(deadline, since + 1 if seen else deadline):
        time.sleep(0.05)
        if requests() != seen:
            seen, since = requests(), time.monotonic()


def _requests(emulator: Emulator) -> int:
    return sum(request.host in emulator.services for request in emulator.journal.requests)
