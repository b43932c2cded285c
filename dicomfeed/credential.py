"""The token that all workers share, and its renewal: in one place, under one lock.

Owned: when a token is asked for and when a new one. Not owned: where tokens come from; that is the `TokenSource`.
"""

from __future__ import annotations

import threading
from typing import Protocol

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

        With `claims`, the JSON of a claims challenge, or with `force_refresh` a new one, from no cache. Raises what it
        likes when there is none to be had; that ends the reading.
        """


class Credential:
    """The current token of a source, renewed before it expires and when the service refuses it."""

    def __init__(self, source: TokenSource, *, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._token: AccessToken | None = None
        self._asked_monotonic = 0.0

    def token(self) -> str:
        """The text of a token that is good for a while yet, if the source has one."""
        with self._lock:
            if self._token is None or self._is_due(self._token):
                self._token = self._source.get_token()
                self._asked_monotonic = self._clock.monotonic()
            return Secret(self._token.token)

    def renew(self, refused: str, *, claims: str | None = None) -> None:
        """See to it that the next token is another one than `refused`; nothing to do where another worker has."""
        with self._lock:
            if self._token is None or self._token.token == refused:
                self._token = self._source.get_token(claims=claims, force_refresh=True)
                self._asked_monotonic = self._clock.monotonic()

    def _is_due(self, token: AccessToken) -> bool:
        """Nearly expired; a source whose tokens never last that long is not asked for every page."""
        return (
            token.expires_on - epoch_seconds(self._clock.now()) < RENEWAL_SECONDS
            and self._clock.monotonic() - self._asked_monotonic >= _ASK_AGAIN_SECONDS
        )
