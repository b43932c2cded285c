"""Where a command's own output goes: standard output as bytes, private files, and standard error beside an error.

How a result is printed is up to az. The files of the change feed are `dicomfeed.sinks`'s.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, TextIO

from azure.cli.core.azclierror import FileOperationError

# C0, DEL, C1, line separators, marks that turn the direction of writing, lone surrogates.
_CONTROLS = re.compile('[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')
_STREAM_PATHS = re.compile(r'/dev/(?:(stdin|stdout|stderr)|fd/(\d{1,9}))|/proc/self/fd/(\d{1,9})', re.ASCII)


class WholeOutput:
    """az's output producer, but what it prints is written whole, and no character is dropped; else it is an error.

    az prints with `print`, to a stream that may take only a part (with PYTHONUNBUFFERED), and leaves the last flush to
    the interpreter, whose failure is the exit code 120 and no message.
    """

    def __init__(self, producer: Any) -> None:
        self._producer = producer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def out(self, obj: Any, formatter: Any = None, out_file: TextIO | None = None) -> None:
        """Write a command's result, as knack's producer does."""
        text = formatter(obj)
        try:
            write_text(text, stream=out_file or sys.stdout)
        except BrokenPipeError:  # whoever read there has read enough
            abandon_stdout()


def print_whole(cmd: Any) -> None:
    """From here on az writes this command's result whole, or ends with an error."""
    cli_ctx = cmd.loader.cli_ctx  # az gives a command a copy of its context, and prints by the original
    if not isinstance(cli_ctx.output, WholeOutput):
        cli_ctx.output = WholeOutput(cli_ctx.output)


def write_text(text: str, *, stream: TextIO | None) -> None:
    """Write text in the stream's own encoding, escaping what that cannot hold, and flush it.

    Raises as `write_stdout` does.
    """
    if stream is not None and not hasattr(stream, 'buffer'):  # in memory, of a program that called az
        stream.write(text)
        return
    encoding = (stream and stream.encoding) or 'utf-8'
    _write_stdout(_encoded(text.replace('\n', os.linesep), encoding, (stream and stream.errors) or 'strict'), stream)


def write_stdout(text: str, *, stream: TextIO | None = None) -> None:
    """Write text as UTF-8 with its own line ends, whatever the platform, and flush it.

    :raises BrokenPipeError: where nobody reads any more.
    :raises FileOperationError: where it cannot be written, all of it, for another reason.
    """
    _write_stdout(text.encode('utf-8'), stream or sys.stdout)


def _write_stdout(data: bytes, stream: TextIO | None) -> None:
    if stream is None:
        raise FileOperationError('Standard output is closed.', recommendation='Leave it open, or use --output-file.')
    try:
        stream.flush()
        _write_whole(stream.buffer, data)
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon_stdout()
        raise FileOperationError(
            f'Standard output could not be written: {error.strerror}.',
            recommendation='Check where it leads and the free space there.',
        ) from error


def _write_whole(stream: BinaryIO, data: bytes) -> None:
    """All of the bytes; the reader's way to that is loaded only where the system takes fewer."""
    try:
        taken = stream.write(data) or 0
        if taken == len(data):
            stream.flush()
            return
    except BlockingIOError as error:
        taken = getattr(error, 'characters_written', 0)
    from dicomfeed import files

    files.write_stream(stream, data[taken:])


def _encoded(text: str, encoding: str, errors: str) -> bytes:
    try:
        return text.encode(encoding, errors)
    except UnicodeEncodeError:
        return ''.join(map(_escape_unencodable(encoding), text)).encode(encoding)


def _escape_unencodable(encoding: str) -> Callable[[str], str]:
    """As JSON does it, which is a backslash escape to any other reader, too."""
    import json

    def escape(character: str) -> str:
        try:
            character.encode(encoding)
            return character
        except UnicodeEncodeError:
            return json.dumps(character)[1:-1]

    return escape


def abandon_stdout() -> None:
    """Let the interpreter's last flush succeed although nobody reads any more."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def _write_directly(path: str, data: bytes) -> None:
    from dicomfeed import files

    descriptor = open_stream(path)
    try:
        files.write_all(descriptor, data)
    finally:
        os.close(descriptor)
