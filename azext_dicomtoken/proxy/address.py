"""What makes the address of a proxy, and its two files: the secret that outlives a run, the base URL of this run.

Both are for their owner alone from the moment they exist. Neither is a link that somebody else could have put there.
"""

from __future__ import annotations

import os
import secrets
import stat
import tempfile

from azure.cli.core.azclierror import FileOperationError

from azext_dicomtoken.proxy.rules import SECRET

_SECRET_BYTES = 16
_MOST_BYTES = 4096
_BINARY = getattr(os, 'O_BINARY', 0)
_NO_LINK = getattr(os, 'O_NOFOLLOW', 0)


def new_secret() -> str:
    """128 random bits, in hexadecimal."""
    return secrets.token_hex(_SECRET_BYTES)


def kept_secret(path: str) -> str:
    """The secret in the file; a missing file is made, with a new one.

    :raises FileOperationError: for a file that somebody else could have written or can read, or without a secret.
    """
    try:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY, 0o600)
        except FileExistsError:
            return _read_secret(path)
        secret = new_secret()
        with open(descriptor, 'wb') as file:
            file.write(f'{secret}\n'.encode())
        return secret
    except OSError as error:
        raise FileOperationError(
            f'The secret file could not be used: {error.strerror}.',
            recommendation='Check the folder of --secret-file and its permissions.',
        ) from error


def write_url(path: str, url: str) -> None:
    """Tell other programs the base URL: a file that takes the place of an older one, or of a link.

    :raises FileOperationError: where it cannot be written.
    """
    try:
        if os.path.lexists(path) and not stat.S_ISLNK(mode := os.lstat(path).st_mode) and not stat.S_ISREG(mode):
            raise FileOperationError(
                'The URL file is a folder, a device or a pipe.', recommendation='Name a file with --url-file.'
            )
        descriptor, beside = tempfile.mkstemp(prefix='.', suffix='.new', dir=os.path.dirname(path) or '.')
        with open(descriptor, 'wb') as file:
            file.write(_line(url))
        os.replace(beside, path)
    except OSError as error:
        raise FileOperationError(
            f'The URL file could not be written: {error.strerror}.',
            recommendation='Check the folder of --url-file, its permissions and the free space.',
        ) from error


def remove_url(path: str, url: str) -> None:
    """At the end, take the file away. Where another proxy has written its own address since, it stays."""
    try:
        with open(os.open(path, os.O_RDONLY | _NO_LINK | _BINARY), 'rb') as file:
            if file.read(_MOST_BYTES) != _line(url):
                return
        os.unlink(path)
    except OSError:
        pass  # it is gone, or is not ours any more


def _line(url: str) -> bytes:
    return f'{url}\n'.encode()


def _read_secret(path: str) -> str:
    if os.path.islink(path):
        raise _refused('is a link')
    descriptor = os.open(path, os.O_RDONLY | _NO_LINK | _BINARY | getattr(os, 'O_NONBLOCK', 0))
    with open(descriptor, 'rb') as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise _refused('is not a regular file')
        if os.name != 'nt':  # not tried there, where the folder's permissions count
            if found.st_uid != os.geteuid():
                raise _refused('belongs to another user')
            if found.st_mode & 0o077:
                raise _refused('can be read or written by others')
        text = file.read(_MOST_BYTES).decode('ascii', 'replace').strip()
    if not SECRET.fullmatch(text):
        raise _refused('does not hold at least 32 hexadecimal digits and nothing else')
    return text


def _refused(fault: str) -> FileOperationError:
    return FileOperationError(
        f'The secret file {fault}.',
        recommendation='Use a file of your own with mode 0600, or name one that does not exist: it is then created.',
    )
