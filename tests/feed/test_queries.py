"""What one request asks, whether an answer fits it, and how it is halved."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfeed.events import Event, decode_page
from dicomfeed.queries import SEQUENCE_LIMIT, TIME_LIMIT, Query, SequenceRange, TimeSlice
from dicomfeed.times import FIRST_TICK, LAST_TICK, Ticks, format_timestamp
from tests.feed.world import URL, World, after


def events(*sequences: int) -> list[Event]:
    return decode_page(
        json.dumps(
            [{'sequence': sequence, 'timestamp': '2024-05-01T10:20:30+00:00'} for sequence in sequences]
        ).encode()
    )


@pytest.mark.parametrize(
    'query',
    [
        SequenceRange(0),
        SequenceRange(0, 1),
        SequenceRange(2**63 - 1 - SEQUENCE_LIMIT - 1),
        SequenceRange(17, 100),
        TimeSlice(0, LAST_TICK),
        TimeSlice(0, 1, 0, 1),
        TimeSlice(LAST_TICK - 1, LAST_TICK, 2**62, TIME_LIMIT),
    ],
    ids=str,
)
def test_service_takes_every_query(query: Query) -> None:
    world = World()
    answer = world.get(f'{URL}/{query.path}', parameters=query.parameters, token='plain')
    assert (answer.status, answer.body) == (200, b'[]')


def test_time_is_asked_for_with_all_digits_in_utc() -> None:
    parameters = TimeSlice(after(0) + 1, after(1), 400, 200).parameters
    assert parameters == {
        'startTime': '2026-01-31T12:00:00.0000001Z',
        'endTime': '2026-01-31T12:00:01.0000000Z',
        'offset': '400',
        'limit': '200',
    }


def test_ends_of_time_are_left_out() -> None:
    assert TimeSlice(FIRST_TICK, LAST_TICK, 0, 1).parameters == {'offset': '0', 'limit': '1'}


@pytest.mark.parametrize(
    ('sequences', 'is_answer'),
    [
        ((), True),
        ((11,), True),
        ((20,), True),
        ((11, 15, 20), True),
        ((10,), False),
        ((21,), False),
        ((12, 11), False),
        ((11, 11), False),
    ],
    ids=str,
)
def test_range_is_answered_by_its_own_events_in_order(sequences: tuple[int, ...], is_answer: bool) -> None:
    assert SequenceRange(10, 10).answers(events(*sequences)) is is_answer


def rows(*places: tuple[Ticks, int]) -> list[Event]:
    """Events with those ticks after noon, and sequence numbers."""
    fields = [{'sequence': number, 'timestamp': format_timestamp(after(0) + ticks)} for ticks, number in places]
    return decode_page(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ('found', 'is_answer'),
    [
        ([], True),
        ([(0, 7)], True),
        ([(9, 7)], True),
        ([(3, 5), (3, 7), (4, 2)], True),
        ([(-1, 7)], False),
        ([(10, 7)], False),
        ([(4, 2), (3, 5)], False),
        ([(3, 7), (3, 5)], False),
        ([(3, 7), (3, 7)], False),
        ([(3, 7), (4, 7)], False),
        ([(1, 1), (2, 2), (3, 3), (4, 4)], False),
    ],
    ids=[
        'none',
        'at the start',
        'before the end',
        'in order',
        'before the start',
        'at the end',
        'times out of order',
        'numbers out of order',
        'a row twice',
        'a number twice',
        'too many',
    ],
)
def test_l6_slice_is_answered_by_its_own_rows_in_order(found: list[tuple[Ticks, int]], is_answer: bool) -> None:
    assert TimeSlice(after(0), after(0) + 10, 0, 3).answers(rows(*found)) is is_answer


@settings(max_examples=50)
@given(st.integers(0, 1_000), st.integers(1, 100))
def test_halves_of_a_range_tile_it(start: int, limit: int) -> None:
    assert tiles(SequenceRange(start, limit)) == [(number, 1) for number in range(start, start + limit)]


def tiles(query: SequenceRange) -> list[tuple[int, int]]:
    """Offset and limit of the single events that a query falls into."""
    halves = query.halves()
    if len(halves) == 1:
        assert halves == (query,)
        return [(int(query.parameters['offset']), int(query.parameters['limit']))]
    return [tile for half in halves for tile in tiles(half)]
