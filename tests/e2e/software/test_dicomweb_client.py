"""dicomweb-client through the proxy: what it gets is what it gets from Orthanc itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset

from tests.e2e.proxies import Proxy
from tests.e2e.software.documented import pasted
from tests.e2e.software.samples import CT, RLE, SAMPLES, WAVEFORM, Sample
from tests.emulator.orthanc import Orthanc

pytestmark = pytest.mark.slow

Ask = Callable[[DICOMwebClient], Any]
Clients = tuple[DICOMwebClient, DICOMwebClient]
_ROOT = re.compile(r'https://[^/"]+/v2')  # as Orthanc writes it: with the Host that it was asked by
_DICOM = 'application/dicom'
_AS_STORED = (('application/octet-stream', '*'),)
_SYNTAXES = {'as-stored': '*', 'explicit': '1.2.840.10008.1.2.1', 'jpeg-lossless': '1.2.840.10008.1.2.4.70'}


def client(url: str) -> DICOMwebClient:
    session = requests.Session()
    session.trust_env = False
    return DICOMwebClient(url, session=session)


@pytest.fixture(params=['secret in a header', 'secret in the address'])
def through(request: pytest.FixtureRequest, running: Proxy) -> DICOMwebClient:
    if request.param == 'secret in the address':
        return client(running.root)
    names: dict[str, Any] = {}
    exec(*pasted('python', running), names)
    assert isinstance(names['client'], DICOMwebClient)
    return names['client']


@pytest.fixture
def direct(archive: Orthanc) -> DICOMwebClient:
    """Orthanc without the proxy, with every sample in it."""
    straight = client(f'{archive.url}/v2')
    straight.store_instances([sample.dataset for sample in SAMPLES.values()])
    return straight


def outcome(ask: Ask, of: DICOMwebClient) -> object:
    """What came of it, decoded, with the host normalised; of a refusal its status."""
    try:
        return normal(ask(of))
    except requests.HTTPError as error:
        assert error.response is not None
        return error.response.status_code


def normal(result: Any) -> object:
    if isinstance(result, Dataset):
        meta = getattr(result, 'file_meta', Dataset())
        return _ROOT.sub('ROOT', f'{meta.to_json()}{result.to_json(suppress_invalid_tags=True)}')
    if isinstance(result, (list, tuple, Iterator)):
        return [normal(part) for part in result]
    if isinstance(result, dict):
        return {key: normal(value) for key, value in result.items()}
    return _ROOT.sub('ROOT', result) if isinstance(result, str) else result


def searches() -> dict[str, Ask]:
    return {
        'studies': lambda of: of.search_for_studies(),
        'studies, two': lambda of: of.search_for_studies(limit=2, offset=1),
        'studies, all fields': lambda of: of.search_for_studies(fields=['all']),
        'studies, by name': lambda of: of.search_for_studies(search_filters={'PatientName': 'CompressedSamples*'}),
        'studies, none': lambda of: of.search_for_studies(search_filters={'PatientID': 'nobody'}),
        'series': lambda of: of.search_for_series(search_filters={'Modality': 'CT'}),
        'series of a study': lambda of: of.search_for_series(CT.ids[0]),
        'instances': lambda of: of.search_for_instances(fields=['00280010', 'Columns']),
        'instances of a series': lambda of: of.search_for_instances(*RLE.ids[:2]),
        'metadata of a study': lambda of: of.retrieve_study_metadata(RLE.ids[0]),
        'metadata of a series': lambda of: of.retrieve_series_metadata(*RLE.ids[:2]),
        'study': lambda of: of.retrieve_study(CT.ids[0]),
        'series, piece by piece': lambda of: of.iter_series(*CT.ids[:2]),
        'bulk data': lambda of: of.retrieve_bulkdata(bulk_data(of), media_types=_AS_STORED),
    }


def retrievals(sample: Sample) -> dict[str, Ask]:
    """What can be asked of one instance; some of it Orthanc refuses, such as a picture of a waveform."""
    ids = sample.ids
    whole: dict[str, Ask] = {
        name: lambda of, syntax=syntax: of.retrieve_instance(*ids, media_types=((_DICOM, syntax),))
        for name, syntax in _SYNTAXES.items()
    }
    return whole | {
        'metadata': lambda of: of.retrieve_instance_metadata(*ids),
        'frame': lambda of: of.retrieve_instance_frames(*ids, [1], media_types=_AS_STORED),
        'frames': lambda of: of.retrieve_instance_frames(*ids, [1, 2], media_types=_AS_STORED),
        'frame as JPEG': lambda of: of.retrieve_instance_frames(*ids, [1], media_types=('image/jpeg',)),
        'rendered': lambda of: of.retrieve_instance_rendered(*ids, media_types=('image/png',)),
    }


def bulk_data(of: DICOMwebClient) -> str:
    """The address of some, on this side of the proxy: as it is written, it names the service."""
    (study,) = of.retrieve_study_metadata(WAVEFORM.ids[0])
    address = re.search(r'https://[^/"]+/v2([^\'"]+/bulk/[^\'"]+)', str(study))
    assert address is not None
    return f'{of.base_url}{address[1]}'


def test_search_is_the_same(direct: DICOMwebClient, through: DICOMwebClient) -> None:
    seen = {name: (outcome(ask, direct), outcome(ask, through)) for name, ask in searches().items()}
    assert {name: both[1] for name, both in seen.items()} == {name: both[0] for name, both in seen.items()}
    assert seen['studies, none'] == ([], []) and not any(isinstance(both[0], int) for both in seen.values())


@pytest.mark.parametrize('sample', SAMPLES.values(), ids=SAMPLES)
def test_instance_is_the_same(direct: DICOMwebClient, through: DICOMwebClient, sample: Sample) -> None:
    for name, ask in retrievals(sample).items():
        straight = outcome(ask, direct)
        assert outcome(ask, through) == straight, name
        assert name not in ('as-stored', 'metadata') or not isinstance(straight, int), name


def test_instance_is_stored_whole(archive: Orthanc, through: DICOMwebClient) -> None:
    """Each in its own transfer syntax, all in one request."""
    stored = through.store_instances([sample.dataset for sample in SAMPLES.values()])
    assert len(stored.ReferencedSOPSequence) == len(SAMPLES) and not stored.FailedSOPSequence
    kept = [normal(client(f'{archive.url}/v2').retrieve_instance(*sample.ids)) for sample in SAMPLES.values()]
    assert kept == [normal(sample.dataset) for sample in SAMPLES.values()]


def test_what_is_deleted_is_gone(archive: Orthanc, direct: DICOMwebClient, through: DICOMwebClient) -> None:
    through.delete_study(CT.ids[0])
    through.delete_series(*RLE.ids[:2])
    through.delete_instance(*WAVEFORM.ids)
    left = {found['00080018']['Value'][0] for found in direct.search_for_instances()}
    assert left == {sample.ids[2] for sample in SAMPLES.values()} - {sample.ids[2] for sample in (CT, RLE, WAVEFORM)}
    assert outcome(lambda of: of.delete_study(CT.ids[0]), through) == 404


@pytest.mark.usefixtures('reader')
def test_identity_without_the_role_does_not_write(direct: DICOMwebClient, through: DICOMwebClient) -> None:
    before = normal(direct.search_for_instances())
    assert outcome(lambda of: of.store_instances([CT.dataset]), through) == 403
    assert outcome(lambda of: of.delete_study(CT.ids[0]), through) == 403
    assert normal(through.search_for_instances()) == before
