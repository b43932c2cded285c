"""What is made of an event whose metadata were read: its line, its verdict, and what has no business in either.

Which of two reads counts: `test_two_reads.py`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from dicomfeed.attributes import parse_fields
from dicomfeed.choice import MetadataChoice
from dicomfeed.conditions import Conditions, parse_conditions
from dicomfeed.events import Event, Verdict, decode_page

METADATA = {
    '00080060': {'vr': 'CS', 'Value': ['CT']},
    '00100010': {'vr': 'PN', 'Value': [{'Alphabetic': 'Secret^Patient'}]},
    '00100020': {'vr': 'LO', 'Value': ['SECRET-1']},
}
MODALITY = {'00080060': METADATA['00080060']}
KNOWN = {
    'sequence': 7,
    'studyInstanceUid': '1.2',
    'action': 'Create',
    'timestamp': '2024-05-01T10:20:30+00:00',
    'state': 'Current',
}


def event(metadata: Any = METADATA, **properties: Any) -> Event:
    (found,) = decode_page(json.dumps([KNOWN | properties | ({'metadata': metadata} if metadata else {})]).encode())
    return found


def conditions(*texts: str) -> Conditions:
    return Conditions(tuple(parse_conditions(texts)))


def choice(*fields: str, match: tuple[str, ...] = (), whole: bool = False) -> MetadataChoice:
    return MetadataChoice(whole, parse_fields(fields) if fields else None, conditions(*match) if match else None)


def applied(chosen: MetadataChoice, read: Event) -> tuple[Any, Verdict | None]:
    (made,) = chosen.applied([read])
    assert made.decode_properties() == {name: value for name, value in made.decode().items() if name != 'metadata'}
    return made.decode(), made.verdict


def test_all_metadata_without_conditions_leave_the_line_as_it_came() -> None:
    read = event(extra=1.50)
    assert choice(whole=True).applied([read]) == [read]


@pytest.mark.parametrize(
    ('chosen', 'line', 'verdict'),
    [
        (choice('Modality'), KNOWN | {'metadata': MODALITY}, None),
        (choice('PatientWeight'), KNOWN | {'metadata': {}}, None),
        (choice(match=('Modality=CT',)), KNOWN, Verdict.MATCHES),
        (choice('Modality', match=('PatientID=SECRET*',)), KNOWN | {'metadata': MODALITY}, Verdict.MATCHES),
        (
            choice(match=('Modality=CT',), whole=True),
            KNOWN | {'patientName': 'x', 'metadata': METADATA},
            Verdict.MATCHES,
        ),
    ],
    ids=['field', 'field it lacks', 'matches', 'field and matches', 'all and matches'],
)
def test_line_has_what_was_asked_for_and_no_other_property(
    chosen: MetadataChoice, line: dict[str, Any], verdict: Verdict | None
) -> None:
    assert applied(chosen, event(patientName='x')) == (line, verdict)


@pytest.mark.parametrize(
    'chosen',
    [
        choice(match=('Modality=MR',)),
        choice('Modality', match=('Modality=MR',)),
        choice(match=('Modality=MR',), whole=True),
    ],
    ids=['match', 'field', 'all'],
)
def test_event_that_differs_keeps_no_metadata(chosen: MetadataChoice) -> None:
    assert applied(chosen, event()) == (KNOWN, Verdict.DIFFERS)


@pytest.mark.parametrize('metadata', [None, METADATA], ids=['without metadata', 'with metadata all the same'])
@pytest.mark.parametrize(
    ('chosen', 'verdict'),
    [
        (choice('Modality'), None),
        (choice(match=('Modality=CT',)), Verdict.DELETED),
        (choice('Modality', match=('Modality=CT',)), Verdict.DELETED),
    ],
    ids=['field', 'match', 'both'],
)
def test_instance_that_is_deleted_has_no_attributes(
    chosen: MetadataChoice, verdict: Verdict | None, metadata: Any
) -> None:
    gone = event(metadata, state='deleted', patientName='x')
    assert applied(chosen, gone) == (KNOWN | {'state': 'deleted'}, verdict)


@pytest.mark.parametrize(
    'bad',
    [
        event(None),
        event({'00080060': 'CT'}),
        decode_page(b'[{"sequence":7,"timestamp":"2024-05-01T10:20:30Z","metadata":{"00080060":{},"00080060":{}}}]')[0],
    ],
    ids=['none', 'no attribute', 'twice'],
)
def test_metadata_that_can_be_read_in_two_ways_or_none_are_refused(bad: Event) -> None:
    with pytest.raises(ValueError, match=r'\w'):
        choice(match=('Modality=CT',)).applied([bad])


@pytest.mark.parametrize(
    ('chosen', 'line', 'verdict'),
    [
        (choice('Modality'), KNOWN, None),
        (choice(match=('Modality=CT',)), KNOWN, Verdict.UNREADABLE),
        (choice(whole=True), KNOWN | {'patientName': 'x'}, None),
        (choice(match=('Modality=CT',), whole=True), KNOWN | {'patientName': 'x'}, Verdict.UNREADABLE),
    ],
    ids=['field', 'match', 'all', 'all and match'],
)
def test_event_that_cannot_be_read_keeps_what_is_known(
    chosen: MetadataChoice, line: dict[str, Any], verdict: Verdict | None
) -> None:
    made = chosen.without_metadata(event(None, patientName='x'), Verdict.UNREADABLE)
    assert (made.decode(), made.verdict) == (line, verdict)


@pytest.mark.parametrize(
    ('chosen', 'needs'),
    [
        (choice(), False),
        (choice(whole=True), True),
        (choice('Modality'), True),
        (choice(match=('Modality=CT',)), True),
    ],
    ids=['nothing', 'all', 'field', 'match'],
)
def test_metadata_are_needed_where_anything_of_them_is(chosen: MetadataChoice, needs: bool) -> None:
    assert chosen.needs_metadata is needs


def test_no_repr_shows_a_wanted_value() -> None:
    assert 'SECRET' not in repr(choice(match=('PatientID=SECRET-1',)))
