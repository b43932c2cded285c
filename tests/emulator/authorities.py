"""The authorities: under which hosts Entra ID is found, which tenant a path names, and what discovery says of both.

Owns all that a client learns before it signs in: instance discovery as MSAL reads it, OpenID Connect Discovery.
Does not own: the endpoints that these documents name (`entra.py`).
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.emulator.entra_errors import SignInRefused
from tests.emulator.identities import HOME_TENANT, TENANTS, Tenant

AUTHORITY_HOSTS = ('login.microsoftonline.com', 'login.windows.net', 'sts.windows.net', 'login.microsoftonline.us')
GRAPH_HOST = 'graph.microsoft.com'
OPENID_SCOPES = {'openid', 'profile', 'offline_access', 'email'}

_ANY_TENANT = {'common', 'organizations'}


def discovery_routes() -> list[Route]:
    return [
        Route('/common/discovery/instance', _instance_discovery),
        Route('/{tenant}/.well-known/openid-configuration', _configuration),
        Route('/{tenant}/v2.0/.well-known/openid-configuration', _configuration),
        # MSAL's default authority ends in a slash, and so Cloud Shell's request has two.
        Route('/{tenant}//v2.0/.well-known/openid-configuration', _configuration),
    ]


def tenant_of(request: Request) -> Tenant:
    """The tenant that the path names by ID or domain; an unnamed one is the home tenant. Raises SignInRefused."""
    segment = request.path_params['tenant'].lower()
    if segment in _ANY_TENANT:
        return HOME_TENANT
    for tenant in TENANTS:
        if segment in (tenant.id, tenant.domain):
            return tenant
    raise SignInRefused(90002, name=segment)


async def _instance_discovery(_: Request) -> Response:
    authority = 'https://login.microsoftonline.com/common'
    return JSONResponse(
        {
            'tenant_discovery_endpoint': f'{authority}/v2.0/.well-known/openid-configuration',
            'api-version': '1.1',
            'metadata': [
                {
                    'preferred_network': 'login.microsoftonline.com',
                    'preferred_cache': 'login.windows.net',
                    'aliases': [
                        'login.microsoftonline.com',
                        'login.windows.net',
                        'login.microsoft.com',
                        'sts.windows.net',
                    ],
                },
                {
                    'preferred_network': 'login.microsoftonline.us',
                    'preferred_cache': 'login.microsoftonline.us',
                    'aliases': ['login.microsoftonline.us', 'login.usgovcloudapi.net'],
                },
            ],
        }
    )


async def _configuration(request: Request) -> Response:
    try:
        tenant = tenant_of(request)
    except SignInRefused as refused:
        return refused.response()
    segment = request.path_params['tenant']
    segment = segment if segment in _ANY_TENANT else tenant.id
    base = f'https://{request.url.hostname}/{segment}'
    return JSONResponse(
        {
            'issuer': f'https://login.microsoftonline.com/{"{tenantid}" if segment in _ANY_TENANT else tenant.id}/v2.0',
            'authorization_endpoint': f'{base}/oauth2/v2.0/authorize',
            'token_endpoint': f'{base}/oauth2/v2.0/token',
            'device_authorization_endpoint': f'{base}/oauth2/v2.0/devicecode',
            'jwks_uri': f'{base}/discovery/v2.0/keys',
            'userinfo_endpoint': f'https://{GRAPH_HOST}/oidc/userinfo',
            'response_types_supported': ['code', 'id_token'],
            'subject_types_supported': ['pairwise'],
            'id_token_signing_alg_values_supported': ['RS256'],
            'token_endpoint_auth_methods_supported': ['client_secret_post', 'private_key_jwt'],
            'scopes_supported': sorted(OPENID_SCOPES),
            'tenant_region_scope': None,
            'cloud_instance_name': 'microsoftonline.com',
        }
    )
