"""Gaps in stretches, and when they are closed. How a reading behaves at them: `test_schedules.py`."""

from __future__ import annotations

import json

import pytest

from dicomfeed.events import Event, decode_page
from dicomfeed.gaps import SETTLE_SECONDS, SKEW_SECONDS, Gap, Stretch, Watch, contents, rest_after_events
from dicomfeed.queries import Page, SequenceRange
from dicomfeed.times import format_timestamp
from tests.feed.world import after

UNSETTLED_SECONDS = SETTLE_SECONDS + SKEW_SECONDS


def events(*sequences: int) -> list[Event]:
    return decode_page(
        json.dumps([{'sequence': sequence, 'timestamp': format_timestamp(after(0))} for sequence in sequences]).encode()
    )


def stretch(first: int, last: int, *sequences: int, asked: float = 0.0, took: float = 1.0) -> Stretch:
    page = Page(events(*sequences), asked, after(asked), asked + took)
    return Stretch.of_page(SequenceRange(first - 1, last - first + 1), page)


def gap(first: int, last: int, *, asked: float = 0.0) -> Gap:
    return Gap(first, last, events(last + 1)[0], asked, after(asked), asked + 1.0)


def ranges(gaps: list[Gap]) -> list[tuple[int, int, int]]:
    return [(gap.first, gap.last, gap.above.sequence) for gap in gaps]


@pytest.mark.parametrize(
    ('stretches', 'found'),
    [
        ([], []),
        ([stretch(1, 10)], []),
        ([stretch(1, 3, 1, 2, 3)], []),
        ([stretch(1, 10, 4)], [(1, 3, 4)]),
        ([stretch(1, 10, 1, 4, 5, 9)], [(2, 3, 4), (6, 8, 9)]),
        ([stretch(1, 10, 1), stretch(11, 20, 12)], [(2, 11, 12)]),
        ([stretch(1, 3, 1, 2, 3), stretch(4, 20, 4)], []),
        ([stretch(1, 10), stretch(11, 20), stretch(21, 30, 30)], [(1, 29, 30)]),
    ],
    ids=[
        'nothing',
        'nothing above',
        'whole',
        'at the start',
        'inside',
        'across',
        'none across',
        'over empty stretches',
    ],
)
def test_gaps_are_what_is_missing_below_an_event(stretches: list[Stretch], found: list[tuple[int, int, int]]) -> None:
    assert ranges(contents(stretches)[1]) == found
    assert contents(stretches)[0] == [event for part in stretches for event in part.events]


def test_numbers_after_the_last_event_are_a_gap_below_one_that_is_known() -> None:
    above = events(21)[0]
    assert ranges(contents([stretch(11, 20, 12)], above=above)[1]) == [(11, 11, 12), (13, 20, 21)]
    assert ranges(contents([stretch(11, 20, 20)], above=above)[1]) == [(11, 19, 20)]


def test_gap_across_stretches_has_the_oldest_evidence_for_its_absence() -> None:
    parts = [stretch(1, 10, 1, asked=100.0), stretch(11, 20, asked=50.0), stretch(21, 30, 22, asked=70.0, took=45.0)]
    [found] = contents(parts)[1]
    assert (found.asked_monotonic, found.asked_ticks, found.seen_monotonic) == (50.0, after(50.0), 115.0)


@pytest.mark.parametrize(
    ('asked', 'is_settled'),
    [
        (UNSETTLED_SECONDS - 1, False),
        (UNSETTLED_SECONDS, False),
        (UNSETTLED_SECONDS + 1, True),
    ],
)
def test_gap_is_settled_with_the_event_above_it(asked: float, is_settled: bool) -> None:
    assert gap(1, 3, asked=asked).is_settled(SETTLE_SECONDS) is is_settled


@pytest.mark.parametrize(('asked', 'is_outwaited'), [(60.9, False), (61.0, True), (600.0, True)])
def test_gap_is_outwaited_by_a_question_that_began_later(asked: float, is_outwaited: bool) -> None:
    watch = Watch()
    watch.see(gap(1, 3))
    assert watch.is_outwaited(gap(1, 3, asked=asked), SETTLE_SECONDS) is is_outwaited


def test_gap_that_nobody_has_watched_is_not_outwaited() -> None:
    assert not Watch().is_outwaited(gap(1, 3, asked=1e9), SETTLE_SECONDS)


@pytest.mark.parametrize(
    ('first', 'last', 'is_watched'),
    [
        (10, 20, True),
        (10, 14, True),
        (16, 20, True),
        (12, 13, True),
        (9, 20, False),
        (10, 21, False),
        (30, 31, False),
    ],
    ids=['the same', 'lower part', 'upper part', 'inside', 'wider below', 'wider above', 'another'],
)
def test_what_is_left_of_a_gap_keeps_its_time(first: int, last: int, is_watched: bool) -> None:
    watch = Watch()
    watch.see(gap(10, 20))
    left = gap(first, last, asked=100.0)
    watch.see(left)
    assert watch.is_outwaited(left, SETTLE_SECONDS) is is_watched


def test_gaps_below_the_cursor_are_forgotten() -> None:
    watch = Watch()
    watch.see(gap(10, 20))
    watch.see(gap(30, 40))
    watch.forget_through(21)
    assert not watch.is_outwaited(gap(10, 20, asked=100.0), SETTLE_SECONDS)
    assert watch.is_outwaited(gap(30, 40, asked=100.0), SETTLE_SECONDS)


@pytest.mark.parametrize(
    ('part', 'rest'),
    [
        (stretch(1, 10, 1, 4), [(4, 10)]),
        (stretch(1, 10, 10), []),
        (stretch(1, 10, 9), [(9, 10)]),
    ],
    ids=['some', 'none', 'one'],
)
def test_rest_of_a_stretch_is_what_lies_above_its_events(part: Stretch, rest: list[tuple[int, int]]) -> None:
    assert [(left.after, left.through) for left in rest_after_events(part)] == rest
    assert all(left.events == [] for left in rest_after_events(part))


def test_settle_option_moves_both_bounds() -> None:
    young = gap(1, 3, asked=SKEW_SECONDS + 11)
    assert young.is_settled(10.0) and not young.is_settled(12.0)
