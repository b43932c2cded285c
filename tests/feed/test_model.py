"""The reader against random schedules in virtual time: what comes out is exactly what was committed, in order, once.

Writers read the clock, take a number and commit up to 28 seconds later or never (their command times out at 30);
numbers are burned, clocks step, requests fail, processes are killed. `test_schedules.py` has the cases by name.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from azext_dicomtoken.changefeed.options import Options
from dicomfeed.conditions import Conditions, parse_conditions
from dicomfeed.errors import FeedRestored
from dicomfeed.events import Event
from dicomfeed.prefetch import InlinePool
from dicomfeed.sequences import SequenceReader
from dicomfeed.starts import sequence_now
from dicomfeed.windows import WindowReader
from tests.emulator import trouble
from tests.emulator.trouble import Fault
from tests.feed.agenda import Schedule, Step, burn, set_clock, step
from tests.feed.runs import run_once
from tests.feed.world import Ended, World, numbers

ODD = Conditions(tuple(parse_conditions(f'StudyInstanceUID=*{digit}' for digit in '13579')))
LAST_STEP = 400.0
HORIZON = LAST_STEP + 900.0


def _create(world: World, at: float, sequence_after: float, commit_share: float, rolled_back: float) -> None:
    world.create(
        at=at,
        sequence_after=sequence_after,
        commit_after=(28.0 - sequence_after) * commit_share,
        rolled_back=rolled_back > 0.7,
    )


def _burst(world: World, at: float, number: float) -> None:
    world.at(at, lambda: world.create_now(int(number)))


def _tie(world: World, at: float, number: float) -> None:
    world.at(at, lambda: world.create_now(int(number), ticks=world.store.clock()))


def _fault(world: World, at: float, kind: float, times: float) -> None:
    faults: list[Fault] = [
        trouble.cut(),
        trouble.throttled(),
        trouble.throttled(7),
        trouble.unavailable(),
        trouble.transient_400(),
        trouble.malformed_json(),
        trouble.cut_body(),
    ]
    world.at(at, lambda: world.service.trouble.next(faults[int(kind)], times=int(times)))


def _blobs(world: World, at: float, seconds: float) -> None:
    def set_down(is_down: bool) -> None:
        world.store.blobs_down = is_down

    world.at(at, lambda: set_down(True))
    world.at(at + seconds, lambda: set_down(False))


def _metadata(world: World, at: float, kind: float, times: float) -> None:
    """Requests for metadata that time out, break, or break in the middle of the answer."""
    fault = [trouble.hang(9_999.0), trouble.cut(), trouble.cut_body(), trouble.unavailable()][int(kind)]
    world.at(
        at,
        lambda: world.service.trouble.when(
            lambda request: 'includeMetadata=true' in request.query, fault, times=int(times)
        ),
    )


def _sign_in(world: World, at: float, seconds: float) -> None:
    def fail() -> None:
        world.sign_in_fails_until = at + seconds

    world.at(at, fail)


def _restore(world: World, at: float, share: float) -> None:
    def restore() -> None:
        world.store.restore(int(share * (world.store.next_sequence - 1)))
        world.restored = True

    world.at(at, restore)


_STEPS: dict[str, Callable[..., None]] = {
    'blobs': _blobs,
    'metadata': _metadata,
    'sign-in': _sign_in,
    'restore': _restore,
    'create': _create,
    'burst': _burst,
    'tie': _tie,
    'burn': burn,
    'clock': set_clock,
    'fault': _fault,
}


_step = partial(step, last=LAST_STEP)
_share = st.sampled_from([0.0, 0.3, 0.6, 1.0])
_creates = _step('create', st.sampled_from([0.0, 1.0, 10.0, 25.0]), _share, _share)
_ordinary = (
    _creates,
    _creates,
    _creates,
    _step('burst', st.sampled_from([1, 3, 60, 130])),
    _step('tie', st.sampled_from([2, 150])),
    _step('burn', st.sampled_from([1, 2, 120, 2_500])),
    _step('clock', st.sampled_from([-90.0, 0.0, 45.0])),
    _step('fault', st.integers(0, 6), st.integers(1, 3)),
)
_trouble = (
    _step('blobs', st.sampled_from([1.0, 30.0, 200.0])),
    _step('metadata', st.integers(0, 3), st.integers(1, 4)),
    _step('sign-in', st.sampled_from([5.0, 100.0, 300.0])),
)


def _schedules(*steps: st.SearchStrategy[Step]) -> st.SearchStrategy[Schedule]:
    return st.lists(st.one_of(*steps), min_size=3, max_size=25).map(lambda found: Schedule(tuple(found)))


schedules = _schedules(*_ordinary)
troubled = _schedules(*_ordinary, *_trouble)
restored = _schedules(*_ordinary, _step('restore', st.sampled_from([0.0, 0.3, 0.9, 1.0])))

# Without shrinking, a failure shows in a minute; add Phase.shrink when one has to be understood.
model = settings(
    max_examples=60,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)


def _world_of(schedule: Schedule, *, local_clock_ahead_seconds: float = 0.0) -> World:
    world = World()
    world.local_clock_ahead_seconds = local_clock_ahead_seconds
    schedule.put_on_agenda(world, _STEPS)
    return world


def _followed(world: World, reader: SequenceReader, pauses: list[float]) -> list[int]:
    """What comes out by the end of the world, to a consumer that pauses now and then."""
    world.end = HORIZON
    delivered: list[int] = []
    waits = iter(pauses)
    with pytest.raises(Ended):
        for events in reader.follow(poll_interval_seconds=10.0):
            delivered += [event.sequence for event in events]
            if events:
                world.pass_time(next(waits, 0.0))
    return delivered


@model
@given(
    schedule=schedules,
    ahead=st.sampled_from([0, 5]),
    pauses=st.lists(st.sampled_from([0.0, 20.0, 70.0]), max_size=4),
    local=st.sampled_from([0.0, -600.0, 86_400.0]),
)
def test_follow_delivers_exactly_what_is_committed(
    schedule: Schedule, ahead: int, pauses: list[float], local: float
) -> None:
    world = _world_of(schedule, local_clock_ahead_seconds=local)
    reader = SequenceReader(world.feed(patience_seconds=None), cursor=0, pool=InlinePool(ahead))
    assert _followed(world, reader, pauses) == world.committed()


@model
@given(schedule=troubled, ahead=st.sampled_from([0, 5]), poisoned=st.sampled_from([0, 1, 2]))
def test_follow_with_metadata_delivers_them_all_save_what_is_poisoned(
    schedule: Schedule, ahead: int, poisoned: int
) -> None:
    world = _world_of(schedule)
    world.token_seconds = 40.0
    world.create_now(1 + poisoned)
    for sequence in range(1, 1 + poisoned):
        world.store.poison(sequence)
    world.end = HORIZON + 4_000.0  # requests that time out take five minutes each
    feed = world.feed(patience_seconds=None, include_metadata=True)
    reader = SequenceReader(feed, cursor=0, pool=InlinePool(ahead))
    delivered: list[Event] = []
    with pytest.raises(Ended):
        for events in reader.follow(poll_interval_seconds=10.0):
            delivered += events
    assert [event.sequence for event in delivered] == world.committed()
    without = [event.sequence for event in delivered if 'metadata' not in event.decode()]
    assert without == world.poisoned == list(range(1, 1 + poisoned))


@model
@given(schedule=restored, begin=st.sampled_from([0.0, 60.0, 200.0]), ahead=st.sampled_from([0, 5]))
def test_restore_is_noticed_or_has_lost_nothing(schedule: Schedule, begin: float, ahead: int) -> None:
    world = _world_of(schedule)
    world.pass_time(begin)
    feed = world.feed(patience_seconds=None)
    cursor, newest = sequence_now(feed, pool=InlinePool()), feed.newest()
    reader = SequenceReader(feed, cursor=cursor, last=newest.identity if newest else None, pool=InlinePool(ahead))
    world.end = HORIZON
    delivered: list[Event] = []
    try:
        for events in reader.follow(poll_interval_seconds=10.0):
            delivered += events
    except FeedRestored:
        assert world.restored
    except Ended:
        there = [(event.sequence, event.ticks) for event in world.store.events() if event.sequence > cursor]
        assert [(event.sequence, event.ticks) for event in delivered] == there


@model
@given(schedule=schedules, begin=st.sampled_from([30.0, 100.0, 250.0]))
def test_follow_from_now_delivers_all_that_commits_later(schedule: Schedule, begin: float) -> None:
    world = _world_of(schedule)
    world.pass_time(begin)
    before = set(world.committed())
    feed = world.feed(patience_seconds=None)
    reader = SequenceReader(feed, cursor=sequence_now(feed, pool=InlinePool()), pool=InlinePool())
    while_starting = set(world.committed()) - before
    delivered = _followed(world, reader, [])
    assert delivered == sorted(set(delivered))
    assert set(world.committed()) - before - while_starting <= set(delivered)


@model
@given(
    schedule=schedules, ahead=st.sampled_from([0, 6]), moments=st.lists(st.sampled_from([40, 90, 200, 420]), max_size=3)
)
def test_window_is_whole_where_it_is_settled(schedule: Schedule, ahead: int, moments: list[int]) -> None:
    world = _world_of(schedule)
    for seconds in [*sorted(moments), HORIZON]:
        world.pass_time(max(0.0, seconds - world.elapsed))
        end = world.clock.now()
        reader = WindowReader(world.feed(), start=0, end=end, pool=InlinePool(ahead))
        delivered = numbers(reader.read())
        settled = reader.settled_through if reader.settled_through is not None else end
        committed = [(event.ticks, event.sequence) for event in world.store.events()]
        assert len(delivered) == len(set(delivered))
        assert delivered[: sum(ticks < settled for ticks, _ in committed)] == [
            sequence for ticks, sequence in sorted(committed) if ticks < settled
        ]


@model
@given(
    schedule=schedules,
    kills=st.lists(st.floats(0.01, 6.0), max_size=6),
    compress=st.booleans(),
    conditions=st.sampled_from([None, None, None, ODD]),
)
def test_cron_with_checkpoint_writes_each_event_once_whatever_is_killed(
    schedule: Schedule, kills: list[float], compress: bool, conditions: Conditions | None
) -> None:
    world = _world_of(schedule)
    name = 'feed.jsonl.gz' if compress else 'feed.jsonl'
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        options = Options(checkpoint=str(folder / 'checkpoint'), output_file=str(folder / name), conditions=conditions)
        runs_left = list(kills)
        while world.elapsed < HORIZON or runs_left:
            world.kill_at = world.elapsed + runs_left.pop() if runs_left else None
            run_once(world, options)
            world.kill_at = None
            world.pass_time(60.0)
        run_once(world, options)
        odd = [event.sequence for event in world.store.events() if event.instance.study[-1] in '13579']
        assert _sequences_in(folder / name) == (world.committed() if conditions is None else odd)


def _sequences_in(path: Path) -> list[int]:
    import gzip

    data = gzip.decompress(path.read_bytes()) if path.suffix == '.gz' else path.read_bytes()
    return [json.loads(line)['sequence'] for line in data.splitlines()]
