"""What a user asked of `az dicom changefeed`: the options as they were typed, and what they mean.

Owned: values and combinations that are refused, before anything is sent or written. Not owned: how options are spelled
and explained (`_params`), their choices and defaults (`vocabulary.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from azure.cli.core.azclierror import InvalidArgumentValueError, MutuallyExclusiveArgumentError

from azext_dicomtoken._given import SERVICE_OPTIONS, Given, seconds_of
from azext_dicomtoken._invocation import Invocation
from azext_dicomtoken._output import is_standard_output
from azext_dicomtoken.changefeed.attributes import conditions_of, fields_of
from azext_dicomtoken.changefeed.paths import FILES, check_paths
from azext_dicomtoken.changefeed.resume import SAME_CONDITIONS, NextToken
from azext_dicomtoken.changefeed.vocabulary import (
    CONCURRENCY,
    FILTERS,
    LEVELS,
    MAX_ITEMS,
    POLL_INTERVAL,
    SETTLE,
    UID_FILTERS,
)
from dicomfeed.events import LAST_SEQUENCE

if TYPE_CHECKING:
    from dicomfeed.attributes import Fields
    from dicomfeed.conditions import Conditions

_START = ('start_time', '--start-time')
_END = ('end_time', '--end-time')
_STARTS = ('start_time', 'after_sequence', 'tail', 'next_token')
_PLACES = ('start_time', 'after_sequence', 'tail', 'checkpoint')
_STREAMS = ('stream', 'output_file', 'follow')
_CONDITIONS = ('match', 'match_file')
_ALONE = (*_STARTS, 'end_time', 'max_items', *_STREAMS, 'checkpoint', 'summary_file')
_NAMES = (
    *SERVICE_OPTIONS,
    *_ALONE,
    *('latest', 'sequence', *FILTERS, 'include_metadata', 'count_by', 'overwrite', 'concurrency', 'settle'),
    *('poll_interval', 'until_latest', 'include_field', *_CONDITIONS, 'stable_after', 'level'),
)

_BOUNDS = {
    'after_sequence': (0, LAST_SEQUENCE),
    'sequence': (1, LAST_SEQUENCE),
    'tail': (1, 1_000_000),
    'max_items': (1, 1_000_000),
    'concurrency': (1, 32),
}
# An option, and those that do not go together with it.
_EXCLUSIVE = {
    'latest': (*_ALONE, 'sequence'),
    'sequence': (*_ALONE, 'latest', *FILTERS, *_CONDITIONS),
    **{start: tuple(other for other in _STARTS if other != start) for start in _STARTS},
    'end_time': ('follow', 'checkpoint', 'after_sequence', 'tail', 'next_token'),
    'checkpoint': ('tail', 'next_token'),
    'overwrite': ('checkpoint',),
    'max_items': ('tail', *_STREAMS),
    'follow': ('next_token',),
    'stream': ('output_file',),
    'include_field': ('include_metadata', 'count_by', 'stable_after'),
    'count_by': (
        *_STREAMS,
        *('latest', 'sequence', 'tail', 'next_token', 'max_items', 'checkpoint', 'include_metadata'),
    ),
    'stable_after': ('latest', 'sequence', 'tail', 'next_token', 'state', 'include_metadata', 'count_by'),
}
# An option, and those of which it needs one.
_NEEDED = {
    'checkpoint': _STREAMS,
    'until_latest': ('follow',),
    'poll_interval': ('follow',),
    'overwrite': ('output_file',),
    'summary_file': _STREAMS,
    'level': ('stable_after',),
}


@dataclass(frozen=True)
class Options:  # pylint: disable=too-many-instance-attributes    # one for each option
    """What the options mean, checked; None, False or empty where one was not given.

    :ivar typed: the options that a person typed, by name, as they were typed; of --match only that it was.
    :ivar service: those that name the service, for `resolve_service`.
    :ivar start: first tick of a window, or where a stream with a checkpoint or --follow begins.
    :ivar end: the tick after the last one of a window.
    :ivar stable_after: ticks without an event after which a study is stable; None: events are not grouped.
    :ivar output_file: a file; None where its name is one of standard output.
    :ivar form: tells the form of the lines from any other; empty for the service's own.
    """

    typed: Mapping[str, Any] = field(default_factory=dict)
    service: Mapping[str, Any] = field(default_factory=dict)
    tenant: str | None = None
    start: int | None = None
    end: int | None = None
    after_sequence: int | None = None
    tail: int | None = None
    latest: bool = False
    sequence: int | None = None
    token: NextToken | None = None
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    include_metadata: bool = False
    fields: Fields | None = None
    conditions: Conditions | None = None
    count_by: str | None = None
    stable_after: int | None = None
    level: str = LEVELS[0]
    max_items: int = MAX_ITEMS
    stream: bool = False
    output_file: str | None = None
    overwrite: bool = False
    summary_file: str | None = None
    checkpoint: str | None = None
    concurrency: int = CONCURRENCY
    settle_seconds: float = 60.0
    follow: bool = False
    poll_interval_seconds: float = 10.0
    until_latest: bool = False
    form: str = ''

    @property
    def writes_stdout(self) -> bool:
        """Whether events are written to standard output as they come."""
        return self.is_streaming and not self.output_file

    @property
    def is_streaming(self) -> bool:
        """Whether events are written as they come, and not returned."""
        return self.stream or self.follow or bool(self.output_file)

    @property
    def reads_metadata(self) -> bool:
        """Whether the metadata of events are read, whatever of them is written."""
        return self.include_metadata or self.fields is not None or self.conditions is not None

    @property
    def files(self) -> list[str]:
        """The paths of the files that this run reads and writes."""
        return [path for name in FILES if (path := getattr(self, name))]

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


def counted_back(options: Options, service_now: Callable[[], int]) -> Options:
    """The options with ages and `now` by the service's clock, which is asked only where one was typed."""
    from dicomfeed.times import LAST_TICK

    texts = [(options.typed.get(name), option) for name, option in (_START, _END)]
    if all(_ticks_of(text, option, LAST_TICK) == _ticks_of(text, option, LAST_TICK - 1) for text, option in texts):
        return options
    start, end = _window(texts, service_now())
    return replace(options, start=start, end=end)


