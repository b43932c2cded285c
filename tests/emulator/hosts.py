"""Which application answers for which host, and the record of every request.

Owns the table of host names and the ASGI entry that routes by the Host header and writes the journal. The applications
themselves know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import Any

from starlette.responses import PlainTextResponse

from tests.emulator.journal import Journal, Request

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


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
        entry = _Entry(self.journal, scope, host=host, headers=headers, send=send)
        try:
            await self._applications.get(host, _unknown_host)(scope, receive, entry.send)
        finally:
            entry.record()


class _Entry:
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
