"""`az dicom check-access` on every way to fail, in this process; the words are those of `az dicom changefeed`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from azext_dicomtoken.check_access import STEPS
from tests.az.conftest import Az, Outcome
from tests.az.identity_endpoint import IdentityEndpoint
from tests.emulator import trouble
from tests.emulator.cloud import PRIVATE_AUDIENCE, Emulator
from tests.emulator.identities import FOREIGN_TENANT, HOME_TENANT, READER_APPLICATION, READER_USER, ROLELESS_APPLICATION

OWN = ('--resource', 'api://own', '--service-url')
UNKNOWN_HOST = '.'.join(['a' * 63] * 5) + '.example'  # longer than a name can be, so nobody is asked for it

Check = Callable[..., Outcome]


@pytest.fixture
def cloud(emulator: Emulator, identity: IdentityEndpoint, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The signed-in identity has the reader's token, and the emulator's proxy is in force."""
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv('AZURE_DEFAULTS_DICOM_SERVICE_URL', emulator.service_url)
    identity.token = emulator.entra.issue(READER_APPLICATION)
    return emulator


@pytest.fixture
def check(az: Az) -> Check:
    return lambda *options: az('dicom', 'check-access', *options)


def failed_at(step: str, outcome: Outcome) -> dict[str, str]:
    """The row of the step that failed; before it all passed, after it nothing was tried."""
    number = list(STEPS).index(step)
    verdicts = ['passed'] * number + ['failed'] + ['skipped'] * (len(STEPS) - number - 1)
    assert outcome.code == 1 and [row['verdict'] for row in outcome.result] == verdicts
    row: dict[str, str] = outcome.result[number]
    assert f'ERROR: {row["detail"]}\n' in outcome.stderr and row['meaning']
    assert row.get('command', '') in outcome.stderr.splitlines() or 'command' not in row
    return row


def test_all_is_well(check: Check, cloud: Emulator) -> None:
    outcome = check()
    rows = {row['step']: row['detail'] for row in outcome.result if row['verdict'] == 'passed'}
    assert outcome.code == 0 and tuple(rows) == tuple(STEPS) and outcome.stderr == ''
    assert READER_APPLICATION.object_ids[HOME_TENANT.id] in rows['token'] and 'minutes left' in rows['token']
    assert f'through the proxy 127.0.0.1:{cloud.port} (https_proxy)' in rows['host']
    assert 's from the clock of the service' in rows['clock']
    assert rows['sign-in'].startswith('systemAssignedIdentity (managed identity), tenant ')
    assert f'sequence {cloud.service.store.events()[-1].sequence}' in rows['feed']


def test_empty_feed_of_ones_own_server_over_plain_http_is_well(
    check: Check, emulator: Emulator, identity: IdentityEndpoint
) -> None:
    identity.token = emulator.entra.issue(READER_APPLICATION, resource=PRIVATE_AUDIENCE)
    outcome = check('--service-url', emulator.base_url, '--resource', PRIVATE_AUDIENCE)
    assert outcome.code == 0
    details = {row['step']: row['detail'] for row in outcome.result}
    assert (details['host'], details['tls']) == ('reached at 127.0.0.1', 'not used by this server')
    assert details['feed'] == 'no event yet; only reading was checked'


@pytest.mark.parametrize(
    ('options', 'command'),
    [((), 'az login'), (('--tenant', 'contoso.onmicrosoft.com'), 'az login --tenant contoso.onmicrosoft.com')],
)
def test_not_signed_in(check: Check, options: tuple[str, ...], command: str) -> None:
    assert failed_at('sign-in', check(*options))['command'] == command


def test_unknown_subscription(check: Check, cloud: Emulator) -> None:
    outcome = check('--subscription', 'nobody')
    assert outcome.code == 1 and outcome.result[0]['detail'].startswith("Subscription 'nobody' not found.")


def test_no_service_named(check: Check, identity: IdentityEndpoint) -> None:
    assert 'Give --service-url' in failed_at('service', check())['meaning']


