"""The change feed's HTTP interface: the page that answers a query, the newest event.

Owned: what an answer means, and then when to ask again: after trouble that passes, held back by one gate for all
workers when the service says so, and once with a renewed token after a 401. Not owned: the socket (`transport.py`),
which pages to ask for (`sequences.py`, `windows.py`), metadata that cannot be read (`poison.py`).
"""

from __future__ import annotations

import codecs
import json
import random
import re
import threading
from collections.abc import Callable
from math import inf
from typing import NamedTuple, TypeVar

from dicomfeed.credential import Credential, TokenSource
from dicomfeed.errors import (
    BadRequest,
    ConnectionFailed,
    FeedError,
    Forbidden,
    HostUnreachable,
    HtmlResponse,
    MalformedResponse,
    NotFound,
    Redirected,
    ServiceError,
    ServiceTrouble,
    SignInUnavailable,
    TlsFailed,
    Unauthorized,
)
from dicomfeed.events import Event, decode_event, decode_page
from dicomfeed.queries import Page, Query
from dicomfeed.times import LAST_TICK, Clock, Ticks, parse_http_date, ticks_from_seconds
from dicomfeed.transport import Answer, Transport

ONE_SHOT_PATIENCE_SECONDS = 300.0
FIRST_ANSWER_PATIENCE_SECONDS = 15.0
"""A host that has never answered is more likely mistyped or out of reach than in trouble that passes."""
LONGEST_PAUSE_SECONDS = 60.0
LONGEST_OBEYED_PAUSE_SECONDS = 3_600.0
"""However long a `Retry-After` is, a reader that follows for ever asks again after an hour."""
CLOCK_DIFFERENCE_SECONDS = 120.0
MAY_PASS = (ConnectionFailed, MalformedResponse, ServiceTrouble, SignInUnavailable)
"""What may be well when it is asked for again."""
_FIRST_PAUSE_SECONDS = 0.5
_PARAMETER_NAMES = r'(?i)offset|limit|starttime|endtime|includemetadata|query string|UnsupportedApiVersion'
_PROXY_REFUSALS = frozenset({403, 407})
_TROUBLE_STATUSES = frozenset({408, 424, 429})
_REQUEST_ID_HEADERS = ('x-ms-request-id', 'x-ms-correlation-request-id', 'request-id', 'x-ms-client-request-id')

T = TypeVar('T')


class Retry(NamedTuple):
    """One request that will be asked again: why, how often it has failed now, and after how many seconds."""

    reason: FeedError
    failures: int
    pause_seconds: float


class Poll(NamedTuple):
    """The newest event, None for an empty feed, and the service's time (`Date`) when it was asked for.

    The local time where the answer has no `Date`. This one and not a clock that is kept from the first answer on: a
    machine that sleeps stops the monotonic clock.
    """

    newest: Event | None
    service_ticks: Ticks


