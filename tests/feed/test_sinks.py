"""Lines in a stream or a file, and the length that counts. Resuming by a checkpoint: `test_delivery.py`."""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
from contextlib import closing
from pathlib import Path

import pytest

from dicomfeed.checkpoint import Output
from dicomfeed.errors import OutputError, OutputExists
from dicomfeed.sinks import FileSink, StreamSink

NAMES = pytest.mark.parametrize('name', ['feed.jsonl', 'feed.jsonl.gz'])


class Refusing(io.BytesIO):
    """A stream that fails as a disk or a pipe does."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    def write(self, data: object) -> int:
        raise self._error


def unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == '.gz' else data


# Streams


def test_stream_has_a_line_feed_after_every_line() -> None:
    stream = io.BytesIO()
    sink = StreamSink(stream)
    sink.write([b'{"a":1}', '{"b":"ü"}'.encode()])
    sink.write([b'{}'])
    assert stream.getvalue() == '{"a":1}\n{"b":"ü"}\n{}\n'.encode()
    assert sink.commit() is None


def test_stream_is_flushed_with_every_batch() -> None:
    raw = io.BytesIO()
    buffered = io.BufferedWriter(raw, buffer_size=2**20)  # type: ignore[arg-type]
    StreamSink(buffered).write([b'{}'])
    assert raw.getvalue() == b'{}\n'
    buffered.detach()


def test_compressed_stream_can_be_read_after_every_batch() -> None:
    stream = io.BytesIO()
    sink = StreamSink(stream, compress=True)
    for number in range(3):
        sink.write([str(number).encode()])
        assert gzip.decompress(stream.getvalue()) == b''.join(b'%d\n' % line for line in range(number + 1))


def test_broken_standard_output_passes_through() -> None:
    with pytest.raises(BrokenPipeError):
        StreamSink(Refusing(BrokenPipeError(errno.EPIPE, 'Broken pipe'))).write([b'{}'])


@pytest.mark.parametrize(
    ('error', 'is_stdout'),
    [
        (BrokenPipeError(errno.EPIPE, 'Broken pipe'), False),
        (OSError(errno.ENOSPC, 'No space left on device'), True),
    ],
    ids=['broken pipe elsewhere', 'full disk'],
)
def test_other_failures_of_a_stream_are_output_errors(error: OSError, is_stdout: bool) -> None:
    with pytest.raises(OutputError, match=error.strerror):
        StreamSink(Refusing(error), is_stdout=is_stdout).write([b'{}'])


# Files


@NAMES
def test_file_holds_what_was_written(tmp_path: Path, name: str) -> None:
    with closing(FileSink.create(str(tmp_path / name))) as sink:
        sink.write([b'{"a":1}', b'{"b":2}'])
        sink.write([])
        sink.write([b'{}'])
        committed = sink.commit()
    assert unpacked(tmp_path / name) == b'{"a":1}\n{"b":2}\n{}\n'
    assert committed.length == (tmp_path / name).stat().st_size
    assert committed.path == str(tmp_path / name)


@NAMES
def test_file_is_private_from_the_beginning(tmp_path: Path, name: str) -> None:
    with closing(FileSink.create(str(tmp_path / name))):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


@NAMES
def test_file_without_lines_is_empty(tmp_path: Path, name: str) -> None:
    with closing(FileSink.create(str(tmp_path / name))) as sink:
        assert sink.commit() == sink.commit() == Output.empty(str(tmp_path / name))
    assert (tmp_path / name).read_bytes() == b''


@NAMES
@pytest.mark.parametrize('lost', [b'', b'{"lost":tr', b'\0' * 5_000], ids=['nothing', 'half a line', 'zeros'])
def test_resumed_file_goes_on_after_the_length_that_counts(tmp_path: Path, name: str, lost: bytes) -> None:
    path = str(tmp_path / name)
    with closing(FileSink.create(path)) as sink:
        sink.write([b'1'] * 5_000)
        committed = sink.commit()
    with open(path, 'ab') as file:
        file.write(lost)
    with closing(FileSink.resume(path, committed)) as sink:
        sink.write([b'2'])
        assert sink.commit().length == os.path.getsize(path)
    assert unpacked(tmp_path / name) == b'1\n' * 5_000 + b'2\n'


@NAMES
def test_lines_that_were_never_committed_are_truncated(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    with closing(FileSink.create(path)) as sink:
        sink.write([b'1'])
        committed = sink.commit()
        sink.write([os.urandom(2**16).hex().encode() for _ in range(40)])  # beyond the buffer
    assert os.path.getsize(path) > committed.length
    with closing(FileSink.resume(path, committed)):
        assert unpacked(tmp_path / name) == b'1\n'


def test_resuming_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileSink.resume(str(tmp_path / 'gone'), Output.empty(str(tmp_path / 'gone')))


@pytest.mark.parametrize('kind', ['link', 'folder'])
def test_resuming_follows_no_link_and_enters_no_folder(tmp_path: Path, kind: str) -> None:
    path, target = tmp_path / 'feed', tmp_path / 'target'
    target.write_bytes(b'mine')
    if kind == 'link':
        path.symlink_to(target)
    else:
        path.mkdir()
    with pytest.raises(OutputError):
        FileSink.resume(str(path), Output.empty(str(path)))
    assert target.read_bytes() == b'mine'


@pytest.mark.parametrize('kind', ['file', 'link', 'broken link'])
def test_existing_name_is_refused(tmp_path: Path, kind: str) -> None:
    path, target = tmp_path / 'feed', tmp_path / 'target'
    if kind == 'file':
        path.write_bytes(b'mine')
    else:
        path.symlink_to(target)
        if kind == 'link':
            target.write_bytes(b'mine')
    with pytest.raises(OutputExists):
        FileSink.create(str(path))
    assert kind == 'broken link' or path.read_bytes() == b'mine'
    assert kind != 'broken link' or not target.exists()


def test_overwriting_replaces_a_link_and_leaves_its_target(tmp_path: Path) -> None:
    path, target = tmp_path / 'feed', tmp_path / 'target'
    target.write_bytes(b'mine')
    path.symlink_to(target)
    with closing(FileSink.create(str(path), overwrite=True)) as sink:
        sink.write([b'1'])
        sink.commit()
    assert (path.read_bytes(), path.is_symlink(), target.read_bytes()) == (b'1\n', False, b'mine')


@pytest.mark.parametrize('overwrite', [False, True])
def test_folder_that_is_not_there_is_an_output_error(tmp_path: Path, overwrite: bool) -> None:
    with pytest.raises(OutputError):
        FileSink.create(str(tmp_path / 'no' / 'feed'), overwrite=overwrite)


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='there is no full device to write to')
def test_full_disk_is_an_output_error() -> None:
    with closing(FileSink('/dev/full', os.open('/dev/full', os.O_RDWR))) as sink:
        sink.write([b'1'])
        with pytest.raises(OutputError, match='No space left'):
            sink.commit()
