"""A cloud whose service has images: Orthanc with pydicom's sample files, and a machine whose identity may write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.logins import SignIn
from tests.e2e.proxies import Proxy, proxy
from tests.emulator.cloud import Emulator
from tests.emulator.dicom import OWNER, READER
from tests.emulator.identities import HOME_TENANT, READER_APPLICATION
from tests.emulator.orthanc import IS_INSTALLED, Orthanc, orthanc


@pytest.fixture(scope='session')
def emulator() -> Iterator[Emulator]:
    """A cloud of this folder's own."""
    with Emulator() as running:
        allow(running, OWNER)
        yield running


@pytest.fixture(scope='session')
def logins_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('logins')


@pytest.fixture
def reader(emulator: Emulator) -> Iterator[None]:
    """The identity may only read, for the length of a test."""
    allow(emulator, READER)
    yield
    allow(emulator, OWNER)


@pytest.fixture(scope='session')
def originals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    needs_orthanc()
    with orthanc(tmp_path_factory.mktemp('orthanc')) as running:
        yield running


@pytest.fixture
def archive(originals: Orthanc, emulator: Emulator) -> Iterator[Orthanc]:
    """Orthanc as the service's images, with nothing in it but what a test stores."""
    originals.clear()
    emulator.service.dicomweb = originals
    yield originals
    emulator.service.dicomweb = None


@pytest.fixture
def running(sign_in: SignIn, emulator: Emulator) -> Iterator[Proxy]:
    """A proxy that lets store and delete."""
    with proxy(sign_in('secret'), emulator, '--allow', 'store', 'delete') as listening:
        yield listening


def allow(emulator: Emulator, role: str) -> None:
    emulator.service.role_assignments[READER_APPLICATION.object_ids[HOME_TENANT.id]] = {role}


def needs_orthanc() -> None:
    if not IS_INSTALLED and not os.environ.get('CI'):
        pytest.skip('needs orthanc and orthanc-dicomweb')
