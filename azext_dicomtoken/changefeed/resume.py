"""How to continue after a run: the token for `--next-token`, and the command to paste. The only place that says so.

A token holds a timestamp and a sequence number, so it works inside a group of equal timestamps; and the end of the
window, because `--until` may be an age.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from azure.cli.core.azclierror import InvalidArgumentValueError

from azext_dicomtoken._command_line import command_line, typed_options
from azext_dicomtoken._given import option_name
from azext_dicomtoken._output import say

if TYPE_CHECKING:
    from azext_dicomtoken._invocation import Invocation
    from azext_dicomtoken.changefeed.options import Options

_STARTS = ('start_time', 'end_time', 'after_sequence', 'next_token', 'tail')
_FILES = ('output_file', 'overwrite', 'summary_file')
SAME_CONDITIONS = 'SAME_CONDITIONS'
"""Stands for the values of --match in a printed command, which is refused until they are put there."""


class NextToken(NamedTuple):
    """Continue after this event.

    :ivar sequence: its sequence number.
    :ivar ticks: its timestamp.
    :ivar end: end of the window, for the order of time; None: the order of sequence numbers.
    """

    sequence: int
    ticks: int
    end: int | None = None

    def encoded(self) -> str:
        import base64
        import json

        content = [1, self.sequence, self.ticks, self.end]
        return base64.urlsafe_b64encode(json.dumps(content, separators=(',', ':')).encode()).decode().rstrip('=')

    @classmethod
    def decoded(cls, text: str) -> NextToken:
        """The token in a text.

        :raises InvalidArgumentValueError: for a text that is not one.
        """
        import base64
        import json

        try:
            version, *fields = json.loads(base64.urlsafe_b64decode(text + '=' * (-len(text) % 4)))
            token = cls(*fields)
            if version != 1 or len(fields) != 3 or not token.is_within_bounds():
                raise ValueError
        except (ValueError, TypeError, RecursionError):
            raise InvalidArgumentValueError(
                'The value of --next-token is not one that this command printed.',
                recommendation='Copy it completely, or start again without it.',
            ) from None
        return token

    def is_within_bounds(self) -> bool:
        """Whether these can be a sequence number and times."""
        from dicomfeed.events import LAST_SEQUENCE
        from dicomfeed.times import LAST_TICK

        limits = (LAST_SEQUENCE, LAST_TICK, LAST_TICK)
        numbers = (self.sequence, self.ticks, 0 if self.end is None else self.end)
        return all(
            isinstance(number, int) and 0 <= number <= last for number, last in zip(numbers, limits, strict=True)
        )


def say_list_was_cut(invocation: Invocation, options: Options, position: NextToken | None) -> None:
    """Say it on standard error whatever --only-show-errors says: a cut list that is read as complete is wrong."""
    assert position is not None  # what has none, a tail, is not cut
    say(
        f'There are more events than the {options.max_items} listed. Continue with{_same_match(options)}:',
        _command_line(invocation, options, [('--next-token', position.encoded())], without=_STARTS),
    )


def say_start_was_ignored(invocation: Invocation, options: Options, sequence: int) -> None:
    """Say that a checkpoint which is there begins the run, and not the start that was typed."""
    typed = [option_name(name, invocation) for name in _STARTS if name in options.typed]
    if typed:
        invocation.inform(
            f'{typed[0]} is ignored: the run continues after sequence number {sequence}, where the checkpoint stands.'
        )


def say_stream_ended(what_happened: str, invocation: Invocation, options: Options, position: NextToken | None) -> None:
    """Say how a stream that ended early is continued.

    :param position: the event that it ended after; None where the same start has to be typed again.
    """
    if options.checkpoint:
        say(f'{what_happened} Run the same command again to continue.')
        return
    if options.stable_after:
        other = ' with another --output-file' if options.output_file and not options.overwrite else ''
        say(f'{what_happened} Run the same command{other} to start again. A run with --checkpoint would continue.')
        return
    start = typed_options(invocation, options.typed, only=_STARTS) if position is None else [_start_after(position)]
    where_to, without = ([('--output-file', 'ANOTHER_FILE')], _FILES) if options.output_file else ([], ())
    command = _command_line(invocation, options, [*start, *where_to], without=(*_STARTS, *without))
    say(f'{what_happened} Continue with{_same_match(options)}:', command)


def _same_match(options: Options) -> str:
    """What the printed command needs again and does not hold."""
    needed = ['--match'] if 'match' in options.typed else []
    if options.typed.get('match_file') == '-':
        needed.append('standard input')
    return f' the same {" and ".join(needed)}' if needed else ''


def _start_after(position: NextToken) -> tuple[str, Any]:
    if position.end is None:
        return ('--after-sequence', position.sequence)
    return ('--next-token', position.encoded())


def _command_line(
    invocation: Invocation, options: Options, more: list[tuple[str, Any]], *, without: tuple[str, ...]
) -> str:
    """The command as it was typed, az's own options included, with other options in the place of some."""
    kept = typed_options(invocation, options.typed, only=[name for name in options.typed if name not in without])
    az = [
        ('--subscription', invocation.typed_subscription),
        ('--query', invocation.typed_query),
        ('-o', invocation.typed_output),
        *((flag, True) for flag in invocation.typed_flags),
    ]
    return command_line([*kept, *more, *az])
