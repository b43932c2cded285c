"""Tokens from each kind of login, taken by the real az from the emulated Entra ID."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from azext_dicomtoken._claims import decode_unverified
from tests.az.conftest import EXTENSIONS
from tests.e2e.logins import LOGINS, SignIn, dicom_in_cloud_shell
from tests.e2e.machine import Machine
from tests.emulator.cloud import Emulator
from tests.emulator.entra import DICOM_AUDIENCE
from tests.emulator.identities import (
    FOREIGN_TENANT,
    HOME_TENANT,
    READER_APPLICATION,
    READER_USER,
    RESEARCH_SUBSCRIPTION,
    Tenant,
)

pytestmark = pytest.mark.usefixtures('az_process')

ISSUE = ('dicom', 'token', 'issue')


def claims(machine: Machine, *options: str) -> dict[str, Any]:
    return decode_unverified(machine.result(*ISSUE, *options)['accessToken'])


@pytest.fixture(scope='module')
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.mark.parametrize('kind', ['secret', 'certificate', 'federated', 'user'])
def test_token_comes_from_the_cache_until_a_new_one_is_asked_for(kind: str, sign_in: SignIn) -> None:
    machine = sign_in(kind)
    first, second = claims(machine), claims(machine)
    assert first['uti'] == second['uti'] and first['aud'] == DICOM_AUDIENCE
    forced = claims(machine, '--force-refresh')
    longer = claims(machine, '--min-validity', '2h')
    assert len({first['uti'], forced['uti'], longer['uti']}) == 3
    assert claims(machine)['uti'] == longer['uti']  # az's cache holds what came last


@pytest.mark.parametrize('kind', ['secret', 'user'])
@pytest.mark.parametrize('renewal', [(), ('--force-refresh',)], ids=['cached', 'forced'])
@pytest.mark.parametrize('tenant', [HOME_TENANT, FOREIGN_TENANT], ids=['home', 'foreign'])
def test_tenant_is_the_one_that_was_asked_for(
    kind: str, tenant: Tenant, renewal: tuple[str, ...], sign_in: SignIn
) -> None:
    machine = sign_in(kind)
    result = machine.result(*ISSUE, '--tenant', tenant.id, *renewal)
    assert decode_unverified(result['accessToken'])['tid'] == result['tenant'] == tenant.id
    assert 'subscription' not in result


def test_result_differs_from_core_only_by_more_keys(sign_in: SignIn) -> None:
    machine = sign_in('secret')
    for options in ((), ('--tenant', FOREIGN_TENANT.id), ('--subscription', RESEARCH_SUBSCRIPTION.id)):
        ours = machine.result(*ISSUE, *options)
        core = machine.result('account', 'get-access-token', '--resource', DICOM_AUDIENCE, *options)
        assert set(ours) - set(core) == {'resource', 'expiresOnUtc', 'expiresIn'} and set(core) <= set(ours)
        assert ours['expires_on'] == pytest.approx(core['expires_on'], abs=3)
        assert len(ours.pop('expiresOn')) == len(core.pop('expiresOn'))
        del core['expires_on']
        assert {key: ours[key] for key in core} == core


def test_forced_subscription_is_the_one_that_was_asked_for(sign_in: SignIn) -> None:
    machine = sign_in('secret')
    for name in (RESEARCH_SUBSCRIPTION.id, RESEARCH_SUBSCRIPTION.name):
        result = machine.result(*ISSUE, '--force-refresh', '--subscription', name)
        assert result['subscription'] == RESEARCH_SUBSCRIPTION.id


def test_short_lived_token_is_warned_of(sign_in: SignIn) -> None:
    machine = sign_in('secret')
    done = machine.az(*ISSUE, '--min-validity', '3h', '--query', 'tokenType')
    assert done.returncode == 0 and 'Even a new token lasts only' in done.stderr


def test_logout_leaves_nothing(sign_in: SignIn, tmp_path: Path) -> None:
    machine = sign_in('secret')
    token = machine.result(*ISSUE)['accessToken']
    machine.az('logout')
    assert machine.az(*ISSUE).returncode == 1
    files = [path for path in (tmp_path / 'azure').rglob('*') if path.is_file()]
    assert [path.name for path in files if token.encode() in path.read_bytes()] == []


@pytest.mark.parametrize('kind', ['user', 'secret', 'managed-identity'])
def test_object_id_is_told_for_every_kind_of_login(kind: str, sign_in: SignIn) -> None:
    done = sign_in(kind).az('dicom', 'token', 'show-claims', '--query', 'objectId', '-o', 'tsv')
    assert done.stdout.strip() == LOGINS[kind].object_id


def test_managed_identity_always_asks_its_endpoint(sign_in: SignIn) -> None:
    machine = sign_in('managed-identity')
    assert len({claims(machine)['uti'], claims(machine, '--force-refresh')['uti']}) == 2
    for renewal in ((), ('--force-refresh',)):
        refused = machine.az(*ISSUE, '--tenant', FOREIGN_TENANT.id, *renewal)
        assert refused.returncode == 1 and 'non-current tenants is not supported' in refused.stderr


def test_cloud_shell_that_refuses_the_audience_names_the_way_out(sign_in: SignIn) -> None:
    machine = sign_in('cloud-shell')
    for renewal in ((), ('--force-refresh',)):
        refused = machine.az(*ISSUE, *renewal)
        assert refused.returncode == 1
        assert 'ERROR: The token broker of Cloud Shell does not issue tokens for' in refused.stderr
        assert refused.stderr.endswith('\naz login\n') and 'az logout' not in refused.stderr


def test_revoked_sign_in_says_what_core_says(sign_in: SignIn, emulator: Emulator, logins_folder: Path) -> None:
    machine = sign_in('user')
    emulator.entra.revoke_refresh_tokens(READER_USER)
    shutil.rmtree(logins_folder / 'user')  # no more use to other tests
    refused = machine.az(*ISSUE)
    assert refused.returncode == 1 and 'AADSTS50173' in refused.stderr and 'az login' in refused.stderr


CLAIMS_SCRIPT = """
import json, sys, threading
from azure.cli.core import get_default_cli
from azext_dicomtoken._invocation import Invocation
from azext_dicomtoken._login import Login
login = Login(Invocation(get_default_cli()), audience=sys.argv[1], tenant=sys.argv[2] or None)
challenge = json.dumps({"access_token": {"nbf": {"essential": True, "value": "1"}}})
tokens = [login.get_token().token, login.get_token(claims=challenge).token, login.get_token(force_refresh=True).token]
assert tokens[0] not in repr(login.get_token())
print(json.dumps(tokens))
"""


@pytest.mark.parametrize('kind', ['secret', 'user'])
@pytest.mark.parametrize('tenant', ['', FOREIGN_TENANT.id], ids=['home', 'foreign'])
def test_claims_of_a_challenge_reach_the_token_endpoint(
    kind: str, tenant: str, sign_in: SignIn, emulator: Emulator
) -> None:
    machine = sign_in(kind)
    emulator.journal.clear()
    (machine.folder / 'claims.py').write_text(CLAIMS_SCRIPT, 'utf-8')
    done = machine.shell(f'PYTHONPATH=$AZURE_EXTENSION_DIR/dicomtoken python claims.py {DICOM_AUDIENCE} "{tenant}"')
    tokens = [decode_unverified(token) for token in json.loads(done.stdout)]
    assert len({token['uti'] for token in tokens}) == 3
    assert {token['tid'] for token in tokens} == {tenant or HOME_TENANT.id}
    assert ['nbf' in request['claims'] for request in emulator.journal.token_requests] == [False, True, False]


def test_arm_says_url_and_audience(sign_in: SignIn, emulator: Emulator) -> None:
    machine = sign_in('secret')
    names = ('--workspace-name', 'contoso', '--dicom-service-name', 'imaging')
    resource = emulator.arm.dicom_service('contoso', 'imaging')
    kept = resource.audiences, resource.service_url
    try:
        assert machine.result(*ISSUE, *names, '-g', 'imaging')['resource'] == DICOM_AUDIENCE
        resource.audiences = [DICOM_AUDIENCE + '/']
        assert claims(machine, *names, '-g', 'imaging')['aud'] == DICOM_AUDIENCE + '/'
        resource.service_url = 'https://evil.example'
        assert 'not a DICOM service of the active cloud' in machine.az(*ISSUE, *names, '-g', 'imaging').stderr
    finally:
        resource.audiences, resource.service_url = kept
    assert machine.az(*ISSUE, *names, '-g', 'elsewhere').returncode == 3


def test_arm_says_the_audience_of_a_cloud_where_it_is_not_documented(emulator: Emulator, tmp_path: Path) -> None:
    suffix, audience = 'dicom.azurehealthcareapis.us', 'https://dicom.government.example'
    emulator.add_service('fort', 'imaging', suffix=suffix, audience=audience)
    machine = Machine(
        tmp_path, extensions=EXTENSIONS, environment={**emulator.environment, 'AZURE_CLOUD_NAME': 'AzureUSGovernment'}
    )
    machine.result(*LOGINS['secret'].arguments(emulator, tmp_path))
    names = ('--workspace-name', 'fort', '--dicom-service-name', 'imaging')
    assert 'is not known' in machine.az(*ISSUE, *names).stderr
    assert claims(machine, *names, '--resource-group', 'imaging')['aud'] == audience
    assert claims(machine, '--resource', audience)['aud'] == audience


@pytest.fixture
def helpful_broker(emulator: Emulator) -> Iterator[None]:
    with dicom_in_cloud_shell(emulator):
        yield


@pytest.mark.usefixtures('helpful_broker')
def test_cloud_shell_issues_where_the_audience_is_on_its_list(sign_in: SignIn) -> None:
    machine = sign_in('cloud-shell')
    assert claims(machine)['upn'] == claims(machine, '--force-refresh')['upn'] == READER_USER.username


@pytest.mark.usefixtures('helpful_broker')
@pytest.mark.parametrize('kind', ['secret', 'user', 'cloud-shell'])
def test_debug_log_holds_neither_token_nor_secret(kind: str, sign_in: SignIn) -> None:
    done = sign_in(kind).az(*ISSUE, '--force-refresh', '--debug')
    token = json.loads(done.stdout)['accessToken']
    secrets = [*token.split('.')[1:], str(READER_APPLICATION.secret)]
    assert [secret for secret in secrets if secret in done.stderr] == [] and len(done.stderr) > 1000
