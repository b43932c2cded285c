"""Conditions FIELD=VALUE: typed, in a file, together, as a hash; and that no error shows a value."""

from __future__ import annotations

import io
import json
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from dicomfeed.conditions import (
    LARGEST_FILE_BYTES,
    MOST_CONDITIONS,
    Condition,
    Conditions,
    parse_conditions,
    read_conditions,
)
from dicomfeed.tags import FieldRefused, Reason

METADATA: dict[str, Any] = {
    '00080060': {'vr': 'CS', 'Value': ['CT']},
    '00080008': {'vr': 'CS', 'Value': ['ORIGINAL', None, 'PRIMARY']},
    '00100020': {'vr': 'LO', 'Value': ['PID-1']},
    '00100040': {'vr': 'CS'},
    '00091001': {'vr': 'DS', 'Value': [1.50]},
    '00091002': {'vr': 'SQ', 'Value': [{'00091003': {'vr': 'LO', 'Value': ['x']}}]},
    '00400275': {
        'vr': 'SQ',
        'Value': [
            {'00400009': {'vr': 'SH', 'Value': ['A']}, '00400007': {'vr': 'LO', 'Value': ['Chest']}},
            None,
            {
                '00400009': {'vr': 'SH', 'Value': ['B']},
                '00400007': {'vr': 'LO', 'Value': ['Head']},
                '00400008': {
                    'vr': 'SQ',
                    'Value': [
                        {'00080100': {'vr': 'SH', 'Value': ['1']}, '00080102': {'vr': 'SH', 'Value': ['X']}},
                        {'00080100': {'vr': 'SH', 'Value': ['2']}, '00080102': {'vr': 'SH', 'Value': ['Y']}},
                    ],
                },
            },
        ],
    },
}
STEP = 'RequestAttributesSequence.ScheduledProcedureStepID'
TEXT = 'RequestAttributesSequence.ScheduledProcedureStepDescription'
CODE = 'RequestAttributesSequence.ScheduledProtocolCodeSequence'


def attributes(metadata: dict[str, Any] = METADATA) -> dict[str, bytes]:
    return {tag: json.dumps(value).encode() for tag, value in metadata.items()}


def conditions(*texts: str) -> Conditions:
    return Conditions(tuple(parse_conditions(texts)))


MET = {
    'none': [],
    'one': ['Modality=ct'],
    'several values': ['Modality=MR', 'modality = CT ', '00080060=PT'],
    'several fields': ['Modality=CT', 'PatientID=PID-?'],
    'any value of several': ['ImageType=PRIMARY'],
    'any value': ['PatientID=*'],
    'equals sign in a value': ['PatientID=PID=1', 'PatientID=PID-1'],
    'VR that the service wrote': ['00091001=1.5'],
    'in a private sequence': ['00091002.00091003=x'],
    'in a sequence': [f'{STEP}=B'],
    'one item has both': [f'{STEP}=B', f'{TEXT}=Head'],
    'one item has one of each': [f'{STEP}=A', f'{STEP}=B', f'{TEXT}=*e*'],
    'deeper': [f'{CODE}.CodeValue=2', f'{CODE}.CodingSchemeDesignator=Y', f'{TEXT}=Head'],
}
UNMET = {
    'one': ['Modality=MR'],
    'one of two': ['Modality=CT', 'PatientID=PID-2'],
    'empty attribute': ['PatientSex=*'],
    'missing attribute': ['PatientName=*'],
    'private text': ['00091001=1.5x'],
    'private sequence as a value': ['00091002=*'],
    'value as a sequence': ['00091001.00091003=*'],
    'missing in a sequence': ['RequestAttributesSequence.RequestedProcedureID=*'],
    'two items have one each': [f'{STEP}=A', f'{TEXT}=Head'],
    'two deeper items have one each': [f'{CODE}.CodeValue=1', f'{CODE}.CodingSchemeDesignator=Y'],
    'another item than the deeper one': [f'{CODE}.CodeValue=2', f'{STEP}=A'],
}


@pytest.mark.parametrize('texts', MET.values(), ids=MET)
def test_conditions_are_met(texts: list[str]) -> None:
    assert conditions(*texts).match(attributes())
    assert conditions(*texts).is_empty == (not texts)


@pytest.mark.parametrize('texts', UNMET.values(), ids=UNMET)
def test_conditions_are_not_met(texts: list[str]) -> None:
    assert not conditions(*texts).match(attributes())


