"""One process at a time. Two locks in one process: `test_delivery.py`."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dicomfeed.errors import CheckpointError, CheckpointLocked
from dicomfeed.lock import FileLock

HOLD = 'import sys; from dicomfeed.lock import FileLock\nwith FileLock(sys.argv[1]): print("held", flush=True); input()'


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
        with (
            pytest.raises(CheckpointLocked, match=f'by process {process.pid}') as caught,
            FileLock(str(tmp_path / 'lock')),
        ):
            pass
        assert caught.value.process_id == process.pid
        process.communicate('\n', timeout=10)
    with FileLock(str(tmp_path / 'lock')):
        pass


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    with holder_of(tmp_path / 'lock') as process:
        process.kill()
        process.wait(timeout=10)
    with FileLock(str(tmp_path / 'lock')):
        pass


def test_lock_file_stays_and_is_private(tmp_path: Path) -> None:
    with FileLock(str(tmp_path / 'lock')):
        pass
    assert stat.S_IMODE((tmp_path / 'lock').stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform == 'win32', reason='flock is of POSIX')
def test_file_system_without_locks_is_not_taken_for_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr('fcntl.flock', flock)
    with pytest.raises(CheckpointError, match='No locks available') as caught, FileLock(str(tmp_path / 'lock')):
        pass
    assert not isinstance(caught.value, CheckpointLocked)


def test_lock_is_let_go_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(LookupError), FileLock(str(tmp_path / 'lock')):
        raise LookupError
    with FileLock(str(tmp_path / 'lock')):
        pass


@pytest.mark.parametrize('content', ['', 'nonsense', '9' * 40], ids=['empty', 'no number', 'long number'])
def test_holder_that_left_no_name_is_still_a_holder(tmp_path: Path, content: str) -> None:
    path = tmp_path / 'lock'
    with FileLock(str(path)):
        path.write_text(content)
        with pytest.raises(CheckpointLocked), FileLock(str(path)):
            pass


def test_refused_lock_leaves_the_name_of_the_holder(tmp_path: Path) -> None:
    path = tmp_path / 'lock'
    with FileLock(str(path)):
        named = path.read_text()
        for _ in range(2):
            with pytest.raises(CheckpointLocked), FileLock(str(path)):
                pass
        assert path.read_text() == named


@pytest.mark.parametrize('target', ['present', 'missing'])
def test_link_is_refused_and_never_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / 'present').write_text('of somebody else')
    (tmp_path / 'lock').symlink_to(target)
    with pytest.raises(CheckpointError), FileLock(str(tmp_path / 'lock')):
        pass
    assert (tmp_path / 'present').read_text() == 'of somebody else' and not (tmp_path / 'missing').exists()


def test_path_that_can_be_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError), FileLock(str(tmp_path)):
        pass
