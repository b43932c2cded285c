"""Pages with metadata that cannot be read: both orders, deletes, and what it costs. Rule 12: `test_schedules.py`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dicomfeed.errors import BadRequest, Forbidden, ServiceError, ServiceTrouble, TooManyPoisoned
from dicomfeed.events import Event
from dicomfeed.metadata import MOST_POISONED
from dicomfeed.queries import Query, SequenceRange, TimeSlice
from dicomfeed.times import LAST_TICK
from tests.emulator import trouble
from tests.feed.world import World

EITHER_ORDER = pytest.mark.parametrize(
    'query', [SequenceRange(0, 100), TimeSlice(0, LAST_TICK, 0, 100)], ids=['by sequence', 'by time']
)


@pytest.fixture
def world() -> World:
    world = World()
    world.create_now(100)
    return world


def read(world: World, query: Query) -> list[Event]:
    return world.feed(include_metadata=True).page(query).events


def without_metadata(events: Sequence[Event]) -> list[int]:
    return [event.sequence for event in events if 'metadata' not in event.decode()]


@EITHER_ORDER
def test_page_that_reads_well_is_one_request(world: World, query: Query) -> None:
    events = read(world, query)
    assert (len(events), without_metadata(events)) == (100, [])
    assert len(world.journal.requests) == 1


@EITHER_ORDER
@pytest.mark.parametrize('poisoned', [(1,), (100,), (17, 18), (1, 50, 100)], ids=str)
@pytest.mark.parametrize('status', [500, 503])
def test_poisoned_events_come_in_their_place_without_metadata(
    world: World, query: Query, poisoned: tuple[int, ...], status: int
) -> None:
    for sequence in poisoned:
        world.store.poison(sequence, status=status)
    events = read(world, query)
    assert [event.sequence for event in events] == list(range(1, 101))
    assert tuple(without_metadata(events)) == poisoned == tuple(world.poisoned)


def test_ten_poisoned_events_are_borne(world: World) -> None:
    for sequence in range(10, 10 + MOST_POISONED):
        world.store.poison(sequence)
    assert without_metadata(read(world, SequenceRange(0))) == list(range(10, 20))


def test_eleventh_poisoned_event_ends_it_and_names_them(world: World) -> None:
    for sequence in range(10, 11 + MOST_POISONED):
        world.store.poison(sequence)
    with pytest.raises(TooManyPoisoned) as caught:
        read(world, SequenceRange(0))
    assert caught.value.sequences == list(range(10, 21))


def test_poisoned_event_is_known_the_second_time(world: World) -> None:
    world.store.poison(50)
    feed = world.feed(include_metadata=True)
    feed.page(SequenceRange(0))
    seconds = world.elapsed
    feed.page(SequenceRange(0))
    assert world.elapsed - seconds < 60.0 < seconds
    assert world.poisoned == [50]


def test_blob_that_is_fixed_within_the_minute_is_no_poison(world: World) -> None:
    world.store.poison(50)
    world.at(69.0, lambda: world.store.fix(50))
    events = read(world, SequenceRange(0))
    assert (len(events), without_metadata(events), world.poisoned) == (100, [], [])


def test_deleted_events_without_metadata_are_not_poisoned(world: World) -> None:
    for sequence in range(1, 101):
        world.store.delete(world.store.event(sequence).instance.study)
    events = read(world, SequenceRange(0))
    assert len(without_metadata(events)) == 100
    assert (world.poisoned, len(world.journal.requests)) == ([], 1)


def test_lone_event_that_fails_is_trouble_not_poison() -> None:
    # Nothing else has metadata, so nothing tells a broken blob from a blob store that is down.
    world = World()
    world.create_now(1)
    world.store.poison(1)
    with pytest.raises(ServiceTrouble):
        read(world, SequenceRange(0))
    assert world.poisoned == []


@pytest.mark.parametrize(
    ('fault', 'error'),
    [
        (trouble.status(403), Forbidden),
        (trouble.status(400, "'Limit'"), BadRequest),
        (trouble.status(404), ServiceError),
    ],
    ids=['403', '400', '404'],
)
def test_failure_that_is_not_of_the_metadata_passes_through(
    world: World, fault: trouble.Fault, error: type[ServiceError]
) -> None:
    world.service.trouble.next(fault)
    with pytest.raises(error):
        read(world, SequenceRange(0))
    assert len(world.journal.requests) == 1


def test_run_without_metadata_reads_no_blob(world: World) -> None:
    world.store.blobs_down = True
    assert len(world.feed().page(SequenceRange(0)).events) == 100
    assert world.store.blob_reads == 0
