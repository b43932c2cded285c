"""Access tokens from the login that az already has. The only file that touches az's Profile.

It keeps no token: az's own cache is the one cache, so `az logout` leaves nothing behind.
Which audience to ask for is decided in `_service`, what an exception of the sign-in means in `_sign_in`.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from azure.cli.core._profile import Profile
from azure.cli.core.auth import util
from azure.cli.core.azclierror import AuthenticationError
from knack.util import CLIError

from azext_dicomtoken import _account
from azext_dicomtoken._account import Account
from azext_dicomtoken._invocation import Invocation

SIGN_IN_SECONDS = 30.0
"""How long one request for a token may take; az and MSAL set no limit, and a sign-in service can hang."""
# A claims challenge that asks for nothing: MSAL then passes over its cache and has nothing to add to the request.
_NO_CLAIMS = '{}'


T = TypeVar('T')


@dataclass(frozen=True)
class IssuedToken:
    """A token and what az says of it.

    :ivar expires_on: seconds since the epoch.
    :ivar subscription: None when a tenant was asked for, as `az account get-access-token` has it.
    """

    token: str = field(repr=False)
    token_type: str
    expires_on: int
    tenant: str
    subscription: str | None


class Login:  # pylint: disable=too-many-instance-attributes
    """One identity and one audience. Safe to share between threads.

    :param invocation: says whose context and which subscription; a configured subscription gives way to a tenant.
    :param audience: the resource as az's `--resource` takes it; a trailing slash counts.
    :param tenant: name or ID; together with a typed subscription core refuses it.
    """

    def __init__(
        self,
        invocation: Invocation,
        *,
        audience: str,
        tenant: str | None = None,
        patience_seconds: float = SIGN_IN_SECONDS,
    ) -> None:
        self._cli_ctx = invocation.cli_ctx
        self._patience_seconds = patience_seconds
        self._scopes = util.resource_to_scopes(audience)
        self._audience = audience
        self._subscription = invocation.typed_subscription if tenant else invocation.subscription
        self._tenant = tenant
        self._lock = threading.Lock()
        self._last: IssuedToken | None = None

    def get_token(
        self, *, claims: str | None = None, force_refresh: bool = False, min_validity_seconds: float = 0
    ) -> IssuedToken:
        """A token from az's cache, or a new one where that is asked for or the cached one is too short-lived.

        A managed identity and Cloud Shell cannot be made to renew: there the token endpoint decides, and what comes
        back may be shorter than asked.

        :param claims: the claims of a challenge, as JSON text; implies a new token.
        :raises SignInUnavailable: for trouble that passes; the sign-in was not refused.
        :raises AuthenticationError: what core says of a sign-in that does not work any more.
        :raises AzCLIError: for a file of az that cannot be used, a proxy or a certificate that is in the way.
        """
        with self._lock, _telling(self._cli_ctx, self._subscription, audience=self._audience):
            self._last = _within(
                self._patience_seconds, lambda: self._issued(claims, force_refresh, min_validity_seconds)
            )
            return self._last

    def account(self) -> Account | None:
        """The account that tokens are asked for with; None where az cannot say."""
        try:
            return signed_in_account(self._cli_ctx, self._subscription)
        except CLIError:
            return None

    def unverified_claims(self) -> dict[str, Any]:
        """What the token in hand says of itself; empty where there is none, or none that can be read."""
        from azext_dicomtoken._claims import NotAToken, decode_unverified

        try:
            return decode_unverified(self._last.token) if self._last else {}
        except NotAToken:
            return {}

    def subscription_id(self) -> str:
        """ID of the subscription that is meant, for addresses in Azure Resource Manager."""
        with _telling(self._cli_ctx, self._subscription):
            return str(Profile(cli_ctx=self._cli_ctx).get_subscription_id(self._subscription))

    def _issued(self, claims: str | None, force_refresh: bool, min_validity_seconds: float) -> IssuedToken:
        if claims or force_refresh:
            return self._renewed(claims or _NO_CLAIMS)
        issued = self._cached()
        if issued.expires_on - time.time() < min_validity_seconds:
            issued = self._renewed(_NO_CLAIMS)
        return issued

    def _cached(self) -> IssuedToken:
        (token_type, token, entry), subscription, tenant = Profile(cli_ctx=self._cli_ctx).get_raw_token(
            scopes=self._scopes, subscription=self._subscription, tenant=self._tenant
        )
        return IssuedToken(token, token_type, entry['expires_on'], tenant, subscription)

    def _renewed(self, claims: str) -> IssuedToken:
        if self._subscription and self._tenant:
            return self._cached()  # core refuses the pair there, in its own words
        with _AdviceOfCore():
            return self._asked_anew(claims)

    def _asked_anew(self, claims: str) -> IssuedToken:
        credential, subscription, tenant = Profile(cli_ctx=self._cli_ctx).get_login_credentials(
            subscription_id=self._subscription, aux_tenants=[self._tenant] if self._tenant else None
        )
        if not self._tenant:
            token = credential.get_token(*self._scopes, claims=claims)
            return IssuedToken(token.token, 'Bearer', token.expires_on, tenant, subscription)
        if self._tenant == tenant:
            token = credential.get_token(*self._scopes, claims=claims)
        else:
            tokens = credential.get_auxiliary_tokens(*self._scopes, claims_challenge=claims)
            if not tokens:  # no other tenant for this kind of account, which core says best
                return self._cached()
            token = tokens[0]
        return IssuedToken(token.token, 'Bearer', token.expires_on, self._tenant, None)


def signed_in_account(cli_ctx: Any, subscription: str | None) -> Account:
    """The account that `az account show` shows, without asking anybody.

    :raises CLIError: what core says where there is none, or where its file cannot be used.
    """
    with _telling(cli_ctx, subscription):
        return _account_of(cli_ctx, subscription)


def _account_of(cli_ctx: Any, subscription: str | None) -> Account:
    kept = Profile(cli_ctx=cli_ctx).get_subscription(subscription)
    way, more = _way_of(cli_ctx, kept['user'])
    has_subscription = not kept['name'].startswith('N/A(')  # N/A(tenant level account)
    return Account(kept['user']['name'], way, kept['tenantId'], has_subscription=has_subscription, **more)


def _way_of(cli_ctx: Any, user: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if user.get('cloudShellID'):
        return _account.CLOUD_SHELL, {}
    if user.get('assignedIdentityInfo'):
        kind, _, identifier = user['assignedIdentityInfo'].partition('-')
        option = _account.IDENTITY_OPTIONS.get(kind)
        return _account.MANAGED_IDENTITY, {'identity': (option, identifier)} if option else {}
    if user['type'] == 'servicePrincipal':
        return _way_of_service_principal(cli_ctx, user['name'])
    return _account.USER, {}


def _way_of_service_principal(cli_ctx: Any, client_id: str) -> tuple[str, dict[str, Any]]:
    """By what az keeps of it; on Windows that is encrypted, and core's own store reads it."""
    from azure.cli.core.auth.persistence import load_secret_store
    from azure.cli.core.util import should_encrypt_token_cache

    path = os.path.join(config_folder(), 'service_principal_entries')
    try:
        kept = load_secret_store(path, should_encrypt_token_cache(cli_ctx)).load()
        entry: dict[str, Any] = next((entry for entry in kept if entry['client_id'] == client_id), {})
    except (OSError, ValueError, TypeError, KeyError, ImportError):  # the token's own step says what is wrong
        return _account.SERVICE_PRINCIPAL, {}
    if entry.get('certificate'):
        return _account.CERTIFICATE, {'certificate': entry['certificate']}
    if entry.get('client_assertion'):
        return _account.FEDERATED, {}
    return _account.SECRET, {}


