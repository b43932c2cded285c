"""`az dicom token`, signed in with a managed identity whose endpoint hands out what a test wants."""

from __future__ import annotations

import stat
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.az.conftest import Az
from tests.az.identity_endpoint import SUBSCRIPTION, TENANT, IdentityEndpoint
from tests.az.test_claims import AUDIENCE, a_token

ISSUE = ('dicom', 'token', 'issue')
SHOW = ('dicom', 'token', 'show-claims')


def test_issue_has_the_keys_of_get_access_token(az: Az, identity: IdentityEndpoint) -> None:
    before = int(time.time())
    result = az(*ISSUE).result
    after = time.time()
    expires_on = result['expires_on']
    assert before + 3600 <= expires_on <= after + 3600
    assert {key: value for key, value in result.items() if key != 'expiresIn'} == {
        'accessToken': 'plain-token',
        'tokenType': 'Bearer',
        'expires_on': expires_on,
        'tenant': TENANT,
        'subscription': SUBSCRIPTION,
        'resource': AUDIENCE,
        'expiresOn': datetime.fromtimestamp(expires_on).strftime('%Y-%m-%d %H:%M:%S.%f'),
        'expiresOnUtc': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(expires_on)),
    }
    assert expires_on - after - 1 <= result['expiresIn'] <= expires_on - before and result['expiresIn'] <= 3600
    assert identity.resources == [AUDIENCE]


@pytest.mark.parametrize(
    ('arguments', 'resource'),
    [
        (('--resource', AUDIENCE + '/'), AUDIENCE + '/'),
        (('--resource', 'api://own'), 'api://own'),
        (('--service-url', 'http://127.0.0.1:8080', '--resource', 'api://own'), 'api://own'),
        (('--workspace-name', 'contoso', '--dicom-service-name', 'imaging'), AUDIENCE),
    ],
    ids=['slash', 'own', 'own server', 'names'],
)
def test_issue_asks_for_the_audience_that_is_meant(
    az: Az, identity: IdentityEndpoint, arguments: tuple[str, ...], resource: str
) -> None:
    assert az(*ISSUE, *arguments).result['resource'] == resource
    assert identity.resources == [resource]


@pytest.mark.usefixtures('identity')
@pytest.mark.parametrize(
    ('token_format', 'text'),
    [
        ('token', 'plain-token\n'),
        ('header', 'Authorization: Bearer plain-token\n'),
        ('curl-config', 'header = "Authorization: Bearer plain-token"\n'),
    ],
)
def test_issue_writes_one_line_with_one_line_end(az: Az, token_format: str, text: str) -> None:
    assert az(*ISSUE, '--format', token_format).stdout == text


@pytest.mark.usefixtures('identity')
def test_issue_answers_a_query(az: Az) -> None:
    assert az(*ISSUE, '--query', 'accessToken', '-o', 'tsv').stdout == 'plain-token\n'


@pytest.mark.parametrize(
    'arguments',
    [
        ('--format', 'token', '--query', 'accessToken'),
        ('--format', 'env', '-o', 'tsv'),
        ('--output-file', 'unwritten', '-o', 'table'),
        ('--output-file', 'unwritten', '--query', 'accessToken'),
        ('--overwrite',),
        ('--variable-name', 'X'),
        ('--format', 'token', '--variable-name', 'X'),
        ('--format', 'env', '--variable-name', 'X;id'),
        ('--format', 'env', '--variable-name', '1X'),
        ('--format', 'env', '--variable-name', ''),
        ('--format', 'env', '--variable-name', 'X\n'),
        ('--min-validity', '30'),
        ('--min-validity', '30x'),
        ('--min-validity=-3m',),
        ('--min-validity', '٣m'),
        ('--service-url', 'https://evil.example'),
        ('--resource-group', 'group'),
        ('--tenant', TENANT, '--subscription', SUBSCRIPTION),
        ('--tenant', 'foreign'),
        ('--tenant', 'foreign', '--force-refresh'),
    ],
    ids=' '.join,
)
def test_issue_refuses_before_anything_is_sent(az: Az, identity: IdentityEndpoint, arguments: tuple[str, ...]) -> None:
    outcome = az(*ISSUE, *arguments)
    assert (outcome.code, outcome.stdout, identity.resources) == (1, '', [])
    assert outcome.stderr.startswith('ERROR: ') and 'Traceback' not in outcome.stderr
    assert not Path('unwritten').exists()


