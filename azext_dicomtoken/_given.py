"""The values of a command's options as the parser gave them, and the refusals that commands share.

Owned: how an option was spelled, blanks, empty values, bounds, what excludes or requires another option, durations. Not
owned: which of that a command asks for (`_validators`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azure.cli.core.azclierror import (
    InvalidArgumentValueError,
    MutuallyExclusiveArgumentError,
    RequiredArgumentMissingError,
)

from azext_dicomtoken._invocation import Invocation

_BLANKS = ' \t\r\n'
SERVICE_OPTIONS = ('service_url', 'workspace_name', 'dicom_service_name', 'resource_group_name', 'resource', 'tenant')
# Names, addresses, times and durations; not paths, whose names may begin or end with a blank.
_WITHOUT_BLANKS = frozenset(
    {
        *SERVICE_OPTIONS,
        *('start_time', 'end_time', 'min_validity', 'settle', 'poll_interval', 'stable_after', 'idle_timeout'),
        *('next_token', 'study_instance_uid', 'series_instance_uid', 'sop_instance_uid'),
    }
)
_SPELLINGS = {
    'resource_group_name': ('--resource-group', '-g'),
    'token_format': ('--format',),
    'tenant': ('--tenant', '-t'),
    'start_time': ('--start-time', '--since'),
    'end_time': ('--end-time', '--until'),
    'follow': ('--follow', '-f'),
}


class Given(dict[str, Any]):
    """The values of a command's options by name, and the refusals that all commands share.

    Blanks and carriage returns around a value that may hold none are dropped: scripts with Windows line ends add them
    (azure-cli#13573).
    """

    def __init__(self, values: Mapping[str, Any], invocation: Invocation) -> None:
        super().__init__(values)
        self.update({name: _stripped(value) for name, value in values.items() if name in _WITHOUT_BLANKS})
        self._invocation = invocation

    def spelled(self, name: str) -> str:
        """An option as a person typed it."""
        return option_name(name, self._invocation)

    def refuse_empty(self) -> None:
        """An empty value is a variable that a script forgot to set, and must not pass for an option not given."""
        for name, value in self.items():
            if value == '' or isinstance(value, list) and '' in value:
                raise InvalidArgumentValueError(
                    f'The value of {self.spelled(name)} is empty.', recommendation='Give it a value, or leave it out.'
                )

    def refuse_out_of_bounds(self, bounds: Mapping[str, tuple[int, int]]) -> None:
        """Refuse numbers outside of their bounds, both of which are allowed."""
        for name, (lowest, highest) in bounds.items():
            if self[name] is not None and not lowest <= self[name] <= highest:
                raise InvalidArgumentValueError(
                    f'The value of {self.spelled(name)} is out of bounds.',
                    recommendation=f'It takes an integer from {lowest} to {highest}.',
                )

    def refuse_together(self, exclusive: Mapping[str, tuple[str, ...]]) -> None:
        """Refuse an option together with one of those that exclude it."""
        for name, others in exclusive.items():
            for other in others:
                if self._has(name) and self._has(other):
                    raise MutuallyExclusiveArgumentError(
                        f'{self.spelled(name)} and {self.spelled(other)} do not go together.',
                        recommendation='Leave one of them out.',
                    )

    def require_one(self, needed: Mapping[str, tuple[str, ...]]) -> None:
        """Refuse an option without one of those that it needs."""
        for name, others in needed.items():
            if self._has(name) and not any(map(self._has, others)):
                named = ' or '.join(map(self.spelled, others))
                raise RequiredArgumentMissingError(
                    f'{self.spelled(name)} requires {named}.', recommendation=f'Add {named}, or leave it out.'
                )

    def refuse_az_output(self, option: str) -> None:
        """Refuse what az would do to a result where the command writes by itself and there is none."""
        self.refuse_query(option)
        self.refuse_output_format(option)

    def refuse_query(self, option: str) -> None:
        if self._invocation.has_query:
            raise MutuallyExclusiveArgumentError(
                f'--query has no effect with {option}.', recommendation=_without('--query', option)
            )

    def refuse_output_format(self, option: str, *, but: tuple[str, ...] = ()) -> None:
        """Refuse a typed `-o` with another format than those; a configured one is for what az prints itself."""
        if self._invocation.typed_output not in (None, *but):
            typed, others = f'-o {self._invocation.typed_output}', [f'-o {name}' for name in but if name != 'json']
            raise MutuallyExclusiveArgumentError(
                f'{typed} has no effect with {option}.',
                recommendation=f'Use {" or ".join(others)}.' if others else _without(typed, option),
            )

    def _has(self, name: str) -> bool:
        """Whether the option was given; a number may be 0."""
        value = self.get(name)
        return value is not None and value is not False and value != []


def _without(typed: str, other: str) -> str:
    """What to do where an option has no effect with another one, or with a command."""
    return f'Leave out either {typed} or {other}.' if other.startswith('-') else f'Leave out {typed}.'


def option_name(name: str, invocation: Invocation) -> str:
    """The spelling of an option that a person typed, or its first one."""
    return invocation.spelled(*_SPELLINGS.get(name, ('--' + name.replace('_', '-'),)))


def seconds_of(text: str, option: str, *, bounds: tuple[str, str] | None = None) -> float:
    """Seconds of a duration like `90s`, `15m`, `1h30m`, `1.5d` or `1w`, in the reader's grammar.

    :param bounds: the shortest and the longest one, written likewise.
    """
    from dicomfeed.times import parse_duration  # most runs have no duration to read

    try:
        seconds = parse_duration(text)
    except ValueError:
        raise InvalidArgumentValueError(
            f'The value of {option} is not a duration.',
            recommendation='Write it like 90s, 15m, 2h, 3d or 1w.',
        ) from None
    if bounds and not parse_duration(bounds[0]) <= seconds <= parse_duration(bounds[1]):
        raise InvalidArgumentValueError(
            f'The value of {option} is out of bounds.',
            recommendation=f'It takes {bounds[0]} to {bounds[1]}.',
        )
    return seconds


def _stripped(value: Any) -> Any:
    """The text without blanks around it, still marked as configured where az marked it so; each text of a list."""
    if isinstance(value, list):
        return [_stripped(item) for item in value]
    if not isinstance(value, str) or value == value.strip(_BLANKS):
        return value
    return type(value)(value.strip(_BLANKS))
