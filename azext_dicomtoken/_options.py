"""What a user asked of `az dicom changefeed`, checked: one value for the command's body.

Owned: the options' values and what does not go together, refused before anything is sent or written. Not owned: how
they are spelled and explained (`_params`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from itertools import combinations
from typing import Any

from azure.cli.core.azclierror import (
    InvalidArgumentValueError,
    MutuallyExclusiveArgumentError,
    RequiredArgumentMissingError,
)

from azext_dicomtoken._output import is_stream
from azext_dicomtoken._paging import NextToken
from azext_dicomtoken._validators import parse_duration, refuse_empty, spelled

LAST_SEQUENCE = 2**63 - 1
MAX_ITEMS = 100
CONCURRENCY = 8
POLL_INTERVAL = '10s'
SETTLE = '60s'

_STARTS = ('start_time', 'after_sequence', 'tail', 'next_token')
_ONE_EVENT = ('latest', 'sequence')
_FILES = ('output_file', 'summary_file', 'checkpoint')
_COMPRESSED = 'Use a name that ends in .gz, or --stream and a program that compresses what it reads.'
_COLUMNAR = 'Write .jsonl or .jsonl.gz, and convert that: DuckDB, pandas and Spark read JSON Lines.'
_FORMS = {
    '.csv': 'Write .jsonl and convert that, or pick columns with --query and -o tsv into a .tsv file.',
    **dict.fromkeys(('.parquet', '.avro', '.orc', '.arrow', '.feather', '.xlsx'), _COLUMNAR),
    **dict.fromkeys(('.zst', '.bz2', '.xz', '.zip', '.7z', '.lz4', '.br', '.tgz'), _COMPRESSED),
}
_FILTERS = ('action', 'state', 'study_instance_uid', 'series_instance_uid', 'sop_instance_uid', 'partition_name')


@dataclass
class Options:  # pylint: disable=too-many-instance-attributes    # one for each option
    """The options under the names that they have in `_params`; None, False or empty where not given."""

    service_url: str | None = None
    workspace_name: str | None = None
    dicom_service_name: str | None = None
    resource_group_name: str | None = None
    resource: str | None = None
    tenant: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    after_sequence: int | None = None
    tail: int | None = None
    latest: bool = False
    sequence: int | None = None
    next_token: str | None = None
    action: list[str] = field(default_factory=list)
    state: list[str] = field(default_factory=list)
    study_instance_uid: list[str] = field(default_factory=list)
    series_instance_uid: list[str] = field(default_factory=list)
    sop_instance_uid: list[str] = field(default_factory=list)
    partition_name: list[str] = field(default_factory=list)
    include_metadata: bool = False
    count_by: str | None = None
    max_items: int | None = None
    stream: bool = False
    output_file: str | None = None
    overwrite: bool = False
    summary_file: str | None = None
    concurrency: int | None = None
    checkpoint: str | None = None
    follow: bool = False
    poll_interval: str | None = None
    until_latest: bool = False
    settle: str | None = None

    # What the texts mean, filled in by `checked`.
    start: int | None = None
    end: int | None = None
    token: NextToken | None = None
    poll_interval_seconds: float = 10.0
    settle_seconds: float = 60.0

    @property
    def is_streaming(self) -> bool:
        """Whether events are written as they come, and not returned."""
        return self.stream or self.follow or bool(self.output_file)

    @property
    def ends_by_signal(self) -> bool:
        """Whether a signal is the ordinary end."""
        return self.follow and not self.until_latest

    @property
    def is_window(self) -> bool:
        """Whether a window of time is asked for; with a checkpoint or --follow a time is only where to begin."""
        if self.checkpoint or self.follow:
            return False
        return self.start is not None or self.end is not None or bool(self.token and self.token.end is not None)

    @property
    def window_start(self) -> tuple[int, int]:
        """The timestamp and the sequence number after which a window begins."""
        return (self.token.ticks, self.token.sequence) if self.token else (self.start or 0, 0)

    @property
    def files(self) -> list[str]:
        """The paths of the files that this run reads and writes."""
        return [path for name in _FILES if (path := getattr(self, name))]

    @property
    def filters(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(getattr(self, name)) for name in _FILTERS}

    @classmethod
    def checked(cls, given: dict[str, Any]) -> Options:
        """The options as the parser gave them, or an error of az's that says what to change."""
        options = cls(**{name: given[name] for name in NAMES if given.get(name) is not None})
        _check_presence(options)
        _check_numbers(options)
        _check_combinations(options)
        _check_texts(options)
        _check_files(options)
        return options

    def typed(self, *without: str) -> list[tuple[str, Any]]:
        """The options that were given, as they are spelled, for a command to paste."""
        given = [(name, getattr(self, name)) for name in NAMES if name not in without]
        return [
            ('--' + spelled(name), value)
            for name, value in given
            if value is not None and not getattr(value, 'is_default', False)
        ]


