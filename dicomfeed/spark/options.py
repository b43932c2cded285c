"""What a user may set, checked before anything is sent.

Owned: names, defaults, bounds, what goes together, and which service may receive which token. Not owned: what only a
batch or only a stream takes (`source.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from dicomfeed.attributes import Fields, parse_fields
from dicomfeed.events import LAST_SEQUENCE
from dicomfeed.gaps import SETTLE_SECONDS
from dicomfeed.times import FIRST_TICK, LAST_TICK, Ticks, parse_time
from dicomfeed.trust import CLOUDS, Verdict, judge, parse_origin

CREDENTIALS = ('default', 'tokenFile', 'az')
NAMES = (
    *('serviceUrl', 'resource', 'cloud', 'credential', 'tokenFile'),
    *('startTime', 'endTime', 'afterSequence', 'untilSequence'),
    *('includeMetadata', 'includeFields', 'rangeSize', 'settleSeconds'),
    *('requestsInFlightPerTask', 'pollIntervalSeconds', 'maxEventsPerTrigger'),
)
_REFUSALS = {
    Verdict.NOT_HTTPS: 'A token is sent over https only: write serviceUrl with https://.',
    Verdict.OTHER_HOST: (
        'serviceUrl does not lead to a DICOM service of the cloud: correct it, choose another cloud, or, for a server '
        'of your own, set resource to the audience that this server alone accepts.'
    ),
    Verdict.NOT_A_PRIVATE_AUDIENCE: (
        "resource is an audience of Microsoft's own services, and its tokens go to no other host."
    ),
}
_NOWS = (LAST_TICK // 10, LAST_TICK)
"""Two times, one before and one after every event, by which what depends on the time of asking is told."""

Value = TypeVar('Value')


class OptionRefused(ValueError):
    """An option that cannot be meant so. One sentence, which does not repeat the value."""


@dataclass(frozen=True)
class Options:  # pylint: disable=too-many-instance-attributes    # as many as there are options
    """The options of one `load()`, as Spark's processes pass them on: no secret, no connection.

    :ivar service_url: scheme, host and port.
    :ivar audience: of the tokens.
    :ivar token_file: a path that exists on every node; None for another credential.
    :ivar start_time: as the user wrote it, because an age counts back from the service's clock; as is `end_time`.
    :ivar include_metadata: whether lines carry all metadata.
    :ivar fields: the attributes that they carry instead; None: not these alone.
    :ivar range_size: most sequence numbers, or events of a window, for one task.
    :ivar max_events: most events in a batch of a stream; None for all there are.
    :ivar named: the options that were given.
    """

    service_url: str
    audience: str
    credential: str = 'default'
    token_file: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    after_sequence: int | None = None
    until_sequence: int | None = None
    include_metadata: bool = False
    fields: Fields | None = None
    range_size: int = 10_000
    settle_seconds: float = SETTLE_SECONDS
    requests_in_flight: int = 4
    poll_interval_seconds: float = 5.0
    max_events: int | None = None
    named: frozenset[str] = frozenset()

    @property
    def is_window(self) -> bool:
        """Whether a batch reads a window of time, and not by sequence number."""
        return self.start_time is not None or self.end_time is not None


def parse_options(given: Mapping[str, str]) -> Options:
    """The options in the texts that Spark hands over; letter case of names does not count. Raises OptionRefused."""
    values = {_name_of(name): text.strip() for name, text in given.items()}
    _refuse_contradictions(values)
    service_url, audience = _service(values)
    options = Options(
        service_url,
        audience,
        credential=_credential(values),
        token_file=values.get('tokenFile'),
        start_time=_read(values, 'startTime', _checked_time),
        end_time=_read(values, 'endTime', _checked_time),
        after_sequence=_read(values, 'afterSequence', _between(0, LAST_SEQUENCE)),
        until_sequence=_read(values, 'untilSequence', _between(0, LAST_SEQUENCE)),
        include_metadata=_read(values, 'includeMetadata', _boolean) or False,
        fields=_read(values, 'includeFields', lambda text: parse_fields(text.split(','))),
        range_size=_read(values, 'rangeSize', _between(100, 1_000_000)) or Options.range_size,
        settle_seconds=_or_default(_read(values, 'settleSeconds', _between(0, 3_600)), Options.settle_seconds),
        requests_in_flight=_read(values, 'requestsInFlightPerTask', _between(1, 32)) or Options.requests_in_flight,
        poll_interval_seconds=_read(values, 'pollIntervalSeconds', _between(1, 86_400))
        or Options.poll_interval_seconds,
        max_events=_read(values, 'maxEventsPerTrigger', _between(1, LAST_SEQUENCE)),
        named=frozenset(values),
    )
    _refuse_nothing(options)
    return options


def absolute_time(text: str) -> Ticks | None:
    """The time, where it does not depend on when it is asked; None for `now` and for an age."""
    early, late = (parse_time(text, now=now) for now in _NOWS)
    return early if early == late else None


def _name_of(name: str) -> str:
    for known in NAMES:
        if known.lower() == name.lower():
            return known
    raise OptionRefused(f'There is no option {name[:40]!r}; there are {", ".join(NAMES)}.')


def _refuse_contradictions(values: Mapping[str, str]) -> None:
    by_sequence = [name for name in ('afterSequence', 'untilSequence') if name in values]
    by_time = [name for name in ('startTime', 'endTime') if name in values]
    if by_sequence and by_time:
        raise OptionRefused(f'{by_sequence[0]} and {by_time[0]} exclude each other: read by sequence or by time.')
    if 'includeFields' in values and _read(values, 'includeMetadata', _boolean):
        raise OptionRefused('includeMetadata and includeFields exclude each other: read all metadata or some of them.')
    if values.get('tokenFile') == '':
        raise OptionRefused('tokenFile is empty: it is the path of a file with a token.')
    if ('tokenFile' in values) != (_credential(values) == 'tokenFile'):
        raise OptionRefused("credential 'tokenFile' and the option tokenFile require each other.")


def _refuse_nothing(options: Options) -> None:
    """An end before the start. One at the start is a job that has nothing to do."""
    after, until = options.after_sequence, options.until_sequence
    if after is not None and until is not None and until < after:
        raise OptionRefused('untilSequence is lower than afterSequence: exchange them.')
    if options.start_time is None or options.end_time is None:
        return
    windows = [[parse_time(text, now=now) for text in (options.start_time, options.end_time)] for now in _NOWS]
    if all(end < start for start, end in windows):
        raise OptionRefused('endTime is before startTime: exchange them.')


def _service(values: Mapping[str, str]) -> tuple[str, str]:
    cloud = CLOUDS[_one_of(tuple(CLOUDS), values.get('cloud', 'AzureCloud'), 'cloud')]
    audience = values.get('resource') or cloud.audience
    origin = parse_origin(values.get('serviceUrl', ''))
    if origin is None:
        raise OptionRefused(
            'serviceUrl is missing or not a URL such as https://WORKSPACE-SERVICE.dicom.azurehealthcareapis.com.'
        )
    if audience is None:
        raise OptionRefused('The audience of the DICOM service in this cloud is not known: set resource.')
    if re.fullmatch('[!-~]+', audience) is None:  # white space would make two scopes of one
        raise OptionRefused('resource is not an audience: that is a URI or an application ID, without blanks.')
    # Options are typed by whoever writes the job, as the options of a command are.
    verdict = judge(origin, audience, cloud=cloud, is_typed='resource' in values)
    if verdict is not Verdict.TRUSTED:
        raise OptionRefused(_REFUSALS[verdict])
    return str(origin), audience


def _credential(values: Mapping[str, str]) -> str:
    return _one_of(CREDENTIALS, values.get('credential', 'default'), 'credential')


def _one_of(choices: tuple[str, ...], given: str, name: str) -> str:
    for known in choices:
        if known.lower() == given.lower():
            return known
    raise OptionRefused(f'{name} is one of {", ".join(choices)}.')


def _read(values: Mapping[str, str], name: str, parse: Callable[[str], Value]) -> Value | None:
    if name not in values:
        return None
    try:
        return parse(values[name])
    except ValueError as error:
        raise OptionRefused(f'The value of {name} is not valid: {error}') from None


def _or_default(value: float | None, default: float) -> float:
    return default if value is None else value


def _checked_time(text: str) -> str:
    try:
        parse_time(text, now=FIRST_TICK)
    except ValueError:
        raise ValueError('a time is 2026-01-31T09:30:00Z, a date, an age such as 3d, or now.') from None
    return text


def _between(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most):
            raise ValueError(f'it is a whole number from {least} to {most}.')
        return int(text)

    return parse


def _boolean(text: str) -> bool:
    if text.lower() not in ('true', 'false'):
        raise ValueError('it is true or false.')
    return text.lower() == 'true'
