"""Events grouped into rows of stable studies, case by case; `test_stable_model.py` has the random schedules."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from dicomfeed.events import Event, decode_page
from dicomfeed.gaps import SETTLE_SECONDS, settle_margin
from dicomfeed.stable import BY_SERIES, OpenRow, Row, Snapshot, StableStudies, StillOpen
from dicomfeed.times import format_timestamp, ticks_from_seconds
from tests.feed.world import after

MARGIN_SECONDS = 360
DAY_SECONDS = 86_400
PAUSE = 600  # --stable-after 10m
TICK = 1e-7


def event(sequence: int, seconds: float, *, study: str = '1.2.3', action: str = 'Create', **more: Any) -> Event:
    timestamp = format_timestamp(after(seconds))
    fields = {
        'sequence': sequence,
        'partitionName': 'Microsoft.Default',
        'studyInstanceUid': study,
        'seriesInstanceUid': f'{study}.1',
        'sopInstanceUid': f'{study}.1.{sequence}',
        'action': action,
        'timestamp': timestamp,
        'state': 'Current',
        **more,
    }
    return Event(sequence, timestamp, str(fields['action']), json.dumps(fields).encode())


def stable_studies(snapshot: Snapshot | None = None, *, pause: float = PAUSE, **options: Any) -> StableStudies:
    margin = settle_margin(SETTLE_SECONDS)
    return StableStudies(snapshot, stable_after=ticks_from_seconds(pause), settle_margin=margin, **options)


def poll(studies: StableStudies, seconds: float, *batches: list[Event]) -> list[Row]:
    """A poll that delivers everything; the service's clock says so many seconds when it begins."""
    studies.begin_poll(after(seconds))
    rows = [row for batch in batches for row in studies.add(batch, batch)]
    return rows + studies.complete_poll()


def numbers(rows: list[Row]) -> list[tuple[int, int, int]]:
    """The first and the last sequence number of each row, and the number of its events."""
    return [(row['firstSequence'], row['lastSequence'], row['events']) for row in rows]


# Rows


def test_row_has_what_the_table_says_in_its_order() -> None:
    (row,) = poll(
        stable_studies(),
        10_000,
        [
            event(7, 0.5, action='create'),
            event(8, 1, action='Update'),
            event(9, 2, action='DELETE', sopInstanceUid='1.2.3.1.7'),
            event(10, 3, action='Import', seriesInstanceUid='1.2.3.2', sopInstanceUid='1.2.3.1.7'),
        ],
    )
    assert list(row.items()) == [
        ('studyInstanceUid', '1.2.3'),
        ('partitionName', 'Microsoft.Default'),
        ('firstTimestamp', '2026-01-31T12:00:00.5000000Z'),
        ('lastTimestamp', '2026-01-31T12:00:03.0000000Z'),
        ('firstSequence', 7),
        ('lastSequence', 10),
        ('events', 4),
        ('created', 1),
        ('updated', 1),
        ('deleted', 1),
        ('instances', 3),
        ('series', 2),
        ('stable', True),
    ]


def test_row_of_a_series_names_it_and_counts_no_series() -> None:
    events = [event(1, 0), event(2, 1, seriesInstanceUid='1.2.3.2'), event(3, 2)]
    rows = poll(stable_studies(level=BY_SERIES), 10_000, events)
    assert [(row['seriesInstanceUid'], row['events']) for row in rows] == [('1.2.3.2', 1), ('1.2.3.1', 2)]
    assert list(rows[0])[:3] == ['studyInstanceUid', 'seriesInstanceUid', 'partitionName']
    assert 'series' not in rows[0]


def test_rows_of_one_study_in_two_partitions_are_two() -> None:
    rows = poll(stable_studies(), 10_000, [event(1, 0), event(2, 1, partitionName='research')])
    assert [row['partitionName'] for row in rows] == ['Microsoft.Default', 'research']


def test_row_takes_what_a_service_may_write() -> None:
    odd = {'StudyInstanceUID': 'unused', 'partitionName': None, 'sopInstanceUid': '\ud800', 'seriesInstanceUid': [5]}
    page = b'[' + event(1, 0, **odd).line + b']'
    (row,) = poll(stable_studies(), 10_000, decode_page(page, keep_names=True))
    assert (row['partitionName'], row['instances'], row['series']) == (None, 1, 1)


