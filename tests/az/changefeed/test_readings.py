"""What a run reads, where it begins, and where another one continues."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from azext_dicomtoken.changefeed.readings import BySequence, ByTime, Newest, reading_of
from azext_dicomtoken.changefeed.resume import NextToken
from dicomfeed.checkpoint import Checkpoint, Question
from tests.az.changefeed.conftest import FakeCli, OpenSession
from tests.feed.world import URL, World, after, numbers

WINDOW = {'start_time': '2026-01-31T12:00:00Z', 'end_time': '2026-01-31T13:00:00Z'}


@pytest.mark.parametrize(
    ('options', 'kind'),
    [
        ({}, BySequence),
        ({'after_sequence': 3}, BySequence),
        ({'tail': 3}, Newest),
        ({'tail': 3, 'follow': True}, BySequence),
        (WINDOW, ByTime),
        ({'end_time': 'now'}, ByTime),
        ({'start_time': '1d', 'follow': True}, BySequence),
        ({'next_token': NextToken(1, 1, 2).encoded()}, ByTime),
        ({'next_token': NextToken(1, 1).encoded()}, BySequence),
    ],
    ids=str,
)
def test_reading_is_of_the_kind_that_was_asked_for(options: Any, kind: type, open_session: OpenSession) -> None:
    assert type(reading_of(open_session(**options))) is kind


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({'after_sequence': 3}, [4, 5]),
        ({'tail': 2}, [4, 5]),
        (WINDOW, [1, 2, 3, 4, 5]),
        ({'next_token': NextToken(2, 0).encoded()}, [3, 4, 5]),
        ({'next_token': NextToken(2, after(0), after(60)).encoded()}, [3, 4, 5]),
    ],
    ids=str,
)
@pytest.mark.parametrize('few', [None, 3], ids=['all', 'few'])
def test_lists_and_streams_read_the_same(
    options: Any, expected: list[int], few: int | None, open_session: OpenSession, world: World
) -> None:
    world.create_now(5)
    reading = reading_of(open_session(**options), at_most=few)
    assert [number for batch in reading.batches() for number in numbers([reading.passing(batch)])] == expected


@pytest.mark.parametrize('options', [{}, WINDOW], ids=['by sequence', 'by time'])
def test_few_events_are_read_in_small_pages_and_no_further(
    options: Any, open_session: OpenSession, world: World
) -> None:
    world.create_now(50)
    batches = filter(None, reading_of(open_session(**options), at_most=4).batches())
    assert numbers([next(batches)]) == [1, 2, 3, 4]
    asked = [parse_qs(request.query).get('limit') for request in world.journal.requests]
    limits = [int(limit[0]) for limit in asked if limit]
    assert max(limits) == 4 and limits.count(4) == 1


def test_filter_makes_pages_whole(open_session: OpenSession, world: World) -> None:
    world.create_now(50)
    session = open_session(filters={'action': ('Create',)})
    assert len(next(filter(None, reading_of(session, at_most=4).batches()))) == 50


def test_reading_continues_after_the_event_that_was_handled_last(open_session: OpenSession, world: World) -> None:
    world.create_now(5)
    reading = reading_of(open_session(after_sequence=1))
    (events,) = filter(None, reading.batches())
    assert reading.position(None) == NextToken(1, 0)
    assert reading.position(events[1]) == NextToken(3, after(0))
    assert [reading.fraction(None), reading.fraction(events[-1])] == [0, 1]


def test_window_continues_inside_a_group_of_equal_timestamps(open_session: OpenSession, world: World) -> None:
    world.create_now(5)
    reading = reading_of(open_session(**WINDOW))
    event = next(batch for batch in reading.batches() if batch)[1]
    position = reading.position(event)
    assert position == NextToken(2, after(0), after(3600))
    rest = reading_of(open_session(next_token=NextToken(*position or ()).encoded()))
    assert [event.sequence for batch in rest.batches() for event in rest.passing(batch)] == [3, 4, 5]


def test_reading_by_sequence_concludes_at_the_event_that_was_handled(open_session: OpenSession, world: World) -> None:
    world.create_now(5)
    session = open_session()
    reading = reading_of(session)
    (events,) = filter(None, reading.batches())
    reading.conclude(events[2])
    assert session.summary.complete_through == 3


def test_open_gap_is_said_where_it_is_passed(
    open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.create_now(2)
    world.writer()
    world.create_now(2)
    session = open_session()
    reading = reading_of(session)
    events = [event for batch in reading.batches() for event in batch]
    reading.conclude(events[-1])
    assert [event.sequence for event in events] == [1, 2, 4, 5]
    assert session.summary.complete_through == 2 and 'Complete through sequence number 2' in capsys.readouterr().err


def test_window_that_is_not_settled_says_through_where_it_is(open_session: OpenSession, world: World) -> None:
    world.create_now(2)
    session = open_session(**WINDOW)
    reading = reading_of(session)
    assert len([event for batch in reading.batches() for event in batch]) == 2
    reading.conclude(None)
    assert session.summary.settled_through is not None


def test_run_with_a_checkpoint_says_before_which_gap_it_ends(
    open_session: OpenSession, cli: FakeCli, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.only_show_errors = False
    world.create_now(3)
    world.store.burn(2)
    world.create_now(1)
    reading = BySequence(open_session(stream=True, checkpoint=str(tmp_path / 'checkpoint'), after_sequence=0))
    assert numbers(reading.batches()) == [1, 2, 3]
    reading.conclude(None)
    assert capsys.readouterr().err.startswith('Sequence number 4 is missing and may still appear')


def test_checkpoint_says_where_a_reading_begins(open_session: OpenSession, world: World, tmp_path: Path) -> None:
    world.create_now(5)
    session = open_session(stream=True, checkpoint=str(tmp_path / 'checkpoint'), start_time='2026-01-31T12:00:00Z')
    assert BySequence(session).since == after(0)
    resumed = reading_of(session, checkpoint=Checkpoint(Question(URL), sequence=4))
    assert numbers(resumed.batches()) == [5]
