"""The store: what writers leave behind, and in which order it is seen (contract, sections 6, 8 and 10.3)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.emulator.event_json import DEFAULT_PARTITION, Event, EventShape, Instance
from tests.emulator.sample import sample_feed
from tests.emulator.store import BlobFailure, FeedStore
from tests.emulator.writers import Row, Writer

SECOND = 10_000_000
NOON = 638_500_000_000_000_000
ALL_TIME = (0, 2**62)


class Clock:
    """A server's clock that stands until it is moved."""

    def __init__(self) -> None:
        self.ticks = NOON

    def __call__(self) -> int:
        return self.ticks


def instance(sop: int, *, study: str = '1.2', partition: str = DEFAULT_PARTITION) -> Instance:
    return Instance(partition, study, f'{study}.1', f'{study}.1.{sop}')


def study_of(count: int, store: FeedStore) -> None:
    for sop in range(1, count + 1):
        store.create(instance(sop), ticks=NOON + sop * SECOND)


def states(store: FeedStore) -> list[str]:
    return [f'{event.action} {event.state}' for event in store.events()]


def seen(texts: list[str]) -> list[int]:
    return [json.loads(text)['sequence'] for text in texts]


@pytest.mark.parametrize(
    'history, expected',
    [
        ('S', ['Create Current']),
        ('SD', ['Create Deleted', 'Delete Deleted']),
        ('SDS', ['Create Replaced', 'Delete Replaced', 'Create Current']),
        ('SU', ['Create Replaced', 'Update Current']),
        ('SUU', ['Create Replaced', 'Update Replaced', 'Update Current']),
        ('SUD', ['Create Deleted', 'Update Deleted', 'Delete Deleted']),
    ],
)
def test_i1_states_after_a_history(history: str, expected: list[str]) -> None:
    store = FeedStore()
    for step in history:
        if step == 'S':
            store.create(instance(1))
        elif step == 'D':
            store.delete('1.2')
        else:
            store.update('1.2')
    assert states(store) == expected
    assert [json.loads(text)['state'] for text in store.by_sequence(0, 10)] == [state.split()[1] for state in expected]


def test_i1_rows_after_each_step() -> None:
    store = FeedStore()
    store.create(instance(1))
    assert states(store) == ['Create Current']
    store.delete('1.2')
    assert states(store) == ['Create Deleted', 'Delete Deleted']
    store.create(instance(1))
    assert states(store) == ['Create Replaced', 'Delete Replaced', 'Create Current']


def test_i2_paths_of_deleted_and_stored_again() -> None:
    store = FeedStore(external_storage=True)
    store.create(instance(1))
    path = store.event(1).path
    store.delete('1.2')
    store.external_storage = False
    store.create(instance(1))
    assert path and path.startswith('DICOM/Microsoft.Default/')
    assert [event.path for event in store.events()] == [path, None, None]


def test_i3_delete_while_being_created_leaves_no_row() -> None:
    store = FeedStore()
    writer = store.begin_create(instance(1))
    assert store.delete('1.2') == ()
    assert writer.commit() == ()
    assert store.events() == []
    assert store.create(instance(1)) == 1


@pytest.mark.parametrize(
    'window, offset, expected',
    [
        ((NOON + SECOND, 2**62), 0, [1, 2, 3]),
        ((0, NOON + SECOND), 0, []),
        ((NOON + 2 * SECOND, 2**62), 2, []),
        ((NOON + 3 * SECOND + 1, 2**62), 0, []),
        ((NOON + SECOND, 2**62), 1, [2, 3]),
        ((NOON + SECOND, NOON + 3 * SECOND), 0, [1, 2]),
        ((NOON + SECOND, NOON + 3 * SECOND), 2, []),
    ],
    ids=['inclusive start', 'exclusive end', 'past the end', 'after the last', 'offset', 'half-open', 'half-open past'],
)
def test_i4_time_windows(window: tuple[int, int], offset: int, expected: list[int]) -> None:
    store = FeedStore()
    study_of(3, store)
    assert seen(store.by_time(*window, offset, 200)) == expected


def test_i5_update_of_a_study_without_external_storage() -> None:
    store = FeedStore()
    study_of(4, store)
    assert store.update('1.2', ticks=NOON + 60 * SECOND) == (5, 6, 7, 8)
    updates = store.events()[4:]
    assert states(store) == ['Create Replaced'] * 4 + ['Update Current'] * 4
    assert {(event.path, event.ticks) for event in updates} == {(None, NOON + 60 * SECOND)}


def test_i6_update_gives_all_rows_the_new_path() -> None:
    store = FeedStore(external_storage=True)
    study_of(4, store)
    before = {event.path for event in store.events()}
    store.update('1.2')
    paths = Counter(event.path for event in store.events())
    assert set(paths.values()) == {2} and not before & set(paths)


