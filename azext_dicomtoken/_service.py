"""Which DICOM service is meant, and which audience its tokens need.

A service is named by its URL, by its names, or by a configured default; where names are not enough, Azure
Resource Manager is asked (`_arm`). `_hosts` judges every URL that comes out, wherever it came from; it is imported
by functions, because az reads this file for -h too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.cli.core.azclierror import (
    AzCLIError,
    AzureResponseError,
    InvalidArgumentValueError,
    MutuallyExclusiveArgumentError,
    RequiredArgumentMissingError,
)

from azext_dicomtoken._invocation import Invocation, is_typed

if TYPE_CHECKING:
    from dicomfeed.trust import Cloud


@dataclass(frozen=True)
class Service:
    """A service that tokens may be sent to.

    :ivar url: scheme, host and port, nothing after them; None when none was named and none was required.
    :ivar audience: the resource to ask a token for.
    :ivar resource_id: its ID in Azure Resource Manager, where that was asked.
    :ivar names: of the workspace and the DICOM service, where they were given.
    """

    url: str | None
    audience: str
    resource_id: str | None = None
    names: tuple[str, str] | None = None


class AudienceUnknown(RequiredArgumentMissingError):
    """Nothing given says which audience is right in this cloud."""


def resolve_service(
    invocation: Invocation,
    *,
    service_url: str | None = None,
    workspace_name: str | None = None,
    dicom_service_name: str | None = None,
    resource_group_name: str | None = None,
    resource: str | None = None,
    url_required: bool = True,
) -> Service:
    """Turn what was typed and configured into a service, or refuse.

    Typed names beat a configured URL. With both names, a typed resource group makes Azure Resource Manager answer for
    URL and audience; a configured one only where nothing else says them, because it may be meant for other work.

    :param url_required: False where only the audience matters; a configured URL is then not looked at.
    :raises AzCLIError: for what does not go together, is not enough, or is no host to trust with a token.
    """
    from azext_dicomtoken._hosts import active_cloud

    _refuse_unverified_connections()
    _refuse_odd_resource(resource)
    names = _names(workspace_name, dicom_service_name)
    _refuse_contradictions(service_url, resource_group_name, names=names)
    cloud = active_cloud(invocation.cli_ctx)
    audience = resource or cloud.audience
    is_known = audience is not None and (cloud.suffix is not None or not url_required)
    if names and is_typed(resource_group_name):
        return _from_arm(invocation, cloud, names, resource_group_name=str(resource_group_name), resource=resource)
    if names and resource_group_name and not is_known:
        return _from_configured_group(
            invocation, cloud, names, resource_group_name=resource_group_name, resource=resource
        )
    url = None
    if names and (url_required or cloud.suffix):
        url = _url_from_names(cloud, *names)
    elif service_url and (url_required or is_typed(service_url)) and not names:
        url = _url_from_text(invocation.cli_ctx, service_url, resource)
    elif url_required:
        raise RequiredArgumentMissingError(
            'No DICOM service was named.',
            recommendation=[
                'Give --service-url, or --workspace-name and --dicom-service-name,',
                'or a default: az config set defaults.dicom_service_url=URL',
            ],
        )
    return Service(url, audience or _refuse_unknown_audience(cloud), names=names)


def source_of(value: Any, *, option: str, setting: str, environ: Mapping[str, str] = os.environ) -> str:
    """Where the value of an option comes from, for the person who has to correct it.

    :param setting: the option's name among az's configured defaults.
    """
    if is_typed(value):
        return option
    variable = f'AZURE_DEFAULTS_{setting.upper()}'
    if environ.get(variable):
        return f'the environment variable {variable}'
    return f'the configured default (az config get defaults.{setting})'


def _refuse_unverified_connections() -> None:
    from azure.cli.core.util import DISABLE_VERIFY_VARIABLE_NAME, should_disable_connection_verify

    if should_disable_connection_verify():
        raise InvalidArgumentValueError(
            f'{DISABLE_VERIFY_VARIABLE_NAME} is set, and a token is never sent without checking the certificate.',
            recommendation='Unset it. For a server or proxy with a certificate authority of its own, name the '
            "authority's file in the environment variable REQUESTS_CA_BUNDLE.",
        )


def _refuse_odd_resource(resource: str | None) -> None:
    # White space would make two scopes of one.
    if resource is not None and not re.fullmatch(r'[!-~]+', resource):
        raise InvalidArgumentValueError(
            'The value of --resource is not an audience.',
            recommendation='An audience is a URI or an application ID, without spaces.',
        )


def _names(workspace_name: str | None, dicom_service_name: str | None) -> tuple[str, str] | None:
    names = {'--workspace-name': workspace_name, '--dicom-service-name': dicom_service_name}
    for option, name in names.items():
        if name is not None and not re.fullmatch(r'[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?', name):
            raise InvalidArgumentValueError(
                f'The value of {option} is not a name.', recommendation='Names are made of letters, digits and hyphens.'
            )
    if workspace_name and dicom_service_name:
        return workspace_name, dicom_service_name
    if workspace_name or dicom_service_name:
        missing = next(option for option, name in names.items() if not name)
        raise RequiredArgumentMissingError(
            f'{missing} is missing.', recommendation='A service is named by both names or by --service-url.'
        )
    return None


def _refuse_contradictions(
    service_url: str | None, resource_group_name: str | None, *, names: tuple[str, str] | None
) -> None:
    if names and is_typed(service_url):
        raise MutuallyExclusiveArgumentError(
            '--service-url and the names of a service do not go together.', recommendation='Give one of them.'
        )
    if not names and is_typed(resource_group_name):
        raise RequiredArgumentMissingError(
            '--resource-group requires the names of a service.',
            recommendation='Add --workspace-name and --dicom-service-name, or leave it out.',
        )


def _url_from_names(cloud: Cloud, workspace_name: str, dicom_service_name: str) -> str:
    if cloud.suffix is None:
        raise RequiredArgumentMissingError(
            'The host names of the DICOM service in the active cloud are not known.',
            recommendation='Add --resource-group, so that Azure Resource Manager can return the URL.',
        )
    from azext_dicomtoken._hosts import origin_of

    url = f'https://{workspace_name}-{dicom_service_name}.{cloud.suffix}'
    return str(origin_of(url, source='--workspace-name and --dicom-service-name'))


def _url_from_text(cli_ctx: Any, service_url: str, resource: str | None) -> str:
    from azext_dicomtoken._hosts import origin_of, refuse_untrusted

    source = source_of(service_url, option='--service-url', setting='dicom_service_url')
    origin = origin_of(service_url, source=source)
    both_typed = is_typed(service_url) and is_typed(resource)
    refuse_untrusted(origin, resource or '', cli_ctx=cli_ctx, is_typed=both_typed, source=source)
    return str(origin)


def _from_arm(
    invocation: Invocation, cloud: Cloud, names: tuple[str, str], *, resource_group_name: str, resource: str | None
) -> Service:
    from azext_dicomtoken._arm import read_service
    from azext_dicomtoken._hosts import origin_of

    found = read_service(invocation, *names, resource_group_name=resource_group_name)
    origin = origin_of(found.url, source='Azure Resource Manager')
    if not (origin.is_under(cloud.suffix) or cloud.suffix is None and origin.is_plain_https()):
        raise AzureResponseError(
            'Azure Resource Manager named a host that is not a DICOM service of the active cloud.',
            recommendation='Check the active cloud: az cloud show --query name',
        )
    audience = resource or _choose(found.audiences, cloud.audience) or _refuse_unknown_audience(cloud)
    return Service(str(origin), audience, found.resource_id, names)


def _from_configured_group(
    invocation: Invocation, cloud: Cloud, names: tuple[str, str], *, resource_group_name: str, resource: str | None
) -> Service:
    """Ask with a group that nobody typed, and say so: it may be the wrong one."""
    from knack.log import get_logger

    source = source_of(resource_group_name, option='--resource-group', setting='group')
    said = f'The resource group {resource_group_name} comes from {source}.'
    get_logger(__name__).warning(said)
    try:
        return _from_arm(invocation, cloud, names, resource_group_name=str(resource_group_name), resource=resource)
    except AzCLIError as error:
        error.recommendations.insert(0, f'{said} Type another one with --resource-group.')
        raise


def _choose(audiences: list[str], known: str | None) -> str | None:
    """The known one if it is among them, as it is spelled there; else the first; else what is known."""
    if not audiences or known in audiences:
        return known
    return next((audience for audience in audiences if audience.rstrip('/') == known), audiences[0])


def _refuse_unknown_audience(cloud: Cloud) -> str:
    raise AudienceUnknown(
        f'The audience of the DICOM service in the cloud {cloud.name} is not known.',
        recommendation=[
            'Name it with --resource, or get it from Azure Resource Manager:',
            '--resource-group together with --workspace-name and --dicom-service-name.',
        ],
    )
