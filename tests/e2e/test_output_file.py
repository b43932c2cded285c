"""Files that a run writes: their modes, whom they replace, a full disk, a lock; and what is said on a terminal."""

from __future__ import annotations

import gzip
import json
import os
import pty
import resource
import stat
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.machine import TIMEOUT_SECONDS, Done, Machine
from tests.e2e.processes import changefeed, wait_until
from tests.emulator import trouble
from tests.emulator.cloud import Emulator
from tests.emulator.dicom import DicomService
from tests.emulator.sample import sample_feed

EVENTS = 1_000
FILE = ('--output-file', 'feed.jsonl')
BOTH = (*FILE, '--checkpoint', 'checkpoint')


@pytest.fixture(scope='module')
def filed(emulator: Emulator) -> DicomService:
    service = emulator.add_service('contoso', 'filed')
    service.store.load(sample_feed(EVENTS, metadata=False))
    return service


@pytest.fixture
def service(filed: DicomService) -> Iterator[DicomService]:
    yield filed
    filed.trouble.clear()


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of its own, whose size can be changed."""
    folder = tmp_path_factory.mktemp('disk')
    mount = ('mount', '-t', 'tmpfs', '-o', 'size=8m,mode=0700', 'none', str(folder))
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip('no right to mount')
    yield folder
    subprocess.run(('umount', '--lazy', str(folder)), check=True)


def test_every_file_is_its_owners_alone(machine: Machine, service: DicomService) -> None:
    done = run(machine, service, *BOTH, '--summary-file', 'summary', prepare=partial(os.umask, 0))
    assert done.returncode == 0
    files = {
        name: stat.S_IMODE((machine.folder / name).stat().st_mode)
        for name in ('feed.jsonl', 'checkpoint', 'checkpoint.lock', 'summary')
    }
    assert set(files.values()) == {0o600}, files
    assert feed(machine) == truth(service)
    summary = json.loads((machine.folder / 'summary').read_text())
    assert (summary['events'], summary['lastSequence']) == (EVENTS, service.store.events()[-1].sequence)


@pytest.mark.parametrize('kind', ['file', 'link', 'broken link'])
@pytest.mark.parametrize(
    'options', [FILE, BOTH, ('--stream', '--summary-file', 'feed.jsonl')], ids=['alone', 'with a checkpoint', 'summary']
)
def test_existing_file_is_refused_before_anything_is_sent(
    kind: str, options: tuple[str, ...], machine: Machine, service: DicomService, emulator: Emulator
) -> None:
    make_existing(machine.folder, kind)
    emulator.journal.clear()
    done = run(machine, service, *options)
    assert (done.returncode, done.stdout) == (1, '')
    exists = 'The file that --summary-file names exists already' if '--stream' in options else 'The output file exists'
    assert done.stderr.startswith(f'ERROR: {exists}')
    assert emulator.journal.counters()['requests'] == 0
    assert is_untouched(machine.folder, kind)
    assert not (machine.folder / 'checkpoint').exists()


@pytest.mark.parametrize('kind', ['file', 'link', 'broken link'])
def test_overwrite_puts_a_new_file_in_the_place_of_the_old(kind: str, machine: Machine, service: DicomService) -> None:
    make_existing(machine.folder, kind)
    assert run(machine, service, *FILE, '--overwrite').returncode == 0
    assert not (machine.folder / 'feed.jsonl').is_symlink()
    assert feed(machine) == truth(service)
    assert kind == 'file' or is_untouched(machine.folder, kind, name='target')


def test_fifo_is_written_directly(machine: Machine, service: DicomService) -> None:
    fifo = machine.folder / 'feed.jsonl'
    os.mkfifo(fifo)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(fifo.read_text()), daemon=True)
    reader.start()
    assert run(machine, service, *FILE).returncode == 0
    reader.join(TIMEOUT_SECONDS)
    assert ''.join(received) == truth(service) and stat.S_ISFIFO(fifo.stat().st_mode)


def test_fifo_is_refused_with_a_checkpoint_before_anything_is_sent(
    machine: Machine, service: DicomService, emulator: Emulator
) -> None:
    os.mkfifo(machine.folder / 'feed.jsonl')
    emulator.journal.clear()
    done = run(machine, service, *BOTH)
    assert done.returncode == 1 and 'not a device or a pipe' in done.stderr
    assert emulator.journal.counters()['requests'] == 0


def test_stdout_named_as_a_file_goes_where_stdout_goes(machine: Machine, service: DicomService) -> None:
    output = machine.folder / 'redirected'
    with output.open('w') as stdout, changefeed(machine, service, '--output-file', '/dev/stdout', stdout=stdout) as az:
        assert az.wait(TIMEOUT_SECONDS) == 0, az.communicate()
    assert output.read_text() == truth(service)
    assert Path('/dev/stdout').is_symlink()


@pytest.mark.parametrize(('name', 'size'), [('feed.jsonl', '200k'), ('feed.jsonl.gz', '20k')])
def test_full_disk_loses_nothing_that_the_checkpoint_claims(
    name: str, size: str, disk: Path, machine: Machine, service: DicomService
) -> None:
    options = ('--output-file', str(disk / name), '--checkpoint', str(disk / 'checkpoint'))
    resize(disk, size)
    done = run_slowly(machine, service, *options)
    assert done.returncode == 1 and done.stderr.startswith('ERROR: The '), done.stderr
    part = claimed(disk, name)
    assert part and truth(service).startswith(part)
    resize(disk, '8m')
    assert run(machine, service, *options).returncode == 0
    assert claimed(disk, name) == truth(service)


def test_file_that_may_not_grow_loses_nothing_that_the_checkpoint_claims(
    machine: Machine, service: DicomService
) -> None:
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (200_000, 200_000))
    done = run_slowly(machine, service, *BOTH, prepare=limit)
    assert done.returncode == 1 and done.stderr.startswith('ERROR: The output cannot be written'), done.stderr
    part = claimed(machine.folder, 'feed.jsonl')
    assert part and truth(service).startswith(part)
    assert run(machine, service, *BOTH).returncode == 0
    assert feed(machine) == truth(service)


def test_full_stdout_is_an_error_that_moves_no_checkpoint(machine: Machine, service: DicomService) -> None:
    with open('/dev/full', 'w', encoding='utf-8') as full:
        with changefeed(machine, service, '--stream', '--checkpoint', 'checkpoint', stdout=full) as az:
            _, stderr = az.communicate(timeout=TIMEOUT_SECONDS)
    assert (az.returncode, stderr.startswith('ERROR: '), len(stderr.splitlines())) == (1, True, 2), stderr
    assert json.loads((machine.folder / 'checkpoint').read_text())['sequence'] == 0


def test_second_process_is_refused_and_told_who_holds_the_checkpoint(machine: Machine, service: DicomService) -> None:
    service.trouble.when(lambda request: True, trouble.hang(3600))
    with changefeed(machine, service, *BOTH) as first:
        wait_until((machine.folder / 'checkpoint.lock').exists)
        wait_until(lambda: (machine.folder / 'checkpoint.lock').read_text())
        second = run(machine, service, *BOTH)
        assert second.returncode == 1
        assert second.stderr.startswith(f'ERROR: The checkpoint is in use by process {first.pid}.')
        first.kill()
    service.trouble.clear()
    assert run(machine, service, *BOTH).returncode == 0  # the lock of a dead process holds nobody up
    assert feed(machine) == truth(service)


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        (lambda path: os.truncate(path, 10), 'The output file is shorter than the checkpoint says.'),
        (
            lambda path: path.write_text('x' * path.stat().st_size),
            'The output file is not the one that the checkpoint was made with.',
        ),
    ],
    ids=['shorter', 'another'],
)
def test_file_that_is_not_as_it_was_left_is_refused(
    change: object, says: str, machine: Machine, service: DicomService
) -> None:
    assert callable(change)
    assert run(machine, service, *BOTH).returncode == 0
    change(machine.folder / 'feed.jsonl')
    left, checkpoint = feed(machine), (machine.folder / 'checkpoint').read_bytes()
    done = run(machine, service, *BOTH)
    assert done.returncode == 1 and done.stderr.startswith(f'ERROR: {says}')
    assert (feed(machine), (machine.folder / 'checkpoint').read_bytes()) == (left, checkpoint)


def test_missing_file_is_begun_anew_and_that_is_said(machine: Machine, service: DicomService) -> None:
    assert run(machine, service, *BOTH).returncode == 0
    (machine.folder / 'feed.jsonl').unlink()
    done = run(machine, service, *BOTH)
    assert done.returncode == 0 and 'is gone' in done.stderr and feed(machine) == ''


@pytest.mark.parametrize(
    ('options', 'environment', 'is_shown'),
    [
        ((), {}, True),
        (('--only-show-errors',), {}, False),
        ((), {'AZURE_CORE_DISABLE_PROGRESS_BAR': 'true'}, False),
    ],
    ids=['as it is', 'only errors', 'switched off'],
)
def test_progress_is_shown_on_a_terminal_unless_unwanted(
    options: tuple[str, ...], environment: dict[str, str], is_shown: bool, machine: Machine, service: DicomService
) -> None:
    machine.environment.update(environment)
    service.latency_seconds = 0.5  # a bar is for what takes longer than two seconds
    text = on_terminal(machine, service, *FILE, '--concurrency', '1', *options)
    service.latency_seconds = 0
    assert ('% [' in text) == is_shown and '\x1b[' not in text


def test_progress_is_not_shown_without_a_terminal(machine: Machine, service: DicomService) -> None:
    assert '\r' not in run(machine, service, *FILE).stderr


def run(machine: Machine, service: DicomService, *options: str, prepare: object = None) -> Done:
    with changefeed(machine, service, *options, prepare=prepare) as az:  # type: ignore[arg-type]
        stdout, stderr = az.communicate(timeout=TIMEOUT_SECONDS)
    return Done(options, az.returncode, stdout, stderr)


def run_slowly(machine: Machine, service: DicomService, *options: str, prepare: object = None) -> Done:
    """The run lasts for several commits."""
    service.latency_seconds = 0.3
    done = run(machine, service, *options, '--concurrency', '1', prepare=prepare)
    service.latency_seconds = 0
    return done


def resize(disk: Path, size: str) -> None:
    subprocess.run(('mount', '-o', f'remount,size={size}', str(disk)), check=True)


def on_terminal(machine: Machine, service: DicomService, *options: str) -> str:
    """What a run shows on a terminal that is its standard error."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, 'rb', closefd=True) as terminal, os.fdopen(theirs, 'wb') as stderr:
        with changefeed(machine, service, *options, stderr=stderr) as az:
            assert az.wait(TIMEOUT_SECONDS) == 0
        return os.read(terminal.fileno(), 2**16).decode() if readable(terminal.fileno()) else ''


def readable(descriptor: int) -> bool:
    import select

    return bool(select.select([descriptor], [], [], 0)[0])


def make_existing(folder: Path, kind: str) -> None:
    path, target = folder / 'feed.jsonl', folder / 'target'
    if kind == 'file':
        path.write_text('kept')
        return
    path.symlink_to(target)
    if kind == 'link':
        target.write_text('kept')


def is_untouched(folder: Path, kind: str, *, name: str = 'feed.jsonl') -> bool:
    path = folder / name
    return not path.exists() if kind == 'broken link' else path.read_text() == 'kept'


def claimed(folder: Path, name: str) -> str:
    """What stands in the file, as far as the checkpoint says."""
    output = json.loads((folder / 'checkpoint').read_text())['output']
    assert output['length'] <= (folder / name).stat().st_size
    data = (folder / name).read_bytes()[: output['length']]
    return (gzip.decompress(data) if data and name.endswith('.gz') else data).decode()


def feed(machine: Machine) -> str:
    return (machine.folder / 'feed.jsonl').read_text()


def truth(service: DicomService) -> str:
    return ''.join(f'{text}\n' for text in service.store.by_sequence(0, 2**62))
