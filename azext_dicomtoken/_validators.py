"""What values and combinations are refused before anything is sent.

One function a command: az runs either a command's validator or those of its arguments, never both. What names a
service is judged in `_service`.
"""

from __future__ import annotations

import re
from typing import Any

from azure.cli.core.azclierror import (
    InvalidArgumentValueError,
    MutuallyExclusiveArgumentError,
    RequiredArgumentMissingError,
)


def validate_token_issue(cmd: Any, namespace: Any) -> None:
    from azext_dicomtoken._formats import FORMATS

    _refuse_empties(namespace, 'output_file', 'min_validity', 'variable_name')
    namespace.token_format = str(namespace.token_format)
    if namespace.min_validity is not None:
        namespace.min_validity = parse_duration(namespace.min_validity, '--min-validity')
    if namespace.output_file == '-':  # standard output, as without it
        namespace.output_file = None
    _check_variable_name(namespace, wanted=FORMATS[namespace.token_format].sets_variables)
    check_overwrite(namespace)
    if namespace.output_file:
        refuse_az_output(cmd, '--output-file')
    elif namespace.token_format != 'json':
        refuse_az_output(cmd, f'--format {namespace.token_format}')


def validate_token_show_claims(namespace: Any) -> None:
    _refuse_empties(namespace, 'token_file')
    if namespace.token_file and namespace.tenant:
        raise MutuallyExclusiveArgumentError(
            '--token-file and --tenant do not go together.',
            recommendation='A token that is already there has its tenant.',
        )


def validate_check_access(namespace: Any) -> None:
    _refuse_empties(namespace)


def validate_changefeed(cmd: Any, namespace: Any) -> None:
    """Only what az's own options have to do with it; the rest is `_options`' affair."""
    if namespace.output_file == '-':
        namespace.output_file, namespace.stream = None, True
    if namespace.output_file:
        refuse_az_output(cmd, '--output-file')
    elif (namespace.stream or namespace.follow) and cmd.cli_ctx.invocation.data.get('output') not in ('json', 'tsv'):
        refuse_other_output_format(cmd, '--stream' if namespace.stream else '--follow')


def parse_duration(text: str, option: str) -> float:
    """Seconds of a duration like `90s`, `15m`, `1h30m`, `1.5d` or `1w`, in the reader's grammar."""
    from dicomfeed import times  # most runs have no duration to read

    try:
        return times.parse_duration(text)
    except ValueError:
        raise InvalidArgumentValueError(
            f'The value of {option} is not a duration.',
            recommendation='Write a number and a unit: 90s, 15m, 2h, 3d or 1w.',
        ) from None


def spelled(name: str) -> str:
    """An option as it is typed, without the hyphens before it."""
    return {'resource_group_name': 'resource-group'}.get(name, name.replace('_', '-'))


def refuse_empty(name: str, value: Any) -> None:
    """An empty value is a variable that a script forgot to set, and must not pass for an option that was not given."""
    if value == '' or isinstance(value, list) and '' in value:
        raise InvalidArgumentValueError(
            f'The value of --{spelled(name)} is empty.', recommendation='Give it a value, or leave it out.'
        )


def check_overwrite(namespace: Any) -> None:
    if namespace.overwrite and not namespace.output_file:
        raise RequiredArgumentMissingError(
            '--overwrite says nothing without --output-file.',
            recommendation='Add --output-file, or leave --overwrite out.',
        )


def refuse_az_output(cmd: Any, option: str) -> None:
    """Refuse what az would do to a result where the command writes by itself and there is none.

    An `-o` is seen only by its difference from the configured one.
    """
    invocation = cmd.cli_ctx.invocation.data
    if invocation.get('query_active'):
        raise MutuallyExclusiveArgumentError(
            f'--query has nothing to work on with {option}.', recommendation=f'Leave out either --query or {option}.'
        )
    refuse_other_output_format(cmd, option)


def refuse_other_output_format(cmd: Any, option: str) -> None:
    configured = cmd.cli_ctx.config.get('core', 'output', fallback='json')
    if cmd.cli_ctx.invocation.data.get('output') not in (None, configured):
        raise MutuallyExclusiveArgumentError(
            f'-o has no effect with {option}.', recommendation=f'Leave out either -o or {option}.'
        )


def _refuse_empties(namespace: Any, *names: str) -> None:
    for name in (
        'service_url',
        'workspace_name',
        'dicom_service_name',
        'resource_group_name',
        'resource',
        'tenant',
        *names,
    ):
        refuse_empty(name, getattr(namespace, name))


def _check_variable_name(namespace: Any, *, wanted: bool) -> None:
    if namespace.variable_name is None:
        return
    if not wanted:
        raise MutuallyExclusiveArgumentError(
            f'--variable-name says nothing with --format {namespace.token_format}.',
            recommendation='It goes with env, env-no-export, fish, powershell and windows-cmd.',
        )
    if not re.fullmatch('[A-Za-z_][A-Za-z0-9_]*', namespace.variable_name):
        raise InvalidArgumentValueError(
            'The value of --variable-name is not a name for a variable.',
            recommendation='Use letters, digits and underscores, no digit first.',
        )
