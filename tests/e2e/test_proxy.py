"""`az dicom proxy` with each kind of login, and through the loss of one, in the emulated cloud."""

from __future__ import annotations

import pytest

from tests.e2e.logins import LOGINS, SignIn
from tests.e2e.processes import wait_until
from tests.e2e.proxies import proxy
from tests.emulator.cloud import Emulator
from tests.emulator.identities import HOME_TENANT, READER_APPLICATION


@pytest.mark.parametrize('kind', LOGINS)
@pytest.mark.usefixtures('helpful_broker')
def test_login_serves_tools(kind: str, sign_in: SignIn, emulator: Emulator) -> None:
    with proxy(sign_in(kind), emulator) as running:
        assert running.status() == (403 if kind == 'without-a-role' else 200)


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
    with proxy(machine, emulator) as running:
        assert running.status() == 200
        assert machine.az('logout').returncode == 0
        emulator.entra.revoke(LOGINS[kind].principal)
        assert [running.status() for _ in range(3)] == [502] * 3
        machine.result(*LOGINS[kind].arguments(emulator, machine.folder))
        wait_until(lambda: running.status() == 200, pause_seconds=0.5)
        said = running.end()
    assert said.endswith(f'\n{command}\n') and said.count('There is no access token') == 1


def test_token_that_the_service_refuses_is_renewed_unseen(sign_in: SignIn, emulator: Emulator) -> None:
    with proxy(sign_in('secret'), emulator) as running:
        assert running.status() == 200
        emulator.entra.revoke(LOGINS['secret'].principal)
        assert running.status() == 200
