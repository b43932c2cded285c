"""Files in the field: moved, removed, truncated, linked, full, of another user; and runs that never get an answer."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machine import Done, Machine
from tests.e2e.processes import changefeed, truth, url, wait_until
from tests.emulator import ticks, trouble
from tests.emulator.cloud import Emulator
from tests.emulator.dicom import DicomService
from tests.emulator.sample import sample_feed

EVENTS = 600
BOTH = ('--output-file', 'f.jsonl', '--checkpoint', 'c')
FOLLOW = ('--follow', '--after-sequence', '0', '--poll-interval', '1s', *BOTH)


@pytest.fixture(scope='module')
def loaded(emulator: Emulator) -> DicomService:
    service = emulator.add_service('contoso', 'files')
    service.store.load(sample_feed(EVENTS, end_ticks=ticks.now() - 60 * ticks.PER_MINUTE, metadata=False))
    return service


@pytest.fixture
def service(loaded: DicomService) -> Iterator[DicomService]:
    yield loaded
    loaded.trouble.clear()


def run(machine: Machine, service: DicomService, *options: str, folder: str = '.') -> Done:
    machine_folder, machine.folder = machine.folder, machine.folder / folder
    try:
        with changefeed(machine, service, *options) as az:
            stdout, stderr = az.communicate(timeout=60)
    finally:
        machine.folder = machine_folder
    return Done(options, az.returncode, stdout, stderr)


def shell(machine: Machine, service: DicomService, script: str) -> Done:
    return machine.shell(f'feed() {{ az dicom changefeed --service-url {url(service)} "$@"; }}\n{script}')


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of change of the files; a lock names its last holder."""
    files = [path for path in folder.iterdir() if path.is_file()]
    return {
        path.name: (b'', 0) if path.suffix == '.lock' else (path.read_bytes(), path.stat().st_mtime_ns)
        for path in files
    }


def sequences(path: Path) -> list[int]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == '.gz' else path.read_bytes()
    return [json.loads(line)['sequence'] for line in data.splitlines()]


def position(machine: Machine, name: str = 'c') -> int:
    return int(json.loads((machine.folder / name).read_text())['sequence'])


# A run that read nothing changes no file (L2)

NO_ANSWER = {
    'no such host': (['--service-url', 'https://contoso-nowhere.dicom.azurehealthcareapis.com'], None),
    'no role': ([], trouble.status(403)),
    'no such route': ([], trouble.status(404)),
    'refused option': (['--concurrency', '0'], None),
}
TO_FILES = {
    'new': ['--output-file', 'new.jsonl', '--summary-file', 'new.json'],
    'new with a checkpoint': ['--output-file', 'new.jsonl', '--checkpoint', 'new'],
    'overwrite': ['--output-file', 'f.jsonl', '--overwrite', '--summary-file', 's'],
    'continue': [*BOTH, '--summary-file', 's'],
    'stream': ['--stream', '--checkpoint', 'new'],
    'window': ['--since', '2020-01-01', '--until', '2030-01-01', '--output-file', 'f.jsonl', '--overwrite'],
}


@pytest.mark.parametrize('options', TO_FILES.values(), ids=TO_FILES)
@pytest.mark.parametrize(('more', 'answer'), NO_ANSWER.values(), ids=NO_ANSWER)
def test_l2_run_that_read_nothing_changes_no_file(
    options: list[str], more: list[str], answer: trouble.Fault | None, machine: Machine, service: DicomService
) -> None:
    assert run(machine, service, *BOTH, '--summary-file', 's').returncode == 0
    with (machine.folder / 'f.jsonl').open('ab') as file:
        file.write(b'not committed')
    before = state(machine.folder)
    if answer is not None:
        service.trouble.when(lambda request: True, answer)
    assert run(machine, service, *options, *more).returncode in (1, 3)
    assert state(machine.folder) == before


def test_l2_run_that_is_signed_out_changes_no_file(machine: Machine, service: DicomService) -> None:
    (machine.folder / 'd.jsonl').write_text('old')
    before = state(machine.folder)
    assert machine.az('logout').returncode == 0
    for options in TO_FILES['window'], TO_FILES['new'], ['--output-file', 'd.jsonl', '--overwrite']:
        assert run(machine, service, *options).returncode == 1
        assert state(machine.folder) == before


