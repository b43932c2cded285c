"""How a service principal proves who it is: secret, certificate, federated credential.

Owns the registered certificates and federated credentials, and the check of a client assertion (RFC 7523). The fake
identity provider behind federated credentials signs with the emulator's own key.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.emulator.entra_errors import SignInRefused
from tests.emulator.identities import ServicePrincipal, Tenant
from tests.emulator.tokens import Tokens

FEDERATED_ISSUER = 'https://token.actions.githubusercontent.com'
FEDERATED_AUDIENCE = 'api://AzureADTokenExchange'


class ClientCredentials:
    """What is registered beside each application's own secret."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._certificates: dict[tuple[str, str], rsa.RSAPublicKey] = {}
        self._federated: set[tuple[str, str]] = set()

    def register_certificate(self, application: ServicePrincipal, certificate: x509.Certificate) -> None:
        """Assertions signed with this certificate's key sign the application in (header x5t or x5t#S256)."""
        key = certificate.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        for algorithm in (hashes.SHA1(), hashes.SHA256()):
            thumbprint = base64.urlsafe_b64encode(certificate.fingerprint(algorithm)).rstrip(b'=').decode()
            self._certificates[application.client_id, thumbprint] = key

    def federate(self, application: ServicePrincipal, subject: str) -> str:
        """Register a federated credential; returns a token of its issuer, as `az login --federated-token` takes it."""
        self._federated.add((application.client_id, subject))
        return self.federated_token(subject)

    def federated_token(self, subject: str) -> str:
        """A token of the federated issuer, good for ten minutes, whether or not anybody registered the subject."""
        now = int(time.time())
        claims = {'iss': FEDERATED_ISSUER, 'sub': subject, 'aud': FEDERATED_AUDIENCE, 'iat': now, 'exp': now + 600}
        return self._tokens.sign(claims)

    def authenticate(self, application: ServicePrincipal, form: Mapping[str, str], *, tenant: Tenant) -> None:
        """Raises SignInRefused unless the request's secret or assertion is one of the application's."""
        if 'client_assertion' in form:
            self._check_assertion(application, form['client_assertion'], tenant)
        elif 'client_secret' not in form:
            raise SignInRefused(7000216)
        elif application.secret is None or form['client_secret'] != application.secret:
            raise SignInRefused(7000215, name=application.client_id)

    def _check_assertion(self, application: ServicePrincipal, assertion: str, tenant: Tenant) -> None:
        try:
            key, audience = self._expected(application, assertion, tenant)
            jwt.decode(assertion, key, algorithms=['RS256', 'PS256'], audience=audience)
        except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError):
            raise SignInRefused(700024) from None
        except jwt.InvalidTokenError:
            raise SignInRefused(700027, name=application.client_id) from None

    def _expected(
        self, application: ServicePrincipal, assertion: str, tenant: Tenant
    ) -> tuple[rsa.RSAPublicKey, list[str]]:
        """The key and the audiences that the assertion has to be made for."""
        unverified_claims = jwt.decode(assertion, options={'verify_signature': False})
        if unverified_claims.get('iss') == FEDERATED_ISSUER:
            return self._federated_key(application, str(unverified_claims.get('sub'))), [FEDERATED_AUDIENCE]
        return self._certificate_key(application, jwt.get_unverified_header(assertion)), [
            f'https://{host}/{segment}/oauth2/v2.0/token'
            for host in ('login.microsoftonline.com', 'login.microsoftonline.us')
            for segment in (tenant.id, tenant.domain)
        ]

    def _federated_key(self, application: ServicePrincipal, subject: str) -> rsa.RSAPublicKey:
        if (application.client_id, subject) not in self._federated:
            raise SignInRefused(70021, name=subject)
        return self._tokens.public_key()

    def _certificate_key(self, application: ServicePrincipal, header: Mapping[str, str]) -> rsa.RSAPublicKey:
        thumbprint = (header.get('x5t#S256') or header.get('x5t', '')).rstrip('=')
        key = self._certificates.get((application.client_id, thumbprint))
        if key is None:
            raise SignInRefused(700027, name=application.client_id)
        return key