_MEANINGS = ('start', 'end', 'token', 'poll_interval_seconds', 'settle_seconds')
NAMES = tuple(item.name for item in fields(Options) if item.name not in _MEANINGS)
"""The options that the parser has to know."""


def _check_presence(options: Options) -> None:
    for name in NAMES:
        refuse_empty(name, getattr(options, name))


def _check_numbers(options: Options) -> None:
    bounds = {
        'after_sequence': (0, LAST_SEQUENCE),
        'sequence': (1, LAST_SEQUENCE),
        'tail': (1, 1_000_000),
        'max_items': (1, 1_000_000),
        'concurrency': (1, 32),
    }
    for name, (lowest, highest) in bounds.items():
        value = getattr(options, name)
        if value is not None and not lowest <= value <= highest:
            raise InvalidArgumentValueError(
                f'The value of --{spelled(name)} is out of bounds.',
                recommendation=f'It takes a whole number from {lowest} to {highest}.',
            )


def _check_combinations(options: Options) -> None:
    given = {name for name in (item.name for item in fields(options)) if getattr(options, name)}
    given |= {name for name in ('after_sequence', 'sequence') if getattr(options, name) is not None}
    for name in _ONE_EVENT:
        if name in given:
            others = [
                *_STARTS,
                'end_time',
                'max_items',
                'stream',
                'output_file',
                'follow',
                'checkpoint',
                'summary_file',
                *({*_ONE_EVENT} - {name}),
                *(_FILTERS if name == 'sequence' else ()),
            ]
            _refuse_together(given, name, others)
    for name in _STARTS:
        _refuse_together(given, name, [other for other in _STARTS if other != name])
    _refuse_together(given, 'end_time', ['follow', 'checkpoint', 'after_sequence', 'tail', 'next_token'])
    _refuse_together(given, 'tail', ['max_items', 'checkpoint'])
    _refuse_together(given, 'next_token', ['follow', 'checkpoint'])
    _refuse_together(given, 'max_items', ['stream', 'output_file', 'follow'])
    _refuse_together(given, 'stream', ['output_file'])
    _refuse_together(
        given,
        'count_by',
        [
            'latest',
            'sequence',
            'tail',
            'next_token',
            'max_items',
            'stream',
            'output_file',
            'follow',
            'checkpoint',
            'include_metadata',
        ],
    )
    _require(given, 'until_latest', ['follow'])
    _require(given, 'poll_interval', ['follow'])
    _refuse_together(given, 'overwrite', ['checkpoint'], recommendation='Remove or rename the old output file instead.')
    _require(given, 'overwrite', ['output_file'])
    _require(given, 'summary_file', ['stream', 'output_file', 'follow'])


def _refuse_together(
    given: set[str], name: str, others: list[str], *, recommendation: str = 'Leave one of them out.'
) -> None:
    for other in others:
        if name in given and other in given:
            raise MutuallyExclusiveArgumentError(
                f'--{spelled(name)} and --{spelled(other)} do not go together.', recommendation=recommendation
            )


def _require(given: set[str], name: str, others: list[str]) -> None:
    if name in given and not given & set(others):
        named = ' or '.join(f'--{spelled(other)}' for other in others)
        raise RequiredArgumentMissingError(
            f'--{spelled(name)} says nothing without {named}.', recommendation=f'Add {named}, or leave it out.'
        )


