"""Counts as a table with bars."""

from __future__ import annotations

import pytest

from azext_dicomtoken._format import counts_table


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
