"""The side that faces the service: its connections, kept alive, and the tokens that it wants.

Owned: connecting (through the proxy and with the CA file of the environment), which kept connection is good for what,
when a token is renewed by force, and which trouble its user is told of. Not owned: when a token expires
(`dicomfeed.credential`, the one renewer), and what goes over a connection (`relay.py`).
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from azext_dicomtoken.proxy.syntax import Answer
from azext_dicomtoken.proxy.wire import LIMITS, Failure, Limits, PeerLeft, ServiceLeft, Wire
from dicomfeed.credential import Credential, TokenSource
from dicomfeed.times import Clock
from dicomfeed.transport import pool_of

Connect = Callable[[], socket.socket]

_SENDABLE = re.compile(r'[!-~]+')
NOT_REACHED = Answer(502, 'The DICOM service could not be reached.')
SIGN_IN_LOST = Answer(502, 'There is no access token: see where the proxy was started.')


class Trouble(Enum):
    """What keeps tools from the service; the value is what happened."""

    UNREACHED = 'The DICOM service is not reached, so tools get status 502.'
    UNAUTHORIZED = 'The service does not accept the token, so tools get status 401.'
    FORBIDDEN = 'The service refused a request of a tool with status 403. Writing needs the role DICOM Data Owner.'


_REFUSALS = {401: Trouble.UNAUTHORIZED, 403: Trouble.FORBIDDEN}


class Upstream:  # pylint: disable=too-many-instance-attributes    # what connections share
    """Connections to one service; for any number of threads.

    :param url: scheme, host and port of the service, nothing after them.
    :param connect: makes a connected socket, TLS included.
    :param on_trouble: told of each kind once. Of a service that is not reached, again when it was reached meanwhile.
    """

    def __init__(
        self,
        url: str,
        tokens: Tokens,
        *,
        connect: Connect | None = None,
        limits: Limits = LIMITS,
        on_trouble: Callable[[Trouble], None] = lambda trouble: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.origin = url
        self.host = urlsplit(url).netloc.encode('ascii')
        self.tokens = tokens
        self._connect = connect or connector(url, timeout_seconds=limits.connect_seconds)
        self._limits = limits
        self._on_trouble = on_trouble
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._told: set[Trouble] = set()
        self._kept: list[tuple[float, Wire]] = []
        self._is_closed = False

    def take(self, *, idle_seconds: float) -> Wire | None:
        """A kept connection that was last used within that time and has not ended, if there is one."""
        while True:
            with self._lock:
                if not self._kept:
                    return None
                since, wire = self._kept.pop()
            if self._monotonic() - since < idle_seconds and _is_quiet(wire):
                return wire
            wire.close()

    def open(self) -> Wire:
        """A new connection. Raises Failure where there is none."""
        try:
            connected = self._connect()
        except Failure:
            self._tell(Trouble.UNREACHED)
            raise
        with self._lock:
            self._told.discard(Trouble.UNREACHED)
        return Wire(connected, left=ServiceLeft, monotonic=self._monotonic)

    def note_answer(self, status: int) -> None:
        """Take the status of a final answer of the service."""
        if status in _REFUSALS:
            self._tell(_REFUSALS[status])

    def keep(self, wire: Wire) -> None:
        """Keep a connection on which a whole answer was read and nothing more."""
        with self._lock:
            self._kept.append((self._monotonic(), wire))
            if self._is_closed or len(self._kept) > self._limits.connections:
                self._kept.pop(0)[1].close()

    def close(self) -> None:
        """Close what is kept, and what would be from now on."""
        with self._lock:
            self._is_closed = True
            kept, self._kept = self._kept, []
        for _, wire in kept:
            wire.close()

    def _tell(self, trouble: Trouble) -> None:
        with self._lock:
            is_news = trouble not in self._told
            self._told.add(trouble)
        if is_news:
            self._on_trouble(trouble)


class Tokens:  # pylint: disable=too-many-instance-attributes    # two clocks beside what it is given
    """The tokens of one sign-in for all clients.

    :param on_lost: told once that there is no token, until there is one again.
    """

    def __init__(
        self,
        source: TokenSource,
        *,
        clock: Clock | None = None,
        limits: Limits = LIMITS,
        on_lost: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._source = source
        self._clock = clock or Clock()
        self._limits = limits
        self._on_lost = on_lost
        self._lock = threading.RLock()
        self._credential = self._new_credential()
        self._lost: float | None = None  # when the sign-in was last tried in vain
        self._forced: float | None = None

    def current(self) -> str:
        """A token. Raises Failure where there is none; a lost sign-in is tried again every few seconds."""
        if self._lost is not None and self._clock.monotonic() - self._lost < self._limits.lost_seconds:
            raise Failure(SIGN_IN_LOST)
        with self._found_or_lost():
            token = self._credential.token()
            if not _SENDABLE.fullmatch(token):
                raise ValueError('a token that no header may hold')
            return token

    def after_refusal(self, refused: str) -> str | None:
        """Another token than the one that the service refused; None where a new one may not be forced yet."""
        with self._lock:
            current = self.current()
            if current != refused:
                return current
            now = self._clock.monotonic()
            if self._forced is not None and now - self._forced < self._limits.forced_renewal_seconds:
                return None
            self._forced = now
            with self._found_or_lost():
                self._credential.renew(refused)
            return self.current()

    @contextmanager
    def _found_or_lost(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # pylint: disable=broad-exception-caught    # whatever a sign-in raises is reported
            with self._lock:
                is_news = self._lost is None
                self._lost = self._clock.monotonic()
                self._credential = self._new_credential()  # without the token that was refused or has expired
                if is_news:
                    self._on_lost(error)
            raise Failure(SIGN_IN_LOST) from None
        self._lost = None

    def _new_credential(self) -> Credential:
        return Credential(self._source, clock=self._clock)


def connector(url: str, *, timeout_seconds: float) -> Connect:
    """How to connect to the service: as the reader does, with the proxy and the CA file that the environment names.

    This machine itself is never asked for through a proxy. What connects raises Failure.
    """
    pool: Any = pool_of(requests.Session(), url)

    def connect() -> socket.socket:
        # urllib3 offers no public way to a connected socket; its pools have had these two since 1.x.
        connection = pool._new_conn()  # pylint: disable=protected-access
        connection.timeout = timeout_seconds
        try:
            if pool.proxy is not None and pool.scheme == 'https':
                pool._prepare_proxy(connection)  # pylint: disable=protected-access
            else:
                connection.connect()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            connection.close()
            raise Failure(_not_reached(error)) from None
        if not isinstance(connection.sock, socket.socket):  # TLS within TLS, which cannot wait for two sides at once
            connection.close()
            raise Failure(Answer(502, 'A proxy that is reached over https itself is not supported: name it with http.'))
        return connection.sock

    return connect


def _not_reached(error: Exception) -> Answer:
    if isinstance(error, (urllib3.exceptions.SSLError, ssl.SSLError)):
        return Answer(502, 'There is no trusted TLS connection to the DICOM service.')
    return NOT_REACHED


def _is_quiet(wire: Wire) -> bool:
    """Nothing has come since its last answer: neither an end nor bytes that nobody asked for."""
    try:
        return not wire.poll()
    except PeerLeft:
        return False
