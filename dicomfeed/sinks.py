"""Where lines go: a stream, or a file of which an exact length counts.

Owned: bytes, compression, the length that is safely on disk. Not owned: which lines, and when a length is committed
(`delivery.py`).
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Sequence
from typing import BinaryIO, Protocol

from dicomfeed import files
from dicomfeed.checkpoint import Output
from dicomfeed.errors import OutputError, OutputExists

_DIGEST_BYTES = 4_096
_GZIP = 16 + zlib.MAX_WBITS
_MOST_BUFFERED_BYTES = 2**20


class Sink(Protocol):
    """Takes lines."""

    def write(self, lines: Sequence[bytes]) -> None:
        """Write each line with a line feed after it."""

    def commit(self) -> Output | None:
        """See to it that what was written stays; the state of the file, None where there is none."""


class StreamSink:
    """A binary stream, flushed with every batch. What went into a pipe may still be lost by its reader.

    With `compress` each batch is a gzip member. On standard output BrokenPipeError passes through, as whoever read
    there has read enough; elsewhere it is an OutputError like any other.
    """

    def __init__(self, stream: BinaryIO, *, compress: bool = False, is_stdout: bool = True) -> None:
        self._stream = stream
        self._compress = compress
        self._is_stdout = is_stdout

    def write(self, lines: Sequence[bytes]) -> None:
        data = _encoded(lines)
        try:
            self._stream.write(_compressed(data) if self._compress else data)
            self._stream.flush()
        except OSError as error:
            if self._is_stdout and isinstance(error, BrokenPipeError):
                raise
            raise _output_error(error) from error

    def commit(self) -> Output | None:
        return None


class FileSink:
    """A file of lines, plain or (`.gz`) of gzip members, one for each commit.

    A member ends with a commit: a file that is truncated inside one cannot be read any more.
    Raises OutputError for whatever the disk refuses; what was committed before stands.
    """

    def __init__(self, path: str, descriptor: int, *, length: int = 0) -> None:
        self._path = os.path.abspath(path)
        self._descriptor = descriptor
        self._length = length
        self._buffer = io.BytesIO()
        self._compress = path.endswith('.gz')
        self._compressor = zlib.compressobj(wbits=_GZIP) if self._compress else None
        self._is_member_open = False

    @classmethod
    def create(cls, path: str, *, overwrite: bool = False) -> FileSink:
        """A new, empty file; an existing one is refused, or with `overwrite` replaced."""
        try:
            return cls(path, files.create_replacing(path) if overwrite else files.create(path))
        except FileExistsError:
            raise OutputExists() from None
        except OSError as error:
            raise _output_error(error) from error

    @classmethod
    def resume(cls, path: str, committed: Output) -> FileSink:
        """The file that a checkpoint names, truncated to the length that counts.

        Raises OutputError where the file is shorter than that or another one; FileNotFoundError where it is gone.
        """
        try:
            descriptor = files.reopen(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _output_error(error) from error
        try:
            if os.fstat(descriptor).st_size < committed.length:
                raise OutputError('The output file is shorter than the checkpoint says.')
            if _end_digest(descriptor, committed.length) != committed.digest:
                raise OutputError('The output file is not the one that the checkpoint was made with.')
            os.ftruncate(descriptor, committed.length)
            os.lseek(descriptor, committed.length, os.SEEK_SET)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor, length=committed.length)

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
        self._flush()
        try:
            os.fsync(self._descriptor)
            return Output(self._path, self._length, _end_digest(self._descriptor, self._length))
        except OSError as error:
            raise _output_error(error) from error

    def close(self) -> None:
        """Let go; only what was committed counts."""
        os.close(self._descriptor)

    def _flush(self) -> None:
        data = self._buffer.getvalue()
        self._buffer = io.BytesIO()
        try:
            files.write_all(self._descriptor, data)
        except OSError as error:
            raise _output_error(error) from error
        self._length += len(data)


def _encoded(lines: Sequence[bytes]) -> bytes:
    return b'\n'.join((*lines, b'')) if lines else b''


def _compressed(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=_GZIP)
    return compressor.compress(data) + compressor.flush()


def _end_digest(descriptor: int, length: int) -> str:
    """SHA-256 of the last bytes before `length`: a digest, because the checkpoint holds nothing of a patient."""
    import hashlib  # only files need it

    return hashlib.sha256(files.read_before(descriptor, length, _DIGEST_BYTES)).hexdigest()


def _output_error(error: OSError) -> OutputError:
    return OutputError(f'The output cannot be written: {error.strerror}.')
