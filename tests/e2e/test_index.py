"""An index of extensions: added by name, listed, updated, and refused when it names another wheel's checksum."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from scripts.build_wheel import build, copy_sources
from scripts.release import extension_index, release, sha256
from tests.e2e.machine import Machine

pytestmark = pytest.mark.slow

ADD = ('extension', 'add', '--yes', '--name', 'dicomtoken', '--allow-preview', 'true')
UPDATE = ('extension', 'update', '--name', 'dicomtoken', '--allow-preview', 'true')


class SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope='module')
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the next version, from a copy of the sources."""
    sources = tmp_path_factory.mktemp('sources')
    copy_sources(sources)
    settings = sources / 'setup.cfg'
    settings.write_text(settings.read_text('utf-8').replace('\nversion = 1.0.0b1\n', '\nversion = 1.0.0b2\n'), 'utf-8')
    return build(tmp_path_factory.mktemp('newer'), root=sources)


@pytest.fixture
def served(wheel: Path, newer: Path, tmp_path: Path) -> Path:
    """A folder behind an address, with two wheels in it."""
    folder = tmp_path / 'served'
    folder.mkdir()
    for path in (wheel, newer):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def address(served: Path) -> Iterator[str]:
    handler = functools.partial(SilentHandler, directory=str(served))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()
        thread.join()


@pytest.fixture
def machine(address: str, tmp_path: Path) -> Machine:
    environment = {'AZURE_EXTENSION_INDEX_URL': f'{address}/index.json', 'PIP_NO_INDEX': '1'}
    return Machine(tmp_path, extensions=tmp_path / 'extensions', environment=environment)


def publish(folder: Path, index: dict[str, Any]) -> None:
    (folder / 'index.json').write_text(json.dumps(index), 'utf-8')


def installed(machine: Machine) -> list[tuple[str, str]]:
    return [(extension['name'], extension['version']) for extension in machine.result('extension', 'list')]


def test_release_can_be_served_as_it_is(served: Path, address: str, machine: Machine) -> None:
    release(served, address)
    (available,) = machine.result('extension', 'list-available')
    assert {key: available[key] for key in ('name', 'version', 'preview', 'installed')} == {
        'name': 'dicomtoken',
        'version': '1.0.0b1',
        'preview': True,
        'installed': False,
    }
    added = machine.az(*ADD)
    assert added.returncode == 0, added.stderr
    assert installed(machine) == [('dicomtoken', '1.0.0b1')]
    assert "Please run 'az login'" in machine.az('dicom', 'token', 'issue').stderr


def test_older_version_is_updated(served: Path, address: str, machine: Machine, wheel: Path, newer: Path) -> None:
    publish(served, extension_index(wheel, url=address))
    machine.az(*ADD)
    publish(served, extension_index(wheel, newer, url=address))
    updated = machine.az(*UPDATE)
    assert updated.returncode == 0, updated.stderr
    assert installed(machine) == [('dicomtoken', '1.0.0b2')]


def test_wheel_with_another_checksum_is_refused(
    served: Path, address: str, machine: Machine, wheel: Path, newer: Path
) -> None:
    index = extension_index(wheel, url=address)
    index['extensions']['dicomtoken'][0]['sha256Digest'] = sha256(newer)
    publish(served, index)
    refused = machine.az(*ADD)
    assert refused.returncode == 1 and 'checksum of the extension does not match' in refused.stderr
    assert installed(machine) == []


def test_release_consists_of_wheel_checksum_and_index(tmp_path: Path) -> None:
    wheel, checksum, index = release(tmp_path, 'https://downloads.example/v1/')
    assert checksum.read_text('utf-8') == f'{sha256(wheel)}  {wheel.name}\n'
    (entry,) = json.loads(index.read_text('utf-8'))['extensions']['dicomtoken']
    assert entry['downloadUrl'] == f'https://downloads.example/v1/{wheel.name}'
    assert entry['metadata']['azext.minCliCoreVersion'] == '2.75.0'