def checked(values: Mapping[str, Any], invocation: Invocation) -> Options:
    """The options as the parser gave them, or an error of az's that says what to change."""
    from dicomfeed.times import Clock

    given = Given({name: values.get(name) for name in _NAMES}, invocation)
    given.refuse_empty()
    given.refuse_out_of_bounds(_BOUNDS)
    given.refuse_together(_EXCLUSIVE)
    given.require_one(_NEEDED)
    given.require_one({'until_latest': _PLACES})  # from now on, it would end at once
    output_file = _output_file(given)
    _refuse_other_forms(given, invocation, to_file=bool(output_file))
    start, end = _window([(given[name], given.spelled(name)) for name, _ in (_START, _END)], Clock().now())
    for name in UID_FILTERS:
        _check_uids(given[name] or (), given.spelled(name))
    check_paths(given)
    return Options(
        typed=_typed(given),
        service={name: given[name] for name in SERVICE_OPTIONS if name != 'tenant'},
        tenant=given['tenant'],
        start=start,
        end=end,
        after_sequence=given['after_sequence'],
        tail=given['tail'],
        latest=bool(given['latest']),
        sequence=given['sequence'],
        token=NextToken.decoded(given['next_token']) if given['next_token'] else None,
        filters={name: tuple(given[name] or ()) for name in FILTERS},
        include_metadata=bool(given['include_metadata']),
        fields=fields_of(given),
        conditions=conditions_of(given),
        count_by=given['count_by'] and str(given['count_by']),
        stable_after=_stable_after(given),
        level=str(given['level'] or LEVELS[0]),
        max_items=given['max_items'] or MAX_ITEMS,
        stream=bool(given['stream'] or (given['output_file'] and not output_file)),
        output_file=output_file,
        overwrite=bool(given['overwrite']),
        summary_file=given['summary_file'],
        checkpoint=given['checkpoint'],
        concurrency=given['concurrency'] or CONCURRENCY,
        settle_seconds=seconds_of(given['settle'] or SETTLE, '--settle', bounds=('0s', '1h')),
        follow=bool(given['follow']),
        poll_interval_seconds=seconds_of(
            given['poll_interval'] or POLL_INTERVAL, '--poll-interval', bounds=('1s', '1d')
        ),
        until_latest=bool(given['until_latest']),
        form=_form(invocation),
    )


def _typed(given: Given) -> dict[str, Any]:
    """What a person typed, without the values of --match: they may name a patient, and messages repeat options."""
    typed = {
        name: value for name, value in given.items() if value is not None and not getattr(value, 'is_default', False)
    }
    return typed | {'match': [SAME_CONDITIONS]} if 'match' in typed else typed


def _stable_after(given: Given) -> int | None:
    from dicomfeed.times import ticks_from_seconds

    if given['stable_after'] is None:
        return None
    return ticks_from_seconds(seconds_of(given['stable_after'], '--stable-after', bounds=('1s', '30d')))


def _output_file(given: Given) -> str | None:
    """The file to write; None without one, and for standard output under one of its names."""
    path: str | None = given['output_file']
    if path is None or not is_standard_output(path):
        return path
    # A checkpoint needs to know how much of the output stands; `-` is the same as --stream, which needs nothing.
    return path if given['checkpoint'] and path != '-' else None


def _refuse_other_forms(given: Given, invocation: Invocation, *, to_file: bool) -> None:
    """Refuse a typed output format that lines do not have."""
    mode = next((name for name in ('output_file', 'stream', 'follow') if given[name]), None)
    if mode is None:
        return
    given.refuse_output_format(given.spelled(mode), but=('json', 'tsv') if to_file else ('json', 'tsv', 'table'))
    if invocation.has_query and invocation.typed_output == 'table':
        raise MutuallyExclusiveArgumentError(
            f'-o table and --query do not go together with {given.spelled(mode)}.',
            recommendation='Use -o tsv, or leave out one of them.',
        )


def _form(invocation: Invocation) -> str:
    """A digest, as a query can hold what is nobody else's business."""
    words = [word for word in (invocation.typed_output, invocation.typed_query) if word and word != 'json']
    if not words:
        return ''
    import hashlib

    return hashlib.sha256('\n'.join(words).encode('utf-8', 'surrogateescape')).hexdigest()


def _window(texts: list[tuple[str | None, str]], now: int) -> tuple[int | None, int | None]:
    start, end = (_ticks_of(text, option, now) for text, option in texts)
    if end is not None and end <= (start or 0):
        raise InvalidArgumentValueError(
            'The time window is empty: it ends before it starts.',
            recommendation=f'Give {texts[1][1]} a time that is later than the start.',
        )
    return start, end


def _ticks_of(text: str | None, option: str, now: int) -> int | None:
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


def _check_uids(uids: Iterable[str], option: str) -> None:
    import re

    if not all(re.fullmatch(r'[0-9.]{1,64}', uid) for uid in uids):
        raise InvalidArgumentValueError(
            f'A value of {option} is not a UID.',
            recommendation='A UID is made of digits and dots, at most 64 of them.',
        )
