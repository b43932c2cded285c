"""What each command takes: one function a command, and the groups that commands share.

What is refused in combination is in `_validators`.
"""

from __future__ import annotations

import argparse
from typing import Any

from argcomplete.completers import FilesCompleter
from azure.cli.core.commands.parameters import file_type, get_enum_type, resource_group_name_type
from knack.arguments import CLIArgumentType

from azext_dicomtoken.changefeed.vocabulary import (
    ACTIONS,
    BUCKETS,
    CONCURRENCY,
    MAX_ITEMS,
    MOST_FOR_QUERY,
    MOST_FOR_QUERY_WITH_METADATA,
    POLL_INTERVAL,
    SETTLE,
    STATES,
)

# Shells complete file names by themselves where a command offers nothing, but not all of them; PowerShell expands no ~.
_FILE = CLIArgumentType(type=file_type, completer=FilesCompleter())  # type: ignore[no-untyped-call]


def load_arguments(loader: Any, command: str) -> None:
    """Those of one command, or, for an empty name, of all."""
    for name, load in _LOADERS.items():
        if command in ('', name):
            load(loader)


def _token_issue(loader: Any) -> None:
    from azext_dicomtoken._formats import DEFAULT_VARIABLE_NAME, FORMATS

    with loader.argument_context('dicom token issue') as context:
        _service_arguments(context.argument)
        _identity_arguments(context.argument)
        context.argument(
            'token_format',
            options_list=['--format'],
            arg_type=get_enum_type(FORMATS, default='json'),
            help='How to write the token. '
            + '; '.join(f'{name}: {entry.help}' for name, entry in FORMATS.items())
            + '.',
        )
        context.argument(
            'variable_name',
            options_list=['--variable-name'],
            help='Name of the variable that the env formats, fish, powershell and windows-cmd set; the '
            f'expiry goes to the same name with _EXPIRES_ON.  Default: {DEFAULT_VARIABLE_NAME}.',
        )
        context.argument(
            'min_validity',
            options_list=['--min-validity'],
            help='Take a new token if the cached one lasts less than this, such as 30m.',
        )
        context.argument(
            'force_refresh',
            options_list=['--force-refresh'],
            action='store_true',
            help='Take a new token whatever the cache holds. For a managed identity and in Cloud Shell '
            'the token endpoint decides.',
        )
        _output_file_arguments(context)


def _token_show_claims(loader: Any) -> None:
    with loader.argument_context('dicom token show-claims') as context:
        _service_arguments(context.argument)
        _identity_arguments(context.argument)
        context.argument(
            'token_file',
            options_list=['--token-file'],
            arg_type=_FILE,
            help='Read the token from this file instead of asking for one; - is standard input.',
        )


def _check_access(loader: Any) -> None:
    with loader.argument_context('dicom check-access') as context:
        _service_arguments(context.argument)
        _identity_arguments(context.argument)


def _changefeed(loader: Any) -> None:
    with loader.argument_context('dicom changefeed') as context:

        def argument(name: str, *settings: Any, **more: Any) -> None:
            context.extra(name, required=False)  # the command function takes them all together, as kwargs
            context.argument(name, *settings, **more)

        _service_arguments(argument)
        _identity_arguments(argument)
        _what_to_read(argument)
        _filter_arguments(argument)
        _counting_arguments(argument)
        _limit_arguments(argument)
        _output_arguments(argument)
        _following_arguments(argument)


def _what_to_read(argument: Any) -> None:
    group = 'What to read'
    argument(
        'start_time',
        options_list=['--start-time', '--since'],
        arg_group=group,
        help='First moment of a window, inclusive: a time like 2026-01-31T09:30:00Z with up to seven fraction '
        'digits, a date, now, or an age like 90s, 15m, 2h, 3d, 1w. A time without a zone is UTC. With '
        '--checkpoint or --follow: where to begin.',
    )
    argument(
        'end_time',
        options_list=['--end-time', '--until'],
        arg_group=group,
        help='End of the window, exclusive, written like --start-time.  Default: now.',
    )
    argument(
        'after_sequence',
        options_list=['--after-sequence'],
        arg_group=group,
        type=int,
        help='Begin after the event with this sequence number.',
    )
    argument(
        'tail',
        options_list=['--tail'],
        arg_group=group,
        type=int,
        help='So many of the newest events that pass the filters, the oldest of them first. With --follow: '
        'those, and then what comes.',
    )
    argument(
        'latest',
        options_list=['--latest'],
        arg_group=group,
        action='store_true',
        help='Only the newest event, as an object; nothing where the feed is empty.',
    )
    argument(
        'sequence',
        options_list=['--sequence'],
        arg_group=group,
        type=int,
        help='Only the event with this sequence number, as an object; exit code 3 if there is none.',
    )
    argument(
        'include_metadata',
        options_list=['--include-metadata'],
        arg_group=group,
        action='store_true',
        help='Add to each event the DICOM metadata that its instance has now. They are health data, and cost the '
        'service a read for every event.',
    )


