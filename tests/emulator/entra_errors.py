"""Refusals of the token endpoint, in Entra's numbers and words.

Owns the table of AADSTS errors that the emulator gives and the shape of their bodies. When each applies is decided in
`entra.py`.
"""

from __future__ import annotations

import time
import uuid

from starlette.responses import JSONResponse

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