def test_names_that_a_page_kept_are_the_same_as_those_of_the_line() -> None:
    events = [event(1, 0), event(2, 1, seriesInstanceUid='1.2.3.2'), event(3, 2, partitionName='research')]
    page = b'[' + b','.join(one.line for one in events) + b']'
    assert all(one.names for one in decode_page(page, keep_names=True))
    kept, read = (poll(stable_studies(), 10_000, decode_page(page, keep_names=keep)) for keep in (True, False))
    assert kept == read and len(kept) == 2


# Where a row ends


@pytest.mark.parametrize(
    ('seconds', 'expected'),
    [(PAUSE, [(1, 2, 2)]), (PAUSE + TICK, [(1, 1, 1), (2, 2, 1)])],
    ids=['after-the-time', 'more-than-it'],
)
def test_row_ends_before_an_event_after_a_longer_pause(seconds: float, expected: list[tuple[int, int, int]]) -> None:
    assert numbers(poll(stable_studies(), 10_000, [event(1, 0), event(2, seconds)])) == expected


@pytest.mark.parametrize(
    ('pause', 'through'), [(PAUSE, DAY_SECONDS), (2 * DAY_SECONDS, 2 * DAY_SECONDS)], ids=['a-day', 'the-longer-time']
)
def test_row_without_a_pause_is_cut_after_a_day_or_the_longer_time(pause: float, through: float) -> None:
    steps = int(through / PAUSE)
    events = [event(number + 1, number * PAUSE) for number in range(steps + 1)]
    events += [event(steps + 2, through + TICK), event(steps + 3, through + 2)]
    rows = poll(stable_studies(pause=pause), 10 * DAY_SECONDS, events)
    assert numbers(rows) == [(1, steps + 1, steps + 1), (steps + 2, steps + 3, 2)]
    assert [row['stable'] for row in rows] == [False, True]


def test_row_that_ends_by_a_pause_is_stable_although_it_is_a_day_before() -> None:
    rows = poll(stable_studies(), 10 * DAY_SECONDS, [event(1, 0), event(2, DAY_SECONDS + 1)])
    assert [row['stable'] for row in rows] == [True, True]


