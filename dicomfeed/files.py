"""Private files: mode 0600 from the moment they exist, replaced by rename, on disk before anything counts on them.

Owned: how a file is made, replaced, locked and written. Not owned: what is in it, and what is said of a failure: only
OSError is raised, and nothing of the reader is loaded, so that the command for tokens can use this file alone.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

_BINARY = getattr(os, 'O_BINARY', 0)
_NO_FOLLOW = getattr(os, 'O_NOFOLLOW', 0)
_NO_WAIT = getattr(os, 'O_NONBLOCK', 0)  # a FIFO that took the place of a file would be waited for

# What flock(2) and Windows' locking() say of a lock that is held; a file system without locks says something else.
_HELD = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF)
_LOCK_ATTEMPTS = 10
_PAUSE_SECONDS = 0.01


class FileLocked(OSError):
    """Another process, or another descriptor of this one, holds the lock.

    :ivar process_id: that process, when it is known.
    """

    def __init__(self, process_id: int | None = None) -> None:
        super().__init__(errno.EWOULDBLOCK, 'the file is locked')
        self.process_id = process_id


class FileMoved(OSError):
    """The name does not lead to the open file any more: it was moved, removed or replaced."""

    def __init__(self) -> None:
        super().__init__(errno.ESTALE, 'the name leads to another file, or to none')


# A file and its name


def create(path: str) -> int:
    """A descriptor for a new file. FileExistsError where something has the name, a broken link included.

    It appends: what is written stands at the end even if another program truncates the file, so no part is ever filled
    with NUL bytes.
    """
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)


def create_locked(path: str) -> int:
    """A new file, and the lock on it."""
    return _locked(create(path), path)


def create_in_place_of(path: str, old: int | None) -> int:
    """A new file, locked, that has taken the name of the open one; a symbolic link is replaced, never followed.

    None stands for a link that leads nowhere. Raises FileMoved where the name leads to another file by now.
    """
    with _name_beside(path) as beside:
        descriptor = create_locked(beside)
        try:
            if old is not None and not leads_to(path, old):
                raise FileMoved()
            if os.name == 'nt':  # which renames no file that is open; not tried there
                os.close(descriptor)
                os.replace(beside, path)
                return reopen_locked(path, follow_link=False)
            os.replace(beside, path)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def reopen_locked(path: str, *, follow_link: bool) -> int:
    """A descriptor that appends to a file that is there, and the lock on it. FileNotFoundError where it is gone.

    Raises FileLocked, and FileMoved where another file takes the name meanwhile.
    """
    flags = os.O_RDWR | os.O_APPEND | _BINARY | _NO_WAIT | (0 if follow_link else _NO_FOLLOW)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, 'it is not a regular file')
    return _locked(descriptor, path)


def hold(path: str) -> int:
    """A descriptor with the lock on a file that is only to be replaced, so it need not be readable or writable.

    Raises FileLocked, and FileNotFoundError where there is none, as behind a broken link.
    """
    for access in (os.O_RDWR, os.O_RDONLY):
        with suppress(PermissionError):
            return _locked(os.open(path, access | _BINARY | _NO_WAIT), path)
    return _locked(os.open(path, getattr(os, 'O_PATH', os.O_RDONLY)), path)  # Linux: known, but without a lock


def leads_to(path: str, descriptor: int) -> bool:
    """Whether the name, links followed, is still that of the open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False


