"""Which runs have a progress bar, and that a run that follows says that it waits; in virtual time."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest

from azext_dicomtoken._signals import Interruption
from azext_dicomtoken.changefeed.results import result_of
from azext_dicomtoken.changefeed.stream import stream
from tests.az.changefeed.conftest import FakeCli, OpenSession
from tests.feed.world import Ended, World, after

_WAITING = 'Waiting for new events. Press Ctrl-C to end.\n'


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def world() -> World:
    """A service that is so slow that every run is worth watching."""
    world = World(latency_seconds=2.0)
    for seconds in range(-1_500, 0):
        world.create_now(ticks=after(seconds))
    return world


@pytest.fixture
def cli(cli: FakeCli) -> FakeCli:
    cli.only_show_errors = False
    return cli


def shown(run: Callable[[], object]) -> str:
    """What a person sees on standard error."""
    terminal = Terminal()
    with redirect_stderr(terminal), suppress(Ended):
        run()
    return terminal.getvalue()


@pytest.mark.parametrize(
    'options',
    [
        {'count_by': 'hour'},
        {'count_by': 'study', 'start_time': '2026-01-31'},
        {'stable_after': '10m'},
        {'stable_after': '10m', 'start_time': '2026-01-31'},
        {'max_items': 1_200},
        {'max_items': 1_200, 'end_time': '2027-01-31'},
        {'tail': 1_200},
        {'tail': 1_200, 'include_metadata': True},
    ],
    ids=str,
)
def test_bar_of_a_list_and_of_counts_moves(options: Any, open_session: OpenSession) -> None:
    text = shown(lambda: result_of(open_session(**options)))
    percents = [int(piece.partition('%')[0]) for piece in text.split('\r') if '%' in piece]
    assert len(set(percents)) > 3 and percents == sorted(percents)
    assert '%' not in text.rpartition('\r')[2]


@pytest.mark.parametrize('options', [{}, {'start_time': '2026-01-31'}, {'tail': 1_200}], ids=str)
def test_bar_of_a_file_moves(options: Any, open_session: OpenSession, tmp_path: Path) -> None:
    session = open_session(output_file=str(tmp_path / 'feed'), **options)
    assert shown(lambda: stream(session, Interruption())).count('% [') > 3


def test_stream_has_a_bar_only_into_a_file(open_session: OpenSession, tmp_path: Path) -> None:
    with (tmp_path / 'feed').open('w') as file, redirect_stdout(file):
        assert '% [' in shown(lambda: stream(open_session(stream=True), Interruption()))
    with redirect_stdout(io.StringIO()):
        assert '% [' not in shown(lambda: stream(open_session(stream=True), Interruption()))


def test_following_says_once_that_it_waits(open_session: OpenSession, world: World) -> None:
    world.create(at=1_000.0)
    world.end = 2_000.0
    with redirect_stdout(io.StringIO()) as stdout:
        text = shown(lambda: stream(open_session(follow=True, tail=3), Interruption()))
    assert text == _WAITING and len(stdout.getvalue().splitlines()) == 4


def test_following_studies_waits_for_them(open_session: OpenSession, world: World) -> None:
    world.end = 300.0
    with redirect_stdout(io.StringIO()):
        text = shown(lambda: stream(open_session(follow=True, stable_after='1m'), Interruption()))
    assert text == 'Waiting for studies to be stable. Press Ctrl-C to end.\n'


def test_following_into_a_file_shows_how_far_it_is_until_it_waits(
    open_session: OpenSession, world: World, tmp_path: Path
) -> None:
    world.end = 300.0
    session = open_session(follow=True, after_sequence=0, output_file=str(tmp_path / 'feed'))
    text, _, rest = shown(lambda: stream(session, Interruption())).partition(_WAITING)
    assert '% [' in text and '%' not in rest


def test_run_that_ends_at_the_newest_event_waits_for_none(open_session: OpenSession) -> None:
    with redirect_stdout(io.StringIO()):
        text = shown(lambda: stream(open_session(follow=True, after_sequence=0, until_latest=True), Interruption()))
    assert text == ''
