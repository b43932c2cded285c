"""The sample feed: repeatable, believable, and with the shapes that readers stumble over."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import pytest

from tests.emulator import ticks
from tests.emulator.bulk_load import Row
from tests.emulator.sample import sample_feed
from tests.emulator.store import FeedStore

END = 638_500_000_000_000_000


@pytest.fixture(scope='module')
def feed() -> list[Row]:
    return list(sample_feed(30_000, end_ticks=END, metadata=False))


@pytest.mark.parametrize('count', [0, 1, 10, 1999, 2000, 5000])
def test_sample_has_exactly_the_count(count: int) -> None:
    assert len(list(sample_feed(count, end_ticks=END, metadata=False))) == count


def test_sample_is_repeatable() -> None:
    assert list(sample_feed(300, seed=7, end_ticks=END)) == list(sample_feed(300, seed=7, end_ticks=END))
    assert list(sample_feed(300, seed=7, end_ticks=END)) != list(sample_feed(300, seed=8, end_ticks=END))


@pytest.mark.parametrize('seed', range(5))
def test_sample_ascends_by_sequence_and_ends_in_time(seed: int) -> None:
    rows = list(sample_feed(2000, seed=seed, end_ticks=END, metadata=False))
    assert all(before.sequence < after.sequence for before, after in pairwise(rows))
    assert max(row.ticks for row in rows) <= END


@pytest.mark.parametrize('seed', range(5))
def test_sample_has_a_tie_group_larger_than_a_page(seed: int) -> None:
    rows = sample_feed(2000, seed=seed, end_ticks=END, metadata=False)
    assert max(Counter(row.ticks for row in rows if row.action == 'Delete').values()) > 200


def test_sample_has_all_actions_and_states(feed: list[Row]) -> None:
    store = FeedStore()
    store.load(feed)
    assert {event.action for event in store.events()} == {'Create', 'Update', 'Delete'}
    assert {event.state for event in store.events()} == {'Current', 'Replaced', 'Deleted'}


def test_sample_has_narrow_gaps_and_a_wide_one(feed: list[Row]) -> None:
    jumps = Counter(after.sequence - before.sequence for before, after in pairwise(feed))
    assert jumps[2] and max(jumps) > 1000


def test_sample_has_orders_that_differ(feed: list[Row]) -> None:
    assert any(before.ticks > after.ticks for before, after in pairwise(feed))


def test_sample_works_by_day(feed: list[Row]) -> None:
    hours = Counter(row.ticks % ticks.PER_DAY // (3600 * ticks.PER_SECOND) for row in feed)
    assert sum(hours[hour] for hour in range(8, 17)) > 10 * sum(hours[hour] for hour in range(5))


def test_sample_metadata_is_dicom_json_of_about_two_kilobytes() -> None:
    rows = list(sample_feed(500, end_ticks=END))
    sizes = [len(row.metadata.encode()) for row in rows if row.metadata]
    assert len(sizes) > 490 and 1500 < sum(sizes) / len(sizes) < 3000
    for row in rows:
        metadata = json.loads(row.metadata or '{}')
        assert metadata['00080018']['Value'] == [row.instance.sop]


def test_sample_metadata_has_what_readers_stumble_over() -> None:
    texts = [row.metadata or '' for row in sample_feed(500, end_ticks=END)]
    metadata = json.loads(texts[-1])
    assert any('Ideographic' in text and '山田' in text for text in texts)
    assert metadata['00720083']['Value'][0] > 2**63 and metadata['00720082']['Value'][0] < -(2**62)
    assert isinstance(metadata['00200013']['Value'][0], int) and isinstance(metadata['00201041']['Value'][0], str)
    assert metadata['00180060']['Value'] == ['120.0', None] and metadata['00080090'] == {'vr': 'PN'}
