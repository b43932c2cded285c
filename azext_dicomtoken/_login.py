"""Access tokens from the login that az already has. The only file that touches az's Profile.

It keeps no token: az's own cache is the one cache, so `az logout` leaves nothing behind.
Which audience to ask for is decided in `_service`; core's errors and their advice pass through as they are.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from azure.cli.core._profile import Profile
from azure.cli.core.auth.util import resource_to_scopes
from azure.cli.core.azclierror import AuthenticationError

# A claims challenge that asks for nothing: MSAL then passes over its cache and has nothing to add to the request.
_NO_CLAIMS = '{}'


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


class Login:
    """One identity and one audience. Safe to share between threads.

    :param audience: the resource as az's `--resource` takes it; a trailing slash counts.
    :param subscription: name or ID; None is the active one. A configured default gives way to a tenant.
    :param tenant: name or ID; together with a typed subscription core refuses it.
    """

    def __init__(
        self, cli_ctx: Any, *, audience: str, subscription: str | None = None, tenant: str | None = None
    ) -> None:
        self._cli_ctx = cli_ctx
        self._scopes = resource_to_scopes(audience)
        self._audience = audience
        self._subscription = None if tenant and getattr(subscription, 'is_default', False) else subscription
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
        :raises AuthenticationError: what core says of a sign-in that does not work any more.
        """
        with self._lock:
            try:
                self._last = self._issued(claims, force_refresh, min_validity_seconds)
                return self._last
            except AuthenticationError as error:
                self._explain_refused_audience(error)
                raise

    def unverified_claims(self) -> dict[str, Any]:
        """What the token in hand says of itself; empty where there is none, or none that can be read."""
        from azext_dicomtoken._claims import NotAToken, decode_unverified

        try:
            return decode_unverified(self._last.token) if self._last else {}
        except NotAToken:
            return {}

    def subscription_id(self) -> str:
        """ID of the subscription that is meant, for addresses in Azure Resource Manager."""
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

    def _explain_refused_audience(self, error: AuthenticationError) -> None:
        # {'error': 'AudienceNotSupported', 'error_description': 'Audience … is not a supported MSI token audience.'}
        # {'error': 'invalid_resource', 'error_codes': [500011], …}: to sign in again, as core advises, changes nothing.
        refusal = getattr(error, 'msal_error', None) or {}
        if 500011 in (refusal.get('error_codes') or ()):
            raise AuthenticationError(
                str(error),
                recommendation=[
                    f'The tenant knows no audience {self._audience}. It is misspelled (--resource), or the service '
                    'belongs to another tenant. Sign in there:',
                    'az login --tenant TENANT',
                ],
            ) from error
        if refusal.get('error') == 'AudienceNotSupported':
            raise AuthenticationError(
                f'The token broker of Cloud Shell does not issue tokens for {self._audience}.',
                recommendation='Sign in inside the shell, which goes past the broker:\naz login',
            ) from error


def signed_in_account(cli_ctx: Any, subscription: str | None) -> dict[str, Any]:
    """The account that `az account show` shows, without asking anybody.

    :raises CLIError: what core says where there is none.
    """
    return dict(Profile(cli_ctx=cli_ctx).get_subscription(subscription))
