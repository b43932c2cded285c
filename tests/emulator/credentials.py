"""How a service principal proves who it is, and how a sign-in is refused.

Owned: the registered certificates and federated credentials, the check of a client assertion (RFC 7523), certificates
for clients; the table of AADSTS errors, in Entra's numbers and words, and the shape of their bodies. The fake identity
provider behind federated credentials signs with the emulator's own key.
Not owned: who may have which token (`entra.py`).
"""

from __future__ import annotations

import base64
import datetime
import time
import uuid
from collections.abc import Mapping

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from starlette.responses import JSONResponse

from tests.emulator.identities import ServicePrincipal, Tenant
from tests.emulator.tokens import Tokens

_FEDERATED_ISSUER = 'https://token.actions.githubusercontent.com'
_FEDERATED_AUDIENCE = 'api://AzureADTokenExchange'
# AADSTS number: OAuth error, HTTP status, text. Texts are Entra's, with its quoting.
_TABLE = {
    50034: ('invalid_grant', 400, 'The user account {name} does not exist in the {tenant} directory.'),
    50076: (
        'interaction_required',
        400,
        'Due to a configuration change made by your administrator, or because you moved to a new location, '
        "you must use multi-factor authentication to access '{name}'.",
    ),
    50173: (
        'invalid_grant',
        400,
        'The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have '
        'changed or reset their password.',
    ),
    70000: ('invalid_grant', 400, "The provided value for the input parameter '{name}' is not valid."),
    70003: ('unsupported_grant_type', 400, "The app requested an unsupported grant type '{name}'."),
    70016: (
        'authorization_pending',
        400,
        'OAuth 2.0 device flow error. Authorization is pending. Continue polling.',
    ),
    70021: (
        'invalid_client',
        401,
        "No matching federated identity record found for presented assertion subject '{name}'.",
    ),
    90002: (
        'invalid_request',
        400,
        "Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are signing into the "
        'correct cloud.',
    ),
    500011: (
        'invalid_resource',
        400,
        'The resource principal named {name} was not found in the tenant named {tenant}. This can happen if the '
        'application has not been installed by the administrator of the tenant or consented to by any user in the '
        'tenant. You might have sent your authentication request to the wrong tenant.',
    ),
    700016: (
        'unauthorized_client',
        400,
        "Application with identifier '{name}' was not found in the directory '{tenant}'. This can happen if the "
        'application has not been installed by the administrator of the tenant or consented to by any user in the '
        'tenant. You may have sent your authentication request to the wrong tenant.',
    ),
    700024: ('invalid_client', 401, 'Client assertion is not within its valid time range.'),
    700027: (
        'invalid_client',
        401,
        "The certificate with identifier used to sign the client assertion is not registered on application '{name}'.",
    ),
    7000215: (
        'invalid_client',
        401,
        'Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not '
        "the client secret ID, for a secret added to app '{name}'.",
    ),
    7000216: (
        'invalid_client',
        401,
        "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
    ),
}


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
        claims = {'iss': _FEDERATED_ISSUER, 'sub': subject, 'aud': _FEDERATED_AUDIENCE, 'iat': now, 'exp': now + 600}
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
        if unverified_claims.get('iss') == _FEDERATED_ISSUER:
            return self._federated_key(application, str(unverified_claims.get('sub'))), [_FEDERATED_AUDIENCE]
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


def self_signed_certificate(common_name: str) -> tuple[bytes, x509.Certificate]:
    """A new key and certificate: the PEM file that `az login --certificate` reads, and the part that is registered."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(minutes=5))
    certificate = builder.not_valid_after(now + datetime.timedelta(days=30)).sign(key, hashes.SHA256())
    encoding = serialization.Encoding.PEM
    key_pem = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key_pem + certificate.public_bytes(encoding), certificate


class SignInRefused(Exception):
    """A token request that Entra refuses; `claims` is the JSON text to be given back at an interactive sign-in."""

    def __init__(self, code: int, *, name: str = '', tenant: str = '', claims: str | None = None) -> None:
        self.error, self.status, text = _TABLE[code]
        self.code = code
        self.description = f'AADSTS{code}: ' + text.format(name=name, tenant=tenant)
        self.claims = claims
        super().__init__(self.description)

    def response(self) -> JSONResponse:
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        timestamp = time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime())
        body: dict[str, object] = {
            'error': self.error,
            'error_description': f'{self.description} Trace ID: {trace} Correlation ID: {correlation} '
            f'Timestamp: {timestamp}',
            'error_codes': [self.code],
            'timestamp': timestamp,
            'trace_id': trace,
            'correlation_id': correlation,
            'error_uri': f'https://login.microsoftonline.com/error?code={self.code}',
        }
        if self.claims is not None:
            body.update(claims=self.claims, suberror='basic_action')
        return JSONResponse(body, status_code=self.status)