@pytest.mark.usefixtures('identity')
def test_issue_takes_the_configured_output_for_not_typed(az: Az, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('AZURE_CORE_OUTPUT', 'table')
    assert az(*ISSUE, '--format', 'token').stdout == 'plain-token\n'
    assert az(*ISSUE, '--format', 'token', '-o', 'json').code == 1


@pytest.mark.usefixtures('identity')
@pytest.mark.parametrize(('token_format', 'start'), [('token', 'plain-token\n'), ('json', '{\n  "accessToken"')])
def test_issue_writes_a_private_file(az: Az, tmp_path: Path, token_format: str, start: str) -> None:
    path = tmp_path / 'token'
    outcome = az(*ISSUE, '--format', token_format, '--output-file', str(path))
    assert (outcome.code, outcome.stdout) == (0, '')
    assert path.read_text().startswith(start) and stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.usefixtures('identity')
def test_issue_overwrites_only_when_told(az: Az, tmp_path: Path) -> None:
    path = tmp_path / 'token'
    path.write_text('old')
    arguments = (*ISSUE, '--format', 'token', '--output-file', str(path))
    assert (az(*arguments).code, path.read_text()) == (1, 'old')
    assert (az(*arguments, '--overwrite').code, path.read_text()) == (0, 'plain-token\n')


@pytest.mark.parametrize(('minimum', 'warned', 'requests'), [('10m', False, 1), ('2h', True, 2)])
def test_min_validity_renews_and_then_warns(
    az: Az, identity: IdentityEndpoint, minimum: str, warned: bool, requests: int
) -> None:
    outcome = az(*ISSUE, '--min-validity', minimum)
    assert ('WARNING: Even a new token lasts only' in outcome.stderr, len(identity.resources)) == (warned, requests)


@pytest.mark.parametrize('token_format', ['token', 'header', 'curl-config', 'windows-cmd'])
def test_token_that_a_format_cannot_carry_is_refused(az: Az, identity: IdentityEndpoint, token_format: str) -> None:
    identity.token = 'first\nX-Second: header'
    outcome = az(*ISSUE, '--format', token_format)
    assert (outcome.code, outcome.stdout) == (1, '') and 'X-Second' not in outcome.stderr


def test_debug_log_holds_no_token(az: Az, identity: IdentityEndpoint) -> None:
    identity.token = a_token({'oid': 'secret-object'})
    for command in (ISSUE, SHOW):
        outcome = az(*command, '--debug', '-o', 'none')
        assert outcome.code == 0 and len(outcome.stderr) > 1000
        assert not any(part in outcome.stderr for part in identity.token.split('.')[1:])


def test_signed_out_says_what_core_says(az: Az) -> None:
    outcome = az(*ISSUE)
    assert (outcome.code, outcome.stderr) == (1, "ERROR: Please run 'az login' to setup account.\n")


@pytest.mark.usefixtures('identity')
def test_secrets_warning_is_given_where_it_is_on(az: Az, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('AZURE_CLIENTS_SHOW_SECRETS_WARNING', 'true')
    assert 'accessToken' in az(*ISSUE).stderr


def test_show_claims_never_shows_the_token(az: Az, identity: IdentityEndpoint) -> None:
    identity.token = a_token({'oid': 'object', 'idtyp': 'app', 'aud': AUDIENCE})
    outcome = az(*SHOW)
    assert (outcome.result['objectId'], outcome.result['audienceMatches']) == ('object', True)
    assert identity.token not in outcome.stdout


def test_show_claims_reads_a_file_without_a_login(az: Az, tmp_path: Path) -> None:
    path = tmp_path / 'token'
    path.write_text(a_token({'oid': 'object'}) + '\n')
    assert az(*SHOW, '--token-file', str(path), '--query', 'objectId', '-o', 'tsv').stdout == 'object\n'


def test_show_claims_reads_a_file_in_a_cloud_of_unknown_audience(az: Az, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('AZURE_CLOUD_NAME', 'AzureUSGovernment')
    outcome = az(*SHOW, '--token-file', '-', stdin=a_token({'aud': 'a'}))
    assert (outcome.result['expectedAudience'], outcome.result['audienceMatches']) == (None, None)


@pytest.mark.parametrize('text', ['', 'opaque', 'a.b.c'], ids=repr)
def test_show_claims_refuses_what_is_no_token(az: Az, text: str) -> None:
    outcome = az(*SHOW, '--token-file', '-', stdin=text)
    assert (outcome.code, outcome.stdout) == (1, '') and 'The claims in this token cannot be read' in outcome.stderr


def test_show_claims_table_escapes_what_a_token_says(az: Az) -> None:
    token = a_token({'upn': 'evil\x1b[2J\nname', 'roles': ['a', 'b']})
    table = az(*SHOW, '--token-file', '-', '-o', 'table', stdin=token).stdout
    assert 'evil\\x1b[2J\\x0aname' in table and 'a b' in table and '\x1b' not in table


def test_configured_defaults_count_as_given_and_not_as_typed(
    az: Az, identity: IdentityEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('AZURE_DEFAULTS_DICOM_SERVICE_URL', 'https://evil.example')
    monkeypatch.setenv('AZURE_DEFAULTS_GROUP', 'group')
    monkeypatch.setenv('AZURE_DEFAULTS_SUBSCRIPTION', SUBSCRIPTION)
    assert az(*ISSUE).result['subscription'] == SUBSCRIPTION
    assert identity.resources == [AUDIENCE]
    # A managed identity's own tenant is refused by az 2.75 and taken by 2.91, never for the subscription's sake.
    assert 'only one of' not in az(*ISSUE, '--tenant', TENANT).stderr
