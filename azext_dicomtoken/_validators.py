"""What values and combinations are refused before anything is sent: one entry for each command.

az runs either a command's validator or those of its arguments, never both. What commands share is in `_given`; what
names a service is judged in `_service`, the options of the change feed in `changefeed/options.py`.
"""

from __future__ import annotations

from typing import Any

from azure.cli.core.azclierror import (
    InvalidArgumentValueError,
    MutuallyExclusiveArgumentError,
    RequiredArgumentMissingError,
)

from azext_dicomtoken._given import SERVICE_OPTIONS, Given, seconds_of
from azext_dicomtoken._invocation import Invocation
from azext_dicomtoken._output import is_standard_output


def validate_token_issue(cmd: Any, namespace: Any) -> None:
    from azext_dicomtoken._formats import FORMATS

    given = _given(cmd, namespace, 'output_file', 'overwrite', 'min_validity', 'variable_name', 'token_format')
    given.refuse_empty()
    given.require_one({'overwrite': ('output_file',)})
    namespace.token_format = str(namespace.token_format)
    if given['min_validity'] is not None:
        namespace.min_validity = seconds_of(given['min_validity'], '--min-validity')
    if given['output_file'] and is_standard_output(given['output_file']):  # as without it
        namespace.output_file = given['output_file'] = None
    _check_variable_name(namespace, wanted=FORMATS[namespace.token_format].sets_variables)
    if given['output_file']:
        given.refuse_az_output('--output-file')
    elif namespace.token_format != 'json':
        given.refuse_az_output(f'--format {namespace.token_format}')


def validate_token_show_claims(cmd: Any, namespace: Any) -> None:
    given = _given(cmd, namespace, 'token_file')
    given.refuse_empty()
    if given['token_file'] and given['tenant']:
        raise MutuallyExclusiveArgumentError(
            '--token-file and --tenant do not go together.',
            recommendation='The tenant of an existing token cannot be chosen.',
        )


def validate_check_access(cmd: Any, namespace: Any) -> None:
    _given(cmd, namespace).refuse_empty()


def validate_proxy(cmd: Any, namespace: Any) -> None:
    names = ('port', 'allow', 'allow_origin', 'allow_host', 'secret_file', 'url_file', 'idle_timeout')
    given = _given(cmd, namespace, *names)
    given.refuse_empty()
    given.refuse_out_of_bounds({'port': (0, 65535)})
    if given['secret_file'] and not given['port']:
        raise RequiredArgumentMissingError(
            '--secret-file requires --port.',
            recommendation='Name a port: a secret that is kept is of no use at an address that changes.',
        )
    _check_origins_and_hosts(given)
    if given['idle_timeout'] is not None:
        namespace.idle_timeout = seconds_of(given['idle_timeout'], '--idle-timeout', bounds=('1m', '30d'))
    given.refuse_query('az dicom proxy')
    given.refuse_output_format('az dicom proxy', but=() if given['url_file'] else ('json',))


def validate_changefeed(cmd: Any, namespace: Any) -> None:
    from azext_dicomtoken.changefeed.options import checked

    namespace.options = checked(vars(namespace), Invocation(cmd.cli_ctx))


def _given(cmd: Any, namespace: Any, *names: str) -> Given:
    """The values of the options, which the command function gets without the blanks around them, too."""
    values = {name: getattr(namespace, name, None) for name in (*SERVICE_OPTIONS, *names)}
    given = Given(values, Invocation(cmd.cli_ctx))
    vars(namespace).update({name: value for name, value in given.items() if hasattr(namespace, name)})
    return given


def _check_origins_and_hosts(given: Given) -> None:
    from azext_dicomtoken.proxy.rules import is_host_name, is_origin

    if not all(map(is_origin, given['allow_origin'] or ())):
        raise InvalidArgumentValueError(
            'A value of --allow-origin is not an origin.',
            recommendation='Write scheme, host and port as a browser does: http://localhost:3000, no slash at the end.',
        )
    if not all(map(is_host_name, given['allow_host'] or ())):
        raise InvalidArgumentValueError(
            'A value of --allow-host is not a host name.',
            recommendation='Write a name without scheme and port: host.docker.internal.',
        )


def _check_variable_name(namespace: Any, *, wanted: bool) -> None:
    import re

    if namespace.variable_name is None:
        return
    if not wanted:
        from azext_dicomtoken._formats import FORMATS

        fitting = [name for name, entry in FORMATS.items() if entry.sets_variables]
        raise MutuallyExclusiveArgumentError(
            f'--variable-name has no effect with --format {namespace.token_format}.',
            recommendation=f'It goes with {", ".join(fitting[:-1])} and {fitting[-1]}.',
        )
    if not re.fullmatch('[A-Za-z_][A-Za-z0-9_]*', namespace.variable_name):
        raise InvalidArgumentValueError(
            'The value of --variable-name is not a name for a variable.',
            recommendation='Use letters, digits and underscores, no digit first.',
        )
