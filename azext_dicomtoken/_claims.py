"""What a token says of itself. Decoded and never verified: whoever accepts the token does that."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from typing import Any


class NotAToken(ValueError):
    """The text is not a JSON Web Token whose claims can be read."""


def decode_unverified(token: str) -> dict[str, Any]:
    """The claims of a JSON Web Token, its signature not looked at.

    :raises NotAToken: where the text is something else.
    """
    parts = token.split('.')
    if len(parts) != 3:
        raise NotAToken('not three parts')
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + '=' * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        raise NotAToken('the claims cannot be read') from None
    if not isinstance(claims, dict):
        raise NotAToken('the claims are not an object')
    return claims


def describe(unverified_claims: dict[str, Any], *, expected_audience: str | None, now: float) -> dict[str, Any]:
    """The facts that matter for access to a service; None for what the token does not say.

    :param expected_audience: the one that the service wants, where that is known.
    :param now: seconds since the epoch.
    """
    claim = unverified_claims.get
    expires_on = claim('exp')
    return {
        'objectId': claim('oid'),
        'principalType': principal_type(unverified_claims),
        'principalName': _principal_name(unverified_claims),
        'appId': claim('appid') or claim('azp'),
        'tenantId': claim('tid'),
        'audience': claim('aud'),
        'expectedAudience': expected_audience,
        'audienceMatches': _audience_matches(claim('aud'), expected_audience),
        'scopes': str(claim('scp') or '').split(),
        'roles': claim('roles') or [],
        'issuedOn': utc_text(claim('iat')),
        'expiresOn': utc_text(expires_on),
        'expiresIn': int(expires_on - now) if expires_on is not None and utc_text(expires_on) else None,
        'issuer': claim('iss'),
        'claims': unverified_claims,
    }


def principal_type(unverified_claims: dict[str, Any]) -> str | None:
    """`user`, `servicePrincipal` or `managedIdentity`, as far as the claims tell.

    `xms_mirid` is the resource ID of a managed identity; `idtyp` is `app` or `user` where it is there; without it,
    delegated tokens have scopes, and in an application's own token subject and object are one.
    """
    claim = unverified_claims.get
    if claim('xms_mirid'):
        return 'managedIdentity'
    if claim('idtyp') == 'app':
        return 'servicePrincipal'
    if claim('idtyp') == 'user' or claim('scp'):
        return 'user'
    return 'servicePrincipal' if claim('oid') and claim('oid') == claim('sub') else None


def utc_text(seconds: Any) -> str | None:
    """Epoch seconds as ISO 8601 with `Z`; None for what is no point in time."""
    from datetime import datetime, timezone

    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _principal_name(unverified_claims: dict[str, Any]) -> str | None:
    for name in ('upn', 'preferred_username', 'unique_name', 'app_displayname'):
        if unverified_claims.get(name):
            return str(unverified_claims[name])
    # /subscriptions/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/NAME, or a virtual machine's ID
    return str(unverified_claims.get('xms_mirid') or '').rpartition('/')[2] or None


def _audience_matches(audience: Any, expected: str | None) -> bool | None:
    if expected is None:
        return None
    # The service is registered with and without the slash.
    given = audience if isinstance(audience, list) else [audience]
    return expected.rstrip('/') in (str(one).rstrip('/') for one in given)
