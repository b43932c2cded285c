"""Private files: mode 0600 from the moment they exist, replaced by rename, on disk before anything counts on them."""

from __future__ import annotations

import os
import tempfile

_BINARY = getattr(os, 'O_BINARY', 0)


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


def _create_beside(path: str) -> tuple[int, str]:
    return tempfile.mkstemp(prefix=f'.{os.path.basename(path)}.', dir=os.path.dirname(os.path.abspath(path)))
