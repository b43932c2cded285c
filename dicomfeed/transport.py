"""One HTTP request and its answer; the only file that imports `requests`.

Owned: connections, proxies and CA files from the environment, time-outs, the size of an answer and the time for all of
it, and which exception a broken connection is. Not owned: what a status means and whether to ask again (`client.py`).
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import LifoQueue
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode, urlsplit

import requests
import urllib3

from dicomfeed.credential import Secret
from dicomfeed.errors import HostUnreachable, MalformedResponse, ProxySettingWrong, RequestError, TlsFailed
from dicomfeed.trust import Origin

CONNECTIONS = 8
CONNECT_TIMEOUT_SECONDS = 10.0
READ_TIMEOUT_SECONDS = 120.0
SLOW_TIMEOUT_SECONDS = 300.0
"""For an answer with metadata: the service asks its blob store for about three minutes before it gives up."""
LONGEST_ANSWER_SECONDS = 300.0
LARGEST_ANSWER_BYTES = 128 * 2**20
LARGEST_BARE_BYTES = 16 * 2**20
"""For an answer without metadata: two hundred events of 80 kB each."""
BYTES_IN_FLIGHT = 128 * 2**20
"""For all answers that are being received; the first of them may go beyond that, as far as one answer may."""
_CHUNK_BYTES = 2**18
_UNPACKING = {'gzip': 31, 'x-gzip': 31, 'deflate': 15}
_SENDABLE = r'[!-~]+'


class Answer(NamedTuple):
    """What came back: the status, the headers with lower-case names, the body unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """Whatever sends a request. Raises RequestError where no answer came."""

    def get(self, url: str, *, parameters: Mapping[str, str], token: str, is_slow: bool = False) -> Answer:
        """Ask for `url` with that bearer token; `is_slow`: for an answer with metadata, which takes longer."""


class _Route(NamedTuple):
    """Connections, what to ask them for, and whether a proxy stands between."""

    pool: urllib3.HTTPConnectionPool
    target: str
    is_proxied: bool


class HttpTransport:
    """HTTP by way of `requests`, over so many kept-alive connections at most; who finds none free waits for one.

    Proxies, CA bundles and `NO_PROXY` come from the environment, as for every other tool; but connections to this
    machine itself never use a proxy, which would read a token that goes there by plain http. A redirect is an answer
    like any other; it is never followed, because the token would go with it. Certificate checks are always on.

    :param user_agent: what the requests call themselves.
    :param connections: 1 or more; so many requests can be in flight.
    """

    def __init__(
        self,
        *,
        user_agent: str = 'dicomfeed',
        connections: int = CONNECTIONS,
        connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
        read_timeout_seconds: float = READ_TIMEOUT_SECONDS,
        largest_answer_bytes: int = LARGEST_ANSWER_BYTES,
        bytes_in_flight: int = BYTES_IN_FLIGHT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._headers = {'User-Agent': user_agent, 'Accept': 'application/json', 'Accept-Encoding': 'gzip, deflate'}
        self._connect_seconds = connect_timeout_seconds
        self._read_seconds = read_timeout_seconds
        self._extra_seconds = SLOW_TIMEOUT_SECONDS - read_timeout_seconds
        self._largest_answer_bytes = largest_answer_bytes
        self._largest_bare_bytes = min(largest_answer_bytes, LARGEST_BARE_BYTES)
        self._budget = Budget(bytes_in_flight)
        self._turn = threading.Lock()  # else who gives a connection back takes it again before anyone who waits
        self._free: LifoQueue[_Session] = LifoQueue()  # the last one used is the likeliest to be alive
        for _ in range(connections):
            self._free.put(_Session(monotonic))

    def get(self, url: str, *, parameters: Mapping[str, str], token: str, is_slow: bool = False) -> Answer:
        if not re.fullmatch(_SENDABLE, token):  # http.client would say the token in its error
            raise RequestError('The token holds characters that no header may hold.', url=url)
        with self._turn:
            session = self._free.get()
        try:
            session.extra_seconds = self._extra_seconds if is_slow else 0.0
            largest = self._largest_answer_bytes if is_slow else self._largest_bare_bytes
            return self._ask(session, url, parameters, token, largest=largest)
        finally:
            self._free.put(session)

    def _ask(self, session: _Session, url: str, parameters: Mapping[str, str], token: str, *, largest: int) -> Answer:
        route = session.route_to(url)
        headers = {**self._headers, 'Authorization': Secret(f'Bearer {token}')}
        try:
            with route.pool.urlopen(
                'GET',
                f'{route.target}?{urlencode(parameters)}',
                headers=headers,
                redirect=False,
                retries=False,
                assert_same_host=False,
                timeout=urllib3.Timeout(connect=self._connect_seconds, read=self._read_seconds + session.extra_seconds),
                preload_content=False,
            ) as response:
                if response.status == 407:  # only a proxy says that, to a request in the clear
                    raise HostUnreachable(
                        'The proxy did not lead to the host.', url=url, through_proxy=True, proxy_status=407
                    )
                body = self._read(response, url, largest=largest)
                return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, body)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise translated(error, url, proxied=route.is_proxied) from None

    def _read(self, response: urllib3.BaseHTTPResponse, url: str, *, largest: int) -> bytes:
        chunks: list[bytes] = []
        size = 0
        with self._budget.receiving() as take:
            for chunk in _unpacked(response, url):
                size += len(chunk)
                if size > largest:
                    raise MalformedResponse('The answer is larger than a page of the change feed can be.', url=url)
                take(len(chunk))
                chunks.append(chunk)
            if not size and response.status == 200:
                _refuse_cut(response, url)
            return b''.join(chunks)