def config_folder() -> str:
    """Where az keeps its files."""
    from azure.cli.core._environment import get_config_dir

    return str(get_config_dir())


@contextmanager
def _telling(cli_ctx: Any, subscription: str | None, *, audience: str = '') -> Iterator[None]:
    """What az, MSAL and requests raise inside comes out as the error that says what it means."""
    try:
        yield
    except Exception as error:
        told = _explain_refused_audience(error, audience) or _told(error, cli_ctx, subscription)
        if told is error:
            raise
        raise told from told.__cause__ or error


def _told(error: Exception, cli_ctx: Any, subscription: str | None) -> Exception:
    from azext_dicomtoken._sign_in import explained

    account = _account_if_known(cli_ctx, subscription)
    return explained(
        error,
        sign_in_url=_sign_in_url(cli_ctx, account),
        config_folder=config_folder(),
        account=account,
    )


def _account_if_known(cli_ctx: Any, subscription: str | None) -> Account | None:
    try:
        return _account_of(cli_ctx, subscription)
    except (CLIError, TypeError, KeyError, AttributeError):  # not signed in, or a damaged profile
        return None


def _sign_in_url(cli_ctx: Any, account: Account | None, *, environ: Mapping[str, str] = os.environ) -> str:
    """Where tokens come from: a managed identity and Cloud Shell have an endpoint of their own."""
    if account and account.way in (_account.MANAGED_IDENTITY, _account.CLOUD_SHELL):
        return environ.get('IDENTITY_ENDPOINT') or environ.get('MSI_ENDPOINT') or 'http://169.254.169.254'
    return str(cli_ctx.cloud.endpoints.active_directory)