@pytest.mark.parametrize(
    'element',
    [
        1,
        [],
        {},
        {'vr': 'CS', 'Value': 'CT'},
        {'Value': ['CT']},
        {'vr': 1, 'Value': ['CT']},
        {'vr': 'OB', 'Value': ['CT']},
    ],
    ids=repr,
)
def test_attribute_of_another_form_meets_nothing(element: Any) -> None:
    assert not conditions('Modality=*').match(attributes({'00080060': element}))


def test_conditions_name_what_they_need() -> None:
    wanted = conditions('Modality=CT', 'modality=MR', f'{STEP}=A')
    assert wanted.tags == {'00080060', '00400275'}
    assert wanted.paths == ['00080060', '00400275.00400009']


SALT = b'salt'


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        (['Modality=CT', 'PatientID=1'], ['patientid = 1', '(0008,0060)=ct']),
        (['Modality=CT', 'Modality=MR'], ['Modality=MR', 'Modality=CT', 'Modality=mr']),
        (['PatientName=DOE^JOHN^^'], ['PatientName=doe^john']),
        (['SliceThickness=1.50'], ['SliceThickness=1.5']),
        (['Modality=CT', 'Modality=*'], ['Modality=*']),
        (['00091001=a**'], ['00091001=a*']),
    ],
    ids=['order', 'several values', 'name', 'number', 'any value', 'private'],
)
def test_conditions_that_mean_the_same_have_one_digest(one: list[str], other: list[str]) -> None:
    assert conditions(*one).condition_digest(SALT) == conditions(*other).condition_digest(SALT)


def test_digest_tells_conditions_and_salts_apart() -> None:
    digests = [
        conditions(*texts).condition_digest(salt)
        for texts, salt in [
            (['PatientID=1'], SALT),
            (['PatientID=1'], b'other'),
            (['PatientID=2'], SALT),
            (['StudyID=1'], SALT),
            (['PatientID=1', 'PatientID=2'], SALT),
            ([], SALT),
        ]
    ]
    assert len(set(digests)) == len(digests)
    assert {len(digest) for digest in digests} == {64}


FILES = {
    'plain': b'Modality=CT\nPatientID=PID-1\n',
    'no line feed at the end': b'Modality=CT\nPatientID=PID-1',
    'CRLF and byte order mark': b'\xef\xbb\xbfModality=CT\r\nPatientID=PID-1\r\n',
    'blanks, empty lines and comments': b'\n# cohort\n  Modality=CT \t\n\t# more\r\n\r\nPatientID = PID-1\n\n',
}


@pytest.mark.parametrize('data', FILES.values(), ids=FILES)
def test_file_has_a_condition_in_each_line(data: bytes) -> None:
    assert read_conditions(io.BytesIO(data)) == parse_conditions(['Modality=CT', 'PatientID=PID-1'])


def test_file_is_taken_as_it_is() -> None:
    data = 'PatientID="#1" # no comment\nPatientName=山田\u2028太郎\n'.encode()
    assert [condition.value for condition in read_conditions(io.BytesIO(data))] == [
        '"#1" # no comment',
        '山田\u2028太郎',
    ]


def test_file_of_nothing_has_no_conditions() -> None:
    assert read_conditions(io.BytesIO(b'')) == read_conditions(io.BytesIO(b'# nothing\n')) == []


def test_thousands_of_conditions_are_read_and_met() -> None:
    data = b''.join(b'PatientID=PID-%d\n' % number for number in range(20_000, 0, -1))
    wanted = Conditions(tuple(read_conditions(io.BytesIO(data))))
    assert wanted.match(attributes())


REFUSED = {
    'no equals sign': ('SECRET', Reason.NO_EQUALS_SIGN),
    'unknown keyword': ('PatientNmae=SECRET', Reason.UNKNOWN_KEYWORD),
    'the wrong way round': ('SECRET=PatientID', Reason.UNKNOWN_KEYWORD),
    'no keyword at all': ('SECRET^JOHN=PatientName', Reason.NOT_A_FIELD),
    'no field': ('=SECRET', Reason.NOT_A_FIELD),
    'no value': ('PatientID= ', Reason.NO_VALUE),
    'line break': ('PatientID=SECRET\nPatientID=2', Reason.LINE_BREAK),
    'carriage return': ('PatientID=SECRET\rPatientID=2', Reason.LINE_BREAK),
    'long value': ('PatientID=SECRET' + 'x' * 5_000, Reason.TOO_LONG),
    'all': ('all=SECRET', Reason.ALL),
    'sequence': ('RequestAttributesSequence=SECRET', Reason.SEQUENCE),
    'sequence has a value': ('RequestAttributesSequence=*', Reason.SEQUENCE),
    'binary': ('PixelData=SECRET', Reason.BULK),
    'search': ('ModalitiesInStudy=SECRET', Reason.COMPUTED),
    'number': ('SeriesNumber=SECRET', Reason.NOT_A_NUMBER),
    'date': ('PatientBirthDate=SECRET-', Reason.NOT_A_DATE),
    'time': ('StudyTime=SECRET', Reason.NOT_A_TIME),
    'date and time': ('AcquisitionDateTime=SECRET', Reason.NOT_A_DATE_TIME),
    'name': ('PatientName=SECRET=b=c=d', Reason.NOT_A_NAME),
}