def _counting_arguments(argument: Any) -> None:
    argument(
        'count_by',
        options_list=['--count-by'],
        arg_group='Counting',
        arg_type=get_enum_type(BUCKETS),
        help='Count the events instead of listing them, all that the start, the end and the filters leave: one '
        'row for each hour or day (UTC), or for each study, for which memory grows with their number. The '
        'table has a bar for each row.',
    )


def _filter_arguments(argument: Any) -> None:
    group = 'Filter'
    argument(
        'action',
        options_list=['--action'],
        arg_group=group,
        nargs='+',
        action=_Extend,
        arg_type=get_enum_type(ACTIONS),
        help='Only these actions. Filters count after reading and never cut short what is read.',
    )
    argument(
        'state',
        options_list=['--state'],
        arg_group=group,
        nargs='+',
        action=_Extend,
        arg_type=get_enum_type(STATES),
        help='Only events whose instance is in one of these states now.',
    )
    argument(
        'study_instance_uid',
        options_list=['--study-instance-uid'],
        arg_group=group,
        nargs='+',
        action=_Extend,
        help='Only these studies, by Study Instance UID.',
    )
    argument(
        'series_instance_uid',
        options_list=['--series-instance-uid'],
        arg_group=group,
        nargs='+',
        action=_Extend,
        help='Only these series, by Series Instance UID.',
    )
    argument(
        'sop_instance_uid',
        options_list=['--sop-instance-uid'],
        arg_group=group,
        nargs='+',
        action=_Extend,
        help='Only these instances, by SOP Instance UID.',
    )
    argument(
        'partition_name',
        options_list=['--partition-name'],
        arg_group=group,
        nargs='+',
        action=_Extend,
        help='Only these data partitions.',
    )


def _limit_arguments(argument: Any) -> None:
    argument(
        'max_items',
        options_list=['--max-items'],
        arg_group='Pagination',
        type=int,
        help=f'Largest number of events in the list.  Default: {MAX_ITEMS}; with --query everything, up to '
        f'{MOST_FOR_QUERY:,} events ({MOST_FOR_QUERY_WITH_METADATA:,} with metadata).',
    )
    argument(
        'next_token',
        options_list=['--next-token'],
        arg_group='Pagination',
        help='Continue where an earlier list was cut, or a stream or file of a window was interrupted: the command '
        'with the token was printed then. With --stream or --output-file, everything that is left.',
    )


def _output_arguments(argument: Any) -> None:
    group = 'Streaming'
    argument(
        'stream',
        options_list=['--stream'],
        arg_group=group,
        action='store_true',
        help='Write every event as a line of JSON to standard output, as it arrives. --query applies to each event; '
        '-o tsv writes its results as columns, -o table the columns of the table.',
    )
    argument(
        'output_file',
        options_list=['--output-file'],
        arg_group=group,
        arg_type=_FILE,
        help='Write every event as a line of JSON to this file, compressed where its name ends in .gz. Only its '
        'owner may read it. --query and -o tsv choose columns. - is standard output.',
    )
    argument(
        'overwrite',
        options_list=['--overwrite'],
        arg_group=group,
        action='store_true',
        help='Replace an existing output file, once the service has answered. Not with --checkpoint.',
    )
    argument(
        'summary_file',
        options_list=['--summary-file'],
        arg_group=group,
        arg_type=_FILE,
        help='Write what the run did to this file, as JSON: events, first and last sequence number, gaps. The summary '
        'of an earlier run is replaced; any other existing file is refused.',
    )
    argument(
        'checkpoint',
        options_list=['--checkpoint'],
        arg_group=group,
        arg_type=_FILE,
        help='Begin after what this file says, and keep it up to date. The first run makes it and begins where '
        'the other options say; later runs go on from the file alone, with the same filters, --query and -o.',
    )
    argument(
        'concurrency',
        options_list=['--concurrency'],
        arg_group=group,
        type=int,
        help='Pages asked for at the same time, 1 to 32. The order of the events never depends on it.  '
        f'Default: {CONCURRENCY}.',
    )
    argument(
        'settle',
        options_list=['--settle'],
        arg_group=group,
        help='How long to wait for a missing sequence number below one that is there. Lower it only for a server '
        f'whose writers are known.  Default: {SETTLE}.',
    )


