"""Which commands there are: names to command functions, validators, tables, and the one exception handler.

A command function is named `module#function` and imported when its command is asked for. What a command takes is in
`_params`, what it says of itself in `_help`, how its result looks as a table in `_format`.
"""

from __future__ import annotations

from typing import Any, NoReturn

from azext_dicomtoken import _format, _validators


def load_command_table(loader: Any, arguments: Any) -> None:
    from azext_dicomtoken._invocation import keep_arguments

    keep_arguments(loader.cli_ctx, arguments)
    _take_care_of_output(loader.cli_ctx)
    _token_commands(loader)
    _dicom_commands(loader)


def _take_care_of_output(cli_ctx: Any) -> None:
    """Once az knows that the command is one of these: its result is printed whole, its messages on standard error."""
    from knack.events import EVENT_INVOKER_POST_PARSE_ARGS

    from azext_dicomtoken._output import keep_messages_apart

    keep_messages_apart()

    def take_care(_cli_ctx: Any, command: str = '', **_: Any) -> None:
        from azext_dicomtoken._stdout import print_whole

        if command.startswith('dicom '):
            print_whole(cli_ctx)
        cli_ctx.unregister_event(EVENT_INVOKER_POST_PARSE_ARGS, take_care)

    cli_ctx.register_event(EVENT_INVOKER_POST_PARSE_ARGS, take_care)


def _token_commands(loader: Any) -> None:
    with loader.command_group('dicom token', exception_handler=raise_az_error) as group:
        group.custom_command(
            'issue',
            'token#issue',
            validator=_validators.validate_token_issue,
            sensitive_info=group.sensitive(sensitive_keys=['accessToken']),
        )
        group.custom_command(
            'show-claims',
            'token#show_claims',
            validator=_validators.validate_token_show_claims,
            table_transformer=_format.claims_table,
        )


def _dicom_commands(loader: Any) -> None:
    with loader.command_group('dicom', exception_handler=raise_az_error) as group:
        group.custom_command(
            'changefeed',
            'changefeed.command#changefeed',
            validator=_validators.validate_changefeed,
            table_transformer=_format.fitting(_format.changefeed_table, loader),
        )
        group.custom_command(
            'check-access',
            'check_access#check_access',
            validator=_validators.validate_check_access,
            table_transformer=_format.fitting(_format.access_table, loader),
        )
        group.custom_command('proxy', 'proxy.command#proxy', validator=_validators.validate_proxy)


def raise_az_error(error: Exception) -> NoReturn:
    """Let az's own errors pass, turn the reader's and the network's into az's, end quietly on a closed pipe."""
    from knack.util import CLIError

    _empty_frames(error)
    if isinstance(error, CLIError):
        raise error
    if isinstance(error, BrokenPipeError):  # from standard output only: elsewhere it is an error like any other
        raise SystemExit(0)
    from azext_dicomtoken._errors import to_az_error

    raise to_az_error(error) from error


def _empty_frames(error: BaseException | None) -> None:
    """Take the values out of the tracebacks of an error and of what led to it: there are tokens among them."""
    from traceback import clear_frames

    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
