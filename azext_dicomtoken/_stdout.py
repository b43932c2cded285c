"""Standard output: a command's data, whole and in the encoding of whoever reads it, or an error.

Owned: the stream that az was given for data, checked writes, how az prints a result there, and whether somebody still
reads. Not owned: which data; files (`_output`).
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from azure.cli.core.azclierror import FileOperationError

from azext_dicomtoken._output import lead_nowhere

Escape = Callable[[str], str]


class Stdout:
    """Takes data for standard output, or for the stream that a program which runs az gave in its place.

    What `write` has returned from is written: no buffer holds it, so no flush at the end of the process can fail.
    BrokenPipeError: nobody reads any more. OSError: it cannot be written for another reason. After either, the
    interpreter's own last flush does no harm.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    @property
    def is_terminal(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    @property
    def is_file(self) -> bool:
        """Whether data goes to a file of the file system."""
        with suppress(OSError):
            return stat.S_ISREG(os.fstat(self.fileno()).st_mode)
        return False

    @property
    def encoding(self) -> str:
        return getattr(self._stream, 'encoding', None) or 'utf-8'

    def require_open(self) -> None:
        """:raises FileOperationError: where standard output is closed."""
        if self._stream is None:
            raise FileOperationError(
                'Standard output is closed.', recommendation='Leave it open, or write to a file with --output-file.'
            )

    def write(self, data: bytes | memoryview) -> int:
        """Write bytes; for a stream without bytes, as UTF-8 text."""
        stream = self._stream
        if stream is None:
            raise OSError(errno.EBADF, 'standard output is closed')
        try:
            if hasattr(stream, 'buffer'):
                _flush(stream)  # what others printed comes first
                _write_whole(getattr(stream.buffer, 'raw', stream.buffer), data)
            else:
                stream.write(bytes(data).decode('utf-8', 'surrogatepass'))
                stream.flush()
        except OSError:
            _abandon(stream)
            raise
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def fileno(self) -> int:
        """The descriptor, where the stream has one; OSError where it has none."""
        if self._stream is None:
            raise OSError(errno.EBADF, 'standard output is closed')
        return self._stream.fileno()

    def write_text(self, text: str, *, escape: Escape) -> None:
        """Write text in the stream's own encoding and line ends, as `print` does, but for `escape`.

        :param escape: what is written in the place of characters that the encoding does not hold.
        """
        if self._stream is not None and not hasattr(self._stream, 'buffer'):
            text = encoded(text, self.encoding, escape=escape).decode(self.encoding, 'surrogatepass')
            self._stream.write(text)
            return
        self.write(encoded(text.replace('\n', os.linesep), self.encoding, escape=escape))

    def sleep(self, seconds: float) -> None:
        """Wait; BrokenPipeError as soon as whoever read from the pipe has gone, and not at the next write only."""
        descriptor = None
        with suppress(OSError):
            descriptor = self.fileno()
        if descriptor is None or os.name == 'nt':  # which cannot tell; not tried there
            time.sleep(seconds)
        elif _is_reader_gone(descriptor, seconds):
            _abandon(self._stream)
            raise BrokenPipeError(errno.EPIPE, 'nobody reads standard output any more')


def encoded(text: str, encoding: str, *, escape: Escape) -> bytes:
    """The text in the encoding; what that does not hold is escaped, never dropped."""
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        fitting = (character if _holds(encoding, character) else escape(character) for character in text)
        return ''.join(fitting).encode(encoding)


def backslash(characters: str) -> str:
    r"""The characters as Python escapes them: `\xfc`, `\u6f22`, `\U0001fa7b`."""
    return characters.encode('ascii', 'backslashreplace').decode('ascii')


def print_whole(cli_ctx: Any) -> None:
    """From here to the end of this run of a command, az prints its result with `WholeOutput`."""
    from knack.events import EVENT_CLI_POST_EXECUTE

    producer = cli_ctx.output
    if isinstance(producer, WholeOutput):
        return
    cli_ctx.output = WholeOutput(cli_ctx, producer)

    def give_back(_cli_ctx: Any, **_: Any) -> None:
        cli_ctx.output = producer
        cli_ctx.unregister_event(EVENT_CLI_POST_EXECUTE, give_back)

    cli_ctx.register_event(EVENT_CLI_POST_EXECUTE, give_back)


class WholeOutput:
    """knack's producer of output, but whatever it prints is written whole and nothing is dropped, or it is an error.

    knack's `print` leaves a short write unseen (with PYTHONUNBUFFERED) and the last flush to the interpreter, whose
    failure is exit code 120 without a message; and it drops what an encoding does not hold.
    """

    def __init__(self, cli_ctx: Any, producer: Any) -> None:
        self._cli_ctx = cli_ctx
        self._producer = producer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def out(self, obj: Any, formatter: Any = None, out_file: TextIO | None = None) -> None:
        """Print a command's result, as knack's producer does."""
        from azext_dicomtoken._format import printed

        stdout = Stdout(out_file)
        output = str(self._cli_ctx.invocation.data.get('output'))
        text, escape = printed(obj, formatter, output=output, stdout=stdout)
        if text:
            write_result(stdout, text, escape=escape)


def write_result(stdout: Stdout, text: str, *, escape: Escape) -> None:
    """Write a result in the encoding of standard output.

    :raises FileOperationError: where it cannot be written. That nobody reads any more is no error.
    """
    stdout.require_open()
    with _explained():
        stdout.write_text(text, escape=escape)


def write_stdout(text: str, *, stream: TextIO | None) -> None:
    """Write text as UTF-8 with its own line ends, whatever the platform.

    :param stream: standard output, or what az was given in its place.
    :raises FileOperationError: where it cannot be written. That nobody reads any more is no error.
    """
    stdout = Stdout(stream)
    stdout.require_open()
    with _explained():
        stdout.write(text.encode('utf-8'))


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        return
    except OSError as error:
        raise not_written(error) from error


def not_written(error: OSError) -> FileOperationError:
    """az's error for one of the system's."""
    return FileOperationError(
        f'Standard output could not be written: {error.strerror}.',
        recommendation='Check what it is redirected to, and the free space there.',
    )


def _holds(encoding: str, character: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _write_whole(stream: Any, data: bytes | memoryview) -> None:
    """All of the bytes: a raw stream may take fewer at a time, or none while a pipe that does not block is full.

    Nobody else looks at what it took: https://github.com/python/cpython/issues/86210.
    """
    rest = memoryview(data)
    while rest:
        taken = stream.write(rest)
        if taken is None:
            _wait_until_writable(stream.fileno())
        elif taken:
            rest = rest[taken:]
        else:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def _flush(stream: TextIO) -> None:
    while True:
        try:
            stream.flush()
            return
        except BlockingIOError:
            _wait_until_writable(stream.fileno())


def _wait_until_writable(descriptor: int) -> None:
    import select  # only a pipe that does not block needs it

    select.select([], [descriptor], [])


def _is_reader_gone(descriptor: int, seconds: float) -> bool:
    """Whether the other end of a pipe or socket was closed within so many seconds."""
    import select  # only a run that waits needs it

    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(max(0.0, seconds) * 1000))


def _abandon(stream: TextIO | None) -> None:
    """Let the interpreter's last flush of standard output succeed, although what is in it cannot be written."""
    if stream is None or stream is not sys.stdout:
        return
    with suppress(OSError, ValueError):  # not a stream of the system's
        lead_nowhere(stream.fileno())
