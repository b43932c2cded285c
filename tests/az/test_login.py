"""Tokens from each kind of login, taken by the real az from the emulated Entra ID."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from azext_dicomtoken._claims import decode_unverified
from tests.emulator.certificates import self_signed_certificate
from tests.emulator.cloud import Emulator
from tests.emulator.entra import DICOM_AUDIENCE
from tests.emulator.identities import (
    FOREIGN_TENANT, HOME_TENANT, MANAGED_IDENTITY, READER_APPLICATION, READER_USER, RESEARCH_SUBSCRIPTION, Principal,
    Tenant)

pytestmark = pytest.mark.usefixtures('az_process')

ISSUE = ('dicom', 'token', 'issue')
LOGIN = ('login', '--service-principal', '--username', READER_APPLICATION.client_id, '--tenant', HOME_TENANT.id)


class Shell:
    """A machine with az on it: one configuration folder and one environment."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._environment = {**os.environ, **environment, 'AZURE_CONFIG_DIR': str(folder / 'azure')}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.python('-m', 'azure.cli', *arguments)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *arguments], env=self._environment, capture_output=True, text=True,
                              timeout=60, check=False)

    def result(self, *arguments: str) -> Any:
        done = self.run(*arguments, '-o', 'json')
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def claims(self, *arguments: str) -> dict[str, Any]:
        return decode_unverified(self.result(*ISSUE, *arguments)['accessToken'])


@pytest.fixture(scope='module')
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


def secret_arguments(_emulator: Emulator, _folder: Path) -> tuple[str, ...]:
    return *LOGIN, '--password', str(READER_APPLICATION.secret)


def certificate_arguments(emulator: Emulator, folder: Path) -> tuple[str, ...]:
    pem, certificate = self_signed_certificate('feed-reader')
    emulator.entra.client_credentials.register_certificate(READER_APPLICATION, certificate)
    (folder / 'reader.pem').write_bytes(pem)
    return *LOGIN, '--certificate', str(folder / 'reader.pem')


def federated_arguments(emulator: Emulator, _folder: Path) -> tuple[str, ...]:
    token = emulator.entra.client_credentials.federate(READER_APPLICATION, 'repo:contoso/imaging')
    return *LOGIN, '--federated-token', token


def user_arguments(_emulator: Emulator, _folder: Path) -> tuple[str, ...]:
    return 'login', '--use-device-code'


def identity_arguments(_emulator: Emulator, _folder: Path) -> tuple[str, ...]:
    return 'login', '--identity'


KINDS = {'secret': secret_arguments, 'certificate': certificate_arguments, 'federated': federated_arguments,
         'user': user_arguments, 'managed identity': identity_arguments, 'cloud shell': identity_arguments}
SignIn = Callable[[str], Shell]


@pytest.fixture(scope='module')
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('logins')


@pytest.fixture
def sign_in(emulator: Emulator, base_folder: Path, tmp_path: Path) -> SignIn:
    """A machine that is signed in; each kind signs in once, and every test has a copy."""
    environments = {'managed identity': emulator.managed_identity_environment,
                    'cloud shell': emulator.cloud_shell_environment}

    def run(kind: str) -> Shell:
        environment = environments.get(kind, emulator.environment)
        folder = base_folder / kind
        if not folder.exists():
            folder.mkdir()
            Shell(folder, environment).result(*KINDS[kind](emulator, folder))
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
        return Shell(tmp_path, environment)
    return run


@pytest.mark.parametrize('kind', ['secret', 'certificate', 'federated', 'user'])
def test_token_comes_from_the_cache_until_a_new_one_is_asked_for(kind: str, sign_in: SignIn) -> None:
    shell = sign_in(kind)
    first, second = shell.claims(), shell.claims()
    assert first['uti'] == second['uti'] and first['aud'] == DICOM_AUDIENCE
    forced = shell.claims('--force-refresh')
    longer = shell.claims('--min-validity', '2h')
    assert len({first['uti'], forced['uti'], longer['uti']}) == 3
    assert shell.claims()['uti'] == longer['uti']       # az's cache holds what came last


@pytest.mark.parametrize('kind', ['secret', 'user'])
@pytest.mark.parametrize('renewal', [(), ('--force-refresh',)], ids=['cached', 'forced'])
@pytest.mark.parametrize('tenant', [HOME_TENANT, FOREIGN_TENANT], ids=['home', 'foreign'])
def test_tenant_is_the_one_that_was_asked_for(
        kind: str, tenant: Tenant, renewal: tuple[str, ...], sign_in: SignIn) -> None:
    shell = sign_in(kind)
    result = shell.result(*ISSUE, '--tenant', tenant.id, *renewal)
    assert decode_unverified(result['accessToken'])['tid'] == result['tenant'] == tenant.id
    assert 'subscription' not in result


