"""Private files: made, replaced by rename, locked. What a checkpoint makes of a lock: `test_checkpoint.py`."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from dicomfeed import files

if sys.platform != 'win32':
    import fcntl

HOLD = (
    'import sys; from dicomfeed import files; '
    'getattr(files, sys.argv[2])(sys.argv[1]); print("held", flush=True); input()'
)


@pytest.fixture(autouse=True, params=[0o000, 0o077], ids=['open umask', 'closed umask'])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def create_in_place_of_nothing(path: str) -> int:
    return files.create_in_place_of(path, None)


@pytest.mark.parametrize(
    'create',
    [files.create, files.create_locked, create_in_place_of_nothing],
    ids=['create', 'create locked', 'create in place'],
)
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


@pytest.mark.parametrize(
    'replace', [replace_with_data, create_in_place_of_nothing], ids=['with data', 'with a new one']
)
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


def test_created_file_with_data_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    files.create_with(str(tmp_path / 'new'), b'data')
    assert (mode(tmp_path / 'new'), (tmp_path / 'new').read_bytes()) == (0o600, b'data')
    with pytest.raises(FileExistsError):
        files.create_with(str(tmp_path / 'new'), b'other')
    assert (tmp_path / 'new').read_bytes() == b'data'


def test_n10_folder_that_cannot_be_synced_needs_no_sync() -> None:
    if sys.platform != 'linux':
        pytest.skip('/proc, a folder that cannot be synced, is of Linux')
    with pytest.raises(OSError, match='Invalid argument'):
        os.fsync(os.open('/proc', os.O_RDONLY))
    files.sync_folder('/proc/file')


class Ended(BaseException):
    """As a signal's handler raises."""


@pytest.mark.parametrize(
    'replace', [replace_with_data, create_in_place_of_nothing], ids=['with data', 'with a new one']
)
def test_n18_signal_anywhere_leaves_the_old_file_or_the_new_one_and_no_other(
    tmp_path: Path, replace: Callable[[str], object]
) -> None:
    """The signal comes before one line of the product's code after another, until there is none left."""
    path = tmp_path / 'file'
    for line in range(1_000):
        path.write_bytes(b'old')
        if not is_ended_at(line, lambda: replace(str(path))):
            break
        assert [name.name for name in tmp_path.iterdir()] == ['file'], line
        assert path.read_bytes() in (b'old', b'data', b'')
    assert 10 < line < 999


def is_ended_at(line: int, work: Callable[[], object]) -> bool:
    """Whether the work has so many lines and was ended there; clearing up is not disturbed, as by a third signal."""
    seen = 0

    def trace(frame: FrameType, event: str, _argument: object) -> object:
        nonlocal seen
        if frame.f_code.co_filename != files.__file__ or frame.f_code.co_name == '_remove':
            return None
        if event == 'line':
            seen += 1
            if seen == line + 1:
                raise Ended
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        work()
    except Ended:
        return True
    finally:
        sys.settrace(None)
    return False


# Every byte is written (L25)


@pytest.mark.parametrize('is_blocking', [True, False], ids=['blocking', 'not blocking'])
@pytest.mark.parametrize('buffering', [None, 0, 100, 2**20], ids=['descriptor', 'raw', 'buffered', 'much buffered'])
def test_l25_full_pipe_gets_every_byte(is_blocking: bool, buffering: int | None) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, is_blocking)
    data, received = os.urandom(2**20), []
    reader = threading.Thread(target=lambda: received.append(read_slowly(reading)), daemon=True)
    reader.start()
    if buffering is None:
        files.write_all(writing, data)
        files.write_all(writing, b'')
        os.close(writing)
    else:
        with open(writing, 'wb', buffering=buffering) as stream:
            files.write_stream(stream, data)  # type: ignore[arg-type]
            files.write_stream(stream, b'')  # type: ignore[arg-type]
    reader.join(60)
    os.close(reading)
    assert received == [data]


def read_slowly(descriptor: int) -> bytes:
    """In small bites, so that the pipe is full most of the time."""
    chunks = []
    while chunk := os.read(descriptor, 5_000):
        chunks.append(chunk)
    return b''.join(chunks)


@pytest.mark.parametrize('buffering', [0, 2**20], ids=['raw', 'buffered'])
def test_l25_pipe_without_a_reader_is_an_error(buffering: int) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.close(reading)
    with pytest.raises(BrokenPipeError), open(writing, 'wb', buffering=buffering) as stream:
        files.write_stream(stream, b'data')  # type: ignore[arg-type]


