"""Poison told from trouble, whatever fails and whenever. Rule 12: `test_schedules.py`."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from dicomfeed.errors import FeedError, TooManyPoisoned
from dicomfeed.events import Event
from dicomfeed.prefetch import InlinePool
from dicomfeed.queries import SequenceRange
from dicomfeed.sequences import AtGap, SequenceReader
from tests.emulator import trouble
from tests.emulator.trouble import Request
from tests.feed.test_metadata import read, without_metadata
from tests.feed.world import World


@pytest.fixture(params=[False, True], ids=['bare first', 'at once'])
def world(request: pytest.FixtureRequest) -> World:
    world = World()
    world.metadata_at_once = request.param
    world.create_now(100)
    return world


def reads_metadata(request: Request) -> bool:
    return 'includeMetadata=true' in request.query


def delivered(world: World, *, cursor: int = 0, patience_seconds: float | None = 300.0) -> list[Event]:
    """Everything above the cursor, as a run delivers it."""
    feed = world.feed(include_metadata=True, patience_seconds=patience_seconds)
    reader = SequenceReader(feed, cursor=cursor, pool=InlinePool(4))
    return [event for events in reader.read(world.committed()[-1], at_gap=AtGap.STOP) for event in events]


@pytest.mark.parametrize('poisoned', [6, 64, 30], ids=['first', 'last', 'between'])
def test_l7_run_gets_past_poison_before_it_has_read_anything(poisoned: int) -> None:
    world = World()
    world.create_now(64)
    world.store.poison(poisoned)
    events = delivered(world, cursor=5)
    assert [event.sequence for event in events] == list(range(6, 65))
    assert without_metadata(events) == world.poisoned == [poisoned]


@pytest.mark.parametrize('above', [True, False], ids=['neighbour above', 'neighbour below'])
def test_l7_lone_event_is_told_from_trouble_by_a_neighbour_far_away(above: bool) -> None:
    world = World()
    world.create_now(3)
    world.store.burn(50_000)
    world.pass_time(86_400.0)
    world.create_now(1)
    poisoned = world.committed()[0 if above else -1]
    world.store.poison(poisoned)
    events = read(world, SequenceRange(poisoned - 1, 1))
    assert without_metadata(events) == world.poisoned == [poisoned]


def test_l7_neighbours_that_are_deleted_or_poisoned_are_passed_over() -> None:
    world = World()
    world.create_now(300)
    for sequence in (*range(1, 120), *range(130, 301)):
        world.store.delete(world.store.event(sequence).instance.study)
    for sequence in range(120, 129):
        world.store.poison(sequence)
    assert without_metadata(read(world, SequenceRange(119, 1))) == [120]


@pytest.mark.parametrize(
    'fault', [trouble.hang(9_999.0), trouble.cut(), trouble.malformed_json()], ids=['time-out', 'broken', 'malformed']
)
def test_l9_event_that_fails_in_another_way_each_time_is_poisoned_too(world: World, fault: trouble.Fault) -> None:
    def holds_50(request: Request) -> bool:
        values = parse_qs(request.query)
        after, limit = int(values['offset'][0]), int(values['limit'][0])
        return reads_metadata(request) and after < 50 <= after + limit

    world.service.trouble.when(holds_50, fault)
    events = read(world, SequenceRange(0))
    assert without_metadata(events) == world.poisoned == [50]


@pytest.mark.parametrize('patience_seconds', [300.0, None], ids=['one shot', 'follow'])
@pytest.mark.parametrize('seconds', [20.0, 1_000.0])
@pytest.mark.parametrize(
    'fault', [trouble.hang(9_999.0), trouble.cut(), trouble.unavailable()], ids=['hang', 'cut', '503']
)
def test_l9_trouble_with_metadata_is_waited_out(
    world: World, fault: trouble.Fault, seconds: float, patience_seconds: float | None
) -> None:
    world.service.trouble.when(reads_metadata, fault)
    world.at(seconds, world.service.trouble.clear)
    events = delivered(world, patience_seconds=patience_seconds)
    assert ([event.sequence for event in events], without_metadata(events)) == (list(range(1, 101)), [])
    assert world.poisoned == [] and (world.retries or world.metadata_at_once)


def test_l7_throttling_before_poison_does_not_hide_it(world: World) -> None:
    world.service.trouble.next(trouble.throttled(), times=3)
    world.store.poison(2)
    feed = world.feed(include_metadata=True, patience_seconds=None)
    events = feed.page(SequenceRange(0)).events
    assert (len(events), without_metadata(events), world.poisoned) == (100, [2], [2])


def test_l9_broken_network_is_waited_out_as_well(world: World) -> None:
    feed = world.feed(include_metadata=True)
    world.at(10.0, lambda: world.service.trouble.when(lambda request: True, trouble.cut()))
    world.at(900.0, world.service.trouble.clear)
    bare = feed.bare_page(SequenceRange(0)).events
    world.pass_time(15.0)
    assert without_metadata(feed.with_metadata(bare)) == world.poisoned == []


@pytest.mark.parametrize(
    'fault', [trouble.hang(9_999.0), trouble.cut(), trouble.unavailable()], ids=['hang', 'cut', '503']
)
def test_l9_one_shot_run_gives_up_after_twenty_minutes(world: World, fault: trouble.Fault) -> None:
    world.service.trouble.when(reads_metadata, fault)
    with pytest.raises(FeedError):
        delivered(world)
    assert 1_200.0 <= world.elapsed < 1_200.0 + 3 * 300.0 and world.poisoned == []


def test_l9_outage_that_begins_in_mid_hunt_is_not_tried_event_by_event(world: World) -> None:
    feed = world.feed(include_metadata=True, patience_seconds=None)
    feed.page(SequenceRange(0, 1))
    world.store.poison(50)
    tried: list[str] = []

    def is_away(request: Request) -> bool:
        if tried or 'limit=24&' in request.query:
            tried.append(request.query)
        return bool(tried) and reads_metadata(request)

    world.service.trouble.when(is_away, trouble.hang(9_999.0))
    world.at(20_000.0, world.service.trouble.clear)
    assert without_metadata(feed.page(SequenceRange(1, 99)).events) == world.poisoned == [50]
    neighbour = tried.count('offset=99&limit=1&includeMetadata=true')  # in each round, and one other event
    assert len(tried) > 50 and 2 * neighbour > len(tried) - 6


def test_l9_blob_store_that_takes_three_minutes_is_no_trouble(world: World) -> None:
    def slow(answer: trouble.Answer) -> trouble.Response:
        world.pass_time(180.0)
        return answer()

    world.service.trouble.when(reads_metadata, slow)
    assert without_metadata(delivered(world)) == []
    assert world.retries == []


def test_sign_in_that_is_lost_for_a_while_is_neither_poison_nor_the_end(world: World) -> None:
    world.token_seconds = 40.0
    feed = world.feed(include_metadata=True)
    bare = feed.bare_page(SequenceRange(0)).events
    world.pass_time(100.0)
    world.sign_in_fails_until = 300.0
    assert without_metadata(feed.with_metadata(bare)) == world.poisoned == []


def test_neighbour_that_breaks_later_does_not_pass_for_an_outage(world: World) -> None:
    feed = world.feed(include_metadata=True, patience_seconds=None)
    world.end = 10_000.0
    feed.page(SequenceRange(0, 50))
    for sequence in (50, 51):  # as where an update of the instance of 50 broke
        world.store.poison(sequence)
    assert without_metadata(feed.page(SequenceRange(50, 50)).events) == world.poisoned == [51]


def test_l8_run_ends_at_the_eleventh_poisoned_event_past_ten_that_were_reported() -> None:
    world = World()
    world.create_now(1_200)
    for sequence in range(50, 1_100, 100):
        world.store.poison(sequence)
    reader = SequenceReader(world.feed(include_metadata=True), cursor=0, pool=InlinePool(8))
    passed: list[int] = []
    with pytest.raises(TooManyPoisoned):
        for events in reader.read(1_200, at_gap=AtGap.STOP):
            passed += without_metadata(events)
    assert passed == world.poisoned == list(range(50, 1_000, 100))
    assert reader.cursor == 1_000
