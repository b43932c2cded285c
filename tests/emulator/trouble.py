"""Trouble on the way: faults that stand in front of the service and hit requests by turn, by kind or by chance.

Owned: the faults and the script that says which request meets which one.
Not owned: poisoned metadata and an outage of the blob store, which are states of the feed (`store.py`).

A fault is a function from the service's own answer (not yet worked out) to the answer that the client gets; it may also
raise ConnectionCut, Hang or TokenExpired. So the scripts work alike with and without sockets.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

DATA_STORE_TEXT = 'The data store operation failed.'
SERVER_ERROR_TEXT = 'An internal server error occurred.'


@dataclass(frozen=True)
class Request:
    """What the service is asked: `path` decoded, `query` raw, `headers` with lower-case names."""

    path: str
    query: str = ''
    method: str = 'GET'
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Response:
    """A whole answer. Header names are written as the service writes them."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b''


class ConnectionCut(Exception):
    """The connection ends: before the answer, or, with a `response`, after `length` bytes of its body.

    `chunked`: the body comes without a Content-Length.
    """

    def __init__(self, response: Response | None = None, *, length: int = 0, chunked: bool = False) -> None:
        super().__init__('the connection was cut')
        self.response = response
        self.length = length
        self.chunked = chunked


class Hang(Exception):
    """No answer for `seconds`, then the connection ends."""

    def __init__(self, seconds: float) -> None:
        super().__init__('no answer')
        self.seconds = seconds


class TokenExpired(Exception):
    """The token of this request is to be refused, whatever it is."""

    description = 'The token expired.'
    claims_challenge = None


Answer = Callable[[], Response]
Fault = Callable[[Answer], Response]
Predicate = Callable[[Request], bool]


def status(code: int, text: str = '', headers: Mapping[str, str] | None = None) -> Fault:
    """That status with a plain text."""
    response = Response(code, {'Content-Type': 'text/plain; charset=utf-8', **(headers or {})}, text.encode())
    return lambda answer: response


def throttled(retry_after: str | int | None = None) -> Fault:
    """429; `retry_after` is a number of seconds or an HTTP date."""
    return status(429, 'Too many requests.', {} if retry_after is None else {'Retry-After': str(retry_after)})


def server_error() -> Fault:
    """500 with the service's one text for it."""
    return status(500, SERVER_ERROR_TEXT)


def unavailable() -> Fault:
    """503 as a failure of the data store gives it."""
    return status(503, DATA_STORE_TEXT)


def web_page(code: int = 200) -> Fault:
    """The page of a portal, a proxy or a gateway that answers in the place of the service."""
    page = Response(code, {'Content-Type': 'text/html; charset=utf-8'}, b'<!DOCTYPE html><html><p>Sign in.</p></html>')
    return lambda answer: page


def transient_400() -> Fault:
    """The 400 that is no fault of the request: its text names no parameter (contract 4.3)."""
    return status(400, DATA_STORE_TEXT)


def redirect(url: str, code: int = 302) -> Fault:
    """To another place, which must never be followed with a token."""
    return status(code, '', {'Location': url})


def cut() -> Fault:
    """The connection ends before the answer; the service has done its work."""

    def fault(answer: Answer) -> Response:
        answer()
        raise ConnectionCut()

    return fault


def cut_body(*, share: float = 0.5, chunked: bool = False) -> Fault:
    """The body ends in the middle, with a Content-Length that promised more, or in the middle of a chunked body."""

    def fault(answer: Answer) -> Response:
        response = answer()
        raise ConnectionCut(response, length=int(len(response.body) * share), chunked=chunked)

    return fault


def hang(seconds: float = 30.0) -> Fault:
    """No answer until `Trouble.release` or that long, then the connection ends."""

    def fault(answer: Answer) -> Response:
        raise Hang(seconds)

    return fault


def malformed_json() -> Fault:
    """A whole 200 whose JSON ends in the middle, as when the service fails while it writes."""

    def fault(answer: Answer) -> Response:
        response = answer()
        return replace(response, body=response.body[: -1 - len(response.body) // 3])

    return fault


def huge_body(size: int) -> Fault:
    """A 200 whose body is valid JSON of `size` bytes and no answer to anything."""

    def fault(answer: Answer) -> Response:
        return replace(answer(), body=b'["' + b'x' * (size - 4) + b'"]')

    return fault


def expired_token() -> Fault:
    """401, as for a token that has just expired."""

    def fault(answer: Answer) -> Response:
        raise TokenExpired()

    return fault


class Trouble:
    """Which request meets which fault. All methods may be called from any thread.

    What `next` queued comes first, then what `when` says, in the order of the calls, then `every`.
    """

    def __init__(self) -> None:
        self.released = threading.Event()
        self._lock = threading.Lock()
        self._queue: list[Fault] = []
        self._rules: list[_Rule] = []
        self._lottery: _Lottery | None = None

    def next(self, fault: Fault, *, times: int = 1) -> None:
        """The next `times` requests meet the fault."""
        with self._lock:
            self._queue.extend([fault] * times)

    def when(self, predicate: Predicate, fault: Fault, *, times: int | None = None) -> None:
        """Requests that the predicate picks meet the fault, the first `times` of them (None: all)."""
        with self._lock:
            self._rules.append(_Rule(predicate, fault, times))

    def every(self, count: int, faults: Sequence[Fault], *, seed: int) -> None:
        """Of every `count` requests one, drawn by lot, meets one of the faults, drawn by lot."""
        with self._lock:
            self._lottery = _Lottery(count, faults, seed)

    def clear(self) -> None:
        """No more trouble; what hangs is released."""
        self.release()
        with self._lock:
            self._queue.clear()
            self._rules.clear()
            self._lottery = None

    def release(self) -> None:
        """End every hang that there is now."""
        self.released.set()
        self.released = threading.Event()

    def choose(self, request: Request) -> Fault | None:
        """The fault that this request meets; each call counts as a request."""
        with self._lock:
            if self._queue:
                return self._queue.pop(0)
            for rule in self._rules:
                if rule.left != 0 and rule.predicate(request):
                    rule.left = None if rule.left is None else rule.left - 1
                    return rule.fault
            return self._lottery.draw() if self._lottery else None


@dataclass
class _Rule:
    predicate: Predicate
    fault: Fault
    left: int | None


class _Lottery:
    def __init__(self, count: int, faults: Sequence[Fault], seed: int) -> None:
        self._count = count
        self._faults = faults
        self._random = random.Random(seed)
        self._turn = 0
        self._hit = 0

    def draw(self) -> Fault | None:
        if self._turn == 0:
            self._hit = self._random.randrange(self._count)
        is_hit = self._turn == self._hit
        self._turn = (self._turn + 1) % self._count
        return self._random.choice(self._faults) if is_hit else None
