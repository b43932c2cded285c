"""Tokens of the emulated Entra ID: signing, verification, revocation.

Owned: the RSA key, the claims of an access token in its v1 form (the form the DICOM service and ARM get), and the list
of revoked ones.
Not owned: who may have a token (`entra.py`, `token_endpoints.py`).
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Collection, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.emulator.identities import Principal, Tenant, User

_KEY_ID = 'emulated-entra-key'
_SIGNATURE_ONLY: Any = {
    'require': ['aud', 'exp', 'nbf'],
    'verify_aud': False,
    'verify_exp': False,
    'verify_nbf': False,
    'verify_iat': False,
}
_BACKDATED_SECONDS = 300  # Entra's `iat` and `nbf` lie five minutes back, for clocks that run late


class TokenRejected(Exception):
    """A token that does not pass; `claims_challenge` is the JSON text (not encoded) that a new token must satisfy."""

    def __init__(self, description: str, claims_challenge: str | None = None) -> None:
        super().__init__(description)
        self.description = description
        self.claims_challenge = claims_challenge


class Tokens:
    """Issues and verifies. `lifetime_seconds` holds for tokens issued from now on and may be negative."""

    def __init__(self) -> None:
        self.lifetime_seconds: float = 4500  # Entra: random between 60 and 90 minutes
        self._lock = threading.Lock()
        self._issued: dict[str, set[str]] = {}
        self._revoked: dict[str, str] = {}

    def issue(self, principal: Principal, tenant: Tenant, *, audience: str, client_id: str, cp1: bool = False) -> str:
        """An access token for a user (through the client application) or for a service principal as itself."""
        issued_on = int(time.time())
        claims: dict[str, object] = {
            'aud': audience,
            'iss': f'https://sts.windows.net/{tenant.id}/',
            'iat': issued_on - _BACKDATED_SECONDS,
            'nbf': issued_on - _BACKDATED_SECONDS,
            'exp': int(issued_on + self.lifetime_seconds),
            'appid': client_id,
            'idp': f'https://sts.windows.net/{tenant.id}/',
            'oid': principal.object_ids[tenant.id],
            'sub': principal.object_ids[tenant.id],
            'tid': tenant.id,
            'uti': secrets.token_urlsafe(16),
            'ver': '1.0',
        }
        if cp1:
            claims['xms_cc'] = ['cp1']
        claims.update(_personal_claims(principal, audience) if isinstance(principal, User) else _APPLICATION_CLAIMS)
        with self._lock:
            self._issued.setdefault(str(claims['oid']), set()).add(str(claims['uti']))
        return self.sign(claims)

    def sign(self, claims: dict[str, object]) -> str:
        """Any claims under the published key: ID tokens, or a token that is wrong in a chosen way."""
        return jwt.encode(claims, _signing_key(), algorithm='RS256', headers={'kid': _KEY_ID, 'x5t': _KEY_ID})

    def revoke(self, principal: Principal) -> None:
        """Every token issued so far for the principal is answered with a claims challenge from now on."""
        challenge = json.dumps({'access_token': {'nbf': {'essential': True, 'value': str(int(time.time()))}}})
        with self._lock:
            for object_id in principal.object_ids.values():
                self._revoked.update(dict.fromkeys(self._issued.pop(object_id, ()), challenge))

    def verify(self, token: str, *, audiences: Collection[str], tenant: Tenant | None = None) -> dict[str, object]:
        """The claims of a good token; signature, audience, validity, revocation and, if given, its tenant are checked.

        Raises TokenRejected with the words of ASP.NET's bearer handler.
        """
        claims = _signed_claims(token)
        _check(claims, audiences, now=time.time())
        if tenant is not None and claims.get('tid') != tenant.id:
            raise TokenRejected(f"The issuer '{claims.get('iss')}' is invalid")
        with self._lock:
            challenge = self._revoked.get(str(claims.get('uti')))
        if challenge is not None:
            raise TokenRejected('Continuous access evaluation resulted in challenge', challenge)
        return dict(claims)

    def key_set(self) -> dict[str, object]:
        """The published keys, RFC 7517."""
        return {'keys': [{**_public_jwk(), 'kid': _KEY_ID, 'x5t': _KEY_ID, 'use': 'sig', 'alg': 'RS256'}]}

    def public_key(self) -> rsa.RSAPublicKey:
        return _signing_key().public_key()


def encode_json(value: object) -> str:
    """JSON in base64url without padding, as in `client_info`."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b'=').decode()


_APPLICATION_CLAIMS: dict[str, object] = {'appidacr': '1', 'idtyp': 'app'}


def _personal_claims(user: User, audience: str) -> dict[str, object]:
    given_name, _, family_name = user.name.partition(' ')
    return {
        'acr': '1',
        'amr': ['pwd'],
        'appidacr': '0',
        'family_name': family_name,
        'given_name': given_name,
        'name': user.name,
        'scp': delegated_scope(audience),
        'unique_name': user.username,
        'upn': user.username,
    }


def delegated_scope(audience: str) -> str:
    return 'Dicom.ReadWrite' if 'dicom' in audience else 'user_impersonation'


def _check(claims: Mapping[str, Any], audiences: Collection[str], *, now: float) -> None:
    if claims['aud'] not in audiences:
        raise TokenRejected(f"The audience '{claims['aud']}' is invalid")
    if now >= claims['exp']:
        raise TokenRejected(f"The token expired at '{claims['exp']}'")
    if now < claims['nbf']:
        raise TokenRejected(f"The token is not valid before '{claims['nbf']}'")


@lru_cache(maxsize=256)  # a reader sends the same token with every page, and this is the dearest part of an answer
def _signed_claims(token: str) -> Mapping[str, Any]:
    try:
        claims = jwt.decode(token, _signing_key().public_key(), algorithms=['RS256'], options=_SIGNATURE_ONLY)
    except jwt.InvalidSignatureError:
        raise TokenRejected('The signature is invalid') from None
    except jwt.InvalidTokenError:
        raise TokenRejected('The token is malformed') from None
    return MappingProxyType(claims)


@cache
def _signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def _public_jwk() -> dict[str, object]:
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(_signing_key().public_key(), as_dict=True)
    return {'kty': 'RSA', 'n': jwk['n'], 'e': jwk['e']}
