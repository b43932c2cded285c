"""The DICOM service: requests of the change feed to responses, and its ASGI face.

Owned: contract, sections 1 to 5: routes and versions, the order of the checks, what ASP.NET and .NET make of a query
string, tokens and roles, statuses and headers.
Not owned: which events there are (`store.py`), faults (`trouble.py`), images: for those, `dicomweb` may be somebody
else's ASGI application, which is asked for nothing that the caller may not.

`respond` is synchronous and touches no socket, so that model tests can read a feed in virtual time. The ASGI face is
plain ASGI: two routes gain nothing from a framework, and the cut connections and bodies could not be written with one.
"""

from __future__ import annotations

import asyncio
import base64
import html
import json
import re
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.emulator import journal as journals
from tests.emulator import ticks
from tests.emulator.journal import Journal
from tests.emulator.store import BlobFailure, FeedStore
from tests.emulator.trouble import (
    DATA_STORE_TEXT,
    SERVER_ERROR_TEXT,
    ConnectionCut,
    Hang,
    Request,
    Response,
    TokenExpired,
    Trouble,
)

READER = 'DICOM Data Reader'
OWNER = 'DICOM Data Owner'
AUDIENCE = 'https://dicom.healthcareapis.azure.com'

_SUPPORTED = '1.0-prerelease, 1, 2'
_VERSIONS = {(1, 0, 'prerelease'): 1, (1, 0, ''): 1, (2, 0, ''): 2}
_VERSION = re.compile(r'(\d+)(?:\.(\d+))?(?:-([a-z][a-z0-9]*))?', re.IGNORECASE | re.ASCII)
_ROUTE = re.compile(r'/v([^/]+)/changefeed(/latest)?/?', re.IGNORECASE)
_DICOMWEB = re.compile(r'/v[12](?:/partitions/[^/]+)?/(?:studies|series|instances)(?:/.*)?')
_READING = ('GET', 'HEAD', 'OPTIONS')
_SECURITY_HEADERS = {
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'SAMEORIGIN',
    'Content-Security-Policy': "frame-src 'self';",
}
_REPORTED = {'api-supported-versions': _SUPPORTED}
_TEXT = {'Content-Type': 'text/plain; charset=utf-8'}
_JSON = {'Content-Type': 'application/json; charset=utf-8'}
_FORBIDDEN = Response(403, _TEXT, b'Authorization failed.')
_INTEGER = re.compile(r'[+-]?\d+', re.ASCII)
_INT32 = 2**31 - 1
_INT64 = 2**63 - 1

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Verify = Callable[[str], Mapping[str, object]]


@dataclass
class _Grant:
    object_id: str
    role: str
    requests_left: int
    from_ticks: int


