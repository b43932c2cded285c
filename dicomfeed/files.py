"""Private files: mode 0600 from the moment they exist, replaced by rename, on disk before anything counts on them.

Owned: how a file is made, replaced, locked and written. Not owned: what is in it, and what is said of a failure: only
OSError is raised, and nothing of the reader is loaded, so that the command for tokens can use this file alone.
"""

from __future__ import annotations

import errno
import os
import sys

_BINARY = getattr(os, 'O_BINARY', 0)
_NO_FOLLOW = getattr(os, 'O_NOFOLLOW', 0)

# What flock(2) and Windows' locking() say of a lock that is held; a file system without locks says something else.
_HELD = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)


class FileLocked(OSError):
    """Another process, or another descriptor of this one, holds the lock.

    :ivar process_id: that process, when it is known.
    """

    def __init__(self, process_id: int | None) -> None:
        super().__init__(errno.EWOULDBLOCK, 'the file is locked')
        self.process_id = process_id


def create(path: str) -> int:
    """A descriptor for a new file. FileExistsError where something has the name, a broken link included."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)


def create_replacing(path: str) -> int:
    """A descriptor for a new file that has taken the name; a symbolic link is replaced, never followed."""
    if os.name == 'nt':  # which renames no file that is open; not tried there
        replace_with(path, b'')
        return os.open(path, os.O_RDWR | _BINARY)
    descriptor, beside = _create_beside(path)
    try:
        os.replace(beside, path)
    except OSError:
        os.close(descriptor)
        os.unlink(beside)
        raise
    return descriptor


def reopen(path: str) -> int:
    """A descriptor for a file that is there; a symbolic link is not followed. FileNotFoundError where it is gone."""
    return os.open(path, os.O_RDWR | _BINARY | _NO_FOLLOW)


def replace_with(path: str, data: bytes) -> None:
    """Put a file with these bytes in the place of `path`: whole, or not at all, whatever happens meanwhile."""
    descriptor, beside = _create_beside(path)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(beside, path)
    except OSError:
        os.unlink(beside)
        raise
    sync_folder(path)


def write_all(descriptor: int, data: bytes) -> None:
    """All of the bytes; `os.write` may take fewer at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_before(descriptor: int, length: int, count: int) -> bytes:
    """The last `count` bytes before the position `length`, fewer where there are not as many; the file stays put."""
    position = os.lseek(descriptor, 0, os.SEEK_CUR)
    start = os.lseek(descriptor, max(0, length - count), os.SEEK_SET)
    chunks, left = [], length - start
    while left and (chunk := os.read(descriptor, left)):
        chunks.append(chunk)
        left -= len(chunk)
    os.lseek(descriptor, position, os.SEEK_SET)
    return b''.join(chunks)


def sync_folder(path: str) -> None:
    """See to it that the name of a file is on disk; where folders cannot be synced (Windows) there is no need."""
    try:
        descriptor = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock(path: str) -> int:
    """A descriptor that holds `path` locked until it is closed, by this process or by its end, however it ends.

    The file is made where it is not there, and stays: taking it away would let two in. It holds the process ID of the
    holder. A symbolic link is refused, as what it leads to would be overwritten. A lock on a file that is replaced by
    rename would not do, for the second process would lock the new one; such a file has another one beside it for that.
    Raises FileLocked, and OSError where there can be no such file or no lock.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY | _NO_FOLLOW, 0o600)
    try:
        _lock(descriptor)
    except OSError as error:
        holder = _holder(descriptor)
        os.close(descriptor)
        if error.errno not in _HELD:
            raise
        raise FileLocked(holder) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def _create_beside(path: str) -> tuple[int, str]:
    import tempfile  # which loads a dozen modules, and most runs replace nothing

    return tempfile.mkstemp(prefix=f'.{os.path.basename(path)}.', dir=os.path.dirname(os.path.abspath(path)))


def _holder(descriptor: int) -> int | None:
    try:
        return int(os.pread(descriptor, 20, 0)) if hasattr(os, 'pread') else None
    except (OSError, ValueError):
        return None


if sys.platform == 'win32':

    def _lock(descriptor: int) -> None:  # not tried on Windows
        import msvcrt

        # A byte far beyond the process ID, which others may then still read.
        os.lseek(descriptor, 2**20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:

    def _lock(descriptor: int) -> None:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
