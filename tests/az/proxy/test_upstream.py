"""Tokens, and how the service is reached."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass

import pytest
from urllib3.connection import HTTPSConnection

from azext_dicomtoken.proxy.upstream import NOT_REACHED, SIGN_IN_LOST, Tokens, Trouble, Upstream, connector
from azext_dicomtoken.proxy.wire import Failure, Limits
from dicomfeed.errors import HostUnreachable, SignInUnavailable
from dicomfeed.times import Clock, ticks_from_epoch
from dicomfeed.transport import HttpTransport
from tests.az.proxy.conftest import Proxy, Source, Start, Token, status_of
from tests.az.proxy.service import ScriptedService, Talk

START = 1_700_000_000.0


@dataclass
class Time:
    """A clock that stands until it is moved."""

    seconds: float = 0.0

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: ticks_from_epoch(START + self.seconds), monotonic=lambda: self.seconds)


class Issuer(Source):
    """Issues tokens that last an hour by the test's clock."""

    def __init__(self, time: Time) -> None:
        super().__init__()
        self._time = time

    def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> Token:
        super().get_token(claims=claims, force_refresh=force_refresh)
        return Token(f'token-{self.issued}', START + self._time.seconds + 3600)


def wants(token: str) -> object:
    def script(talk: Talk) -> None:
        talk.read_body()
        if talk.header('authorization') == f'Bearer {token}':
            talk.reply()
        else:
            talk.reply(b'{}', '401 Unauthorized', WWW_Authenticate='Bearer error="invalid_token"')

    return script


def test_refused_token_is_renewed_once_and_the_client_does_not_notice(proxy: Proxy, service: ScriptedService) -> None:
    service.script = wants('token-2')  # type: ignore[assignment]
    assert status_of(proxy.ask()) == 200
    assert (proxy.source.issued, proxy.source.forced, len(service.talks)) == (2, 1, 2)


def test_second_refusal_is_the_answer_and_renewals_are_a_minute_apart(proxy: Proxy, service: ScriptedService) -> None:
    service.script = wants('another')  # type: ignore[assignment]
    assert [status_of(proxy.ask()) for _ in range(5)] == [401] * 5
    assert proxy.source.forced == 1


def test_many_clients_share_one_renewal(proxy: Proxy, service: ScriptedService) -> None:
    service.script = wants('token-2')  # type: ignore[assignment]
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(status_of(proxy.ask()))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert statuses == [200] * 10 and proxy.source.forced == 1


def test_body_that_was_sent_is_not_sent_again(proxy: Proxy, service: ScriptedService) -> None:
    service.script = wants('token-2')  # type: ignore[assignment]
    assert status_of(proxy.ask(method='POST', body=b'hello')) == 401
    assert proxy.source.forced == 0


def test_body_that_waits_for_the_100_is_sent_with_the_new_token(proxy: Proxy, service: ScriptedService) -> None:
    def script(talk: Talk) -> None:
        if talk.header('authorization') != 'Bearer token-2':
            talk.reply(b'', '401 Unauthorized')
            raise EOFError
        talk.send(b'HTTP/1.1 100 Continue\r\n\r\n')
        talk.reply(talk.read_body())

    service.script = script
    with proxy.connect() as sock:
        sock.sendall(proxy.get('/studies', 'Content-Length: 5', 'Expect: 100-continue', method='POST'))
        assert sock.recv(100) == b'HTTP/1.1 100 Continue\r\n\r\n'
        sock.sendall(b'hello')
        assert sock.recv(4096).startswith(b'HTTP/1.1 200')


def test_lost_sign_in_is_said_once_and_ends_without_a_restart(start: Start, service: ScriptedService) -> None:
    proxy = start(limits=Limits(lost_seconds=0.0))
    proxy.source.error = RuntimeError('AADSTS of DOE')
    answers = [proxy.ask() for _ in range(3)]
    assert [status_of(answer) for answer in answers] == [502] * 3 and len(proxy.lost) == 1
    assert b'AADSTS' not in answers[0] and service.talks == []
    proxy.source.error = None
    assert status_of(proxy.ask()) == 200


@pytest.mark.parametrize(
    ('status', 'trouble'),
    [('401 Unauthorized', Trouble.UNAUTHORIZED), ('403 Forbidden', Trouble.FORBIDDEN)],
    ids=['401', '403'],
)
def test_refusal_is_told_once(status: str, trouble: Trouble, proxy: Proxy, service: ScriptedService) -> None:
    service.script = lambda talk: talk.reply(b'', status)
    answers = [proxy.ask() for _ in range(3)]
    assert {status_of(answer) for answer in answers} == {int(status[:3])} and proxy.troubles == [trouble]
    service.script = lambda talk: talk.reply(b'', '404 Not Found')
    proxy.ask()
    assert proxy.troubles == [trouble]


