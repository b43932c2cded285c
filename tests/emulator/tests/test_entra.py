"""Sign-in: the token endpoint's grants and refusals, and each kind of `az login` with the real az."""

from __future__ import annotations

import json
from pathlib import Path

import jwt
import pytest
import requests

from tests.emulator.cloud import Emulator
from tests.emulator.credentials import self_signed_certificate
from tests.emulator.entra import DICOM_AUDIENCE
from tests.emulator.identities import (
    AZURE_CLI_CLIENT_ID,
    FOREIGN_TENANT,
    HOME_TENANT,
    READER_APPLICATION,
    READER_USER,
    ROLELESS_APPLICATION,
)
from tests.emulator.tests.conftest import RunAz

SCOPE = DICOM_AUDIENCE + '/.default'
PRINCIPAL = ('login', '--service-principal', '--username', READER_APPLICATION.client_id, '--tenant', HOME_TENANT.id)
SECRET = ('--password', str(READER_APPLICATION.secret))


def token_request(client: requests.Session, *, tenant: str = HOME_TENANT.id, **form: str) -> requests.Response:
    return client.post(f'https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token', data=form)


def secret_request(client: requests.Session, **changes: str) -> requests.Response:
    form = {
        'grant_type': 'client_credentials',
        'client_id': READER_APPLICATION.client_id,
        'client_secret': str(READER_APPLICATION.secret),
        'scope': SCOPE,
    }
    return token_request(client, **{**form, **changes})


def device_code(client: requests.Session, *, scope: str = SCOPE) -> dict[str, str]:
    url = f'https://login.microsoftonline.com/{HOME_TENANT.id}/oauth2/v2.0/devicecode'
    form = {'client_id': AZURE_CLI_CLIENT_ID, 'scope': f'{scope} openid profile offline_access'}
    return dict(client.post(url, data=form).json())


def redeem(client: requests.Session, flow: dict[str, str]) -> requests.Response:
    grant_type = 'urn:ietf:params:oauth:grant-type:device_code'
    return token_request(client, grant_type=grant_type, client_id=AZURE_CLI_CLIENT_ID, device_code=flow['device_code'])


def refresh(client: requests.Session, refresh_token: str, **form: str) -> requests.Response:
    return token_request(
        client,
        grant_type='refresh_token',
        client_id=AZURE_CLI_CLIENT_ID,
        refresh_token=refresh_token,
        **{'scope': SCOPE, **form},
    )


def unverified_claims(token: str) -> dict[str, object]:
    return dict(jwt.decode(token, options={'verify_signature': False}))


@pytest.mark.parametrize(
    ('scope', 'audience'),
    [
        pytest.param(SCOPE, DICOM_AUDIENCE, id='plain'),
        pytest.param(DICOM_AUDIENCE + '//.default', DICOM_AUDIENCE + '/', id='trailing-slash-is-kept'),
    ],
)
def test_scope_decides_the_audience(client: requests.Session, scope: str, audience: str) -> None:
    token = secret_request(client, scope=scope).json()['access_token']
    assert unverified_claims(token)['aud'] == audience


@pytest.mark.parametrize(
    ('changes', 'status', 'error', 'code'),
    [
        pytest.param({'client_secret': 'wrong'}, 401, 'invalid_client', 7000215, id='bad-secret'),
        pytest.param({'client_id': 'nobody'}, 400, 'unauthorized_client', 700016, id='unknown-application'),
        pytest.param({'scope': 'https://nowhere.example/.default'}, 400, 'invalid_resource', 500011, id='bad-resource'),
        pytest.param({'tenant': 'nowhere'}, 400, 'invalid_request', 90002, id='unknown-tenant'),
        pytest.param({'grant_type': 'magic'}, 400, 'unsupported_grant_type', 70003, id='unknown-grant'),
        pytest.param({'client_assertion': 'a.b.c'}, 401, 'invalid_client', 700027, id='bad-assertion'),
    ],
)
def test_refusals_are_numbered_as_entra_does(
    emulator: Emulator, client: requests.Session, changes: dict[str, str], status: int, error: str, code: int
) -> None:
    answer = secret_request(client, **changes)
    assert (answer.status_code, answer.json()['error']) == (status, error)
    assert answer.json()['error_description'].startswith(f'AADSTS{code}: ')
    assert emulator.journal.token_requests[-1]['error'] == f'AADSTS{code}'


def test_application_is_unknown_in_a_tenant_without_its_service_principal(client: requests.Session) -> None:
    answer = secret_request(
        client,
        tenant=FOREIGN_TENANT.id,
        client_id=ROLELESS_APPLICATION.client_id,
        client_secret=str(ROLELESS_APPLICATION.secret),
    )
    assert answer.json()['error_codes'] == [700016]


def test_journal_notes_the_claims_but_no_secret(emulator: Emulator, client: requests.Session) -> None:
    secret_request(client, claims='{"access_token": {"nbf": {"essential": true, "value": "1"}}}')
    (note,) = emulator.journal.token_requests
    assert (note['grant'], note['resource'], note['principal']) == (
        'client_credentials',
        DICOM_AUDIENCE,
        READER_APPLICATION.client_id,
    )
    assert 'nbf' in note['claims']
    assert str(READER_APPLICATION.secret) not in str(note)


def test_device_code_waits_for_its_approval(emulator: Emulator, client: requests.Session) -> None:
    emulator.entra.approves_device_codes = False
    flow = device_code(client)
    assert redeem(client, flow).json()['error'] == 'authorization_pending'
    emulator.entra.approve(flow['user_code'])
    answer = redeem(client, flow).json()
    assert unverified_claims(answer['access_token'])['upn'] == READER_USER.username
    assert unverified_claims(answer['id_token'])['aud'] == AZURE_CLI_CLIENT_ID


