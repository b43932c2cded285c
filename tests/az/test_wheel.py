"""The wheel as az would install it: what is in it, what it says of itself, and that az runs it twice."""

from __future__ import annotations

import email
import os
import subprocess
import zipfile
from email.message import Message
from pathlib import Path

import pytest

from scripts.build_wheel import build

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp('dist'))


@pytest.fixture(scope='module')
def names(wheel: Path) -> list[str]:
    return zipfile.ZipFile(wheel).namelist()


@pytest.fixture(scope='module')
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
        return email.message_from_bytes(archive.read(name))


def test_wheel_has_the_name_that_az_derives(wheel: Path) -> None:
    assert wheel.name == 'dicomtoken-1.0.0b1-py3-none-any.whl'


def test_wheel_holds_the_two_packages_alone(names: list[str]) -> None:
    tops = {name.partition('/')[0] for name in names}
    assert tops == {'azext_dicomtoken', 'dicomfeed', 'dicomtoken-1.0.0b1.dist-info'}
    assert [name for name in names if 'test' in name] == []


def test_wheel_holds_the_files_that_are_not_python(names: list[str]) -> None:
    assert {'azext_dicomtoken/azext_metadata.json', 'dicomfeed/py.typed'} <= set(names)


def test_wheel_holds_h11_with_its_licence(names: list[str]) -> None:
    folder = 'azext_dicomtoken/vendored_sdks'
    assert {f'{folder}/__init__.py', f'{folder}/h11/__init__.py', f'{folder}/h11/LICENSE.txt'} <= set(names)


def test_wheel_holds_every_module(names: list[str]) -> None:
    modules = {
        str(path.relative_to(ROOT))
        for package in ('azext_dicomtoken', 'dicomfeed')
        for path in (ROOT / package).rglob('*.py')
    }
    assert modules <= set(names)


def test_metadata_can_be_read_by_every_az(metadata: Message) -> None:
    major, minor = map(int, metadata['Metadata-Version'].split('.'))
    assert (major, minor) <= (2, 2)  # pkginfo of az 2.87 and before; setuptools from 77 on writes more
    assert (metadata['Name'], metadata['Version'], metadata['Requires-Python']) == ('dicomtoken', '1.0.0b1', '>=3.10')


def test_wheel_requires_nothing_outside_its_extras(metadata: Message) -> None:
    required = metadata.get_all('Requires-Dist') or []
    assert [line for line in required if 'extra ==' not in line] == []


def test_az_runs_what_it_installed_twice(wheel: Path, tmp_path: Path, az_process: list[str]) -> None:
    """Twice, because az remembers after the first command where it found it."""
    installed = tmp_path / 'extensions' / 'dicomtoken'
    zipfile.ZipFile(wheel).extractall(installed)
    environment = {
        **os.environ,
        'AZURE_CONFIG_DIR': str(tmp_path / 'azure'),
        'AZURE_EXTENSION_DIR': str(installed.parent),
    }
    for _ in range(2):
        done = subprocess.run(
            [*az_process, 'dicom', 'token', 'issue'],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
        assert done.stderr == "ERROR: Please run 'az login' to setup account.\n"
