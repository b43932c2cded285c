"""A second Orthanc as a client: its DICOMweb peer is the proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.proxies import Proxy
from tests.e2e.software.documented import pasted
from tests.e2e.software.samples import CT, DOSE, JPEG, RLE, SAMPLES, Sample
from tests.emulator.orthanc import Orthanc, orthanc

pytestmark = pytest.mark.slow

samples = pytest.mark.parametrize('sample', [CT, RLE, JPEG, DOSE], ids=['ct', 'rle', 'jpeg', 'dose'])


@pytest.fixture(params=[0, 1], ids=['secret in a header', 'secret in the address'])
def client(request: pytest.FixtureRequest, running: Proxy, tmp_path: Path) -> Iterator[Orthanc]:
    configuration = json.loads(pasted('json', running)[request.param])
    with orthanc(tmp_path / 'client', peers=configuration['DicomWeb']['Servers']) as second:
        yield second


@pytest.fixture
def full(archive: Orthanc) -> Orthanc:
    """The service's images: every sample."""
    for sample in SAMPLES.values():
        archive.ask('POST', '/instances', sample.content)
    return archive


def order(client: Orthanc, task: str, body: object) -> Any:
    """Have Orthanc's own plugin do something with its peer, and wait for it."""
    answer = client.ask('POST', f'/v2/servers/az/{task}', json.dumps(body).encode())
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


@samples
def test_pulled_study_equals_the_original_to_the_byte(client: Orthanc, full: Orthanc, sample: Sample) -> None:
    order(client, 'retrieve', {'Resources': [{'Study': sample.ids[0]}], 'Synchronous': True})
    assert client.file(sample.ids[2]) == full.file(sample.ids[2]) == sample.content


def test_search_of_a_peer_is_the_service_s(client: Orthanc, full: Orthanc) -> None:
    found = order(client, 'qido', {'Uri': '/studies', 'Arguments': {'limit': '200'}})
    uids = {study['0020000D']['Value'] for study in found}
    assert uids == {sample.ids[0] for sample in SAMPLES.values()}


@samples
def test_pushed_study_equals_the_original_to_the_byte(client: Orthanc, archive: Orthanc, sample: Sample) -> None:
    client.ask('POST', '/instances', sample.content)
    (path,) = client.find(sample.ids[0])
    order(client, 'stow', {'Resources': [path.rpartition('/')[2]], 'Synchronous': True})
    assert archive.file(sample.ids[2]) == sample.content
