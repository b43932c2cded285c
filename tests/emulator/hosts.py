"""The one listening port: a CONNECT proxy with TLS in front of the emulated hosts, and plain http for everything else.

Owned: what happens to a connection before HTTP, the certificate authority, the table of host names, the record of every
request. A CONNECT to an emulated host on port 443 is answered, switched to TLS with a certificate for the host that
CONNECT named, and handed to uvicorn's HTTP protocol in the same process, so that nothing is spliced. A CONNECT to any
other host is refused with 403 and noted.
Not owned: the applications behind the names, which know nothing of each other.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import trustme
from starlette.responses import PlainTextResponse
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tests.emulator.journal import Journal, Request

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
_HEAD_LIMIT = 65536


class Hosts:
    """An ASGI application made of one application a host; names are lower-case, with the port where it is not 443.

    `refusals`: the status with which the proxy refuses CONNECT to a host, or with `*` to every host.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.refusals: dict[str, int] = {}
        self._applications: dict[str, Application] = {}

    def __contains__(self, host: str) -> bool:
        return host in self._applications

    def add(self, host: str, application: Application) -> None:
        self._applications[host.lower()] = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope['type'] == 'http', scope['type']
        headers = {name.decode('latin-1'): value.decode('latin-1') for name, value in scope['headers']}
        host = headers.get('host', '').lower().removesuffix(':443')
        line = _JournalLine(self.journal, scope, host=host, headers=headers, send=send)
        try:
            await self._applications.get(host, _unknown_host)(scope, receive, line.send)
        finally:
            line.record()


class _JournalLine:
    """Writes one journal line, before the client can see the end of the answer."""

    def __init__(self, journal: Journal, scope: Scope, *, host: str, headers: dict[str, str], send: Send) -> None:
        self._journal = journal
        self._scope = scope
        self._host = host
        self._headers = headers
        self._send = send
        self._status = 0
        self._body_size = 0
        self._recorded = False

    async def send(self, message: Message) -> None:
        if message['type'] == 'http.response.start':
            self._status = message['status']
            message = _dated(message)
        elif message['type'] == 'http.response.body':
            self._body_size += len(message.get('body', b''))
            if not message.get('more_body', False):
                self.record()
        await self._send(message)

    def record(self) -> None:
        if self._recorded:
            return
        self._recorded = True
        self._journal.record(
            Request(
                host=self._host,
                method=self._scope['method'],
                path=self._scope['path'],
                query=self._scope['query_string'].decode('latin-1'),
                status=self._status,
                headers=self._headers,
                body_size=self._body_size,
            )
        )


def _dated(message: Message) -> Message:
    """With a `Date` header, unless the application has set one by its own clock."""
    headers = list(message.get('headers', ()))
    if any(name.lower() == b'date' for name, _ in headers):
        return message
    return {**message, 'headers': [*headers, (b'date', formatdate(usegmt=True).encode())]}


async def _unknown_host(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse('The emulator does not play this host.', status_code=421)(scope, receive, send)


def front_door(authority: CertificateAuthority, hosts: Hosts) -> Callable[..., asyncio.Protocol]:
    """The protocol factory that `uvicorn.Config(http=…)` takes."""

    def accept(**uvicorn_arguments: Any) -> asyncio.Protocol:
        return _FrontDoor(authority, hosts, **uvicorn_arguments)

    return accept


class _FrontDoor(asyncio.Protocol):
    """Reads the first request line of a connection, then hands the connection over for good."""

    def __init__(
        self,
        authority: CertificateAuthority,
        hosts: Hosts,
        *,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._authority = authority
        self._hosts = hosts
        self._loop = _loop or asyncio.get_running_loop()
        self._connections: set[Any] = server_state.connections
        self._http = _Http(config, server_state, app_state, self._loop)
        self._head = b''
        self._handshake: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)

    def shutdown(self) -> None:
        """What uvicorn calls on every open connection when the server ends."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self._head.startswith(b'CONNECT '):
            if b'\r\n\r\n' in self._head:
                self._connect(self._head.split(b' ', 2)[1].decode('latin-1').lower())
            elif len(self._head) > _HEAD_LIMIT:
                self._transport.abort()
        elif len(self._head) >= len(b'CONNECT '):
            self._transport.set_protocol(self._http)
            self._hand_over(self._transport)
            self._http.data_received(self._head)

    def _connect(self, target: str) -> None:
        host, _, port = target.rpartition(':')
        refusal = self._hosts.refusals.get(host) or self._hosts.refusals.get('*')
        if refusal:
            self._refuse(refusal)
        elif port == '443' and host in self._hosts:
            self._transport.write(b'HTTP/1.1 200 Connection established\r\n\r\n')
            self._handshake = self._loop.create_task(self._start_tls(host))
        else:
            self._hosts.journal.record_refused_host(host if port == '443' else target)
            self._refuse(403)

    def _refuse(self, status: int) -> None:
        phrase = HTTPStatus(status).phrase
        head = f'HTTP/1.1 {status} {phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
        self._transport.write(head.encode())
        self._transport.close()

    async def _start_tls(self, host: str) -> None:
        context = self._authority.server_context(host)
        try:
            tls = await self._loop.start_tls(self._transport, self._http, context, server_side=True)
        except OSError:  # the client went away or does not trust the CA
            self._transport.abort()
            self.connection_lost(None)
            return
        if tls is not None:
            self._hand_over(tls)

    def _hand_over(self, transport: asyncio.Transport) -> None:
        self._connections.discard(self)
        self._http.connection_made(transport)


class _Http(HttpToolsProtocol):
    """uvicorn's protocol, which may be given bytes before its transport: TLS 1.3 ends a handshake with the request."""

    _early = b''

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        early, self._early = self._early, b''
        if early:
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        if self.transport is None:
            self._early += data
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:
            super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server ends: no waiting for the client's half of a TLS farewell, nor for a request that hangs."""
        self.transport.abort()


class CertificateAuthority:
    """A CA whose certificate stands in `ca_file`; clients are pointed at that file and trust nothing else."""

    def __init__(self, ca_file: Path) -> None:
        self.ca_file = ca_file
        self._authority = _authority()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._authority.cert_pem.write_to_path(ca_file)

    def server_context(self, host: str) -> ssl.SSLContext:
        """A server's TLS context with a certificate for this host name; the same object for the same host."""
        if host not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert(host).configure_cert(context)
            self._contexts[host] = context
        return self._contexts[host]


@cache
def _authority() -> trustme.CA:
    return trustme.CA(organization_name='Emulated Azure')