def refusal(call: Callable[[], object]) -> tuple[FieldRefused, str]:
    """The error, and all that a traceback of it can show of the reader: causes, and the locals of its frames."""
    with pytest.raises(FieldRefused) as refused:
        call()
    shown = traceback.TracebackException.from_exception(refused.value, capture_locals=True)
    frames = [frame for frame in shown.stack if '/dicomfeed/' in frame.filename.replace('\\', '/')]
    assert frames and refused.value.__context__ is refused.value.__cause__ is None
    return refused.value, repr(refused.value) + ''.join(shown.format_exception_only()) + repr(
        [f.locals for f in frames]
    )


@pytest.mark.parametrize(('text', 'reason'), REFUSED.values(), ids=REFUSED)
def test_condition_that_can_never_match_is_named_by_its_position(text: str, reason: Reason) -> None:
    error, shown = refusal(lambda: parse_conditions(['PatientID=SECRET-0', text, 'PatientID=SECRET-3']))
    assert (error.reason, error.kind, error.position) == (reason, 'Condition', 2)
    assert str(error) == f'Condition 2: {reason.value}.'
    assert 'SECRET' not in shown


@pytest.mark.parametrize('end', ['\n', '\r\n'], ids=['LF', 'CRLF'])
def test_condition_in_a_file_is_named_by_its_line(end: str) -> None:
    data = end.join(['# cohort', 'PatientID=SECRET-1', '', 'PatientNmae=SECRET-2']).encode()
    error, shown = refusal(lambda: read_conditions(io.BytesIO(data)))
    assert (error.reason, error.kind, error.position) == (Reason.UNKNOWN_KEYWORD, 'Line', 4)
    assert 'PatientName' in error.similar
    assert 'SECRET' not in shown


class Endless(io.RawIOBase):
    """A file that says SECRET for ever, and counts what is read of it."""

    taken = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0
        self.taken += size
        return b'SECRET=1\n'.ljust(size, b'\n')


BAD_FILES = {
    'Latin-1': (b'PatientID=SECRET\xe9', Reason.NOT_UTF8),
    'UTF-16': ('PatientID=SECRET'.encode('utf-16'), Reason.NOT_UTF8),
    'surrogates': (b'PatientID=SECRET\xed\xa0\x80', Reason.NOT_UTF8),
}


@pytest.mark.parametrize(('data', 'reason'), BAD_FILES.values(), ids=BAD_FILES)
def test_file_in_another_encoding_is_refused(data: bytes, reason: Reason) -> None:
    error, shown = refusal(lambda: read_conditions(io.BytesIO(data)))
    assert (error.reason, error.kind, error.position) == (reason, 'File', 0)
    assert 'SECRET' not in shown


def test_file_without_end_is_refused() -> None:
    file = Endless()
    error, shown = refusal(lambda: read_conditions(file))  # type: ignore[arg-type]
    assert error.reason is Reason.TOO_MANY and file.taken == LARGEST_FILE_BYTES + 1
    assert 'SECRET' not in shown


def test_more_conditions_than_bearable_are_refused() -> None:
    error, _ = refusal(lambda: parse_conditions('PatientID=1' for _ in range(MOST_CONDITIONS + 1)))
    assert (error.reason, error.position) == (Reason.TOO_MANY, MOST_CONDITIONS + 1)


def test_repr_shows_no_value() -> None:
    wanted = conditions('PatientID=SECRET', 'PatientName=SECRET*')
    wanted.match(attributes())
    assert 'SECRET' not in repr(wanted) + repr(wanted.conditions) + repr(vars(wanted))
    assert repr(Condition(('00100020',), 'SECRET', ('LO',))) == "Condition(path=('00100020',), vrs=('LO',))"


@pytest.mark.parametrize(
    'element', [b'{"vr":"LO","vr":"SH","Value":["PID-1"]}', b'{"vr":"LO","Value":["PID-1"]', b'[' * 100_000]
)
def test_attribute_that_is_broken_raises(element: bytes) -> None:
    with pytest.raises(ValueError) as refused:
        conditions('PatientID=PID-1').match({'00100020': element})
    assert refused.value.__context__ is None
