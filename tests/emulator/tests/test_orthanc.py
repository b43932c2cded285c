"""Orthanc as the images of a service: where it answers as the service does, and on the command line."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.conftest import ROOT
from tests.e2e.machine import TIMEOUT_SECONDS
from tests.e2e.software.conftest import allow, needs_orthanc
from tests.e2e.software.samples import CT, RLE
from tests.emulator.cloud import Emulator
from tests.emulator.dicom import OWNER
from tests.emulator.identities import READER_APPLICATION
from tests.emulator.orthanc import Orthanc, orthanc

pytestmark = pytest.mark.slow

STUDY, SERIES, INSTANCE = CT.ids


@pytest.fixture
def archive(emulator: Emulator, tmp_path: Path) -> Iterator[Orthanc]:
    needs_orthanc()
    with orthanc(tmp_path / 'orthanc') as running:
        for sample in (CT, RLE):
            running.ask('POST', '/instances', sample.content)
        emulator.service.dicomweb = running
        yield running


@pytest.fixture
def owner(emulator: Emulator, client: requests.Session) -> requests.Session:
    """A client that may do everything."""
    allow(emulator, OWNER)
    client.headers['Authorization'] = f'Bearer {emulator.entra.issue(READER_APPLICATION)}'
    return client


def test_search_without_a_result_is_204(emulator: Emulator, archive: Orthanc, owner: requests.Session) -> None:
    found = {name: owner.get(f'{emulator.service_url}/v2/studies?PatientID={name}') for name in ('1CT1', 'nobody')}
    assert {name: answer.status_code for name, answer in found.items()} == {'1CT1': 200, 'nobody': 204}


def test_addresses_in_answers_name_the_service(emulator: Emulator, archive: Orthanc, owner: requests.Session) -> None:
    (study,) = owner.get(f'{emulator.service_url}/v2/studies?PatientID=1CT1').json()
    assert study['00081190']['Value'] == [f'{emulator.service_url}/v2/studies/{STUDY}']


@pytest.mark.parametrize(
    ('path', 'status', 'left'),
    [
        (f'studies/{STUDY}', 204, [RLE]),
        (f'studies/{STUDY}/series/{SERIES}', 204, [RLE]),
        (f'studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}', 204, [RLE]),
        ('studies/1.2.3', 404, [CT, RLE]),
        ('studies', 404, [CT, RLE]),
    ],
    ids=['study', 'series', 'instance', 'unknown', 'no study'],
)
def test_delete_is_dicomweb(
    emulator: Emulator, archive: Orthanc, owner: requests.Session, path: str, status: int, left: list[object]
) -> None:
    assert owner.delete(f'{emulator.service_url}/v2/{path}').status_code == status
    assert [sample for sample in (CT, RLE) if archive.find(sample.ids[2])] == left


def test_command_line_starts_one() -> None:
    needs_orthanc()
    command = [sys.executable, '-m', 'tests.emulator', '--events', '10', '--orthanc']
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            (address,) = re.findall(r'in (http://[0-9.]+:[0-9]+)', process.stdout.readline())
            assert requests.get(f'{address}/v2/studies', timeout=TIMEOUT_SECONDS).json() == []
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=TIMEOUT_SECONDS)
