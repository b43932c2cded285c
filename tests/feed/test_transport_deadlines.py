"""A server that takes the connection and then its time: every wait has a bound, over a real socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from dicomfeed.client import FeedClient, Retry
from dicomfeed.errors import HostUnreachable, MalformedResponse
from dicomfeed.queries import SequenceRange
from dicomfeed.times import Clock
from dicomfeed.transport import HttpTransport

HEAD = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
Behaviour = Callable[[socket.socket, threading.Event], object]


def silent(connection: socket.socket, end: threading.Event) -> None:
    end.wait()


def half_a_head(connection: socket.socket, end: threading.Event) -> None:
    connection.sendall(HEAD[:20])
    end.wait()


def head_alone(connection: socket.socket, end: threading.Event) -> None:
    connection.sendall(HEAD + b'Content-Length: 100\r\n\r\n')
    end.wait()


def half_a_body(connection: socket.socket, end: threading.Event) -> None:
    connection.sendall(HEAD + b'Content-Length: 100\r\n\r\n[{"sequence"')
    end.wait()


def half_a_chunk(connection: socket.socket, end: threading.Event) -> None:
    connection.sendall(HEAD + b'Transfer-Encoding: chunked\r\n\r\n64\r\n[{"sequence"')
    end.wait()


def endless_body(connection: socket.socket, end: threading.Event) -> None:
    connection.sendall(HEAD + b'Connection: close\r\n\r\n[')
    while not end.is_set():
        connection.sendall(b' ' * 2**16)


def trickling_head(connection: socket.socket, end: threading.Event) -> None:
    connection.sendall(HEAD + b'X-Filling: ')
    while not end.wait(0.01):
        connection.sendall(b'x')


def endless_continues(connection: socket.socket, end: threading.Event) -> None:
    while not end.wait(0.01):
        connection.sendall(b'HTTP/1.1 100 Continue\r\n\r\n')


def trickling_body(connection: socket.socket, end: threading.Event) -> None:
    connection.sendall(HEAD + b'Content-Length: 100000\r\n\r\n')
    while not end.wait(0.01):
        connection.sendall(b' ')


def trickling_chunks(connection: socket.socket, end: threading.Event) -> None:
    connection.sendall(HEAD + b'Transfer-Encoding: chunked\r\n\r\n')
    while not end.wait(0.01):
        connection.sendall(b'1\r\n \r\n')


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[str]:
    """The URL of a server that treats every connection so."""
    end = threading.Event()
    listener = socket.create_server(('127.0.0.1', 0))

    def treat(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65_536)
                behaviour(connection, end)
            except OSError:  # the client has gone
                pass

    def accept() -> None:
        try:
            while True:
                threading.Thread(target=treat, args=(listener.accept()[0],), daemon=True).start()
        except OSError:  # closed below
            pass

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield f'http://127.0.0.1:{listener.getsockname()[1]}'
    finally:
        end.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()


@dataclass(frozen=True)
class Token:
    token: str = 'plain'
    expires_on: float = 1e12


class Tokens:
    def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> Token:
        return Token()


class PausesOnly:
    """Time that goes by in pauses alone, however long an answer takes."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def pass_by(self, seconds: float) -> None:
        self._now += seconds


class HurriedTime:
    """A clock on which a minute goes by whenever somebody looks at it."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 60.0
        return self._now


@pytest.mark.parametrize('behaviour', [silent, half_a_head, head_alone, half_a_body, half_a_chunk])
def test_answer_that_stops_ends_with_the_read_time_out(behaviour: Behaviour) -> None:
    transport = HttpTransport(read_timeout_seconds=0.2)
    with serving(behaviour) as url, pytest.raises(HostUnreachable) as caught:
        transport.get(f'{url}/v1/changefeed', parameters={}, token='plain')
    assert caught.value.url == f'{url}/v1/changefeed'


def test_answer_without_end_is_cut_off() -> None:
    transport = HttpTransport(largest_answer_bytes=2**20)
    with serving(endless_body) as url, pytest.raises(MalformedResponse):
        transport.get(f'{url}/v1/changefeed', parameters={}, token='plain')


@pytest.mark.parametrize('behaviour', [trickling_head, endless_continues, trickling_body, trickling_chunks])
def test_answer_that_trickles_is_cut_off(behaviour: Behaviour) -> None:
    transport = HttpTransport(monotonic=HurriedTime())
    with serving(behaviour) as url, pytest.raises(HostUnreachable, match='did not answer in time'):
        transport.get(f'{url}/v1/changefeed', parameters={}, token='plain')


def test_one_shot_client_gives_up_when_its_patience_is_at_an_end() -> None:
    retries: list[Retry] = []
    time = PausesOnly()
    with serving(silent) as url:
        client = FeedClient(
            url,
            Tokens(),
            transport=HttpTransport(read_timeout_seconds=0.1),
            clock=Clock(monotonic=time.now, sleep=time.pass_by),
            patience_seconds=2,
            on_retry=retries.append,
            jitter=lambda: 0.0,
        )
        with pytest.raises(HostUnreachable, match='did not answer in time'):
            client.read(SequenceRange(0), include_metadata=False, patience_seconds=client.patience_seconds)
    assert retries


def test_port_that_nobody_listens_on_is_unreachable() -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(HostUnreachable, match='refused the connection') as caught:
        HttpTransport().get(f'http://127.0.0.1:{port}/v1/changefeed', parameters={}, token='plain')
    assert not caught.value.through_proxy


def test_connection_that_is_not_accepted_ends_with_the_connect_time_out() -> None:
    with socket.create_server(('127.0.0.1', 0), backlog=0) as listener:
        filling = [socket.socket() for _ in range(4)]
        for connection in filling:
            connection.setblocking(False)
            connection.connect_ex(listener.getsockname())
        with pytest.raises(HostUnreachable, match='in time'):
            HttpTransport(connect_timeout_seconds=0.2).get(
                f'http://127.0.0.1:{listener.getsockname()[1]}/v1/changefeed', parameters={}, token='plain'
            )
        for connection in filling:
            connection.close()
