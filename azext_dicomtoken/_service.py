"""Which DICOM service is meant, and which audience its tokens need.

A service is named by its URL, by its names, or by a configured default; where names are not enough, Azure
Resource Manager is asked (`_arm`). `_hosts` judges every URL that comes out, wherever it came from; it is imported
where there is a URL, because its patterns cost a token without one six milliseconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from azure.cli.core.azclierror import (
    AzureResponseError,
    InvalidArgumentValueError,
    MutuallyExclusiveArgumentError,
    RequiredArgumentMissingError,
)

from azext_dicomtoken._clouds import DicomCloud, dicom_cloud
from azext_dicomtoken._invocation import Invocation, is_typed


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

    Typed names beat a configured URL. With both names, a resource group (typed or configured) makes Azure Resource
    Manager answer for URL and audience.

    :param url_required: False where only the audience matters; a configured URL is then not looked at.
    :raises AzCLIError: for what does not go together, is not enough, or is no host to trust with a token.
    """
    _refuse_unverified_connections()
    _refuse_odd_resource(resource)
    names = _names(workspace_name, dicom_service_name)
    _refuse_contradictions(service_url, resource_group_name, names=names)
    cloud = dicom_cloud(invocation.cli_ctx.cloud.name)
    if names and resource_group_name:
        return _from_arm(invocation, cloud, names, resource_group_name=str(resource_group_name), resource=resource)
    url = None
    if names and (url_required or cloud.suffix):
        url = _url_from_names(cloud, *names)
    elif service_url and (url_required or is_typed(service_url)) and not names:
        url = _url_from_text(cloud, service_url, resource)
    elif url_required:
        raise RequiredArgumentMissingError(
            'Which DICOM service is meant?',
            recommendation=[
                'Give --service-url, or --workspace-name and --dicom-service-name,',
                'or a default: az config set defaults.dicom_service_url=URL',
            ],
        )
    return Service(url, resource or cloud.audience or _refuse_unknown_audience(cloud), names=names)


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
            recommendation='An audience is a URI or an application ID, without blanks.',
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
            '--resource-group says nothing without the names of a service.',
            recommendation='Add --workspace-name and --dicom-service-name, or leave it out.',
        )


def _url_from_names(cloud: DicomCloud, workspace_name: str, dicom_service_name: str) -> str:
    if cloud.suffix is None:
        raise RequiredArgumentMissingError(
            'The host names of the DICOM service in the active cloud are not known.',
            recommendation='Add --resource-group, so that Azure Resource Manager can say the URL.',
        )
    from azext_dicomtoken._hosts import parse_service_url

    return str(parse_service_url(f'https://{workspace_name}-{dicom_service_name}.{cloud.suffix}'))


def _url_from_text(cloud: DicomCloud, service_url: str, resource: str | None) -> str:
    from azext_dicomtoken._hosts import is_own_audience, parse_service_url, refuse_untrusted

    origin = parse_service_url(service_url)
    refuse_untrusted(origin, cloud, own_server=is_typed(service_url) and is_own_audience(resource))
    return str(origin)


def _from_arm(
    invocation: Invocation, cloud: DicomCloud, names: tuple[str, str], *, resource_group_name: str, resource: str | None
) -> Service:
    from azext_dicomtoken._arm import read_service
    from azext_dicomtoken._hosts import parse_service_url

    found = read_service(invocation, *names, resource_group_name=resource_group_name)
    origin = parse_service_url(found.url)
    if not (origin.is_under(cloud.suffix) or cloud.suffix is None and origin.is_plain_https()):
        raise AzureResponseError(
            'Azure Resource Manager named a host that is no DICOM service of the active cloud.',
            recommendation='Check the active cloud: az cloud show --query name',
        )
    audience = resource or _choose(found.audiences, cloud.audience) or _refuse_unknown_audience(cloud)
    return Service(str(origin), audience, found.resource_id, names)


def _choose(audiences: list[str], known: str | None) -> str | None:
    """The known one if it is among them, as it is spelled there; else the first; else what is known."""
    if not audiences or known in audiences:
        return known
    return next((audience for audience in audiences if audience.rstrip('/') == known), audiences[0])


def _refuse_unknown_audience(cloud: DicomCloud) -> str:
    raise AudienceUnknown(
        f'The audience of the DICOM service in the cloud {cloud.name} is not known.',
        recommendation=[
            'Name it with --resource, or let Azure Resource Manager say it:',
            '--resource-group together with --workspace-name and --dicom-service-name.',
        ],
    )
