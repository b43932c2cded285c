"""Events counted by hour, day and study."""

from __future__ import annotations

import json

import pytest

from dicomfeed.counts import Counts
from dicomfeed.events import Event, decode_event


def event(timestamp: str, *, action: str = 'Create', study: str = '1.2.3') -> Event:
    line = {'sequence': 1, 'action': action, 'studyInstanceUid': study, 'timestamp': timestamp}
    return decode_event(json.dumps(line).encode())


def counted(by: str, *events: Event) -> Counts:
    counts = Counts(by)
    for one in events:
        counts.add(one)
    return counts


@pytest.mark.parametrize(
    ('by', 'expected'),
    [
        ('hour', [('2026-01-31T22:00Z', 1), ('2026-01-31T23:00Z', 0), ('2026-02-01T00:00Z', 2)]),
        ('day', [('2026-01-31', 1), ('2026-02-01', 2)]),
    ],
)
def test_rows_of_time_are_in_order_with_quiet_ones_between(by: str, expected: list[tuple[str, int]]) -> None:
    rows = counted(
        by,
        event('2026-02-01T00:59:59.9999999+00:00'),
        event('2026-01-31T22:00:00+00:00'),
        event('2026-02-01T00:00:00+00:00'),
    ).rows()
    assert [(row[by], row['events']) for row in rows] == expected


def test_rows_count_actions_in_any_letter_case_and_others_among_the_events() -> None:
    actions = ['Create', 'create', 'Update', 'Delete', 'Import']
    (row,) = counted('day', *(event('2026-01-31T09:00:00+00:00', action=action) for action in actions)).rows()
    assert (row['created'], row['updated'], row['deleted'], row['events']) == (2, 1, 1, 5)


def test_rows_say_first_and_last_time_whatever_the_order() -> None:
    (row,) = counted('study', event('2026-01-31T09:00:00.5+00:00'), event('2026-01-31T11:00:00+02:00')).rows()
    assert (row['firstTimestamp'], row['lastTimestamp']) == (
        '2026-01-31T09:00:00.0000000Z',
        '2026-01-31T09:00:00.5000000Z',
    )


def test_rows_of_studies_are_in_the_order_of_their_first_event() -> None:
    rows = counted(
        'study', event('2026-01-31T10:00:00+00:00', study='1.9'), event('2026-01-31T09:00:00+00:00', study='1.10')
    ).rows()
    assert [row['study'] for row in rows] == ['1.10', '1.9']


def test_rows_leave_out_quiet_hours_where_nobody_would_look_at_them() -> None:
    rows = counted('hour', event('2001-01-31T10:00:00+00:00'), event('2026-01-31T10:00:00+00:00')).rows()
    assert len(rows) == 2


def test_rows_of_nothing_are_none() -> None:
    assert counted('hour').rows() == []
