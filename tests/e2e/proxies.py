"""`az dicom proxy` as a process, and what a test asks of it."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.machine import TIMEOUT_SECONDS, Machine
from tests.emulator.cloud import Emulator

FEED = '/v2/changefeed?limit=2&includeMetadata=false'


@dataclass(frozen=True)
class Proxy:
    """One that runs; `base` is its base URL, with the secret."""

    process: subprocess.Popen[str]
    base: str

    @property
    def root(self) -> str:
        """Where DICOMweb begins, for a tool that knows addresses only."""
        return f'{self.base}/v2'

    @property
    def secret(self) -> str:
        return self.base.rpartition('/')[2]

    @property
    def port(self) -> str:
        return self.base.rpartition('/')[0].rpartition(':')[2]

    @property
    def peak_kib(self) -> int:
        """The most memory that its process has had."""
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith('VmHWM:'))

    def status(self, path: str = FEED) -> int:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self.base + path, timeout=TIMEOUT_SECONDS) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def end(self) -> str:
        """Stop it as a service manager does; what it said on standard error."""
        self.process.terminate()
        _, said = self.process.communicate(timeout=TIMEOUT_SECONDS)
        assert self.process.returncode == 0, said
        return said


@contextmanager
def proxy(machine: Machine, emulator: Emulator, *options: str) -> Iterator[Proxy]:
    """It listens inside this context."""
    command = [sys.executable, '-m', 'azure.cli', 'dicom', 'proxy', '--service-url', emulator.service_url, *options]
    with subprocess.Popen(
        command,
        env=machine.environment,
        cwd=machine.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield Proxy(process, process.stdout.readline().strip())
        finally:
            process.kill()
