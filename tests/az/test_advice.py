"""What is said of a refused or failed access, for which caller and which service; and what goes to nobody."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.cli.core.azclierror import AzCLIError

from azext_dicomtoken import _account, _advice
from azext_dicomtoken._account import USER as USER_WAY
from azext_dicomtoken._account import Account
from azext_dicomtoken._advice import Access, Command
from azext_dicomtoken._errors import explained
from azext_dicomtoken._service import Service
from dicomfeed.errors import Forbidden, HostUnreachable, ProxySettingWrong, Unauthorized
from dicomfeed.trust import cloud_named

URL = 'https://contoso-imaging.dicom.azurehealthcareapis.com'
AUDIENCE = 'https://dicom.healthcareapis.azure.com'
OID, APP, TENANT, OTHER_TENANT = (f'{number}0000000-0000-4000-8000-000000000000' for number in range(1, 5))
USER = {'oid': OID, 'tid': TENANT, 'aud': AUDIENCE, 'scp': 'Dicom.ReadWrite'}
APPLICATION = {'oid': OID, 'tid': TENANT, 'aud': AUDIENCE, 'idtyp': 'app', 'appid': APP}
MACHINE = {**APPLICATION, 'xms_mirid': '/subscriptions/s/…/machine'}
SET_PASSWORD = 'export HTTPS_PROXY=http://USER:PASSWORD@p.example:3128'
EXCEPT = 'export NO_PROXY="$NO_PROXY,contoso-imaging.dicom.azurehealthcareapis.com"'
PROVIDER = 'providers/Microsoft.HealthcareApis/workspaces'
UNKNOWN_GROUP = f'/subscriptions/SUBSCRIPTION_ID/resourceGroups/RESOURCE_GROUP/{PROVIDER}'


def access(
    claims: dict[str, Any] = USER,
    *,
    url: str = URL,
    account: Account | None = None,
    cloud: str = 'AzureCloud',
    **more: Any,
) -> Access:
    return Access(Service(url, AUDIENCE, **more), claims, account, cloud_named(cloud))


def an_account(way: str = USER_WAY, **more: Any) -> Account:
    return Account(APP if 'principal' in way else 'reader@contoso.example', way, TENANT, **more)


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
    ('account', 'command'),
    [
        (None, f'az login --tenant {OTHER_TENANT}'),
        (an_account(), f'az login --tenant {OTHER_TENANT}'),
        (an_account(_account.SECRET), f'az login --service-principal --username {APP} --tenant {OTHER_TENANT}'),
    ],
    ids=['unknown', 'user', 'app'],
)
def test_token_of_another_tenant_is_told_by_the_challenge(account: Account | None, command: str) -> None:
    advice = _advice.unauthorized(unauthorized(challenge()), access(account=account))
    assert OTHER_TENANT in advice[0] and advice[1] == command


@pytest.mark.parametrize(
    'said',
    [None, 'Bearer', f'Bearer resource_id="{AUDIENCE}/", realm="x"', 'Bearer resource_id="https://evil.example"'],
)
def test_token_for_another_audience_is_told_with_and_without_a_challenge(said: str | None) -> None:
    advice = _advice.unauthorized(unauthorized(said), access({**USER, 'aud': 'https://graph.microsoft.com'}))
    assert 'The token is for https://graph.microsoft.com' in advice[0]
    assert advice[1] == f'az dicom check-access --service-url {URL} --resource {AUDIENCE}'


@pytest.mark.parametrize(
    ('url', 'cloud'),
    [
        ('https://dicom.hospital.example', 'AzureCloud'),
        ('https://x.dicom.azurehealthcareapis.com.evil.example', 'AzureCloud'),
        (URL, 'AzureUSGovernment'),
        ('http://127.0.0.1:8080', 'AzureCloud'),
    ],
    ids=['private server', 'look-alike', 'another cloud', 'loopback'],
)
def test_t1_words_of_a_foreign_server_go_into_no_command(url: str, cloud: str) -> None:
    error = unauthorized(challenge(resource='https://management.azure.com'), url=url)
    advice = _advice.unauthorized(error, access({**USER, 'aud': 'api://own'}, cloud=cloud))
    assert [line for line in advice if isinstance(line, Command)] == [f'az login --tenant {TENANT}']
    assert 'It says that it accepts tokens for https://management.azure.com' in advice[0]


@pytest.mark.parametrize(
    'said',
    [
        None,
        f'Bearer authorization_uri="https://login.microsoftonline.com/{TENANT.upper()}", resource_id="{AUDIENCE}/"',
        'Bearer authorization_uri="https://login.microsoftonline.com/$(reboot)", resource_id="$(reboot)"',
        'Bearer authorization_uri="https://login.microsoftonline.com/common"',
    ],
    ids=['none', 'equal', 'odd', 'any tenant'],
)
def test_token_that_looks_right_is_renewed_by_signing_in(said: str | None) -> None:
    assert _advice.unauthorized(unauthorized(said), access())[1:] == [f'az login --tenant {TENANT}']


@pytest.mark.parametrize(
    ('account', 'command'),
    [
        (an_account(), f'az login --tenant {TENANT}'),
        (an_account(has_subscription=False), f'az login --tenant {TENANT} --allow-no-subscriptions'),
        (an_account(_account.SECRET), f'az login --service-principal --username {APP} --tenant {TENANT}'),
        (
            an_account(_account.CERTIFICATE, certificate='/home/me/my key.pem'),
            f"az login --service-principal --username {APP} --certificate '/home/me/my key.pem' --tenant {TENANT}",
        ),
        (
            an_account(_account.FEDERATED),
            f'az login --service-principal --username {APP} --federated-token FEDERATED_TOKEN --tenant {TENANT}',
        ),
        (an_account(_account.MANAGED_IDENTITY), 'az login --identity'),
        (
            an_account(_account.MANAGED_IDENTITY, identity=('--client-id', APP)),
            f'az login --identity --client-id {APP}',
        ),
        (
            an_account(_account.MANAGED_IDENTITY, identity=('--object-id', OID)),
            f'az login --identity --object-id {OID}',
        ),
        (
            an_account(_account.MANAGED_IDENTITY, identity=('--resource-id', '/subscriptions/s/x')),
            'az login --identity --resource-id /subscriptions/s/x',
        ),
        (an_account(_account.CLOUD_SHELL), f'az login --tenant {TENANT}'),
    ],
    ids='user,tenant alone,secret,certificate,federated,machine,client ID,object ID,resource ID,Cloud Shell'.split(','),
)
def test_n8_login_command_is_the_way_in_which_the_account_signed_in(account: Account, command: str) -> None:
    advice = _advice.unauthorized(unauthorized(None), access(account=account))
    assert advice[1] == command and isinstance(advice[1], Command)


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
        ('20.1.2.3', 'A firewall may be in between'),
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
    assert 'The proxy proxy.example:3128, which https_proxy names,' in advice and 'secret' not in advice


@pytest.mark.parametrize(
    ('status', 'proxy', 'words', 'command'),
    [
        (407, 'http://p.example:3128', 'requires a user name and password', SET_PASSWORD),
        (407, 'http://me:secret@p.example:3128', 'does not accept the user name and password', SET_PASSWORD),
        (403, 'http://p.example:3128', 'does not allow contoso-imaging', EXCEPT),
        (502, 'p.example:3128', 'does not reach contoso-imaging', EXCEPT),
        (504, 'http://p.example:3128', 'in time (status 504)', EXCEPT),
        (503, 'http://p.example:3128', '(status 503)', EXCEPT),
        (None, 'http://p.example:3128', 'does not answer', EXCEPT),
    ],
)
def test_n5_refusal_of_a_proxy_is_told_by_its_status(
    status: int | None, proxy: str, words: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('HTTPS_PROXY', proxy)
    advice = _advice.unreachable(HostUnreachable('', url=URL, through_proxy=True, proxy_status=status), access())
    assert words in advice[0] and advice[1:] == [command] and 'secret' not in ' '.join(advice)


@pytest.mark.parametrize(
    ('environment', 'name'),
    [
        ({'no_proxy': 'x'}, 'no_proxy'),
        ({'no_proxy': 'x', 'NO_PROXY': 'y'}, 'no_proxy'),
        ({'NO_PROXY': 'y'}, 'NO_PROXY'),
        ({'no_proxy': '', 'NO_PROXY': 'y'}, 'NO_PROXY'),
        ({}, 'NO_PROXY'),
    ],
    ids=str,
)
def test_n7_exception_goes_into_the_variable_that_counts(
    environment: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in {'HTTPS_PROXY': 'http://p.example:3128', **environment}.items():
        monkeypatch.setenv(variable, value)
    command = _advice.unreachable(HostUnreachable('', url=URL, through_proxy=True), access())[-1]
    assert command == f'export {name}="${name},contoso-imaging.dicom.azurehealthcareapis.com"'


@pytest.mark.parametrize(
    ('name', 'value', 'words', 'command'),
    [
        ('HTTPS_PROXY', 'http://', 'value of HTTPS_PROXY is not the URL of a proxy', 'unset HTTPS_PROXY'),
        ('https_proxy', 'http://h:port', 'value of https_proxy is not the URL of a proxy', 'unset https_proxy'),
        ('ALL_PROXY', 'ftp://h', 'value of ALL_PROXY is not the URL of a proxy', 'unset ALL_PROXY'),
        ('https_proxy', 'https://h:3128', 'https_proxy starts with https://', 'export https_proxy=http://h:3128'),
    ],
)
def test_n6_n21_wrong_proxy_setting_is_named(
    name: str, value: str, words: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    advice = _advice.wrong_proxy_setting(ProxySettingWrong('', url=URL))
    assert words in advice[0] and advice[1:] == [command]


@pytest.mark.parametrize('name', ['REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'])
@pytest.mark.parametrize(
    ('make', 'problem'),
    [
        (lambda path: None, 'which does not exist'),
        (lambda path: path.write_text(''), 'in which no certificate can be read'),
        (lambda path: path.write_text('-----BEGIN CERTIFICATE-----\nx\n'), 'in which no certificate can be read'),
        (lambda path: path.mkdir(), 'which is an empty folder'),
    ],
    ids=['missing', 'empty', 'damaged', 'empty folder'],
)
def test_n4_file_of_authorities_that_is_none_is_named(
    make: Callable[[Path], object], problem: str, name: str, tmp_path: Path
) -> None:
    make(tmp_path / 'ca.pem')
    advice = _advice.untrusted(environ={name: str(tmp_path / 'ca.pem')})
    assert f'The variable {name} names {tmp_path / "ca.pem"}, {problem}.' in advice[0] and advice[1] == f'unset {name}'


def test_n4_variable_that_az_does_not_read_is_told() -> None:
    advice = _advice.untrusted(environ={'SSL_CERT_FILE': '/ca.pem'})
    assert 'az does not read SSL_CERT_FILE' in advice[0] and advice[1] == 'export REQUESTS_CA_BUNDLE="$SSL_CERT_FILE"'


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


def unauthorized(challenge: str | None, *, url: str = URL) -> Unauthorized:
    return Unauthorized('', status=401, url=f'{url}/v1/changefeed', challenge=challenge)


def challenge(*, tenant: str = OTHER_TENANT, resource: str = AUDIENCE) -> str:
    return f'Bearer authorization_uri="https://login.microsoftonline.com/{tenant}", resource_id="{resource}"'
