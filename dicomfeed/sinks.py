"""Where lines go: a stream, or a file of which an exact length counts.

Owned: bytes, compression, the length that is safely on disk, and that the file is still the one that was written. Not
owned: which lines, and when a length is committed (`delivery.py`).
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import BinaryIO, Protocol

from dicomfeed import files
from dicomfeed.checkpoint import Output, sha256
from dicomfeed.errors import OutputChanged, OutputError, OutputExists, OutputLocked

_DIGEST_BYTES = 4_096
_GZIP = 16 + zlib.MAX_WBITS
_MOST_BUFFERED_BYTES = 2**20


class Sink(Protocol):
    """Takes lines."""

    @property
    def output(self) -> Output | None:
        """The state of the file as it was committed last; None where there is no file."""

    def begin(self) -> None:
        """The service has answered: from here on files may change."""

    def write(self, lines: Sequence[bytes]) -> None:
        """Write each line with a line feed after it."""

    def commit(self) -> Output | None:
        """See to it that what was written stays; the state of the file, None where there is none."""


class StreamSink:
    """A binary stream, raw or buffered, flushed with every batch. What went into a pipe its reader may still lose.

    With `compress` each batch is a gzip member. On standard output BrokenPipeError passes through, as whoever read
    there has read enough; elsewhere it is an OutputError like any other.
    """

    output = None

    def __init__(self, stream: BinaryIO, *, compress: bool = False, is_stdout: bool = True) -> None:
        self._stream = stream
        self._compress = compress
        self._is_stdout = is_stdout
        self._is_empty = True

    def begin(self) -> None:
        """Nothing: what a stream leads to is not ours to make."""

    def write(self, lines: Sequence[bytes]) -> None:
        if lines:
            self._write(_encoded(lines))

    def commit(self) -> None:
        if self._compress and self._is_empty:  # nothing at all would not be valid
            self._write(b'')

    def _write(self, data: bytes) -> None:
        self._is_empty = False
        try:
            files.write_stream(self._stream, _compressed(data) if self._compress else data)
        except OSError as error:
            if self._is_stdout and isinstance(error, BrokenPipeError):
                raise
            raise _output_error(error) from error


class FileSink:
    """A file of lines, plain or (`.gz`) of gzip members, one for each commit.

    A member ends with a commit: a file that is truncated inside one cannot be read any more. Nothing is changed before
    `begin`. One run writes a file: it is locked, under whatever name it was found. Another program can change it all
    the same, so each commit looks whether the file has still its name, its length and its end.
    Raises OutputError for whatever the disk refuses; what was committed before stands.
    """

    def __init__(
        self, path: str, take: Callable[[], int], *, held: int | None = None, committed: Output | None = None
    ) -> None:
        self._path = os.path.abspath(path)
        self._take = take
        self._held = held
        self._descriptor: int | None = None
        self._buffer = io.BytesIO()
        self._compress = is_compressed(path)
        self._compressor = zlib.compressobj(wbits=_GZIP) if self._compress else None
        self._is_member_open = False
        self._length = committed.length if committed else 0
        self._end = files.read_before(held, self._length, _DIGEST_BYTES) if held is not None and committed else b''
        self._output = (committed or Output.empty(path))._replace(path=self._path)

    @classmethod
    def create(cls, path: str, *, overwrite: bool = False) -> FileSink:
        """A new file, from `begin` on; an existing one is refused, or with `overwrite` locked, and then replaced."""
        if not os.path.lexists(path):
            return cls(path, partial(files.create_locked, path))
        if not overwrite:
            raise OutputExists(path=os.path.abspath(path))
        with _output_errors(path):
            held = None
            with suppress(FileNotFoundError):  # a link that leads nowhere
                held = files.hold(path)
            return cls(path, partial(files.create_in_place_of, path, held), held=held)

    @classmethod
    def resume(cls, path: str, committed: Output) -> FileSink:
        """The file that a checkpoint names, truncated by `begin` to the length that counts.

        A link is followed where the committed end proves what is behind it. Raises OutputChanged where the file is
        shorter than that or another one, OutputLocked, OutputError; FileNotFoundError where it is gone.
        """
        if not os.path.lexists(path):
            raise FileNotFoundError
        with _output_errors(path):
            held = files.reopen_locked(path, follow_link=committed.length > 0)
        try:
            if os.fstat(held).st_size < committed.length:
                raise OutputChanged('The output file is shorter than the checkpoint says.', path=os.path.abspath(path))
            if not _is_continued(held, committed):
                raise OutputChanged(
                    'The output file is not the one that the checkpoint was made with.', path=os.path.abspath(path)
                )
            return cls(path, partial(_truncated, path, held, committed.length), held=held, committed=committed)
        except BaseException:
            os.close(held)
            raise

    @classmethod
    def recognize(cls, path: str, committed: Output) -> FileSink | None:
        """The file that a checkpoint names under another path, as in a folder that was moved; None for another file.

        What counts must prove it: with nothing committed, only a file without any events is the same.
        """
        with _output_errors(path):
            held = files.reopen_locked(path, follow_link=committed.length > 0)
        is_same = _is_continued(held, committed) if committed.length else _is_without_lines(held)
        if is_same:
            return cls(path, partial(_truncated, path, held, committed.length), held=held, committed=committed)
        os.close(held)
        return None

    @property
    def output(self) -> Output:
        return self._output

    def begin(self) -> None:
        with _output_errors(self._path):
            self._descriptor = self._take()
        if self._held not in (None, self._descriptor):
            self._let_go()
        self._held = self._descriptor

    def write(self, lines: Sequence[bytes]) -> None:
        if not lines:
            return
        data = _encoded(lines)
        self._buffer.write(self._compressor.compress(data) if self._compressor else data)
        self._is_member_open = True
        if self._buffer.tell() > _MOST_BUFFERED_BYTES:
            self._flush()

    def commit(self) -> Output:
        if self._compressor is not None and self._is_member_open:
            self._buffer.write(self._compressor.flush())
            self._compressor = zlib.compressobj(wbits=_GZIP)
        self._is_member_open = False
        if self._compress and not self._length and not self._buffer.tell():
            self._buffer.write(_compressed(b''))  # nothing at all would not be valid
        self._flush()
        with _output_errors(self._path):
            os.fsync(self._begun)
        self._refuse_other_file()
        if self._length > len(_compressed(b'')) or not self._compress:  # an empty member proves nothing about a file
            self._output = Output(self._path, self._length, sha256(self._end))
        return self._output

    def close(self) -> None:
        """Let go; only what was committed counts."""
        if self._held is not None:
            self._let_go()

    @property
    def _begun(self) -> int:
        assert self._descriptor is not None
        return self._descriptor

    def _let_go(self) -> None:
        assert self._held is not None
        with suppress(OSError):  # what counts is on disk
            os.close(self._held)
        self._held = None

    def _flush(self) -> None:
        data = self._buffer.getvalue()
        self._buffer = io.BytesIO()
        if not data:
            return
        with _output_errors(self._path):
            self._refuse_other_length()
            files.write_all(self._begun, data)
        self._length += len(data)
        self._end = (self._end + data[-_DIGEST_BYTES:])[-_DIGEST_BYTES:]

    def _refuse_other_file(self) -> None:
        with _output_errors(self._path):
            if not files.leads_to(self._path, self._begun):
                raise files.FileMoved()
            self._refuse_other_length()
            if files.read_before(self._begun, self._length, _DIGEST_BYTES) != self._end:
                raise OutputChanged('Another program changed the output file.', path=self._path)

    def _refuse_other_length(self) -> None:
        if os.fstat(self._begun).st_size != self._length:
            raise OutputChanged('Another program changed the length of the output file.', path=self._path)


def is_compressed(path: str) -> bool:
    """Whether a file of that name is one of gzip members."""
    return path.lower().endswith('.gz')


def _truncated(path: str, descriptor: int, length: int) -> int:
    if not files.leads_to(path, descriptor):
        raise files.FileMoved()
    if os.fstat(descriptor).st_size < length:  # to extend it would fill it with NUL bytes
        raise OutputChanged('The output file is shorter than the checkpoint says.', path=os.path.abspath(path))
    os.ftruncate(descriptor, length)
    return descriptor


def _is_continued(descriptor: int, committed: Output) -> bool:
    end = files.read_before(descriptor, committed.length, _DIGEST_BYTES)
    return os.fstat(descriptor).st_size >= committed.length and sha256(end) == committed.digest


def _is_without_lines(descriptor: int) -> bool:
    return files.read_before(descriptor, os.fstat(descriptor).st_size, _DIGEST_BYTES) in (b'', _compressed(b''))


def _encoded(lines: Sequence[bytes]) -> bytes:
    return b'\n'.join((*lines, b''))


def _compressed(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=_GZIP)
    return compressor.compress(data) + compressor.flush()


@contextmanager
def _output_errors(path: str) -> Iterator[None]:
    """What the system says of the file comes out as an OutputError."""
    path = os.path.abspath(path)
    try:
        yield
    except files.FileLocked as error:
        named = f' by process {error.process_id}' if error.process_id else ''
        raise OutputLocked(
            f'The output file is being written{named}.', path=path, process_id=error.process_id
        ) from None
    except files.FileMoved:
        raise OutputChanged('The output file was moved, removed or replaced.', path=path) from None
    except FileExistsError:
        raise OutputExists(path=path) from None
    except OSError as error:
        raise _output_error(error, path=path) from error


def _output_error(error: OSError, *, path: str = '') -> OutputError:
    return OutputError(f'The output cannot be written: {error.strerror or error}.', path=path, errno=error.errno)
