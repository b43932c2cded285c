"""What each command takes: one function a command, and the groups that commands share.

What is refused in combination is in `_validators`.
"""
from __future__ import annotations

from typing import Any

from azure.cli.core.commands.parameters import get_enum_type, resource_group_name_type


def load_arguments(loader: Any, _command: str) -> None:
    _token_issue(loader)
    _token_show_claims(loader)


def _token_issue(loader: Any) -> None:
    from azext_dicomtoken._formats import DEFAULT_VARIABLE_NAME, FORMATS
    with loader.argument_context('dicom token issue') as context:
        _service_arguments(context)
        _identity_arguments(context)
        context.argument('token_format', options_list=['--format'], arg_type=get_enum_type(FORMATS, default='json'),
                         help='How to write the token: '
                              + '; '.join(f'{name}: {entry.help}' for name, entry in FORMATS.items()) + '.')
        context.argument('variable_name', options_list=['--variable-name'],
                         help='Name of the variable that the env formats, fish, powershell and windows-cmd set; the '
                              f'expiry goes to the same name with _EXPIRES_ON.  Default: {DEFAULT_VARIABLE_NAME}.')
        context.argument('min_validity', options_list=['--min-validity'],
                         help='Take a new token if the cached one lasts less than this, such as 30m.')
        context.argument('force_refresh', options_list=['--force-refresh'], action='store_true',
                         help='Take a new token whatever the cache holds. For a managed identity and in Cloud Shell '
                              'the token endpoint decides.')
        _output_file_arguments(context)


def _token_show_claims(loader: Any) -> None:
    with loader.argument_context('dicom token show-claims') as context:
        _service_arguments(context)
        _identity_arguments(context)
        context.argument('token_file', options_list=['--token-file'],
                         help='Read the token from this file instead of asking for one; - is standard input.')


def _service_arguments(context: Any) -> None:
    group = 'Service'
    context.argument('service_url', options_list=['--service-url'], arg_group=group,
                     configured_default='dicom_service_url',
                     help='URL of the DICOM service, such as '
                          'https://WORKSPACE-SERVICE.dicom.azurehealthcareapis.com. You can configure the default '
                          'with `az config set defaults.dicom_service_url=URL`.')
    context.argument('workspace_name', options_list=['--workspace-name'], arg_group=group,
                     help='Name of the Health Data Services workspace, in place of the URL.')
    context.argument('dicom_service_name', options_list=['--dicom-service-name'], arg_group=group,
                     help='Name of the DICOM service in the workspace, in place of the URL.')
    context.argument('resource_group_name', resource_group_name_type, arg_group=group, required=False,
                     help='Name of the resource group. With it, Azure Resource Manager is asked for URL and audience '
                          'of the service that the two names mean; without it, no call is made. You can configure the '
                          'default group using `az configure --defaults group=NAME`.')


def _identity_arguments(context: Any) -> None:
    group = 'Identity'
    context.argument('resource', options_list=['--resource'], arg_group=group,
                     help='Audience of the token, used as typed.  Default: the DICOM service of the public cloud, '
                          'https://dicom.healthcareapis.azure.com; in other clouds what Azure Resource Manager says.')
    context.argument('tenant', options_list=['--tenant', '-t'], arg_group=group,
                     help='Tenant ID for which the token is acquired. Only available for user and service principal '
                          'account, not for managed identity or Cloud Shell account.')


def _output_file_arguments(context: Any) -> None:
    context.argument('output_file', options_list=['--output-file'],
                     help='Write to this file instead of standard output. Only its owner may read it.')
    context.argument('overwrite', options_list=['--overwrite'], action='store_true',
                     help='Put a new file in the place of an existing one.')