def _explain_refused_audience(error: Exception, audience: str) -> AuthenticationError | None:
    # {'error': 'AudienceNotSupported', 'error_description': 'Audience … is not a supported MSI token audience.'}
    # {'error': 'invalid_resource', 'error_codes': [500011], …}: to sign in again, as core advises, changes nothing.
    refusal = getattr(error, 'msal_error', None) or {}
    if 500011 in (refusal.get('error_codes') or ()):
        return AuthenticationError(
            str(error),
            recommendation=[
                f'The tenant knows no audience {audience}. It is misspelled (--resource), or the service belongs to '
                'another tenant. Sign in there:',
                'az login --tenant TENANT',
            ],
        )
    if refusal.get('error') == 'AudienceNotSupported':
        return AuthenticationError(
            f'The token broker of Cloud Shell does not issue tokens for {audience}.',
            recommendation='Sign in inside the shell, which goes past the broker:\naz login',
        )
    return None


def _within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` returns or raises, or SignInUnavailable when it takes longer.

    It then goes on in a thread that holds up nothing, not even the end of the process.
    """
    outcome: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            outcome.put((work(), None))
        except BaseException as error:  # pylint: disable=broad-exception-caught    # raised below, where it belongs
            outcome.put((None, error))

    threading.Thread(target=run, name='sign-in', daemon=True).start()
    try:
        result, error = outcome.get(timeout=seconds)
    except Empty:
        from dicomfeed.errors import SignInUnavailable

        raise SignInUnavailable('The sign-in service did not answer in time.') from None
    if error is not None:
        raise error
    return cast(T, result)


class _AdviceOfCore(logging.Filter):
    """Puts the advice of a refused challenge into the error.

    Core only logs it there, where --only-show-errors hides it, and with the challenge: an empty one where a renewal is
    forced, else text of a server, which has no place in a command.
    """

    def __init__(self) -> None:
        super().__init__()
        self._advice: str | None = None

    def __enter__(self) -> None:
        util.logger.addFilter(self)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        util.logger.removeFilter(self)
        if self._advice and isinstance(error, AuthenticationError) and not error.recommendations:
            error.set_recommendation(self._advice)

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if '\naz login' not in text:
            return True
        self._advice = re.sub(r' --claims-challenge "[^"]*"', '', text)
        return False
