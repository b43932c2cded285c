"""Which commands there are: names to bodies, table forms, and the one exception handler.

A body is named `module#function` and imported when its command runs. What a command takes is in `_params`,
what it says of itself in `_help`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn


def load_command_table(loader: Any, _args: Any) -> None:
    _token_commands(loader)
    _changefeed_command(loader)
    _check_access_command(loader)


def _token_commands(loader: Any) -> None:
    from azext_dicomtoken._validators import validate_token_issue, validate_token_show_claims

    with loader.command_group('dicom token', exception_handler=raise_az_error) as group:
        group.custom_command(
            'issue',
            'tokens#issue',
            validator=validate_token_issue,
            sensitive_info=group.sensitive(sensitive_keys=['accessToken']),
        )
        group.custom_command(
            'show-claims',
            'tokens#show_claims',
            validator=validate_token_show_claims,
            transform=_for_terminals(loader),
            table_transformer=claims_table,
        )


def _changefeed_command(loader: Any) -> None:
    from azext_dicomtoken._validators import validate_changefeed

    with loader.command_group('dicom', exception_handler=raise_az_error) as group:
        group.custom_command(
            'changefeed',
            'changefeed#changefeed',
            validator=validate_changefeed,
            transform=_for_terminals(loader),
            table_transformer=changefeed_table,
        )


def _check_access_command(loader: Any) -> None:
    from azext_dicomtoken._validators import validate_check_access

    with loader.command_group('dicom', exception_handler=raise_az_error) as group:
        group.custom_command(
            'check-access', 'access#check_access', validator=validate_check_access, table_transformer=access_table
        )


def _for_terminals(loader: Any) -> Callable[[Any], Any]:
    def transform(result: Any) -> Any:
        from azext_dicomtoken._output import escape_on_terminal

        return escape_on_terminal(result, loader.cli_ctx.invocation.data.get('output'))

    return transform


def access_table(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """One row a step; what fixes a failure is printed below the table."""
    from textwrap import shorten

    return [
        {'Step': row['step'], 'Verdict': row['verdict'], 'Detail': shorten(row['detail'], 160, placeholder=' …')}
        for row in rows
    ]


def changefeed_table(result: Any) -> list[dict[str, str]]:
    """One row an event, whatever letter case the service gave the names; or one row a count, with a bar."""
    from azext_dicomtoken._output import escape_controls

    if isinstance(result, list) and result and 'firstTimestamp' in result[0]:
        from azext_dicomtoken._bars import counts_table

        return counts_table(result)
    from dicomfeed.events import field

    columns = {
        'Sequence': 'sequence',
        'Timestamp': 'timestamp',
        'Action': 'action',
        'State': 'state',
        'Study': 'studyInstanceUid',
        'Series': 'seriesInstanceUid',
        'Instance': 'sopInstanceUid',
    }
    events = result if isinstance(result, list) else [result]
    return [
        {title: escape_controls(str(field(event, name) or '')) for title, name in columns.items()} for event in events
    ]


def claims_table(claims: dict[str, Any]) -> list[dict[str, str]]:
    """One row a fact, because a token's facts do not fit beside each other on a terminal."""
    from azext_dicomtoken._output import escape_controls

    return [
        {'Claim': name, 'Value': escape_controls(_cell(value))}
        for name, value in claims.items()
        if name != 'claims' and value not in (None, [])
    ]


def _cell(value: Any) -> str:
    return ' '.join(map(str, value)) if isinstance(value, list) else str(value)


def raise_az_error(error: Exception) -> NoReturn:
    """Let az's own errors pass, turn the reader's and the network's into az's, end quietly on a closed pipe."""
    from knack.util import CLIError

    _empty_frames(error)
    if isinstance(error, CLIError):
        raise error
    if isinstance(error, BrokenPipeError):
        from azext_dicomtoken._output import abandon_stdout

        abandon_stdout()
        raise SystemExit(0)
    from azext_dicomtoken._errors import to_az_error

    raise to_az_error(error) from error


def _empty_frames(error: BaseException | None) -> None:
    """Take the values out of the tracebacks of an error and of what led to it: there are tokens among them."""
    from traceback import clear_frames

    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