class DicomService:
    """One service at `host`, with the feed in `store`, whose clock is also the one of the `Date` header.

    `verify` gives the claims of a good token; for a bad one it raises an exception with the attributes `description`
    and `claims_challenge` (JSON text or None). Without `verify` the service runs with its security off.
    `date_ahead_seconds` is how far `Date` is ahead of that clock.
    `role_assignments` maps object ids to names of roles. `latency_seconds` goes by, in `sleep`, before an answer
    over ASGI.
    How events are spelled is set at the store (`FeedStore.shape`), which keeps them as text.
    """

    def __init__(
        self,
        *,
        verify: Verify | None,
        journal: Journal,
        host: str,
        store: FeedStore | None = None,
        latency_seconds: float = 0.0,
        audiences: Sequence[str] = (AUDIENCE,),
        authority: str = 'https://login.microsoftonline.com/common',
        role_assignments: Mapping[str, set[str]] | None = None,
    ) -> None:
        self.store = store or FeedStore()
        self.trouble = Trouble()
        self.dicomweb: Application | None = None
        self.latency_seconds = latency_seconds
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
        self.date_ahead_seconds = 0
        self.role_assignments = dict(role_assignments or {})
        self.host = host
        self._verify = verify
        self._journal = journal
        self._audiences = audiences
        self._authority = authority
        self._grants: list[_Grant] = []
        self._grants_lock = threading.Lock()

    def grant(self, object_id: str, role: str = READER, *, after_requests: int = 0, after_seconds: float = 0) -> None:
        """Give a role that is felt only later, as when the service still remembers its absence (contract 5.1)."""
        from_ticks = self.store.clock() + int(after_seconds * ticks.PER_SECOND)
        with self._grants_lock:
            self._grants.append(_Grant(object_id, role, after_requests, from_ticks))

    def revoke(self, object_id: str) -> None:
        """Take all roles away, at once."""
        with self._grants_lock:
            self._grants = [grant for grant in self._grants if grant.object_id != object_id]
            self.role_assignments.pop(object_id, None)

    def respond(self, request: Request) -> Response:
        """The answer, with a line in the journal. Raises ConnectionCut or Hang where trouble says so."""
        status = size = 0
        try:
            response = self.answer(request)
            status, size = response.status, len(response.body)
            return response
        except ConnectionCut as cut:
            status, size = (cut.response.status, cut.length) if cut.response else (0, 0)
            raise
        finally:
            self._journal.record(
                journals.Request(self.host, request.method, request.path, request.query, status, request.headers, size)
            )

    def answer(self, request: Request) -> Response:
        """As `respond`, without the line in the journal: over ASGI the table of hosts writes it."""
        fault = self.trouble.choose(request)
        try:
            response = fault(lambda: self._served(request)) if fault else self._served(request)
        except TokenExpired as error:
            response = self._unauthorized(error)
        now = self.store.clock() + self.date_ahead_seconds * ticks.PER_SECOND
        headers = {**_SECURITY_HEADERS, 'Date': ticks.http_date(now), **response.headers}
        return replace(response, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI face. Only `http` scopes are served."""
        if self.latency_seconds:
            await self.sleep(self.latency_seconds)
        if self.dicomweb and _DICOMWEB.fullmatch(scope['path']):
            refusal = self._refusal(_request(scope))
            await (_send(send, refusal) if refusal else self.dicomweb(scope, receive, send))
            return
        released = self.trouble.released
        try:
            response = self.answer(_request(scope))
        except ConnectionCut as cut:
            if cut.response:
                await _send(send, cut.response, cut=cut)
            await _hang_up(receive)
        except Hang as hang:
            await _wait(receive, released, hang.seconds)
            await _hang_up(receive)
        else:
            await _send(send, response)

    # The checks, in the order in which the service makes them (contract 4.2)

    def _served(self, request: Request) -> Response:
        try:
            values = _read_query(request.query)
        except _BadQuery as error:
            return Response(400, _TEXT, str(error).encode())
        if request.path == '/health/check':
            return Response(200, _JSON, b'{"overallStatus":"Healthy"}')
        route = _ROUTE.fullmatch(request.path)
        version = _VERSION.fullmatch(route[1]) if route else None
        if route is None or version is None:
            return Response(404, {})
        major = _VERSIONS.get((int(version[1]), int(version[2] or 0), (version[3] or '').lower()))
        if major is None:
            return self._unsupported_version(request, route[1])
        if request.method != 'GET':
            return Response(405, {'Allow': 'GET'})
        try:
            claims = self._claims(request)
        except Exception as error:
            return self._challenge(error)
        read = self._latest if route[2] else self._list
        return self._read(lambda: read(major, values, claims))

    def _read(self, read: Callable[[], Response]) -> Response:
        """Failures to responses (contract 4.3)."""
        try:
            return read()
        except _BadQuery as error:
            return Response(400, _TEXT | _REPORTED, str(error).encode())
        except PermissionError:
            return _FORBIDDEN
        except OverflowError:
            return Response(503, _TEXT, DATA_STORE_TEXT.encode())
        except BlobFailure as error:
            text = SERVER_ERROR_TEXT if error.status == 500 else DATA_STORE_TEXT
            return Response(error.status, _TEXT, text.encode())

    def _list(self, major: int, values: Mapping[str, str], claims: Mapping[str, object] | None) -> Response:
        page = _sequence_page(values) if major == 1 else _time_page(values)
        self._authorize(claims)
        if page.start is None or page.end is None:
            texts = self.store.by_sequence(page.offset, page.limit, metadata=page.metadata)
        else:
            texts = self.store.by_time(page.start, page.end, page.offset, page.limit, metadata=page.metadata)
            if page.offset:
                self._journal.add_rows_skipped(
                    page.offset if texts else self.store.skipped(page.start, page.end, page.offset)
                )
        self._journal.add_rows_read(len(texts))
        return Response(200, _JSON | _REPORTED, f'[{",".join(texts)}]'.encode())

    def _latest(self, major: int, values: Mapping[str, str], claims: Mapping[str, object] | None) -> Response:
        metadata = _include_metadata(values)
        self._authorize(claims)
        text = self.store.latest(by_time=major > 1, metadata=metadata)
        return Response(204, _REPORTED) if text is None else Response(200, _JSON | _REPORTED, text.encode())

    # Who asks, and whether they may

    def _claims(self, request: Request) -> Mapping[str, object] | None:
        """The verified claims; None with security off."""
        if self._verify is None:
            return None
        scheme, _, token = request.headers.get('authorization', '').partition(' ')
        if scheme.lower() != 'bearer' or not token.strip():
            raise _NoToken()
        return self._verify(token.strip())

    def _authorize(self, claims: Mapping[str, object] | None, *, roles: Collection[str] = (READER, OWNER)) -> None:
        if claims is not None and not self._roles(str(claims.get('oid'))) & set(roles):
            raise PermissionError

    def _refusal(self, request: Request) -> Response | None:
        """The answer to who may not do this to images; None for who may."""
        try:
            claims = self._claims(request)
            self._authorize(claims, roles=(READER, OWNER) if request.method in _READING else (OWNER,))
        except PermissionError:
            return _FORBIDDEN
        except Exception as error:
            return self._challenge(error)
        return None

    def _roles(self, object_id: str) -> set[str]:
        """The roles that are felt now; each call counts as a request for the grants that wait for some."""
        with self._grants_lock:
            for grant in [grant for grant in self._grants if grant.object_id == object_id]:
                if grant.requests_left <= 0 and self.store.clock() >= grant.from_ticks:
                    self._grants.remove(grant)
                    self.role_assignments.setdefault(object_id, set()).add(grant.role)
                grant.requests_left -= 1
            return self.role_assignments.get(object_id, set())

    def _challenge(self, error: Exception) -> Response:
        """401 for a token that is refused; which class the error has, is the business of whoever gave `verify`."""
        if not hasattr(error, 'claims_challenge'):
            raise error
        return self._unauthorized(error)

    def _unauthorized(self, error: Any) -> Response:
        """401 with an empty body (contract 5.2); a claims challenge is written as Entra's other resources write it."""
        challenge = (
            f'Bearer authorization_uri="{self._authority}", resource_id="{self._audiences[0]}", '
            f'realm="{self._audiences[0]}"'
        )
        if error.claims_challenge:
            claims = base64.b64encode(error.claims_challenge.encode()).decode()
            challenge += f', error="insufficient_claims", claims="{claims}"'
        elif error.description:
            challenge += f', error="invalid_token", error_description="{error.description}"'
        return Response(401, {'WWW-Authenticate': challenge})

    def _unsupported_version(self, request: Request, version: str) -> Response:
        message = (
            f"The HTTP resource that matches the request URI 'https://{self.host}{request.path}' "
            f"does not support the API version '{version}'."
        )
        body = json.dumps({'error': {'code': 'UnsupportedApiVersion', 'message': message}}, separators=(',', ':'))
        return Response(400, _JSON | _REPORTED, body.encode())


class _NoToken(Exception):
    description = ''
    claims_challenge = None


# The ASGI face, top-down


def _request(scope: Scope) -> Request:
    headers = {name.decode('latin-1').lower(): value.decode('latin-1') for name, value in scope['headers']}
    return Request(scope['path'], scope['query_string'].decode('latin-1'), scope['method'], headers)


async def _send(send: Send, response: Response, *, cut: ConnectionCut | None = None) -> None:
    """The response whole, or its first part when the connection is to be cut behind that."""
    headers = [(name.lower().encode(), value.encode('latin-1')) for name, value in response.headers.items()]
    if response.status != 204 and not (cut and cut.chunked):
        headers.append((b'content-length', str(len(response.body)).encode()))
    await send({'type': 'http.response.start', 'status': response.status, 'headers': headers})
    body = response.body[: cut.length] if cut else response.body
    await send({'type': 'http.response.body', 'body': body, 'more_body': cut is not None})


async def _wait(receive: Receive, released: threading.Event, seconds: float) -> None:
    """Until released, the time is over, or the client has gone."""
    gone = asyncio.ensure_future(_client_gone(receive))
    deadline = asyncio.get_running_loop().time() + seconds
    while not (released.is_set() or gone.done()) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.02)
    gone.cancel()


