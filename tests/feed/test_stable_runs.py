"""Stable studies through the real reader in virtual time: requests, gaps, files and checkpoints, killed and resumed.

Writers are slow to take their sequence number, or to commit, or never do; the database's clock steps, the service's
`Date` and the local clock differ from it; requests fail, for a while all of them. Whatever happens, the file holds the
rows that all events at once give. `test_stable_model.py` has the grouping alone, with many more schedules.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from azext_dicomtoken.changefeed.options import Options
from azext_dicomtoken.changefeed.results import result_of
from dicomfeed.errors import RequestError, ServiceTrouble
from dicomfeed.stable import BY_SERIES, BY_STUDY
from dicomfeed.times import FIRST_TICK, Ticks, parse_timestamp, ticks_from_seconds
from tests.emulator import trouble
from tests.emulator.event_json import DEFAULT_PARTITION, Instance
from tests.emulator.writers import Writer
from tests.feed.agenda import Schedule, burn, set_clock, step
from tests.feed.runs import run_once, session_in
from tests.feed.studies import all_at_once, all_stored
from tests.feed.world import World, after

MARGIN = ticks_from_seconds(360)
LAST_STEP = 3_000.0
CALM = LAST_STEP + 200.0  # by then, every writer is done and the service is well
DAY_SECONDS = 86_400

Row = dict[str, Any]

# Schedules


def _write(
    world: World, at: float, *, study: int, number: int, delays: tuple[float, float], rolled_back: bool = False
) -> None:
    """A create that reads its clock `at`; where the instance is there, or its writer still at work, nothing."""

    def begin() -> None:
        series = f'1.{study}.{number % 2}'
        try:
            writer = world.store.begin_create(Instance(DEFAULT_PARTITION, f'1.{study}', series, f'{series}.{number}'))
        except ValueError:
            return
        _carry_out(world, writer, delays, rolled_back=rolled_back)

    world.at(at, begin)


def _carry_out(world: World, writer: Writer, delays: tuple[float, float], *, rolled_back: bool = False) -> None:
    writer.take_clock()
    now = world.elapsed
    world.at(now + delays[0], writer.take_sequence)
    world.at(now + sum(delays), writer.roll_back if rolled_back else writer.commit)


def _single(world: World, at: float, study: int, number: int, delays: tuple[float, float], rolled_back: bool) -> None:
    _write(world, at, study=study, number=number, delays=delays, rolled_back=rolled_back)


def _arrival(world: World, at: float, study: int, number: int, pause: float, delay: float) -> None:
    """A study comes in; every third writer is slow to take its sequence number, the others to commit."""
    delays = cycle([(delay, 0.1), (0.0, delay), (0.1, delay)])
    for i in range(number):
        _write(world, at + i * pause, study=study, number=10 + i, delays=next(delays))


def _deletion(world: World, at: float, study: int, delays: tuple[float, float]) -> None:
    """A study is deleted: its events have one timestamp."""

    def begin() -> None:
        writer = world.store.begin_delete(f'1.{study}')
        if writer.instances:
            _carry_out(world, writer, delays)

    world.at(at, begin)


def _outage(world: World, at: float, seconds: float) -> None:
    """Every request fails for a while."""
    service = world.service
    world.at(at, lambda: service.trouble.when(lambda request: True, trouble.unavailable(), times=10**6))
    world.at(at + seconds, service.trouble.clear)


def _fault(world: World, at: float, kind: int, times: int) -> None:
    faults = [trouble.cut(), trouble.throttled(7), trouble.transient_400(), trouble.malformed_json()]
    world.at(at, lambda: world.service.trouble.next(faults[kind], times=times))


_STEPS: dict[str, Callable[..., None]] = {
    'single': _single,
    'arrival': _arrival,
    'deletion': _deletion,
    'burn': burn,
    'clock': set_clock,
    'outage': _outage,
    'fault': _fault,
}


_step = partial(step, last=LAST_STEP)
_study = st.integers(1, 3)
_delays = st.sampled_from([(0.0, 0.0), (1.0, 27.0), (27.0, 1.0), (14.0, 14.0)])
_singles = _step('single', _study, st.integers(0, 5), _delays, st.booleans())
_arrivals = _step(
    'arrival', _study, st.integers(2, 8), st.sampled_from([0.5, 11.0, 25.0, 70.0]), st.sampled_from([0.0, 12.0, 28.0])
)
schedules = st.lists(
    st.one_of(
        _singles,
        _singles,
        _arrivals,
        _arrivals,
        _step('deletion', _study, _delays),
        _step('burn', st.sampled_from([1, 120, 2_500])),
        _step('clock', st.sampled_from([-90.0, 0.0, 45.0])),
        _step('outage', st.sampled_from([30.0, 500.0])),
        _step('fault', st.integers(0, 3), st.integers(1, 3)),
    ),
    min_size=3,
    max_size=14,
).map(lambda found: Schedule(tuple(found)))


@dataclass(frozen=True)
class Clocks:
    """How far each clock is ahead; printed when a test fails."""

    local: float
    date: int


clocks = st.builds(Clocks, st.sampled_from([0.0, -600.0, 86_400.0]), st.sampled_from([-90, 0, 90]))
wishes = st.builds(
    Options,
    stable_after=st.sampled_from([20, 60, 600]).map(ticks_from_seconds),
    level=st.sampled_from([BY_STUDY, BY_SERIES]),
    filters=st.sampled_from([{}, {}, {'action': ('Create',)}]),
)

# Without shrinking, a failure shows in a minute; add Phase.shrink when one has to be understood.
model = settings(
    max_examples=60,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)


def world_of(schedule: Schedule, clocks: Clocks = Clocks(0.0, 0)) -> World:
    world = World()
    world.local_clock_ahead_seconds = clocks.local
    world.service.date_ahead_seconds = clocks.date
    schedule.put_on_agenda(world, _STEPS)
    return world


def expected_rows(world: World, options: Options, *, since: Ticks = FIRST_TICK, end: Ticks = 2**62) -> list[Row]:
    """What all events that there ever are give at once."""
    assert options.stable_after is not None
    actions = options.filters.get('action', ('Create', 'Delete'))
    stored = [one for one in all_stored(world.store) if since <= one.ticks < end and one.action in actions]
    return all_at_once(stored, pause=options.stable_after, level=options.level)


def rows_in(path: Path) -> list[Row]:
    data = path.read_bytes()
    return [json.loads(line) for line in (gzip.decompress(data) if path.suffix == '.gz' else data).splitlines()]


# Runs that continue


@model
@given(
    schedule=schedules,
    clocks=clocks,
    wish=wishes,
    runs=st.lists(
        st.tuples(
            st.booleans(),  # whether it follows
            st.sampled_from([30.0, 200.0, 900.0]),  # how long, if it does
            st.sampled_from([60.0, 300.0, 700.0]),  # and then a pause
            st.one_of(st.none(), st.floats(0.01, 60.0)),  # when it is killed
        ),
        min_size=1,
        max_size=8,
    ),
    since=st.sampled_from([None, 400.0]),
    compress=st.booleans(),
)
def test_file_holds_the_rows_of_all_events_at_once(
    schedule: Schedule,
    clocks: Clocks,
    wish: Options,
    runs: list[tuple[bool, float, float, float | None]],
    since: float | None,
    compress: bool,
) -> None:
    world = world_of(schedule, clocks)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / ('studies.jsonl.gz' if compress else 'studies.jsonl')
        start = None if since is None else after(since)
        options = replace(wish, checkpoint=str(Path(temporary) / 'checkpoint'), output_file=str(path), start=start)
        if start is None:
            options = replace(options, after_sequence=0)  # --follow would begin at now
        habits, late = cycle(runs), 0
        while world.elapsed < CALM:
            follows, seconds, pause, killed_after = next(habits)
            world.end = world.elapsed + seconds if follows else None
            world.kill_at = None if killed_after is None else world.elapsed + killed_after
            late += run_once(world, replace(options, follow=follows)).summary.late
            world.end = world.kill_at = None
            world.pass_time(pause)
        world.pass_time(5_000.0)
        late += run_once(world, options).summary.late
        run_once(world, options)
        assert rows_in(path) == expected_rows(world, wish, since=start or FIRST_TICK)
        assert late == 0


def test_probe_is_cut_after_a_day_across_runs_and_kills() -> None:
    """A study that is stored and deleted every half an hour, for two days, hourly runs, every third of them killed."""
    world = World()
    for at in range(0, 2 * DAY_SECONDS, 3_600):
        _write(world, at, study=1, number=at, delays=(1.0, 1.0))
        _deletion(world, at + 1_800.0, 1, (0.0, 1.0))
    wish = Options(stable_after=ticks_from_seconds(7_200.0))
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / 'studies.jsonl'
        options = replace(wish, checkpoint=str(Path(temporary) / 'checkpoint'), output_file=str(path))
        for number in range(60):
            world.kill_at = world.elapsed + 0.3 if number % 3 == 0 else None
            run_once(world, options)
            world.kill_at = None
            world.pass_time(3_600.0)
        run_once(world, options)
        rows = rows_in(path)
    assert rows == expected_rows(world, wish)
    assert [row['stable'] for row in rows] == [False, True]


def test_run_that_ends_before_an_open_gap_closes_nothing_that_goes_on_after_it(tmp_path: Path) -> None:
    """A local clock that is an hour behind takes the gap for open although the service's clock is far beyond it."""
    world = World()
    for at, rolled_back in ((0.0, False), (1.0, True), (2.0, False)):
        _write(world, at, study=1, number=int(at), delays=(0.0, 0.0), rolled_back=rolled_back)
    world.pass_time(3_000.0)
    wish = Options(stable_after=ticks_from_seconds(600.0))
    options = replace(wish, checkpoint=str(tmp_path / 'checkpoint'), output_file=str(tmp_path / 'studies'))
    for world.local_clock_ahead_seconds, expected in ((-3_600.0, []), (0.0, [2])):
        run_once(world, options)
        assert [row['events'] for row in rows_in(tmp_path / 'studies')] == expected


