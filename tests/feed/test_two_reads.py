"""Attributes in two reads of one event: which line counts, what is read for it, and what happens in between.

The same against random schedules: `test_two_reads_model.py`. What is made of a line: `test_choice.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dicomfeed.attributes import Fields, parse_fields
from dicomfeed.conditions import Conditions, parse_conditions
from dicomfeed.errors import FeedRestored, TooManyPoisoned
from dicomfeed.events import Event, Verdict
from dicomfeed.feed import AtOnce, Feed
from dicomfeed.filters import Filters
from dicomfeed.prefetch import InlinePool
from dicomfeed.queries import SequenceRange
from dicomfeed.sequences import AtGap, SequenceReader
from dicomfeed.starts import TailReader, sequence_before_tail
from dicomfeed.windows import WindowReader
from tests.feed.world import Ended, World

CT = Conditions(tuple(parse_conditions(['Modality=CT'])))
NAMED = Conditions(tuple(parse_conditions(['PatientName=Secret^*'])))
MODALITY = parse_fields(['Modality'])


def metadata(modality: str) -> str:
    return json.dumps(
        {
            '00080060': {'vr': 'CS', 'Value': [modality]},
            '00100010': {'vr': 'PN', 'Value': [{'Alphabetic': 'Secret^Patient'}]},
        }
    )


@pytest.fixture(params=[False, True], ids=['bare first', 'at once'])
def world(request: pytest.FixtureRequest) -> World:
    """Every tenth of a hundred instances is a CT."""
    world = World()
    world.metadata_at_once = request.param
    for number in range(1, 101):
        world.store.create(metadata=metadata('MR' if number % 10 else 'CT'))
    return world


def study(world: World, sequence: int) -> str:
    return world.store.event(sequence).instance.study


def delivered(feed: Feed, events: list[Event], filters: Filters) -> dict[int, Any]:
    """What a first read leads to, by sequence number."""
    return {event.sequence: event.decode() for event in filters.passing(feed.with_metadata(events))}


def feed_of(world: World, filters: Filters, fields: Fields | None = None) -> Feed:
    return world.feed(filters=filters, fields=fields)


def test_only_events_that_match_pass_and_no_metadata_come_with_them(world: World) -> None:
    filters = Filters(conditions=CT)
    events = feed_of(world, filters).page(SequenceRange(0)).events
    assert len(events) == 100  # what was read stays known, for the cursor
    assert [event.sequence for event in filters.passing(events)] == list(range(10, 101, 10))
    assert not any('metadata' in event.decode() for event in filters.passing(events))


def test_verdict_stays_where_the_field_that_decided_is_not_in_the_line(world: World) -> None:
    filters = Filters(conditions=NAMED)
    events = filters.passing(feed_of(world, filters, MODALITY).page(SequenceRange(0)).events)
    assert len(events) == 100
    assert {name for event in events for name in event.decode()['metadata']} == {'00080060'}


# What happens between the two reads

Change = Callable[[World], Any]
CHANGES: dict[str, tuple[Change, str | None, str | None]] = {
    'update to a match': (lambda world: world.store.update(study(world, 1), metadata=metadata('CT')), 'Replaced', 'CT'),
    'update to none': (lambda world: world.store.update(study(world, 10), metadata=metadata('MR')), None, None),
    'update': (lambda world: world.store.update(study(world, 10), metadata=metadata('CT')), 'Replaced', 'CT'),
    'delete': (lambda world: world.store.delete(study(world, 10)), None, None),
}


@pytest.mark.parametrize('name', CHANGES)
def test_whole_second_line_counts(world: World, name: str) -> None:
    change, state, modality = CHANGES[name]
    filters, sequence = Filters(conditions=CT), 1 if name == 'update to a match' else 10
    feed = feed_of(world, filters, MODALITY)
    first = feed.bare_page(SequenceRange(0)).events
    change(world)
    line = delivered(feed, first, filters).get(sequence)
    assert (line and line['state']) == state
    assert (line and line['metadata']['00080060']['Value'][0]) == modality


def test_all_filters_are_tested_on_the_second_line(world: World) -> None:
    filters = Filters(state=('Current',))
    feed = feed_of(world, filters, MODALITY)
    first = feed.bare_page(SequenceRange(0)).events
    world.store.update(study(world, 10), metadata=metadata('CT'))
    assert sorted(delivered(feed, first, filters)) == [sequence for sequence in range(1, 101) if sequence != 10]


@pytest.mark.parametrize('when', ['before the first read', 'between the reads'])
def test_deleted_instance_passes_no_condition_and_is_told_apart(world: World, when: str) -> None:
    filters = Filters(conditions=CT)
    feed = feed_of(world, filters)
    if when == 'before the first read':
        world.store.delete(study(world, 10))
    first = feed.bare_page(SequenceRange(9, 1)).events
    if when == 'between the reads':
        world.store.delete(study(world, 10))
    (event,) = feed.with_metadata(first)
    assert event.verdict is Verdict.DELETED
    assert filters.passing([event]) == [] and filters.deleted([event]) == [event]
    assert Filters(state=('Current',), conditions=CT).deleted([event]) == []


def test_older_events_of_an_instance_that_was_stored_again_have_the_new_attributes(world: World) -> None:
    instance = world.store.event(10).instance
    (deleted,) = world.store.delete(instance.study)
    again = world.store.create(instance, metadata=metadata('CT'))
    filters = Filters(conditions=CT)
    feed = feed_of(world, filters)
    events = feed.page(SequenceRange(0)).events + feed.page(SequenceRange(100)).events
    assert {10, deleted, again} <= {event.sequence for event in filters.passing(events)}


def test_rows_that_are_new_in_the_second_read_do_not_count(world: World) -> None:
    late = world.writer()  # takes number 101
    world.create_now(1)
    filters = Filters(state=('Current',))
    feed = feed_of(world, filters, MODALITY)
    first = feed.bare_page(SequenceRange(90)).events
    late.commit()
    assert sorted(delivered(feed, first, filters)) == [*range(91, 101), 102]


def test_event_that_is_another_one_in_the_second_read_was_restored(world: World) -> None:
    feed = feed_of(world, Filters(conditions=CT))
    first = feed.bare_page(SequenceRange(0)).events
    world.store.restore(60)
    world.pass_time(60.0)
    world.create_now(40)
    with pytest.raises(FeedRestored):
        feed.with_metadata(first)


# What cannot be read


def test_unreadable_event_is_left_out_where_it_is_undecided_and_else_comes_without(world: World) -> None:
    world.store.poison(10)
    filters = Filters(conditions=CT)
    assert 10 not in delivered(feed_of(world, filters), world.feed().page(SequenceRange(0)).events, filters)
    line = delivered(feed_of(world, Filters(), MODALITY), world.feed().page(SequenceRange(0)).events, Filters())[10]
    assert 'metadata' not in line and line['state'] == 'Current'
    assert world.poisoned == [10, 10]


@pytest.mark.parametrize(
    'text', ['{"00080060":{"vr":"CS","Value":["CT"]},"00080060":{"vr":"CS","Value":["MR"]}}', '{"00080060":"CT"}']
)
def test_metadata_that_are_ambiguous_or_no_dicom_count_as_unreadable(world: World, text: str) -> None:
    world.store.update(study(world, 10), metadata=text)
    filters = Filters(conditions=CT)
    feed = feed_of(world, filters)
    events = feed.page(SequenceRange(0)).events
    assert [event.sequence for event in filters.passing(events)] == list(range(20, 101, 10))
    assert world.poisoned == [10]


def test_poison_of_events_that_other_filters_drop_is_neither_tried_nor_reported(world: World) -> None:
    world.metadata_at_once = False
    for sequence in range(11, 91):
        world.store.poison(sequence)
    wanted = tuple(study(world, sequence) for sequence in (10, 100))
    filters = Filters(study_instance_uid=wanted, conditions=CT)
    events = feed_of(world, filters).page(SequenceRange(0)).events
    assert [event.sequence for event in filters.passing(events)] == [10, 100]
    assert (world.poisoned, world.store.blob_reads) == ([], 2)


def test_eleventh_undecided_event_ends_the_run(world: World) -> None:
    for sequence in range(20, 31):
        world.store.poison(sequence)
    with pytest.raises(TooManyPoisoned):
        feed_of(world, Filters(conditions=CT)).page(SequenceRange(0))


# The cursor


def test_cursor_moves_when_an_event_is_decided_and_not_before(world: World) -> None:
    world.metadata_at_once = False
    filters = Filters(conditions=CT)
    reader = SequenceReader(feed_of(world, filters), cursor=0, pool=InlinePool(4))
    world.store.blobs_down = True
    world.end = world.elapsed + 600.0
    with pytest.raises(Ended):
        list(reader.read(100, at_gap=AtGap.STOP))
    assert reader.cursor == 0


# Every way of reading


def test_window_follows_by_sequence_for_its_second_read(world: World) -> None:
    world.metadata_at_once = False
    world.pass_time(10_000.0)
    filters = Filters(conditions=CT)
    reader = WindowReader(feed_of(world, filters), start=0, end=world.clock.now(), pool=InlinePool(4))
    events = [event for batch in reader.read() for event in filters.passing(batch)]
    assert [event.sequence for event in events] == list(range(10, 101, 10))
    paths = {request.path for request in world.journal.requests if 'includeMetadata=true' in request.query}
    assert paths == {'/v1/changefeed'}


@pytest.mark.parametrize('ahead', [0, 4], ids=['one by one', 'read ahead'])
def test_tail_is_that_of_the_events_that_match(world: World, ahead: int) -> None:
    filters = Filters(conditions=CT)
    (deleted,) = world.store.delete(study(world, 90))
    tail = TailReader(feed_of(world, filters), 3, filters=filters, pool=InlinePool(ahead))
    found = [event for events in tail.read() for event in events]
    assert [event.sequence for event in filters.passing(found)] == [70, 80, 100]
    assert [event.sequence for event in filters.deleted(found)] == [90, deleted]


def test_follow_from_a_tail_begins_before_the_events_that_match(world: World) -> None:
    world.pass_time(10_000.0)
    filters = Filters(conditions=CT)
    before = sequence_before_tail(feed_of(world, filters), 3, filters=filters, pool=InlinePool())
    assert before == 79


# What it costs


def test_one_request_joins_wanted_events_with_few_between_them(world: World) -> None:
    world.metadata_at_once = False
    wanted = tuple(study(world, sequence) for sequence in (1, 6, 12))
    filters = Filters(study_instance_uid=wanted)
    feed_of(world, filters, MODALITY).page(SequenceRange(0))
    reads = [request.query for request in world.journal.requests if 'includeMetadata=true' in request.query]
    assert [query.partition('&include')[0] for query in reads] == ['offset=0&limit=6', 'offset=11&limit=1']


@pytest.mark.parametrize(('wanted', 'is_at_once'), [(50, True), (49, False)])
def test_page_is_read_with_metadata_at_once_where_half_of_the_last_thousand_were_wanted(
    wanted: int, is_at_once: bool
) -> None:
    world = World()
    world.create_now(1_200)
    feed = Feed(
        world.client(),
        fields=MODALITY,
        metadata_at_once=AtOnce.WHERE_MOST_ARE_WANTED,
        wanted=lambda events: [event for event in events if event.sequence % 100 < wanted],
    )
    for after in range(0, 1_100, 100):
        feed.page(SequenceRange(after))
    first_reads = [request.query for request in world.journal.requests if 'limit=100&' in request.query]
    is_slow = ['includeMetadata=true' in query for query in first_reads]
    assert is_slow == [False] * 10 + [is_at_once]


def test_one_match_in_a_hundred_is_one_blob_in_a_hundred(world: World) -> None:
    world.metadata_at_once = False
    filters = Filters(study_instance_uid=(study(world, 50),), conditions=CT)
    feed_of(world, filters).page(SequenceRange(0))
    assert world.store.blob_reads == 1
