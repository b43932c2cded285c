"""Standard output: every byte or an error, in whatever encoding, into whatever stream az was given."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import pty
import select
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from azure.cli.core import get_default_cli
from azure.cli.core.azclierror import FileOperationError

from azext_dicomtoken._json import escape as escape_json
from azext_dicomtoken._stdout import Stdout, backslash, encoded, write_stdout
from tests.az.conftest import Az
from tests.az.identity_endpoint import IdentityEndpoint
from tests.az.test_claims import a_token

MANY = b'x' * 300_000  # more than a pipe holds
_POLL = select.poll
NAMES = 'Müller 漢 🩻'


class ShortWrites(io.RawIOBase):
    """Takes a few bytes at a time, and now and then none, as a pipe that does not block."""

    def __init__(self, descriptor: int) -> None:
        self.taken = b''
        self._descriptor = descriptor
        self._calls = 0

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any) -> int | None:
        self._calls += 1
        if self._calls % 3 == 0:
            return None
        self.taken += bytes(data[:7])
        return min(7, len(data))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            pass


def text_stream(descriptor: int, *, buffering: int = -1) -> io.TextIOWrapper:
    """As Python opens standard output; `buffering` 0 with PYTHONUNBUFFERED."""
    raw = open(descriptor, 'wb', buffering, closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(raw, encoding='utf-8', write_through=not buffering)


def test_l25_short_writes_are_completed(pipe: tuple[int, int]) -> None:
    raw = ShortWrites(pipe[1])
    stream = io.TextIOWrapper(raw, encoding='utf-8', write_through=True)  # type: ignore[type-var]
    Stdout(stream).write(b'0123456789' * 10)
    assert raw.taken == b'0123456789' * 10


@pytest.mark.parametrize('buffering', [-1, 0], ids=['buffered', 'PYTHONUNBUFFERED'])
@pytest.mark.parametrize('blocks', [True, False], ids=['blocking', 'non-blocking'])
def test_l25_full_pipe_is_waited_for(blocks: bool, buffering: int, pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.set_blocking(write, blocks)
    taken: list[bytes] = []

    def take() -> None:
        while chunk := os.read(read, 10_000):
            taken.append(chunk)

    reader = threading.Thread(target=take)
    reader.start()
    Stdout(text_stream(write, buffering=buffering)).write(MANY)
    os.close(write)
    reader.join()
    assert b''.join(taken) == MANY


@pytest.mark.parametrize('buffering', [-1, 0], ids=['buffered', 'PYTHONUNBUFFERED'])
def test_l25_full_disk_is_an_error_at_the_write_and_not_at_the_end(buffering: int) -> None:
    with open('/dev/full', 'wb') as full:
        with pytest.raises(FileOperationError, match='No space left'):
            write_stdout('text', stream=text_stream(full.fileno(), buffering=buffering))


def test_closed_stdout_is_an_error() -> None:
    with pytest.raises(FileOperationError, match='closed'):
        write_stdout('text', stream=None)


def test_n23_stream_without_bytes_gets_text() -> None:
    stream = io.StringIO()
    write_stdout('Müller\n', stream=stream)
    assert stream.getvalue() == 'Müller\n'


def test_what_was_printed_before_comes_first(pipe: tuple[int, int]) -> None:
    stream = text_stream(pipe[1])
    stream.write('before ')
    Stdout(stream).write(b'after')
    assert os.read(pipe[0], 100) == b'before after'


def test_l21_sleep_ends_as_soon_as_the_reader_has_gone(pipe: tuple[int, int]) -> None:
    stdout = Stdout(text_stream(pipe[1]))
    stdout.sleep(0.0)
    os.close(pipe[0])
    with pytest.raises(BrokenPipeError):
        stdout.sleep(3_600)


class HurriedPoll:
    """Says how long it was to wait, and does not."""

    waited: list[float] = []

    def __init__(self) -> None:
        self._poll = _POLL()
        self.register = self._poll.register

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        self.waited.append(milliseconds)
        return self._poll.poll(0)


def test_sleep_without_a_pipe_is_a_sleep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr('azext_dicomtoken._stdout.time', SimpleNamespace(sleep=slept.append))
    monkeypatch.setattr(HurriedPoll, 'waited', [])
    monkeypatch.setattr('select.poll', HurriedPoll)
    with (tmp_path / 'file').open('w') as file:
        Stdout(file).sleep(3_600)
    assert (slept, HurriedPoll.waited) == ([], [3_600_000])
    Stdout(io.StringIO()).sleep(3_600)
    assert (slept, HurriedPoll.waited) == ([3_600], [3_600_000])


@pytest.mark.parametrize(
    ('encoding', 'escape', 'expected'),
    [
        ('utf-8', backslash, NAMES.encode()),
        ('cp1252', backslash, b'M\xfcller \\u6f22 \\U0001fa7b'),
        ('ascii', backslash, b'M\\xfcller \\u6f22 \\U0001fa7b'),
        ('ascii', escape_json, b'M\\u00fcller \\u6f22 \\ud83e\\ude7b'),
    ],
)
def test_l13_what_the_encoding_does_not_hold_is_escaped(encoding: str, escape: Any, expected: bytes) -> None:
    assert encoded(NAMES, encoding, escape=escape) == expected


def test_half_a_surrogate_pair_is_escaped() -> None:
    assert encoded('a\ud800', 'utf-8', escape=escape_json) == b'a\\ud800'


# az as a whole


def claims_in(az: Az, tmp_path: Path, *options: str, name: str = NAMES, to_terminal: bool = False) -> str:
    path = tmp_path / 'token'
    path.write_text(a_token({'name': name, 'oid': '1'}))
    outcome = az('dicom', 'token', 'show-claims', '--token-file', str(path), *options, to_terminal=to_terminal)
    assert outcome.code == 0, outcome.stderr
    return outcome.stdout


def with_encoding(encoding: str, tmp_path: Path, *options: str) -> bytes:
    """What az prints to a stream of that encoding."""
    path = tmp_path / 'token'
    path.write_text(a_token({'name': NAMES, 'oid': '1'}))
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    words = ['dicom', 'token', 'show-claims', '--token-file', str(path), '--query', '{name: claims.name}', *options]
    assert get_default_cli().invoke(words, out_file=stream) == 0
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ('output', 'expected'),
    [
        ('json', b'"M\\u00fcller \\u6f22 \\ud83e\\ude7b"'),
        ('tsv', b'M\\xfcller \\u6f22 \\U0001fa7b'),
        ('table', b'M\\xfcller \\u6f22 \\U0001fa7b'),
        ('yaml', b'"M\\xfcller \\u6f22'),
    ],
)
def test_l13_no_output_format_drops_a_character(output: str, expected: bytes, tmp_path: Path) -> None:
    printed = with_encoding('ascii', tmp_path, '-o', output)
    assert expected in printed


@pytest.mark.parametrize(('output', 'load'), [('json', json.loads), ('yaml', yaml.safe_load)], ids=['json', 'yaml'])
@pytest.mark.parametrize('encoding', ['ascii', 'cp1252', 'utf-8', 'utf-16'])
def test_l13_escaped_output_says_the_same(encoding: str, output: str, load: Any, tmp_path: Path) -> None:
    assert load(with_encoding(encoding, tmp_path, '-o', output).decode(encoding)) == {'name': NAMES}


@pytest.mark.parametrize('output', ['json', 'tsv', 'table', 'yaml'])
def test_n12_no_control_character_reaches_a_terminal(output: str, az: Az, tmp_path: Path) -> None:
    query = ('--query', '{name: claims.name}')
    text = claims_in(az, tmp_path, '-o', output, *query, name='\x1b[2J\x9b2J\u202eabc', to_terminal=True)
    assert not {'\x1b', '\x9b', '\u202e'} & set(text)
    if output in ('json', 'yaml'):
        assert yaml.safe_load(text) == {'name': '\x1b[2J\x9b2J\u202eabc'}


def test_l33_what_ends_a_column_or_a_row_of_tsv_is_a_space(az: Az, tmp_path: Path) -> None:
    text = claims_in(az, tmp_path, '-o', 'tsv', '--query', '[[claims.name, claims.oid]]', name='a\tb\nc\rd')
    assert text == 'a b c d\t1\n'


@pytest.mark.parametrize('output', ['json', 'tsv'])
def test_n23_result_goes_to_the_stream_that_az_was_given(output: str, tmp_path: Path) -> None:
    path, stream = tmp_path / 'token', io.StringIO()
    path.write_text(a_token({'name': NAMES}))
    words = ['dicom', 'token', 'show-claims', '--token-file', str(path), '--query', 'claims.name', '-o', output]
    assert get_default_cli().invoke(words, out_file=stream) == 0
    assert NAMES in stream.getvalue()


@pytest.mark.usefixtures('identity')
def test_n23_token_goes_to_the_stream_that_az_was_given() -> None:
    stream = io.StringIO()
    assert get_default_cli().invoke(['dicom', 'token', 'issue', '--format', 'header'], out_file=stream) == 0
    assert stream.getvalue() == 'Authorization: Bearer plain-token\n'


def test_output_of_other_commands_is_az_own(tmp_path: Path) -> None:
    cli = get_default_cli()
    producer = cli.output
    with_encoding('utf-8', tmp_path)
    path = tmp_path / 'token'
    cli.invoke(['dicom', 'token', 'show-claims', '--token-file', str(path)], out_file=io.StringIO())
    assert cli.output is producer


# az as a process

TOKEN = ('dicom', 'token', 'issue', '--format', 'token')
LIST = ('dicom', 'token', 'issue')


def run(az_process: list[str], script: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A shell script in which "$@" is az with these words."""
    return subprocess.run(
        ['bash', '-c', script, 'bash', *az_process, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize('words', [TOKEN, LIST], ids=['token', 'result'])
@pytest.mark.parametrize('unbuffered', ['', '1'], ids=['buffered', 'PYTHONUNBUFFERED'])
def test_n29_full_disk_is_exit_code_1_and_a_message(
    words: tuple[str, ...], unbuffered: str, az_process: list[str], identity: IdentityEndpoint
) -> None:
    done = run(az_process, '"$@" > /dev/full', *words, PYTHONUNBUFFERED=unbuffered, **identity.environment)
    assert (done.returncode, 'Traceback' in done.stderr, 'Exception ignored' in done.stderr) == (1, False, False)
    assert done.stderr.startswith('ERROR: Standard output could not be written: No space left on device.')


@pytest.mark.parametrize('words', [TOKEN, LIST], ids=['token', 'result'])
def test_file_size_limit_is_exit_code_1(
    words: tuple[str, ...], az_process: list[str], identity: IdentityEndpoint, tmp_path: Path
) -> None:
    identity.token = 'x' * 5_000
    script = f'(ulimit -f 1; "$@" > {tmp_path}/out)'
    done = run(az_process, script, *words, PYTHONUNBUFFERED='1', **identity.environment)
    assert done.returncode == 1 and done.stderr.startswith('ERROR: Standard output could not be written')


@pytest.mark.parametrize('words', [TOKEN, LIST], ids=['token', 'result'])
def test_closed_standard_output_is_exit_code_1(
    words: tuple[str, ...], az_process: list[str], identity: IdentityEndpoint
) -> None:
    done = run(az_process, '"$@" >&-', *words, **identity.environment)
    assert (done.returncode, done.stderr.startswith('ERROR: Standard output is closed.')) == (1, True), done.stderr


@pytest.mark.parametrize('words', [TOKEN, LIST], ids=['token', 'result'])
def test_reader_that_wants_nothing_is_no_error(
    words: tuple[str, ...], az_process: list[str], identity: IdentityEndpoint
) -> None:
    done = run(az_process, '"$@" | true; exit "${PIPESTATUS[0]}"', *words, **identity.environment)
    assert (done.returncode, done.stderr) == (0, '')


@pytest.mark.parametrize(
    'words',
    [
        ('dicom', 'token', 'issue', '--overwrite'),  # an error of ours, with a recommendation
        ('dicom', 'token', 'issue', '--min-validity', '2h'),  # a warning
        ('dicom', 'token', 'issue', '--nothing'),  # an error of az's parser
        ('dicom', 'changefeed', '--latest'),  # an error with advice
    ],
    ids=['error', 'warning', 'parser', 'advice'],
)
def test_l16_no_message_reaches_standard_output(
    words: tuple[str, ...], az_process: list[str], identity: IdentityEndpoint
) -> None:
    said = run(az_process, '"$@"', *words, **identity.environment)
    silent = run(az_process, '"$@" 2>&-', *words, **identity.environment)
    assert said.stderr and silent.returncode == said.returncode
    without_times = [text for text in silent.stdout.splitlines() if 'expires' not in text]
    assert without_times == [text for text in said.stdout.splitlines() if 'expires' not in text]


@pytest.mark.parametrize('stderr', ['2>&-', '2>/dev/full'])
def test_l16_work_is_done_where_no_message_can_be_written(
    stderr: str, az_process: list[str], identity: IdentityEndpoint
) -> None:
    words = (*TOKEN, '--min-validity', '2h')  # which warns
    done = run(az_process, f'"$@" {stderr}', *words, **identity.environment)
    assert (done.returncode, done.stdout) == (0, 'plain-token\n')


def test_result_is_printed_to_a_real_terminal(az_process: list[str], identity: IdentityEndpoint) -> None:
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [*az_process, *LIST, '--query', 'tokenType'],
        env={**os.environ, **identity.environment},
        stdout=terminal,
        stderr=subprocess.PIPE,
    )
    assert process.wait(60) == 0
    assert process.stderr is not None
    process.stderr.close()
    os.close(terminal)
    assert b'"Bearer"' in os.read(main, 1_000)
    os.close(main)


def test_non_blocking_pipe_gets_all_of_a_token(az_process: list[str], identity: IdentityEndpoint) -> None:
    identity.token = 'x' * 200_000
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETFL, fcntl.fcntl(write, fcntl.F_GETFL) | os.O_NONBLOCK)
    with subprocess.Popen([*az_process, *TOKEN], env={**os.environ, **identity.environment}, stdout=write) as process:
        os.close(write)
        with open(read, 'rb') as stream:
            assert stream.read() == b'x' * 200_000 + b'\n'
        assert process.wait(60) == 0


def test_error_numbers_are_those_of_the_system() -> None:
    with pytest.raises(OSError, match='closed') as caught:
        Stdout(None).write(b'x')
    assert caught.value.errno == errno.EBADF