def test_service_of_another_cloud(check: Check, cloud: Emulator) -> None:
    row = failed_at('service', check('--service-url', 'https://contoso-imaging.dicom.azurehealthcareapis.us'))
    assert 'AzureUSGovernment, but AzureCloud is active' in row['meaning']
    assert row['command'] == 'az cloud set --name AzureUSGovernment'


@pytest.mark.usefixtures('cloud')
def test_identity_whose_endpoint_is_gone(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('IDENTITY_ENDPOINT', 'http://127.0.0.1:1/token')
    assert failed_at('token', check())['detail'] == 'The sign-in service could not be reached.'


def test_proxy_that_does_not_know_the_host(check: Check, cloud: Emulator) -> None:
    row = failed_at('host', check('--workspace-name', 'contoso', '--dicom-service-name', 'nowhere'))
    assert f'The proxy 127.0.0.1:{cloud.port}, which https_proxy names, does not allow' in row['meaning']
    assert row['command'] == 'export no_proxy="$no_proxy,contoso-nowhere.dicom.azurehealthcareapis.com"'


@pytest.mark.usefixtures('identity')
def test_name_that_nobody_knows(check: Check) -> None:
    row = failed_at('host', check(*OWN, f'https://{UNKNOWN_HOST}'))
    assert row['detail'] == 'The name of the host could not be resolved.' and 'misspelled' in row['meaning']
    assert row['command'].startswith('az resource list ')


@pytest.mark.usefixtures('identity')
def test_private_address_that_refuses(check: Check) -> None:
    row = failed_at('host', check(*OWN, 'https://127.0.0.1:1'))
    assert row['detail'] == 'The host refused the connection.' and 'private endpoint' in row['meaning']


@pytest.mark.usefixtures('cloud')
def test_authority_that_is_not_trusted(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE', 'SSL_CERT_FILE'):
        monkeypatch.delenv(name)
    assert failed_at('tls', check())['command'] == 'export REQUESTS_CA_BUNDLE=/path/to/authority.pem'


@pytest.mark.parametrize(('status', 'words'), [(407, 'requires a user name and password'), (502, 'does not reach')])
def test_n5_proxy_that_refuses_is_told_at_once(status: int, words: str, check: Check, cloud: Emulator) -> None:
    cloud.proxy_refusals['*'] = status
    try:
        row = failed_at('host', check())
    finally:
        cloud.proxy_refusals.clear()
    assert f'{words}' in row['meaning'] and f'(status {status})' in row['meaning'] and 'https_proxy' in row['meaning']


def test_n9_web_page_in_place_of_the_feed_is_named_at_once(check: Check, az: Az, cloud: Emulator) -> None:
    cloud.service.trouble.when(lambda request: True, trouble.web_page())
    try:
        row, read = failed_at('feed', check()), az('dicom', 'changefeed', '--latest')
    finally:
        cloud.service.trouble.clear()
    assert 'HTML' in row['detail'] and 'portal' in row['meaning']
    assert f'ERROR: {row["detail"]}' in read.stderr and 'Trying again' not in read.stderr


@pytest.mark.parametrize(
    ('seconds', 'words'),
    [(7200, '2 h 0 min behind the service'), (-7200, '2 h 0 min ahead of the service'), (600, '10 min behind')],
)
def test_clock_that_is_wrong_is_told_and_fails_nothing(seconds: int, words: str, check: Check, cloud: Emulator) -> None:
    minutes = []
    for ahead in (0, seconds):
        cloud.service.date_ahead_seconds = ahead
        rows = {row['step']: row for row in check().result}
        minutes.append(int(rows['token']['detail'].partition(' minutes left')[0].rpartition(' ')[2]))
    cloud.service.date_ahead_seconds = 0
    assert words in rows['clock']['detail'] and {row['verdict'] for row in rows.values()} == {'passed'}
    assert minutes[0] - minutes[1] in (seconds // 60 - 1, seconds // 60, seconds // 60 + 1)


def test_token_of_another_tenant(check: Check, cloud: Emulator, identity: IdentityEndpoint) -> None:
    identity.token = cloud.entra.issue(READER_USER, tenant=FOREIGN_TENANT)
    outcome = check()
    row = failed_at('feed', outcome)
    told = {row['step'] for row in outcome.result if f'tenant {FOREIGN_TENANT.id}' in row['detail']}
    assert told == {'token'}  # that of the sign-in is another one
    assert f'belongs to the tenant {HOME_TENANT.id}' in row['meaning'] and row['command'] == 'az login --identity'


def test_token_for_another_audience(check: Check, cloud: Emulator, identity: IdentityEndpoint) -> None:
    identity.token = cloud.entra.issue(READER_APPLICATION, resource='https://graph.microsoft.com')
    row = failed_at('feed', check('--resource', 'https://graph.microsoft.com'))
    assert 'The token is for https://graph.microsoft.com, but' in row['meaning']


def test_no_role_until_it_counts(check: Check, cloud: Emulator, identity: IdentityEndpoint) -> None:
    object_id = ROLELESS_APPLICATION.object_ids[HOME_TENANT.id]
    identity.token = cloud.entra.issue(ROLELESS_APPLICATION)
    cloud.service.grant(object_id, after_requests=1)
    row = failed_at('feed', check())
    assert 'within the last five minutes' in row['meaning']
    assert f'--assignee-object-id {object_id} --assignee-principal-type ServicePrincipal' in row['command']
    assert row['command'].endswith('/workspaces/contoso/dicomservices/imaging')
    assert check().code == 0
    cloud.service.revoke(object_id)


def test_host_without_a_feed_ends_with_1(check: Check, cloud: Emulator) -> None:
    cloud.service.trouble.next(lambda answer: type(answer())(404, {}))
    assert failed_at('feed', check())['command'].startswith('az resource list ')


def test_table_on_a_terminal_fits_it_and_repeats_nothing(az: Az, cloud: Emulator, identity: IdentityEndpoint) -> None:
    identity.token = cloud.entra.issue(ROLELESS_APPLICATION)
    outcome = az('dicom', 'check-access', '-o', 'table', to_terminal=True)
    lines = outcome.stdout.splitlines()
    assert len(lines) > 2 + len(STEPS) and max(map(len, lines)) <= shutil.get_terminal_size().columns
    assert lines[-1].split() == ['feed', 'failed', 'see', 'below']
    said = outcome.stderr.splitlines()
    assert said[0] == 'ERROR: The service answered with status 403.' and len(set(said)) == len(said)
    assert len([line for line in said if line.startswith('az role assignment create ')]) == 1


def test_changefeed_says_the_same(az: Az, cloud: Emulator, identity: IdentityEndpoint) -> None:
    for token in (cloud.entra.issue(ROLELESS_APPLICATION), cloud.entra.issue(READER_USER, tenant=FOREIGN_TENANT)):
        identity.token = token
        checked, read = az('dicom', 'check-access'), az('dicom', 'changefeed', '--latest')
        assert read.code == 1 and read.stderr == (
            checked.stderr + 'Step by step, for the same service: az dicom check-access\n'
        )


@pytest.mark.usefixtures('cloud')
def test_debug_log_holds_no_token(check: Check, identity: IdentityEndpoint) -> None:
    outcome = check('--debug')
    assert outcome.code == 0 and len(outcome.stderr) > 1000
    assert identity.token not in outcome.stdout + outcome.stderr


@pytest.mark.usefixtures('cloud')
def test_table_shows_every_step(check: Check, config_folder: Path) -> None:
    lines = check('--resource', 'https://x.example', '-o', 'table').stdout.splitlines()
    assert lines[0].split() == ['Step', 'Verdict', 'Detail'] and [line.split()[0] for line in lines[2:]] == [*STEPS]
