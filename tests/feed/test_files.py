"""Private files: made, replaced by rename, locked. What a checkpoint makes of a lock: `test_checkpoint.py`."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicomfeed import files

HOLD = 'import sys; from dicomfeed import files; files.lock(sys.argv[1]); print("held", flush=True); input()'


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


@pytest.mark.parametrize(('length', 'count', 'data'), [(6, 4, b'cdef'), (3, 4, b'abc'), (9, 4, b'fgh'), (0, 4, b'')])
def test_read_before_gives_the_end_and_moves_nothing(tmp_path: Path, length: int, count: int, data: bytes) -> None:
    descriptor = files.create(str(tmp_path / 'file'))
    files.write_all(descriptor, b'abcdefgh')
    assert files.read_before(descriptor, length, count) == data
    files.write_all(descriptor, b'!')
    os.close(descriptor)
    assert (tmp_path / 'file').read_bytes() == b'abcdefgh!'


# Locks


def lock_and_let_go(path: Path) -> None:
    os.close(files.lock(str(path)))


def holder_of(path: Path) -> subprocess.Popen[str]:
    """A process that holds the lock until it ends."""
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None and process.stdout.readline() == 'held\n'
    return process


def test_lock_of_another_process_is_refused_and_named(tmp_path: Path) -> None:
    with holder_of(tmp_path / 'lock') as process:
        with pytest.raises(files.FileLocked) as caught:
            lock_and_let_go(tmp_path / 'lock')
        assert caught.value.process_id == process.pid
        process.communicate('\n', timeout=60)
    lock_and_let_go(tmp_path / 'lock')


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    with holder_of(tmp_path / 'lock') as process:
        process.kill()
        process.wait(timeout=60)
    lock_and_let_go(tmp_path / 'lock')


def test_lock_file_stays_and_is_private(tmp_path: Path) -> None:
    lock_and_let_go(tmp_path / 'lock')
    assert mode(tmp_path / 'lock') == 0o600


@pytest.mark.skipif(sys.platform == 'win32', reason='flock is of POSIX')
def test_file_system_without_locks_is_not_taken_for_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr('fcntl.flock', flock)
    with pytest.raises(OSError, match='No locks available') as caught:
        files.lock(str(tmp_path / 'lock'))
    assert not isinstance(caught.value, files.FileLocked)


@pytest.mark.parametrize('content', ['', 'nonsense', '9' * 40], ids=['empty', 'no number', 'long number'])
def test_holder_that_left_no_name_is_still_a_holder(tmp_path: Path, content: str) -> None:
    descriptor = files.lock(str(tmp_path / 'lock'))
    (tmp_path / 'lock').write_text(content)
    with pytest.raises(files.FileLocked):
        files.lock(str(tmp_path / 'lock'))
    os.close(descriptor)


def test_refused_lock_leaves_the_name_of_the_holder(tmp_path: Path) -> None:
    path = tmp_path / 'lock'
    descriptor = files.lock(str(path))
    for _ in range(2):
        with pytest.raises(files.FileLocked):
            files.lock(str(path))
    assert path.read_text() == str(os.getpid())
    os.close(descriptor)


@pytest.mark.parametrize('target', ['present', 'missing'])
def test_locking_a_link_is_refused_and_never_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / 'present').write_text('of somebody else')
    (tmp_path / 'lock').symlink_to(target)
    with pytest.raises(OSError):
        files.lock(str(tmp_path / 'lock'))
    assert (tmp_path / 'present').read_text() == 'of somebody else' and not (tmp_path / 'missing').exists()


def test_locking_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        files.lock(str(tmp_path))