class Budget:
    """The bytes of all answers that are being received at a time.

    Who has too little left waits for others to end; the one that began first never waits, so one always ends.
    """

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._taken: dict[object, int] = {}  # in the order of their beginnings
        self._changed = threading.Condition()

    @contextmanager
    def receiving(self) -> Iterator[Callable[[int], None]]:
        """One answer; the function takes so many bytes of the budget for it, until it ends."""
        answer = object()
        with self._changed:
            self._taken[answer] = 0
        try:
            yield lambda size: self._take(answer, size)
        finally:
            with self._changed:
                del self._taken[answer]
                self._changed.notify_all()

    def _take(self, answer: object, size: int) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: sum(self._taken.values()) + size <= self._total_bytes or next(iter(self._taken)) is answer
            )
            self._taken[answer] += size


def _unpacked(response: urllib3.BaseHTTPResponse, url: str) -> Iterator[bytes]:
    """The body in small pieces, unpacked, however much is packed into few bytes. Raises MalformedResponse."""
    encoding = (response.headers.get('Content-Encoding') or 'identity').strip().lower()
    pieces = response.stream(_CHUNK_BYTES, decode_content=False)
    if encoding == 'identity':
        yield from pieces
        return
    try:
        if encoding not in _UNPACKING:
            raise ValueError('nothing that was asked for')
        unpacker = zlib.decompressobj(wbits=_UNPACKING[encoding])
        for packed in pieces:
            while packed and not unpacker.eof:
                yield unpacker.decompress(packed, _CHUNK_BYTES)
                packed = unpacker.unconsumed_tail
        if not unpacker.eof:
            raise ValueError('cut')
    except (zlib.error, ValueError):
        raise MalformedResponse('The answer could not be unpacked.', url=url) from None


def _refuse_cut(response: urllib3.BaseHTTPResponse, url: str) -> None:
    """Tell an answer with nothing in it, which may mean an empty feed, from one that was cut before its first byte."""
    if not {'content-length', 'transfer-encoding'} & {name.lower() for name in response.headers}:
        raise HostUnreachable('The connection broke.', url=url)


