"""The emulated Azure Resource Manager: what `az login` asks, and the DICOM service as a resource.

Owned: the resources and the form of ARM's answers and refusals. A resource holds what ARM says of a service, which a
test may set to something else than the truth.
Not owned: whether a token is good (`entra.py`).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.emulator import role_assignments
from tests.emulator.entra import ARM_AUDIENCES, DICOM_AUDIENCE, Entra
from tests.emulator.identities import HOME_TENANT, IMAGING_SUBSCRIPTION, SUBSCRIPTIONS, Subscription, Tenant
from tests.emulator.role_assignments import Assignment
from tests.emulator.tokens import TokenRejected

ARM_HOSTS = ('management.azure.com', 'management.usgovcloudapi.net')

_WORKSPACES = '/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.HealthcareApis/workspaces'
_AUDIENCES = [form for audience in ARM_AUDIENCES for form in (audience, audience.rstrip('/'))]


@dataclass
class DicomResource:
    """A `Microsoft.HealthcareApis/workspaces/dicomservices` resource as ARM shows it; every field may be set."""

    workspace: str
    name: str
    service_url: str
    resource_group: str = 'imaging'
    subscription: Subscription = IMAGING_SUBSCRIPTION
    authority: str = f'https://login.microsoftonline.com/{HOME_TENANT.id}'
    audiences: list[str] = field(default_factory=lambda: [DICOM_AUDIENCE, DICOM_AUDIENCE + '/'])

    @property
    def id(self) -> str:
        group = _WORKSPACES.format(subscription=self.subscription.id, group=self.resource_group)
        return f'{group}/{self.workspace}/dicomservices/{self.name}'

    def as_json(self) -> dict[str, object]:
        return {
            'id': self.id,
            'name': f'{self.workspace}/{self.name}',
            'type': 'Microsoft.HealthcareApis/workspaces/dicomservices',
            'location': 'westeurope',
            'properties': {
                'provisioningState': 'Succeeded',
                'publicNetworkAccess': 'Enabled',
                'serviceUrl': self.service_url,
                'authenticationConfiguration': {'authority': self.authority, 'audiences': self.audiences},
            },
        }


class Arm:
    """The resources; `app` is the ASGI application."""

    def __init__(self, entra: Entra) -> None:
        self.subscriptions: list[Subscription] = list(SUBSCRIPTIONS)
        self.dicom_services: list[DicomResource] = []
        self.assign: Callable[[DicomResource, Assignment], None] = lambda resource, assignment: None
        self._entra = entra
        self.app = Starlette(
            routes=[
                Route('/tenants', self._list_tenants),
                Route('/subscriptions', self._list_subscriptions),
                Route('/{path:path}', self._resource, methods=['GET']),
                Route('/{path:path}', self._put, methods=['PUT']),
            ],
            exception_handlers={_Refused: _refuse},
        )

    def dicom_service(self, workspace: str, name: str) -> DicomResource:
        """The resource of that name, for a test to change."""
        return next(r for r in self.dicom_services if (r.workspace, r.name) == (workspace, name))

    async def _list_tenants(self, request: Request) -> Response:
        claims = self._claims(request)
        return JSONResponse({'value': [_tenant_json(tenant) for tenant in self._entra.tenants_of(str(claims['oid']))]})

    async def _list_subscriptions(self, request: Request) -> Response:
        found = [_subscription_json(subscription) for subscription in self._visible(self._claims(request))]
        return JSONResponse({'value': found, 'count': {'type': 'Total', 'value': len(found)}})

    async def _resource(self, request: Request) -> Response:
        """Everything below a subscription. ARM's paths ignore case, so they are matched here, not by the router."""
        visible = {subscription.id: subscription for subscription in self._visible(self._claims(request))}
        match = re.fullmatch(r'/subscriptions/([^/]+)(/.*)?', request.url.path.rstrip('/'), re.IGNORECASE)
        if match is None:
            raise _Refused(404, 'InvalidResourceType', 'The resource type could not be found.')
        subscription, path = visible.get(match[1].lower()), (match[2] or '').lower()
        if subscription is None:
            raise _Refused(404, 'SubscriptionNotFound', f"The subscription '{match[1]}' could not be found.")
        if not path:
            return JSONResponse(_subscription_json(subscription))
        services = [service for service in self.dicom_services if service.subscription == subscription]
        wanted = request.query_params.get('$filter', '').lower()
        group = re.fullmatch(r'(?:/resourcegroups/([^/]+))?/resources', path)
        if group is not None:
            found = services if not wanted or "workspaces/dicomservices'" in wanted else []
            if group[1]:
                found = [service for service in found if service.resource_group.lower() == group[1]]
            return JSONResponse({'value': [service.as_json() for service in found]})
        roles = role_assignments.definitions(request.url.path, wanted)
        return _below_group(services, request.url.path) if roles is None else JSONResponse({'value': roles})

    async def _put(self, request: Request) -> Response:
        """A role assignment on a DICOM service; nothing else can be put."""
        self._claims(request)
        properties = (await request.json())['properties']
        made = role_assignments.assigned(request.url.path, properties, self._assign)
        if made is None:
            raise _Refused(400, 'InvalidRequest', 'The request is not valid.')
        return JSONResponse(made, status_code=201)

    def _assign(self, assignment: Assignment) -> None:
        for service in self.dicom_services:
            if service.id.lower() == assignment.scope.lower():
                return self.assign(service, assignment)
        raise _Refused(404, 'ResourceNotFound', 'The scope of the role assignment was not found.')

    def _visible(self, claims: dict[str, object]) -> list[Subscription]:
        return [subscription for subscription in self.subscriptions if subscription.tenant.id == claims['tid']]

    def _claims(self, request: Request) -> dict[str, object]:
        if 'api-version' not in request.query_params:
            message = 'The api-version query parameter (?api-version=) is required for all requests.'
            raise _Refused(400, 'MissingApiVersionParameter', message)
        scheme, _, token = request.headers.get('authorization', '').partition(' ')
        if scheme.lower() != 'bearer':
            message = "Authentication failed. The 'Authorization' header is missing."
            raise _Refused(401, 'AuthenticationFailed', message)
        try:
            return self._entra.verify(token, audiences=_AUDIENCES)
        except TokenRejected as rejected:
            code = 'ExpiredAuthenticationToken' if 'expired' in rejected.description else 'InvalidAuthenticationToken'
            raise _Refused(401, code, rejected.description, claims=rejected.claims_challenge) from None


