"""One client's connection: its requests one after the other, each judged before it may pass.

Owned: the proxy's own answers, and when the connection is good for another request. Not owned: what may pass
(`rules.py`), and carrying what does (`relay.py`).
"""

from __future__ import annotations

import http
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from azext_dicomtoken.proxy import rules, syntax
from azext_dicomtoken.proxy.messages import Body, parse_request, render_head, render_status
from azext_dicomtoken.proxy.relay import Outcome, Relay
from azext_dicomtoken.proxy.rules import Passage, Policy
from azext_dicomtoken.proxy.syntax import Answer, Request
from azext_dicomtoken.proxy.upstream import Upstream
from azext_dicomtoken.proxy.wire import Failure, Late, Limits, Wire

_METHODS = frozenset({b'GET', b'HEAD', b'OPTIONS', b'POST', b'PUT', b'PATCH', b'DELETE'})


@dataclass(frozen=True)
class Exchange:
    """What may be logged of one request.

    :ivar kind: API version and kind of resource; `-` for what did not pass.
    :ivar milliseconds: from the end of its head to the end of the answer.
    """

    method: str
    kind: str
    status: int
    payload_bytes: int
    milliseconds: int
    is_whole: bool


class Conversation:  # pylint: disable=too-many-instance-attributes    # what it is given
    """For one thread.

    :param passing: entered while a request passes to the service.
    :param on_exchange: told of each request.
    """

    def __init__(
        self,
        wire: Wire,
        policy: Policy,
        *,
        upstream: Upstream,
        limits: Limits,
        passing: Callable[[], AbstractContextManager[None]],
        on_exchange: Callable[[Exchange], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wire = wire
        self._policy = policy
        self._upstream = upstream
        self._limits = limits
        self._passing = passing
        self._on_exchange = on_exchange
        self._monotonic = monotonic
        self._began = 0.0

    def wait_for_request(self) -> bool:
        """Whether one begins in time. An empty connection is closed in silence: browsers open such."""
        try:
            return self._wire.wait_for_input(self._limits.idle_seconds)
        except Late:
            return False

    def serve_request(self) -> bool:
        """Answer one request; whether the connection is good for another.

        :raises PeerLeft: the client left.
        :raises Late: the client does not take what it asked for.
        """
        self._began = self._monotonic()
        try:
            head = self._wire.read_head(self._limits.head_seconds)
            self._began = self._monotonic()
            request, body = parse_request(head)
        except Late:
            return self._refuse(Answer(408, 'The head of the request did not come in time.'))
        except Failure as failure:
            return self._refuse(failure.answer)
        verdict = rules.judge(request, self._policy)
        if isinstance(verdict, Answer):
            return self._refuse(verdict, request, body=body)
        with self._passing():
            return self._pass(request, body, passage=verdict)

    def refuse_connection(self) -> None:
        """Say that there are too many."""
        self._began = self._monotonic()
        self._refuse(Answer(503, 'The proxy has as many connections as it takes.'))

    def _pass(self, request: Request, body: Body, *, passage: Passage) -> bool:
        relay = Relay(
            self._wire,
            self._upstream,
            request=request,
            body=body,
            passage=passage,
            base=_base(request, self._policy, passage=passage),
            keeps_client=_wants_more(request),
            limits=self._limits,
        )
        kind = rules.kind_of(passage.target)
        try:
            outcome = relay.run()
        except Failure as failure:
            return self._refuse(replace(failure.answer, origin=passage.origin), request, body=body, kind=kind)
        self._log(request, kind, outcome=outcome)
        if not body.finished and outcome.is_whole:
            self._linger()
        return outcome.keeps_client

    def _refuse(
        self, answer: Answer, request: Request | None = None, *, body: Body | None = None, kind: str = '-'
    ) -> bool:
        """Send an answer of our own. Where a body is unread, it is the last one."""
        keeps = request is not None and body is not None and body.finished and _wants_more(request)
        text = f'{answer.text}\n'.encode() if answer.text else b''
        fields = rules.fields_of_answer(answer)
        if answer.status != 204:
            fields.append((b'Content-Length', b'%d' % len(text)))
        if not keeps:
            fields.append((b'Connection', b'close'))
        if request is not None and request.method == b'HEAD':
            text = b''
        line = render_status(answer.status, http.HTTPStatus(answer.status).phrase.encode())
        self._wire.write(render_head(line, fields) + text, self._limits.piece_seconds)
        self._log(request, kind, outcome=Outcome(answer.status, len(text), is_whole=True, keeps_client=keeps))
        if not keeps:
            self._linger()
        return keeps

    def _linger(self) -> None:
        """Read what still comes for a while: a close with unread bytes would take the answer away from the client."""
        self._wire.finish_writing()
        deadline = self._monotonic() + self._limits.linger_seconds
        while (left := deadline - self._monotonic()) > 0 and self._wire.read(left):
            pass

    def _log(self, request: Request | None, kind: str, *, outcome: Outcome) -> None:
        method = request.method.decode('ascii') if request and request.method in _METHODS else '-'
        milliseconds = round(1000 * (self._monotonic() - self._began))
        self._on_exchange(Exchange(method, kind, outcome.status, outcome.payload_bytes, milliseconds, outcome.is_whole))


def _wants_more(request: Request) -> bool:
    return not request.is_http10 and b'close' not in syntax.named_by_connection(request.fields)


def _base(request: Request, policy: Policy, *, passage: Passage) -> bytes:
    """The proxy's origin by the name that the client used, and with the secret where its addresses have it."""
    name = syntax.values_of(request.fields, b'host')[0].partition(b':')[0]
    secret = b'/' + policy.secret.encode() if passage.is_secret_in_path else b''
    return b'http://%b:%d%b' % (name, policy.port, secret)