async def _client_gone(receive: Receive) -> None:
    while (await receive())['type'] != 'http.disconnect':
        pass


async def _hang_up(receive: Receive) -> None:
    """Close the connection under the answer. ASGI has no word for it: uvicorn's transport is behind its `receive`."""
    transport = getattr(getattr(receive, '__self__', None), 'transport', None)
    if transport is None:
        raise ConnectionResetError('a server without a transport to close')
    transport.close()
    await asyncio.wait_for(_client_gone(receive), 10)


class _BadQuery(Exception):
    """A 400; its text is the body."""


@dataclass(frozen=True)
class _Page:
    """A list request. `start` and `end` are ticks; None: a list by sequence, as v1 has it."""

    offset: int
    limit: int
    metadata: bool
    start: int | None = None
    end: int | None = None


def _read_query(query: str) -> dict[str, str]:
    """Lower-case names and their first values. Raises _BadQuery for a `<`, however it is written."""
    if not query:
        return {}
    if '<' in unquote(query):
        raise _BadQuery('The query string holds a character that is not allowed.')
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name.lower(), value)
    return values


def _sequence_page(values: Mapping[str, str]) -> _Page:
    """The parameters of the v1 list; others are ignored."""
    return _Page(
        offset=_integer(values, 'offset', 0, minimum=0, maximum=_INT64, bits=64),
        limit=_integer(values, 'limit', 10, minimum=1, maximum=100, bits=32),
        metadata=_include_metadata(values),
    )