def _check_texts(options: Options) -> None:
    from dicomfeed.times import Clock

    now = Clock().now()
    options.start = _moment(options.start_time, '--start-time', now)
    options.end = _moment(options.end_time, '--end-time', now)
    if options.end is not None and options.end <= (options.start or 0):
        raise InvalidArgumentValueError(
            'The window of time is empty: it ends before it begins.',
            recommendation='Give an --end-time that is later than --start-time.',
        )
    if options.next_token:
        options.token = NextToken.decoded(options.next_token)
    options.poll_interval_seconds = _seconds(options.poll_interval or POLL_INTERVAL, '--poll-interval', 1, 86_400)
    options.settle_seconds = _seconds(options.settle or SETTLE, '--settle', 0, 3_600)
    for name in ('study_instance_uid', 'series_instance_uid', 'sop_instance_uid'):
        _check_uids(getattr(options, name), f'--{spelled(name)}')


def _moment(text: str | None, option: str, now: int) -> int | None:
    from dicomfeed.times import parse_time

    if text is None:
        return None
    try:
        return parse_time(text, now=now)
    except ValueError:
        raise InvalidArgumentValueError(
            f'The value of {option} is not a time.',
            recommendation='Write it like 2026-01-31T09:30:00Z, 2026-01-31, now, or an age like 90s, 15m, 2h, 3d, 1w.',
        ) from None


def _seconds(text: str, option: str, lowest: float, highest: float) -> float:
    seconds = parse_duration(text, option)
    if not lowest <= seconds <= highest:
        raise InvalidArgumentValueError(
            f'The value of {option} is out of bounds.',
            recommendation=f'It takes {lowest} to {highest} seconds, such as 60s or 5m.',
        )
    return seconds


def _check_uids(uids: list[str], option: str) -> None:
    import re

    if not all(re.fullmatch(r'[0-9.]{1,64}', uid) for uid in uids):
        raise InvalidArgumentValueError(
            f'A value of {option} is not a UID.', recommendation='A UID is made of digits and dots, at most 64 of them.'
        )


def _check_files(options: Options) -> None:
    from dicomfeed.checkpoint import lock_path  # az reads this module for -h, too, which needs no reader

    _check_form(options.output_file)
    _refuse_dash(options)
    paths = {name: path for name in _FILES if (path := getattr(options, name))}
    locked = os.path.realpath(lock_path(options.checkpoint)) if options.checkpoint else None
    for name, other in combinations(paths, 2):
        if _is_same_file(paths[name], paths[other]):
            raise MutuallyExclusiveArgumentError(
                f'--{spelled(name)} and --{spelled(other)} name one file.',
                recommendation='Give each a file of its own.',
            )
    for name, path in paths.items():
        if os.path.realpath(path) == locked:
            raise InvalidArgumentValueError(
                f"The value of --{spelled(name)} is the name of the checkpoint's lock.",
                recommendation='Give it another name.',
            )
        _check_place(name, os.path.realpath(path))
    if options.checkpoint and is_stream(options.checkpoint):
        raise InvalidArgumentValueError(
            'The value of --checkpoint is a device or a pipe.', recommendation='Name a file, which is replaced.'
        )


def _check_place(name: str, path: str) -> None:
    if os.path.isdir(path):
        raise InvalidArgumentValueError(
            f'The value of --{spelled(name)} is a folder.', recommendation='Name a file in it.'
        )
    if not os.path.isdir(os.path.dirname(path)):
        raise InvalidArgumentValueError(
            f'The folder of --{spelled(name)} does not exist.',
            recommendation='Make it first, or name a file in another one.',
        )


def _check_form(output_file: str | None) -> None:
    """Refuse a name that promises what is not in the file."""
    ending = os.path.splitext(output_file or '')[1].lower()
    if ending in _FORMS:
        raise InvalidArgumentValueError(
            f'--output-file writes JSON Lines, which a file that ends in {ending} does not hold.',
            recommendation=_FORMS[ending],
        )


def _refuse_dash(options: Options) -> None:
    """Standard output is for events alone; a file of that name can be named `./-`."""
    for name in ('checkpoint', 'summary_file'):
        if getattr(options, name) == '-':
            raise InvalidArgumentValueError(
                f'--{spelled(name)} cannot be standard output.', recommendation='Name a file.'
            )


def _is_same_file(path: str, other: str) -> bool:
    if os.path.realpath(path) == os.path.realpath(other):
        return True
    return os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other)
