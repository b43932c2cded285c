"""A stream that ends before its end: a reader that has read enough, a signal, a pipe that nobody empties."""

from __future__ import annotations

import fcntl
import json
import shlex
import signal
import struct
import sys
import termios
import threading
import time
from collections.abc import Iterator
from typing import IO
from urllib.parse import parse_qs

import pytest

from tests.e2e.arguments import PROCESSES
from tests.e2e.logins import SignIn
from tests.e2e.machine import TIMEOUT_SECONDS, Done, Machine
from tests.e2e.processes import Az, changefeed, url, wait_until
from tests.emulator import trouble
from tests.emulator.cloud import Emulator
from tests.emulator.dicom import DicomService
from tests.emulator.sample import sample_feed
from tests.emulator.trouble import Request

EVENTS = 1_000
WINDOW = ('--since', '2000-01-01', '--until', '2100-01-01')
CHECKPOINT = ('--checkpoint', 'checkpoint')
FILE = ('--output-file', 'first.jsonl')
WAYS = {
    'stream': ('--stream',),
    'filters': ('--stream', '--action', 'Create', 'Update', 'Delete'),
    'since': ('--stream', '--since', '2000-01-01'),
    'window': ('--stream', *WINDOW),
    'follow': ('--follow', '--until-latest', '--after-sequence', '0'),
    'checkpoint': ('--stream', *CHECKPOINT),
    'file': FILE,
    'file of a window': (*FILE, *WINDOW),
    'file with a checkpoint': (*FILE, *CHECKPOINT),
}
AZ = f'{shlex.quote(sys.executable)} -m azure.cli'
PIPE_BYTES = 2**16


@pytest.fixture(scope='module')
def streamed(emulator: Emulator) -> DicomService:
    service = emulator.add_service('contoso', 'streamed')
    service.store.load(sample_feed(EVENTS, metadata=False))
    return service


@pytest.fixture
def service(streamed: DicomService) -> Iterator[DicomService]:
    yield streamed
    streamed.trouble.clear()


def test_reader_that_has_enough_ends_the_stream_quietly(sign_in: SignIn, service: DicomService) -> None:
    done = sign_in('secret').shell(
        f'set +e; {AZ} dicom changefeed --stream --service-url {url(service)} | head -1; exit "${{PIPESTATUS[0]}}"'
    )
    assert (done.returncode, done.stderr) == (0, '')
    assert sequences(done.stdout) == truth(service)[:1]


@pytest.mark.parametrize(
    ('way', 'number'),
    [*((way, signal.SIGINT) for way in WAYS), ('stream', signal.SIGTERM), ('file with a checkpoint', signal.SIGTERM)],
)
def test_signal_ends_the_line_and_what_it_says_goes_on(
    way: str, number: signal.Signals, sign_in: SignIn, service: DicomService
) -> None:
    machine, options = sign_in('secret'), WAYS[way]
    first = interrupted(machine, service, options, number)
    assert first.returncode == 128 + number and 'Traceback' not in first.stderr
    again = gone_on(machine, service, options, first.stderr)
    assert again.returncode == 0, again.stderr
    delivered = first.stdout + text_of(machine, 'first.jsonl') + again.stdout + text_of(machine, 'second.jsonl')
    assert sequences(delivered) == truth(service, by_time='--since' in options)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_signal_is_the_ordinary_end_of_following(
    number: signal.Signals, sign_in: SignIn, service: DicomService
) -> None:
    done = interrupted(sign_in('secret'), service, ('--follow', '--after-sequence', '0'), number)
    assert (done.returncode, done.stderr) == (0, '')
    assert sequences(done.stdout) == truth(service)[: done.stdout.count('\n')]


@pytest.mark.skipif(not PROCESSES.exists(), reason='only Linux shows in /proc that a process sleeps')
def test_second_signal_ends_a_stream_that_nobody_reads(sign_in: SignIn, service: DicomService) -> None:
    with changefeed(sign_in('secret'), service, '--stream') as az:
        wait_until_writing_in_vain(az)
        az.send_signal(signal.SIGINT)
        time.sleep(1.5)  # one that came sooner would count as the same
        assert az.poll() is None  # it waits for the line to be taken
        wait_until(lambda: az.poll() is not None or az.send_signal(signal.SIGINT), pause_seconds=1.5)
        assert az.returncode == 130


