"""Which service is meant, and that no slip and no foreign word leads a token elsewhere: through az, to the last hop.

The rule by itself: `tests/az/test_hosts.py`, `tests/az/test_service.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.az.conftest import Az, Outcome
from tests.az.identity_endpoint import IdentityEndpoint
from tests.emulator.arm import DicomResource
from tests.emulator.cloud import Emulator
from tests.security.conftest import hostile, own_server
from tests.security.test_hostile_service import answer

NAMES = ('--workspace-name', 'contoso', '--dicom-service-name', 'imaging')
IMAGING = 'https://contoso-imaging.dicom.azurehealthcareapis.com'
OTHER = 'https://other-service.dicom.azurehealthcareapis.com'
OWN = ('http://127.0.0.1:1', 'https://dicom.hospital.example', 'https://evil.example')
WAYS = ['config', 'variable']


def configure(folder: Path, monkeypatch: pytest.MonkeyPatch, way: str, **defaults: str) -> None:
    """Set az's defaults, in its file or in the variables that it derives from them."""
    if way == 'config':
        lines = [f'{name} = {value}' for name, value in defaults.items()]
        (folder / 'config').write_text('\n'.join(['[defaults]', *lines]) + '\n')
    else:
        for name, value in defaults.items():
            monkeypatch.setenv(f'AZURE_DEFAULTS_{name.upper()}', value)


