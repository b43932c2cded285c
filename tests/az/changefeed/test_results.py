"""What az prints itself: one event, a list, counts; and that a list costs no more than it shows."""

from __future__ import annotations

from typing import Any

import pytest
from azure.cli.core.azclierror import ResourceNotFoundError

from azext_dicomtoken.changefeed.results import result_of
from tests.az.changefeed.conftest import OpenSession
from tests.feed.world import World


def sequences(result: Any) -> list[int]:
    return [event['sequence'] for event in result]


def test_list_is_cut_and_says_so(open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.create_now(7)
    assert sequences(result_of(open_session(max_items=3))) == [1, 2, 3]
    said = capsys.readouterr().err
    assert said.startswith('There are more events than the 3 listed. Go on with:\n') and '--next-token' in said


@pytest.mark.parametrize('options', [{'max_items': 7}, {'tail': 7}, {}], ids=str)
def test_list_that_is_whole_says_nothing(
    options: Any, open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.create_now(7)
    assert sequences(result_of(open_session(**options))) == [1, 2, 3, 4, 5, 6, 7]
    assert capsys.readouterr().err == ''


@pytest.mark.parametrize('start', [{}, {'start_time': '2026-01-31'}], ids=['by sequence', 'by time'])
def test_list_with_metadata_reads_the_metadata_of_what_it_shows_and_one_more(
    start: Any, open_session: OpenSession, world: World
) -> None:
    world.create_now(50)
    events = result_of(open_session(max_items=3, include_metadata=True, **start))
    assert sequences(events) == [1, 2, 3] and all('metadata' in event for event in events)
    with_metadata = [request for request in world.journal.requests if 'includemetadata=true' in request.query.lower()]
    assert ['limit=4' in request.query for request in with_metadata] == [True]


def test_tail_longer_than_a_list_is_whole(open_session: OpenSession, world: World) -> None:
    world.create_now(150)
    assert sequences(result_of(open_session(tail=120))) == list(range(31, 151))


def test_latest_is_the_newest_event_that_passes(open_session: OpenSession, world: World) -> None:
    world.create_now(3)
    assert result_of(open_session(latest=True))['sequence'] == 3
    assert result_of(open_session(latest=True, filters={'action': ('create',)}))['sequence'] == 3
    assert result_of(open_session(latest=True, filters={'action': ('Delete',)})) is None


def test_latest_of_an_empty_feed_is_nothing(open_session: OpenSession) -> None:
    assert result_of(open_session(latest=True)) is None


def test_sequence_is_one_event_or_an_error(open_session: OpenSession, world: World) -> None:
    world.create_now(3)
    assert result_of(open_session(sequence=2))['sequence'] == 2
    with pytest.raises(ResourceNotFoundError):
        result_of(open_session(sequence=4))


@pytest.mark.parametrize('start', [{}, {'start_time': '2026-01-31'}], ids=['by sequence', 'by time'])
def test_counts_are_of_everything(start: Any, open_session: OpenSession, world: World) -> None:
    world.create_now(150)
    (row,) = result_of(open_session(count_by='hour', **start))
    assert (row['hour'], row['created'], row['events']) == ('2026-01-31T12:00Z', 150, 150)