def test_delete_of_a_series_leaves_the_others() -> None:
    store = FeedStore()
    store.create(Instance(DEFAULT_PARTITION, '1', '1.1', '1.1.1'))
    store.create(Instance(DEFAULT_PARTITION, '1', '1.2', '1.2.1'))
    assert store.delete('1', '1.2') == (3,)
    assert states(store) == ['Create Current', 'Create Deleted', 'Delete Deleted']


def test_partitions_hold_the_same_uids_apart() -> None:
    store = FeedStore()
    store.create(instance(1))
    store.create(instance(1, partition='north'))
    store.delete('1.2', partition='north')
    assert states(store) == ['Create Current', 'Create Deleted', 'Delete Deleted']


def test_bulk_delete_shares_one_timestamp() -> None:
    store = FeedStore()
    study_of(250, store)
    store.delete('1.2', ticks=NOON + 3600 * SECOND)
    tied = store.by_time(NOON + 3600 * SECOND, NOON + 3600 * SECOND + 1, 200, 200)
    assert seen(tied) == list(range(451, 501))


def test_late_commit_fills_a_gap_behind_newer_events() -> None:
    clock = Clock()
    store = FeedStore(clock=clock)
    late = store.begin_create(instance(1))
    assert late.take_clock() == NOON
    clock.ticks += SECOND
    assert late.take_sequence() == (1,)
    assert store.create(instance(2)) == 2
    assert seen(store.by_sequence(0, 10)) == [2]
    clock.ticks += 20 * SECOND
    assert late.commit() == (1,)
    assert seen(store.by_sequence(0, 10)) == seen(store.by_time(*ALL_TIME, 0, 10)) == [1, 2]


def test_clock_taken_before_sequence_makes_the_orders_differ() -> None:
    store = FeedStore()
    late = store.begin_create(instance(1))
    late.take_clock(NOON)
    store.create(instance(2), ticks=NOON + SECOND)
    late.commit()
    assert seen(store.by_sequence(0, 10)) == [1, 2]
    assert seen(store.by_time(*ALL_TIME, 0, 10)) == [2, 1]


def test_latest_differs_between_the_orders() -> None:
    store = FeedStore()
    store.create(ticks=NOON + SECOND)
    store.create(ticks=NOON)
    assert '"sequence":2' in (store.latest(by_time=False) or '')
    assert '"sequence":1' in (store.latest(by_time=True) or '')


def test_rolled_back_delete_burns_its_block() -> None:
    store = FeedStore()
    study_of(3, store)
    writer = store.begin_delete('1.2')
    assert writer.take_sequence() == (4, 5, 6)
    writer.roll_back()
    assert writer.commit() == ()
    assert store.create() == 7
    assert states(store) == ['Create Current'] * 4


def test_delete_committed_late_is_seen_as_a_whole() -> None:
    store = FeedStore()
    study_of(3, store)
    writer = store.begin_delete('1.2')
    writer.take_sequence()
    store.create()
    assert seen(store.by_sequence(0, 10)) == [1, 2, 3, 7]
    assert writer.commit() == (4, 5, 6)
    assert [event.ticks for event in store.events()[3:6]] == [writer.ticks] * 3


def test_create_of_an_existing_instance_is_refused() -> None:
    store = FeedStore()
    store.create(instance(1))
    with pytest.raises(ValueError, match='exists'):
        store.create(instance(1))


def test_burned_numbers_are_never_given_again() -> None:
    store = FeedStore()
    store.create()
    assert len(store.burn(1000)) == 1000
    assert store.create() == 1002
    assert store.by_sequence(1, 100) == []


def test_restore_brings_numbers_back_and_states_with_them() -> None:
    store = FeedStore()
    study_of(2, store)
    pending = store.begin_create(instance(9))
    store.delete('1.2', '1.2.1', '1.2.1.1')
    store.restore(2)
    assert states(store) == ['Create Current'] * 2
    assert (store.next_sequence, pending.commit()) == (3, ())
    assert '"state":"Current"' in store.by_sequence(0, 1)[0]
    assert store.delete('1.2') == (3, 4)


def test_restore_forgets_instances_that_came_later() -> None:
    store = FeedStore()
    study_of(3, store)
    store.restore(1)
    assert store.create(instance(2)) == 2


def test_metadata_is_that_of_the_current_version() -> None:
    store = FeedStore()
    store.create(instance(1), metadata='{"old":1}')
    store.update('1.2', metadata='{"new":2}')
    assert [json.loads(text)['metadata'] for text in store.by_sequence(0, 2, metadata=True)] == [{'new': 2}] * 2


def test_metadata_without_any_stored_follows_from_the_uids() -> None:
    store = FeedStore()
    store.create(instance(1))
    metadata = json.loads(store.by_sequence(0, 1, metadata=True)[0])['metadata']
    assert metadata['00080018']['Value'] == ['1.2.1.1']