def service_of(outcome: Outcome) -> str:
    """The service that a check was made of."""
    return str(next(row['detail'] for row in outcome.result if row['step'] == 'service')).partition(',')[0]


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize(
    ('defaults', 'typed', 'service'),
    [
        ({'dicom_service_url': OTHER}, (), OTHER),
        ({'dicom_service_url': OTHER}, NAMES, IMAGING),
        ({'dicom_service_url': OTHER}, ('--service-url', IMAGING), IMAGING),
        ({'dicom_service_url': OTHER, 'group': 'nonesuch'}, (), OTHER),
        ({'group': 'nonesuch'}, ('--service-url', IMAGING + '/v2/'), IMAGING),
        ({'group': 'nonesuch', 'dicom_service_url': OTHER}, NAMES, IMAGING),
    ],
    ids=['default', 'names beat it', 'URL beats it', 'group alone says nothing', 'group and URL', 'group and names'],
)
def test_service_is_the_one_that_was_meant(
    way: str,
    defaults: dict[str, str],
    typed: tuple[str, ...],
    service: str,
    az: Az,
    in_the_cloud: Emulator,
    config_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure(config_folder, monkeypatch, way, **defaults)
    in_the_cloud.journal.clear()
    assert service_of(az('dicom', 'check-access', *typed)) == service
    assert not any('dicomservices' in request.path for request in in_the_cloud.journal.requests)


@pytest.mark.parametrize('way', WAYS)
def test_n22_configured_group_is_named_where_it_is_used(
    way: str, az: Az, in_the_cloud: Emulator, config_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(config_folder, monkeypatch, way, group='nonesuch')
    source = {
        'config': 'the configured default (az config get defaults.group)',
        'variable': 'the environment variable AZURE_DEFAULTS_GROUP',
    }[way]
    monkeypatch.setenv('AZURE_CLOUD_NAME', 'AzureUSGovernment')
    profile = config_folder / 'azureProfile.json'
    profile.write_text(profile.read_text('utf-8').replace('AzureCloud', 'AzureUSGovernment'), 'utf-8')
    outcome = az('dicom', 'changefeed', '--latest', *NAMES)
    assert outcome.code == 3 and f'The resource group nonesuch comes from {source}. Type another' in outcome.stderr


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('url', OWN)
@pytest.mark.parametrize('command', ['changefeed', 'check-access'])
def test_configured_server_of_ones_own_gets_no_token(
    way: str,
    url: str,
    command: str,
    az: Az,
    identity: IdentityEndpoint,
    config_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure(config_folder, monkeypatch, way, dicom_service_url=url)
    outcome = az('dicom', command, '--resource', 'api://own')
    assert (outcome.code, identity.resources) == (1, [])
    assert 'ERROR: The service URL does not lead to a DICOM service of the active cloud.' in outcome.stderr


@pytest.fixture
def resource(in_the_cloud: Emulator) -> Iterator[DicomResource]:
    """What Azure Resource Manager says of the service, for a test to change."""
    found = in_the_cloud.arm.dicom_service('contoso', 'imaging')
    url, audiences = found.service_url, found.audiences
    yield found
    found.service_url, found.audiences = url, audiences


@pytest.mark.parametrize(
    'url',
    [
        *OWN,
        f'{IMAGING}@evil.example',
        f'{IMAGING}.evil.example',
        f'{IMAGING}:8443',
        f'{IMAGING}/?x',
        f'{IMAGING}#x',
        'http://contoso-imaging.dicom.azurehealthcareapis.com',
        'https://x.dicom.azurehealthcareapis.us',
        '',
        ' ',
        '\x1b[2J',
    ],
    ids=ascii,
)
def test_foreign_url_of_resource_manager_gets_no_token(
    url: str, az: Az, resource: DicomResource, in_the_cloud: Emulator
) -> None:
    resource.service_url = url
    in_the_cloud.journal.clear()
    for more in ((), ('--resource', 'api://own')):
        outcome = az('dicom', 'changefeed', *NAMES, '--resource-group', 'imaging', *more)
        assert outcome.code == 1 and outcome.stderr.startswith('ERROR: ') and 'Traceback' not in outcome.stderr
    assert {request.host for request in in_the_cloud.journal.requests} <= {
        'management.azure.com',
        f'127.0.0.1:{in_the_cloud.port}',
    }


def test_group_that_breaks_out_of_its_place_in_the_address_stays_in_it(az: Az, in_the_cloud: Emulator) -> None:
    in_the_cloud.journal.clear()
    outcome = az('dicom', 'changefeed', *NAMES, '--resource-group', 'x/../imaging?a=b#c')
    assert outcome.code in (1, 3)
    asked = [request for request in in_the_cloud.journal.requests if request.host == 'management.azure.com']
    assert asked and all('a=b' not in request.query for request in asked)


@pytest.mark.parametrize(
    'command',
    [
        ('token', 'issue'),
        ('token', 'show-claims'),
        ('changefeed', '--service-url', IMAGING),
        ('check-access', '--service-url', IMAGING),
    ],
    ids=' '.join,
)
def test_nothing_is_sent_where_certificates_are_not_checked(
    command: tuple[str, ...], az: Az, identity: IdentityEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('AZURE_CLI_DISABLE_CONNECTION_VERIFICATION', '1')
    outcome = az('dicom', *command)
    assert (outcome.code, identity.resources) == (1, []) and 'REQUESTS_CA_BUNDLE' in outcome.stderr


def test_netrc_does_not_take_the_place_of_the_token(
    az: Az, identity: IdentityEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'netrc').write_text('machine 127.0.0.1 login somebody password something\n')
    (tmp_path / 'netrc').chmod(0o600)
    monkeypatch.setenv('NETRC', str(tmp_path / 'netrc'))
    with hostile(answer('204 No Content')) as (url, requests):
        assert az('dicom', 'changefeed', '--latest', *own_server(url)).code == 0
    assert f'Authorization: Bearer {identity.token}' in requests[0] and 'Basic' not in requests[0]


def test_t2_proxy_does_not_get_the_token_of_a_server_on_this_machine(
    az: Az, identity: IdentityEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hostile(answer('502 Bad Gateway')) as (proxy, seen), hostile(answer('204 No Content')) as (url, requests):
        for name in ('http_proxy', 'HTTPS_PROXY', 'ALL_PROXY'):
            monkeypatch.setenv(name, proxy)
        own = url.replace('127.0.0.1', 'localhost')  # the identity's endpoint is excepted by its address
        assert az('dicom', 'changefeed', '--latest', *own_server(own)).code == 0
    assert not [head for head in seen if 'localhost' in head]  # az itself asks for news through it
    assert len(requests) == 1 and identity.token in requests[0]


def test_t1_challenge_of_a_foreign_server_is_no_command(az: Az, identity: IdentityEndpoint) -> None:
    said = (
        'Bearer authorization_uri="https://login.microsoftonline.com/'
        '11111111-1111-4111-8111-111111111111/", resource_id="https://management.azure.com", claims="eyJhIjp7fX0="'
    )
    with hostile(answer('401 Unauthorized', WWW_Authenticate=said)) as (url, _):
        checked = az('dicom', 'check-access', *own_server(url))
        read = az('dicom', 'changefeed', '--latest', *own_server(url))
    row = next(row for row in checked.result if row['verdict'] == 'failed')
    commands = [line for line in (checked.stderr + read.stderr).splitlines() if line.startswith('az ')]
    assert row['command'] == 'az login --identity' and set(commands) == {'az login --identity'}
