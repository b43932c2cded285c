"""The emulated Entra ID: discovery, the token endpoint with its grants, device code, user info.

Owned: under which hosts it is found, which tenant a path names, what a client learns before it signs in (instance
discovery as MSAL reads it, OpenID Connect Discovery), the grants, and what the endpoints answer. Shapes: RFC 6749,
RFC 8628, and what MSAL sends and reads.
Not owned: tokens (`tokens.py`), a client's credentials and the words of refusals (`credentials.py`).
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.emulator.credentials import ClientCredentials, SignInRefused
from tests.emulator.identities import (
    AZURE_CLI_CLIENT_ID,
    HOME_TENANT,
    PRINCIPALS,
    READER_USER,
    TENANTS,
    Principal,
    ServicePrincipal,
    Tenant,
    User,
)
from tests.emulator.journal import Journal
from tests.emulator.tokens import TokenRejected, Tokens, delegated_scope, encode_json

DICOM_AUDIENCE = 'https://dicom.healthcareapis.azure.com'
ARM_AUDIENCES = (
    'https://management.core.windows.net/',
    'https://management.azure.com/',
    'https://management.core.usgovcloudapi.net/',
    'https://management.usgovcloudapi.net/',
)
AUTHORITY_HOSTS = ('login.microsoftonline.com', 'login.windows.net', 'sts.windows.net', 'login.microsoftonline.us')
GRAPH_HOST = 'graph.microsoft.com'
_OPENID_SCOPES = {'openid', 'profile', 'offline_access', 'email'}
_ANY_TENANT = {'common', 'organizations'}
_GRAPH_AUDIENCE = f'https://{GRAPH_HOST}'


@dataclass(frozen=True)
class _Grant:
    """What a device code (not `approved`: not yet) or a refresh token (not `approved`: no longer) stands for."""

    user: User
    client_id: str
    scope: str = ''
    approved: bool = True


class Entra:
    """The directory and its endpoints; `app` is the ASGI application, the rest is for tests to set and to ask."""

    def __init__(self, journal: Journal) -> None:
        self.tokens = Tokens()
        self.client_credentials = ClientCredentials(self.tokens)
        self.principals: list[Principal] = list(PRINCIPALS)
        self.resources = {audience.rstrip('/') for audience in (DICOM_AUDIENCE, _GRAPH_AUDIENCE, *ARM_AUDIENCES)}
        self.approves_device_codes = True
        self.device_code_user = READER_USER
        self._journal = journal
        self._device_codes: dict[str, _Grant] = {}
        self._user_codes: dict[str, str] = {}
        self._refresh_tokens: dict[str, _Grant] = {}
        self._interaction: dict[str, str] = {}
        self.app = Starlette(routes=self._routes())

    @property
    def token_lifetime_seconds(self) -> float:
        return self.tokens.lifetime_seconds

    @token_lifetime_seconds.setter
    def token_lifetime_seconds(self, seconds: float) -> None:
        self.tokens.lifetime_seconds = seconds

    def verify(self, token: str, *, audiences: Collection[str], tenant: Tenant | None = None) -> dict[str, object]:
        """The claims of a good token; raises TokenRejected."""
        return self.tokens.verify(token, audiences=audiences, tenant=tenant)

    def issue(
        self, principal: Principal, *, resource: str = DICOM_AUDIENCE, tenant: Tenant = HOME_TENANT, cp1: bool = False
    ) -> str:
        """An access token without any sign-in, for tests that need only the token and for the token endpoints."""
        client_id = AZURE_CLI_CLIENT_ID if isinstance(principal, User) else principal.client_id
        return self.tokens.issue(principal, tenant, audience=resource, client_id=client_id, cp1=cp1)

    def revoke(self, principal: Principal) -> None:
        """Tokens issued so far meet a claims challenge; refresh tokens and secrets stay good."""
        self.tokens.revoke(principal)

    def revoke_refresh_tokens(self, user: User) -> None:
        """The next refresh fails with AADSTS50173: sign in again."""
        for refresh_token, grant in list(self._refresh_tokens.items()):
            if grant.user == user:
                self._refresh_tokens[refresh_token] = replace(grant, approved=False)

    def require_interaction(self, user: User) -> None:
        """The next refresh fails with AADSTS50076, until the user has gone through a device code again."""
        self._interaction[user.username] = json.dumps({'access_token': {'acrs': {'essential': True, 'value': 'c1'}}})

    def forget_interaction(self, user: User) -> None:
        """The user is not asked for another factor any more."""
        self._interaction.pop(user.username, None)

    def approve(self, user_code: str, user: User | None = None) -> None:
        """Enter the code that the device showed, as this user (default: the one who asked for it)."""
        device_code = self._user_codes[user_code]
        grant = self._device_codes[device_code]
        self._device_codes[device_code] = replace(grant, approved=True, user=user or grant.user)

    def tenants_of(self, object_id: str) -> list[Tenant]:
        """Tenants in which the principal with this object ID is known, the home tenant first."""
        found = [principal for principal in self.principals if object_id in principal.object_ids.values()]
        return [tenant for tenant in TENANTS for principal in found if tenant.id in principal.object_ids]

    def require_resource(self, resource: str, tenant: Tenant) -> None:
        """Raise SignInRefused (AADSTS500011) where nobody registered this resource."""
        if resource.rstrip('/') not in self.resources:
            raise SignInRefused(500011, name=resource, tenant=tenant.name)

    def _routes(self) -> list[Route]:
        return [
            *_discovery_routes(),
            Route('/oidc/userinfo', self._user_info),
            Route('/{tenant}/discovery/v2.0/keys', self._keys),
            Route('/{tenant}/discovery/keys', self._keys),
            Route('/{tenant}/oauth2/v2.0/devicecode', self._device_code, methods=['POST']),
            Route('/{tenant}/oauth2/v2.0/token', self._token, methods=['POST']),
            Route('/{tenant}/oauth2/token', self._token, methods=['POST']),
        ]

    async def _keys(self, _: Request) -> Response:
        return JSONResponse(self.tokens.key_set())

    async def _user_info(self, request: Request) -> Response:
        token = request.headers.get('authorization', '').removeprefix('Bearer ')
        try:
            claims = self.verify(token, audiences=[_GRAPH_AUDIENCE, _GRAPH_AUDIENCE + '/'])
        except TokenRejected:
            return JSONResponse({'error': {'code': 'InvalidAuthenticationToken'}}, status_code=401)
        return JSONResponse({key: claims[key] for key in ('sub', 'name', 'given_name', 'family_name') if key in claims})

    async def _device_code(self, request: Request) -> Response:
        form = await read_form(request)
        device_code, user_code = secrets.token_urlsafe(32), secrets.token_hex(4).upper()
        self._user_codes[user_code] = device_code
        self._device_codes[device_code] = _Grant(
            self.device_code_user, form['client_id'], form.get('scope', ''), approved=self.approves_device_codes
        )
        where = 'https://microsoft.com/devicelogin'
        message = f'To sign in, use a web browser to open the page {where} and enter the code {user_code}.'
        return JSONResponse(
            {
                'user_code': user_code,
                'device_code': device_code,
                'verification_uri': where,
                'expires_in': 900,
                'interval': 1,
                'message': message,
            }
        )

    async def _token(self, request: Request) -> Response:
        form = await read_form(request)
        note = {
            'grant': form.get('grant_type', '').rpartition(':')[2],
            'resource': form.get('resource') or _resource(form.get('scope', '')),
            'claims': form.get('claims', ''),
            'tenant': request.path_params['tenant'],
            'principal': form.get('client_id', ''),
            'error': '',
        }
        try:
            tenant = _tenant_of(request)
            return JSONResponse(self._answer(form, tenant, note=note), headers={'cache-control': 'no-store'})
        except SignInRefused as refused:
            note['error'] = f'AADSTS{refused.code}'
            return refused.response()
        finally:
            self._journal.record_token_request(**note)

    def _answer(self, form: Mapping[str, str], tenant: Tenant, *, note: dict[str, str]) -> dict[str, object]:
        if note['grant'] == 'client_credentials':
            application = self._application(form.get('client_id', ''), tenant)
            self.client_credentials.authenticate(application, form, tenant=tenant)
            return self._tokens_for_application(application, tenant, note=note)
        if note['grant'] == 'device_code':
            grant = self._redeemed_device_code(form.get('device_code', ''))
        elif note['grant'] == 'refresh_token':
            grant = self._refreshed(form.get('refresh_token', ''), note['resource'])
        else:
            raise SignInRefused(70003, name=note['grant'])
        note.update(principal=grant.user.username, resource=note['resource'] or _resource(grant.scope))
        return self._tokens_for_user(grant, tenant, note=note)

    def _application(self, client_id: str, tenant: Tenant) -> ServicePrincipal:
        for principal in self.principals:
            if isinstance(principal, ServicePrincipal) and principal.client_id == client_id:
                if tenant.id in principal.object_ids:
                    return principal
        raise SignInRefused(700016, name=client_id, tenant=tenant.name)

    def _redeemed_device_code(self, device_code: str) -> _Grant:
        grant = self._device_codes.get(device_code)
        if grant is None:
            raise SignInRefused(70000, name='device_code')
        if not grant.approved:
            raise SignInRefused(70016)
        del self._device_codes[device_code]
        self._interaction.pop(grant.user.username, None)
        return grant

    def _refreshed(self, refresh_token: str, resource: str) -> _Grant:
        grant = self._refresh_tokens.get(refresh_token)
        if grant is None:
            raise SignInRefused(70000, name='refresh_token')
        if not grant.approved:
            raise SignInRefused(50173)
        if grant.user.username in self._interaction:
            raise SignInRefused(50076, name=resource, claims=self._interaction[grant.user.username])
        return grant

    def _tokens_for_application(
        self, application: ServicePrincipal, tenant: Tenant, *, note: Mapping[str, str]
    ) -> dict[str, object]:
        self.require_resource(note['resource'], tenant)
        return {
            'token_type': 'Bearer',
            'expires_in': self._expires_in(),
            'ext_expires_in': self._expires_in(),
            'access_token': self.issue(
                application, resource=note['resource'], tenant=tenant, cp1=_declares_cp1(note['claims'])
            ),
        }

    def _tokens_for_user(self, grant: _Grant, tenant: Tenant, *, note: Mapping[str, str]) -> dict[str, object]:
        if tenant.id not in grant.user.object_ids:
            raise SignInRefused(50034, name=grant.user.username, tenant=tenant.name)
        resource = note['resource']
        self.require_resource(resource, tenant)
        refresh_token = secrets.token_urlsafe(48)
        self._refresh_tokens[refresh_token] = replace(grant, scope='')
        return {
            'token_type': 'Bearer',
            'scope': f'{resource}/{delegated_scope(resource)} {resource}/.default',
            'expires_in': self._expires_in(),
            'ext_expires_in': self._expires_in(),
            'access_token': self.issue(grant.user, resource=resource, tenant=tenant, cp1=_declares_cp1(note['claims'])),
            'refresh_token': refresh_token,
            'foci': '1',
            'id_token': self._id_token(grant, tenant),
            'client_info': encode_json({'uid': grant.user.object_ids[HOME_TENANT.id], 'utid': HOME_TENANT.id}),
        }

    def _id_token(self, grant: _Grant, tenant: Tenant) -> str:
        now = int(time.time())
        return self.tokens.sign(
            {
                'aud': grant.client_id,
                'iss': f'https://login.microsoftonline.com/{tenant.id}/v2.0',
                'iat': now,
                'nbf': now,
                'exp': now + 3600,
                'name': grant.user.name,
                'oid': grant.user.object_ids[tenant.id],
                'preferred_username': grant.user.username,
                'sub': grant.user.object_ids[tenant.id],
                'tid': tenant.id,
                'ver': '2.0',
            }
        )

    def _expires_in(self) -> int:
        return max(int(self.token_lifetime_seconds) - 1, 0)


def _resource(scope: str) -> str:
    """The resource of a v2.0 scope: all before the last slash, so `X//.default` names `X/`."""
    for part in scope.split():
        if part not in _OPENID_SCOPES:
            return part.rpartition('/')[0]
    return ''


def _declares_cp1(claims: str) -> bool:
    """Whether the client says that it can handle claims challenges."""
    return 'cp1' in claims.lower()


async def read_form(request: Request) -> dict[str, str]:
    """The fields of an URL-encoded body."""
    return dict(parse_qsl((await request.body()).decode()))


def _discovery_routes() -> list[Route]:
    return [
        Route('/common/discovery/instance', _instance_discovery),
        Route('/{tenant}/.well-known/openid-configuration', _configuration),
        Route('/{tenant}/v2.0/.well-known/openid-configuration', _configuration),
        # MSAL's default authority ends in a slash, and so Cloud Shell's request has two.
        Route('/{tenant}//v2.0/.well-known/openid-configuration', _configuration),
    ]


def _tenant_of(request: Request) -> Tenant:
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
        tenant = _tenant_of(request)
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
            'scopes_supported': sorted(_OPENID_SCOPES),
            'tenant_region_scope': None,
            'cloud_instance_name': 'microsoftonline.com',
        }
    )