def is_regular(path: str) -> bool:
    """Whether the name, links followed, is that of a file, or of nothing yet: no folder, device or pipe."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return True


# Whole files


def create_with(path: str, data: bytes) -> None:
    """A new file with these bytes; where that fails, there is none. FileExistsError where something has the name."""
    descriptor = create(path)
    try:
        write_all(descriptor, data)
    except BaseException:
        _remove(path)
        raise
    finally:
        os.close(descriptor)


def replace_with(path: str, data: bytes) -> None:
    """Put a file with these bytes in the place of `path`: whole, or not at all, whatever happens meanwhile."""
    with _name_beside(path) as beside:
        descriptor = create(beside)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(beside, path)
    sync_folder(path)


def sync_folder(path: str) -> None:
    """See to it that the name of a file is on disk; a folder that cannot be synced (Windows, CIFS) needs no sync."""
    try:
        descriptor = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
    finally:
        os.close(descriptor)


# Bytes


def write_all(descriptor: int, data: bytes) -> None:
    """All of the bytes: the system may take fewer at a time, or none for now."""
    _write(lambda rest: os.write(descriptor, rest), data, descriptor=lambda: descriptor)


def write_stream(stream: BinaryIO, data: bytes) -> None:
    """All of the bytes, and none left in a buffer.

    The stream may be raw, as standard output is with PYTHONUNBUFFERED: its `write` says how much it took, and nobody
    else looks (https://github.com/python/cpython/issues/86210). It may also be a pipe that does not block, which
    refuses while it is full.
    """
    _write(stream.write, data, descriptor=stream.fileno)
    _flush_stream(stream)


def _flush_stream(stream: BinaryIO) -> None:
    """Leave nothing in the stream's buffer, however long its pipe is full."""
    while True:
        try:
            stream.flush()
            return
        except BlockingIOError:
            _wait_until_writable(stream.fileno())


def read_before(descriptor: int, length: int, count: int) -> bytes:
    """The last `count` bytes before the position `length`, fewer where there are not as many; the file stays put."""
    position = os.lseek(descriptor, 0, os.SEEK_CUR)
    start = os.lseek(descriptor, max(0, length - count), os.SEEK_SET)
    chunks, left = [], length - start
    while left > 0 and (chunk := os.read(descriptor, left)):
        chunks.append(chunk)
        left -= len(chunk)
    os.lseek(descriptor, position, os.SEEK_SET)
    return b''.join(chunks)


# Locks


def lock(path: str) -> int:
    """A descriptor that holds `path` locked until it is closed, by this process or by its end, however it ends.

    The file is made where it is not there, and holds the process ID of the holder. A symbolic link is refused, as what
    it leads to would be overwritten. A lock on a file that is replaced by rename would not do, for the second process
    would lock the new one; such a file has another one beside it for that.
    Raises FileLocked, and OSError where there can be no such file or no lock.
    """
    for _ in range(_LOCK_ATTEMPTS):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY | _NO_FOLLOW | _NO_WAIT, 0o600)
        try:
            _lock(descriptor)
            if leads_to(path, descriptor):  # else whoever held it took it away when it was done
                os.ftruncate(descriptor, 0)
                write_all(descriptor, str(os.getpid()).encode())
                return descriptor
        except OSError as error:
            holder = _written_holder(descriptor)
            os.close(descriptor)
            if error.errno not in _HELD:
                raise
            raise FileLocked(holder) from None
        os.close(descriptor)
    raise FileLocked()


def unlock(path: str, descriptor: int, *, remove: bool) -> None:
    """Let go of a lock; with `remove` its file goes, too. Whoever waits for that one sees that it has lost its name."""
    if remove and leads_to(path, descriptor):
        _remove(path)
    os.close(descriptor)


def _locked(descriptor: int, path: str) -> int:
    """The descriptor, with a lock on its file; closed where there is none to be had.

    A file system without locks is no reason not to write: that the name still leads to the file is looked at, too.
    """
    try:
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno in _HELD:
                raise FileLocked(_listed_holder(descriptor)) from None
            if error.errno not in (*_NOT_SUPPORTED, errno.ENOLCK):
                raise
        if not leads_to(path, descriptor):
            raise FileMoved()
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _written_holder(descriptor: int) -> int | None:
    try:
        return int(os.pread(descriptor, 20, 0)) if hasattr(os, 'pread') else None
    except (OSError, ValueError):
        return None


def _listed_holder(descriptor: int) -> int | None:
    """The process that Linux lists for a lock: `1: FLOCK ADVISORY WRITE 4711 fe:00:1234567 0 EOF`."""
    if not sys.platform.startswith('linux'):
        return None
    status = os.fstat(descriptor)
    file = f'{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}'
    with suppress(OSError, ValueError), open('/proc/locks', encoding='ascii') as locks:
        for fields in map(str.split, locks):
            if fields[1] == 'FLOCK' and fields[5] == file:
                return int(fields[4])
    return None


if sys.platform == 'win32':

    def _lock(descriptor: int) -> None:  # not tried on Windows
        import msvcrt

        # A byte far beyond what is there, which others may then still read and the holder may write.
        position = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, 2**31 - 2, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, position, os.SEEK_SET)

else:

    def _lock(descriptor: int) -> None:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


# What all of these share


@contextmanager
def _name_beside(path: str) -> Iterator[str]:
    """A new name in the same folder, short because `path` may be as long as a name can be.

    It is chosen before there is a file of that name, so that none is left, wherever a signal ends this context.
    """
    beside = os.path.join(os.path.dirname(os.path.abspath(path)), f'.{os.urandom(8).hex()}.tmp')
    try:
        yield beside
    except BaseException:
        _remove(beside)
        raise


def _remove(path: str) -> None:
    with suppress(OSError):  # what led here is what matters
        os.unlink(path)


def _write(write: Callable[[memoryview], int | None], data: bytes, *, descriptor: Callable[[], int]) -> None:
    rest = memoryview(data)
    while rest:
        taken, is_full = _written(write, rest)
        rest = rest[taken:]
        if is_full:
            _wait_until_writable(descriptor())


def _written(write: Callable[[memoryview], int | None], data: memoryview) -> tuple[int, bool]:
    """How much was taken, and whether a pipe that does not block refused more."""
    try:
        taken = write(data)
    except BlockingIOError as error:
        return getattr(error, 'characters_written', 0), True
    if taken == 0:
        raise OSError(errno.EIO, 'nothing was written')
    return taken or 0, taken is None  # a raw stream says None where a buffered one raises


def _wait_until_writable(descriptor: int) -> None:
    import select  # pipes that do not block are rare

    if not hasattr(select, 'poll'):  # Windows; not tried there
        time.sleep(_PAUSE_SECONDS)
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()
