"""Where the tokens of a job come from. Each process makes its own source, from the texts of the options.

Owned: azure-identity and the token file as a `TokenSource`. Not owned: when a token is asked for (`credential.py`).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dicomfeed.credential import AccessToken, TokenSource
from dicomfeed.errors import FeedError, SignInUnavailable
from dicomfeed.spark.options import Options

_LARGEST_BYTES = 2**16
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
    """The source that the options name. Raises NoToken where what it needs is not installed."""
    if options.token_file is not None:
        return TokenFile(options.token_file)
    return AzureIdentity(_identity_class(options.credential), options.audience, advice=_ADVICE[options.credential])


class TokenFile:
    """A file with a token and nothing else, which somebody replaces before the token expires."""

    def __init__(self, path: str) -> None:
        self._path = path

    def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> FileToken:
        """The token that is in the file now, whatever is asked for. Raises NoToken."""
        try:
            with open(self._path, encoding='ascii') as file:
                token = file.read(_LARGEST_BYTES).strip()
            return FileToken(token, _expires_on(token))
        except OSError:
            raise NoToken(
                'The token file cannot be read on this node: Spark has to find and read it on each.'
            ) from None
        except (ValueError, KeyError, TypeError):  # whose text may be the token's
            raise NoToken('The token file does not hold an access token.') from None


def _expires_on(token: str) -> float:
    _, claims, _ = token.split('.')
    return float(json.loads(base64.urlsafe_b64decode(claims + '=' * (-len(claims) % 4)))['exp'])


class AzureIdentity:
    """A credential of azure-identity, which keeps its tokens in memory.

    :param make: makes one; a new one has no token that was refused before.
    :param advice: what to do where there is no token.
    """

    def __init__(self, make: Callable[[], Any], audience: str, *, advice: str) -> None:
        self._make = make
        self._advice = advice
        self._scope = audience + '/.default'
        self._credential: Any = None

    def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> AccessToken:
        """Raises SignInUnavailable for what may pass, and NoToken."""
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        if self._credential is None or force_refresh:
            self._credential = self._make()
        try:
            token: AccessToken = self._credential.get_token(self._scope, claims=claims)
        except ClientAuthenticationError as error:
            code = re.search(r'AADSTS\d+', str(error))
            reason = f' ({code[0]})' if code else ''
            raise NoToken(f'azure-identity got no token on this node{reason}. {self._advice}') from None
        except AzureError:
            raise SignInUnavailable('The sign-in service is not reached, or in trouble.') from None
        return token


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
