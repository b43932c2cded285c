"""A progress bar where a person watches, and nowhere else."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from azext_dicomtoken.changefeed.progress import Progress


class Hook:
    """az's own progress controller."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, float]] = []
        self.reporter = SimpleNamespace(value=None)

    def add(self, *, message: str, value: float, total_val: float) -> None:
        self.reporter.value = value / total_val
        self.shown.append((message, value))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def cli(hook: Hook, *, only_show_errors: bool = False, disabled: bool = False) -> Any:
    return SimpleNamespace(
        only_show_errors=only_show_errors,
        config=SimpleNamespace(getboolean=lambda *_, **__: disabled),
        get_progress_controller=lambda det: hook,
    )


def test_bar_is_drawn_within_its_bounds_and_taken_away() -> None:
    hook, terminal = Hook(), Terminal()
    with Progress(cli(hook), wanted=True, stream=terminal, monotonic=lambda: 7.0) as progress:
        progress.show('3 events ', 1.5)
        progress.show('4 events ', 1.5)  # too soon to be drawn
    assert hook.shown == [('3 events ', 1.0)] and terminal.getvalue().startswith('\r ')


@pytest.mark.parametrize(
    ('wanted', 'settings', 'stream'),
    [
        (False, {}, Terminal),
        (True, {'only_show_errors': True}, Terminal),
        (True, {'disabled': True}, Terminal),
        (True, {}, io.StringIO),
    ],
    ids=['not wanted', 'only errors', 'disabled', 'no terminal'],
)
def test_bar_is_not_drawn_where_nobody_wants_it(wanted: bool, settings: Any, stream: type[io.StringIO]) -> None:
    hook = Hook()
    with Progress(cli(hook, **settings), wanted=wanted, stream=stream()) as progress:
        progress.show('3 events ', 0.5)
    assert hook.shown == []


def said(stream: io.StringIO, **settings: bool) -> str:
    """What stands on standard error after the run has said that it waits, once a bar was drawn."""
    hook = Hook()
    with Progress(cli(hook, **settings), wanted=True, stream=stream) as progress:
        progress.show('3 events ', 0.5)
        progress.say_instead('Waiting.')
    return stream.getvalue()


@pytest.mark.parametrize(
    ('settings', 'stream', 'is_said'),
    [
        ({}, Terminal, True),
        ({'disabled': True}, Terminal, True),
        ({'only_show_errors': True}, Terminal, False),
        ({}, io.StringIO, False),
    ],
    ids=['terminal', 'without a bar', 'only errors', 'no terminal'],
)
def test_waiting_is_said_where_a_person_watches(settings: Any, stream: type[io.StringIO], is_said: bool) -> None:
    text = said(stream(), **settings)
    assert ('Waiting.\n' in text) is is_said and (is_said or text == '')
