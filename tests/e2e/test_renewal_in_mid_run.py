"""A token that is good no longer in the middle of a run: renewed where that is possible, else the end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.logins import LOGINS, SignIn
from tests.e2e.machine import TIMEOUT_SECONDS
from tests.e2e.processes import Az, changefeed, sequences, truth, wait_until
from tests.emulator import trouble
from tests.emulator.cloud import Emulator
from tests.emulator.dicom import DicomService
from tests.emulator.identities import READER_USER
from tests.emulator.sample import sample_feed
from tests.emulator.trouble import Request

EVENTS = 1_000
REQUESTS_BEFORE = 4  # those that the first token is good for
FOLLOW = ('--follow', '--after-sequence', '0', '--poll-interval', '1s')
kinds = pytest.mark.parametrize('kind', ['secret', 'user'])


@pytest.fixture(scope='module')
def emulator() -> Iterator[Emulator]:
    """A cloud of this file's own: sign-ins are lost here for good."""
    with Emulator() as running:
        running.service.store.load(sample_feed(EVENTS, metadata=False))
        yield running


@pytest.fixture
def service(emulator: Emulator) -> Iterator[DicomService]:
    roles = dict(emulator.service.role_assignments)
    emulator.journal.clear()
    yield emulator.service
    emulator.service.trouble.clear()
    emulator.service.role_assignments.update(roles)


@pytest.fixture
def logins_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every test signs in anew."""
    return tmp_path_factory.mktemp('logins')


@kinds
def test_token_that_expires_is_renewed(kind: str, sign_in: SignIn, emulator: Emulator, service: DicomService) -> None:
    sent: list[str] = []

    def has_expired(request: Request) -> bool:
        sent.append(request.headers['authorization'])
        return len(sent) > REQUESTS_BEFORE and sent[-1] == sent[0]

    service.trouble.when(has_expired, trouble.expired_token())
    with changefeed(sign_in(kind), service, '--stream', '--concurrency', '2') as az:
        assert_complete(az, service)
    assert len(set(sent)) == 2
    assert 1 <= statuses(emulator).count(401) <= 2  # both workers may meet it


@kinds
def test_claims_challenge_is_answered(kind: str, sign_in: SignIn, emulator: Emulator, service: DicomService) -> None:
    turn = count(1)

    def revoke(_request: Request) -> bool:
        if next(turn) == REQUESTS_BEFORE + 1:
            emulator.entra.revoke(LOGINS[kind].principal)
        return False

    service.trouble.when(revoke, trouble.cut())
    with changefeed(sign_in(kind), service, '--stream', '--concurrency', '2') as az:
        assert_complete(az, service)
    challenged = [request for request in emulator.journal.token_requests if 'nbf' in request['claims']]
    assert len(challenged) == 1
    assert 1 <= statuses(emulator).count(401) <= 2  # both workers may meet it


@pytest.mark.parametrize(
    ('kind', 'advice'), [('secret', 'az role assignment create'), ('user', 'az login')], ids=['role', 'sign-in']
)
def test_what_is_lost_for_good_ends_following(
    kind: str, advice: str, sign_in: SignIn, emulator: Emulator, service: DicomService
) -> None:
    machine = sign_in(kind)
    output = machine.folder / 'stdout'
    with output.open('w') as stdout, changefeed(machine, service, *FOLLOW, stdout=stdout) as az:
        wait_until(lambda: output.stat().st_size)
        if kind == 'user':
            emulator.entra.revoke_refresh_tokens(READER_USER)
            emulator.entra.revoke(READER_USER)
        else:
            service.revoke(LOGINS[kind].object_id)
        _, stderr = az.communicate(timeout=TIMEOUT_SECONDS)
    assert az.returncode == 1
    assert advice in stderr and 'Traceback' not in stderr
    text = output.read_text()
    assert text.endswith('\n') and sequences(text) == truth(service)[: text.count('\n')]


def test_throttled_following_ends_at_a_signal(sign_in: SignIn, service: DicomService) -> None:
    service.trouble.when(lambda request: True, trouble.throttled(retry_after=3_600))
    with changefeed(sign_in('secret'), service, *FOLLOW) as az:
        assert az.stderr is not None and 'status 429' in az.stderr.readline()
        az.send_signal(signal.SIGTERM)
        assert az.wait(TIMEOUT_SECONDS) == 0


def assert_complete(az: Az, service: DicomService) -> None:
    stdout, stderr = az.communicate(timeout=TIMEOUT_SECONDS)
    assert (az.returncode, stderr) == (0, '')
    assert sequences(stdout) == truth(service)


def statuses(emulator: Emulator) -> list[int]:
    """Those of the answers of the feed."""
    return [request.status for request in emulator.journal.requests if 'changefeed' in request.path]
