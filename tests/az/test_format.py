"""Events and counts as tables: what a row shows, and that it fits the terminal."""

from __future__ import annotations

from typing import Any

import pytest

from azext_dicomtoken._format import EVENTS, SERIES, STUDIES, FixedTable, TableForm, changefeed_table, counts_table


def rows(*events: int) -> list[dict[str, object]]:
    moment = '2026-01-31T09:00:00.0000000Z'
    return [
        {
            'hour': f'2026-01-31T{hour:02}:00Z',
            'created': number,
            'updated': 0,
            'deleted': 0,
            'events': number,
            'firstTimestamp': moment if number else None,
            'lastTimestamp': moment if number else None,
        }
        for hour, number in enumerate(events)
    ]


def test_bar_is_the_share_of_the_fullest_row() -> None:
    bars = [row['Bar'] for row in counts_table(rows(100, 50, 0, 1), columns=200)]
    assert bars == ['#' * 60, '#' * 30, '', '#']


@pytest.mark.parametrize('columns', [40, 60, 70, 80, 100, 132, 200], ids=str)
def test_table_fits_the_terminal(columns: int) -> None:
    from knack.output import format_table
    from knack.util import CommandResultItem

    printed = format_table(
        CommandResultItem(rows(1_000, 3), table_transformer=lambda result: counts_table(result, columns=columns))
    )
    assert max(map(len, printed.splitlines())) <= columns


def test_times_give_way_to_the_bar_in_a_narrow_terminal() -> None:
    assert 'First' in counts_table(rows(3), columns=200)[0]
    assert 'First' not in counts_table(rows(3), columns=80)[0]


def test_bar_is_there_in_a_terminal_that_is_narrower_than_the_numbers() -> None:
    assert counts_table(rows(3), columns=20)[0] == {'Hour': '2026-01-31T00:00Z', 'Events': '3', 'Bar': '#' * 8}


def test_table_escapes_what_a_service_could_have_written() -> None:
    row = {
        'study': '1.2\x1b[31m',
        'created': 1,
        'updated': 0,
        'deleted': 0,
        'events': 1,
        'firstTimestamp': None,
        'lastTimestamp': None,
    }
    assert '\x1b' not in counts_table([row], columns=200)[0]['Study']


UID = '1.2.826.0.1.3680043.8.498.123456789012345678901234567890.1'
EVENT = {
    'sequence': 12345,
    'timestamp': '2026-01-31T10:00:00.1234567+01:00',
    'action': 'Create',
    'state': 'Current',
    'studyInstanceUid': UID,
    'seriesInstanceUid': UID + '.2',
    'sopInstanceUid': UID + '.3',
}


def test_row_has_the_time_to_the_second_and_whole_uids() -> None:
    assert changefeed_table([EVENT]) == [
        {
            'Sequence': '12345',
            'Timestamp': '2026-01-31T09:00:00Z',
            'Action': 'Create',
            'State': 'Current',
            'Study': UID,
            'Instance': UID + '.3',
        }
    ]


@pytest.mark.parametrize('columns', [80, 100, 132, 200], ids=str)
def test_row_fits_the_terminal_and_keeps_both_ends_of_a_uid(columns: int) -> None:
    from knack.output import format_table
    from knack.util import CommandResultItem

    printed = format_table(
        CommandResultItem([EVENT], table_transformer=lambda result: changefeed_table(result, columns=columns))
    )
    assert max(map(len, printed.splitlines())) <= columns
    study, instance = printed.splitlines()[-1].split()[-2:]
    assert study[:3] == UID[:3] and instance.endswith('.1.3') and ('…' in study) is (columns < 180)


STUDY = {
    'studyInstanceUid': UID,
    'partitionName': 'Microsoft.Default',
    'firstTimestamp': '2026-01-31T08:00:00.0000000Z',
    'lastTimestamp': '2026-01-31T08:10:00.1234567Z',
    'firstSequence': 7,
    'lastSequence': 1300,
    'events': 1200,
    'created': 1200,
    'updated': 0,
    'deleted': 0,
    'instances': 1200,
    'series': 12,
    'stable': True,
}
ONE_SERIES = {**STUDY, 'seriesInstanceUid': UID + '.2'}
ROWS = pytest.mark.parametrize(
    ('form', 'row'), [(EVENTS, EVENT), (STUDIES, STUDY), (SERIES, ONE_SERIES)], ids=['event', 'study', 'series']
)


@ROWS
@pytest.mark.parametrize('columns', [80, 132, 300], ids=str)
def test_row_of_fixed_widths_fits_the_terminal(columns: int, form: TableForm, row: Any) -> None:
    table = FixedTable(form, columns=columns)
    assert max(len(table.header), len(table.row(row))) <= columns


@ROWS
@pytest.mark.parametrize('columns', [80, 132, 300], ids=str)
def test_list_fits_the_terminal(columns: int, form: TableForm, row: Any) -> None:
    (cells,) = changefeed_table([row], columns=columns)
    assert sum(max(len(title) + 2, len(text)) + 2 for title, text in cells.items()) - 2 <= columns


def test_study_has_its_times_to_the_second_and_no_default_partition() -> None:
    assert changefeed_table([STUDY]) == [
        {
            'Study': UID,
            'Series': '12',
            'Instances': '1200',
            'First': '2026-01-31T08:00:00Z',
            'Last': '2026-01-31T08:10:00Z',
        }
    ]


def test_study_of_another_partition_shows_it() -> None:
    rows = changefeed_table([STUDY, {**STUDY, 'partitionName': 'research\x1b'}])
    assert [row['Partition'] for row in rows] == ['', 'research\\x1b']


def test_first_time_gives_way_where_a_uid_could_not_be_told_any_more() -> None:
    assert list(changefeed_table([STUDY], columns=80)[0]) == ['Study', 'Series', 'Instances', 'Last']
    assert list(changefeed_table([STUDY], columns=132)[0]) == ['Study', 'Series', 'Instances', 'First', 'Last']


def test_table_of_nothing_and_of_an_odd_event() -> None:
    assert changefeed_table([], columns=80) == []
    (row,) = changefeed_table({'Sequence': 1, 'timestamp': 'soon'}, columns=80)
    assert (row['Sequence'], row['Timestamp'], row['Study']) == ('1', 'soon', '')