def test_result_differs_from_core_only_by_more_keys(sign_in: SignIn) -> None:
    shell = sign_in('secret')
    for options in ((), ('--tenant', FOREIGN_TENANT.id), ('--subscription', RESEARCH_SUBSCRIPTION.id)):
        ours = shell.result(*ISSUE, *options)
        core = shell.result('account', 'get-access-token', '--resource', DICOM_AUDIENCE, *options)
        assert set(ours) - set(core) == {'resource', 'expiresOnUtc', 'expiresIn'} and set(core) <= set(ours)
        assert ours['expires_on'] == pytest.approx(core['expires_on'], abs=3)
        assert len(ours.pop('expiresOn')) == len(core.pop('expiresOn'))
        del core['expires_on']
        assert {key: ours[key] for key in core} == core


def test_forced_subscription_is_the_one_that_was_asked_for(sign_in: SignIn) -> None:
    shell = sign_in('secret')
    for name in (RESEARCH_SUBSCRIPTION.id, RESEARCH_SUBSCRIPTION.name):
        result = shell.result(*ISSUE, '--force-refresh', '--subscription', name)
        assert result['subscription'] == RESEARCH_SUBSCRIPTION.id


def test_short_lived_token_is_warned_of(sign_in: SignIn) -> None:
    shell = sign_in('secret')
    done = shell.run(*ISSUE, '--min-validity', '3h', '--query', 'tokenType')
    assert done.returncode == 0 and 'Even a new token lasts only' in done.stderr