WRITE = """
import resource, signal, sys
from dicomfeed import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    files.write_stream(open(sys.argv[1], 'wb', buffering=int(sys.argv[2])), b'x' * 1500)
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.skipif(sys.platform == 'win32', reason='limits are of POSIX')
@pytest.mark.parametrize('buffering', [0, 100], ids=['raw', 'buffered'])
def test_l25_file_that_may_not_grow_is_an_error(tmp_path: Path, buffering: int) -> None:
    assert 'File too large' in run(WRITE, str(tmp_path / 'file'), str(buffering))


STOPPED = """
import os, sys
from dicomfeed import files
files.write_stream(open(1, 'wb', buffering=0), bytes(1_000_000))
"""


@pytest.mark.skipif(sys.platform == 'win32', reason='SIGSTOP is of POSIX')
def test_l25_process_that_is_stopped_and_continued_writes_every_byte() -> None:
    command = [sys.executable, '-c', STOPPED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        length = 0
        while chunk := process.stdout.read(100_000):
            length += len(chunk)
            process.send_signal(signal.SIGSTOP)
            process.send_signal(signal.SIGCONT)
    assert length == 1_000_000


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, '-c', script, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60, cwd=Path(__file__).parents[2]
    ).stdout


@pytest.mark.parametrize(('length', 'count', 'data'), [(6, 4, b'cdef'), (3, 4, b'abc'), (9, 4, b'fgh'), (0, 4, b'')])
def test_read_before_gives_the_end_and_moves_nothing(tmp_path: Path, length: int, count: int, data: bytes) -> None:
    descriptor = files.create(str(tmp_path / 'file'))
    files.write_all(descriptor, b'abcdefgh')
    assert files.read_before(descriptor, length, count) == data
    files.write_all(descriptor, b'!')
    os.close(descriptor)
    assert (tmp_path / 'file').read_bytes() == b'abcdefgh!'


# The file behind a name


@pytest.mark.parametrize('follow_link', [True, False])
def test_reopened_file_is_appended_to(tmp_path: Path, follow_link: bool) -> None:
    (tmp_path / 'file').write_bytes(b'old')
    descriptor = files.reopen_locked(str(tmp_path / 'file'), follow_link=follow_link)
    files.write_all(descriptor, b'new')
    os.close(descriptor)
    assert (tmp_path / 'file').read_bytes() == b'oldnew'


@pytest.mark.parametrize('make', [os.mkdir, os.mkfifo], ids=['folder', 'FIFO'])
def test_reopening_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / 'name')
    with pytest.raises(OSError):
        files.reopen_locked(str(tmp_path / 'name'), follow_link=True)


def test_name_leads_to_the_open_file_until_it_is_another_ones(tmp_path: Path) -> None:
    path = tmp_path / 'file'
    descriptor = files.create(str(path))
    (tmp_path / 'link').symlink_to(path)
    assert files.leads_to(str(path), descriptor) and files.leads_to(str(tmp_path / 'link'), descriptor)
    files.replace_with(str(path), b'')
    assert not files.leads_to(str(path), descriptor) and not files.leads_to(str(tmp_path / 'link'), descriptor)
    os.close(descriptor)


def test_file_is_not_replaced_once_its_name_leads_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / 'file'
    path.write_bytes(b'old')
    held = files.hold(str(path))
    files.replace_with(str(path), b'other')
    with pytest.raises(files.FileMoved):
        files.create_in_place_of(str(path), held)
    os.close(held)
    assert path.read_bytes() == b'other' and [name.name for name in tmp_path.iterdir()] == ['file']


@pytest.mark.skipif(sys.platform != 'linux', reason='/proc/locks is of Linux')
def test_l10_output_of_another_process_is_refused_and_the_process_named(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with holder_of(tmp_path / 'file', hold='hold') as process:
        with pytest.raises(files.FileLocked) as caught:
            files.reopen_locked(str(tmp_path / 'file'), follow_link=True)
        assert caught.value.process_id == process.pid
        process.communicate('\n', timeout=60)
    os.close(files.reopen_locked(str(tmp_path / 'file'), follow_link=True))


# Locks


def lock_and_let_go(path: Path) -> None:
    os.close(files.lock(str(path)))


def holder_of(path: Path, *, hold: str = 'lock') -> subprocess.Popen[str]:
    """A process that holds the lock until it ends."""
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, str(path), hold],
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
def test_lock_whose_file_was_taken_away_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder removes the file and lets go between the second one's open and its lock."""
    path = tmp_path / 'lock'
    first = files.lock(str(path))
    taken: list[int] = []

    def flock(descriptor: int, operation: int) -> None:
        if not taken:
            taken.append(descriptor)
            files.unlock(str(path), first, remove=True)
        real_flock(descriptor, operation)

    real_flock = fcntl.flock
    monkeypatch.setattr('fcntl.flock', flock)
    second = files.lock(str(path))
    assert files.leads_to(str(path), second)
    os.close(second)


def test_lock_file_goes_where_it_guards_nothing(tmp_path: Path) -> None:
    path = tmp_path / 'lock'
    files.unlock(str(path), files.lock(str(path)), remove=True)
    assert not path.exists()


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
