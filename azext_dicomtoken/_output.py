"""Where a command's own output goes: standard output as bytes, private files, and standard error beside an error.

How a result is printed is up to az. The files of the change feed are `dicomfeed.sinks`'s.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from typing import Any, TextIO

from azure.cli.core.azclierror import FileOperationError

# C0, DEL, C1, line separators, marks that turn the direction of writing, lone surrogates.
_CONTROLS = re.compile('[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')
_STREAM_PATHS = re.compile(r'/dev/(?:(stdin|stdout|stderr)|fd/(\d{1,9}))|/proc/self/fd/(\d{1,9})', re.ASCII)


def write_stdout(text: str, *, stream: TextIO | None = None) -> None:
    """Write text as UTF-8 with its own line ends, whatever the platform, and flush it.

    :raises BrokenPipeError: where nobody reads any more.
    :raises FileOperationError: where it cannot be written for another reason.
    """
    stream = stream or sys.stdout
    try:
        stream.flush()
        stream.buffer.write(text.encode('utf-8'))
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon_stdout()
        raise FileOperationError(
            f'Standard output could not be written: {error.strerror}.',
            recommendation='Check where it leads and the free space there.',
        ) from error


def abandon_stdout() -> None:
    """Let the interpreter's last flush succeed although nobody reads any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_private_file(path: str, text: str, *, overwrite: bool = False) -> None:
    """Write a file that only its owner may read, from the moment it exists.

    An existing file is refused, or with `overwrite` replaced by a new one: a symbolic link is replaced, never
    followed. Devices and pipes are written directly.

    :raises FileOperationError: where that is not possible; a half-written file is taken away.
    """
    data = text.encode('utf-8')
    try:
        if is_stream(path):
            _write_all(open_stream(path), data)
        elif overwrite:
            _replace(path, data)
        else:
            _create(path, data)
    except FileExistsError:
        raise FileOperationError(
            'The output file exists already.', recommendation='Choose another name, or add --overwrite.'
        ) from None
    except OSError as error:
        raise FileOperationError(
            f'The output file could not be written: {error.strerror}.',
            recommendation='Check the folder, its permissions and the free space.',
        ) from error


def is_stream(path: str) -> bool:
    """Whether the path leads to a device, a pipe or one of our own streams, which are written directly."""
    try:
        return bool(_STREAM_PATHS.fullmatch(path)) or not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def open_stream(path: str) -> int:
    """A descriptor that writes to what `is_stream`."""
    own = _STREAM_PATHS.fullmatch(path)
    if own:  # opening it by name would begin a redirected file anew
        return os.dup({'stdin': 0, 'stdout': 1, 'stderr': 2}.get(own[1]) or int(own[2] or own[3] or 0))
    return os.open(path, os.O_WRONLY)


def escape_controls(text: str) -> str:
    """The text without anything that moves a terminal's cursor or turns its writing round."""
    return _CONTROLS.sub(_escape, text)


def escape_on_terminal(result: Any, output: str | None) -> Any:
    """A command's result, its texts without controls where az prints them bare (`tsv`, `table`) and to a terminal."""
    if output not in ('tsv', 'table') or not sys.stdout.isatty():
        return result
    return _escaped(result)


def print_service_words(text: str, request_id: str | None, *, stream: TextIO | None = None) -> None:
    """Say on standard error what a service said, for a person's eyes; not through a logger, which may keep it."""
    stream = stream or sys.stderr
    for label, words in (('The service says', text), ('Request ID', request_id)):
        if words and words.strip():
            print(f'{label}: {escape_controls(words.strip())}', file=stream)


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return escape_controls(value)
    if isinstance(value, dict):
        return {escape_controls(name): _escaped(item) for name, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f'\\x{code:02x}' if code < 0x100 else f'\\u{code:04x}'


def _create(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, 'O_BINARY', 0), 0o600)
    try:
        _write_all(descriptor, data)
    except OSError:
        os.unlink(path)
        raise


def _replace(path: str, data: bytes) -> None:
    import tempfile  # makes its files with mode 0600

    descriptor, beside = tempfile.mkstemp(prefix='.', suffix='.new', dir=os.path.dirname(path) or '.')
    try:
        _write_all(descriptor, data)
        os.replace(beside, path)
    except OSError:
        os.unlink(beside)
        raise


def _write_all(descriptor: int, data: bytes) -> None:
    with open(descriptor, 'wb') as file:
        file.write(data)
