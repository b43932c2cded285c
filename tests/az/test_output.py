"""Files of mode 0600 from the start, links replaced, pipes and devices written directly; what a terminal may see."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.cli.core.azclierror import FileOperationError

from azext_dicomtoken._output import (
    escape_controls,
    print_service_words,
    write_private_file,
    write_stdout,
    write_text,
)

ROOT = Path(__file__).resolve().parents[2]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def open_umask() -> Iterator[None]:
    kept = os.umask(0)
    yield
    os.umask(kept)


@pytest.mark.usefixtures('open_umask')
@pytest.mark.parametrize('overwrite', [False, True], ids=['new', 'overwrite'])
def test_file_is_private(tmp_path: Path, overwrite: bool) -> None:
    path = tmp_path / 'file'
    if overwrite:
        path.touch(0o666)
    write_private_file(str(path), 'text\n', overwrite=overwrite)
    assert (path.read_bytes(), mode(path)) == (b'text\n', 0o600)


@pytest.mark.parametrize('overwrite', [False, True], ids=['new', 'overwrite'])
def test_file_is_private_from_the_moment_it_exists(tmp_path: Path, overwrite: bool) -> None:
    """It ends with mode 0600 under an empty umask, and nothing changed a mode: so it began with it."""
    script = (
        'import os, sys; changes = []; os.umask(0)\n'
        'sys.addaudithook(lambda event, _: changes.append(event) if event == "os.chmod" else None)\n'
        'from azext_dicomtoken._output import write_private_file\n'
        f'write_private_file(sys.argv[1], "x", overwrite={overwrite})\n'
        'print(changes, oct(os.stat(sys.argv[1]).st_mode & 0o777))'
    )
    done = subprocess.run(
        [sys.executable, '-c', script, str(tmp_path / 'file')], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == '[] 0o600\n'


def test_existing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'file'
    path.write_text('old')
    with pytest.raises(FileOperationError, match='exists'):
        write_private_file(str(path), 'new')
    assert path.read_text() == 'old'


@pytest.mark.parametrize('target_exists', [True, False], ids=['link', 'dangling link'])
def test_symbolic_link_is_refused_or_replaced_and_never_followed(tmp_path: Path, target_exists: bool) -> None:
    target, link = tmp_path / 'target', tmp_path / 'link'
    if target_exists:
        target.write_text('old')
    link.symlink_to(target)
    with pytest.raises(FileOperationError):
        write_private_file(str(link), 'new')
    write_private_file(str(link), 'new', overwrite=True)
    assert (link.read_text(), link.is_symlink()) == ('new', False)
    assert target.exists() == target_exists and (not target_exists or target.read_text() == 'old')


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    (tmp_path / 'folder').mkdir()
    for overwrite in (False, True):
        with pytest.raises(FileOperationError):
            write_private_file(str(tmp_path / 'folder'), 'text', overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ['folder']


def test_fifo_is_written_directly(tmp_path: Path) -> None:
    fifo = tmp_path / 'fifo'
    os.mkfifo(fifo)
    writer = threading.Thread(target=write_private_file, args=(str(fifo), 'text'))
    writer.start()
    assert fifo.read_text() == 'text'
    writer.join()
    assert fifo.is_fifo()


def test_device_is_written_directly() -> None:
    write_private_file('/dev/null', 'text')
    assert Path('/dev/null').is_char_device()


@pytest.mark.parametrize('name', ['/dev/stdout', '/dev/fd/1', '/proc/self/fd/1'])
def test_stdout_that_is_a_file_is_appended_to(tmp_path: Path, name: str) -> None:
    script = 'import sys; from azext_dicomtoken._output import write_private_file as w; w(sys.argv[1], "text")'
    path = tmp_path / 'file'
    with path.open('w') as stdout:
        stdout.write('before ')
        stdout.flush()
        subprocess.run([sys.executable, '-c', script, name], stdout=stdout, check=True, cwd=ROOT)
    assert path.read_text() == 'before text'


@pytest.mark.parametrize(
    ('text', 'escaped'),
    [
        ('plain ä 漢 🩻', 'plain ä 漢 🩻'),
        ('\x1b[2J', '\\x1b[2J'),
        ('a\nb\tc', 'a\\x0ab\\x09c'),
        ('\x9b31m', '\\x9b31m'),
        ('\u202eabc', '\\u202eabc'),
        ('\x7f\0', '\\x7f\\x00'),
        ('\u2028\ud800', '\\u2028\\ud800'),
    ],
    ids=['plain', 'escape', 'lines', 'C1', 'right to left', 'DEL and NUL', 'separator and surrogate'],
)
def test_controls_are_escaped(text: str, escaped: str) -> None:
    assert escape_controls(text) == escaped


def test_service_words_are_printed_escaped() -> None:
    stream = io.StringIO()
    print_service_words('no \x1b[2J\nrole', 'abc\r', stream=stream)
    assert stream.getvalue() == 'The service says: no \\x1b[2J\\x0arole\nRequest ID: abc\n'


# Standard output, whole (L25, N11, N29)


class Raw(io.RawIOBase):
    """What `sys.stdout.buffer` is with PYTHONUNBUFFERED, where the system takes a part at a time."""

    def __init__(self) -> None:
        self.taken = b''

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(memoryview(data)[:7])  # type: ignore[arg-type]
        self.taken += part
        return len(part)


def test_l25_text_is_written_whole_to_a_raw_stream() -> None:
    raw = Raw()
    write_stdout('a token of more than seven bytes ü\n', stream=io.TextIOWrapper(raw, write_through=True))  # type: ignore[arg-type]
    assert raw.taken.decode() == 'a token of more than seven bytes ü\n'


@pytest.mark.parametrize(
    ('encoding', 'written'),
    [('utf-8', 'ü 漢 🩻'), ('cp1252', 'ü \\u6f22 \\ud83e\\ude7b'), ('ascii', '\\u00fc \\u6f22 \\ud83e\\ude7b')],
)
def test_character_that_the_encoding_cannot_hold_is_escaped_as_in_json(encoding: str, written: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    write_text('ü 漢 🩻', stream=stream)
    assert raw.getvalue().decode(encoding) == written


def test_text_for_a_program_goes_to_its_stream() -> None:
    stream = io.StringIO()
    write_text('[]\n', stream=stream)
    assert stream.getvalue() == '[]\n'


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='there is no full device to write to')
@pytest.mark.parametrize('flags', [(), ('-u',)], ids=['buffered', 'raw'])
def test_n29_full_disk_is_an_error_before_the_interpreter_ends(flags: tuple[str, ...]) -> None:
    script = (
        'from azext_dicomtoken._output import write_stdout as w\ntry: w("text")\nexcept Exception as e: exit(str(e))'
    )
    with open('/dev/full', 'w', encoding='utf-8') as full:
        done = subprocess.run(
            [sys.executable, *flags, '-c', script],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=ROOT,
        )
    assert (done.returncode, done.stderr) == (1, 'Standard output could not be written: No space left on device.\n')


def closed(script: str, stream: str) -> str:
    command = f'exec "$0" -c "$1" {stream}&-'
    done = subprocess.run(
        ['sh', '-c', command, sys.executable, script], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    return done.stderr


def test_n11_closed_streams_are_errors() -> None:
    write = (
        'from azext_dicomtoken._output import write_stdout as w\ntry: w("text")\nexcept Exception as e: exit(str(e))'
    )
    read = 'from azext_dicomtoken._token_file import read_token as r\ntry: r("-")\nexcept Exception as e: exit(str(e))'
    assert 'Standard output is closed' in closed(write, '>')
    assert 'Standard input is closed' in closed(read, '<')
