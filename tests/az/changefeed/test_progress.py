"""A progress bar where a person watches, on a line of its own, and nowhere else."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from types import SimpleNamespace
from typing import Any

import pytest
from knack.log import get_logger

from azext_dicomtoken._output import say
from azext_dicomtoken.changefeed.progress import Progress


class Terminal(io.StringIO):
    """A terminal without escape sequences: a carriage return leads to the beginning of the line."""

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> list[str]:
        """What stands on it, line by line."""
        screen = []
        for line in self.getvalue().split('\n'):
            cells: list[str] = []
            for piece in line.split('\r'):
                cells[: len(piece)] = piece
            screen.append(''.join(cells).rstrip())
        return screen


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def cli(*, only_show_errors: bool = False, disabled: bool = False) -> Any:
    return SimpleNamespace(
        only_show_errors=only_show_errors, config=SimpleNamespace(getboolean=lambda *_, **__: disabled)
    )


@contextmanager
def watched(
    stream: io.StringIO, clock: Callable[[], float], *, columns: int = 80, wanted: bool = True, **settings: Any
) -> Iterator[Progress]:
    """A run whose standard error is that stream."""
    with (
        redirect_stderr(stream),
        Progress(cli(**settings), wanted=wanted, monotonic=clock, columns=lambda: columns) as progress,
    ):
        yield progress


@pytest.mark.parametrize(
    ('columns', 'fraction', 'events', 'text'),
    [
        (80, 0.426, 12_300, ' 42% [############                  ] 12,300 events read, 3,075/s, 5 s left'),
        (120, 0.01, 12_300, '  1% [                              ] 12,300 events read, 3,075/s, 7 min left'),
        (60, 0.99, 9, ' 99% [###################### ] 9 events read, 2/s, 0 s left'),
        (40, 0.5, 9, ' 50% 9 events read, 2/s, 4 s left'),
        (20, 0.5, 9, ' 50% 9 events read,'),
        (80, 0.0, 9, '  0% [                              ] 9 events read, 2/s'),
        (80, 0.5, 0, ' 50% [###############               ] 4 s left'),
        (80, 1.5, 9, '100% [##############################] 9 events read, 2/s, 0 s left'),
        (80, -1.0, 9, '  0% [                              ] 9 events read, 2/s'),
    ],
    ids=['common', 'wide', 'narrow', 'no room', 'cut off', 'nothing yet', 'no count', 'too much', 'too little'],
)
def test_bar_fits_the_terminal(columns: int, fraction: float, events: int, text: str) -> None:
    terminal, clock = Terminal(), Clock()
    with watched(terminal, clock, columns=columns) as progress:
        clock.seconds = 4.0
        progress.show(fraction, events)
        assert terminal.shown == [text] and len(text) < columns


def test_bar_comes_after_two_seconds_and_counts_from_the_beginning() -> None:
    terminal, clock = Terminal(), Clock()
    with watched(terminal, clock) as progress:
        for clock.seconds in (0.0, 1.0, 1.9):
            progress.show(0.1, 100)
        assert terminal.getvalue() == ''
        clock.seconds = 2.0
        progress.show(0.5, 100)
        assert '400 events read, 200/s, 2 s left' in terminal.shown[0]


def test_bar_is_redrawn_a_few_times_a_second_on_its_line_and_gone_at_the_end() -> None:
    terminal, clock = Terminal(), Clock()
    with watched(terminal, clock) as progress:
        for clock.seconds in (3600.0, 3600.1, 3600.2):
            progress.show(0.5, 1)
        assert '2 events' not in terminal.getvalue() and '3 events' in terminal.shown[0]
        progress.show(0.999999, 0)
    assert terminal.shown == ['']


def test_bar_has_neither_color_nor_escape_sequence() -> None:
    terminal, clock = Terminal(), Clock()
    with watched(terminal, clock) as progress:
        clock.seconds = 4.0
        progress.show(0.5, 1)
        say('A message.')
    assert '\x1b' not in terminal.getvalue() and 'events' in terminal.getvalue()


@pytest.mark.parametrize('speak', [say, get_logger('dicomtoken').warning], ids=['printed', 'logged'])
def test_message_is_on_a_line_of_its_own(speak: Callable[[str], None]) -> None:
    terminal, clock = Terminal(), Clock()
    logger, handler = logging.getLogger('cli'), logging.StreamHandler(terminal)
    logger.addHandler(handler)
    try:
        with watched(terminal, clock) as progress:
            clock.seconds = 4.0
            progress.show(0.5, 1)
            speak('Short.')
            clock.seconds = 5.0
            progress.show(0.6, 1)
            assert terminal.shown[0] == 'Short.' and terminal.shown[1].startswith(' 60% [')
    finally:
        logger.removeHandler(handler)
    assert terminal.shown == ['Short.', ''] and handler.stream is terminal


def test_line_that_others_have_begun_is_left_to_them() -> None:
    terminal, clock = Terminal(), Clock()
    with watched(terminal, clock) as progress:
        clock.seconds = 4.0
        print('Half of', end='', file=sys.stderr)
        progress.show(0.5, 1)
        print(' a line.', file=sys.stderr)
    assert terminal.shown == ['Half of a line.', '']


@pytest.mark.parametrize(
    ('settings', 'stream'),
    [
        ({'wanted': False}, Terminal),
        ({'only_show_errors': True}, Terminal),
        ({'disabled': True}, Terminal),
        ({}, io.StringIO),
    ],
    ids=['not wanted', 'only errors', 'disabled', 'no terminal'],
)
def test_bar_is_not_drawn_where_nobody_wants_it(settings: Any, stream: type[io.StringIO]) -> None:
    stderr, clock = stream(), Clock()
    with watched(stderr, clock, **settings) as progress:
        clock.seconds = 4.0
        progress.show(0.5, 3)
        assert sys.stderr is stderr
    assert stderr.getvalue() == ''


def test_closed_standard_error_gets_no_bar() -> None:
    clock = Clock()
    with redirect_stderr(None), Progress(cli(), monotonic=clock) as progress:
        clock.seconds = 4.0
        progress.show(0.5, 3)
        progress.say_instead('Waiting.')
        assert sys.stderr is None


@pytest.mark.parametrize(
    ('settings', 'stream', 'shown'),
    [
        ({}, Terminal, ['Waiting.', '']),
        ({'disabled': True}, Terminal, ['Waiting.', '']),
        ({'wanted': False}, Terminal, ['Waiting.', '']),
        ({'only_show_errors': True}, Terminal, ['']),
        ({}, io.StringIO, ['']),
    ],
    ids=['terminal', 'without a bar', 'no bar wanted', 'only errors', 'no terminal'],
)
def test_waiting_takes_the_place_of_the_bar_for_good(
    settings: Any, stream: type[io.StringIO], shown: list[str]
) -> None:
    stderr, clock = stream(), Clock()
    with watched(stderr, clock, **settings) as progress:
        for clock.seconds in (4.0, 5.0):
            progress.show(0.5, 3)
            if clock.seconds == 4.0:
                progress.say_instead('Waiting.')
    assert (stderr.shown if isinstance(stderr, Terminal) else [stderr.getvalue()]) == shown
