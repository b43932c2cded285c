"""A secret file that somebody else could have written or can read is refused; the URL file is this run's own."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
from azure.cli.core.azclierror import FileOperationError

from azext_dicomtoken.proxy.address import kept_secret, new_secret, remove_url, write_url

URL = 'http://127.0.0.1:8042/0123'


def secret_file(folder: Path, text: str = '0' * 32 + '\n', mode: int = 0o600) -> Path:
    path = folder / 'proxy.secret'
    path.write_text(text)
    path.chmod(mode)
    return path


def test_new_secret_has_128_random_bits() -> None:
    assert re.fullmatch('[0-9a-f]{32}', new_secret()) and new_secret() != new_secret()


def test_missing_secret_file_is_made_and_kept(tmp_path: Path) -> None:
    path = tmp_path / 'proxy.secret'
    secret = kept_secret(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and kept_secret(str(path)) == secret


@pytest.mark.parametrize('text', ['0123456789abcdefABCDEF0123456789', 'a' * 64 + '\r\n'])
def test_secret_of_hexadecimal_digits_is_taken(tmp_path: Path, text: str) -> None:
    assert kept_secret(str(secret_file(tmp_path, text))) == text.strip()


@pytest.mark.parametrize('mode', [0o640, 0o604, 0o660, 0o601, 0o666])
def test_secret_that_others_can_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(FileOperationError, match='by others'):
        kept_secret(str(secret_file(tmp_path, mode=mode)))


@pytest.mark.parametrize(
    'text', ['', 'a' * 31, 'g' * 32, 'a' * 32 + '\nb', '../' + 'a' * 32, 'a' * 16 + ' ' + 'a' * 16]
)
def test_file_without_a_secret_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(FileOperationError, match='32 hexadecimal digits'):
        kept_secret(str(secret_file(tmp_path, text)))


@pytest.mark.parametrize('target', ['proxy.secret', 'missing'])
def test_link_is_refused_wherever_it_leads(tmp_path: Path, target: str) -> None:
    secret_file(tmp_path)
    (tmp_path / 'link').symlink_to(tmp_path / target)
    with pytest.raises(FileOperationError, match='is a link'):
        kept_secret(str(tmp_path / 'link'))
    assert not (tmp_path / 'missing').exists()


def test_pipe_and_folder_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    for path in (tmp_path / 'pipe', tmp_path):
        with pytest.raises(FileOperationError):
            kept_secret(str(path))


def test_secret_of_another_user_is_refused(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip('needs root, to give a file away')
    path = secret_file(tmp_path)
    os.chown(path, 65534, 65534)
    with pytest.raises(FileOperationError, match='another user'):
        kept_secret(str(path))


def test_errors_about_the_secret_do_not_say_it(tmp_path: Path) -> None:
    with pytest.raises(FileOperationError) as raised:
        kept_secret(str(secret_file(tmp_path, 'abcdef0123456789' * 2 + '!')))
    assert 'abcdef' not in str(raised.value)


def test_url_file_is_private_and_taken_away(tmp_path: Path) -> None:
    path = tmp_path / 'proxy.url'
    write_url(str(path), URL)
    assert path.read_text() == URL + '\n' and stat.S_IMODE(path.stat().st_mode) == 0o600
    remove_url(str(path), URL)
    assert list(tmp_path.iterdir()) == []


def test_url_file_replaces_a_link_and_what_was_there(tmp_path: Path) -> None:
    (tmp_path / 'precious').write_text('kept')
    (tmp_path / 'proxy.url').symlink_to(tmp_path / 'precious')
    write_url(str(tmp_path / 'proxy.url'), URL)
    assert (tmp_path / 'precious').read_text() == 'kept' and not (tmp_path / 'proxy.url').is_symlink()


def test_url_file_of_another_proxy_stays(tmp_path: Path) -> None:
    write_url(str(tmp_path / 'proxy.url'), URL)
    write_url(str(tmp_path / 'proxy.url'), URL + '4')
    remove_url(str(tmp_path / 'proxy.url'), URL)
    assert (tmp_path / 'proxy.url').read_text() == URL + '4\n'


def test_url_file_that_is_gone_or_a_link_now_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / 'proxy.url'
    write_url(str(path), URL)
    path.rename(tmp_path / 'moved')
    remove_url(str(path), URL)
    path.symlink_to(tmp_path / 'moved')
    remove_url(str(path), URL)
    assert path.is_symlink() and (tmp_path / 'moved').exists()


def test_url_file_is_no_pipe_and_no_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    for path in (tmp_path / 'pipe', tmp_path):
        with pytest.raises(FileOperationError):
            write_url(str(path), URL)
