"""The cloud as a whole: the DICOM service behind its host, the private one, the control plane, and `__main__`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.e2e.machine import TIMEOUT_SECONDS
from tests.e2e.processes import wait_until
from tests.emulator.cloud import PRIVATE_AUDIENCE, PRIVATE_HOST, Emulator
from tests.emulator.entra import DICOM_AUDIENCE
from tests.emulator.identities import (
    FOREIGN_TENANT,
    HOME_TENANT,
    MANAGED_IDENTITY,
    READER_APPLICATION,
    READER_USER,
    ROLELESS_APPLICATION,
    Principal,
    Tenant,
)
from tests.emulator.store import BlobFailure

REPOSITORY = Path(__file__).parents[3]


def bearer(
    emulator: Emulator, principal: Principal, *, resource: str = DICOM_AUDIENCE, tenant: Tenant = HOME_TENANT
) -> dict[str, str]:
    return {'Authorization': f'Bearer {emulator.entra.issue(principal, resource=resource, tenant=tenant)}'}


def control(
    emulator: Emulator, client: requests.Session, method: str, path: str, body: object = None
) -> requests.Response:
    return client.request(method, f'{emulator.base_url}/_emulator/{path}', json=body)


@pytest.mark.parametrize(
    ('principal', 'tenant', 'status'),
    [
        pytest.param(READER_APPLICATION, HOME_TENANT, 200, id='application'),
        pytest.param(MANAGED_IDENTITY, HOME_TENANT, 200, id='managed-identity'),
        pytest.param(READER_USER, HOME_TENANT, 200, id='user'),
        pytest.param(ROLELESS_APPLICATION, HOME_TENANT, 403, id='without-a-role'),
        pytest.param(READER_USER, FOREIGN_TENANT, 401, id='token-of-a-foreign-tenant'),
    ],
)
def test_feed_answers_by_identity(
    emulator: Emulator, client: requests.Session, principal: Principal, tenant: Tenant, status: int
) -> None:
    url = emulator.service_url + '/v2/changefeed'
    answer = client.get(url, headers=bearer(emulator, principal, tenant=tenant))
    assert answer.status_code == status
    assert answer.raw.headers.getlist('date') == [answer.headers['date']]


def test_revoked_token_meets_a_claims_challenge_at_the_feed(emulator: Emulator, client: requests.Session) -> None:
    headers = bearer(emulator, READER_USER)
    emulator.entra.revoke(READER_USER)
    answer = client.get(emulator.service_url + '/v1/changefeed', headers=headers)
    assert answer.status_code == 401
    assert 'error="insufficient_claims"' in answer.headers['www-authenticate']


def test_private_service_has_its_own_audience(emulator: Emulator, client: requests.Session) -> None:
    for url in (emulator.base_url, 'https://' + PRIVATE_HOST):
        good = client.get(url + '/v2/changefeed', headers=bearer(emulator, READER_USER, resource=PRIVATE_AUDIENCE))
        wrong = client.get(url + '/v2/changefeed', headers=bearer(emulator, READER_USER))
        assert (good.status_code, wrong.status_code) == (200, 401)


def test_added_service_answers_under_its_own_name(emulator: Emulator, client: requests.Session) -> None:
    emulator.add_service('contoso', 'research').store.create()
    headers = bearer(emulator, READER_USER)
    counts = [
        len(client.get(f'https://contoso-{name}.dicom.azurehealthcareapis.com/v1/changefeed', headers=headers).json())
        for name in ('imaging', 'research')
    ]
    assert counts == [0, 1]


def test_control_plane_writes_events(emulator: Emulator, client: requests.Session) -> None:
    assert control(emulator, client, 'POST', 'store', {'count': 2}).json() == {'sequences': [1, 2]}
    assert control(emulator, client, 'POST', 'burn', {'count': 3}).json() == {'sequences': [3, 4, 5]}
    assert control(emulator, client, 'POST', 'delete', {'sequence': 1}).json() == {'sequences': [6]}
    assert [event.sequence for event in emulator.service.store.events()] == [1, 2, 6]


def test_control_plane_writes_metadata_and_breaks_them(emulator: Emulator, client: requests.Session) -> None:
    modality = {'00080060': {'vr': 'CS', 'Value': ['CT']}}
    control(emulator, client, 'POST', 'store', {'metadata': modality})
    control(emulator, client, 'POST', 'store', {'count': 1})
    assert control(emulator, client, 'POST', 'update', {'sequence': 2, 'metadata': modality}).json()['sequences'] == [3]
    store = emulator.service.store
    assert [json.loads(text)['metadata'] for text in store.texts()] == [modality] * 3
    control(emulator, client, 'POST', 'poison', {'sequence': 1})
    with pytest.raises(BlobFailure):
        store.by_sequence(0, 1, metadata=True)
    control(emulator, client, 'DELETE', 'poison', {'sequence': 1})
    assert len(store.by_sequence(0, 1, metadata=True)) == 1


def test_control_plane_makes_and_ends_trouble(emulator: Emulator, client: requests.Session) -> None:
    def ask() -> tuple[int, str | None]:
        answer = client.get(emulator.service_url + '/v2/changefeed', headers=bearer(emulator, READER_USER))
        return answer.status_code, answer.headers.get('retry-after')

    control(emulator, client, 'POST', 'trouble', {'fault': 'throttled', 'options': {'retry_after': 2}, 'times': 2})
    assert ask() == (429, '2')
    control(emulator, client, 'DELETE', 'trouble')
    assert ask() == (200, None)


def test_control_plane_sets_the_latency(emulator: Emulator, client: requests.Session) -> None:
    control(emulator, client, 'POST', 'latency', {'seconds': 0.25})
    assert emulator.service.latency_seconds == 0.25


def test_control_plane_shows_and_clears_the_journal(emulator: Emulator, client: requests.Session) -> None:
    client.get(emulator.service_url + '/health/check')
    shown = control(emulator, client, 'GET', 'journal').json()
    assert shown['requests'] == 1
    assert shown['hosts'] == ['contoso-imaging.dicom.azurehealthcareapis.com']
    assert shown['cpu_seconds'] > 0
    control(emulator, client, 'DELETE', 'journal')
    assert emulator.journal.counters()['rows_skipped'] == 0


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[dict[str, str], subprocess.Popen[str]]]:
    """`python -m tests.emulator` in a process of its own, and the variables of its env file."""
    env_file = tmp_path / 'emulator.env'
    process = subprocess.Popen(
        [sys.executable, '-m', 'tests.emulator', '--events', '300', '--no-metadata', '--env-file', str(env_file)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: env_file.exists() or process.poll() is not None)
        yield _exports(env_file), process
    finally:
        process.kill()
        process.communicate()


def test_main_serves_until_sigterm(served: tuple[dict[str, str], subprocess.Popen[str]]) -> None:
    exports, process = served
    run = subprocess.run(
        ['curl', '-sS', '-o', '-', '-w', '%{http_code}', exports['DICOM_SERVICE_URL'] + '/v2/changefeed'],
        env={**os.environ, **exports},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert run.stdout == '401', run.stderr
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0
    assert f'az login --service-principal --username {READER_APPLICATION.client_id}' in printed
    assert f'export HTTPS_PROXY={exports["HTTPS_PROXY"]}' in printed


def _exports(env_file: Path) -> dict[str, str]:
    lines = env_file.read_text().splitlines()
    return dict(line.removeprefix('export ').split('=', 1) for line in lines)
