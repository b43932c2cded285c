"""What Azure Resource Manager says of a DICOM service: its URL and its audiences.

Whether that URL is to be trusted is judged in `_service`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from azure.cli.core.azclierror import (
    AzureConnectionError,
    AzureInternalError,
    AzureResponseError,
    ForbiddenError,
    ResourceNotFoundError,
    UnauthorizedError,
)

if TYPE_CHECKING:
    from azext_dicomtoken._invocation import Invocation
    from dicomfeed.transport import Answer, HttpTransport

_API_VERSION = '2023-11-01'
_RESOURCES_API_VERSION = '2021-04-01'
_RESOURCE_TYPE = 'Microsoft.HealthcareApis/workspaces/dicomservices'
_READ_TIMEOUT_SECONDS = 60.0
_LARGEST_ANSWER_BYTES = 2**20


@dataclass(frozen=True)
class ArmService:
    """The answer for one service.

    :ivar url: `serviceUrl`, as it came.
    :ivar audiences: `authenticationConfiguration.audiences`, as they came.
    """

    resource_id: str
    url: str
    audiences: list[str]


def read_service(
    invocation: Invocation, workspace_name: str, dicom_service_name: str, *, resource_group_name: str
) -> ArmService:
    """Ask once, with a token for the subscription that is meant.

    :raises AzCLIError: one for each way in which no answer came; ResourceNotFoundError for 404.
    """
    from urllib.parse import quote

    arm = _Arm(invocation)
    resource_id = dicom_resource_id(
        arm.subscription_id, quote(resource_group_name, safe=''), workspace_name, dicom_service_name
    )
    return _service_of(arm.get(resource_id), resource_id)


def read_names(
    invocation: Invocation, *, resource_group_name: str | None, timeout_seconds: float
) -> list[tuple[str, str]]:
    """Workspace and name of each DICOM service in the resource group, or else in the subscription.

    Of very many, those on the first page of the answer.

    :raises AzCLIError: as `read_service` does.
    """
    from urllib.parse import quote

    arm = _Arm(invocation, timeout_seconds=timeout_seconds)
    group = f'/resourceGroups/{quote(resource_group_name, safe="")}' if resource_group_name else ''
    return _names_in(
        arm.get(
            f'/subscriptions/{arm.subscription_id}{group}/resources',
            api_version=_RESOURCES_API_VERSION,
            parameters={'$filter': f"resourceType eq '{_RESOURCE_TYPE}'"},
        )
    )


def dicom_resource_id(
    subscription_id: str, resource_group_name: str, workspace_name: str, dicom_service_name: str
) -> str:
    return (
        f'/subscriptions/{subscription_id}/resourceGroups/{resource_group_name}'
        f'/providers/Microsoft.HealthcareApis/workspaces/{workspace_name}/dicomservices/{dicom_service_name}'
    )


class _Arm:  # pylint: disable=too-few-public-methods    # what several questions share
    """Azure Resource Manager of the active cloud, for the subscription that is meant."""

    def __init__(self, invocation: Invocation, *, timeout_seconds: float = _READ_TIMEOUT_SECONDS) -> None:
        from azext_dicomtoken._login import Login

        endpoints = invocation.cli_ctx.cloud.endpoints
        self._url = endpoints.resource_manager.rstrip('/')
        self._login = Login(invocation, audience=endpoints.active_directory_resource_id)
        self._transport = invocation.transport(
            read_timeout_seconds=timeout_seconds, largest_answer_bytes=_LARGEST_ANSWER_BYTES
        )
        self.subscription_id = self._login.subscription_id()

    def get(
        self, path: str, *, api_version: str = _API_VERSION, parameters: Mapping[str, str] = MappingProxyType({})
    ) -> Any:
        """The JSON of an answer; None where it is none."""
        return _get(
            self._transport,
            self._url + path,
            self._login.get_token().token,
            parameters={'api-version': api_version, **parameters},
        )


def _get(
    transport: HttpTransport, url: str, token: str, *, parameters: Mapping[str, str] = MappingProxyType({})
) -> Any:
    # Not az's send_raw_request: that follows redirects, and waits and reads without end.
    import json

    from dicomfeed.errors import RequestError

    try:
        answer = transport.get(url, parameters=parameters, token=token)
    except RequestError as error:
        raise AzureConnectionError(
            'Azure Resource Manager could not be reached.',
            recommendation=[
                str(error),
                'Check the network and the proxy settings, or name the service with --service-url.',
            ],
        ) from error
    if answer.status != 200:
        raise _error_for(answer)
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def _names_in(body: Any) -> list[tuple[str, str]]:
    # {"value": [{"name": "contoso/imaging", …}, …]}
    resources = body.get('value') if isinstance(body, dict) else None
    found = resources if isinstance(resources, list) else []
    names = [str(resource.get('name')) for resource in found if isinstance(resource, dict)]
    return [(match[1], match[2]) for name in names if (match := re.fullmatch(r'([\w-]+)/([\w-]+)', name, re.ASCII))]


def _service_of(body: Any, resource_id: str) -> ArmService:
    # {"properties": {"serviceUrl": "https://…", "authenticationConfiguration": {"audiences": ["https://…"]}}}
    try:
        properties = body['properties']
        url = properties['serviceUrl']
        audiences = list((properties.get('authenticationConfiguration') or {}).get('audiences') or [])
        if all(re.fullmatch(r'[!-~]{1,2000}', text) for text in (url, *audiences)):
            return ArmService(resource_id, url, audiences)
    except (TypeError, KeyError, AttributeError):
        pass
    raise AzureResponseError(
        'Azure Resource Manager returned no service URL.',
        recommendation='The deployment of the service may not be complete. Wait, or name it with --service-url.',
    )


def _error_for(answer: Answer) -> Exception:
    from azext_dicomtoken._advice import LIST_SERVICES, quoted

    status = answer.status
    quotes = quoted(answer.body[:2000].decode('utf-8', 'replace'), answer.headers.get('x-ms-request-id'))
    if status == 401:
        return UnauthorizedError(
            'Azure Resource Manager did not accept the sign-in.',
            recommendation=[*quotes, 'Sign in again:', 'az login'],
        )
    if status == 403:
        return ForbiddenError(
            'The signed-in account may not read the service in Azure Resource Manager.',
            recommendation=[
                *quotes,
                'Ask for the role Reader on it.',
                'Or leave --resource-group out: the URL is then built from the names.',
            ],
        )
    if status == 404:
        return ResourceNotFoundError(
            'There is no such DICOM service in that resource group.',
            recommendation=[*quotes, 'List the services:', LIST_SERVICES],
        )
    kind = AzureInternalError if status >= 500 else AzureResponseError
    return kind(
        f'Azure Resource Manager answered with status {status}.',
        recommendation=[*quotes, 'Try again later, or name the service with --service-url.'],
    )
