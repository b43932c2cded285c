"""Which events are wanted."""

from __future__ import annotations

import json

import pytest

from dicomfeed.events import Event, decode_page
from dicomfeed.filters import Filters

FEED = [
    {
        'sequence': 1,
        'action': 'Create',
        'state': 'Replaced',
        'studyInstanceUid': '1.2',
        'seriesInstanceUid': '1.2.1',
        'sopInstanceUid': '1.2.1.1',
        'partitionName': 'Microsoft.Default',
    },
    {
        'sequence': 2,
        'action': 'update',
        'state': 'current',
        'studyInstanceUid': '1.2',
        'seriesInstanceUid': '1.2.1',
        'sopInstanceUid': '1.2.1.1',
        'partitionName': 'clinic',
    },
    {
        'Sequence': 3,
        'Action': 'Delete',
        'State': 'Deleted',
        'StudyInstanceUid': '1.20',
        'SeriesInstanceUid': '1.20.1',
        'SopInstanceUid': '1.20.1.1',
    },
]


def feed() -> list[Event]:
    return decode_page(json.dumps([entry | {'timestamp': '2024-05-01T10:20:30+00:00'} for entry in FEED]).encode())


@pytest.mark.parametrize(
    ('filters', 'sequences'),
    [
        (Filters(), [1, 2, 3]),
        (Filters(action=('create',)), [1]),
        (Filters(action=('CREATE', 'Delete')), [1, 3]),
        (Filters(state=('Current',)), [2]),
        (Filters(study_instance_uid=('1.2',)), [1, 2]),
        (Filters(study_instance_uid=('1.2', '1.20')), [1, 2, 3]),
        (Filters(series_instance_uid=('1.20.1',)), [3]),
        (Filters(sop_instance_uid=('1.20.1.1',)), [3]),
        (Filters(partition_name=('clinic',)), [2]),
        (Filters(partition_name=('Clinic',)), []),
        (Filters(action=('create', 'update'), partition_name=('Microsoft.Default',)), [1]),
        (Filters(action=('delete',), state=('current',)), []),
        (Filters(action=('bulk',)), []),
    ],
    ids=[
        'none',
        'action',
        'actions',
        'state',
        'study',
        'studies',
        'series',
        'instance',
        'partition',
        'case of a name counts',
        'several properties',
        'nothing has both',
        'unknown value',
    ],
)
def test_filters_let_pass_what_has_all_properties(filters: Filters, sequences: list[int]) -> None:
    assert [event.sequence for event in filters.passing(feed())] == sequences


def test_event_without_the_property_passes_no_filter_for_it() -> None:
    assert Filters(partition_name=('None', '')).passing(feed()) == []


def test_filters_that_mean_the_same_are_equal() -> None:
    one, other = Filters(action=('Create', 'delete')), Filters(action=('DELETE', 'create', 'Create'))
    assert one.as_dict() == other.as_dict() == {'action': ['create', 'delete']}


def test_filters_are_named_as_the_service_names_properties() -> None:
    filters = Filters(
        study_instance_uid=('1',),
        series_instance_uid=('2',),
        sop_instance_uid=('3',),
        partition_name=('p',),
        action=('a',),
        state=('s',),
    )
    assert set(filters.as_dict()) == {
        'studyInstanceUid',
        'seriesInstanceUid',
        'sopInstanceUid',
        'partitionName',
        'action',
        'state',
    }


def test_no_values_are_no_filter() -> None:
    assert Filters().is_empty
    assert not Filters(state=('Current',)).is_empty
