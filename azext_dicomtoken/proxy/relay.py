"""One request on its way to the service, and the answer on its way back, in bounded memory.

Owned: the token that is added, 100-continue, an answer that comes before the request is whole, one renewal after a 401,
and that nothing that was cut short looks complete on the other side.
"""

from __future__ import annotations

from dataclasses import dataclass

from azext_dicomtoken.proxy import rules, syntax
from azext_dicomtoken.proxy.messages import (
    LAST_CHUNK,
    Body,
    EndlessBody,
    parse_response,
    render_chunk,
    render_head,
    render_status,
)
from azext_dicomtoken.proxy.rules import Passage
from azext_dicomtoken.proxy.syntax import Answer, Fields, Request, Response
from azext_dicomtoken.proxy.upstream import NOT_REACHED, Upstream
from azext_dicomtoken.proxy.wire import ClientLeft, Failure, Late, Limits, PeerLeft, ServiceLeft, Wire, wait

_MOST_INTERIM_ANSWERS = 20
_NO_BODY = (b'GET', b'HEAD')


@dataclass(frozen=True)
class Outcome:
    """What the client got.

    :ivar payload_bytes: of the body that was sent on to the client.
    :ivar is_whole: whether the client got all of the answer.
    :ivar keeps_client: whether its connection is good for another request.
    """

    status: int
    payload_bytes: int
    is_whole: bool
    keeps_client: bool


