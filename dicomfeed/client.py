"""The change feed's HTTP interface: a page by sequence, a page by time, the newest event.

Owned: what an answer means, asking again after trouble that passes, the gate that holds all workers back when the
service says so, one renewal of the token after a 401. Not owned: the socket (`transport.py`), which pages to ask for
(`sequences.py`, `windows.py`), metadata that cannot be read (`metadata.py`).
"""

from __future__ import annotations

import base64
import json
import random
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import TypeVar

from dicomfeed.credential import Credential, TokenSource
from dicomfeed.errors import (
    BadRequest,
    ConnectionFailed,
    FeedError,
    Forbidden,
    MalformedResponse,
    NotFound,
    Redirected,
    RequestError,
    ServiceError,
    ServiceTrouble,
    TlsFailed,
    Unauthorized,
)
from dicomfeed.events import Event, decode_event, decode_page
from dicomfeed.queries import Page, Query, SequenceRange, TimeSlice
from dicomfeed.times import Clock, Ticks, parse_http_date, ticks_from_seconds
from dicomfeed.transport import Answer, Transport

ONE_SHOT_PATIENCE_SECONDS = 300.0
FIRST_ANSWER_PATIENCE_SECONDS = 15.0
"""A host that has never answered is more likely mistyped or out of reach than in trouble that passes."""
LONGEST_PAUSE_SECONDS = 60.0
LONGEST_OBEYED_PAUSE_SECONDS = 3_600.0
"""A server that follows for ever is asked again after an hour, whatever longer `Retry-After` it named."""
_FIRST_PAUSE_SECONDS = 0.5
_PARAMETER_NAMES = re.compile(
    r'offset|limit|starttime|endtime|includemetadata|query string|UnsupportedApiVersion', re.IGNORECASE
)
_TROUBLE_STATUSES = frozenset({408, 424, 429})
_REQUEST_ID_HEADERS = ('x-ms-request-id', 'x-ms-correlation-request-id', 'request-id', 'x-ms-client-request-id')

T = TypeVar('T')


@dataclass(frozen=True)
class Retry:
    """One request that will be asked again: why, how often it has failed now, and after how many seconds."""

    reason: FeedError
    failures: int
    pause_seconds: float


@dataclass
class Gate:
    """Holds every worker back until a moment that the service named with `Retry-After`."""

    clock: Clock
    _opens: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def close_for(self, seconds: float) -> None:
        """Let nobody through for that long; a moment already set and later stays."""
        with self._lock:
            self._opens = max(self._opens, self.clock.monotonic() + seconds)

    def wait(self) -> None:
        """Return when the gate is open."""
        while (left := self._opens - self.clock.monotonic()) > 0:
            self.clock.sleep(left)