# Runs that stand alone


@model
@given(
    schedule=schedules,
    clocks=clocks,
    wish=wishes,
    at=st.floats(0, CALM + 1_000.0),
    window=st.one_of(
        st.just((None, None)),
        st.tuples(st.floats(0, LAST_STEP), st.one_of(st.none(), st.sampled_from([50.0, 700.0, 5_000.0]))),
    ),
)
def test_list_holds_the_rows_that_nothing_can_join(
    schedule: Schedule, clocks: Clocks, wish: Options, at: float, window: tuple[float | None, float | None]
) -> None:
    world = world_of(schedule, clocks)
    world.pass_time(at)
    start = None if window[0] is None else after(window[0])
    end = None if start is None or window[1] is None else start + ticks_from_seconds(window[1])
    asked, rows = _listed(world, replace(wish, start=start, end=end))
    world.pass_time(max(0.0, CALM - world.elapsed))
    expected = expected_rows(world, wish, since=start or FIRST_TICK, end=end or 2**62)
    assert rows == expected[: len(rows)]
    assert wish.stable_after is not None
    closed = min(asked - MARGIN, end or 2**62) - wish.stable_after - ticks_from_seconds(1)  # `Date` has whole seconds
    assert all(parse_timestamp(row['lastTimestamp']) >= closed for row in expected[len(rows) :])


def _listed(world: World, options: Options) -> tuple[Ticks, list[Row]]:
    """The rows, and the service's time by which they were asked for."""
    while True:
        asked = world.store.clock() + ticks_from_seconds(world.service.date_ahead_seconds)
        try:
            return asked, result_of(session_in(world, options))
        except (RequestError, ServiceTrouble):
            pass  # an outage: asked again when patience is at an end