class FeedClient:
    """The change feed of one DICOM service.

    :param service_url: `https://HOST`, without a path.
    :param tokens: where bearer tokens come from.
    :param patience_seconds: how long one page is asked for again after trouble that passes; None: for ever.
    :param on_retry: told of every request that will be asked again, from the thread that asks.
    :param on_clock_difference: told once, at the first answer, by how many seconds the local clock is ahead of the
        service's (negative: behind), if that is more than `CLOCK_DIFFERENCE_SECONDS`.
    :param keep_names: as for `decode_page`.
    :param is_proven: whether another client has had an answer there: then trouble is not taken for a wrong address.
    """

    def __init__(
        self,
        service_url: str,
        tokens: TokenSource,
        *,
        transport: Transport,
        clock: Clock | None = None,
        patience_seconds: float | None = ONE_SHOT_PATIENCE_SECONDS,
        on_retry: Callable[[Retry], None] = lambda retry: None,
        on_clock_difference: Callable[[float], None] = lambda seconds: None,
        jitter: Callable[[], float] = random.random,
        keep_names: bool = False,
        is_proven: bool = False,
    ) -> None:
        self.service_url = service_url.rstrip('/')
        self.clock = clock or Clock()
        self.patience_seconds = patience_seconds
        self.on_retry = on_retry
        self._transport = transport
        self._keep_names = keep_names
        self._credential = Credential(tokens, clock=self.clock)
        self._retries = _Retries(self.clock, on_retry=on_retry, jitter=jitter)
        if is_proven:
            self._retries.note_answer()
            self._retries.note_page()
        self._service_clock = _ServiceClock(self.clock, on_difference=on_clock_difference)

    def read(self, query: Query, *, include_metadata: bool, patience_seconds: float | None) -> Page:
        """The page that answers the query.

        `patience_seconds`: 0 asks once, None for ever. Raises RequestError or ServiceError when patience is at an
        end, or at once where asking again cannot help, and what the token source raises.
        """

        def ask() -> Page:
            asked_monotonic, asked_ticks = self.clock.monotonic(), self.clock.now()
            return self._ask(
                query.path,
                query.parameters | _metadata_parameter(include_metadata),
                lambda answer: self._page_of(answer, query, asked_monotonic, asked_ticks),
            )

        return self._retries.until_answered(ask, patience_seconds)

    def latest(self, *, by_time: bool = False, include_metadata: bool = False) -> Event | None:
        """The event with the greatest sequence number, or the last in time; None for an empty feed (204)."""
        path = f'v{2 if by_time else 1}/changefeed/latest'
        return self._retries.until_answered(
            lambda: self._ask(path, _metadata_parameter(include_metadata), _newest_of), self.patience_seconds
        )

    def poll(self) -> Poll:
        """Ask for the newest event, and tell the service's clock by the answer."""

        def ask() -> Poll:
            asked_monotonic, asked_ticks = self.clock.monotonic(), self.clock.now()
            return self._ask(
                'v1/changefeed/latest',
                _metadata_parameter(False),
                lambda answer: Poll(
                    _newest_of(answer), _asked_by_server(answer, self.clock.monotonic() - asked_monotonic, asked_ticks)
                ),
            )

        return self._retries.until_answered(ask, self.patience_seconds)

    def service_now(self) -> Ticks:
        """The time by the service's clock: its `Date` at the first answer, and what has gone by since.

        Asks for the newest event where nothing has been answered yet. The local clock where answers have no `Date`.
        """
        if not self._service_clock.has_page:
            self.latest()
        return self._service_clock.now()

    def earlier_now(self) -> Ticks:
        """The earlier of the local clock and the service's, as far as it is known; asks nothing."""
        return min(self.clock.now(), self._service_clock.now())

    def _page_of(self, answer: Answer, query: Query, asked_monotonic: float, asked_ticks: Ticks) -> Page:
        """The page, where it answers the query."""
        answered = self.clock.monotonic()
        events = decode_page(answer.body, limit=query.limit, keep_names=self._keep_names)
        if not query.answers(events):
            raise ValueError('not an answer to the question')
        asked_by_server = _asked_by_server(answer, answered - asked_monotonic, asked_ticks)
        return Page(events, asked_monotonic, min(asked_ticks, asked_by_server), answered)

    def _ask(self, path: str, parameters: dict[str, str], read: Callable[[Answer], T]) -> T:
        """One request, with one renewal of the token; raises our errors."""
        url = f'{self.service_url}/{path}'
        is_slow = parameters['includeMetadata'] == 'true'
        token = self._credential.token()
        self._retries.note_token()
        answer = self._transport.get(url, parameters=parameters, token=token, is_slow=is_slow)
        self._retries.note_answer()
        if answer.status == 401:
            self._credential.renew(token, claims=_challenged_claims(answer.headers.get('www-authenticate', '')))
            answer = self._transport.get(url, parameters=parameters, token=self._credential.token(), is_slow=is_slow)
        if answer.status not in (200, 204):
            raise _service_error(answer, url)
        if _is_html(answer):
            raise HtmlResponse('The answer is an HTML page, not a page of the change feed.', url=url)
        try:
            result = read(answer)
        except ValueError:
            raise MalformedResponse('The answer is not a page of the change feed.', url=url) from None
        self._retries.note_page()
        self._service_clock.note(answer)
        return result


def _metadata_parameter(include_metadata: bool) -> dict[str, str]:
    """Always said: the service's own default is to read the metadata of every event."""
    return {'includeMetadata': 'true' if include_metadata else 'false'}


# When to ask again


