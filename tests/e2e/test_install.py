"""The wheel in az's hands: added without an index, listed, run twice, removed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from scripts.build_wheel import build
from tests.e2e.logins import SignIn
from tests.e2e.machine import Machine


@pytest.mark.parametrize(
    'command',
    ['az dicom token issue', 'az dicom token show-claims', 'az dicom changefeed --service-url "$DICOM_SERVICE_URL"'],
    ids=['issue', 'show-claims', 'changefeed'],
)
def test_command_runs_twice_after_an_install(command: str, sign_in: SignIn) -> None:
    """Twice, because az remembers after the first command where it found it, and may not find it there."""
    done = sign_in('secret').shell(f'{command} >first; {command} >second; test -s first; test -s second')
    assert (done.returncode, done.stderr) == (0, '')


def test_az_knows_what_it_has_installed(extensions: Path, tmp_path: Path) -> None:
    machine = Machine(tmp_path, extensions=extensions, environment={})
    assert machine.result('version')['extensions'] == {'dicomtoken': '1.0.0b1'}
    (listed,) = machine.result('extension', 'list')
    assert (listed['name'], listed['version'], listed['preview']) == ('dicomtoken', '1.0.0b1', True)


def test_removed_extension_leaves_nothing(extensions: Path, tmp_path: Path) -> None:
    shutil.copytree(extensions, tmp_path / 'extensions')
    machine = Machine(tmp_path, extensions=tmp_path / 'extensions', environment={})
    assert "Please run 'az login'" in machine.az('dicom', 'token', 'issue').stderr
    assert machine.az('extension', 'remove', '--name', 'dicomtoken').returncode == 0
    assert list((tmp_path / 'extensions').iterdir()) == []
    assert machine.az('dicom', 'token', 'issue').returncode == 2


def test_wheel_is_the_same_whoever_builds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SOURCE_DATE_EPOCH', '1800000000')
    first = build(tmp_path / 'first')
    kept = os.umask(0o077)
    try:
        second = build(tmp_path / 'second')
    finally:
        os.umask(kept)
    assert first.read_bytes() == second.read_bytes()
