"""Each example of `az dicom proxy` listens, and ends with 0 when it is stopped."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.docs.commands import EXAMPLES
from tests.docs.pages import BLOCKS
from tests.e2e.machine import Machine
from tests.e2e.processes import wait_until

_SECONDS = 60
_COMMANDS = sorted(
    {text for name, text in EXAMPLES if name == 'dicom proxy'}
    | {block.code.strip() for block in BLOCKS if block.mark == 'stopped' and block.code.startswith('az dicom proxy')}
)


@pytest.mark.parametrize('command', _COMMANDS)
def test_proxy_listens_and_ends_with_0_when_stopped(command: str, machine: Machine) -> None:
    with subprocess.Popen(
        ['bash', '-c', f'exec {command}'],
        env=machine.environment,
        cwd=machine.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert _address(process, machine).startswith('http://127.0.0.1:')
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=_SECONDS) == 0
        finally:
            process.kill()


def _address(process: subprocess.Popen[str], machine: Machine) -> str:
    assert process.stdout is not None
    file = machine.folder / 'proxy.url'
    if '--url-file' not in str(process.args):
        return process.stdout.readline()
    wait_until(lambda: file.exists() or process.poll() is not None, seconds=_SECONDS, pause_seconds=0.05)
    return file.read_text('utf-8')
