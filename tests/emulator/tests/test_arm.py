"""ARM: the resource of the DICOM service, and what is refused."""

from __future__ import annotations

import base64

import pytest
import requests

from tests.emulator.cloud import Emulator
from tests.emulator.entra import DICOM_AUDIENCE
from tests.emulator.identities import (
    FOREIGN_TENANT,
    HOME_TENANT,
    IMAGING_SUBSCRIPTION,
    READER_APPLICATION,
    READER_USER,
    RESEARCH_SUBSCRIPTION,
)

ARM = 'https://management.azure.com'
AUDIENCE = 'https://management.core.windows.net/'
SUBSCRIPTION = f'/subscriptions/{IMAGING_SUBSCRIPTION.id}'
GROUP = SUBSCRIPTION + '/resourceGroups/imaging'
WORKSPACE = GROUP + '/providers/Microsoft.HealthcareApis/workspaces/contoso'
SERVICE = WORKSPACE + '/dicomservices/imaging'


def ask(emulator: Emulator, client: requests.Session, path: str, **changes: str) -> requests.Response:
    token = changes.pop('token', None) or emulator.entra.issue(READER_APPLICATION, resource=AUDIENCE)
    parameters = {'api-version': '2023-11-01', **changes}
    return client.get(ARM + path, params=parameters, headers={'Authorization': f'Bearer {token}'})


@pytest.mark.parametrize('path', [SERVICE, SERVICE.lower()], ids=['as-written', 'lower-case'])
def test_dicom_service_names_its_url_and_audiences(emulator: Emulator, client: requests.Session, path: str) -> None:
    properties = ask(emulator, client, path).json()['properties']
    assert properties['serviceUrl'] == emulator.service_url
    assert properties['authenticationConfiguration'] == {
        'authority': f'https://login.microsoftonline.com/{HOME_TENANT.id}',
        'audiences': [DICOM_AUDIENCE, DICOM_AUDIENCE + '/'],
    }


def test_service_url_is_what_a_test_says(emulator: Emulator, client: requests.Session) -> None:
    emulator.arm.dicom_service('contoso', 'imaging').service_url = 'https://attacker.example'
    assert ask(emulator, client, SERVICE).json()['properties']['serviceUrl'] == 'https://attacker.example'


@pytest.mark.parametrize(
    ('path', 'status', 'code'),
    [
        pytest.param(WORKSPACE + '/dicomservices/none', 404, 'ResourceNotFound', id='service'),
        pytest.param(GROUP.replace('imaging', 'none') + '/providers/x', 404, 'ResourceGroupNotFound', id='group'),
        pytest.param('/subscriptions/none', 404, 'SubscriptionNotFound', id='subscription'),
        pytest.param('/nothing', 404, 'InvalidResourceType', id='path'),
    ],
)
def test_missing_things_are_named(
    emulator: Emulator, client: requests.Session, path: str, status: int, code: str
) -> None:
    answer = ask(emulator, client, path)
    assert (answer.status_code, answer.json()['error']['code']) == (status, code)


@pytest.mark.parametrize(
    ('path', 'parameters'),
    [
        pytest.param(WORKSPACE + '/dicomservices', {}, id='of-a-workspace'),
        pytest.param(
            SUBSCRIPTION + '/resources',
            {'$filter': "resourceType eq 'Microsoft.HealthcareApis/workspaces/dicomservices'"},
            id='of-a-subscription',
        ),
        pytest.param(GROUP + '/resources', {}, id='of-a-group'),
    ],
)
def test_services_are_listed(
    emulator: Emulator, client: requests.Session, path: str, parameters: dict[str, str]
) -> None:
    emulator.add_service('contoso', 'research')
    names = [service['name'] for service in ask(emulator, client, path, **parameters).json()['value']]
    assert names == ['contoso/imaging', 'contoso/research']


def test_token_for_another_audience_is_refused(emulator: Emulator, client: requests.Session) -> None:
    token = emulator.entra.issue(READER_APPLICATION, resource=DICOM_AUDIENCE)
    answer = ask(emulator, client, '/subscriptions', token=token)
    assert (answer.status_code, answer.json()['error']['code']) == (401, 'InvalidAuthenticationToken')


def test_request_without_a_token_is_refused(client: requests.Session) -> None:
    answer = client.get(ARM + SERVICE, params={'api-version': '2023-11-01'})
    assert (answer.status_code, answer.json()['error']['code']) == (401, 'AuthenticationFailed')


def test_revoked_token_meets_a_claims_challenge(emulator: Emulator, client: requests.Session) -> None:
    token = emulator.entra.issue(READER_USER, resource=AUDIENCE)
    emulator.entra.revoke(READER_USER)
    challenge = ask(emulator, client, '/subscriptions', token=token).headers['www-authenticate']
    assert 'error="insufficient_claims"' in challenge
    assert b'nbf' in base64.b64decode(challenge.rpartition('claims="')[2].rstrip('"'))


def test_subscriptions_and_tenants_are_those_of_the_caller(emulator: Emulator, client: requests.Session) -> None:
    token = emulator.entra.issue(READER_USER, resource=AUDIENCE)
    subscriptions = ask(emulator, client, '/subscriptions', token=token).json()['value']
    assert [subscription['subscriptionId'] for subscription in subscriptions] == [
        IMAGING_SUBSCRIPTION.id,
        RESEARCH_SUBSCRIPTION.id,
    ]
    tenants = ask(emulator, client, '/tenants', token=token).json()['value']
    assert [tenant['tenantId'] for tenant in tenants] == [HOME_TENANT.id, FOREIGN_TENANT.id]
