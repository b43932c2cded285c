"""`az dicom proxy` with each kind of login, and through the loss of one, in the emulated cloud."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.logins import LOGINS, SignIn
from tests.e2e.machine import Machine
from tests.e2e.processes import wait_until
from tests.emulator.cloud import Emulator
from tests.emulator.identities import HOME_TENANT, READER_APPLICATION

_SECONDS = 60
_PATH = '/v2/changefeed?limit=2&includeMetadata=false'


@contextmanager
def proxy(machine: Machine, emulator: Emulator) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its base URL."""
    command = [sys.executable, '-m', 'azure.cli', 'dicom', 'proxy', '--service-url', emulator.service_url]
    with subprocess.Popen(
        command,
        env=machine.environment,
        cwd=machine.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def status(base: str) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(base + _PATH, timeout=_SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize('kind', LOGINS)
@pytest.mark.usefixtures('helpful_broker')
def test_login_serves_tools(kind: str, sign_in: SignIn, emulator: Emulator) -> None:
    with proxy(sign_in(kind), emulator) as (_, base):
        assert status(base) == (403 if kind == 'without-a-role' else 200)


@pytest.mark.parametrize(
    ('kind', 'command'),
    [
        ('user', f'az login --tenant {HOME_TENANT.id}'),
        ('secret', f'az login --service-principal --username {READER_APPLICATION.client_id} --tenant {HOME_TENANT.id}'),
    ],
    ids=['user', 'secret'],
)
def test_lost_sign_in_is_explained_and_found_again_without_a_restart(
    kind: str, command: str, sign_in: SignIn, emulator: Emulator
) -> None:
    machine = sign_in(kind)
    with proxy(machine, emulator) as (process, base):
        assert status(base) == 200
        assert machine.az('logout').returncode == 0
        emulator.entra.revoke(LOGINS[kind].principal)
        assert [status(base) for _ in range(3)] == [502] * 3
        machine.result(*LOGINS[kind].arguments(emulator, machine.folder))
        wait_until(lambda: status(base) == 200, pause_seconds=0.5)
        process.terminate()
        _, said = process.communicate(timeout=_SECONDS)
    assert process.returncode == 0 and said.endswith(f'\n{command}\n')
    assert said.count('There is no access token') == 1


def test_token_that_the_service_refuses_is_renewed_unseen(sign_in: SignIn, emulator: Emulator) -> None:
    with proxy(sign_in('secret'), emulator) as (_, base):
        assert status(base) == 200
        emulator.entra.revoke(LOGINS['secret'].principal)
        assert status(base) == 200