class _Retries:
    """Asks again while what goes wrong may pass and patience lasts; one for all workers of a client."""

    def __init__(self, clock: Clock, *, on_retry: Callable[[Retry], None], jitter: Callable[[], float]) -> None:
        self._clock = clock
        self._on_retry = on_retry
        self._jitter = jitter
        self._gate = Gate(clock)
        self._has_had_a_token = False
        self._has_answered = False
        self._has_given_a_page = False

    def note_token(self) -> None:
        """The sign-in service is one that gives tokens."""
        self._has_had_a_token = True

    def note_answer(self) -> None:
        """The host is one that answers."""
        self._has_answered = True

    def note_page(self) -> None:
        """The host is one that gives pages of a change feed."""
        self._has_given_a_page = True

    def until_answered(self, ask: Callable[[], T], patience_seconds: float | None) -> T:
        """What `ask` returns, in the end. Raises its last error where that cannot pass, or patience is at an end."""
        began = self._clock.monotonic()
        failures = 0
        while True:
            self._gate.wait()
            try:
                return ask()
            except MAY_PASS as error:
                failures += 1
                patience = self._patience(error, patience_seconds)
                left = inf if patience is None else began + patience - self._clock.monotonic()
                pause = self._pause(error, failures, left=left)
                if left <= 0 or pause > left:
                    raise
                self._on_retry(Retry(error, failures, pause))
                self._wait(error, pause)

    def _patience(self, error: FeedError, seconds: float | None) -> float | None:
        """How long to ask again: a host that never answered gets less, and some things do not come by waiting.

        A proxy that refuses has been told to. HTML from a host that has never given a page is a portal, or the wrong
        host; later it may be a gateway whose service is down.
        """
        if isinstance(error, SignInUnavailable):
            is_reached = error.is_reached or self._has_had_a_token
            longest = ONE_SHOT_PATIENCE_SECONDS if is_reached else FIRST_ANSWER_PATIENCE_SECONDS
            return None if seconds is None else min(seconds, longest)
        if isinstance(error, HostUnreachable) and error.proxy_status in _PROXY_REFUSALS:
            return 0.0
        if isinstance(error, HtmlResponse) and not self._has_given_a_page and seconds is not None:
            return 0.0
        if self._has_answered:
            return seconds
        if isinstance(error, TlsFailed):
            return 0.0
        return None if seconds is None else min(seconds, FIRST_ANSWER_PATIENCE_SECONDS)

    def _pause(self, error: FeedError, failures: int, *, left: float) -> float:
        """Seconds to wait: what the service asked for, or doubling from half a second to a minute, with jitter.

        A pause of its own ends no later than the `left` seconds of patience, so that the reader asks once more at
        their end. It keeps to it where it was asked for no time at all: at once, again and again, would be a storm.
        """
        if asked_for := asked_pause(error):
            return asked_for
        longest = min(LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 10))
        return min(left, longest * (0.5 + 0.5 * self._jitter()))

    def _wait(self, error: FeedError, pause: float) -> None:
        if asked_pause(error):
            self._gate.close_for(pause)
        self._clock.sleep(pause)


def asked_pause(error: FeedError | None) -> float:
    """Seconds that the service asked to be left alone, as far as that is obeyed; 0 where it did not."""
    return min(getattr(error, 'retry_after', None) or 0.0, LONGEST_OBEYED_PAUSE_SECONDS)


