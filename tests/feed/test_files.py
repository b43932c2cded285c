"""Private files, replaced by rename."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicomfeed import files


@pytest.fixture(autouse=True, params=[0o000, 0o077], ids=['open umask', 'closed umask'])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize('create', [files.create, files.create_replacing], ids=['create', 'create replacing'])
def test_created_file_is_private_and_empty(tmp_path: Path, create: Callable[[str], int]) -> None:
    descriptor = create(str(tmp_path / 'new'))
    files.write_all(descriptor, b'data')
    os.close(descriptor)
    assert (mode(tmp_path / 'new'), (tmp_path / 'new').read_bytes()) == (0o600, b'data')
    assert [path.name for path in tmp_path.iterdir()] == ['new']


def test_replacing_an_open_file_makes_it_private(tmp_path: Path) -> None:
    path = tmp_path / 'old'
    path.write_bytes(b'old')
    path.chmod(0o666)
    files.replace_with(str(path), b'new')
    assert (mode(path), path.read_bytes()) == (0o600, b'new')


@pytest.mark.parametrize('kind', ['file', 'link', 'broken link'])
def test_create_refuses_a_name_that_is_taken(tmp_path: Path, kind: str) -> None:
    path = tmp_path / 'taken'
    if kind == 'file':
        path.write_bytes(b'')
    else:
        path.symlink_to(tmp_path if kind == 'link' else tmp_path / 'nowhere')
    with pytest.raises(FileExistsError):
        files.create(str(path))


def replace_with_data(path: str) -> None:
    files.replace_with(path, b'data')


@pytest.mark.parametrize('replace', [replace_with_data, files.create_replacing], ids=['with data', 'with a new one'])
def test_failed_replacement_leaves_nothing_behind(tmp_path: Path, replace: Callable[[str], object]) -> None:
    (tmp_path / 'folder').mkdir()
    with pytest.raises(OSError):
        replace(str(tmp_path / 'folder'))
    assert [path.name for path in tmp_path.iterdir()] == ['folder']


def test_link_is_replaced_and_never_followed(tmp_path: Path) -> None:
    (tmp_path / 'target').write_bytes(b'mine')
    (tmp_path / 'link').symlink_to(tmp_path / 'target')
    files.replace_with(str(tmp_path / 'link'), b'new')
    assert (tmp_path / 'target').read_bytes() == b'mine'
    assert not (tmp_path / 'link').is_symlink()


def test_file_is_replaced_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files.replace_with('bare name', b'new')
    assert (tmp_path / 'bare name').read_bytes() == b'new'


def test_reader_of_a_replaced_file_sees_the_old_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / 'file'
    path.write_bytes(b'old')
    with path.open('rb') as reader:
        files.replace_with(str(path), b'new!')
        assert (reader.read(), path.read_bytes()) == (b'old', b'new!')


def test_all_bytes_are_written_whatever_the_system_takes_at_a_time() -> None:
    reading, writing = os.pipe()
    data = os.urandom(2**14)
    files.write_all(writing, data)
    files.write_all(writing, b'')
    os.close(writing)
    with open(reading, 'rb') as stream:
        assert stream.read() == data
