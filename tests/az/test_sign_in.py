"""A sign-in in trouble, a refusal, and a damaged file of az, with each kind of account and the real az."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from azure.cli.core import get_default_cli

from azext_dicomtoken._invocation import Invocation
from azext_dicomtoken._login import Login
from azext_dicomtoken._sign_in import damaged_file, explained
from dicomfeed.errors import SignInUnavailable
from tests.az.conftest import Az
from tests.az.identity_endpoint import IdentityEndpoint
from tests.e2e.logins import SignIn
from tests.e2e.machine import Machine
from tests.emulator import trouble
from tests.emulator.cloud import Emulator
from tests.emulator.identities import HOME_TENANT, MANAGED_IDENTITY, READER_APPLICATION, READER_USER
from tests.emulator.trouble import Fault

ISSUE = ('dicom', 'token', 'issue')
CHECK = ('dicom', 'check-access', '--workspace-name', 'contoso', '--dicom-service-name', 'imaging')
FAILED_COMMAND = ('--query', "[?verdict=='failed'].command", '-o', 'tsv')
KINDS = ['user', 'secret', 'managed-identity', 'cloud-shell']
SERVICE_PRINCIPAL = f'az login --service-principal --username {READER_APPLICATION.client_id}'


@pytest.fixture
def in_trouble(emulator: Emulator) -> Iterator[Callable[[Fault], None]]:
    """Every request for a token or for what goes before it meets the fault, for the length of a test."""
    yield lambda fault: emulator.sign_in_trouble.when(lambda request: True, fault)
    emulator.sign_in_trouble.clear()


TROUBLE = {
    'n1 no connection': (trouble.cut(), 'The sign-in service could not be reached.'),
    'n2 503': (trouble.unavailable(), 'The sign-in service answered with '),
    'n2 429': (trouble.throttled(), 'The sign-in service answered with '),
    'n2 web page': (trouble.web_page(), 'answered with something other than JSON, such as the web page'),
    'n2 JSON without a token': (trouble.status(200, '{"message": "later"}'), 'The sign-in service '),
}


@pytest.mark.usefixtures('az_process')
@pytest.mark.parametrize('name', TROUBLE)
@pytest.mark.parametrize('kind', KINDS)
def test_trouble_that_passes_is_one_sentence_and_no_refusal(
    kind: str, name: str, sign_in: SignIn, in_trouble: Callable[[Fault], None]
) -> None:
    machine = sign_in(kind)
    (machine.folder / 'azure' / 'msal_http_cache.bin').unlink(missing_ok=True)  # what MSAL remembers of Entra ID
    fault, words = TROUBLE[name]
    in_trouble(fault)
    done = machine.az(*ISSUE, '--force-refresh')
    assert (done.returncode, done.stdout) == (1, '') and 'Traceback' not in done.stderr
    assert done.stderr.startswith('ERROR: ') and words in done.stderr and 'az login' not in done.stderr


@pytest.mark.usefixtures('az_process')
@pytest.mark.parametrize('kind', ['user', 'secret', 'managed-identity'])
def test_n1_first_token_of_a_run_is_waited_for(kind: str, sign_in: SignIn, emulator: Emulator) -> None:
    machine = sign_in(kind)
    emulator.sign_in_trouble.next(trouble.cut())
    names = ('--workspace-name', 'contoso', '--dicom-service-name', 'imaging')
    done = machine.az('dicom', 'changefeed', '--latest', '--query', 'sequence', *names)
    assert (done.returncode, done.stdout) == (0, '10\n'), done.stderr


@pytest.mark.usefixtures('az_process')
def test_n2_memory_of_msal_is_trouble_that_passes(sign_in: SignIn, emulator: Emulator) -> None:
    machine = sign_in('secret')
    emulator.sign_in_trouble.next(trouble.status(503, headers={'Retry-After': '3600'}))
    assert 'status 503' in machine.az(*ISSUE, '--force-refresh').stderr
    emulator.journal.clear()
    done = machine.az(*ISSUE, '--force-refresh')
    assert 'status 503' in done.stderr and 'Traceback' not in done.stderr and emulator.journal.token_requests == []


@pytest.mark.usefixtures('az_process')
@pytest.mark.parametrize('kind', ['user', 'managed-identity'])
def test_n2_check_access_names_trouble_of_the_sign_in(
    kind: str, sign_in: SignIn, in_trouble: Callable[[Fault], None]
) -> None:
    machine = sign_in(kind)
    (machine.folder / 'azure' / 'msal_http_cache.bin').unlink(missing_ok=True)
    (machine.folder / 'azure' / 'msal_token_cache.json.lockfile').unlink(missing_ok=True)
    in_trouble(trouble.web_page())
    row = next(
        row
        for row in json.loads(machine.az(*CHECK, '--resource', 'https://x').stdout)
        if row['detail'] and row['verdict'] == 'failed'
    )
    assert row['step'] == 'token' and 'web page of a portal' in row['detail'] and 'not refused' in row['meaning']


def test_sign_in_that_hangs_is_given_up(identity: IdentityEndpoint) -> None:
    identity.delay_seconds = 60.0
    login = Login(Invocation(get_default_cli()), audience='api://own', patience_seconds=0.05)
    with pytest.raises(SignInUnavailable, match='did not answer in time'):
        login.get_token()


@pytest.mark.parametrize('status', [403, 407])
def test_n5_proxy_that_refuses_the_sign_in_is_no_trouble_that_passes(
    status: int, sign_in: SignIn, emulator: Emulator, az_process: list[str]
) -> None:
    machine = sign_in('secret')
    emulator.proxy_refusals['*'] = status
    try:
        done = machine.az(*ISSUE, '--force-refresh')
    finally:
        emulator.proxy_refusals.clear()
    assert done.returncode == 1 and f'(status {status})' in done.stderr and 'https_proxy' in done.stderr


SETTINGS = {
    'n4 missing': ({'REQUESTS_CA_BUNDLE': '/missing.pem'}, 'REQUESTS_CA_BUNDLE names /missing.pem, which does not'),
    'n4 curl': ({'REQUESTS_CA_BUNDLE': '', 'CURL_CA_BUNDLE': '/missing.pem'}, 'CURL_CA_BUNDLE names /missing.pem'),
    'n6': ({'https_proxy': 'http://'}, 'The value of https_proxy is not the URL of a proxy'),
}


@pytest.mark.usefixtures('az_process')
@pytest.mark.parametrize('command', [(*ISSUE, '--force-refresh'), CHECK], ids=['issue', 'check-access'])
@pytest.mark.parametrize('name', SETTINGS)
def test_wrong_setting_of_the_environment_is_named(name: str, command: tuple[str, ...], sign_in: SignIn) -> None:
    machine = sign_in('secret')
    environment, words = SETTINGS[name]
    machine.environment.update(environment)
    done = machine.az(*command)
    assert done.returncode == 1 and words in done.stderr and 'Traceback' not in done.stderr


@pytest.mark.usefixtures('az_process')
@pytest.mark.parametrize('scheme', ['https'])
def test_n21_proxy_that_is_asked_by_tls_is_named(scheme: str, sign_in: SignIn, emulator: Emulator) -> None:
    machine = sign_in('secret')
    machine.environment['https_proxy'] = f'{scheme}://127.0.0.1:{emulator.port}'
    done = machine.az(*ISSUE, '--force-refresh')
    assert f'\nexport https_proxy=http://127.0.0.1:{emulator.port}\n' in done.stderr, done.stderr


# Files of az

DAMAGED = {
    'cut': b'{"AccessToken": {',
    'list': b'[]',
    'not text': b'\xff\xfe\x00',
    'NUL': b'\x00' * 64,
    'folder': None,
}


def damage(path: Path, content: bytes | None) -> None:
    path.unlink(missing_ok=True)
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)


@pytest.mark.usefixtures('az_process')
@pytest.mark.parametrize('content', DAMAGED)
@pytest.mark.parametrize(('kind', 'name'), [('user', 'msal_token_cache'), ('secret', 'service_principal_entries')])
def test_n3_damaged_file_is_named_with_the_command_that_starts_afresh(
    kind: str, name: str, content: str, sign_in: SignIn
) -> None:
    machine = sign_in(kind)
    path = machine.folder / 'azure' / f'{name}.json'
    damage(path, b'{' if (name, content) == ('service_principal_entries', 'list') else DAMAGED[content])
    done = machine.az(*CHECK, *FAILED_COMMAND)
    login = {'user': 'az login', 'secret': SERVICE_PRINCIPAL}[kind]
    assert (done.returncode, done.stdout) == (1, f'mv {path} {path}.damaged && {login} --tenant {HOME_TENANT.id}\n')
    assert f'ERROR: az cannot use its file {name}.json: ' in done.stderr and 'Traceback' not in done.stderr


@pytest.mark.parametrize(
    'text', ['[]', '{"subscriptions": 5}', '{"subscriptions": [{}]}', '{"subscriptions": [{"user": null}]}']
)
def test_n3_profile_of_another_shape_is_named(text: str, az: Az, config_folder: Path) -> None:
    path = config_folder / 'azureProfile.json'
    path.write_text(text)
    try:
        outcome = az(*CHECK)
    finally:
        path.unlink()
    assert outcome.code == 1 and 'az cannot use its file azureProfile.json: it is damaged.' in outcome.stderr


@pytest.mark.parametrize(
    ('name', 'text', 'is_damaged'),
    [
        ('msal_token_cache.json', '', False),
        ('msal_token_cache.json', '{}', False),
        ('msal_token_cache.json', '{"AccessToken": {"key": {}}}', False),
        ('msal_token_cache.json', '{"AccessToken": []}', True),
        ('service_principal_entries.json', '[]', False),
        ('service_principal_entries.json', '', True),
        ('service_principal_entries.json', '[{"client_id": "x"}]', True),
        ('azureProfile.json', '\ufeff{"installationId": "x"}', False),
        ('azureProfile.json', '{"subscriptions": null}', True),
    ],
)
def test_n3_file_is_damaged_when_az_did_not_write_it(name: str, text: str, is_damaged: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, 'utf-8')
    assert damaged_file(str(tmp_path)) == (str(tmp_path / name) if is_damaged else None)


def test_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    error = PermissionError(13, 'Permission denied', str(tmp_path / 'msal_token_cache.json.lockfile'))
    told = explained(error, sign_in_url='https://x', config_folder=str(tmp_path), account=None)
    assert str(told) == 'az cannot use its file msal_token_cache.json.lockfile: Permission denied.'


def test_error_that_nobody_expects_is_left_alone(tmp_path: Path) -> None:
    error = ZeroDivisionError()
    assert explained(error, sign_in_url='https://x', config_folder=str(tmp_path), account=None) is error


# Refusals


@pytest.mark.usefixtures('az_process')
def test_n17_forced_refresh_that_asks_for_another_factor_says_how_to_sign_in(
    sign_in: SignIn, emulator: Emulator
) -> None:
    machine = sign_in('user')
    emulator.entra.require_interaction(READER_USER)
    try:
        for more in ((), ('--only-show-errors',)):
            done = machine.az(*ISSUE, '--force-refresh', *more)
            assert done.returncode == 1 and 'AADSTS50076' in done.stderr
            assert f'\naz login --tenant "{HOME_TENANT.id}" --scope "' in done.stderr
            assert '--claims-challenge' not in done.stderr and 'WARNING' not in done.stderr
    finally:
        emulator.entra.forget_interaction(READER_USER)


@pytest.mark.usefixtures('az_process')
@pytest.mark.parametrize(
    ('kind', 'command'),
    [
        ('secret', f'{SERVICE_PRINCIPAL} --tenant {HOME_TENANT.id}'),
        ('certificate', f'{SERVICE_PRINCIPAL} --certificate {{folder}}/reader.pem --tenant {HOME_TENANT.id}'),
        ('federated', f'{SERVICE_PRINCIPAL} --federated-token FEDERATED_TOKEN --tenant {HOME_TENANT.id}'),
        ('user', f'az login --tenant {HOME_TENANT.id}'),
        ('managed-identity', 'az login --identity'),
    ],
)
def test_n8_refused_token_names_the_login_of_this_kind(
    kind: str, command: str, sign_in: SignIn, emulator: Emulator, logins_folder: Path
) -> None:
    machine = sign_in(kind)
    emulator.service.trouble.when(lambda request: True, trouble.status(401))
    try:
        done = machine.az(*CHECK, *FAILED_COMMAND)
    finally:
        emulator.service.trouble.clear()
    assert done.stdout == command.format(folder=logins_folder / kind) + '\n', done.stderr


@pytest.mark.usefixtures('az_process')
@pytest.mark.parametrize('option', ['--client-id', '--object-id', '--resource-id'])
def test_n8_user_assigned_identity_is_named_with_its_id(option: str, emulator: Emulator, tmp_path: Path) -> None:
    identifier = {
        '--client-id': MANAGED_IDENTITY.client_id,
        '--object-id': MANAGED_IDENTITY.object_ids[HOME_TENANT.id],
        '--resource-id': '/subscriptions/s/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i',
    }[option]
    machine = Machine(
        tmp_path,
        extensions=Path(os.environ['AZURE_EXTENSION_DIR']),
        environment=emulator.managed_identity_environment,
    )
    emulator.token_endpoints.resource_ids.add(identifier)
    machine.result('login', '--identity', option, identifier)
    emulator.service.trouble.when(lambda request: True, trouble.status(401))
    try:
        done = machine.az(*CHECK, *FAILED_COMMAND)
    finally:
        emulator.service.trouble.clear()
    assert done.stdout == f'az login --identity {option} {identifier}\n', done.stderr
