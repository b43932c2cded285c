"""Pages with metadata that cannot be read: both orders, deletes, and what it costs.

Poison and trouble: `test_poison.py`. Rule 12: `test_schedules.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dicomfeed.errors import (
    BadRequest,
    FeedRestored,
    Forbidden,
    ServiceError,
    ServiceTrouble,
    TooManyPoisoned,
)
from dicomfeed.events import Event
from dicomfeed.filters import Filters
from dicomfeed.poison import MOST_POISONED
from dicomfeed.prefetch import InlinePool
from dicomfeed.queries import Query, SequenceRange, TimeSlice
from dicomfeed.sequences import AtGap, SequenceReader
from dicomfeed.times import LAST_TICK
from dicomfeed.windows import WindowReader
from tests.emulator import trouble
from tests.feed.world import Ended, World, after

EITHER_ORDER = pytest.mark.parametrize(
    'query', [SequenceRange(0, 100), TimeSlice(0, LAST_TICK, 0, 100)], ids=['by sequence', 'by time']
)


@pytest.fixture(params=[False, True], ids=['bare first', 'at once'])
def world(request: pytest.FixtureRequest) -> World:
    world = World()
    world.metadata_at_once = request.param
    world.create_now(100)
    return world


def read(world: World, query: Query) -> list[Event]:
    return world.feed(include_metadata=True).page(query).events


def without_metadata(events: Sequence[Event]) -> list[int]:
    return [event.sequence for event in events if 'metadata' not in event.decode()]


@EITHER_ORDER
def test_page_that_reads_well_is_read_with_metadata_once(world: World, query: Query) -> None:
    events = read(world, query)
    assert (len(events), without_metadata(events)) == (100, [])
    reads = ['includeMetadata=true' in request.query for request in world.journal.requests]
    assert reads == ([True] if world.metadata_at_once else [False, True])


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


# Events that nobody wants


def test_l34_poison_that_nobody_wants_is_neither_tried_nor_reported(world: World) -> None:
    world.metadata_at_once = False  # as with every filter
    gone = world.store.delete(world.store.event(1).instance.study)
    for sequence in range(10, 90):
        world.store.poison(sequence)
    feed = world.feed(include_metadata=True, filters=Filters(action=('Delete',)))
    events = SequenceReader(feed, cursor=0, pool=InlinePool()).read(101, at_gap=AtGap.STOP)
    assert [event.sequence for batch in events for event in Filters(action=('Delete',)).passing(batch)] == list(gone)
    assert (world.poisoned, world.retries, world.store.blob_reads) == ([], [], 0)


def test_l34_page_that_fails_is_read_again_as_the_wanted_events_alone(world: World) -> None:
    for sequence in (49, 51):  # close enough to be read with what is wanted, where all is well
        world.store.poison(sequence)
    wanted = tuple(world.store.event(sequence).instance.study for sequence in (48, 50, 52))
    feed = world.feed(include_metadata=True, filters=Filters(study_instance_uid=wanted))
    events = feed.page(SequenceRange(0)).events
    assert [event.sequence for event in events if 'metadata' in event.decode()] == [48, 50, 52]
    assert world.poisoned == [] and world.elapsed < 60.0


def test_l34_start_time_is_a_filter_too(world: World) -> None:
    world.store.poison(50)
    feed = world.feed(include_metadata=True).only(lambda event: event.sequence > 50)
    assert without_metadata(feed.page(SequenceRange(0)).events) == list(range(1, 51))
    assert world.poisoned == [] and world.store.blob_reads == 50


# Metadata are read once


def test_l35_metadata_above_an_open_gap_are_read_once_when_they_can_be_delivered() -> None:
    world = World()
    world.create_now(1)
    late = world.writer()
    world.create_now(64)
    world.at(28.0, late.commit)
    world.end = 100.0
    reader = SequenceReader(world.feed(include_metadata=True, patience_seconds=None), cursor=0, pool=InlinePool(8))
    events: list[Event] = []
    with pytest.raises(Ended):
        for batch in reader.follow(poll_interval_seconds=1.0):
            events += batch
    assert [event.sequence for event in events] == world.committed()
    assert without_metadata(events) == [] and world.store.blob_reads == 66


def test_metadata_of_windows_come_in_the_order_of_time() -> None:
    world = World()
    for number in range(500):
        world.store.create(ticks=after(number * 37 % 500))
    world.pass_time(10_000.0)
    reader = WindowReader(world.feed(include_metadata=True), start=0, end=world.clock.now(), pool=InlinePool(4))
    events = [event for batch in reader.read() for event in batch]
    assert [event.ticks for event in events] == sorted(event.ticks for event in events)
    assert (len(events), without_metadata(events)) == (500, [])


# A restore between the two reads


@pytest.mark.parametrize('refilled', [True, False], ids=['other events', 'no events'])
def test_restore_between_the_two_reads_is_found(world: World, refilled: bool) -> None:
    feed = world.feed(include_metadata=True)
    bare = feed.bare_page(SequenceRange(0)).events
    world.store.restore(60)
    world.pass_time(60.0)
    world.create_now(40 if refilled else 0)
    with pytest.raises(FeedRestored):
        feed.with_metadata(bare)
    assert world.poisoned == []