@pytest.mark.parametrize('status', [500, 503])
def test_poison_hits_every_event_that_shows_the_version(status: int) -> None:
    store = FeedStore()
    store.create(instance(1))
    store.create()
    store.poison(1, status=status)
    with pytest.raises(BlobFailure) as failure:
        store.by_sequence(0, 2, metadata=True)
    assert failure.value.status == status
    assert len(store.by_sequence(1, 1, metadata=True)) == len(store.by_sequence(0, 1)) == 1
    store.fix(1)
    assert len(store.by_sequence(0, 2, metadata=True)) == 2


def test_poison_ends_with_the_version() -> None:
    store = FeedStore()
    store.create(instance(1))
    store.poison(1)
    store.update('1.2')
    assert len(store.by_sequence(0, 2, metadata=True)) == 2


def test_outage_of_the_blob_store_spares_the_deleted() -> None:
    store = FeedStore()
    store.create(instance(1))
    store.delete('1.2')
    store.blobs_down = True
    assert len(store.by_sequence(0, 2, metadata=True)) == 2
    store.create()
    with pytest.raises(BlobFailure):
        store.by_sequence(2, 1, metadata=True)


def test_offset_of_deletes_changes_the_text_only() -> None:
    store = FeedStore(utc_offset_minutes_of_deletes=-150)
    store.create(instance(1), ticks=NOON)
    store.delete('1.2', ticks=NOON)
    created, deleted = (json.loads(text)['timestamp'] for text in store.by_time(NOON, NOON + 1, 0, 10))
    assert (created[-6:], deleted[-6:]) == ('+00:00', '-02:30')


def test_shape_is_changed_for_all_rows() -> None:
    store = FeedStore()
    store.create(instance(1))
    store.shape = EventShape(partition_name=False, pascal_names=True, lower_enums=True, extra={'etag': 'x'})
    store.delete('1.2')
    first, second = (json.loads(text) for text in store.by_sequence(0, 2))
    assert (first['Action'], first['State'], second['State'], first['etag']) == ('create', 'deleted', 'deleted', 'x')
    assert 'PartitionName' not in first


def test_load_gives_the_states_that_writers_would() -> None:
    rows = list(sample_feed(3000, metadata=False, end_ticks=NOON))
    assert rows[-1].action == 'Create', 'else the last group is cut, which no writer does'
    loaded, written = FeedStore(), FeedStore()
    assert loaded.load(rows) == 3000
    _write(written, rows)
    assert loaded.events() == written.events()
    assert loaded.by_sequence(0, 100) == written.by_sequence(0, 100)


def test_numbers_of_a_statement_interleave_with_those_of_others() -> None:
    store = FeedStore()
    for number in (1, 2, 3):
        store.create(instance(number))
    writer = store.begin_delete('1.2')
    writer.take_sequence(1)
    assert store.create() == 5
    assert writer.take_sequence(1) == (4, 6) and writer.commit() == (4, 6, 7)
    assert [event.sequence for event in store.events() if event.action == 'Delete'] == [4, 6, 7]
    assert len({event.ticks for event in store.events() if event.action == 'Delete'}) == 1


def test_load_keeps_the_metadata_of_each_version() -> None:
    store = FeedStore()
    who = instance(1)
    store.load([Row(3, NOON, 'Create', who, '{"a":1}'), Row(4, NOON, 'Update', who, '{"b":2}')])
    assert [json.loads(text)['metadata'] for text in store.by_sequence(0, 10, metadata=True)] == [{'b': 2}] * 2
    assert store.create() == 5


def test_load_refuses_a_store_that_is_not_empty() -> None:
    store = FeedStore()
    store.create()
    with pytest.raises(ValueError, match='not empty'):
        store.load([])


def test_store_on_disk_is_opened_again(tmp_path: Path) -> None:
    store = FeedStore(tmp_path / 'feed.db')
    store.load(sample_feed(50, end_ticks=NOON))
    texts = store.by_sequence(0, 100, metadata=True)
    store.close()
    again = FeedStore(tmp_path / 'feed.db')
    assert again.by_sequence(0, 100, metadata=True) == texts
    assert again.create() == again.events()[-1].sequence
    again.close()


def test_events_tell_the_whole_truth() -> None:
    store = FeedStore()
    store.create(instance(1), ticks=NOON)
    assert store.events() == [Event(1, NOON, 'Create', instance(1), 'Current')]
    with pytest.raises(KeyError):
        store.event(2)


def _write(store: FeedStore, rows: list[Row]) -> None:
    """The rows of a loaded feed, by the way that writers take: a delete and an update keep their turn row by row."""
    at_work: dict[tuple[str, str], Writer] = {}
    for row in rows:
        store.burn(row.sequence - store.next_sequence)
        if row.action == 'Create':
            store.create(row.instance, ticks=row.ticks)
            continue
        statement = row.action, row.instance.study
        if statement not in at_work:
            at_work[statement] = (store.begin_delete if row.action == 'Delete' else store.begin_update)(statement[1])
            at_work[statement].take_clock(row.ticks)
        writer = at_work[statement]
        if len(writer.take_sequence(1)) == len(writer.instances):
            at_work.pop(statement).commit()
