"""az as a process to watch, interrupt and kill: Python itself, with no shell script between the signal and it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from tests.e2e.machine import TIMEOUT_SECONDS, Machine
from tests.emulator.dicom import DicomService

Az = subprocess.Popen[str]
Stream = int | IO[Any] | None


@contextmanager
def changefeed(
    machine: Machine,
    service: DicomService,
    *options: str,
    stdout: Stream = subprocess.PIPE,
    stderr: Stream = subprocess.PIPE,
    prepare: Callable[[], None] | None = None,
) -> Iterator[Az]:
    """`az dicom changefeed` on this service; ended with the context where it has not ended by itself.

    `prepare` runs in the child, before Python begins.
    """
    command = [sys.executable, '-m', 'azure.cli', 'dicom', 'changefeed', '--service-url', url(service), *options]
    with subprocess.Popen(
        command,
        env=machine.environment,
        cwd=machine.folder,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        preexec_fn=prepare,
    ) as az:
        try:
            yield az
        finally:
            az.kill()


def url(service: DicomService) -> str:
    return f'https://{service.host}'


def sequences(text: str) -> list[int]:
    """Those of the lines that a run has written."""
    return [json.loads(line)['sequence'] for line in text.splitlines()]


def truth(service: DicomService) -> list[int]:
    """The sequence numbers of all events, in order."""
    return [event.sequence for event in service.store.events()]


def wait_until(
    condition: Callable[[], object], *, seconds: float = TIMEOUT_SECONDS, pause_seconds: float = 0.001
) -> None:
    """Return as soon as the condition holds; an AssertionError where that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'it never came to that'
        time.sleep(pause_seconds)
