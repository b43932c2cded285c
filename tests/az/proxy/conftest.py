"""The proxy in this process, in front of a service by script."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trustme

from azext_dicomtoken.proxy.conversation import Exchange
from azext_dicomtoken.proxy.rules import GROUPS, Policy
from azext_dicomtoken.proxy.server import Server, listen
from azext_dicomtoken.proxy.upstream import Tokens, Trouble, Upstream
from azext_dicomtoken.proxy.wire import LIMITS, Limits
from tests.az.proxy.service import ScriptedService, serving

SECRET = '0123456789abcdef0123456789abcdef'
PAGE = 'http://localhost:3000'
SECONDS = 30.0


@dataclass(frozen=True)
class Token:
    token: str = field(repr=False)
    expires_on: float


@dataclass
class Source:
    """Issues token-1, token-2, …; or raises."""

    lifetime_seconds: float = 3600.0
    issued: int = 0
    forced: int = 0
    error: Exception | None = None

    def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> Token:
        if self.error:
            raise self.error
        self.issued += 1
        self.forced += force_refresh
        return Token(f'token-{self.issued}', time.time() + self.lifetime_seconds)


@dataclass
class Proxy:
    port: int
    server: Server
    upstream: Upstream
    source: Source
    policy: Policy
    exchanges: list[Exchange]
    faults: list[str]
    lost: list[Exception]
    troubles: list[Trouble]

    @property
    def base(self) -> str:
        return f'/{SECRET}/v2'

    def connect(self) -> socket.socket:
        return socket.create_connection(('127.0.0.1', self.port), timeout=SECONDS)

    def get(self, path: str = '/studies', *lines: str, method: str = 'GET') -> bytes:
        """The head of a request that a tool would send."""
        return self.head(f'{method} {self.base}{path} HTTP/1.1', *lines)

    def head(self, first: str, *lines: str) -> bytes:
        return '\r\n'.join([first, f'Host: 127.0.0.1:{self.port}', *lines, '', '']).encode('latin-1')

    def say(self, data: bytes) -> bytes:
        """What comes back for these bytes until the proxy closes; asks it to with no word of its own."""
        with self.connect() as sock:
            sock.sendall(data)
            return read_all(sock)

    def ask(self, path: str = '/studies', *lines: str, method: str = 'GET', body: bytes = b'') -> bytes:
        """The answer to one request on a connection of its own."""
        length = [f'Content-Length: {len(body)}'] if body else []
        return self.say(self.get(path, 'Connection: close', *length, *lines, method=method) + body)


def read_all(sock: socket.socket) -> bytes:
    """Until the end; a reset counts as one, and is marked."""
    received = b''
    try:
        while piece := sock.recv(65536):
            received += piece
    except ConnectionResetError:
        return received + b'<reset>'
    return received


def read_until(sock: socket.socket, mark: bytes) -> bytes:
    received = b''
    while mark not in received:
        piece = sock.recv(65536)
        if not piece:
            break
        received += piece
    return received


def status_of(answer: bytes) -> int:
    return int(answer.split(b' ')[1])


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it comes true, within far more time than it needs."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


@pytest.fixture(scope='session')
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def service(tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedService]:
    ca_file = str(tmp_path / 'ca.pem')
    monkeypatch.setenv('REQUESTS_CA_BUNDLE', ca_file)
    with serving(ca_file, authority=authority) as running:
        yield running


Start = Callable[..., Proxy]


@pytest.fixture
def start(service: ScriptedService) -> Iterator[Start]:
    """Starts a proxy in front of the service; its policy and its limits by name."""
    with ExitStack() as stack:

        def run(*, limits: Limits = LIMITS, idle_timeout_seconds: float = 3600.0, **policy: object) -> Proxy:
            return stack.enter_context(_running(service, limits, idle_timeout_seconds, policy))

        yield run


@pytest.fixture
def proxy(start: Start) -> Proxy:
    """All groups and one page are allowed."""
    return start(groups=frozenset(GROUPS), origins=frozenset({PAGE}), hosts=frozenset({'host.docker.internal'}))


@contextmanager
def _running(
    service: ScriptedService, limits: Limits, idle_timeout_seconds: float, policy: dict[str, object]
) -> Iterator[Proxy]:
    listener = listen(0)
    port = listener.getsockname()[1]
    source = Source()
    exchanges: list[Exchange] = []
    faults: list[str] = []
    lost: list[Exception] = []
    troubles: list[Trouble] = []
    tokens = Tokens(source, limits=limits, on_lost=lost.append)
    upstream = Upstream(service.url, tokens, limits=limits, on_trouble=troubles.append)
    allowed = replace(Policy(port, SECRET), **policy)  # type: ignore[arg-type]
    server = Server(
        listener,
        allowed,
        upstream,
        limits=limits,
        idle_timeout_seconds=idle_timeout_seconds,
        on_exchange=exchanges.append,
        on_fault=faults.append,
    )
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield Proxy(port, server, upstream, source, allowed, exchanges, faults, lost, troubles)
    finally:
        server.close()
        thread.join(SECONDS)
        assert faults == []