def test_device_code_is_good_once(client: requests.Session) -> None:
    flow = device_code(client)
    assert redeem(client, flow).status_code == 200
    assert redeem(client, flow).json()['error'] == 'invalid_grant'


def test_refresh_token_serves_other_resources_and_tenants(client: requests.Session) -> None:
    first = redeem(client, device_code(client)).json()
    answer = refresh(
        client, first['refresh_token'], scope='https://management.azure.com//.default', tenant=FOREIGN_TENANT.id
    ).json()
    claims = unverified_claims(answer['access_token'])
    assert (claims['aud'], claims['tid']) == ('https://management.azure.com/', FOREIGN_TENANT.id)
    assert claims['oid'] == READER_USER.object_ids[FOREIGN_TENANT.id]


def test_revoked_refresh_token_is_refused(emulator: Emulator, client: requests.Session) -> None:
    first = redeem(client, device_code(client)).json()
    emulator.entra.revoke_refresh_tokens(READER_USER)
    answer = refresh(client, first['refresh_token']).json()
    assert (answer['error'], answer['error_codes']) == ('invalid_grant', [50173])


def test_interaction_is_required_until_the_next_sign_in(emulator: Emulator, client: requests.Session) -> None:
    first = redeem(client, device_code(client)).json()
    emulator.entra.require_interaction(READER_USER)
    answer = refresh(client, first['refresh_token']).json()
    assert (answer['error'], answer['error_codes']) == ('interaction_required', [50076])
    assert json.loads(answer['claims'])['access_token']
    second = redeem(client, device_code(client)).json()
    assert refresh(client, second['refresh_token']).status_code == 200


def test_user_info_answers_the_owner_of_a_graph_token(client: requests.Session) -> None:
    token = redeem(client, device_code(client, scope='https://graph.microsoft.com/.default')).json()['access_token']
    url = 'https://graph.microsoft.com/oidc/userinfo'
    assert client.get(url, headers={'Authorization': f'Bearer {token}'}).json()['name'] == READER_USER.name
    assert client.get(url).status_code == 401


def test_assertion_of_an_unregistered_subject_is_refused(emulator: Emulator, client: requests.Session) -> None:
    assertion = emulator.entra.client_credentials.federated_token('repo:somebody/else')
    assert secret_request(client, client_assertion=assertion).json()['error_codes'] == [70021]


def dicom_claims(az: RunAz, *arguments: str) -> dict[str, object]:
    run = az('account', 'get-access-token', '--resource', DICOM_AUDIENCE, '-o', 'json', *arguments)
    assert run.returncode == 0, run.stderr
    return unverified_claims(json.loads(run.stdout)['accessToken'])


def test_az_signs_in_with_a_secret(emulator: Emulator, az: RunAz) -> None:
    run = az(*PRINCIPAL, *SECRET)
    assert run.returncode == 0, run.stderr
    assert [account['name'] for account in json.loads(run.stdout)] == ['Contoso Imaging', 'Contoso Research']
    assert dicom_claims(az)['appid'] == READER_APPLICATION.client_id
    foreign = dicom_claims(az, '--tenant', FOREIGN_TENANT.id)
    assert foreign['oid'] == READER_APPLICATION.object_ids[FOREIGN_TENANT.id]


def test_az_signs_in_with_a_certificate(emulator: Emulator, az: RunAz, tmp_path: Path) -> None:
    pem, certificate = self_signed_certificate('feed-reader')
    (tmp_path / 'feed-reader.pem').write_bytes(pem)
    refused = az(*PRINCIPAL, '--certificate', str(tmp_path / 'feed-reader.pem'))
    assert 'AADSTS700027' in refused.stderr
    emulator.entra.client_credentials.register_certificate(READER_APPLICATION, certificate)
    assert az(*PRINCIPAL, '--certificate', str(tmp_path / 'feed-reader.pem')).returncode == 0
    assert dicom_claims(az)['aud'] == DICOM_AUDIENCE


def test_az_signs_in_with_a_federated_token(emulator: Emulator, az: RunAz) -> None:
    token = emulator.entra.client_credentials.federate(READER_APPLICATION, 'repo:contoso/imaging:ref:refs/heads/main')
    run = az(*PRINCIPAL, '--federated-token', token)
    assert run.returncode == 0, run.stderr
    assert dicom_claims(az)['idtyp'] == 'app'


def test_az_signs_a_user_in_with_a_device_code(az: RunAz) -> None:
    run = az('login', '--use-device-code')
    assert run.returncode == 0, run.stderr
    assert {account['tenantId'] for account in json.loads(run.stdout)} == {HOME_TENANT.id, FOREIGN_TENANT.id}
    assert dicom_claims(az)['scp'] == 'Dicom.ReadWrite'
    assert dicom_claims(az, '--tenant', FOREIGN_TENANT.id)['tid'] == FOREIGN_TENANT.id


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        pytest.param([*PRINCIPAL, '--password', 'wrong'], 'AADSTS7000215', id='bad-secret'),
        pytest.param([*PRINCIPAL[:3], 'nobody', '--tenant', HOME_TENANT.id, *SECRET], 'AADSTS700016', id='nobody'),
    ],
)
def test_az_shows_the_refusal(az: RunAz, arguments: list[str], words: str) -> None:
    run = az(*arguments)
    assert run.returncode == 1
    assert words in run.stderr
