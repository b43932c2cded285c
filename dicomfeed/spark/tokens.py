"""Where the tokens of a job come from. Each process makes one source of its own, from the texts of the options.

Owned: azure-identity and the token file as a `TokenSource`. Not owned: when a token is asked for (`credential.py`).
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from dicomfeed.credential import RENEWAL_SECONDS, AccessToken, TokenSource
from dicomfeed.errors import FeedError, SignInUnavailable
from dicomfeed.spark.options import Options

_LARGEST_BYTES = 2**16
_PAUSES_SECONDS = (0.1, 0.3, 0.6)
_REFUSAL = re.compile(r'AADSTS(?!90033|90012|90006)\d')
"""A code of Microsoft Entra ID, but for those that say to try again ("AADSTS error codes")."""
_ADVICE = {
    'default': (
        'Set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET there, or give it a managed identity; the log of '
        'azure-identity says what it has tried.'
    ),
    'az': 'Sign in with az login on this machine, and have az on the PATH of Spark.',
}


class NoToken(FeedError):
    """No token can be had, and waiting does not change that."""


@dataclass(frozen=True)
class FileToken:
    """A token with the expiry that it says of itself."""

    token: str = field(repr=False)
    expires_on: float


def token_source(options: Options) -> TokenSource:
    """The source that the options name. Raises NoToken where what it needs is not installed.

    One for all tasks of a process: Spark uses its Python processes again, and each sign-in costs the sign-in service
    a request.
    """
    return _source(options.credential, options.token_file, options.audience)


@cache
def _source(credential: str, token_file: str | None, audience: str) -> TokenSource:
    if token_file is not None:
        return TokenFile(token_file)
    return AzureIdentity(_identity_class(credential), audience, advice=_ADVICE[credential])


class TokenFile:
    """A file with a token and nothing else, which somebody replaces before the token expires."""

    def __init__(self, path: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._path = path
        self._sleep = sleep
        self._has_been_read = False

    def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> FileToken:
        """The token that is in the file now, whatever is asked for.

        The file is read again where it has just been emptied to be written anew. Raises NoToken, or SignInUnavailable
        where there was a token before.
        """
        for pause in _PAUSES_SECONDS:
            try:
                return self._read()
            except NoToken:
                self._sleep(pause)
        try:
            return self._read()
        except NoToken as error:
            if self._has_been_read:
                raise SignInUnavailable(str(error), is_reached=True) from None
            raise

    def _read(self) -> FileToken:
        try:
            with open(self._path, encoding='ascii') as file:
                token = file.read(_LARGEST_BYTES).strip()
            found = FileToken(token, _expires_on(token))
        except OSError:
            raise NoToken(
                'The token file cannot be read on this node: Spark has to find and read it on each.'
            ) from None
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):  # whose text may be the token's
            raise NoToken('The token file does not hold an access token, and nothing else.') from None
        self._has_been_read = True
        return found


def _expires_on(token: str) -> float:
    _, claims, _ = token.split('.')
    return float(json.loads(base64.urlsafe_b64decode(claims + '=' * (-len(claims) % 4)))['exp'])


class AzureIdentity:
    """A credential of azure-identity. The token is kept here, too: not every credential keeps its own.

    :param make: makes one; a new one has no token that was refused before.
    :param advice: what to do where there is no token.
    """

    def __init__(
        self, make: Callable[[], Any], audience: str, *, advice: str, now: Callable[[], float] = time.time
    ) -> None:
        self._make = make
        self._advice = advice
        self._now = now
        self._scope = audience + '/.default'
        self._lock = threading.Lock()
        self._credential: Any = None
        self._token: AccessToken | None = None

    def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> AccessToken:
        """Raises SignInUnavailable for what may pass, and NoToken."""
        with self._lock:
            kept = None if claims or force_refresh else self._token
            left = 0.0 if kept is None else kept.expires_on - self._now()
            if kept is not None and left >= RENEWAL_SECONDS:
                return kept
            try:
                self._token = self._new(claims, force_refresh=force_refresh)
            except SignInUnavailable:
                if kept is None or left <= 0:
                    raise
                return kept
            return self._token

    def _new(self, claims: str | None, *, force_refresh: bool) -> AccessToken:
        """DefaultAzureCredential says no more than that no credential had a token, whatever happened to one of them.

        What carries a code of Microsoft Entra ID was refused; anything else may pass.
        """
        from azure.core.exceptions import AzureError, ClientAuthenticationError
        from azure.identity import CredentialUnavailableError

        if self._credential is None or force_refresh:
            self._credential = self._make()
        try:
            token: AccessToken = self._credential.get_token(self._scope, claims=claims)
            return token
        except CredentialUnavailableError as error:
            reason = self._reason(error)
        except ClientAuthenticationError as error:
            reason = self._reason(error)
            if not _REFUSAL.search(str(error)):
                raise SignInUnavailable(reason, is_reached=self._token is not None) from None
        except AzureError:
            raise SignInUnavailable(
                'The sign-in service is not reached, or in trouble. Try again later.',
                is_reached=self._token is not None,
            ) from None
        raise NoToken(reason)

    def _reason(self, error: Exception) -> str:
        code = re.search(r'AADSTS\d+', str(error))
        return f'azure-identity got no token on this node{f" ({code[0]})" if code else ""}. {self._advice}'


def _identity_class(credential: str) -> Callable[[], Any]:
    try:
        from azure.identity import AzureCliCredential, DefaultAzureCredential
    except ImportError:
        raise NoToken('azure-identity is not installed on this node.') from None
    if credential == 'default':
        return DefaultAzureCredential
    _refuse_cluster()
    return AzureCliCredential


def _refuse_cluster() -> None:
    """az is signed in on the driver's machine, which runs the tasks only where the master is local."""
    from pyspark import TaskContext

    task = TaskContext.get()
    master = 'local' if task is None else task.getLocalProperty('spark.master') or ''
    if re.fullmatch(r'local(\[.*\])?', master) is None:
        raise NoToken("credential 'az' works with a local master only: the other nodes of a cluster have no az login.")
