"""A cloud with a few events, the wheel as az installed it, and machines that are signed in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.build_wheel import build
from tests.e2e.logins import SignIn, dicom_in_cloud_shell
from tests.e2e.machine import Machine
from tests.emulator.cloud import Emulator
from tests.emulator.sample import sample_feed


@pytest.fixture(scope='session')
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        running.service.store.load(sample_feed(40))
        yield running


@pytest.fixture(scope='session')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp('wheel'))


@pytest.fixture(scope='session')
def extensions(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension as `az extension add` installs it, with no package index to ask."""
    folder = tmp_path_factory.mktemp('installed')
    no_index = {'PIP_NO_INDEX': '1', 'PIP_CONFIG_FILE': os.devnull}
    machine = Machine(folder, extensions=folder / 'extensions', environment=no_index)
    done = machine.az('extension', 'add', '--yes', '--source', str(wheel))
    assert done.returncode == 0, done.stderr
    return folder / 'extensions'


@pytest.fixture(scope='session')
def logins_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('logins')


@pytest.fixture
def sign_in(emulator: Emulator, extensions: Path, logins_folder: Path, tmp_path: Path) -> SignIn:
    return SignIn(emulator, extensions=extensions, originals=logins_folder, folder=tmp_path)


@pytest.fixture
def machine(sign_in: SignIn) -> Machine:
    return sign_in('secret')


@pytest.fixture
def helpful_broker(emulator: Emulator) -> Iterator[None]:
    with dicom_in_cloud_shell(emulator):
        yield
