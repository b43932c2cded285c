"""Images behind the service's host: who may do what with them, before whoever has them is asked."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from starlette.responses import PlainTextResponse

from tests.emulator.cloud import Emulator
from tests.emulator.dicom import OWNER
from tests.emulator.identities import HOME_TENANT, READER_APPLICATION, ROLELESS_APPLICATION, Principal


class Archive:
    """Answers 200 and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(f'{scope["method"]} {scope["path"]}')
        await PlainTextResponse('image')(scope, receive, send)


@pytest.fixture
def archive(emulator: Emulator) -> Archive:
    emulator.service.dicomweb = archive = Archive()
    return archive


def ask(
    emulator: Emulator,
    client: requests.Session,
    principal: Principal,
    *,
    method: str = 'GET',
    path: str = '/v2/studies',
) -> int:
    headers = {'Authorization': f'Bearer {emulator.entra.issue(principal)}'}
    return client.request(method, emulator.service_url + path, headers=headers).status_code


@pytest.mark.parametrize('method', ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'])
@pytest.mark.parametrize('role', ['none', 'reader', 'owner'])
def test_role_is_enforced(
    emulator: Emulator, client: requests.Session, archive: Archive, role: str, method: str
) -> None:
    principal = ROLELESS_APPLICATION if role == 'none' else READER_APPLICATION
    if role == 'owner':
        emulator.service.role_assignments[READER_APPLICATION.object_ids[HOME_TENANT.id]] = {OWNER}
    may = role == 'owner' or (role == 'reader' and method in ('GET', 'HEAD'))
    assert ask(emulator, client, principal, method=method) == (200 if may else 403)
    assert archive.asked == ([f'{method} /v2/studies'] if may else [])


@pytest.mark.parametrize('headers', [{}, {'Authorization': 'Bearer e30.e30.e30'}], ids=['none', 'bad'])
def test_token_is_checked(
    emulator: Emulator, client: requests.Session, archive: Archive, headers: dict[str, str]
) -> None:
    answer = client.get(emulator.service_url + '/v2/studies', headers=headers)
    assert answer.status_code == 401 and answer.headers['WWW-Authenticate'].startswith('Bearer ')
    assert archive.asked == []


def test_token_that_was_revoked_meets_a_challenge(
    emulator: Emulator, client: requests.Session, archive: Archive
) -> None:
    headers = {'Authorization': f'Bearer {emulator.entra.issue(READER_APPLICATION)}'}
    emulator.entra.revoke(READER_APPLICATION)
    answer = client.get(emulator.service_url + '/v2/studies', headers=headers)
    assert answer.status_code == 401 and 'insufficient_claims' in answer.headers['WWW-Authenticate']
    assert archive.asked == []


@pytest.mark.parametrize(
    ('path', 'status'),
    [
        ('/v1/studies/1.2/series/3/instances/4/frames/1', 200),
        ('/v2/partitions/a/studies/1.2/metadata', 200),
        ('/v2/instances', 200),
        ('/v2/changefeed', 200),
        ('/v3/studies', 404),
        ('/v2/tools', 404),
        ('/studies', 404),
    ],
)
def test_archive_is_asked_for_images_only(
    emulator: Emulator, client: requests.Session, archive: Archive, path: str, status: int
) -> None:
    assert ask(emulator, client, READER_APPLICATION, path=path) == status
    assert archive.asked == ([f'GET {path}'] if status == 200 and 'changefeed' not in path else [])