class FeedClient:
    """The change feed of one DICOM service.

    :param service_url: `https://HOST`, without a path.
    :param tokens: where bearer tokens come from.
    :param patience_seconds: how long one page is asked for again after trouble that passes; None: for ever.
    :param on_retry: told of every request that will be asked again, from the thread that asks.
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
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.service_url = service_url.rstrip('/')
        self.clock = clock or Clock()
        self.patience_seconds = patience_seconds
        self._transport = transport
        self._credential = Credential(tokens, clock=self.clock)
        self._gate = Gate(self.clock)
        self._on_retry = on_retry
        self._jitter = jitter
        self._has_answered = False

    def by_sequence(self, *, after: int, limit: int, include_metadata: bool = False) -> Page:
        """The events numbered `after + 1` to `after + limit` (1 to 100), as far as they are visible."""
        return self.read(
            SequenceRange(after, limit), include_metadata=include_metadata, patience_seconds=self.patience_seconds
        )

    def by_time(self, *, start: Ticks, end: Ticks, offset: int, limit: int, include_metadata: bool = False) -> Page:
        """Rows `offset` to `offset + limit - 1` (`limit` 1 to 200) of the window [start, end)."""
        return self.read(
            TimeSlice(start, end, offset, limit),
            include_metadata=include_metadata,
            patience_seconds=self.patience_seconds,
        )

    def latest(self, *, by_time: bool = False, include_metadata: bool = False) -> Event | None:
        """The event with the greatest sequence number, or the last in time; None for an empty feed (204)."""
        path = f'v{2 if by_time else 1}/changefeed/latest'
        return self._retried(
            lambda: self._ask(
                path,
                _metadata_parameter(include_metadata),
                lambda answer: None if answer.status == 204 else decode_event(answer.body),
            ),
            self.patience_seconds,
        )

    def read(self, query: Query, *, include_metadata: bool, patience_seconds: float | None) -> Page:
        """The page that answers the query.

        `patience_seconds`: 0 asks once, None for ever. Raises RequestError or ServiceError when patience is at an
        end, or at once where asking again cannot help, and what the token source raises.
        """
        return self._retried(lambda: self._read_once(query, include_metadata), patience_seconds)

    def _read_once(self, query: Query, include_metadata: bool) -> Page:
        def page_of(answer: Answer) -> Page:
            answered = self.clock.monotonic()
            events = decode_page(answer.body)
            if not query.answers(events):
                raise ValueError('not an answer to the question')
            served = parse_http_date(answer.headers.get('date'))
            asked_by_server = local_ticks if served is None else served - ticks_from_seconds(answered - asked)
            return Page(events, asked, min(local_ticks, asked_by_server), answered)

        asked, local_ticks = self.clock.monotonic(), self.clock.now()
        return self._ask(query.path, query.parameters | _metadata_parameter(include_metadata), page_of)

    def _ask(self, path: str, parameters: dict[str, str], read: Callable[[Answer], T]) -> T:
        """One request, with one renewal of the token; raises our errors."""
        url = f'{self.service_url}/{path}'
        self._gate.wait()
        token = self._credential.token()
        answer = self._transport.get(url, parameters=parameters, token=token)
        self._has_answered = True
        if answer.status == 401:
            self._credential.renew(token, claims=_challenged_claims(answer.headers.get('www-authenticate', '')))
            answer = self._transport.get(url, parameters=parameters, token=self._credential.token())
        if answer.status not in (200, 204):
            raise _service_error(answer, url)
        try:
            return read(answer)
        except ValueError:
            raise MalformedResponse('The answer is not a page of the change feed.', url=url) from None

    def _retried(self, ask: Callable[[], T], patience_seconds: float | None) -> T:
        """`ask`, again and again while what goes wrong may pass and patience lasts."""
        began = self.clock.monotonic()
        failures = 0
        while True:
            try:
                return ask()
            except (ConnectionFailed, MalformedResponse, ServiceTrouble) as error:
                failures += 1
                patience = self._patience(error, patience_seconds)
                left = inf if patience is None else began + patience - self.clock.monotonic()
                pause = self._pause(error, failures, left=left)
                if left <= 0 or pause > left:
                    raise
                self._on_retry(Retry(error, failures, pause))
                self._wait(error, pause)

    def _patience(self, error: FeedError, seconds: float | None) -> float | None:
        """How long to ask again: a host that never answered gets less, and no trust comes by waiting."""
        if self._has_answered:
            return seconds
        if isinstance(error, TlsFailed):
            return 0.0
        return None if seconds is None else min(seconds, FIRST_ANSWER_PATIENCE_SECONDS)

    def _pause(self, error: FeedError, failures: int, *, left: float) -> float:
        """Seconds to wait: what the service asked for, or doubling from half a second to a minute, with jitter.

        Its own pauses the reader cuts to the `left` seconds of patience, so that it asks once more at their end. It
        keeps to them where it was asked for no time at all: at once, again and again, would be a storm.
        """
        asked_for: float | None = getattr(error, 'retry_after', None)
        if asked_for:
            return min(asked_for, LONGEST_OBEYED_PAUSE_SECONDS)
        longest = min(LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 10))
        return min(left, longest * (0.5 + 0.5 * self._jitter()))

    def _wait(self, error: FeedError, pause: float) -> None:
        if getattr(error, 'retry_after', None):
            self._gate.close_for(pause)
        self.clock.sleep(pause)


def _metadata_parameter(include_metadata: bool) -> dict[str, str]:
    """Always said: the service's own default is to read the metadata of every event."""
    return {'includeMetadata': 'true' if include_metadata else 'false'}


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
        return BadRequest if _PARAMETER_NAMES.search(text) else ServiceTrouble
    if 300 <= status < 400:
        return Redirected
    return {401: Unauthorized, 403: Forbidden, 404: NotFound}.get(status, ServiceError)


def _retry_after(text: str | None, served: str | None) -> float | None:
    """Seconds of a `Retry-After`, which is a number or a date (RFC 9110, 10.2.3); None where there is none."""
    if text is None:
        return None
    if re.fullmatch(r'\d{1,12}', text.strip(), re.ASCII):
        return float(text)
    moment, now = parse_http_date(text), parse_http_date(served)
    if moment is None or now is None:
        return None
    return max(0.0, (moment - now) / ticks_from_seconds(1))


def _challenged_claims(challenge: str) -> str | None:
    """The JSON of a claims challenge in `WWW-Authenticate` (base64 in `claims="…"`), or None where it is none.

    It goes to the sign-in's own code, which trusts it to be an object of objects (OpenID Connect Core, 5.5).
    """
    match = re.search(r'claims="([A-Za-z0-9+/=_-]+)"', challenge)
    if match is None:
        return None
    try:
        padded = match[1].replace('-', '+').replace('_', '/') + '=' * (-len(match[1]) % 4)
        text = base64.b64decode(padded).decode('utf-8')
        claims = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return text if isinstance(claims, dict) and all(isinstance(part, dict) for part in claims.values()) else None


__all__ = ['FeedClient', 'Gate', 'RequestError', 'Retry']