def test_l2_run_that_is_interrupted_before_an_answer_changes_no_file(machine: Machine, service: DicomService) -> None:
    (machine.folder / 'f.jsonl').write_text('old')
    before = state(machine.folder)
    asked: list[object] = []
    service.trouble.when(lambda request: asked.append(request) is None, trouble.hang(60))
    with changefeed(machine, service, '--output-file', 'f.jsonl', '--overwrite') as az:
        wait_until(lambda: asked)
        az.send_signal(signal.SIGINT)
        assert az.wait(60) == 130
    assert state(machine.folder) == before


# The output is the file behind its name (L11, L26)


def remove(path: Path) -> None:
    path.unlink()


def rotate(path: Path) -> None:
    path.rename(path.with_name('f.1'))


def compress(path: Path) -> None:
    path.with_name('f.jsonl.gz').write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def replace(path: Path) -> None:
    path.with_name('new').write_bytes(path.read_bytes())
    path.with_name('new').replace(path)


def truncate(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize('change', [remove, rotate, compress, replace, truncate])
def test_l26_run_ends_when_its_file_is_taken_away(change: object, machine: Machine, emulator: Emulator) -> None:
    assert callable(change)
    service = emulator.add_service('contoso', f'taken-{change.__name__}')
    service.store.load(sample_feed(5, end_ticks=ticks.now() - 60 * ticks.PER_MINUTE, metadata=False))
    path = machine.folder / 'f.jsonl'
    with changefeed(machine, service, *FOLLOW) as az:
        wait_until(lambda: (machine.folder / 'c').exists() and position(machine) >= 5)
        kept = path.read_bytes()
        change(path)
        service.store.create()
        service.store.create()
        assert az.wait(60) == 1
        _, stderr = az.communicate()
    assert stderr.startswith('ERROR: ') and str(path) in stderr and 'Nothing was committed' in stderr, stderr
    assert position(machine) < truth(service)[-2]
    assert b'\0' not in (path.read_bytes() if path.exists() else b'')
    path.write_bytes(kept)
    assert run(machine, service, *BOTH).returncode == 0
    assert sequences(path) == truth(service)


# One run writes an output (L10)


def test_l10_second_run_with_a_checkpoint_of_its_own_is_refused(machine: Machine, service: DicomService) -> None:
    with changefeed(machine, service, *FOLLOW) as first:
        wait_until(lambda: (machine.folder / 'c').exists() and position(machine))
        shutil.copy(machine.folder / 'c', machine.folder / 'copy')
        (machine.folder / 'link').symlink_to('f.jsonl')
        for name, checkpoint in [('f.jsonl', 'copy'), ('link', 'copy')]:
            second = run(machine, service, '--output-file', name, '--checkpoint', checkpoint)
            assert second.returncode == 1
            assert second.stderr.startswith(f'ERROR: The output file is being written by process {first.pid}.')
        (machine.folder / 'c-link').symlink_to('c')
        second = run(machine, service, '--stream', '--checkpoint', 'c-link')
        assert second.stderr.startswith(f'ERROR: The checkpoint is in use by process {first.pid}.')
        first.send_signal(signal.SIGINT)
        assert first.wait(60) == 0
    assert sequences(machine.folder / 'f.jsonl') == truth(service)


# Every byte (L25, N11, N29)


@pytest.mark.parametrize('unbuffered', ['1', ''], ids=['unbuffered', 'buffered'])
def test_l25_checkpoint_passes_nothing_that_was_cut(unbuffered: str, machine: Machine, service: DicomService) -> None:
    machine.environment['PYTHONUNBUFFERED'] = unbuffered
    done = shell(machine, service, '(ulimit -f 88; feed --stream --checkpoint c > x)')
    assert done.returncode == 1 and done.stderr.startswith(
        'ERROR: Standard output could not be written: File too large.'
    )
    whole = (machine.folder / 'x').read_bytes().rpartition(b'\n')[0].splitlines()
    assert position(machine) <= json.loads(whole[-1])['sequence']


@pytest.mark.parametrize('unbuffered', ['1', ''], ids=['unbuffered', 'buffered'])
def test_l25_list_that_was_cut_is_an_error(unbuffered: str, machine: Machine, service: DicomService) -> None:
    machine.environment['PYTHONUNBUFFERED'] = unbuffered
    done = shell(machine, service, '(ulimit -f 88; feed --max-items 500 > x)')
    assert done.returncode == 1 and 'ERROR: Standard output could not be written: File too large.' in done.stderr
    assert 'Traceback' not in done.stderr and 'Exception ignored' not in done.stderr


@pytest.mark.parametrize('unbuffered', ['1', ''], ids=['unbuffered', 'buffered'])
@pytest.mark.parametrize(
    'command', ['feed --max-items 1', 'az dicom token issue', 'az dicom token issue --format token']
)
def test_n29_full_standard_output_is_an_error(
    command: str, unbuffered: str, machine: Machine, service: DicomService
) -> None:
    machine.environment['PYTHONUNBUFFERED'] = unbuffered
    done = shell(machine, service, f'{command} --only-show-errors > /dev/full')
    assert done.returncode == 1
    assert 'ERROR: Standard output could not be written: No space left on device.' in done.stderr
    assert 'Traceback' not in done.stderr and 'Exception ignored' not in done.stderr


@pytest.mark.parametrize('options', ['--max-items 500', '--stream'])
def test_l25_pipe_that_does_not_block_gets_every_byte(options: str, machine: Machine, service: DicomService) -> None:
    script = (
        'import os, sys, subprocess, time\n'
        'reading, writing = os.pipe(); os.set_blocking(writing, False)\n'
        'az = subprocess.Popen(sys.argv[1:], stdout=writing); os.close(writing)\n'
        'while chunk := os.read(reading, 4000): sys.stdout.buffer.write(chunk)\n'
        'sys.exit(az.wait())'
    )
    (machine.folder / 'pipe.py').write_text(script)
    command = f'python pipe.py az dicom changefeed --service-url {url(service)} {options} --only-show-errors'
    done = machine.shell(command)
    assert done.returncode == 0, done.stderr
    events = json.loads(done.stdout) if 'max' in options else [json.loads(line) for line in done.stdout.splitlines()]
    assert [event['sequence'] for event in events] == truth(service)[: len(events)] and len(events) >= 500


@pytest.mark.parametrize(
    'command', ['feed --latest >&-', 'feed --stream >&-', 'az dicom token show-claims --token-file - <&-']
)
def test_n11_closed_stream_is_an_error(command: str, machine: Machine, service: DicomService) -> None:
    done = shell(machine, service, command)
    assert done.returncode == 1 and ' is closed' in done.stderr and 'Traceback' not in done.stderr, done.stderr


# Where checkpoint and output are (L27, L28, N19, N24, N27)


def test_l27_checkpoint_behind_a_link_is_replaced_behind_it(machine: Machine, service: DicomService) -> None:
    script = 'mkdir -p vol layer{}; ln -s ../vol/cp layer{}/cp; feed --stream --checkpoint layer{}/cp | wc -l'
    counts = [int(shell(machine, service, script.format(layer, layer, layer)).stdout) for layer in (1, 2)]
    assert counts == [EVENTS, 0] and (machine.folder / 'layer1' / 'cp').is_symlink()


@pytest.mark.parametrize('name', ['f.jsonl', 'f.jsonl.gz'])
def test_l28_moved_folder_goes_on(name: str, machine: Machine, service: DicomService) -> None:
    options = ('--output-file', name, '--checkpoint', 'c', '--only-show-errors')
    (machine.folder / 'a').mkdir()
    assert run(machine, service, *options, folder='a').returncode == 0
    (machine.folder / 'a').rename(machine.folder / 'b')
    done = run(machine, service, *options, folder='b')
    assert (done.returncode, done.stderr) == (0, '')
    assert sequences(machine.folder / 'b' / name) == truth(service)
    assert json.loads((machine.folder / 'b' / 'c').read_text())['output']['path'].endswith(f'/b/{name}')
    (machine.folder / 'b' / 'other.jsonl').write_text('x' * 10**6)
    done = run(machine, service, '--output-file', 'other.jsonl', '--checkpoint', 'c', folder='b')
    assert done.returncode == 1 and f'/b/{name}' in done.stderr.partition('\n')[2]


def test_l28_folder_goes_on_on_another_file_system(machine: Machine, service: DicomService) -> None:
    other = Path('/dev/shm')
    if not other.is_dir() or other.stat().st_dev == machine.folder.stat().st_dev:
        pytest.skip('/dev/shm is no other file system')
    target = other / f'{machine.folder.parent.name}-{os.getpid()}'
    (machine.folder / 'a').mkdir()
    assert run(machine, service, *BOTH, folder='a').returncode == 0
    try:
        shutil.move(machine.folder / 'a', target)
        done = run(machine, service, *BOTH, '--only-show-errors', folder=str(target))
        assert (done.returncode, done.stderr) == (0, '') and sequences(target / 'f.jsonl') == truth(service)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def test_n19_fifo_is_no_checkpoint(machine: Machine, service: DicomService) -> None:
    os.mkfifo(machine.folder / 'fifo')
    for path in ('fifo', '/dev/null', '-', '/dev/stdout'):
        done = run(machine, service, '--stream', '--checkpoint', path)
        assert done.returncode == 1 and done.stderr.startswith('ERROR: '), done.stderr
    assert Path('/dev/null').is_char_device() and (machine.folder / 'fifo').is_fifo()


@pytest.mark.parametrize('data', [b'', b'\0' * 600], ids=['empty', 'NUL bytes'])
def test_n24_damaged_checkpoint_is_named_with_how_to_continue(
    data: bytes, machine: Machine, service: DicomService
) -> None:
    (machine.folder / 'c').write_bytes(data)
    done = run(machine, service, *BOTH)
    message, _, advice = done.stderr.partition('\n')
    assert done.returncode == 1 and str(machine.folder) not in message
    assert str(machine.folder / 'c') in advice and '--after-sequence' in advice


def test_n27_name_may_be_as_long_as_a_name_can_be(machine: Machine, service: DicomService) -> None:
    name = 'n' * 248
    assert run(machine, service, '--output-file', name, '--checkpoint', 'c' * 250).returncode == 0
    assert run(machine, service, '--output-file', name, '--overwrite').returncode == 0
    assert sequences(machine.folder / name) == truth(service)


# What is typed (L20, L22, L23, L29, L31)


def test_l20_export_of_no_events_is_a_valid_file(machine: Machine, service: DicomService) -> None:
    done = shell(machine, service, 'feed --output-file f.gz --since 2020-01-01 --until 2020-01-02; zcat f.gz | wc -c')
    assert (done.returncode, done.stdout.strip()) == (0, '0'), done.stderr


def test_l22_dash_is_standard_output(machine: Machine, service: DicomService) -> None:
    done = shell(machine, service, 'feed --output-file - | wc -l; az dicom token issue --format token --output-file -')
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and int(lines[0]) == EVENTS and lines[1].count('.') == 2
    assert not (machine.folder / '-').exists()


@pytest.mark.parametrize('name', ['x.csv', 'x.CSV', 'x.parquet', 'x.jsonl.zst', 'x.bz2', 'x.xz', 'x.zip'])
def test_l23_name_that_promises_another_form_is_refused(name: str, machine: Machine, service: DicomService) -> None:
    done = run(machine, service, '--output-file', name)
    assert done.returncode == 1 and name[-3:].lower() in done.stderr and len(done.stderr.splitlines()) == 2


def test_l29_summary_of_an_earlier_run_is_replaced_and_another_file_refused(
    machine: Machine, service: DicomService
) -> None:
    for _ in range(2):
        assert run(machine, service, *BOTH, '--summary-file', 's.json').returncode == 0
    (machine.folder / 'other.json').write_text('{}')
    done = run(machine, service, *BOTH, '--summary-file', 'other.json')
    assert (
        done.returncode == 1 and '--summary-file' in done.stderr and (machine.folder / 'other.json').read_text() == '{}'
    )
    assert run(machine, service, *BOTH, '--overwrite').returncode == 1


def test_l31_start_that_a_checkpoint_overrides_is_said(machine: Machine, service: DicomService) -> None:
    assert run(machine, service, *BOTH).returncode == 0
    done = run(machine, service, *BOTH, '--after-sequence', '100')
    expected = f'--after-sequence is ignored: the run continues after sequence number {position(machine)}'
    assert done.returncode == 0 and done.stderr.count(expected) == 1
