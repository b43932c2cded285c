"""Lines in a stream or a file, and the length that counts. Resuming by a checkpoint: `test_delivery.py`."""

from __future__ import annotations

import errno
import gzip
import io
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dicomfeed.checkpoint import Output
from dicomfeed.errors import OutputChanged, OutputError, OutputExists, OutputLocked
from dicomfeed.sinks import FileSink, StreamSink

NAMES = pytest.mark.parametrize('name', ['feed.jsonl', 'feed.jsonl.gz'])


class Refusing(io.BytesIO):
    """A stream that fails as a disk or a pipe does."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    def write(self, data: object) -> int:
        raise self._error


class Nibbling(io.BytesIO):
    """A raw stream, as standard output is with PYTHONUNBUFFERED: it takes what it likes."""

    def write(self, data: object) -> int:
        return super().write(memoryview(data)[:7])  # type: ignore[arg-type]


def unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == '.gz' else data


def begun(sink: FileSink) -> FileSink:
    sink.begin()
    return sink


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
    with closing(begun(FileSink.create(str(tmp_path / name)))) as sink:
        sink.write([b'{"a":1}', b'{"b":2}'])
        sink.write([])
        sink.write([b'{}'])
        committed = sink.commit()
    assert unpacked(tmp_path / name) == b'{"a":1}\n{"b":2}\n{}\n'
    assert committed.length == (tmp_path / name).stat().st_size
    assert committed.path == str(tmp_path / name)


@NAMES
def test_file_is_private_from_the_beginning(tmp_path: Path, name: str) -> None:
    with closing(begun(FileSink.create(str(tmp_path / name)))):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


@NAMES
def test_l20_file_without_lines_is_empty_and_valid(tmp_path: Path, name: str) -> None:
    with closing(begun(FileSink.create(str(tmp_path / name)))) as sink:
        assert sink.commit() == sink.commit() == Output.empty(str(tmp_path / name))
    assert unpacked(tmp_path / name) == b''


def test_l20_compressed_stream_without_lines_is_valid() -> None:
    stream = io.BytesIO()
    sink = StreamSink(stream, compress=True)
    sink.write([])
    sink.commit()
    sink.commit()
    assert len(stream.getvalue()) == 20 and gzip.decompress(stream.getvalue()) == b''


@NAMES
def test_l20_file_goes_on_after_an_empty_beginning(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    with closing(begun(FileSink.create(path))) as sink:
        empty = sink.commit()
    with closing(begun(FileSink.resume(path, empty))) as sink:
        sink.commit()
        sink.write([b'1'])
        assert sink.commit().length == os.path.getsize(path)
    assert unpacked(tmp_path / name) == b'1\n'


@NAMES
@pytest.mark.parametrize('lost', [b'', b'{"lost":tr', b'\0' * 5_000], ids=['nothing', 'half a line', 'zeros'])
def test_resumed_file_goes_on_after_the_length_that_counts(tmp_path: Path, name: str, lost: bytes) -> None:
    path = str(tmp_path / name)
    with closing(begun(FileSink.create(path))) as sink:
        sink.write([b'1'] * 5_000)
        committed = sink.commit()
    with open(path, 'ab') as file:
        file.write(lost)
    with closing(begun(FileSink.resume(path, committed))) as sink:
        sink.write([b'2'])
        assert sink.commit().length == os.path.getsize(path)
    assert unpacked(tmp_path / name) == b'1\n' * 5_000 + b'2\n'


@NAMES
def test_lines_that_were_never_committed_are_truncated(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    with closing(begun(FileSink.create(path))) as sink:
        sink.write([b'1'])
        committed = sink.commit()
        sink.write([os.urandom(2**16).hex().encode() for _ in range(40)])  # beyond the buffer
    assert os.path.getsize(path) > committed.length
    with closing(begun(FileSink.resume(path, committed))):
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
    with closing(begun(FileSink.create(str(path), overwrite=True))) as sink:
        sink.write([b'1'])
        sink.commit()
    assert (path.read_bytes(), path.is_symlink(), target.read_bytes()) == (b'1\n', False, b'mine')


@pytest.mark.parametrize('overwrite', [False, True])
def test_folder_that_is_not_there_is_an_output_error(tmp_path: Path, overwrite: bool) -> None:
    with pytest.raises(OutputError):
        FileSink.create(str(tmp_path / 'no' / 'feed'), overwrite=overwrite).begin()


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='there is no full device to write to')
def test_full_disk_is_an_output_error() -> None:
    with closing(begun(FileSink('/dev/full', lambda: os.open('/dev/full', os.O_RDWR)))) as sink:
        sink.write([b'1'])
        with pytest.raises(OutputError, match='No space left'):
            sink.commit()


# A file changes only once the service has answered (L2)


@NAMES
def test_l2_new_file_is_there_only_when_it_begins(tmp_path: Path, name: str) -> None:
    with closing(FileSink.create(str(tmp_path / name))) as sink:
        assert list(tmp_path.iterdir()) == []
        sink.begin()
        assert [path.name for path in tmp_path.iterdir()] == [name]


def test_l2_old_file_stays_until_the_new_one_begins(tmp_path: Path) -> None:
    path = tmp_path / 'feed'
    path.write_bytes(b'old')
    with closing(FileSink.create(str(path), overwrite=True)) as sink:
        assert path.read_bytes() == b'old'
        sink.begin()
        assert path.read_bytes() == b''
    assert [path.name for path in tmp_path.iterdir()] == ['feed']


def test_l2_uncommitted_lines_stay_until_the_file_begins(tmp_path: Path) -> None:
    path = tmp_path / 'feed'
    path.write_bytes(b'1\n')
    with closing(FileSink.resume(str(path), Output.empty(str(path)))) as sink:
        assert path.read_bytes() == b'1\n'
        sink.begin()
        assert path.read_bytes() == b''


def test_l2_file_that_appeared_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'feed'
    with closing(FileSink.create(str(path))) as sink:
        path.write_bytes(b'of somebody else')
        with pytest.raises(OutputExists):
            sink.begin()
    assert path.read_bytes() == b'of somebody else'


def test_n27_name_may_be_as_long_as_a_name_can_be(tmp_path: Path) -> None:
    path = tmp_path / ('n' * 255)
    path.write_bytes(b'old')
    with closing(begun(FileSink.create(str(path), overwrite=True))) as sink:
        sink.write([b'1'])
        sink.commit()
    assert path.read_bytes() == b'1\n'


# The file is still the one behind its name (L11, L26)


def replace_file(path: Path) -> None:
    path.with_name('new').write_bytes(path.read_bytes())
    path.with_name('new').replace(path)


def compress_file(path: Path) -> None:
    path.with_suffix('.gz').write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def change_first_byte(path: Path) -> None:
    with path.open('r+b') as file:
        file.write(b'x')


def append_byte(path: Path) -> None:
    with path.open('ab') as file:
        file.write(b'x')


def move_elsewhere(path: Path) -> None:
    path.rename(path.with_name('moved'))


CHANGES = {
    'removed': Path.unlink,
    'renamed': move_elsewhere,
    'replaced': replace_file,
    'compressed': compress_file,
    'folder renamed': lambda path: move_elsewhere(path.parent),
    'truncated': lambda path: os.truncate(path, 0),
    'shortened': lambda path: os.truncate(path, 1),
    'extended': lambda path: os.truncate(path, 100),
    'appended to': append_byte,
    'changed': change_first_byte,
}


@NAMES
@pytest.mark.parametrize('change', CHANGES.values(), ids=CHANGES)
def test_l26_no_commit_once_another_program_touched_the_file(tmp_path: Path, name: str, change: object) -> None:
    assert callable(change)
    (tmp_path / 'folder').mkdir()
    path = tmp_path / 'folder' / name
    with closing(begun(FileSink.create(str(path)))) as sink:
        sink.write([b'1'])
        committed = sink.commit()
        change(path)
        sink.write([b'2'])
        with pytest.raises(OutputChanged):
            sink.commit()
        assert sink.output == committed


@pytest.mark.parametrize('change', [CHANGES['removed'], CHANGES['renamed']], ids=['removed', 'renamed'])
def test_l26_commit_of_nothing_new_sees_it_too(tmp_path: Path, change: object) -> None:
    assert callable(change)
    with closing(begun(FileSink.create(str(tmp_path / 'feed')))) as sink:
        sink.commit()
        change(tmp_path / 'feed')
        with pytest.raises(OutputChanged):
            sink.commit()


def test_l26_file_on_another_file_system_is_another_file(tmp_path: Path) -> None:
    other = Path('/dev/shm')
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip('/dev/shm is no other file system')
    target = other / tmp_path.name
    path = tmp_path / 'feed'
    try:
        with closing(begun(FileSink.create(str(path)))) as sink:
            sink.write([b'1'])
            sink.commit()
            shutil.move(path, target)
            path.symlink_to(target)
            with pytest.raises(OutputChanged):
                sink.commit()
    finally:
        target.unlink(missing_ok=True)


@pytest.mark.parametrize('lines', [1, 300_000], ids=['at a commit', 'beyond the buffer'])
def test_l11_truncated_file_never_holds_a_nul_byte(tmp_path: Path, lines: int) -> None:
    path = tmp_path / 'feed'
    with closing(begun(FileSink.create(str(path)))) as sink:
        sink.write([b'1'] * 1_000)
        sink.commit()
        os.truncate(path, 0)
        with pytest.raises(OutputChanged, match='length'):
            for _ in range(4):
                sink.write([b'2'] * lines)
            sink.commit()
    assert path.read_bytes() == b''


def test_l11_resumed_file_that_shrinks_meanwhile_is_not_filled(tmp_path: Path) -> None:
    path = tmp_path / 'feed'
    with closing(begun(FileSink.create(str(path)))) as sink:
        sink.write([b'1'])
        committed = sink.commit()
    with closing(FileSink.resume(str(path), committed)) as sink:
        os.truncate(path, 0)
        with pytest.raises(OutputChanged):
            sink.begin()
    assert path.read_bytes() == b''


# One run writes an output (L10)


def link_to(path: Path) -> Path:
    path.with_name('link').symlink_to(path)
    return path.with_name('link')


def hard_link_to(path: Path) -> Path:
    path.with_name('hard').hardlink_to(path)
    return path.with_name('hard')


@NAMES
@pytest.mark.parametrize('overwrite', [True, False], ids=['overwrite', 'resume'])
@pytest.mark.parametrize('named', [lambda path: path, link_to, hard_link_to], ids=['name', 'link', 'hard link'])
def test_l10_file_that_is_being_written_is_refused(
    tmp_path: Path, name: str, overwrite: bool, named: Callable[[Path], Path]
) -> None:
    with closing(begun(FileSink.create(str(tmp_path / name)))) as sink:
        sink.write([b'1'])
        committed = sink.commit()
        path = str(named(tmp_path / name))
        with pytest.raises(OutputLocked):
            FileSink.create(path, overwrite=True) if overwrite else FileSink.resume(path, committed)
    assert unpacked(tmp_path / name) == b'1\n'


def test_l10_two_runs_that_overwrite_one_file(tmp_path: Path) -> None:
    (tmp_path / 'feed').write_bytes(b'old')
    path = str(tmp_path / 'feed')
    with closing(FileSink.create(path, overwrite=True)) as sink:
        with pytest.raises(OutputLocked):
            FileSink.create(path, overwrite=True)
        sink.begin()
        with pytest.raises(OutputLocked):
            FileSink.create(path, overwrite=True)
    FileSink.create(path, overwrite=True).close()


def test_l10_replaced_file_is_not_replaced_again(tmp_path: Path) -> None:
    path = tmp_path / 'feed'
    path.write_bytes(b'old')
    with closing(FileSink.create(str(path), overwrite=True)) as sink:
        replace_file(path)
        with pytest.raises(OutputChanged):
            sink.begin()
    assert path.read_bytes() == b'old' and [path.name for path in tmp_path.iterdir()] == ['feed']


# Short writes (L25)


@pytest.mark.parametrize('compress', [False, True], ids=['plain', 'gzip'])
def test_l25_raw_stream_that_takes_little_gets_everything(compress: bool) -> None:
    stream = Nibbling()
    StreamSink(stream, compress=compress).write([b'{"a":1}'] * 100)
    data = gzip.decompress(stream.getvalue()) if compress else stream.getvalue()
    assert data == b'{"a":1}\n' * 100
