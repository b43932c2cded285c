"""Private files, messages, and control characters, which are escaped in everything that a person reads.

Standard output and what az prints there is in `_stdout`. The files of the change feed are `dicomfeed.sinks`'s.
"""

from __future__ import annotations

import atexit
import io
import os
import re
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from azure.cli.core.azclierror import FileOperationError

# C0, DEL, C1, line separators, marks that turn the direction of writing, lone surrogates.
_CONTROLS = re.compile('[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')
_STREAM_PATHS = re.compile(r'/dev/(?:(stdin|stdout|stderr)|fd/(\d{1,9}))|/proc/self/fd/(\d{1,9})', re.ASCII)


def say(*lines: str, stream: TextIO | None = None) -> None:
    """Say something to a person on standard error; nowhere, where that is closed or cannot be written."""
    stream = stream or sys.stderr
    if stream is None:
        return
    with suppress(OSError, ValueError):
        print(*lines, sep='\n', file=stream, flush=True)


def duration_text(seconds: float) -> str:
    """A duration for a person: to the second, above a minute to the minute."""
    if seconds < 60:
        return f'{round(seconds)} s'
    hours, minutes = divmod(round(seconds / 60), 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min'


def keep_messages_apart() -> None:
    """See to it that messages go to standard error or nowhere, and that none decides how the command ends.

    Where standard error is closed (`2>&-`), Python's `print` takes standard output for it, and whatever is opened next
    gets its descriptor. Where it cannot be written, the interpreter's last flush fails with the exit code 120.
    """
    atexit.unregister(_give_up_messages)
    atexit.register(_give_up_messages)
    if sys.stderr is not None:
        return
    sys.stderr = _Nowhere()
    try:
        os.fstat(2)
    except OSError:
        lead_nowhere(2)


def _give_up_messages() -> None:
    try:
        sys.stderr.flush()
    except OSError:
        lead_nowhere(2)
    except ValueError:  # closed: nothing will be flushed
        pass


def lead_nowhere(descriptor: int) -> None:
    """What is written there from now on succeeds and is lost."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


class _Nowhere(io.TextIOBase):
    def write(self, text: str) -> int:
        return len(text)


def write_private_file(path: str, text: str, *, overwrite: bool = False) -> None:
    """Write a file that only its owner may read, from the moment it exists.

    An existing file is refused, or with `overwrite` replaced by a new one: a symbolic link is replaced, never
    followed. Devices and pipes are written directly.

    :raises FileOperationError: where that is not possible; a half-written file is taken away.
    """
    from dicomfeed import files  # a token on standard output needs none

    data = text.encode('utf-8')
    try:
        if is_stream(path):
            _write_directly(path, data)
        elif overwrite:
            files.replace_with(path, data)
        else:
            files.create_with(path, data)
    except FileExistsError:
        raise FileOperationError(
            'The output file exists already.', recommendation='Choose another name, or add --overwrite.'
        ) from None
    except OSError as error:
        raise FileOperationError(
            f'The output file could not be written: {error.strerror}.',
            recommendation='Check the folder, its permissions and the free space.',
        ) from error


def plural(number: int, one: str, many: str) -> str:
    """So many of something, in words."""
    return f'{number:,} {one if number == 1 else many}'


def is_stream(path: str) -> bool:
    """Whether the path leads to a device, a pipe or one of our own streams, which are written directly."""
    try:
        return bool(_STREAM_PATHS.fullmatch(path)) or not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def is_standard_output(path: str) -> bool:
    """Whether the path is `-` or another name for standard output."""
    return path == '-' or _own_descriptor(path) == 1


def open_stream(path: str) -> int:
    """A descriptor that writes to what `is_stream`."""
    own = _own_descriptor(path)
    if own is not None:  # opening it by name would begin a redirected file anew
        return os.dup(own)
    return os.open(path, os.O_WRONLY)


def escape_controls(text: str) -> str:
    """The text without anything that moves a terminal's cursor or turns its writing round."""
    return _CONTROLS.sub(_escape, text)


def escape_json_controls(text: str) -> str:
    """JSON without anything that a terminal acts on; what is escaped already and layout stay as they are."""
    from azext_dicomtoken._json import escape

    return _CONTROLS.sub(lambda match: match[0] if match[0] < '\x20' else escape(match[0]), text)


def map_texts(change: Callable[[str], str], value: Any) -> Any:
    """A command's result with each text in it changed, names included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return type(value)((change(name), map_texts(change, item)) for name, item in value.items())
    return [map_texts(change, item) for item in value] if isinstance(value, list) else value


def _own_descriptor(path: str) -> int | None:
    """The descriptor of this process that the path names."""
    own = _STREAM_PATHS.fullmatch(path)
    if own is None:
        return None
    return ('stdin', 'stdout', 'stderr').index(own[1]) if own[1] else int(own[2] or own[3])


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f'\\x{code:02x}' if code < 0x100 else f'\\u{code:04x}'


def _write_directly(path: str, data: bytes) -> None:
    from dicomfeed import files

    descriptor = open_stream(path)
    try:
        files.write_all(descriptor, data)
    finally:
        os.close(descriptor)
