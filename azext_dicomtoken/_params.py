"""What each command takes: one function a command, and the groups that commands share.

What is refused in combination is in `_validators`.
"""

from __future__ import annotations

import argparse
from typing import Any

from argcomplete.completers import FilesCompleter
from azure.cli.core.azclierror import InvalidArgumentValueError
from azure.cli.core.commands.parameters import file_type, get_enum_type, resource_group_name_type
from knack.arguments import CLIArgumentType

from azext_dicomtoken._completion import complete_dicom_service_name, complete_workspace_name
from azext_dicomtoken.changefeed.vocabulary import (
    ACTIONS,
    BUCKETS,
    CONCURRENCY,
    LEVELS,
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
        _service_arguments(context)
        context.argument(
            'token_format',
            options_list=['--format'],
            arg_type=get_enum_type(FORMATS, default='json'),
            help='Format of the token.',
        )
        context.argument(
            'variable_name',
            options_list=['--variable-name'],
            help='Name of the variable to set, for the formats that set one. The expiry goes to NAME_EXPIRES_ON.  '
            f'Default: {DEFAULT_VARIABLE_NAME}.',
        )
        context.argument(
            'min_validity',
            options_list=['--min-validity'],
            help='Take a new token if the cached one has less time left than this, such as 30m.',
        )
        context.argument(
            'force_refresh',
            options_list=['--force-refresh'],
            action='store_true',
            help='Always take a new token. For a managed identity and in Cloud Shell, the token endpoint decides.',
        )
        _output_file_arguments(context)


def _token_show_claims(loader: Any) -> None:
    with loader.argument_context('dicom token show-claims') as context:
        _service_arguments(context)
        context.argument(
            'token_file',
            options_list=['--token-file'],
            arg_type=_FILE,
            help='Read the token from this file instead of requesting one. Use - for standard input.',
        )


def _check_access(loader: Any) -> None:
    with loader.argument_context('dicom check-access') as context:
        _service_arguments(context, group=None)


def _proxy(loader: Any) -> None:
    from azext_dicomtoken.proxy.rules import GROUPS

    with loader.argument_context('dicom proxy') as context:
        _service_arguments(context)
        context.argument(
            'port',
            options_list=['--port'],
            type=int,
            help='Listen on this port of 127.0.0.1. 0 takes a free port.  Default: 0.',
        )
        context.argument(
            'allow',
            options_list=['--allow'],
            nargs='+',
            action=_Extend,
            arg_type=get_enum_type(GROUPS),
            help='Allow writes of these groups too. Reading is always allowed. No group implies another.',
        )
        context.argument(
            'allow_origin',
            options_list=['--allow-origin'],
            nargs='+',
            action=_Extend,
            help='Allow web pages of these origins, such as http://localhost:3000.',
        )
        context.argument(
            'allow_host',
            options_list=['--allow-host'],
            nargs='+',
            action=_Extend,
            help='Accept these names in the Host header too, such as host.docker.internal for a container. The proxy '
            'still listens on 127.0.0.1 only.',
        )
        context.argument(
            'secret_file',
            options_list=['--secret-file'],
            arg_type=_FILE,
            help='Keep the secret in this file across restarts. A missing file is created. Requires --port. While the '
            'proxy is down, another user of the machine can listen on the port and receive the secret.',
        )
        context.argument(
            'url_file',
            options_list=['--url-file'],
            arg_type=_FILE,
            help='Write the base URL to this file instead of standard output. Only its owner can read it. An existing '
            'file is replaced. The file is removed at the end.',
        )
        context.argument(
            'idle_timeout',
            options_list=['--idle-timeout'],
            help='End this long after the end of the last request, 1m to 30d.  Default: 8h.',
        )


def _changefeed(loader: Any) -> None:
    with loader.argument_context('dicom changefeed') as context:
        argument = _together(context)
        _what_to_read(argument)
        _filter_arguments(argument)
        _limit_arguments(argument)
        _output_arguments(argument)
        _polling_arguments(argument)
        _report_arguments(argument)
        _service_arguments(context)


def _together(context: Any) -> Any:
    """Adds arguments that a command function takes together, as `kwargs`: the one name that az does not look at."""

    def argument(name: str, *settings: Any, **more: Any) -> None:
        context.extra(name, required=False)
        context.argument(name, *settings, **more)

    return argument


def _what_to_read(argument: Any) -> None:
    """In no group: az sorts groups by name, and shows first what is in none."""
    argument(
        'start_time',
        options_list=['--start-time', '--since'],
        help='Start of the window, inclusive: a time such as 2026-01-31T09:30:00Z, a date, now, or an age such as '
        '90s, 15m, 2h, 3d, 1w. A time without a zone is UTC. Up to 7 fraction digits. With --follow or a new '
        '--checkpoint, where to start.',
    )
    argument(
        'end_time',
        options_list=['--end-time', '--until'],
        help='End of the window, exclusive: a time or an age, as for --since.  Default: now.',
    )
    argument(
        'after_sequence',
        options_list=['--after-sequence'],
        type=int,
        help='Start after this sequence number.',
    )
    argument(
        'tail',
        options_list=['--tail'],
        type=int,
        help='Number of most recent events to return that pass the filters, oldest first. With --follow, then '
        'continue with new events.',
    )
    argument(
        'latest',
        options_list=['--latest'],
        action='store_true',
        help='Return only the newest event, as an object. For an empty feed, print nothing.',
    )
    argument(
        'sequence',
        options_list=['--sequence'],
        type=int,
        help='Return only the event with this sequence number, as an object. Exit code 3 if there is none.',
    )
    argument(
        'next_token',
        options_list=['--next-token'],
        help='Continue a list that --max-items limited, or an interrupted stream or file of a time window. The earlier '
        'run printed the command. With --stream or --output-file, write everything that is left.',
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
        help='Keep events with one of these actions. In every filter, several values are OR. Several filters are AND.',
    )
    argument(
        'state',
        options_list=['--state'],
        arg_group=group,
        nargs='+',
        action=_Extend,
        arg_type=get_enum_type(STATES),
        help='Keep events whose instance is now in one of these states.',
    )
    argument(
        'study_instance_uid',
        options_list=['--study-instance-uid'],
        arg_group=group,
        nargs='+',
        action=_Extend,
        help='Keep events of these studies (Study Instance UID).',
    )
    argument(
        'series_instance_uid',
        options_list=['--series-instance-uid'],
        arg_group=group,
        nargs='+',
        action=_Extend,
        help='Keep events of these series (Series Instance UID).',
    )
    argument(
        'sop_instance_uid',
        options_list=['--sop-instance-uid'],
        arg_group=group,
        nargs='+',
        action=_Extend,
        help='Keep events of these instances (SOP Instance UID).',
    )
    argument(
        'partition_name',
        options_list=['--partition-name'],
        arg_group=group,
        nargs='+',
        action=_Extend,
        help='Keep events in these data partitions.',
    )
    argument(
        'match',
        options_list=['--match'],
        arg_group=group,
        nargs='+',
        action=_Extend,
        metavar='FIELD=VALUE',
        help='Keep events whose DICOM attribute matches, such as Modality=CT. In text values, * is any text and ? one '
        'character. Dates take ranges such as 20240501-20240531. Values of one field are OR, fields are AND. az shows '
        'typed values in --debug and the process list: put those about a patient in a --match-file.',
    )
    argument(
        'match_file',
        options_list=['--match-file'],
        arg_group=group,
        arg_type=_FILE,
        action=_Once,
        help='Read conditions as for --match from this file, one per line, in UTF-8. Lines that start with # are '
        'comments. Use - for standard input.',
    )


def _limit_arguments(argument: Any) -> None:
    group = 'Limit'
    argument(
        'max_items',
        options_list=['--max-items'],
        arg_group=group,
        type=int,
        help=f'Return at most this many events in a list.  Default: {MAX_ITEMS}; with --query all events, up to '
        f'{MOST_FOR_QUERY:,} ({MOST_FOR_QUERY_WITH_METADATA:,} with metadata).',
    )
    argument(
        'concurrency',
        options_list=['--concurrency'],
        arg_group=group,
        type=int,
        help='Number of pages to request at the same time, 1 to 32. The order of the output never depends on it.  '
        f'Default: {CONCURRENCY}.',
    )


def _output_arguments(argument: Any) -> None:
    group = 'Output'
    argument(
        'stream',
        options_list=['--stream'],
        arg_group=group,
        action='store_true',
        help='Write every event to standard output as a line of JSON. --query applies to each event. -o tsv writes '
        'the results of --query in columns, -o table writes the columns of the table.',
    )
    argument(
        'output_file',
        options_list=['--output-file'],
        arg_group=group,
        arg_type=_FILE,
        help='Write every event to this file as a line of JSON. --query and -o tsv choose columns. A name that ends '
        'in .gz compresses the file. Only its owner can read it. Use - for standard output.',
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
        help='Write a summary of the run to this file as JSON: events, first and last sequence number, gaps. The '
        'summary of an earlier run is replaced. Any other existing file is refused.',
    )
    argument(
        'checkpoint',
        options_list=['--checkpoint'],
        arg_group=group,
        arg_type=_FILE,
        help='Start after the position in this file, and keep it up to date. The first run creates the file and '
        'starts where the other options say. Later runs need the same filters, --query and -o. Requires '
        '--stream, --output-file or --follow.',
    )
    argument(
        'include_metadata',
        options_list=['--include-metadata'],
        arg_group=group,
        action='store_true',
        help="Add the instance's current DICOM metadata to each event. It is health data (PHI), and costs the service "
        'one read per event.',
    )
    argument(
        'include_field',
        options_list=['--include-field'],
        arg_group=group,
        nargs='+',
        action=_Extend,
        metavar='FIELD',
        help='Add to each event only these attributes of that metadata. FIELD is a keyword such as PatientID, a tag '
        'such as 00100020, or Sequence.Field.',
    )


def _polling_arguments(argument: Any) -> None:
    group = 'Polling'
    argument(
        'follow',
        options_list=['--follow', '-f'],
        arg_group=group,
        action='store_true',
        help='Continue after the newest event, with new events as they arrive. Starts now, unless a start, --tail or '
        'an existing checkpoint says otherwise.',
    )
    argument(
        'poll_interval',
        options_list=['--poll-interval'],
        arg_group=group,
        help=f'Time between polls, 1s to 1d.  Default: {POLL_INTERVAL}.',
    )
    argument(
        'until_latest',
        options_list=['--until-latest'],
        arg_group=group,
        action='store_true',
        help='End --follow at the event that was the newest at the start. Requires --start-time, --after-sequence, '
        '--tail or --checkpoint.',
    )
    argument(
        'settle',
        options_list=['--settle'],
        arg_group=group,
        help='How long to wait for a missing sequence number (a gap) to fill, up to 1h. Lower it only for a server '
        f'whose writers are known.  Default: {SETTLE}.',
    )


def _report_arguments(argument: Any) -> None:
    argument(
        'count_by',
        options_list=['--count-by'],
        arg_group='Reports',
        arg_type=get_enum_type(BUCKETS),
        help='Count events instead of listing them: one row per hour or day (UTC), or per study. Counts all events '
        'that the start, the end and the filters select. -o table adds a bar. By study, memory grows with the number '
        'of studies.',
    )
    argument(
        'stable_after',
        options_list=['--stable-after'],
        arg_group='Reports',
        help='Report studies instead of events: one row for each study that had no event for this long, 1s to 30d. '
        'Choose a time longer than the retries of the senders.',
    )
    argument(
        'level',
        options_list=['--level'],
        arg_group='Reports',
        arg_type=get_enum_type(LEVELS),
        help='With --stable-after, report studies or series.  Default: study.',
    )


class _Once(argparse.Action):
    """A value that must not be lost by typing the option again, as argparse has it."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if getattr(namespace, self.dest, None) is not None:
            raise InvalidArgumentValueError(
                f'{option_string} was given twice.', recommendation='Give it once, with everything in one file.'
            )
        setattr(namespace, self.dest, values)


class _Extend(argparse.Action):
    """Values of an option that takes several, typed at once or one by one, in the letter case of its choices.

    argparse's own `extend` takes the place of the action by which az restores that letter case.
    """

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        choices = {str(choice).lower(): choice for choice in self.choices or ()}
        earlier = getattr(namespace, self.dest, None) or []
        setattr(namespace, self.dest, [*earlier, *(choices.get(value.lower(), value) for value in values)])


def _service_arguments(context: Any, *, group: str | None = 'Service') -> None:
    """Which service and which identity; in no group for a command that has no other arguments."""
    argument = _together(context)
    argument(
        'service_url',
        options_list=['--service-url'],
        arg_group=group,
        configured_default='dicom_service_url',
        help='Service URL: https://WORKSPACE-SERVICE.dicom.azurehealthcareapis.com. You can configure the default '
        'with `az config set defaults.dicom_service_url=URL`.',
    )
    argument(
        'workspace_name',
        options_list=['--workspace-name'],
        arg_group=group,
        completer=complete_workspace_name,
        help='Name of the workspace. Use it with --dicom-service-name in place of the URL.',
    )
    argument(
        'dicom_service_name',
        options_list=['--dicom-service-name'],
        arg_group=group,
        completer=complete_dicom_service_name,
        help='Name of the DICOM service. Use it with --workspace-name in place of the URL.',
    )
    argument(
        'resource_group_name',
        resource_group_name_type,
        arg_group=group,
        required=False,
        help='Name of the resource group. Use it with both names to ask Azure Resource Manager for the URL and the '
        'audience of the service. You can configure the default group using `az configure --defaults group=NAME`.',
    )
    argument(
        'resource',
        options_list=['--resource'],
        arg_group=group,
        help='Audience of the token, used as typed.  Default: https://dicom.healthcareapis.azure.com in AzureCloud; '
        'in other clouds the audience from Azure Resource Manager.',
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
        help='Write to this file instead of standard output. Only its owner can read it. Use - for standard output.',
    )
    context.argument(
        'overwrite',
        options_list=['--overwrite'],
        action='store_true',
        help='Replace an existing file. Requires --output-file.',
    )


_LOADERS = {
    'dicom token issue': _token_issue,
    'dicom token show-claims': _token_show_claims,
    'dicom check-access': _check_access,
    'dicom proxy': _proxy,
    'dicom changefeed': _changefeed,
}
