"""The sample feed: repeatable, believable, with the shapes that readers stumble over, and the same at every hour.

What other tests, examples and the demo take for granted of it is one list here, `FACTS`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from tests.emulator import ticks
from tests.emulator.sample import sample_feed
from tests.emulator.store import FeedStore
from tests.emulator.writers import Row

END = 638_500_000_000_000_000
MINUTE, HOUR = ticks.PER_MINUTE, 60 * ticks.PER_MINUTE
DOCS = 3000


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


def test_sample_has_narrow_gaps_and_one_as_wide_as_an_identity_cache(feed: list[Row]) -> None:
    jumps = Counter(after.sequence - before.sequence for before, after in pairwise(feed))
    assert jumps[2] and [jump for jump in jumps if jump > 10] == [10_001]


def test_sample_has_orders_that_differ(feed: list[Row]) -> None:
    assert any(before.ticks > after.ticks for before, after in pairwise(feed))


def test_sample_has_a_delete_whose_numbers_interleave_with_those_of_creates(feed: list[Row]) -> None:
    tie, _ = Counter(row.ticks for row in feed if row.action == 'Delete').most_common(1)[0]
    positions = [position for position, row in enumerate(feed) if row.ticks == tie]
    between = feed[positions[0] : positions[-1]]
    assert 0 < sum(row.action == 'Create' for row in between) < len(between) // 10


def test_sample_works_by_day(feed: list[Row]) -> None:
    """The end is at four in the afternoon."""
    hours = Counter((16 - (END - row.ticks) // HOUR) % 24 for row in feed)
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


# What others take for granted


def _begins_at_1(rows: list[Row], _end: int) -> bool:
    return [row.sequence for row in rows[:5]] == [1, 2, 3, 4, 5]


def _has_an_event_42(rows: list[Row], _end: int) -> bool:
    return any(row.sequence == 42 for row in rows)


def _goes_on_behind_1000(rows: list[Row], _end: int) -> bool:
    return sum(row.sequence > 1000 for row in rows) > 200


def _has_a_study_of_several_instances(rows: list[Row], _end: int) -> bool:
    return Counter(row.instance.study for row in rows if row.action == 'Create').most_common(1)[0][1] > 1


def _has_no_gap_that_is_open(rows: list[Row], end: int) -> bool:
    """The newest event is older than the settle margin: 60 seconds and five minutes."""
    return max(row.ticks for row in rows) < end - 7 * MINUTE


def _stored_in_the_last_hour(rows: list[Row], end: int) -> bool:
    """Still so when the examples have been running for half an hour."""
    return sum(end - HOUR // 2 > row.ticks >= end - HOUR // 2 - 20 * MINUTE for row in rows if _is_create(row)) > 10


def _stored_in_the_hour_before(rows: list[Row], end: int) -> bool:
    """From two hours ago to one hour ago, now and in half an hour."""
    return sum(end - 60 * MINUTE > row.ticks >= end - 90 * MINUTE for row in rows if _is_create(row)) > 10


def _deleted_many_at_once_in_the_last_day(rows: list[Row], end: int) -> bool:
    deleted = Counter(row.ticks for row in rows if row.action == 'Delete' and row.ticks > end - 23 * HOUR)
    return deleted.most_common(1)[0][1] > 200


def _deleted_the_study_of_the_example(rows: list[Row], _end: int) -> bool:
    return any(row.action == 'Delete' and row.instance.study == '1.2.826.0.1.3680043.8.498.0' for row in rows)


def _was_quiet_at_night(rows: list[Row], end: int) -> bool:
    """Counted by hours of the clock: of the last 24, at least six in a row are together quieter than the busiest."""
    counts = Counter(row.ticks // HOUR for row in rows)
    hours = [counts[end // HOUR - age] for age in range(24)]
    return min(sum(hours[start : start + 6]) for start in range(19)) * 20 < max(hours)


def _is_create(row: Row) -> bool:
    return row.action == 'Create'


FACTS: list[tuple[Callable[[list[Row], int], bool], tuple[int, ...]]] = [
    (_begins_at_1, (10, 40, 300, 1000, DOCS)),
    (_has_no_gap_that_is_open, (10, 40, 300, 1000, DOCS)),
    (_has_a_study_of_several_instances, (40, 300, 1000, DOCS)),
    (_has_an_event_42, (300, 1000, DOCS)),
    (_goes_on_behind_1000, (DOCS,)),
    (_stored_in_the_last_hour, (DOCS,)),
    (_stored_in_the_hour_before, (DOCS,)),
    (_deleted_many_at_once_in_the_last_day, (DOCS,)),
    (_deleted_the_study_of_the_example, (DOCS,)),
    (_was_quiet_at_night, (DOCS,)),
]
"""Each with the sizes of the feeds that it is true of."""


def _ends(first: str, hours: int) -> Iterator[int]:
    """Each hour from that one on, at another minute each time."""
    for hour in range(hours):
        yield ticks.parse(first) + hour * HOUR + hour * 7 % 60 * MINUTE


@pytest.mark.parametrize(
    ('first', 'hours'),
    [
        ('2026-11-23T00:00Z', 14 * 24),
        ('2026-03-28T12:00Z', 36),
        ('2026-10-24T12:00Z', 36),
        ('2026-12-31T00:00Z', 48),
        ('2028-02-28T12:00Z', 48),
    ],
    ids=['two weeks', 'clocks go forward', 'clocks go back', 'year ends', 'leap day'],
)
def test_sample_has_what_others_take_for_granted_at_every_hour(first: str, hours: int) -> None:
    for end in _ends(first, hours):
        feeds = {count: list(sample_feed(count, end_ticks=end, metadata=False)) for count in (10, 40, 300, 1000, DOCS)}
        untrue = [(fact.__name__, count) for fact, counts in FACTS for count in counts if not fact(feeds[count], end)]
        assert untrue == [], ticks.timestamp_text(end)


def test_sample_is_the_same_at_another_end() -> None:
    moved = list(sample_feed(DOCS, end_ticks=END + 12_345, metadata=False))
    assert [row._replace(ticks=row.ticks - 12_345) for row in moved] == list(
        sample_feed(DOCS, end_ticks=END, metadata=False)
    )
