"""What az prints itself: one event, a list, counts; and that a list costs no more than it shows."""

from __future__ import annotations

from typing import Any

import pytest
from azure.cli.core.azclierror import InvalidArgumentValueError, ResourceNotFoundError

from azext_dicomtoken._json import dumps
from azext_dicomtoken.changefeed.results import result_of
from tests.az.changefeed.conftest import FakeCli, OpenSession
from tests.emulator.sample import sample_feed
from tests.feed.world import World


def sequences(result: Any) -> list[int]:
    return [event['sequence'] for event in result]


def test_list_is_cut_and_says_so(open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.create_now(7)
    assert sequences(result_of(open_session(max_items=3))) == [1, 2, 3]
    said = capsys.readouterr().err
    assert said.startswith('There are more events than the 3 listed. Continue with:\n') and '--next-token' in said


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


@pytest.mark.parametrize('start', [{}, {'start_time': '2026-01-31'}], ids=['by sequence', 'by time'])
def test_l3_query_reads_everything(
    start: Any, open_session: OpenSession, world: World, cli: FakeCli, capsys: pytest.CaptureFixture[str]
) -> None:
    world.create_now(250)
    cli.search('length(@)')
    assert result_of(open_session(**start)) == 250
    assert '--next-token' not in capsys.readouterr().err


@pytest.mark.parametrize(
    ('options', 'events'), [({'max_items': 3}, 3), ({'tail': 3}, 3), ({'max_items': 100}, 100)], ids=str
)
def test_l3_query_on_a_typed_number_of_events_reads_no_more(
    options: Any, events: int, open_session: OpenSession, world: World, cli: FakeCli
) -> None:
    world.create_now(150)
    cli.search('length(@)')
    assert result_of(open_session(**options)) == events


@pytest.mark.parametrize(
    ('options', 'most'),
    [
        ({}, 10_000),
        ({'include_metadata': True}, 1_000),
        ({'include_field': ['Modality']}, 1_000),
        ({'match': ['SOPInstanceUID=*']}, 1_000),
        ({'filters': {'action': ('Create',)}}, 10_000),
    ],
    ids=['plain', 'metadata', 'field', 'match', 'filter'],
)
def test_l3_query_on_more_than_that_is_an_error(
    options: Any, most: int, open_session: OpenSession, world: World, cli: FakeCli
) -> None:
    world.store.load(sample_feed(most, end_ticks=world.clock.now(), metadata=False))
    cli.search('length(@)')
    if 'filters' not in options:
        assert result_of(open_session(**options)) == most
    world.create_now(most if 'filters' in options else 1)
    with pytest.raises(InvalidArgumentValueError, match=f'more than {most:,}') as caught:
        result_of(open_session(**options))
    assert all(name in caught.value.recommendations[0] for name in ('--max-items', '--stream', '--count-by'))


@pytest.mark.parametrize('options', [{}, {'max_items': 4}, {'count_by': 'hour'}, {'after_sequence': 1}], ids=str)
def test_l4_list_and_counts_say_through_where_they_are_complete(
    options: Any, open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.create_now(2)
    world.writer()
    world.create_now(2)
    result_of(open_session(**options))
    assert 'Complete through sequence number 2: ' in capsys.readouterr().err


def test_l4_list_that_ends_below_an_open_gap_is_complete(
    open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.create_now(2)
    world.writer()
    world.create_now(2)
    result_of(open_session(max_items=2))
    assert 'Complete through' not in capsys.readouterr().err


@pytest.mark.parametrize('options', [{}, {'count_by': 'hour'}], ids=str)
def test_l4_window_says_that_its_end_is_not_settled(
    options: Any, open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.create_now(5)
    result_of(open_session(start_time='2026-01-31', **options))
    assert capsys.readouterr().err.startswith('Settled through 2026-01-31T11:5')


def test_l4_settled_window_says_nothing(
    open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.create_now(5)
    world.pass_time(3_600)
    assert len(result_of(open_session(start_time='2026-01-31', end_time='2026-01-31T12:30:00Z'))) == 5
    assert capsys.readouterr().err == ''


def test_l19_hint_names_the_typed_service(open_session: OpenSession, world: World) -> None:
    world.create_now(1)
    with pytest.raises(ResourceNotFoundError) as caught:
        result_of(open_session(sequence=4, service_url='https://a-b.dicom.azurehealthcareapis.com', tenant='contoso'))
    assert caught.value.recommendations[0].endswith(
        'az dicom changefeed --latest --service-url https://a-b.dicom.azurehealthcareapis.com --tenant contoso'
    )


def test_l17_numbers_of_a_list_are_as_the_service_wrote_them(open_session: OpenSession, world: World) -> None:
    world.store.create(metadata='{"a": {"Value": [1e400, 0.1234567890123456789]}}')
    (event,) = result_of(open_session(include_metadata=True))
    assert dumps(event['metadata']['a']['Value']) == '[1e400, 0.1234567890123456789]'


def test_tail_longer_than_a_list_is_whole(open_session: OpenSession, world: World) -> None:
    world.create_now(150)
    assert sequences(result_of(open_session(tail=120))) == list(range(31, 151))


def stored(world: World, *modalities: str) -> None:
    for modality in modalities:
        name = '"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Secret^Patient"}]}'
        world.store.create(metadata=f'{{"00080060": {{"vr": "CS", "Value": ["{modality}"]}}, {name}}}')


STARTS = pytest.mark.parametrize('start', [{}, {'start_time': '2026-01-31'}], ids=['by sequence', 'by time'])


@STARTS
def test_list_of_events_that_match_continues_without_the_values(
    start: Any, open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(world, *(['MR', 'CT', 'MR'] * 4))
    match = ['Modality=CT', 'PatientName=Secret*']
    assert sequences(result_of(open_session(match=match, max_items=3, **start))) == [2, 5, 8]
    said = capsys.readouterr().err
    assert said.startswith('There are more events than the 3 listed. Continue with the same --match:\n')
    assert '--match SAME_CONDITIONS ' in said and 'Secret' not in said
    token = said.splitlines()[1].split()[-1]
    assert sequences(result_of(open_session(match=match, next_token=token))) == [11]


def pages_asked(world: World) -> int:
    return sum('limit=' in request.query and 'limit=1&' not in request.query for request in world.journal.requests)


def test_list_of_events_that_match_reads_ahead_but_where_it_continues(
    open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.create_now(1_000)
    match = ['SOPInstanceUID=*']
    assert len(result_of(open_session(match=match, max_items=3))) == 3
    ahead = pages_asked(world)
    world.journal.clear()
    token = capsys.readouterr().err.splitlines()[1].split()[-1]
    assert len(result_of(open_session(match=match, max_items=3, next_token=token))) == 3
    assert ahead > 4 > pages_asked(world)


@STARTS
def test_events_of_deleted_instances_before_the_end_of_a_list_are_said(
    start: Any, open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(world, *(['CT', 'MR'] * 6))
    for sequence in (3, 7):
        world.store.delete(world.store.event(sequence).instance.study)
    assert sequences(result_of(open_session(match=['Modality=CT'], max_items=2, **start))) == [1, 5]
    assert '1 event was left out because the instance is deleted' in capsys.readouterr().err
    assert sequences(result_of(open_session(match=['Modality=CT'], tail=1))) == [11]
    assert '2 events were left out' in capsys.readouterr().err


@STARTS
def test_list_of_studies_says_that_events_of_deleted_instances_do_not_match(
    start: Any, open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(world, 'CT', 'CT')
    world.store.delete(world.store.event(1).instance.study)
    world.pass_time(2_000.0)
    assert [row['events'] for row in result_of(open_session(match=['Modality=CT'], stable_after='10m', **start))] == [1]
    assert '2 events were left out because the instance is deleted' in capsys.readouterr().err


@pytest.mark.parametrize('how', [{'latest': True}, {'count_by': 'study'}], ids=str)
def test_newest_and_counts_are_of_events_that_match(
    how: Any, open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(world, 'CT', 'MR', 'CT')
    world.store.delete(world.store.event(3).instance.study)
    result = result_of(open_session(match=['Modality=CT'], **how))
    study = world.store.event(1).instance.study
    assert result['sequence'] == 1 if 'latest' in how else [row['study'] for row in result] == [study]
    assert '2 events were left out' in capsys.readouterr().err


def test_all_events_of_deleted_instances_above_the_newest_one_are_said(
    open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(world, *['CT'] * 121)
    for sequence in range(2, 122):
        world.store.delete(world.store.event(sequence).instance.study)
    assert result_of(open_session(match=['Modality=CT'], latest=True))['sequence'] == 1
    assert '240 events were left out' in capsys.readouterr().err


def test_listed_event_has_the_named_attributes_alone(open_session: OpenSession, world: World) -> None:
    stored(world, 'CT')
    (event,) = result_of(open_session(include_field=['modality']))
    assert event['metadata'] == {'00080060': {'vr': 'CS', 'Value': ['CT']}}
    assert result_of(open_session(include_field=['modality'], sequence=1)) == event
    assert result_of(open_session(include_field=['modality'], latest=True)) == event


@pytest.mark.parametrize('query', ['length([0].state.x)', 'abs([0].metadata."00100010".Value[0].Alphabetic)'])
def test_query_that_fails_says_which_function_and_no_value(
    query: str, open_session: OpenSession, world: World, cli: FakeCli
) -> None:
    stored(world, 'CT')
    cli.search(query)
    with pytest.raises(InvalidArgumentValueError, match='does not take a value of type') as caught:
        result_of(open_session(include_metadata=True))
    assert 'Secret' not in str(caught.value) + str(caught.value.recommendations)
    assert caught.value.__suppress_context__


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
