"""Files of mode 0600 from the start, links replaced, pipes and devices written directly; what a terminal may see."""

from __future__ import annotations

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
    duration_text,
    escape_controls,
    write_private_file,
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


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [
        (0, '0 s'),
        (59.4, '59 s'),
        (60, '1 min'),
        (200, '3 min'),
        (3_569, '59 min'),
        (3_600, '1 h 0 min'),
        (90_000, '25 h 0 min'),
    ],
)
def test_duration_is_told_to_the_second_or_to_the_minute(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def closed(script: str, stream: str) -> str:
    command = f'exec "$0" -c "$1" {stream}&-'
    done = subprocess.run(
        ['sh', '-c', command, sys.executable, script], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    return done.stderr


def test_n11_closed_standard_input_is_an_error() -> None:
    read = 'from azext_dicomtoken._token_file import read_token as r\ntry: r("-")\nexcept Exception as e: exit(str(e))'
    assert 'Standard input is closed' in closed(read, '<')
