"""Token endpoints inside Azure: managed identity as App Service has it, and Cloud Shell's broker.

Both are plain http on loopback. Owned: the two endpoints and the environment variables that lead `az` to them. The
formats are those that MSAL reads (`msal/managed_identity.py`, `msal/cloudshell.py`).
"""

from __future__ import annotations

import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.emulator.credentials import SignInRefused
from tests.emulator.entra import ARM_AUDIENCES, Entra, read_form
from tests.emulator.identities import HOME_TENANT, MANAGED_IDENTITY, READER_USER, Principal, ServicePrincipal
from tests.emulator.journal import Journal

CLOUD_SHELL_HOST = 'localhost:50342'  # fixed in MSAL; reached through the emulator as a plain http proxy
MANAGED_IDENTITY_FOLDER = '/msi'
MANAGED_IDENTITY_PATH = f'{MANAGED_IDENTITY_FOLDER}/token'

_IDENTITY_HEADER = 'demo-identity-header'
_ID_PARAMETERS = ('client_id', 'object_id', 'mi_res_id')


class TokenEndpoints:
    """Both endpoints.

    A test may set the identity, its `resource_ids`, the user, and Cloud Shell's list of audiences (without DICOM's).
    """

    def __init__(self, entra: Entra, journal: Journal) -> None:
        self.managed_identity: ServicePrincipal = MANAGED_IDENTITY
        self.cloud_shell_user = READER_USER
        self.cloud_shell_audiences = {*ARM_AUDIENCES, 'https://graph.microsoft.com/', 'https://vault.azure.net'}
        self.resource_ids: set[str] = set()
        self._entra = entra
        self._journal = journal
        self.managed_identity_app = Starlette(routes=[Route('/token', self._managed_identity)])
        self.cloud_shell_app = Starlette(routes=[Route('/oauth2/token', self._cloud_shell, methods=['POST'])])

    async def _managed_identity(self, request: Request) -> Response:
        parameters = request.query_params
        resource = parameters.get('resource', '')
        self._note('managed_identity', resource, self.managed_identity.client_id)
        if request.headers.get('x-identity-header') != _IDENTITY_HEADER:
            return JSONResponse({'statusCode': 401, 'message': 'X-IDENTITY-HEADER does not match'}, status_code=401)
        if not self._is_managed_identity([parameters[name] for name in _ID_PARAMETERS if name in parameters]):
            message = 'No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId.'
            return JSONResponse({'statusCode': 400, 'message': message}, status_code=400)
        try:
            self._entra.require_resource(resource, HOME_TENANT)
        except SignInRefused as refused:
            return JSONResponse({'statusCode': 500, 'message': refused.description}, status_code=500)
        answer = self._answer(self.managed_identity, resource)
        return JSONResponse({**answer, 'client_id': self.managed_identity.client_id})

    async def _cloud_shell(self, request: Request) -> Response:
        resource = (await read_form(request)).get('resource', '')
        self._note('cloud_shell', resource, self.cloud_shell_user.username)
        if request.headers.get('metadata', '').lower() != 'true':
            return _cloud_shell_error('InvalidRequest', 'The Metadata header is missing.')
        if resource.rstrip('/') not in {audience.rstrip('/') for audience in self.cloud_shell_audiences}:
            return _cloud_shell_error(
                'AudienceNotSupported', f'Audience {resource} is not a supported MSI token audience.'
            )
        return JSONResponse({**self._answer(self.cloud_shell_user, resource), 'refresh_token': ''})

    def _is_managed_identity(self, asked_for: list[str]) -> bool:
        known = {self.managed_identity.client_id, *self.managed_identity.object_ids.values(), *self.resource_ids}
        return known.issuperset(asked_for)

    def _answer(self, principal: Principal, resource: str) -> dict[str, str]:
        lifetime_seconds = int(self._entra.token_lifetime_seconds)
        return {
            'access_token': self._entra.issue(principal, resource=resource),
            'expires_in': str(lifetime_seconds),
            'expires_on': str(int(time.time()) + lifetime_seconds),
            'not_before': str(int(time.time()) - 300),
            'resource': resource,
            'token_type': 'Bearer',
        }

    def _note(self, grant: str, resource: str, principal: str) -> None:
        self._journal.record_token_request(
            grant=grant, resource=resource, claims='', tenant=HOME_TENANT.id, principal=principal, error=''
        )


def managed_identity_environment(base_url: str) -> dict[str, str]:
    """What App Service sets in a process that has a managed identity."""
    return {'IDENTITY_ENDPOINT': base_url + MANAGED_IDENTITY_PATH, 'IDENTITY_HEADER': _IDENTITY_HEADER}


def cloud_shell_environment(proxy_url: str) -> dict[str, str]:
    """What Cloud Shell sets, and the proxy that leads its fixed port to the emulator.

    `AZUREPS_HOST_ENVIRONMENT` makes MSAL ask http://localhost:50342/oauth2/token, `ACC_CLOUD` makes az take that path.
    """
    return {
        'ACC_CLOUD': 'PROD',
        'AZUREPS_HOST_ENVIRONMENT': 'cloud-shell/1.0',
        'MSI_ENDPOINT': f'http://{CLOUD_SHELL_HOST}/oauth2/token',
        'HTTP_PROXY': proxy_url,
        'http_proxy': proxy_url,
    }


def _cloud_shell_error(code: str, message: str) -> Response:
    return JSONResponse({'error': {'code': code, 'message': message}}, status_code=400)