def _time_page(values: Mapping[str, str]) -> _Page:
    """The parameters of the v2 list; others are ignored."""
    start = _time(values, 'StartTime', 0)
    end = _time(values, 'EndTime', ticks.LAST)
    page = _Page(
        offset=_integer(values, 'Offset', 0, minimum=0, maximum=_INT64, bits=64),
        limit=_integer(values, 'Limit', 100, minimum=1, maximum=200, bits=32),
        metadata=_include_metadata(values),
        start=start,
        end=end,
    )
    if start >= end:
        raise _BadQuery("Specified argument was out of the range of valid values. (Parameter 'startTime')")
    return page


def _include_metadata(values: Mapping[str, str]) -> bool:
    """True unless the caller says no."""
    value = values.get('includemetadata', 'true')
    known = {'true': True, 'false': False}.get(value.strip().lower())
    if known is None:
        raise _bad('includeMetadata', f"The value '{value}' is not valid.")
    return known


def _integer(values: Mapping[str, str], name: str, default: int, *, minimum: int, maximum: int, bits: int) -> int:
    value = values.get(name.lower())
    if value is None:
        return default
    number = int(value) if len(value) < 100 and _INTEGER.fullmatch(value.strip()) else None
    if number is None or not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        raise _bad(name, f"The value '{value}' is not valid.")
    if not minimum <= number <= maximum:
        raise _bad(name, f'The field {name} must be between {minimum} and {_as_double(maximum)}.')
    return number


def _as_double(number: int) -> str:
    """The service's range check counts in doubles, and its message shows it."""
    return str(number) if number <= _INT32 else f'{float(number):.17E}'


def _time(values: Mapping[str, str], name: str, default: int) -> int:
    value = values.get(name.lower(), '').strip()
    if not value:
        return default
    try:
        return ticks.parse(value)
    except ticks.ZoneMissing:
        raise _bad(name, 'The time must name its zone.') from None
    except ValueError:
        raise _bad(name, '') from None


def _bad(name: str, reason: str) -> _BadQuery:
    return _BadQuery(f"Invalid query: '{name}'. {html.escape(reason, quote=False)}")
