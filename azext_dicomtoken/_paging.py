"""How a list that was cut goes on: the token for `--next-token`, and the command to paste.

A token holds a timestamp and a sequence number, so it works inside a group of equal timestamps; and the end of the
window, because `--until` may be an age.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from azure.cli.core.azclierror import InvalidArgumentValueError


@dataclass(frozen=True)
class NextToken:
    """Go on after this event.

    :ivar sequence: its sequence number.
    :ivar ticks: its timestamp.
    :ivar end: end of the window, for a list in the order of time; None: a list in the order of sequence numbers.
    """

    sequence: int
    ticks: int
    end: int | None = None

    def encoded(self) -> str:
        content = [1, self.sequence, self.ticks, self.end]
        return base64.urlsafe_b64encode(json.dumps(content, separators=(',', ':')).encode()).decode().rstrip('=')

    @classmethod
    def decoded(cls, text: str) -> NextToken:
        from dicomfeed.events import LAST_SEQUENCE  # az reads this module for -h too
        from dicomfeed.times import LAST_TICK

        try:
            version, sequence, ticks, end = json.loads(base64.urlsafe_b64decode(text + '=' * (-len(text) % 4)))
            bounds = {LAST_SEQUENCE: [sequence], LAST_TICK: [ticks, 0 if end is None else end]}
            if version != 1 or not all(
                isinstance(number, int) and 0 <= number <= last
                for last, numbers in bounds.items()
                for number in numbers
            ):
                raise ValueError
        except (ValueError, TypeError, RecursionError):
            raise InvalidArgumentValueError(
                'The value of --next-token is not one that this command printed.',
                recommendation='Copy the whole of it, or begin anew without it.',
            ) from None
        return cls(sequence, ticks, end)


def command_line(options: Iterable[tuple[str, Any]], *, windows: bool = os.name == 'nt') -> str:
    """The command with these options, quoted for the platform's shell; False and None are left out."""
    words = ['az', 'dicom', 'changefeed']
    for option, value in options:
        if value is True:
            words.append(option)
        elif isinstance(value, (list, tuple)):
            words += [option, *map(str, value)] if value else []
        elif value is not None and value is not False:
            words += [option, str(value)]
    if windows:
        import subprocess

        return subprocess.list2cmdline(words)
    import shlex

    return shlex.join(words)
