"""`az dicom check-access` as the real az runs it: its exit code beside a result, and logins that only az can make."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.logins import LOGINS, SignIn
from tests.emulator.cloud import Emulator
from tests.emulator.identities import HOME_TENANT

CHECK = ('dicom', 'check-access')
NAMES = ('--workspace-name', 'contoso', '--dicom-service-name', 'imaging')
FAILED_COMMAND = ('--query', "[?verdict=='failed'].command", '-o', 'tsv')


@pytest.mark.parametrize('kind', ['secret', 'user', 'managed-identity'])
def test_login_that_may_read_passes_every_step(kind: str, sign_in: SignIn, emulator: Emulator) -> None:
    done = sign_in(kind).az(*CHECK, '--service-url', emulator.service_url, '-o', 'table')
    assert (done.returncode, done.stderr) == (0, '')
    assert [line.split()[1] for line in done.stdout.splitlines()[2:]] == ['passed'] * 7
    assert LOGINS[kind].object_id in done.stdout and done.stdout.count(HOME_TENANT.id) == 1


def test_missing_role_is_a_command_with_nothing_to_fill_in(sign_in: SignIn, emulator: Emulator) -> None:
    machine = sign_in('without-a-role')
    command = (
        'az role assignment create --assignee-object-id {} --assignee-principal-type ServicePrincipal '
        '--role "DICOM Data Reader" --scope {}'
    ).format(LOGINS['without-a-role'].object_id, emulator.arm.dicom_service('contoso', 'imaging').id)
    checked = machine.az(*CHECK, *NAMES, '-g', 'imaging', *FAILED_COMMAND)
    assert (checked.returncode, checked.stdout) == (1, command + '\n')
    read = machine.az('dicom', 'changefeed', *NAMES, '-g', 'imaging')
    assert (read.returncode, read.stdout) == (1, '') and f'\n{command}\n' in read.stderr


def test_command_for_a_missing_role_fixes_it(sign_in: SignIn, emulator: Emulator, tmp_path: Path) -> None:
    caller = sign_in('without-a-role')
    administrator = replace(sign_in, folder=tmp_path / 'administrator')('user')
    emulator.add_service('contoso', 'fixed')
    check = (*CHECK, '--workspace-name', 'contoso', '--dicom-service-name', 'fixed', '-g', 'imaging')
    administrator.shell(caller.az(*check, *FAILED_COMMAND).stdout).check_returncode()
    assert caller.az(*check).returncode == 0


def test_failure_ends_with_1_whatever_is_printed(sign_in: SignIn) -> None:
    machine = sign_in('without-a-role')
    for options in (('-o', 'none'), ('-o', 'table'), ('--query', 'length(@)'), ('--only-show-errors',)):
        done = machine.az(*CHECK, *NAMES, *options)
        assert done.returncode == 1 and 'ERROR: The service answered with status 403.' in done.stderr
        assert 'Traceback' not in done.stderr


def test_broker_of_cloud_shell_that_refuses(sign_in: SignIn) -> None:
    done = sign_in('cloud-shell').az(*CHECK, *NAMES, *FAILED_COMMAND)
    assert (done.returncode, done.stdout) == (1, 'az login\n')


def test_audience_that_the_tenant_does_not_know(sign_in: SignIn) -> None:
    done = sign_in('secret').az(*CHECK, *NAMES, '--resource', 'https://nobodys.example')
    row = next(row for row in json.loads(done.stdout) if row['verdict'] == 'failed')
    assert row['step'] == 'token' and row['detail'].startswith('AADSTS500011')
    assert 'misspelled (--resource)' in row['meaning'] and 'az logout' not in done.stderr


def test_signed_out(sign_in: SignIn) -> None:
    machine = sign_in('secret')
    machine.az('logout')
    done = machine.az(*CHECK, *NAMES, *FAILED_COMMAND)
    assert (done.returncode, done.stdout) == (1, 'az login\n')
