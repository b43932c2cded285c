"""What Azure Resource Manager says of a DICOM service: its URL and its audiences.

Whether that URL is to be trusted is judged in `_service`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
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

    from azext_dicomtoken._login import Login

    cli_ctx = invocation.cli_ctx
    login = Login(invocation, audience=cli_ctx.cloud.endpoints.active_directory_resource_id)
    resource_id = dicom_resource_id(
        login.subscription_id(), quote(resource_group_name, safe=''), workspace_name, dicom_service_name
    )
    url = cli_ctx.cloud.endpoints.resource_manager.rstrip('/') + resource_id
    transport = invocation.transport(
        read_timeout_seconds=_READ_TIMEOUT_SECONDS, largest_answer_bytes=_LARGEST_ANSWER_BYTES
    )
    return _service_of(_get(transport, url, login.get_token().token), resource_id)


def dicom_resource_id(
    subscription_id: str, resource_group_name: str, workspace_name: str, dicom_service_name: str
) -> str:
    return (
        f'/subscriptions/{subscription_id}/resourceGroups/{resource_group_name}'
        f'/providers/Microsoft.HealthcareApis/workspaces/{workspace_name}/dicomservices/{dicom_service_name}'
    )


def _get(transport: HttpTransport, url: str, token: str) -> Any:
    # Not az's send_raw_request: that follows redirects, and waits and reads without end.
    import json

    from dicomfeed.errors import RequestError

    try:
        answer = transport.get(url, parameters={'api-version': _API_VERSION}, token=token)
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
        'Azure Resource Manager gave no service URL.',
        recommendation='The service may still be in deployment; or name it with --service-url.',
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
            recommendation=[*quotes, 'List the services that there are:', LIST_SERVICES],
        )
    kind = AzureInternalError if status >= 500 else AzureResponseError
    return kind(
        f'Azure Resource Manager answered with status {status}.',
        recommendation=[*quotes, 'Try again later, or name the service with --service-url.'],
    )
