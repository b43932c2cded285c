"""The code of others in the wheel: pinned, complete, and usable where it is not installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts import vendor
from scripts.vendor import FOLDER, VendorError
from tests.conftest import ROOT


def wheel_of(folder: Path) -> Path:
    path = folder / 'h11.whl'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('h11/__init__.py', 'from h11._util import x')
    return path


def never(folder: Path) -> Path:
    raise AssertionError('fetched again')


def test_copy_is_the_pinned_one_and_is_not_fetched_again() -> None:
    vendor.provide(FOLDER, fetch=never)


def test_copy_imports_without_h11(tmp_path: Path) -> None:
    """An isolated Python has neither the environment's packages nor this checkout but the one folder."""
    (tmp_path / 'vendored_sdks').symlink_to(FOLDER)
    script = (
        f'import sys; sys.path.insert(0, {str(tmp_path)!r})\n'
        'from vendored_sdks import h11\n'
        'connection = h11.Connection(h11.SERVER)\n'
        'connection.receive_data(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")\n'
        'assert connection.next_event().method == b"GET"\n'
        'assert "h11" not in sys.modules\n'
    )
    subprocess.run([sys.executable, '-I', '-S', '-c', script], check=True, timeout=60)


def test_wheel_with_another_sha256_changes_nothing(tmp_path: Path) -> None:
    target = tmp_path / 'vendored_sdks'
    target.mkdir()
    (target / 'kept').write_text('as it was')
    with pytest.raises(VendorError, match='another SHA-256'):
        vendor.provide(target, fetch=wheel_of)
    assert [path.name for path in target.iterdir()] == ['kept']


def test_copy_that_was_changed_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / '__init__.py').write_text('changed')
    with pytest.raises(AssertionError, match='fetched again'):
        vendor.provide(tmp_path, fetch=never)


def test_what_cannot_be_fetched_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(tmp_path))
    with pytest.raises(VendorError) as raised:
        vendor.fetch(tmp_path)
    assert str(raised.value).startswith('h11 0.16.0 could not be fetched with pip: ')
    assert '\n' not in str(raised.value)


def test_repository_holds_none_of_it() -> None:
    done = subprocess.run(
        ['git', '-C', str(ROOT), 'ls-files', 'azext_dicomtoken/vendored_sdks'], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip('needs a checkout with git')
    assert done.stdout == ''