def _following_arguments(argument: Any) -> None:
    group = 'Following'
    argument(
        'follow',
        options_list=['--follow', '-f'],
        arg_group=group,
        action='store_true',
        help='Go on after the newest event, with new events as they come. Begins now unless told otherwise.',
    )
    argument(
        'poll_interval',
        options_list=['--poll-interval'],
        arg_group=group,
        help=f'How often to look for new events.  Default: {POLL_INTERVAL}.',
    )
    argument(
        'until_latest',
        options_list=['--until-latest'],
        arg_group=group,
        action='store_true',
        help='End when what was the newest event at the start has been reached. Requires --start-time, '
        '--after-sequence, --tail or --checkpoint.',
    )


class _Extend(argparse.Action):
    """Values of an option that takes several, typed at once or one by one, in the letter case of its choices.

    argparse's own `extend` takes the place of the action by which az restores that letter case.
    """

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        choices = {str(choice).lower(): choice for choice in self.choices or ()}
        earlier = getattr(namespace, self.dest, None) or []
        setattr(namespace, self.dest, [*earlier, *(choices.get(value.lower(), value) for value in values)])


def _service_arguments(argument: Any) -> None:
    group = 'Service'
    argument(
        'service_url',
        options_list=['--service-url'],
        arg_group=group,
        configured_default='dicom_service_url',
        help='URL of the DICOM service, such as '
        'https://WORKSPACE-SERVICE.dicom.azurehealthcareapis.com. You can configure the default '
        'with `az config set defaults.dicom_service_url=URL`.',
    )
    argument(
        'workspace_name',
        options_list=['--workspace-name'],
        arg_group=group,
        help='Name of the Health Data Services workspace, in place of the URL.',
    )
    argument(
        'dicom_service_name',
        options_list=['--dicom-service-name'],
        arg_group=group,
        help='Name of the DICOM service in the workspace, in place of the URL.',
    )
    argument(
        'resource_group_name',
        resource_group_name_type,
        arg_group=group,
        required=False,
        help='Name of the resource group. With it, Azure Resource Manager is asked for URL and audience '
        'of the service that the two names mean; without it, no call is made. You can configure the '
        'default group using `az configure --defaults group=NAME`.',
    )


def _identity_arguments(argument: Any) -> None:
    group = 'Identity'
    argument(
        'resource',
        options_list=['--resource'],
        arg_group=group,
        help='Audience of the token, used as typed.  Default: the DICOM service of the public cloud, '
        'https://dicom.healthcareapis.azure.com; in other clouds what Azure Resource Manager says.',
    )
    argument(
        'tenant',
        options_list=['--tenant', '-t'],
        arg_group=group,
        help='Tenant ID for which the token is acquired. Only available for user and service principal '
        'account, not for managed identity or Cloud Shell account.',
    )


def _output_file_arguments(context: Any) -> None:
    context.argument(
        'output_file',
        options_list=['--output-file'],
        arg_type=_FILE,
        help='Write to this file instead of standard output. Only its owner may read it. - is standard output.',
    )
    context.argument(
        'overwrite', options_list=['--overwrite'], action='store_true', help='Replace a file that exists already.'
    )


_LOADERS = {
    'dicom token issue': _token_issue,
    'dicom token show-claims': _token_show_claims,
    'dicom check-access': _check_access,
    'dicom changefeed': _changefeed,
}
