"""Role assignments on a DICOM service, as `az role assignment create` makes them."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.emulator.cloud import Emulator
from tests.emulator.identities import HOME_TENANT, READER_USER, ROLELESS_APPLICATION
from tests.emulator.tests.test_arm import ARM, AUDIENCE, SERVICE

AUTHORIZATION = SERVICE + '/providers/Microsoft.Authorization'
NAME = '00000000-0000-4000-8000-0000000000aa'


def send(emulator: Emulator, client: requests.Session, method: str, path: str, **request: Any) -> requests.Response:
    token = emulator.entra.issue(READER_USER, resource=AUDIENCE)
    parameters = {'api-version': '2022-04-01', **request.pop('params', {})}
    return client.request(
        method, ARM + path, params=parameters, headers={'Authorization': f'Bearer {token}'}, **request
    )


def role_id(emulator: Emulator, client: requests.Session, role: str) -> str:
    found = send(
        emulator, client, 'GET', AUTHORIZATION + '/roleDefinitions', params={'$filter': f"roleName eq '{role}'"}
    )
    (definition,) = found.json()['value']
    assert definition['properties']['roleName'] == role
    return str(definition['id'])


def assign(emulator: Emulator, client: requests.Session, path: str, definition: str) -> requests.Response:
    principal = ROLELESS_APPLICATION.object_ids[HOME_TENANT.id]
    properties = {'roleDefinitionId': definition, 'principalId': principal, 'principalType': 'ServicePrincipal'}
    return send(emulator, client, 'PUT', path, json={'properties': properties})


@pytest.mark.parametrize('scope', [AUTHORIZATION, AUTHORIZATION.lower()], ids=['as-written', 'lower-case'])
def test_role_is_felt_by_the_service(scope: str, emulator: Emulator, client: requests.Session) -> None:
    def read() -> int:
        token = emulator.entra.issue(ROLELESS_APPLICATION)
        url = emulator.service_url + '/v2/changefeed/latest'
        return client.get(url, headers={'Authorization': f'Bearer {token}'}).status_code

    assert read() == 403
    answer = assign(emulator, client, f'{scope}/roleAssignments/{NAME}', role_id(emulator, client, 'DICOM Data Reader'))
    assert (answer.status_code, answer.json()['name']) == (201, NAME)
    assert read() == 204  # empty


@pytest.mark.parametrize(
    ('path', 'status'),
    [
        (f'{AUTHORIZATION}/roleAssignments/{NAME}'.replace('/imaging/providers/', '/none/providers/'), 404),
        (f'{AUTHORIZATION}/roleAssignments/short', 400),
        (SERVICE, 400),
    ],
    ids=['unknown service', 'name', 'no assignment'],
)
def test_other_assignments_are_refused(path: str, status: int, emulator: Emulator, client: requests.Session) -> None:
    definition = role_id(emulator, client, 'DICOM Data Owner')
    assert assign(emulator, client, path, definition).status_code == status


def test_unknown_role_is_refused(emulator: Emulator, client: requests.Session) -> None:
    assert assign(emulator, client, f'{AUTHORIZATION}/roleAssignments/{NAME}', 'nothing').status_code == 400