def test_pipe_that_was_closed_loses_nothing_that_was_read_from_it(
    sign_in: SignIn, service: DicomService, emulator: Emulator
) -> None:
    machine, halted = sign_in('secret'), halt(service)
    emulator.journal.clear()
    options = (*WAYS['checkpoint'], '--concurrency', '1', '--only-show-errors')
    with changefeed(machine, service, *options) as az:
        assert az.stdout is not None and az.stderr is not None and halted.wait(TIMEOUT_SECONDS)
        read = read_through(az.stdout, answered(service, emulator))
        az.stdout.close()
        service.trouble.clear()
        assert (az.wait(TIMEOUT_SECONDS), az.stderr.read()) == (0, '')
    rest = machine.az('dicom', 'changefeed', '--service-url', url(service), *options)
    again = sequences(rest.stdout)
    assert sequences(read) and again == truth(service)[-len(again) :]
    assert sorted({*sequences(read), *again}) == truth(service)


def halt(service: DicomService) -> threading.Event:
    """A few requests are answered, then none until the trouble is cleared. The event: that is reached."""
    halted = threading.Event()
    left = iter(range(4))

    def is_enough(_request: Request) -> bool:
        if next(left, None) is None:
            halted.set()
        return halted.is_set()

    service.trouble.when(is_enough, trouble.hang(3600))
    return halted


def interrupted(machine: Machine, service: DicomService, options: tuple[str, ...], number: signal.Signals) -> Done:
    """What a run left behind that was interrupted in the middle."""
    halted = halt(service)
    output, begun = machine.folder / 'stdout', machine.folder / 'first.jsonl'
    with output.open('w') as stdout, changefeed(machine, service, *options, '--concurrency', '1', stdout=stdout) as az:
        assert halted.wait(TIMEOUT_SECONDS)
        wait_until(lambda: output.stat().st_size or begun.exists())
        az.send_signal(number)
        _, stderr = az.communicate(timeout=TIMEOUT_SECONDS)
    service.trouble.clear()
    return Done(options, az.returncode, output.read_text(), stderr)


def gone_on(machine: Machine, service: DicomService, options: tuple[str, ...], stderr: str) -> Done:
    """What the command does that standard error says."""
    if '--checkpoint' in options:
        assert stderr.endswith('Interrupted. Run the same command again to continue.\n')
        return machine.az('dicom', 'changefeed', '--service-url', url(service), *options)
    lines = stderr.splitlines()
    command = lines[lines.index('Interrupted. Continue with:') + 1]
    return machine.shell(command.replace('az', AZ, 1).replace('ANOTHER_FILE', 'second.jsonl'))


def wait_until_writing_in_vain(az: Az) -> None:
    """Return when the pipe is filled, and az sleeps at many looks in a row, as it does in a write that nobody takes.

    One that is only kept waiting by a busy machine does not sleep.
    """
    looks = 0

    def sleeps_on() -> bool:
        nonlocal looks
        state = (PROCESSES / str(az.pid) / 'stat').read_text().rpartition(') ')[2][0]
        looks = looks + 1 if waiting_bytes(az) > PIPE_BYTES // 2 and state == 'S' else 0
        return looks == 100

    wait_until(sleeps_on, pause_seconds=0.01)


def waiting_bytes(az: Az) -> int:
    """What has been written into the pipe and not been read."""
    assert az.stdout is not None
    return int(struct.unpack('i', fcntl.ioctl(az.stdout, termios.FIONREAD, b'\0' * 4))[0])


def answered(service: DicomService, emulator: Emulator) -> int:
    """The last sequence number in the pages that were answered."""
    queries = [parse_qs(request.query) for request in emulator.journal.requests if request.path == '/v1/changefeed']
    through = max(int(query['offset'][0]) + int(query['limit'][0]) for query in queries)
    return max(sequence for sequence in truth(service) if sequence <= through)


def read_through(pipe: IO[str], sequence: int) -> str:
    """The lines up to that of this event, behind which none are due."""
    lines = []
    while not lines or json.loads(lines[-1])['sequence'] < sequence:
        lines.append(pipe.readline())
    return ''.join(lines)


def sequences(text: str) -> list[int]:
    """Those of the lines, all of which are whole."""
    assert text.endswith('\n')
    return [json.loads(line)['sequence'] for line in text.splitlines()]


def text_of(machine: Machine, name: str) -> str:
    path = machine.folder / name
    return path.read_text() if path.exists() else ''


def truth(service: DicomService, *, by_time: bool = False) -> list[int]:
    events = service.store.events()
    return [event.sequence for event in sorted(events, key=lambda event: event.ticks if by_time else 0)]
