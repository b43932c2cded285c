"""Nothing of a patient that was not asked for is in what a run says, sends or leaves behind.

What az keeps and what the system shows of a process: `tests/e2e/test_patient_data.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.az.conftest import Az, Outcome
from tests.emulator.cloud import Emulator
from tests.emulator.dicom import DicomService
from tests.emulator.event_json import EventShape
from tests.security.test_secrets import telemetry_on

# Parts of what is planted in metadata, in an unknown property, and in the file of conditions.
PLANTED = ('zzplanted', 'zz-4711', 'zzward')
CONDITIONS = '# zzward\nPatientName=ZZPlanted^*\nPatientID=ZZ-4711\nModality=CT\n'
FIELD = ('--include-field', 'Modality')


def metadata(modality: str) -> str:
    return json.dumps(
        {
            '00080060': {'vr': 'CS', 'Value': [modality]},
            '00081040': {'vr': 'LO', 'Value': ['Zzward']},
            '00100010': {'vr': 'PN', 'Value': [{'Alphabetic': 'Zzplanted^Patient'}]},
            '00100020': {'vr': 'LO', 'Value': ['ZZ-4711']},
            '00321064': {'vr': 'SQ', 'Value': [{'00080104': {'vr': 'LO', 'Value': ['Zzward']}}]},
        }
    )


@pytest.fixture(scope='module')
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def service(in_the_cloud: Emulator) -> DicomService:
    """Some match, some do not, one is deleted."""
    service = in_the_cloud.services.get('contoso-planted.dicom.azurehealthcareapis.com')
    if service is None:
        service = in_the_cloud.add_service('contoso', 'planted')
        service.store.shape = EventShape(extra={'patientName': 'Zzplanted'})
        for modality in ('CT', 'MR', 'CT', 'CT', 'CT'):
            service.store.create(metadata=metadata(modality))
        service.store.delete(service.store.event(3).instance.study)
    return service


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / 'work'
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def texts_of(az: Az, folder: Path, service: DicomService, *options: str) -> tuple[Outcome, list[str]]:
    """A run with the file of conditions, and all that it says, sends and leaves."""
    conditions = folder.parent / 'conditions'
    conditions.write_text(CONDITIONS, 'utf-8')
    named = ('--match-file', str(conditions), '--service-url', f'https://{service.host}', '--debug')
    with telemetry_on() as payloads:
        outcome = az('dicom', 'changefeed', *named, *options)
    left = [path.read_text('utf-8', 'replace') for path in folder.parent.rglob('*') if path.is_file()]
    left.remove(CONDITIONS)
    assert 'dicom changefeed' in payloads[0]
    return outcome, [outcome.stdout, outcome.stderr, *payloads, *left]


def planted_in(texts: list[str]) -> list[str]:
    lowered = '\n'.join(texts).lower()
    return [word for word in PLANTED if word in lowered]


@pytest.mark.parametrize('field', [(), FIELD], ids=['match', 'match and field'])
@pytest.mark.parametrize(
    'how',
    [
        (),
        ('--max-items', '1'),
        ('--since', '1d'),
        ('--tail', '2'),
        ('--latest',),
        ('--stream',),
        ('--stream', '-o', 'tsv'),
        ('--stream', '-o', 'table'),
        ('--query', '[].metadata'),
        ('--stream', '--query', '@'),
        ('--output-file', 'feed', '--checkpoint', 'checkpoint', '--summary-file', 'summary'),
        ('--follow', '--until-latest', '--after-sequence', '0', '--output-file', 'feed.gz'),
    ],
    ids=' '.join,
)
def test_run_says_sends_and_leaves_nothing_that_was_not_asked_for(
    how: tuple[str, ...], field: tuple[str, ...], az: Az, folder: Path, service: DicomService
) -> None:
    outcome, texts = texts_of(az, folder, service, *how, *field)
    assert outcome.code == 0, outcome.stderr
    assert planted_in(texts) == []
    assert 'left out because the instance is deleted' in outcome.stderr or '--max-items' in how


@pytest.mark.parametrize(
    ('options', 'code'),
    [
        (('--match', 'Nothing=1'), 1),
        (('--include-field', 'all'), 1),
        (('--max-itmes', '3'), 2),
        (('--include-field', 'PatientName', '--query', 'abs([0].metadata."00100010".Value[0].Alphabetic)'), 1),
        (('--include-field', 'PatientName', '--stream', '--query', 'abs(metadata."00100010".Value[0].Alphabetic)'), 1),
        (('--include-field', 'PatientName', '--latest', '--query', 'length(state.x)'), 1),
        (('--query', '['), 2),
    ],
    ids=['bad condition', 'bad field', 'mistyped option', 'query', 'query of a line', 'query of one', 'no query'],
)
def test_run_that_fails_says_no_value(
    options: tuple[str, ...], code: int, az: Az, folder: Path, service: DicomService
) -> None:
    outcome, texts = texts_of(az, folder, service, *options)
    assert (outcome.code, outcome.stdout) == (code, '')
    assert 'ERROR' in outcome.stderr and planted_in(texts) == []


def test_bad_line_in_the_file_is_named_by_its_position(az: Az, folder: Path, service: DicomService) -> None:
    (folder / 'bad').write_text('Modality=CT\nPatientNam=Zzplanted\n', 'utf-8')
    named = ('--match-file', 'bad', '--service-url', f'https://{service.host}', '--debug')
    with telemetry_on() as payloads:
        outcome = az('dicom', 'changefeed', *named)
    assert 'Line 2 of --match-file cannot be used' in outcome.stderr
    assert planted_in([outcome.stdout, outcome.stderr, *payloads]) == []


def test_requests_carry_no_value(az: Az, folder: Path, service: DicomService, in_the_cloud: Emulator) -> None:
    in_the_cloud.journal.clear()
    texts_of(az, folder, service, '--stream')
    asked = [f'{request.path}?{request.query} {request.headers}' for request in in_the_cloud.journal.requests]
    assert any('changefeed' in text for text in asked) and planted_in(asked) == []
