"""What a person sees who watches: only where somebody does, and where az's settings allow it."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from azext_dicomtoken.changefeed.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FakeHook:
    """az's progress controller, as far as it is used."""

    def __init__(self) -> None:
        self.shown: list[dict[str, Any]] = []
        self.reporter = SimpleNamespace(value=None)

    def add(self, **report: Any) -> None:
        self.shown.append(report)
        self.reporter.value = report['value']


class FakeCli:
    def __init__(self, *, only_show_errors: bool = False, disabled: bool = False) -> None:
        self.only_show_errors = only_show_errors
        self.hook = FakeHook()
        self.config = SimpleNamespace(getboolean=lambda section, option, fallback: disabled)

    def get_progress_controller(self, *, det: bool) -> FakeHook:
        assert det
        return self.hook


def watched(monkeypatch: pytest.MonkeyPatch, stream: Any, cli: FakeCli) -> Any:
    monkeypatch.setattr(sys, 'stderr', stream)
    with Progress(cli, wanted=True) as progress:
        progress.show('5 events ', 0.5)
        progress.say_once('Waiting.')
    return stream


def test_bar_is_drawn_and_cleared_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    cli = FakeCli()
    stream = watched(monkeypatch, Terminal(), cli)
    assert [report['message'] for report in cli.hook.shown] == ['5 events ']
    assert 'Waiting.\n' in stream.getvalue() and stream.getvalue().endswith('\r')


@pytest.mark.parametrize(
    ('stream', 'settings'),
    [(io.StringIO(), {}), (Terminal(), {'only_show_errors': True}), (None, {})],
    ids=['no terminal', 'only errors', 'closed'],
)
def test_l16_nothing_is_shown_where_nobody_watches(
    stream: Any, settings: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = FakeCli(**settings)
    watched(monkeypatch, stream, cli)
    assert cli.hook.shown == [] and (stream is None or stream.getvalue() == '')


def test_bar_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    cli = FakeCli(disabled=True)
    assert watched(monkeypatch, Terminal(), cli).getvalue() == 'Waiting.\n'
    assert cli.hook.shown == []
