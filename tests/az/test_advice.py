"""What is said of a refused or failed access, for which caller and which service; and what goes to nobody."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from azure.cli.core.azclierror import AzCLIError

from azext_dicomtoken import _advice
from azext_dicomtoken._advice import Access
from azext_dicomtoken._errors import explained
from azext_dicomtoken._service import Service
from dicomfeed.errors import Forbidden, HostUnreachable, Unauthorized

URL = 'https://contoso-imaging.dicom.azurehealthcareapis.com'
AUDIENCE = 'https://dicom.healthcareapis.azure.com'
OID, APP, TENANT, OTHER_TENANT = (f'{number}0000000-0000-4000-8000-000000000000' for number in range(1, 5))
USER = {'oid': OID, 'tid': TENANT, 'aud': AUDIENCE, 'scp': 'Dicom.ReadWrite'}
APPLICATION = {'oid': OID, 'tid': TENANT, 'aud': AUDIENCE, 'idtyp': 'app', 'appid': APP}
MACHINE = {**APPLICATION, 'xms_mirid': '/subscriptions/s/…/machine'}
PROVIDER = 'providers/Microsoft.HealthcareApis/workspaces'
UNKNOWN_GROUP = f'/subscriptions/SUBSCRIPTION_ID/resourceGroups/RESOURCE_GROUP/{PROVIDER}'


def access(claims: dict[str, Any] = USER, *, url: str = URL, **more: Any) -> Access:
    return Access(Service(url, AUDIENCE, **more), claims)


@pytest.mark.parametrize(
    ('claims', 'kind'),
    [(USER, 'User'), (APPLICATION, 'ServicePrincipal'), (MACHINE, 'ServicePrincipal')],
    ids=['user', 'app', 'machine'],
)
def test_role_command_names_the_caller(claims: dict[str, Any], kind: str) -> None:
    command = access(claims, resource_id='/subscriptions/s').role_command()
    assert command == (
        f'az role assignment create --assignee-object-id {OID} --assignee-principal-type {kind} '
        '--role "DICOM Data Reader" --scope /subscriptions/s'
    )


@pytest.mark.parametrize('claims', [{}, {'oid': '$(reboot)'}, {'oid': None}], ids=['none', 'odd', 'null'])
def test_role_command_finds_the_caller_where_the_token_does_not_say(claims: dict[str, Any]) -> None:
    assert '--assignee-object-id "$(az dicom token show-claims' in str(access(claims).role_command())


@pytest.mark.parametrize(
    ('service', 'scope'),
    [
        (Service(URL, AUDIENCE, '/subscriptions/s'), '/subscriptions/s'),
        (
            Service('https://a-b-c.dicom.azurehealthcareapis.com', AUDIENCE, names=('a', 'b-c')),
            f'{UNKNOWN_GROUP}/a/dicomservices/b-c',
        ),
        (Service(URL, AUDIENCE), f'{UNKNOWN_GROUP}/contoso/dicomservices/imaging'),
        (
            Service('https://a-b-c.dicom.azurehealthcareapis.com', AUDIENCE),
            f'{UNKNOWN_GROUP}/WORKSPACE/dicomservices/DICOM_SERVICE',
        ),
        (Service('https://dicom.hospital.example', 'api://own'), None),
        (None, f'{UNKNOWN_GROUP}/WORKSPACE/dicomservices/DICOM_SERVICE'),
    ],
    ids=['from ARM', 'from names', 'from the host', 'ambiguous host', 'own server', 'unknown'],
)
def test_scope_is_as_much_as_is_known(service: Service | None, scope: str | None) -> None:
    assert Access(service).scope() == scope


@pytest.mark.parametrize(
    ('claims', 'command'),
    [
        (USER, f'az login --tenant {OTHER_TENANT}'),
        (APPLICATION, f'az login --service-principal --username {APP} --tenant {OTHER_TENANT}'),
        (MACHINE, 'az login --identity'),
    ],
    ids=['user', 'app', 'machine'],
)
def test_token_of_another_tenant_is_told_by_the_challenge(claims: dict[str, Any], command: str) -> None:
    challenge = f'Bearer authorization_uri="https://login.microsoftonline.com/{OTHER_TENANT}", resource_id="{AUDIENCE}"'
    advice = _advice.unauthorized(unauthorized(challenge), access(claims))
    assert OTHER_TENANT in advice[0] and advice[1] == command


@pytest.mark.parametrize('challenge', [None, 'Bearer', f'Bearer resource_id="{AUDIENCE}/", realm="x"'])
def test_token_for_another_audience_is_told_with_and_without_a_challenge(challenge: str | None) -> None:
    advice = _advice.unauthorized(unauthorized(challenge), access({**USER, 'aud': 'https://graph.microsoft.com'}))
    assert 'The token is for https://graph.microsoft.com' in advice[0]
    assert advice[1].startswith(f'az dicom check-access --service-url {URL} --resource {AUDIENCE}')


@pytest.mark.parametrize(
    'challenge',
    [
        None,
        f'Bearer authorization_uri="https://login.microsoftonline.com/{TENANT.upper()}", resource_id="{AUDIENCE}/"',
        'Bearer authorization_uri="https://login.microsoftonline.com/$(reboot)", resource_id="$(reboot)"',
        'Bearer authorization_uri="https://login.microsoftonline.com/common"',
    ],
    ids=['none', 'equal', 'odd', 'any tenant'],
)
def test_token_that_looks_right_is_renewed_by_signing_in(challenge: str | None) -> None:
    assert _advice.unauthorized(unauthorized(challenge), access())[1:] == [f'az login --tenant {TENANT}']


def test_refused_role_mentions_the_five_minutes_and_the_private_network() -> None:
    advice = ' '.join(_advice.forbidden(Forbidden('', status=403, url=URL), access()))
    assert 'five minutes' in advice and 'private endpoint' in advice


def test_refusal_of_ones_own_server_names_no_role_of_azure() -> None:
    advice = _advice.forbidden(Forbidden('', status=403, url=URL), access(url='https://dicom.hospital.example'))
    assert 'az role' not in ' '.join(advice)


@pytest.mark.parametrize(
    ('address', 'words'),
    [
        (None, 'is not known here'),
        ('10.1.2.3', 'private address 10.1.2.3'),
        ('fd00::1', 'private address fd00::1'),
        ('20.1.2.3', 'a firewall is in between'),
    ],
)
def test_host_that_is_not_reached_is_looked_up(address: str | None, words: str) -> None:
    def look_up(*_: Any, **__: Any) -> Any:
        if address is None:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (address, 0))]

    advice = _advice.unreachable(HostUnreachable('', url=URL), access(), look_up=look_up)
    assert words in advice[0] and advice[-1].startswith('az resource ')


@pytest.mark.parametrize('proxy', ['http://user:secret@proxy.example:3128', 'user:secret@proxy.example:3128'])
def test_proxy_is_named_without_its_password(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('https_proxy', proxy)
    advice = ' '.join(_advice.unreachable(HostUnreachable('', url=URL), access()))
    assert 'The proxy proxy.example:3128 is in force' in advice and 'secret' not in advice


@pytest.mark.parametrize(
    'error',
    [
        Forbidden('Refused.', status=403, url=URL),
        Unauthorized('Refused.', status=401, url=URL),
        HostUnreachable('Refused.', url=URL),
    ],
    ids=lambda error: type(error).__name__,
)
def test_message_for_telemetry_holds_neither_caller_nor_service(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('https_proxy', 'http://127.0.0.1:1')  # so that no name is looked up
    with pytest.raises(AzCLIError) as caught, explained(access):
        raise error
    assert caught.value.error_msg == 'Refused.' and len(caught.value.recommendations) > 1


def unauthorized(challenge: str | None) -> Unauthorized:
    return Unauthorized('', status=401, url=f'{URL}/v1/changefeed', challenge=challenge)