class _Session:
    """One connection to each host that it was asked for, found once.

    `requests` finds the proxy and the CA file that the environment names, and makes the connections; what its sessions
    do besides for every request (cookies, netrc, the CA file once more) costs as much as the request.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.extra_seconds = 0.0
        """How much longer than others the answer to the request in hand may take."""
        self._response_class = _responses_within(lambda: LONGEST_ANSWER_SECONDS + self.extra_seconds, monotonic)
        self._session: requests.Session | None = None
        self._routes: dict[str, _Route] = {}

    def route_to(self, url: str) -> _Route:
        """The way to `url`. Raises ProxySettingWrong where the environment names a proxy that is none."""
        if url not in self._routes:
            self._session = self._session or requests.Session()
            try:
                self._routes[url] = _route(self._session, url, self._response_class)
            except (urllib3.exceptions.HTTPError, OSError):  # `requests` has its own as OSError
                raise ProxySettingWrong('The proxy setting is not the URL of a proxy.', url=url) from None
        return self._routes[url]


def proxy_of(url: str) -> str | None:
    """The proxy through which the URL is asked for, as the environment names it, password included."""
    return requests.utils.select_proxy(url, _proxies(url))


def _proxies(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    host = (parts.hostname or '').removesuffix('.')
    # 127.1 and the like are no addresses to trust, but this machine to a look-up.
    if Origin(parts.scheme, host, None).is_loopback() or re.fullmatch(r'127\.[0-9.]+', host):
        return {}
    found: dict[str, str] = requests.utils.get_environ_proxies(url)
    return found


def pool_of(session: requests.Session, url: str) -> urllib3.HTTPConnectionPool:
    """Connections to the host of `url`, through the proxy and with the authorities that the environment names.

    This machine itself is never asked for through a proxy. Raises what `requests` and urllib3 raise where the
    environment names a proxy that is none.
    """
    settings = session.merge_environment_settings(url, {}, None, True, None)
    adapter = session.get_adapter(url)
    assert isinstance(adapter, requests.adapters.HTTPAdapter)
    # Left to itself, this way into requests 2.32 trusts what OpenSSL finds on the machine, and not the authorities that
    # requests brings.
    verify = settings['verify']
    if verify is True:
        verify = requests.utils.DEFAULT_CA_BUNDLE_PATH
    pool = adapter.get_connection_with_tls_context(
        requests.Request('GET', url).prepare(), verify, proxies=_proxies(url)
    )
    assert isinstance(pool, urllib3.HTTPConnectionPool)
    return pool


def _route(session: requests.Session, url: str, response_class: type[http.client.HTTPResponse]) -> _Route:
    pool = pool_of(session, url)
    kind: Any = pool.ConnectionCls
    if kind.response_class is not response_class:  # addresses of one host share a pool
        pool.ConnectionCls = type(kind.__name__, (kind,), {'response_class': response_class})
    is_proxied = proxy_of(url) is not None
    scheme, path = urlsplit(url).scheme, urlsplit(url).path
    return _Route(pool, url if is_proxied and scheme == 'http' else path, is_proxied)  # RFC 9112, 3.2.2


def translated(error: Exception, url: str, *, proxied: bool) -> RequestError:
    """Our exception for one of `requests` or urllib3; none of their texts, which may hold the whole address."""
    causes = _causes(error)
    is_of_proxy = any(
        isinstance(cause, (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError)) for cause in causes
    )
    if any(isinstance(cause, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema) for cause in causes):
        return ProxySettingWrong('The proxy setting is not the URL of a proxy.', url=url)
    if is_of_proxy and any(getattr(cause, 'reason', None) == 'WRONG_VERSION_NUMBER' for cause in causes):
        return ProxySettingWrong('The proxy does not speak TLS, but its URL starts with https.', url=url)
    if any(isinstance(cause, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)) for cause in causes):
        return TlsFailed('No trusted TLS connection to the host.', url=url, through_proxy=proxied)
    if is_of_proxy:
        return HostUnreachable(
            'The proxy did not lead to the host.', url=url, through_proxy=True, proxy_status=_refusal(causes)
        )
    if any(
        isinstance(cause, (requests.exceptions.ContentDecodingError, urllib3.exceptions.DecodeError))
        for cause in causes
    ):
        return MalformedResponse('The answer could not be unpacked.', url=url)
    if any(isinstance(cause, urllib3.exceptions.NameResolutionError) for cause in causes):
        return HostUnreachable('The name of the host could not be resolved.', url=url, through_proxy=proxied)
    if any(isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in causes):
        return HostUnreachable('The host refused the connection.', url=url, through_proxy=proxied)
    if any(isinstance(cause, (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError)) for cause in causes):
        return HostUnreachable('The host did not answer in time.', url=url, through_proxy=proxied)
    return HostUnreachable('The connection broke.', url=url, through_proxy=proxied)


def _refusal(causes: list[BaseException]) -> int | None:
    """The status with which a proxy refused CONNECT, which http.client only says in words.

    OSError('Tunnel connection failed: 407 Proxy Authentication Required')
    """
    found = (re.match(r'Tunnel connection failed: ([1-5]\d\d)\b', str(cause)) for cause in causes)
    return next((int(match[1]) for match in found if match), None)


def _causes(error: BaseException) -> list[BaseException]:
    """The exception and those that it wraps, whether as a cause, as a context or as an argument."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop()
        if not isinstance(cause, BaseException) or cause in found:
            continue
        found.append(cause)
        waiting += [cause.__cause__, cause.__context__, getattr(cause, 'reason', None)]
        waiting += cause.args
    return found


def _responses_within(seconds: Callable[[], float], monotonic: Callable[[], float]) -> type[http.client.HTTPResponse]:
    """A `response_class` for http.client, whose answers end with TimeoutError when they take longer than that.

    A read time-out bounds the wait for the next bytes; a server that sends one now and then meets it for ever, in the
    status line as in the body, or with one `100 Continue` after the other. This time runs from the end of the request;
    it is looked at whenever bytes have come.
    """

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self.fp = io.BufferedReader(_BoundedReader(self.fp.detach(), monotonic() + seconds(), monotonic))

    return Response


class _BoundedReader(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, deadline: float, monotonic: Callable[[], float]) -> None:
        self._raw = raw
        self._deadline = deadline
        self._monotonic = monotonic

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = self._raw.readinto(buffer)
        if self._monotonic() > self._deadline:
            raise TimeoutError('the answer took too long to arrive')
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
