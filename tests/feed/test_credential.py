"""When a token is asked for, and when a new one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from dicomfeed.credential import RENEWAL_SECONDS, Credential
from dicomfeed.errors import SignInUnavailable
from dicomfeed.times import epoch_seconds
from tests.feed.world import World


@dataclass(frozen=True)
class Issued:
    token: str = field(repr=False)
    expires_on: float


class Issuer:
    """Issues numbered tokens that last a while, and notes how each was asked for."""

    def __init__(self, world: World, *, lifetime_seconds: float = 3_600.0) -> None:
        self.asked: list[tuple[str | None, bool]] = []
        self._world = world
        self._lifetime_seconds = lifetime_seconds

    def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> Issued:
        self.asked.append((claims, force_refresh))
        return Issued(f'token {len(self.asked)}', epoch_seconds(self._world.clock.now()) + self._lifetime_seconds)


@pytest.fixture
def world() -> World:
    return World()


def test_token_is_kept_while_it_lasts(world: World) -> None:
    issuer = Issuer(world)
    credential = Credential(issuer, clock=world.clock)
    assert [credential.token() for _ in range(3)] == ['token 1'] * 3
    assert issuer.asked == [(None, False)]


@pytest.mark.parametrize(
    ('seconds', 'token'),
    [
        (3_600.0 - RENEWAL_SECONDS - 1.0, 'token 1'),
        (3_600.0 - RENEWAL_SECONDS + 1.0, 'token 2'),
    ],
    ids=['early enough', 'nearly expired'],
)
def test_token_is_renewed_before_it_expires(world: World, seconds: float, token: str) -> None:
    credential = Credential(Issuer(world), clock=world.clock)
    credential.token()
    world.pass_time(seconds)
    assert credential.token() == token


def test_source_of_short_tokens_is_not_asked_for_every_page(world: World) -> None:
    issuer = Issuer(world, lifetime_seconds=120.0)
    credential = Credential(issuer, clock=world.clock)
    for _ in range(60):
        credential.token()
        world.pass_time(1.0)
    assert len(issuer.asked) == 2


def test_token_that_lives_for_seconds_is_replaced_when_it_has_expired(world: World) -> None:
    issuer = Issuer(world, lifetime_seconds=10.0)
    credential = Credential(issuer, clock=world.clock)
    tokens = []
    for _ in range(60):
        tokens.append(credential.token())
        world.pass_time(1.0)
    assert tokens == [f'token {number}' for number in range(1, 7) for _ in range(10)]


def test_token_that_comes_expired_is_left_to_the_service(world: World) -> None:
    """The clock of this machine is an hour ahead."""
    issuer = Issuer(world, lifetime_seconds=-1.0)
    credential = Credential(issuer, clock=world.clock)
    for _ in range(60):
        credential.token()
        world.pass_time(1.0)
    assert len(issuer.asked) == 2


def test_renewal_takes_a_new_token_from_no_cache(world: World) -> None:
    issuer = Issuer(world)
    credential = Credential(issuer, clock=world.clock)
    credential.renew(credential.token(), claims='{"a":1}')
    assert credential.token() == 'token 2'
    assert issuer.asked == [(None, False), ('{"a":1}', True)]


def test_refused_token_is_renewed_once_for_all_workers(world: World) -> None:
    issuer = Issuer(world)
    credential = Credential(issuer, clock=world.clock)
    refused = credential.token()
    together = threading.Barrier(8)

    def renew(_: int) -> str:
        together.wait(timeout=10)
        credential.renew(refused)
        return credential.token()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(renew, range(8))) == {'token 2'}
    assert len(issuer.asked) == 2


def test_failure_of_the_source_passes_through_and_locks_nobody_out(world: World) -> None:
    class LostSignIn(Exception):
        pass

    class Source(Issuer):
        def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> Issued:
            token = super().get_token(claims=claims, force_refresh=force_refresh)
            if len(self.asked) == 1:
                raise LostSignIn
            return token

    credential = Credential(Source(world), clock=world.clock)
    with pytest.raises(LostSignIn):
        credential.token()
    assert credential.token() == 'token 2'


# The sign-in service in trouble


class Outage(Issuer):
    """An issuer that is out of reach from one time to another, on the world's clock."""

    def __init__(self, world: World, *, begin: float, end: float, lifetime_seconds: float = 3_600.0) -> None:
        super().__init__(world, lifetime_seconds=lifetime_seconds)
        self._between = (begin, end)

    def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> Issued:
        token = super().get_token(claims=claims, force_refresh=force_refresh)
        begin, end = self._between
        if begin <= self._world.elapsed < end:
            raise SignInUnavailable('The sign-in service cannot be reached.')
        return token


def test_n1_current_token_is_used_while_a_renewal_fails(world: World) -> None:
    issuer = Outage(world, begin=3_400.0, end=3_500.0)
    credential = Credential(issuer, clock=world.clock)
    credential.token()
    world.pass_time(3_400.0)
    tokens = []
    for _ in range(130):
        tokens.append(credential.token())
        world.pass_time(1.0)
    assert tokens[0] == 'token 1' and tokens[-1] != 'token 1'
    assert len(issuer.asked) == 6  # at 0, then every 30 s from 3,400 on until there is one


def test_n1_expired_token_is_not_used(world: World) -> None:
    credential = Credential(Outage(world, begin=1.0, end=4_000.0), clock=world.clock)
    credential.token()
    world.pass_time(3_700.0)
    for _ in range(3):  # each time it is asked again: who asks has a pause of his own
        with pytest.raises(SignInUnavailable):
            credential.token()
    world.pass_time(300.0)
    assert credential.token() == 'token 5'


def test_n1_renewal_of_a_refused_token_may_fail_for_a_while(world: World) -> None:
    credential = Credential(Outage(world, begin=10.0, end=20.0), clock=world.clock)
    refused = credential.token()
    world.pass_time(10.0)
    with pytest.raises(SignInUnavailable):
        credential.renew(refused)
    world.pass_time(10.0)
    credential.renew(refused)
    assert credential.token() == 'token 3'


def test_n1_workers_do_not_wait_behind_a_sign_in_that_hangs(world: World) -> None:
    hanging, go_on = threading.Event(), threading.Event()

    class Hanging(Issuer):
        def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> Issued:
            token = super().get_token(claims=claims, force_refresh=force_refresh)
            if len(self.asked) > 1:
                hanging.set()
                go_on.wait(timeout=30)
            return token

    credential = Credential(Hanging(world), clock=world.clock)
    credential.token()
    world.pass_time(3_400.0)
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(credential.token)
        assert hanging.wait(timeout=30)
        assert [credential.token() for _ in range(5)] == ['token 1'] * 5
        go_on.set()
        assert renewing.result(timeout=30) == 'token 2'


def test_refusal_at_an_early_renewal_passes_through(world: World) -> None:
    class Refused(Exception):
        pass

    class Source(Issuer):
        def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> Issued:
            token = super().get_token(claims=claims, force_refresh=force_refresh)
            if len(self.asked) > 1:
                raise Refused
            return token

    credential = Credential(Source(world), clock=world.clock)
    credential.token()
    world.pass_time(3_400.0)
    with pytest.raises(Refused):
        credential.token()
