"""Managed identity and Cloud Shell: the endpoints, and the real az in their environments."""

from __future__ import annotations

import json

import jwt
import pytest
import requests

from tests.emulator.cloud import Emulator
from tests.emulator.entra import DICOM_AUDIENCE
from tests.emulator.identities import HOME_TENANT, MANAGED_IDENTITY, READER_USER
from tests.emulator.tests.conftest import RunAz

GET_TOKEN = ('account', 'get-access-token', '--resource', DICOM_AUDIENCE, '-o', 'json')


@pytest.mark.parametrize(
    ('parameters', 'status'),
    [
        pytest.param({}, 200, id='system-assigned'),
        pytest.param({'client_id': MANAGED_IDENTITY.client_id}, 200, id='by-client-id'),
        pytest.param({'object_id': MANAGED_IDENTITY.object_ids[HOME_TENANT.id]}, 200, id='by-object-id'),
        pytest.param({'client_id': 'nobody'}, 400, id='unknown-identity'),
        pytest.param({'resource': 'https://nowhere.example'}, 500, id='unknown-resource'),
    ],
)
def test_managed_identity_endpoint_answers(
    emulator: Emulator, client: requests.Session, parameters: dict[str, str], status: int
) -> None:
    environment = emulator.managed_identity_environment
    answer = client.get(
        environment['IDENTITY_ENDPOINT'],
        params={'resource': DICOM_AUDIENCE, 'api-version': '2019-08-01', **parameters},
        headers={'X-IDENTITY-HEADER': environment['IDENTITY_HEADER']},
    )
    assert answer.status_code == status, answer.text


def test_managed_identity_endpoint_wants_its_header(emulator: Emulator, client: requests.Session) -> None:
    url = emulator.managed_identity_environment['IDENTITY_ENDPOINT']
    assert client.get(url, params={'resource': DICOM_AUDIENCE}).status_code == 401


def test_az_signs_in_as_the_managed_identity(emulator: Emulator, az: RunAz) -> None:
    environment = emulator.managed_identity_environment
    run = az('login', '--identity', environment=environment)
    assert run.returncode == 0, run.stderr
    token = json.loads(az(*GET_TOKEN, environment=environment).stdout)['accessToken']
    claims = jwt.decode(token, options={'verify_signature': False})
    assert claims['oid'] == MANAGED_IDENTITY.object_ids[HOME_TENANT.id]
    assert emulator.journal.token_requests[-1]['grant'] == 'managed_identity'


def test_az_in_cloud_shell_gets_only_audiences_on_the_list(emulator: Emulator, az: RunAz) -> None:
    environment = emulator.cloud_shell_environment
    run = az('login', '--identity', environment=environment)
    assert run.returncode == 0, run.stderr
    assert 'is not a supported MSI token audience' in az(*GET_TOKEN, environment=environment).stderr
    emulator.token_endpoints.cloud_shell_audiences.add(DICOM_AUDIENCE)
    token = json.loads(az(*GET_TOKEN, environment=environment).stdout)['accessToken']
    assert jwt.decode(token, options={'verify_signature': False})['upn'] == READER_USER.username
