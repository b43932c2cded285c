"""The one listening port: a CONNECT proxy in front of the emulated hosts, and plain http for everything else.

Owns what happens to a connection before HTTP: a CONNECT to an emulated host on port 443 is answered, switched to TLS
with a certificate for the host that CONNECT named, and handed to uvicorn's HTTP protocol in the same process, so that
nothing is spliced. A CONNECT to any other host is refused with 403 and noted; one to a host of `Hosts.refusals` with
the status that is said there. Which application answers is decided in `hosts.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tests.emulator.certificates import CertificateAuthority
from tests.emulator.hosts import Hosts

_HEAD_LIMIT = 65536


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
        except OSError:  # the client went away or does not trust the CA: its own affair
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