class _Refused(Exception):
    """ARM's error answer; `claims` is the JSON text of a claims challenge."""

    def __init__(self, status: int, code: str, message: str, claims: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.claims = status, code, message, claims


async def _refuse(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, _Refused)
    headers = {}
    if refused.status == 401:
        authority = f'https://login.microsoftonline.com/{HOME_TENANT.id}'
        reason = f'error="invalid_token", error_description="{refused.message}"'
        if refused.claims is not None:
            reason = f'error="insufficient_claims", claims="{base64.b64encode(refused.claims.encode()).decode()}"'
        headers['www-authenticate'] = f'Bearer authorization_uri="{authority}", {reason}'
    body = {'error': {'code': refused.code, 'message': refused.message}}
    return JSONResponse(body, status_code=refused.status, headers=headers)


def _below_group(services: list[DicomResource], path: str) -> Response:
    """One DICOM service, or those of one workspace."""
    one = next((service for service in services if service.id.lower() == path.lower()), None)
    if one is not None:
        return JSONResponse(one.as_json())
    parts = path.strip('/').split('/')
    if len(parts) < 4 or parts[3].lower() not in {service.resource_group.lower() for service in services}:
        group = parts[3] if len(parts) > 3 else ''
        raise _Refused(404, 'ResourceGroupNotFound', f"Resource group '{group}' could not be found.")
    if len(parts) == 9 and parts[8].lower() == 'dicomservices':
        found = [service for service in services if service.id.lower().startswith(path.lower() + '/')]
        return JSONResponse({'value': [service.as_json() for service in found]})
    name = '/'.join(parts[5:])
    message = f"The Resource '{name}' under resource group '{parts[3]}' was not found. For more details please go to "
    raise _Refused(404, 'ResourceNotFound', message + 'https://aka.ms/ARMResourceNotFoundFix')


def _tenant_json(tenant: Tenant) -> dict[str, object]:
    return {
        'id': f'/tenants/{tenant.id}',
        'tenantId': tenant.id,
        'countryCode': 'US',
        'displayName': tenant.name,
        'defaultDomain': tenant.domain,
        'domains': [tenant.domain],
        'tenantCategory': 'Home',
        'tenantType': 'AAD',
    }


def _subscription_json(subscription: Subscription) -> dict[str, object]:
    return {
        'id': f'/subscriptions/{subscription.id}',
        'subscriptionId': subscription.id,
        'tenantId': subscription.tenant.id,
        'displayName': subscription.name,
        'state': 'Enabled',
        'authorizationSource': 'RoleBased',
        'managedByTenants': [],
        'subscriptionPolicies': {
            'locationPlacementId': 'Public_2014-09-01',
            'quotaId': 'PayAsYouGo_2014-09-01',
            'spendingLimit': 'Off',
        },
    }