class Relay:  # pylint: disable=too-many-instance-attributes,too-few-public-methods    # the state of one exchange
    """Carries one request.

    :param base: the proxy's origin as this client knows it, with the secret where its addresses have it.
    :param keeps_client: whether the client wants to go on with its connection.
    """

    def __init__(
        self,
        client: Wire,
        upstream: Upstream,
        *,
        request: Request,
        body: Body,
        passage: Passage,
        base: bytes,
        keeps_client: bool,
        limits: Limits,
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._request = request
        self._body = body
        self._passage = passage
        self._base = base
        self._keeps_client = keeps_client
        self._limits = limits
        self._is_body_begun = False
        self._is_continued = False
        self._interim_answers = 0
        self._has_answered = False
        self._unsent_head = b''
        self._payload_bytes = 0

    def run(self) -> Outcome:
        """To its end.

        :raises Failure: with the answer that the client shall get instead.
        :raises ClientLeft: the client left; the request to the service has ended too.
        """
        service, response, body = self._ask()
        self._upstream.note_answer(response.status)
        try:
            return self._deliver(service, response, body)
        except PeerLeft:
            service.close()
            raise

    # ---- to the service ----------------------------------------------------------------------------------------------

    def _ask(self) -> tuple[Wire, Response, Body]:
        """The service's final answer; a 401 only where a new token did not help."""
        token = self._upstream.tokens.current()
        service, response, body = self._ask_with(token)
        if response.status != 401 or self._is_body_begun:
            return service, response, body
        try:
            renewed = self._upstream.tokens.after_refusal(token)
        except Failure:
            service.close()
            raise
        if not renewed:
            return service, response, body
        service.close()
        return self._ask_with(renewed)

    def _ask_with(self, token: str) -> tuple[Wire, Response, Body]:
        """Once; what only reads is sent once more where a kept connection broke before it had answered."""
        only_reads = self._request.method in _NO_BODY and self._body.finished
        limits = self._limits
        kept = self._upstream.take(idle_seconds=limits.idle_seconds if only_reads else limits.body_reuse_seconds)
        if kept:
            self._has_answered = False
            try:
                return self._exchange(kept, token)
            except ServiceLeft:
                if not only_reads or self._has_answered:
                    raise Failure(NOT_REACHED) from None
        try:
            return self._exchange(self._upstream.open(), token)
        except ServiceLeft:
            raise Failure(NOT_REACHED) from None

    def _exchange(self, service: Wire, token: str) -> tuple[Wire, Response, Body]:
        try:
            response, body = self._send(service, token) or self._wait_for_answer(service)
        except BaseException:
            service.close()
            raise
        return service, response, body

    def _send(self, service: Wire, token: str) -> tuple[Response, Body] | None:
        """The head and the body as it comes; the answer, where the service gives it before it has all."""
        pending = memoryview(self._head(token))
        while pending or not self._body.finished:
            if service.poll():
                answer = self._read_answer(service)
                if answer:
                    return answer
            elif pending:
                written = service.write_now(pending)
                pending = pending[written:]
                if not written:
                    self._wait_for_service(service)
            else:
                pending = memoryview(self._next_piece(service))
        return None

    def _head(self, token: str) -> bytes:
        fields = [(b'Host', self._upstream.host), *rules.fields_for_service(self._request)]
        fields.append((b'Authorization', b'Bearer ' + token.encode('ascii')))
        if self._passage.expects_continue and not self._body.finished:
            fields.append((b'Expect', b'100-continue'))
        line = b'%b %b HTTP/1.1' % (self._request.method, self._passage.target)
        return render_head(line, [*fields, *self._request_framing()])

    def _request_framing(self) -> Fields:
        if self._body.is_chunked:
            return [(b'Transfer-Encoding', b'chunked')]
        says_length = syntax.values_of(self._request.fields, b'content-length') or self._request.method not in _NO_BODY
        return [(b'Content-Length', b'%d' % (self._body.length or 0))] if says_length else []

    def _next_piece(self, service: Wire) -> bytes | memoryview:
        """What to send on of the client's body; nothing where nothing is there yet."""
        piece = self._client.read_now()
        if piece is None:
            self._wait_for_client(service)
            return b''
        if not piece:
            raise ClientLeft
        self._is_body_begun = True
        payload, used = self._body.take(piece)
        self._client.unread(piece[used:])
        if not self._body.is_chunked:
            return payload
        return render_chunk(payload) + (LAST_CHUNK if self._body.finished else b'')

    def _wait_for_client(self, service: Wire) -> None:
        """For more of its body, or for the service; a client that waits for a 100 waits as long as for an answer."""
        is_waiting = self._passage.expects_continue and not self._is_body_begun and not self._is_continued
        try:
            limits = self._limits
            wait([self._client, service], [], limits.answer_seconds if is_waiting else limits.piece_seconds)
        except Late:
            raise Failure(_SERVICE_LATE if is_waiting else _CLIENT_LATE) from None

    def _wait_for_service(self, service: Wire) -> None:
        try:
            wait([service], [service], self._limits.piece_seconds)
        except Late:
            raise Failure(_SERVICE_LATE) from None

    # ---- its answer --------------------------------------------------------------------------------------------------

    def _wait_for_answer(self, service: Wire) -> tuple[Response, Body]:
        while True:
            answer = self._read_answer(service)
            if answer:
                return answer

    def _read_answer(self, service: Wire) -> tuple[Response, Body] | None:
        """The final answer; None for one of those before it, of which the client gets the 100 that it waits for."""
        try:
            if not service.wait_for_input(self._limits.answer_seconds, watch=self._client):
                raise ServiceLeft
            self._has_answered = True
            head = service.read_head(self._limits.piece_seconds, watch=self._client)
        except Late:
            raise Failure(_SERVICE_LATE) from None
        except Failure as failure:
            raise Failure(syntax.bad_answer(failure.answer.text)) from None
        response, body = parse_response(head, self._request.method)
        if response.status >= 200:
            return response, body
        self._interim_answers += 1
        if self._interim_answers > _MOST_INTERIM_ANSWERS:
            raise Failure(syntax.bad_answer('it has no end of interim answers'))
        if response.status == 100 and self._passage.expects_continue and not self._is_continued:
            self._is_continued = True
            if not self._is_body_begun:
                self._write(render_head(render_status(100, b'Continue'), []))
        return None

    # ---- to the client -----------------------------------------------------------------------------------------------

    def _deliver(self, service: Wire, response: Response, body: Body) -> Outcome:
        """The answer; where it breaks off, the client's connection does, so that it does not look whole."""
        is_chunked = body.length is None and not self._request.is_http10
        keeps_client = self._keeps_client and self._body.finished
        head = render_head(
            render_status(response.status, response.reason),
            [*self._fields(response), *_framing(response, body, is_chunked=is_chunked), *_connection(keeps_client)],
        )
        try:
            self._copy(service, body, head=head, is_chunked=is_chunked)
        except (ServiceLeft, Late, Failure):
            service.close()
            if self._unsent_head:
                raise Failure(NOT_REACHED) from None
            if body.length is None and not is_chunked:
                self._client.reset()
            return Outcome(response.status, self._payload_bytes, is_whole=False, keeps_client=False)
        self._let_go(service, response, body)
        return Outcome(response.status, self._payload_bytes, is_whole=True, keeps_client=keeps_client)

    def _copy(self, service: Wire, body: Body, *, head: bytes, is_chunked: bool) -> None:
        """Head and body; the head goes out with the first piece of the body, where that is there already."""
        self._unsent_head = head
        while not body.finished:
            if self._unsent_head and not service.poll():
                self._write_with_head(b'')
            piece = service.read(self._limits.piece_seconds, watch=self._client)
            if not piece and not body.end():
                raise ServiceLeft
            payload, used = body.take(piece)
            service.unread(piece[used:])
            self._write_with_head(render_chunk(payload) if is_chunked else payload)
            self._payload_bytes += len(payload)
        self._write_with_head(LAST_CHUNK if is_chunked else b'')

    def _write_with_head(self, data: bytes | memoryview) -> None:
        head, self._unsent_head = self._unsent_head, b''
        self._write(b''.join((head, data)) if head else data)

    def _write(self, data: bytes | memoryview) -> None:
        try:
            self._client.write(data, self._limits.piece_seconds)
        except (Late, PeerLeft):
            raise ClientLeft from None

    def _fields(self, response: Response) -> list[tuple[bytes, bytes]]:
        def local(name: bytes, value: bytes) -> bytes:
            if name.lower() != b'location':
                return value
            return rules.local_location(value, service_origin=self._upstream.origin, base=self._base)

        fields = [(name, local(name, value)) for name, value in response.fields]
        return rules.fields_for_client(fields, origin=self._passage.origin)

    def _let_go(self, service: Wire, response: Response, body: Body) -> None:
        """Keep the connection only where both sides are at the end of a message."""
        is_closing = b'close' in syntax.named_by_connection(response.fields) or response.is_http10
        if is_closing or not self._body.finished or isinstance(body, EndlessBody):
            service.close()
        else:
            self._upstream.keep(service)


_CLIENT_LATE = Answer(408, 'The body of the request did not come in time.')
_SERVICE_LATE = Answer(504, 'The DICOM service did not answer in time.')


def _framing(response: Response, body: Body, *, is_chunked: bool) -> Fields:
    """A 204 has no length; an answer to HEAD and a 304 keep the one that they speak of."""
    if is_chunked:
        return [(b'Transfer-Encoding', b'chunked')]
    if response.status == 204 or body.length is None:
        return []
    lengths = syntax.values_of(response.fields, b'content-length')
    return [(b'Content-Length', length) for length in lengths]


def _connection(keeps_client: bool) -> Fields:
    return [] if keeps_client else [(b'Connection', b'close')]
