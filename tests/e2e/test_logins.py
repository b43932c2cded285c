"""From sign-in to sign-out with each kind of login: a token, whom it speaks for, the feed, and then nothing."""

from __future__ import annotations

import pytest

from tests.e2e.logins import LOGINS, SignIn
from tests.e2e.machine import Machine
from tests.emulator.cloud import Emulator
from tests.emulator.entra import DICOM_AUDIENCE
from tests.emulator.identities import IMAGING_SUBSCRIPTION, RESEARCH_SUBSCRIPTION

ISSUE = ('dicom', 'token', 'issue')
SHOW_CLAIMS = ('dicom', 'token', 'show-claims')
SIGN_IN_FIRST = "ERROR: Please run 'az login' to setup account.\n"
readers = pytest.mark.parametrize('kind', [kind for kind in LOGINS if kind != 'without-a-role'])


def changefeed(emulator: Emulator) -> tuple[str, ...]:
    return 'dicom', 'changefeed', '--service-url', emulator.service_url


def sequences(machine: Machine, *command: str) -> list[int]:
    return [event['sequence'] for event in machine.result(*command)]


@readers
@pytest.mark.usefixtures('helpful_broker')
def test_login_serves_every_command_until_logout(kind: str, sign_in: SignIn, emulator: Emulator) -> None:
    machine = sign_in(kind)
    issued, claims = machine.result(*ISSUE), machine.result(*SHOW_CLAIMS)
    assert emulator.entra.verify(issued['accessToken'], audiences=[DICOM_AUDIENCE])['oid'] == LOGINS[kind].object_id
    assert (claims['objectId'], claims['audienceMatches']) == (LOGINS[kind].object_id, True)
    assert sequences(machine, *changefeed(emulator)) == [event.sequence for event in emulator.service.store.events()]
    assert machine.az('logout').returncode == 0
    for command in (ISSUE, SHOW_CLAIMS, changefeed(emulator)):
        refused = machine.az(*command)
        assert (refused.returncode, refused.stdout, refused.stderr) == (1, '', SIGN_IN_FIRST)


@pytest.mark.usefixtures('helpful_broker')
@pytest.mark.parametrize('kind', ['managed-identity', 'cloud-shell'])
def test_account_clear_ends_a_login_that_has_no_cache(kind: str, sign_in: SignIn) -> None:
    machine = sign_in(kind)
    assert machine.az('account', 'clear').returncode == 0
    assert machine.az(*ISSUE).stderr == SIGN_IN_FIRST


def test_cloud_shell_that_refuses_is_fixed_by_the_command_it_names(sign_in: SignIn, emulator: Emulator) -> None:
    machine = sign_in('cloud-shell')
    for command in (ISSUE, changefeed(emulator)):
        refused = machine.az(*command)
        assert (refused.returncode, refused.stdout) == (1, '') and 'Traceback' not in refused.stderr
        assert refused.stderr.endswith('\naz login\n')
    assert machine.az('login').returncode == 0  # inside Cloud Shell az takes the device code by itself
    assert machine.result(*SHOW_CLAIMS)['objectId'] == LOGINS['user'].object_id
    assert len(sequences(machine, *changefeed(emulator))) > 1


def test_login_without_a_role_has_a_token_but_no_feed(sign_in: SignIn, emulator: Emulator) -> None:
    machine = sign_in('without-a-role')
    assert machine.result(*SHOW_CLAIMS)['objectId'] == LOGINS['without-a-role'].object_id
    refused = machine.az(*changefeed(emulator))
    assert (refused.returncode, refused.stdout) == (1, '')
    assert 'az role assignment create' in refused.stderr and 'Traceback' not in refused.stderr


@pytest.mark.parametrize('kind', ['secret', 'user'])
def test_subscription_chooses_the_account(kind: str, sign_in: SignIn) -> None:
    machine = sign_in(kind)
    for subscription in (IMAGING_SUBSCRIPTION, RESEARCH_SUBSCRIPTION):
        result = machine.result(*ISSUE, '--subscription', subscription.name)
        assert (result['subscription'], result['tenant']) == (subscription.id, subscription.tenant.id)
    refused = machine.az(*ISSUE, '--subscription', 'nobody')
    assert refused.returncode == 1 and "'nobody'" in refused.stderr


def test_feed_is_a_table_for_the_eye(sign_in: SignIn, emulator: Emulator) -> None:
    done = sign_in('secret').az(*changefeed(emulator), '--tail', '3', '-o', 'table')
    header, _, *rows = done.stdout.splitlines()
    assert header.split() == ['Sequence', 'Timestamp', 'Action', 'State', 'Study', 'Instance']
    newest = [str(event.sequence) for event in emulator.service.store.events()[-3:]]
    assert [row.split()[0] for row in rows] == newest
