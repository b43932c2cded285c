"""One process at a time: a lock on a file of its own.

A lock on the file that it guards would not do: that file is replaced by rename, and the second process would lock the
new one.
"""

from __future__ import annotations

import errno
import os
import sys
from types import TracebackType

from dicomfeed.errors import CheckpointError, CheckpointLocked

# What flock(2) and Windows' locking() say of a lock that is held; a file system without locks says something else.
_HELD = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)


class FileLock:
    """Holds `path` locked while the context is open. The file stays: taking it away would let two in.

    Raises CheckpointLocked, with the holder's process id, where another process holds it; the system lets go of the
    lock when the holder ends, however it ends. Raises CheckpointError where there can be no such file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> FileLock:
        self._descriptor = _open(self._path)
        try:
            _lock(self._descriptor)
        except OSError as error:
            holder = self._holder()
            self._close()
            if error.errno not in _HELD:
                raise _unusable(error) from error
            named = f' by process {holder}' if holder else ''
            raise CheckpointLocked(f'The checkpoint is in use{named}.', process_id=holder) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def _holder(self) -> int | None:
        assert self._descriptor is not None
        try:
            return int(os.pread(self._descriptor, 20, 0)) if hasattr(os, 'pread') else None
        except (OSError, ValueError):
            return None

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _open(path: str) -> int:
    """The file as it is, or a new one; what a symbolic link leads to would be overwritten, so none is followed."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, 'O_BINARY', 0) | getattr(os, 'O_NOFOLLOW', 0)
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        raise _unusable(error) from error


def _unusable(error: OSError) -> CheckpointError:
    return CheckpointError(f'The lock of the checkpoint cannot be used: {error.strerror}.')


if sys.platform == 'win32':

    def _lock(descriptor: int) -> None:  # not tried on Windows
        import msvcrt

        # A byte far beyond the process id, which others may then still read.
        os.lseek(descriptor, 2**20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:

    def _lock(descriptor: int) -> None:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
