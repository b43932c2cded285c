"""What az keeps by itself and what the system shows of a process: nothing of the conditions in a file, nor of metadata.

What a run says, sends and leaves behind in one process: `tests/security/test_patient_data.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.logins import SignIn
from tests.e2e.machine import Machine
from tests.e2e.processes import changefeed, sequences, url, wait_until
from tests.emulator.cloud import Emulator
from tests.emulator.dicom import DicomService

PLANTED = ('zzplanted', 'zz-4711')
CONDITIONS = 'PatientName=Zzplanted^*\nPatientID=ZZ-4711\n'


@pytest.fixture(scope='module')
def service(emulator: Emulator) -> DicomService:
    service = emulator.add_service('contoso', 'planted')
    for modality in ('CT', 'MR'):
        service.store.create(
            metadata=json.dumps(
                {
                    '00080060': {'vr': 'CS', 'Value': [modality]},
                    '00100010': {'vr': 'PN', 'Value': [{'Alphabetic': 'Zzplanted^Patient'}]},
                    '00100020': {'vr': 'LO', 'Value': ['ZZ-4711']},
                }
            )
        )
    return service


@pytest.fixture
def machine(sign_in: SignIn) -> Machine:
    machine = sign_in('secret')
    machine.environment['AZURE_LOGGING_ENABLE_LOG_FILE'] = 'true'
    (machine.folder / 'conditions').write_text(CONDITIONS, 'utf-8')
    return machine


def assert_nothing_planted(*texts: str) -> None:
    assert [word for word in PLANTED if word in '\n'.join(texts).lower()] == []


def kept_by(machine: Machine) -> list[str]:
    files = [path for path in machine.folder.rglob('*') if path.is_file() and path.name != 'conditions']
    return [path.read_text('utf-8', 'replace') for path in files]


@pytest.mark.parametrize(
    'options',
    [
        ('--stream', '--include-field', 'Modality'),
        ('--match', 'Nothing=1'),
        ('--max-itmes', '3'),
        ('--include-field', 'PatientName', '--query', 'abs([0].metadata."00100010".Value[0].Alphabetic)'),
    ],
    ids=['stream', 'bad condition', 'mistyped option', 'failing query'],
)
def test_az_keeps_nothing_of_the_conditions_or_of_metadata(
    options: tuple[str, ...], machine: Machine, service: DicomService
) -> None:
    named = ('--match-file', 'conditions', '--service-url', url(service), '--debug')
    done = machine.az('dicom', 'changefeed', *named, *options)
    logs = list((machine.folder / 'azure').rglob('*.log'))
    assert {'az.log', 'commands'} <= {path.name for path in logs} | {path.parent.name for path in logs}
    assert_nothing_planted(done.stdout, done.stderr, *kept_by(machine))


@pytest.mark.skipif(not Path('/proc/self/cmdline').exists(), reason='needs /proc')
def test_system_shows_nothing_of_the_conditions(machine: Machine, service: DicomService) -> None:
    options = ('--follow', '--after-sequence', '0', '--match-file', 'conditions', '--include-field', 'Modality')
    with changefeed(machine, service, *options) as az:
        assert az.stdout is not None
        first = [az.stdout.readline(), az.stdout.readline()]
        shown = [Path(f'/proc/{az.pid}/{name}').read_text('utf-8', 'replace') for name in ('cmdline', 'environ')]
        az.terminate()
        wait_until(lambda: az.poll() is not None)
    assert sequences(''.join(first)) == [1, 2]
    assert_nothing_planted(*first, *shown, *kept_by(machine))
