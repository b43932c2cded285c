"""Standard output of the real az: pipes, terminals, full disks, and readers that have enough."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.logins import SignIn
from tests.e2e.machine import TIMEOUT_SECONDS, Done, Machine
from tests.e2e.processes import changefeed, sequences, truth, url
from tests.emulator import ticks
from tests.emulator.cloud import Emulator
from tests.emulator.dicom import DicomService
from tests.emulator.sample import sample_feed

EVENTS = 1_000
AZ = f'{shlex.quote(sys.executable)} -m azure.cli'


@pytest.fixture(scope='module')
def service(emulator: Emulator) -> DicomService:
    service = emulator.add_service('contoso', 'printed')
    an_hour_ago = ticks.now() - 60 * ticks.PER_MINUTE  # no gap is open any more
    service.store.load(sample_feed(EVENTS, end_ticks=an_hour_ago, metadata=False))
    service.store.create(metadata='{"00100010": {"vr": "PN", "Value": ["a\\u001b[2J\\tb"]}}', ticks=an_hour_ago)
    return service


@pytest.fixture
def machine(sign_in: SignIn, service: DicomService) -> Iterator[Machine]:
    machine = sign_in('secret')
    machine.environment['AZURE_DEFAULTS_DICOM_SERVICE_URL'] = url(service)
    yield machine


def run(machine: Machine, script: str) -> Done:
    """A script in which `az dicom changefeed` is `changefeed`."""
    return machine.shell(f'set +e +o pipefail; changefeed() {{ {AZ} dicom changefeed "$@"; }}; {script}')


def test_l21_follow_ends_with_the_reader_of_its_pipe_on_a_quiet_feed(machine: Machine, service: DicomService) -> None:
    done = run(machine, 'changefeed --follow --tail 3 --poll-interval 1d | head -n 3; exit "${PIPESTATUS[0]}"')
    assert (done.returncode, done.stderr) == (0, '')
    assert sequences(done.stdout) == truth(service)[-3:]


@pytest.mark.parametrize('name', ['-', '/dev/stdout', '/dev/fd/1'])
def test_n28_name_of_standard_output_is_standard_output(name: str, machine: Machine, service: DicomService) -> None:
    done = run(machine, f'changefeed --output-file {name} | head -n 1; exit "${{PIPESTATUS[0]}}"')
    assert (done.returncode, done.stderr) == (0, '')
    assert sequences(done.stdout) == truth(service)[:1]
    assert not (machine.folder / '-').exists()


@pytest.mark.parametrize('unbuffered', ['', 'export PYTHONUNBUFFERED=1; '], ids=['buffered', 'PYTHONUNBUFFERED'])
def test_l25_stream_that_is_cut_is_an_error_and_the_checkpoint_is_not_beyond(
    unbuffered: str, machine: Machine, service: DicomService
) -> None:
    done = run(machine, f'{unbuffered}ulimit -f 88; changefeed --stream --checkpoint checkpoint > written')
    assert done.returncode == 1 and done.stderr.startswith('ERROR: Standard output could not be written: File too')
    whole = sequences((machine.folder / 'written').read_text().rpartition('\n')[0])
    assert whole == truth(service)[: len(whole)]
    assert json.loads((machine.folder / 'checkpoint').read_text())['sequence'] <= whole[-1]


@pytest.mark.parametrize('options', ['--stream', '--max-items 1000000', '--tail 5', '--count-by study', '--latest'])
@pytest.mark.parametrize('unbuffered', ['0', '1'], ids=['buffered', 'PYTHONUNBUFFERED'])
def test_n29_full_disk_is_exit_code_1(options: str, unbuffered: str, machine: Machine) -> None:
    done = run(machine, f'{"export PYTHONUNBUFFERED=1; " * int(unbuffered)}changefeed {options} > /dev/full')
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == 'ERROR: Standard output could not be written: No space left on device.'


@pytest.mark.parametrize('options', [('--stream',), ('--max-items', '1000000')], ids=['stream', 'list'])
def test_l25_pipe_that_does_not_block_gets_every_byte(
    options: tuple[str, ...], machine: Machine, service: DicomService
) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with changefeed(machine, service, *options, stdout=write) as az:
        os.close(write)
        with open(read) as pipe:
            text = pipe.read()
        assert az.wait(TIMEOUT_SECONDS) == 0
    found = sequences(text) if '--stream' in options else [event['sequence'] for event in json.loads(text)]
    assert found == truth(service)


@pytest.mark.parametrize(
    'options', ['--max-items 1', '--output-file feed', '--stream --query [].a', '--after-sequence -1', '--follow -o x']
)
def test_l16_messages_go_nowhere_without_standard_error(options: str, machine: Machine) -> None:
    loud, silent = run(machine, f'changefeed {options}'), run(machine, f'rm -f feed; changefeed {options} 2>&-')
    assert loud.stderr and silent.stderr == ''
    assert (silent.returncode, silent.stdout) == (loud.returncode, loud.stdout)


@pytest.mark.parametrize('output', ['json', 'tsv', 'table'])
@pytest.mark.parametrize('mode', [('--tail', '1', '--stream'), ('--tail', '1')], ids=['stream', 'list'])
def test_n12_terminal_gets_no_control_character(output: str, mode: tuple[str, ...], machine: Machine) -> None:
    query = () if output == 'table' else ('--query', '[metadata]' if '--stream' in mode else '[].metadata')
    more = ('--query', 'metadata."00100010".Value[0]') if (output, mode[-1]) == ('tsv', '--stream') else query
    text = on_terminal(machine, *mode, '--include-metadata', '-o', output, *more)
    assert b'\x1b' not in text and text


def on_terminal(machine: Machine, *options: str) -> bytes:
    main, terminal = pty.openpty()
    command = [sys.executable, '-m', 'azure.cli', 'dicom', 'changefeed', *options]
    with subprocess.Popen(
        command, env=machine.environment, cwd=machine.folder, stdout=terminal, stderr=subprocess.DEVNULL
    ) as az:
        assert az.wait(TIMEOUT_SECONDS) == 0
    os.close(terminal)
    text = os.read(main, 100_000)
    os.close(main)
    return text


def test_l13_stream_of_columns_escapes_what_the_encoding_does_not_hold(machine: Machine, service: DicomService) -> None:
    done = run(machine, "PYTHONIOENCODING=ascii changefeed --tail 1 --query \"[].join('', ['Müller', action])\" -o tsv")
    assert done.stdout == 'M\\xfcllerCreate\n', done.stderr


def test_n23_stream_goes_to_the_stream_that_az_was_given(machine: Machine, service: DicomService) -> None:
    script = (
        'import io; from azure.cli.core import get_default_cli; out = io.StringIO();'
        'code = get_default_cli().invoke(["dicom", "changefeed", "--stream"], out_file=out);'
        'print(code, len(out.getvalue().splitlines()))'
    )
    done = machine.shell(f'{shlex.quote(sys.executable)} -c {shlex.quote(script)}')
    assert done.stdout == f'0 {len(truth(service))}\n', done.stderr
