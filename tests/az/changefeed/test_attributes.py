"""Fields and conditions as they are typed or in a file, and what is said of one that is refused: never its value."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from azext_dicomtoken._invocation import Invocation
from azext_dicomtoken.changefeed import attributes
from azext_dicomtoken.changefeed.options import Options, checked
from dicomfeed.tags import Reason
from tests.az.changefeed.conftest import FakeCli
from tests.az.conftest import Az

SERVICE = ('--service-url', 'https://contoso-imaging.dicom.azurehealthcareapis.com')
SECRET = 'Secret^Patient'
CONDITIONS = {
    f'Nothing={SECRET}': ('there is no such keyword', 'by its tag'),
    f'PatientNam={SECRET}': ('there is no such keyword', 'Similar keywords: PatientName, '),
    f'Patient Name={SECRET}': ('it names no attribute', 'PatientID'),
    SECRET: ('there is no equals sign after the field', 'Modality=CT'),
    'PatientName=': ('the value is empty', 'FIELD=*'),
    'all=x': ('all attributes are not a field', '--include-metadata'),
    'RequestAttributesSequence=x': ('a sequence has no value', 'Sequence.Field=VALUE'),
    'PatientName.Modality=CT': ('is not a sequence', 'Sequence.Field'),
    f'PatientWeight={SECRET}': ('not a decimal number', '1.5'),
    f'StudyDate={SECRET}': ('not a date', '20240501-20240531'),
    f'SOPClassUID={SECRET}': ('not a UID', '1.2.840.10008'),
    f'ImageType=ORIGINAL\\{SECRET}': ('it is several values', 'a condition for each'),
    f'StudyTime={SECRET}': ('not a time', '0800-1200'),
    f'AcquisitionDateTime={SECRET}': ('not a date and time', 'A time may follow'),
    f'PatientName=a=b=c={SECRET}': ('three component groups', 'ALPHABETIC'),
    'PixelData=*': ('no binary attributes', 'WADO-RS'),
    'ModalitiesInStudy=CT': ('only the answer to a search', 'Modality in place of'),
    'TransferSyntaxUID=1.2': ('no attributes of that group', 'SOPClassUID'),
    'OverlayRows=1': ('repeating group', '60000010'),
    f'PatientName={SECRET}\nModality=CT\n': ('it has a line break', '--match-file'),
}
FIELDS = {
    'all': ('all attributes are not a field', '--include-metadata'),
    'PatientID,Modality': ('it names no attribute', 'Separate several by blanks'),
    'Modality\nPatientID': ('it names no attribute', 'Separate'),
    'PatientNam': ('there is no such keyword', 'Similar keywords: PatientName, '),
}


def options(**values: Any) -> Options:
    return checked(values, Invocation(FakeCli()))


def refused(az: Az, *words: str, stdin: str = '') -> tuple[str, str]:
    outcome = az('dicom', 'changefeed', *SERVICE, *words, stdin=stdin)
    assert (outcome.code, outcome.stdout) == (1, ''), outcome.stderr
    assert SECRET not in outcome.stderr and 'Secret' not in outcome.stderr
    error, advice = outcome.stderr.splitlines()
    return error, advice


@pytest.mark.parametrize('text', CONDITIONS, ids=range(len(CONDITIONS)))
def test_condition_that_can_never_match_is_refused_by_its_position(text: str, az: Az) -> None:
    reason, advice = CONDITIONS[text]
    error, advised = refused(az, '--match', 'Modality=CT', '--match', text, 'PatientID=x')
    assert error.startswith('ERROR: Condition 2 of --match cannot be used: ') and reason in error
    assert advice in advised


@pytest.mark.parametrize('text', FIELDS, ids=range(len(FIELDS)))
def test_field_that_is_none_is_refused_by_its_position(text: str, az: Az) -> None:
    reason, advice = FIELDS[text]
    error, advised = refused(az, '--include-field', 'Modality', text)
    assert error.startswith('ERROR: Field 2 of --include-field cannot be used: ') and reason in error
    assert advice in advised


@pytest.mark.parametrize('reason', Reason)
def test_every_reason_has_its_advice(reason: Reason) -> None:
    assert reason is Reason.LINE_BREAK or attributes._ADVICE[reason.name].endswith('.')


@pytest.mark.parametrize(
    'data',
    [
        b'Modality=CT\nPatientName=Secret^Patient\n',
        b'\xef\xbb\xbfModality=CT\r\nPatientName=Secret^Patient\r\n',
        b'# a comment\n\n  Modality=CT  \n\tPatientName=Secret^Patient',
    ],
    ids=['plain', 'BOM and CRLF', 'comment and blanks'],
)
def test_file_has_a_condition_in_each_line(data: bytes, tmp_path: Path) -> None:
    (tmp_path / 'conditions').write_bytes(data)
    meant = options(match_file=str(tmp_path / 'conditions')).conditions
    assert meant is not None and meant.condition_digest(b'') == typed('Modality=CT', f'PatientName={SECRET}')


def test_typed_conditions_and_those_of_the_file_count_together(tmp_path: Path) -> None:
    (tmp_path / 'conditions').write_text(f'PatientName={SECRET}')
    meant = options(match=['Modality=CT'], match_file=str(tmp_path / 'conditions')).conditions
    assert meant is not None and meant.condition_digest(b'') == typed('Modality=CT', f'PatientName={SECRET}')


def test_conditions_of_a_second_file_are_not_dropped_in_silence(az: Az, tmp_path: Path) -> None:
    (tmp_path / 'conditions').write_text(f'PatientName={SECRET}')
    error, _ = refused(az, '--match-file', str(tmp_path / 'conditions'), '--match-file', '-', stdin='Modality=CT')
    assert error == 'ERROR: --match-file was given twice.'


def typed(*texts: str) -> str:
    meant = options(match=list(texts)).conditions
    assert meant is not None
    return meant.condition_digest(b'')


def test_pipe_is_a_file_too() -> None:
    reading, writing = os.pipe()
    os.write(writing, b'Modality=CT\n')
    os.close(writing)
    meant = options(match_file=f'/dev/fd/{reading}').conditions
    os.close(reading)
    assert meant is not None and meant.paths == ['00080060']


@pytest.mark.parametrize(
    ('data', 'message', 'advice'),
    [
        (
            f'Modality=CT\n\nPatientNam={SECRET}'.encode(),
            'Line 3 of --match-file cannot be used: there is no ',
            'PatientName',
        ),
        (
            f'PatientName={SECRET}\xe9'.encode('latin-1'),
            'The file of --match-file cannot be used: the text is not UTF-8',
            'UTF-8',
        ),
        (b'# nothing\n', 'The file that --match-file names has no conditions', 'FIELD=VALUE'),
        (
            f'Modality=CT\rPatientName={SECRET}'.encode(),
            'Line 1 of --match-file cannot be used: it has a line break',
            'CRLF',
        ),
    ],
    ids=['bad line', 'other encoding', 'nothing', 'line ends of an old Mac'],
)
def test_file_that_cannot_be_used_is_refused(data: bytes, message: str, advice: str, az: Az, tmp_path: Path) -> None:
    (tmp_path / 'conditions').write_bytes(data)
    error, advised = refused(az, '--match-file', str(tmp_path / 'conditions'))
    assert error.startswith(f'ERROR: {message}') and advice in advised


@pytest.mark.parametrize('name', ['missing', '.'])
def test_file_that_cannot_be_read_is_refused(name: str, az: Az, tmp_path: Path) -> None:
    error, _ = refused(az, '--match-file', str(tmp_path / name))
    assert error.startswith('ERROR: The file could not be read: ') and str(tmp_path) not in error


def test_dash_is_standard_input(az: Az) -> None:
    error, _ = refused(az, '--match-file', '-', stdin=f'Modality=CT\nPatientNam={SECRET}\n')
    assert error.startswith('ERROR: Line 2 of --match-file ')


def test_values_are_in_no_option_that_a_message_could_repeat() -> None:
    meant = options(match=[f'PatientName={SECRET}'], include_field=['Modality'])
    assert meant.typed['match'] == ['SAME_CONDITIONS'] and meant.typed['include_field'] == ['Modality']
    assert SECRET not in repr(meant)