class Gate:
    """Holds every worker back until a time that the service named with `Retry-After`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._opens = 0.0
        self._lock = threading.Lock()

    def close_for(self, seconds: float) -> None:
        """Let nobody through for that long; a time already set and later stays."""
        with self._lock:
            self._opens = max(self._opens, self._clock.monotonic() + seconds)

    def wait(self) -> None:
        """Return when the gate is open."""
        while (left := self._opens - self._clock.monotonic()) > 0:
            self._clock.sleep(left)


class _ServiceClock:
    """The service's clock, as its first page tells it; kept by the monotonic clock, which nobody sets."""

    def __init__(self, clock: Clock, *, on_difference: Callable[[float], None]) -> None:
        self._clock = clock
        self._on_difference = on_difference
        self._lock = threading.Lock()
        self._at_zero: Ticks | None = None
        self.has_page = False
        """Whether the first page has come, which sets the clock if its `Date` can be read; no later one does."""

    def note(self, answer: Answer) -> None:
        """Take the clock from the answer, if it is the first one and its `Date` can be read."""
        with self._lock:
            if self.has_page:
                return
            self.has_page = True
        served = parse_http_date(answer.headers.get('date'))
        if served is None:
            return
        self._at_zero = served - ticks_from_seconds(self._clock.monotonic())
        ahead = (self._clock.now() - served) / ticks_from_seconds(1)
        if abs(ahead) > CLOCK_DIFFERENCE_SECONDS:
            self._on_difference(ahead)

    def now(self) -> Ticks:
        """The service's time, or the local one where nothing is known."""
        if self._at_zero is None:
            return self._clock.now()
        return min(LAST_TICK, self._at_zero + ticks_from_seconds(self._clock.monotonic()))


# What an answer means


def _asked_by_server(answer: Answer, waited_seconds: float, asked_ticks: Ticks) -> Ticks:
    """When an answer was asked for by the service's clock: its `Date`, less the wait; the local time without one."""
    served = parse_http_date(answer.headers.get('date'))
    return asked_ticks if served is None else served - ticks_from_seconds(waited_seconds)


def _is_html(answer: Answer) -> bool:
    """Whether a success is a page for people (or XML): no JSON begins with `<`."""
    return 'html' in answer.headers.get('content-type', '').lower() or _beginning_of(answer.body) == b'<'


def _beginning_of(body: bytes) -> bytes:
    return body[:64].removeprefix(codecs.BOM_UTF8).lstrip()[:1]


def _newest_of(answer: Answer) -> Event | None:
    """An empty feed is a 204 by ASP.NET's formatter, and 200 with `null` or with nothing by the service's own code."""
    if answer.status == 204 or answer.body.strip() in (b'', b'null'):
        return None
    return decode_event(answer.body)


def _service_error(answer: Answer, url: str) -> ServiceError:
    status, headers = answer.status, answer.headers
    text = answer.body[:8_000].decode('utf-8', 'replace')[:2_000]
    request_id = next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), None)
    error = _error_class(status, text)
    return error(
        f'The service answered with status {status}.',
        status=status,
        url=url,
        text=text,
        request_id=request_id,
        retry_after=_retry_after(headers.get('retry-after'), headers.get('date')),
        challenge=headers.get('www-authenticate'),
    )


def _error_class(status: int, text: str) -> type[ServiceError]:
    if status in _TROUBLE_STATUSES or status >= 500:
        return ServiceTrouble
    if status == 400:
        # A failure of the data store is a 400, too; only one that names a parameter is ours
        # (dicom-server ExceptionHandlingMiddleware).
        return BadRequest if re.search(_PARAMETER_NAMES, text) else ServiceTrouble
    if 300 <= status < 400:
        return Redirected
    return {401: Unauthorized, 403: Forbidden, 404: NotFound}.get(status, ServiceError)


def _retry_after(text: str | None, served: str | None) -> float | None:
    """Seconds of a `Retry-After`, which is a number or a date (RFC 9110, 10.2.3); None where there is none."""
    if text is None:
        return None
    if re.fullmatch(r'\d{1,12}', text.strip(), re.ASCII):
        return float(text)
    named, now = parse_http_date(text), parse_http_date(served)
    if named is None or now is None:
        return None
    return max(0.0, (named - now) / ticks_from_seconds(1))


def _challenged_claims(challenge: str) -> str | None:
    """The JSON of a claims challenge in `WWW-Authenticate` (base64 in `claims="…"`), or None where it is none.

    It goes to the sign-in's own code, which trusts it to be an object of objects (OpenID Connect Core, 5.5).
    """
    match = re.search(r'claims="([A-Za-z0-9+/=_-]+)"', challenge)
    if match is None:
        return None
    import base64  # most runs meet no challenge

    try:
        padded = match[1].replace('-', '+').replace('_', '/') + '=' * (-len(match[1]) % 4)
        text = base64.b64decode(padded).decode('utf-8')
        claims = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return text if isinstance(claims, dict) and all(isinstance(part, dict) for part in claims.values()) else None