def test_service_that_is_not_reached_is_told_once_until_it_is() -> None:
    told: list[Trouble] = []
    outcomes = iter([False, False, True, False])
    ours, theirs = socket.socketpair()

    def connect() -> socket.socket:
        if next(outcomes):
            return ours
        raise Failure(NOT_REACHED)

    upstream = Upstream('https://dicom.example', Tokens(Source()), connect=connect, on_trouble=told.append)
    with theirs:
        for _ in range(4):
            with suppress(Failure):
                upstream.open().close()
    assert told == [Trouble.UNREACHED] * 2


def test_refusal_without_a_sign_in_ends_the_request_to_the_service(proxy: Proxy, service: ScriptedService) -> None:
    ended = threading.Event()

    def script(talk: Talk) -> None:
        proxy.source.error = RuntimeError('signed out')
        talk.reply(b'', '401 Unauthorized')
        if not talk.receive():
            ended.set()
        raise EOFError

    service.script = script
    assert status_of(proxy.ask()) == 502 and ended.wait(30)


def test_sign_in_that_is_lost_with_a_refusal_is_found_again_at_once() -> None:
    time = Time()
    source, lost = Issuer(time), []
    tokens = Tokens(source, clock=time.clock, on_lost=lost.append)
    refused = tokens.current()
    source.error = OSError('signed out')
    for _ in range(2):
        with pytest.raises(Failure):
            tokens.after_refusal(refused)
    assert len(lost) == 1
    source.error, time.seconds = None, 6
    assert tokens.current() == 'token-2' and source.forced == 0


def test_lost_sign_in_is_not_tried_for_every_request() -> None:
    time = Time()
    source = Issuer(time)
    tokens = Tokens(source, clock=time.clock)
    tried: list[float] = []
    source.get_token = lambda **_: tried.append(time.seconds) or 1 / 0  # type: ignore[method-assign, assignment]
    for time.seconds in (0, 1, 4.9, 5, 9, 10):
        with pytest.raises(Failure):
            tokens.current()
    assert tried == [0, 5, 10]


def test_outage_of_the_sign_in_is_waited_out_while_the_token_lasts() -> None:
    time = Time()
    source, lost = Issuer(time), []
    tokens = Tokens(source, clock=time.clock, on_lost=lost.append)
    assert tokens.current() == 'token-1'
    source.error = SignInUnavailable('unreachable')
    for time.seconds in (3300, 3400, 3599):
        assert tokens.current() == 'token-1' and lost == []
    time.seconds = 3700
    with pytest.raises(Failure) as raised:
        tokens.current()
    assert raised.value.answer == SIGN_IN_LOST and len(lost) == 1
    source.error, time.seconds = None, 3706
    assert tokens.current() == 'token-2'


def test_token_is_renewed_before_it_expires() -> None:
    time = Time()
    tokens = Tokens(Issuer(time), clock=time.clock)
    seen = [tokens.current()]
    for time.seconds in (3000, 3301):
        seen.append(tokens.current())
    assert seen == ['token-1', 'token-1', 'token-2']


def test_forced_renewals_are_a_minute_apart() -> None:
    time = Time()
    source = Issuer(time)
    tokens = Tokens(source, clock=time.clock)
    assert tokens.after_refusal(tokens.current()) == 'token-2'
    assert tokens.after_refusal('token-1') == 'token-2'  # somebody else has renewed it
    assert tokens.after_refusal('token-2') is None
    time.seconds = 60
    assert tokens.after_refusal('token-2') == 'token-3' and source.forced == 2


def test_token_that_no_header_may_hold_is_not_sent(proxy: Proxy, service: ScriptedService) -> None:
    class Odd(Source):
        def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> Token:
            return Token('a\r\nX: b', START * 2)

    proxy.upstream.tokens = Tokens(Odd())
    assert status_of(proxy.ask()) == 502 and service.talks == []


def test_service_that_is_not_there_is_a_bad_gateway(start: Start, service: ScriptedService) -> None:
    with socket.create_server(('127.0.0.1', 0)) as free:
        service.port = free.getsockname()[1]
    answer = start().ask()
    assert status_of(answer) == 502 and answer.endswith(b'The DICOM service could not be reached.\n')


def test_certificate_that_is_not_trusted_is_a_bad_gateway(
    start: Start, service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('REQUESTS_CA_BUNDLE')
    answer = start().ask()
    assert status_of(answer) == 502 and b'no trusted TLS connection' in answer and service.talks == []


def test_authorities_are_those_of_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    bundles: list[str | None] = []

    def connect(connection: HTTPSConnection) -> None:
        bundles.append(connection.ca_certs)
        raise OSError

    monkeypatch.setattr(HTTPSConnection, 'connect', connect)
    with pytest.raises(HostUnreachable):
        HttpTransport().get('https://service.example/v2', parameters={}, token='token')
    with pytest.raises(Failure):
        connector('https://service.example', timeout_seconds=1.0)()
    of_reader, of_proxy = bundles
    assert of_reader is not None and of_proxy == of_reader


def test_this_machine_is_not_asked_for_through_a_proxy(
    start: Start, service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('HTTPS_PROXY', 'http://127.0.0.1:9')
    assert status_of(start().ask()) == 200