def test_probe_does_not_hold_the_cursor_for_ever() -> None:
    studies = stable_studies()
    for number in range(3 * DAY_SECONDS // PAUSE):
        poll(studies, number * PAUSE, [event(number + 1, number * PAUSE)])
    in_a_day = DAY_SECONDS // PAUSE
    assert studies.snapshot.cursor >= 3 * in_a_day - in_a_day - 10


@pytest.mark.parametrize('order', [(1, 2, 3), (3, 2, 1), (1, 3, 2)], ids=['upwards', 'downwards', 'mixed'])
def test_events_are_grouped_by_time_whatever_their_sequence(order: tuple[int, int, int]) -> None:
    numbered = zip(order, (0, PAUSE, 2 * PAUSE), strict=True)
    events = sorted(event(sequence, seconds) for sequence, seconds in numbered)
    later = event(4, 20_000, study='1.9')
    assert numbers(poll(stable_studies(), 20_000, [*events, later])) == [(1, 3, 3)]


def test_rows_come_in_the_order_of_their_last_event() -> None:
    studies = stable_studies()
    ends_last = [event(1, 0, study='1.1'), event(4, 20, study='1.1')]
    tied = [event(2, 10, study='1.3'), event(3, 10, study='1.2')]
    rows = poll(studies, 10_000, sorted(ends_last + tied))
    assert [row['studyInstanceUid'] for row in rows] == ['1.3', '1.2', '1.1']


def test_row_that_was_cut_waits_for_its_place_in_the_order() -> None:
    studies = stable_studies()
    probe = [event(number + 1, number * PAUSE, study='1.9') for number in range(DAY_SECONDS // PAUSE + 1)]
    other = event(200, DAY_SECONDS - 1)
    following = event(201, DAY_SECONDS + 1, study='1.9')
    early = poll(studies, DAY_SECONDS + MARGIN_SECONDS + 2, probe, [other, following])
    rows = early + poll(studies, 2 * DAY_SECONDS)
    assert early == []
    assert [row['studyInstanceUid'] for row in rows] == ['1.2.3', '1.9', '1.9']
    assert [row['stable'] for row in rows] == [True, False, True]


# The mark


@pytest.mark.parametrize(
    ('more', 'expected'), [(0, []), (TICK, [(1, 1, 1)])], ids=['can-still-be-joined', 'cannot-be-joined']
)
def test_row_closes_when_the_margin_has_passed_too(more: float, expected: list[tuple[int, int, int]]) -> None:
    studies = stable_studies()
    poll(studies, 1, [event(1, 0)])
    assert numbers(poll(studies, PAUSE + MARGIN_SECONDS + more)) == expected


def test_event_that_commits_within_the_margin_joins_its_study() -> None:
    studies = stable_studies()
    rows = poll(studies, 1, [event(1, 0)])
    rows += poll(studies, PAUSE + 30, [event(2, PAUSE + 1, study='1.9')])
    rows += poll(studies, PAUSE + 40, [event(3, PAUSE)])
    rows += poll(studies, 10_000)
    assert numbers(rows) == [(1, 3, 2), (2, 2, 1)]
    assert studies.late == 0


def test_poll_that_fails_moves_nothing() -> None:
    studies = stable_studies()
    poll(studies, 10, [event(1, 0)])
    before = studies.mark
    studies.begin_poll(after(5_000))  # and then the page fails
    assert studies.mark == before
    assert numbers(poll(studies, 5_010, [event(2, 300)])) == [(1, 2, 2)]


def test_poll_that_is_not_complete_moves_the_mark_to_what_it_delivered() -> None:
    studies = stable_studies()
    studies.begin_poll(after(100_000))
    assert studies.add([event(1, 0)], [event(1, 0)]) == []
    later = [event(2, PAUSE + MARGIN_SECONDS + 1, study='1.9')]
    assert numbers(studies.add(later, later)) == [(1, 1, 1)]
    assert studies.mark == after(PAUSE + 1)


def test_mark_of_a_poll_is_never_above_the_time_when_it_began() -> None:
    studies = stable_studies()
    studies.begin_poll(after(1_000))
    future = [event(1, 5_000)]
    studies.add(future, future)
    assert studies.mark == after(1_000 - MARGIN_SECONDS)


def test_mark_never_moves_back() -> None:
    studies = stable_studies()
    poll(studies, 1_000)
    poll(studies, 500, [event(1, 100)])
    assert studies.mark == after(1_000 - MARGIN_SECONDS)


def test_events_that_the_filters_drop_tell_the_time_and_move_the_cursor() -> None:
    studies = stable_studies()
    studies.begin_poll(after(100_000))
    studies.add([event(1, 0)], [event(1, 0)])
    assert numbers(studies.add([event(2, 50_000), event(3, 50_000)], [])) == [(1, 1, 1)]
    assert studies.snapshot.cursor == 3


# A list or a window


@pytest.mark.parametrize(
    ('seconds', 'expected'),
    [(0, [(1, 1, 1)]), (TICK, [])],
    ids=['nothing-can-follow-in-time', 'the-end-could-follow-in-time'],
)
def test_window_leaves_open_what_can_go_on_after_its_end(seconds: float, expected: list[tuple[int, int, int]]) -> None:
    end = PAUSE + 2 * TICK
    studies = stable_studies(end=after(end))
    assert numbers(poll(studies, 100_000, [event(1, TICK + seconds)])) == expected


def test_still_open_says_how_many_studies_and_since_when() -> None:
    studies = stable_studies()
    assert studies.still_open == StillOpen(0, None)
    events = [event(1, 0), event(2, 5_000, study='1.1'), event(3, 5_400, study='1.1'), event(4, 5_500, study='1.9')]
    poll(studies, 5_600, events)
    assert studies.still_open == StillOpen(2, after(5_000))


# Late events


def test_late_event_counts_in_the_open_row_that_began_no_later() -> None:
    studies = stable_studies()
    poll(studies, 900, [event(1, 100)])
    assert poll(studies, 910, [event(2, 100), event(3, 101)]) == []
    assert numbers(poll(studies, 10_000)) == [(1, 3, 3)]
    assert studies.late == 2


def test_late_event_of_an_open_row_puts_off_its_end() -> None:
    studies = stable_studies()
    poll(studies, 900, [event(1, 100)])
    poll(studies, 910, [event(2, 500)])
    assert poll(studies, 500 + PAUSE + MARGIN_SECONDS) == []
    assert numbers(poll(studies, 500 + PAUSE + MARGIN_SECONDS + TICK)) == [(1, 2, 2)]


def test_late_events_of_no_open_row_are_written_at_once_a_row_for_each_study() -> None:
    studies = stable_studies()
    poll(studies, 10_000, [event(1, 9_500)])
    late = [event(2, 300, study='1.1'), event(3, 100), event(4, 5_000), event(5, 400, study='1.1')]
    rows = poll(studies, 10_000, late)
    assert numbers(rows) == [(2, 5, 2), (3, 4, 2)]
    assert [row['stable'] for row in rows] == [True, True]
    assert numbers(poll(studies, 20_000)) == [(1, 1, 1)]


def test_late_event_of_a_reported_study_begins_a_new_row() -> None:
    studies = stable_studies()
    assert numbers(poll(studies, 10_000, [event(1, 100)])) == [(1, 1, 1)]
    assert numbers(poll(studies, 10_000, [event(2, 100)])) == [(2, 2, 1)]


# Cursor and resume


def resumed(studies: StableStudies, *, pause: float = PAUSE) -> StableStudies:
    return stable_studies(studies.snapshot, pause=pause)


def test_cursor_stays_below_events_that_wait_or_are_in_open_rows() -> None:
    studies = stable_studies(Snapshot(cursor=4))
    assert studies.snapshot.cursor == 4
    poll(studies, 1_000, [event(5, 500), event(7, 990, study='1.1'), event(9, 980, study='1.9')])
    assert studies.snapshot.cursor == 4  # event 5 is in an open row
    poll(studies, 1_321)
    assert studies.snapshot.cursor == 4
    poll(studies, 500 + PAUSE + MARGIN_SECONDS + 1)
    assert studies.snapshot.cursor == 6
    poll(studies, 10_000)
    assert studies.snapshot.cursor == 9


def test_cursor_stays_below_an_event_that_waits_alone() -> None:
    studies = stable_studies()
    poll(studies, 1_000, [event(1, 0), event(2, 990, study='1.1'), event(3, 0)])
    poll(studies, 1_200)
    assert (studies.snapshot.cursor, len(studies.snapshot.open)) == (1, 0)


def test_snapshot_names_the_last_event_read_and_not_the_one_at_the_cursor() -> None:
    studies = stable_studies()
    last = event(3, 500, study='1.9')
    poll(studies, 1_000, [event(2, 400), last])
    assert studies.snapshot.cursor == 1
    assert studies.snapshot.last == last.identity


def test_snapshot_tells_open_rows_without_naming_the_study() -> None:
    studies = stable_studies()
    poll(studies, 1_000, [event(1, 500), event(2, 501, study='1.9'), event(3, 502)])
    assert [row.first for row in studies.snapshot.open] == [after(500), after(501)]
    assert len({row.digest for row in studies.snapshot.open}) == 2
    assert all(row.digest < 2**64 for row in studies.snapshot.open)
    assert '1.2.3' not in repr(studies.snapshot.open)


def test_resumed_run_gives_the_row_that_an_uninterrupted_one_gives() -> None:
    events = [event(1, 100), event(2, 500), event(3, 950)]
    studies = stable_studies()
    poll(studies, 1_000, events)
    again = resumed(studies)
    assert poll(again, 20_000, events) == poll(studies, 20_000) != []


def test_resumed_run_drops_what_was_reported() -> None:
    closes = event(1, 100)
    stays_open, waits = event(2, 900, study='1.1'), event(3, 1_300, study='1.9')
    reported_late = event(4, 100)
    studies = stable_studies()
    events = [closes, stays_open, waits]
    assert numbers(poll(studies, 1_500, events)) == [(1, 1, 1)]
    assert numbers(poll(studies, 1_510, [reported_late])) == [(4, 4, 1)]
    assert studies.snapshot.cursor == 1
    assert numbers(poll(resumed(studies), 10_000, [stays_open, waits, reported_late])) == [(2, 2, 1), (3, 3, 1)]


def test_resumed_run_drops_what_is_older_than_its_studys_open_row() -> None:
    waits, opens, late = event(1, 990, study='1.9'), event(2, 500), event(3, 400)
    studies = stable_studies()
    assert poll(studies, 1_000, [waits, opens]) == []
    assert numbers(poll(studies, 1_001, [late])) == [(3, 3, 1)]
    assert numbers(poll(resumed(studies), 10_000, [waits, opens, late])) == [(2, 2, 1), (1, 1, 1)]


def test_resumed_run_keeps_events_above_the_stored_mark() -> None:
    events = [event(1, 900), event(2, 800)]
    studies = stable_studies()
    poll(studies, 1_000, events)
    assert studies.snapshot.open == ()
    assert numbers(poll(resumed(studies), 10_000, events)) == [(1, 2, 2)]


def test_resumed_run_does_nothing_before_the_last_event_is_there_again() -> None:
    events = [event(1, 500), event(2, 501, study='1.9'), event(3, 502, study='1.1')]
    studies = stable_studies()
    poll(studies, 1_000, events)
    again = resumed(studies)
    assert poll(again, 20_000, events[:2]) == []
    assert (again.mark, again.snapshot) == (studies.mark, studies.snapshot)
    assert numbers(poll(again, 20_001, events[2:])) == [(1, 1, 1), (2, 2, 1), (3, 3, 1)]


def test_resumed_run_groups_by_time_what_it_reads_by_sequence() -> None:
    events = [event(1, 0), event(2, 2 * PAUSE), event(3, PAUSE)]
    studies = stable_studies()
    poll(studies, 1_600, events)
    again = resumed(studies)
    assert numbers(poll(again, 10_000, *([one] for one in events))) == [(1, 3, 3)]


def test_resumed_run_reads_on_in_the_batch_of_the_last_event() -> None:
    studies = stable_studies()
    poll(studies, 1_000, [event(1, 500)])
    again = resumed(studies)
    late, new = event(2, 501), event(3, 1_100)
    assert numbers(poll(again, 20_000, [event(1, 500), late, new])) == [(1, 3, 3)]
    assert again.late == 1


def test_resumed_run_with_nothing_open_repeats_nothing() -> None:
    studies = stable_studies()
    poll(studies, 10_000, [event(1, 100)])
    assert numbers(poll(resumed(studies), 30_000, [event(2, 15_000)])) == [(2, 2, 1)]


def test_resumed_run_waits_for_the_cut_of_a_row_as_well() -> None:
    probe = [event(number + 1, number * PAUSE / 2) for number in range(2 * DAY_SECONDS // PAUSE + 2)]
    studies = stable_studies()
    poll(studies, DAY_SECONDS + PAUSE / 2 + MARGIN_SECONDS + 1, probe)
    assert len(studies.snapshot.open) == 2
    again = resumed(studies)
    assert poll(again, 20 * DAY_SECONDS, probe) == poll(studies, 20 * DAY_SECONDS)


def test_fresh_start_below_the_newest_event_is_no_resume() -> None:
    newest = event(50, 990)
    studies = stable_studies(Snapshot(cursor=3, last=newest.identity))
    assert studies.snapshot == Snapshot(cursor=3, last=newest.identity)
    studies.begin_poll(after(100_000))
    old = [event(4, 0), event(5, 5_000, study='1.9')]
    assert numbers(studies.add(old, old)) == [(4, 4, 1)]
    assert studies.snapshot.last == old[-1].identity


def test_digest_of_an_open_row_is_the_same_in_every_run() -> None:
    studies = stable_studies()
    poll(studies, 1_000, [event(1, 500)])
    assert studies.snapshot.open == (OpenRow(5681152763991152198, after(500)),)


def test_resumed_run_counts_an_event_once_that_is_late_again() -> None:
    batches = [[event(1, 0)], [event(2, 10_000)], [event(3, 100)], [event(4, 10_001)]]
    studies = stable_studies(pause=DAY_SECONDS)
    assert poll(studies, 10_002, *batches) == [] and studies.late == 1
    assert numbers(poll(resumed(studies, pause=DAY_SECONDS), 3 * DAY_SECONDS, *batches)) == [(1, 4, 4)]


def test_rows_that_are_made_again_stay_in_the_order_of_time() -> None:
    """One row before; but what is read again makes two of it, and only then comes the event before both."""
    seconds = [1_000, 1_400, 2_000, 2_500, 900, 1_500]
    batches = [[event(i, at, study='1.9' if at in (1_400, 2_500) else '1.2.3')] for i, at in enumerate(seconds, 1)]
    studies = stable_studies()
    studies.begin_poll(after(1_000))
    rows = [row for batch in batches for row in studies.add(batch, batch)] + poll(studies, 2_460)
    for now in (2_700, 9_000):
        studies = resumed(studies)
        rows += poll(studies, now, *batches)
    assert sorted(numbers(rows)) == [(1, 6, 3), (2, 2, 1), (3, 3, 1), (4, 4, 1)]


def test_resumed_run_needs_no_more_memory_for_what_it_reads_again() -> None:
    batches = [[event(50 * i + j, 60 * i) for j in range(1, 51)] for i in range(80)]
    studies = stable_studies()
    needed = [peak_memory(studies, batches), peak_memory(resumed(studies), batches)]
    assert needed[1] < 2 * needed[0]


def peak_memory(studies: StableStudies, batches: list[list[Event]]) -> int:
    """Of a poll in which nothing closes, in bytes."""
    tracemalloc.start()
    try:
        assert poll(studies, 80 * 60, *batches) == []
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
