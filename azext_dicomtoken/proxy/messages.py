"""HTTP/1.1 messages: from raw heads to values and back, and the framing of bodies.

h11 reads heads and chunks, after `syntax` has passed the raw bytes. A body with a length bypasses it: it is counted and
copied, which is three times as fast.
"""

from __future__ import annotations

from azext_dicomtoken.proxy import syntax
from azext_dicomtoken.proxy.syntax import Answer, Fields, Request, Response
from azext_dicomtoken.proxy.wire import Failure
from azext_dicomtoken.vendored_sdks import h11

LAST_CHUNK = b'0\r\n\r\n'
_BAD_CHUNK = Answer(400, 'A chunk of the body is not valid.')


class Body:
    """The rest of a message as it arrives. This one is empty.

    :ivar length: as the head says it; None where only the end tells.
    """

    is_chunked = False
    length: int | None = 0

    @property
    def finished(self) -> bool:
        return True

    def take(self, piece: memoryview) -> tuple[bytes | memoryview, int]:
        """The payload in a piece, and how many of its bytes belong to this body."""
        return piece[:0], 0

    def end(self) -> bool:
        """The connection ended; whether that is the end of the body."""
        return self.finished


class LengthBody(Body):
    """So many bytes."""

    def __init__(self, length: int) -> None:
        self.length = length
        self._left = length

    @property
    def finished(self) -> bool:
        return self._left == 0

    def take(self, piece: memoryview) -> tuple[bytes | memoryview, int]:
        payload = piece[: self._left]
        self._left -= len(payload)
        return payload, len(payload)


class ChunkedBody(Body):
    """Chunks, whose raw bytes `syntax` watches while h11 decodes them. What is in a trailer is dropped."""

    is_chunked = True
    length = None

    def __init__(self, connection: h11.Connection) -> None:
        self._connection = connection
        self._syntax = syntax.ChunkSyntax()
        self._is_finished = False

    @property
    def finished(self) -> bool:
        return self._is_finished

    def take(self, piece: memoryview) -> tuple[bytes | memoryview, int]:
        used = self._syntax.take(piece)
        if used is None:
            raise Failure(_BAD_CHUNK)
        payload = []
        try:
            self._connection.receive_data(bytes(piece[:used]))
            while isinstance(event := self._connection.next_event(), h11.Data):
                payload.append(event.data)
        except h11.RemoteProtocolError:
            raise Failure(_BAD_CHUNK) from None
        self._is_finished = isinstance(event, h11.EndOfMessage)
        if self._is_finished != self._syntax.finished:
            raise Failure(_BAD_CHUNK)
        return b''.join(payload), used


class EndlessBody(Body):
    """Everything until the connection is closed."""

    length = None

    def __init__(self) -> None:
        self._is_finished = False

    @property
    def finished(self) -> bool:
        return self._is_finished

    def take(self, piece: memoryview) -> tuple[bytes | memoryview, int]:
        return piece, len(piece)

    def end(self) -> bool:
        self._is_finished = True
        return True


def parse_request(head: bytes) -> tuple[Request, Body]:
    """The request and what follows it. Raises Failure for a head that breaks a rule."""
    refusal = syntax.refuse_request_head(head)
    if refusal:
        raise Failure(refusal)
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=syntax.LARGEST_HEAD_BYTES)
    try:
        connection.receive_data(head)
        event = connection.next_event()
    except h11.RemoteProtocolError:
        event = None
    if not isinstance(event, h11.Request):
        raise Failure(Answer(400, 'The head of the request is not valid HTTP.'))
    request = Request(event.method, event.target, event.headers.raw_items(), event.http_version == b'1.0')
    return request, _framed(request.fields, connection) or Body()


def parse_response(head: bytes, method: bytes) -> tuple[Response, Body]:
    """The answer of the service and what follows it. Raises Failure with 502 for a head that breaks a rule."""
    refusal = syntax.refuse_response_head(head)
    if refusal:
        raise Failure(refusal)
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=syntax.LARGEST_HEAD_BYTES)
    connection.send(h11.Request(method=method, target=b'/', headers=[(b'Host', b'-')]))  # for its framing of the answer
    try:
        connection.receive_data(head)
        event = connection.next_event()
    except h11.RemoteProtocolError:
        event = None
    if not isinstance(event, (h11.Response, h11.InformationalResponse)):
        raise Failure(syntax.bad_answer('its head cannot be read'))
    response = Response(event.status_code, event.reason, event.headers.raw_items(), event.http_version == b'1.0')
    if method == b'HEAD' or response.status in (204, 304) or response.status < 200:
        return response, Body()
    return response, _framed(response.fields, connection) or EndlessBody()


def render_head(first_line: bytes, fields: Fields) -> bytes:
    """A head as it goes out; every part of it has passed `syntax`."""
    return b'\r\n'.join([first_line, *(name + b': ' + value for name, value in fields), b'', b''])


def render_status(status: int, reason: bytes) -> bytes:
    return b'HTTP/1.1 %d %b' % (status, reason)


def render_chunk(payload: bytes | memoryview) -> bytes:
    """A chunk; nothing for no payload, which would end the body."""
    return b''.join((b'%x\r\n' % len(payload), payload, b'\r\n')) if payload else b''


def _framed(fields: Fields, connection: h11.Connection) -> Body | None:
    """By its chunks or its length; None where the head says neither."""
    if syntax.values_of(fields, b'transfer-encoding'):
        return ChunkedBody(connection)
    lengths = syntax.values_of(fields, b'content-length')
    return LengthBody(int(lengths[0])) if lengths else None