def test_logout_leaves_nothing(sign_in: SignIn, tmp_path: Path) -> None:
    shell = sign_in('secret')
    token = shell.result(*ISSUE)['accessToken']
    shell.run('logout')
    assert shell.run(*ISSUE).returncode == 1
    files = [path for path in (tmp_path / 'azure').rglob('*') if path.is_file()]
    assert [path.name for path in files if token.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(('kind', 'principal'), [
    ('user', READER_USER), ('secret', READER_APPLICATION), ('managed identity', MANAGED_IDENTITY)])
def test_object_id_is_told_for_every_kind_of_login(kind: str, principal: Principal, sign_in: SignIn) -> None:
    done = sign_in(kind).run('dicom', 'token', 'show-claims', '--query', 'objectId', '-o', 'tsv')
    assert done.stdout.strip() == principal.object_ids[HOME_TENANT.id]


def test_managed_identity_always_asks_its_endpoint(sign_in: SignIn) -> None:
    shell = sign_in('managed identity')
    assert len({shell.claims()['uti'], shell.claims('--force-refresh')['uti']}) == 2
    for renewal in ((), ('--force-refresh',)):
        refused = shell.run(*ISSUE, '--tenant', FOREIGN_TENANT.id, *renewal)
        assert refused.returncode == 1 and 'non-current tenants is not supported' in refused.stderr


def test_cloud_shell_that_refuses_the_audience_names_the_way_out(sign_in: SignIn) -> None:
    shell = sign_in('cloud shell')
    for renewal in ((), ('--force-refresh',)):
        refused = shell.run(*ISSUE, *renewal)
        assert refused.returncode == 1
        assert 'ERROR: The token broker of Cloud Shell does not issue tokens for' in refused.stderr
        assert refused.stderr.endswith('\naz login\n') and 'az logout' not in refused.stderr


def test_revoked_sign_in_says_what_core_says(sign_in: SignIn, emulator: Emulator, base_folder: Path) -> None:
    shell = sign_in('user')
    emulator.entra.revoke_refresh_tokens(READER_USER)
    shutil.rmtree(base_folder / 'user')     # no more use to other tests
    refused = shell.run(*ISSUE)
    assert refused.returncode == 1 and 'AADSTS50173' in refused.stderr and 'az login' in refused.stderr


def test_unreachable_sign_in_is_one_sentence(sign_in: SignIn, emulator: Emulator, tmp_path: Path) -> None:
    sign_in('secret')
    nowhere = dict.fromkeys(('HTTPS_PROXY', 'https_proxy'), 'http://127.0.0.1:1')
    shell = Shell(tmp_path, {**emulator.environment, **nowhere})
    refused = shell.run(*ISSUE, '--force-refresh')
    assert refused.returncode == 1 and 'Traceback' not in refused.stderr
    assert 'The sign-in service could not be reached.' in refused.stderr


CLAIMS_SCRIPT = '''
import json, sys, threading
from azure.cli.core import get_default_cli
from azext_dicomtoken._login import Login
login = Login(get_default_cli(), audience=sys.argv[1], tenant=sys.argv[2] or None)
challenge = json.dumps({"access_token": {"nbf": {"essential": True, "value": "1"}}})
tokens = [login.get_token().token, login.get_token(claims=challenge).token, login.get_token(force_refresh=True).token]
assert tokens[0] not in repr(login.get_token())
print(json.dumps(tokens))
'''


@pytest.mark.parametrize('kind', ['secret', 'user'])
@pytest.mark.parametrize('tenant', ['', FOREIGN_TENANT.id], ids=['home', 'foreign'])
def test_claims_of_a_challenge_reach_the_token_endpoint(
        kind: str, tenant: str, sign_in: SignIn, emulator: Emulator) -> None:
    shell = sign_in(kind)
    emulator.journal.clear()
    done = shell.python('-c', CLAIMS_SCRIPT, DICOM_AUDIENCE, tenant)
    tokens = [decode_unverified(token) for token in json.loads(done.stdout)]
    assert len({claims['uti'] for claims in tokens}) == 3
    assert {claims['tid'] for claims in tokens} == {tenant or HOME_TENANT.id}
    assert ['nbf' in request['claims'] for request in emulator.journal.token_requests] == [False, True, False]


def test_arm_says_url_and_audience(sign_in: SignIn, emulator: Emulator) -> None:
    shell = sign_in('secret')
    names = ('--workspace-name', 'contoso', '--dicom-service-name', 'imaging')
    resource = emulator.arm.dicom_service('contoso', 'imaging')
    kept = resource.audiences, resource.service_url
    try:
        assert shell.result(*ISSUE, *names, '-g', 'imaging')['resource'] == DICOM_AUDIENCE
        resource.audiences = [DICOM_AUDIENCE + '/']
        assert shell.claims(*names, '-g', 'imaging')['aud'] == DICOM_AUDIENCE + '/'
        resource.service_url = 'https://evil.example'
        assert 'no DICOM service of the active cloud' in shell.run(*ISSUE, *names, '-g', 'imaging').stderr
    finally:
        resource.audiences, resource.service_url = kept
    assert shell.run(*ISSUE, *names, '-g', 'elsewhere').returncode == 3


def test_arm_says_the_audience_of_a_cloud_where_it_is_not_documented(emulator: Emulator, tmp_path: Path) -> None:
    suffix, audience = 'dicom.azurehealthcareapis.us', 'https://dicom.government.example'
    emulator.add_service('fort', 'imaging', suffix=suffix, audience=audience)
    shell = Shell(tmp_path, {**emulator.environment, 'AZURE_CLOUD_NAME': 'AzureUSGovernment'})
    shell.result(*secret_arguments(emulator, tmp_path))
    names = ('--workspace-name', 'fort', '--dicom-service-name', 'imaging')
    assert 'is not known' in shell.run(*ISSUE, *names).stderr
    assert shell.claims(*names, '--resource-group', 'imaging')['aud'] == audience
    assert shell.claims('--resource', audience)['aud'] == audience


@pytest.fixture
def dicom_in_cloud_shell(emulator: Emulator) -> Iterator[None]:
    emulator.token_endpoints.cloud_shell_audiences.add(DICOM_AUDIENCE)
    yield
    emulator.token_endpoints.cloud_shell_audiences.discard(DICOM_AUDIENCE)


@pytest.mark.usefixtures('dicom_in_cloud_shell')
def test_cloud_shell_issues_where_the_audience_is_on_its_list(sign_in: SignIn) -> None:
    shell = sign_in('cloud shell')
    assert shell.claims()['upn'] == shell.claims('--force-refresh')['upn'] == READER_USER.username


@pytest.mark.usefixtures('dicom_in_cloud_shell')
@pytest.mark.parametrize('kind', ['secret', 'user', 'cloud shell'])
def test_debug_log_holds_neither_token_nor_secret(kind: str, sign_in: SignIn) -> None:
    done = sign_in(kind).run(*ISSUE, '--force-refresh', '--debug')
    token = json.loads(done.stdout)['accessToken']
    secrets = [*token.split('.')[1:], str(READER_APPLICATION.secret)]
    assert [secret for secret in secrets if secret in done.stderr] == [] and len(done.stderr) > 1000
