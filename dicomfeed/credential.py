"""The token that all workers share, and its renewal: in one place, by one thread at a time.

Owned: when a token is asked for and when a new one, and what happens while there is none to be had. Not owned: where
tokens come from; that is the `TokenSource`.
"""

from __future__ import annotations

import threading
from typing import Protocol

from dicomfeed.errors import SignInUnavailable
from dicomfeed.times import Clock, epoch_seconds

RENEWAL_SECONDS = 300.0
"""A token is renewed when less than this is left of it."""
_ASK_AGAIN_SECONDS = 30.0


class AccessToken(Protocol):
    """A bearer token: `token` its text, `expires_on` in seconds since 1970."""

    @property
    def token(self) -> str: ...

    @property
    def expires_on(self) -> float: ...


class Secret(str):
    """Text that is not shown with the variables of a traceback, as some tools print them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return '<secret>'


class TokenSource(Protocol):
    """Whatever issues tokens."""

    def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> AccessToken:
        """A token for the service.

        With `claims`, the JSON of a claims challenge, or with `force_refresh` a new one, from no cache. Raises
        SignInUnavailable where that may pass: no connection, a time-out, 429, 5xx, an answer that is not JSON. It is
        asked again then. Raises what it likes where a token is refused; that ends the reading.
        """


class Credential:
    """The current token of a source, renewed before it expires and when the service refuses it.

    A renewal that fails for a while is tried again later, as long as the current token lasts.
    """

    def __init__(self, source: TokenSource, *, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._asking = threading.Lock()
        self._token: AccessToken | None = None
        self._asked_monotonic = float('-inf')
        self._came_expired = False

    def token(self) -> str:
        """The text of a token that is good for a while yet, if the source has one.

        While one thread waits for a renewal, the others go on with the current token. Raises SignInUnavailable where
        there is none that lasts, and what the source raises.
        """
        token = self._token
        if token is None or self._has_expired(token):
            token = self._first()
        elif self._is_due(token) and self._asking.acquire(blocking=False):
            try:
                token = self._renewed_early(token)
            finally:
                self._asking.release()
        return Secret(token.token)

    def renew(self, refused: str, *, claims: str | None = None) -> None:
        """See to it that the next token is another one than `refused`; nothing to do where another worker has."""
        with self._asking:
            if self._token is None or self._token.token == refused:
                self._ask(claims=claims, force_refresh=True)

    def _first(self) -> AccessToken:
        """A token where there is none to go on with: everybody waits for the one thread that asks."""
        with self._asking:
            token = self._token
            if token is None or (self._has_expired(token) and self._may_ask_again()):
                token = self._ask()
            return token

    def _renewed_early(self, current: AccessToken) -> AccessToken:
        try:
            return self._ask()
        except SignInUnavailable:
            return current

    def _ask(self, *, claims: str | None = None, force_refresh: bool = False) -> AccessToken:
        self._came_expired = False
        self._asked_monotonic = self._clock.monotonic()
        try:
            self._token = self._source.get_token(claims=claims, force_refresh=force_refresh)
        finally:
            self._asked_monotonic = self._clock.monotonic()
        self._came_expired = self._has_expired(self._token)
        return self._token

    def _is_due(self, token: AccessToken) -> bool:
        """Nearly expired; a source that fails, or whose tokens never last that long, is not asked for every page."""
        return self._seconds_left(token) < RENEWAL_SECONDS and self._has_waited()

    def _has_expired(self, token: AccessToken) -> bool:
        return self._seconds_left(token) <= 0

    def _may_ask_again(self) -> bool:
        """A token that is past its time as soon as it comes is left to the service to judge: a clock is wrong."""
        return not self._came_expired or self._has_waited()

    def _has_waited(self) -> bool:
        return self._clock.monotonic() - self._asked_monotonic >= _ASK_AGAIN_SECONDS

    def _seconds_left(self, token: AccessToken) -> float:
        return token.expires_on - epoch_seconds(self._clock.now())
