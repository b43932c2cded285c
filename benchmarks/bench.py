"""A signed-in client beside a server: where every measurement is taken.

Owns the folder, the sign-in and the token file, and puts the server's load beside what a client used.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import contenders
from benchmarks.process import Command, Usage, run
from benchmarks.server import Server
from tests.conftest import install_extension


@dataclass(frozen=True)
class Measured(Usage):
    """As `Usage`, with the share of one core that the server used meanwhile (1.0: all of it)."""

    server_share: float


def with_extension(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of an az that keeps to the folder, and has the extension there."""
    install_extension(folder / 'extensions')
    return {
        **os.environ,
        **environment,
        'AZURE_CONFIG_DIR': str(folder / 'azure'),
        'AZURE_EXTENSION_DIR': str(folder / 'extensions'),
        'AZURE_CORE_COLLECT_TELEMETRY': 'false',
    }


class Bench:
    """The extension is laid out as its wheel would be, and az is signed in as a service principal."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.environment = with_extension(folder, server.environment)
        self.output = folder / 'output'
        self.header = folder / 'header'
        run((*contenders.AZ, *contenders.LOGIN), environment=self.environment, output=self.output)
        run(contenders.TOKEN, environment=self.environment, output=self.header)

    def measure(self, *pipeline: Command) -> Measured:
        """Run the pipeline into `output`."""
        return self.measure_all([pipeline])

    def measure_all(self, pipelines: Iterable[tuple[Command, ...]]) -> Measured:
        """Run one after the other: the sum of what they used."""
        cpu_before, began = self.server.cpu_seconds, time.perf_counter()
        used = [run(*pipeline, environment=self.environment, output=self.output) for pipeline in pipelines]
        seconds = time.perf_counter() - began
        return Measured(
            sum(one.wall_seconds for one in used),
            sum(one.cpu_seconds for one in used),
            max(one.peak_mib for one in used),
            (self.server.cpu_seconds - cpu_before) / seconds,
        )

    def delivered(self) -> int:
        """Lines of the last output."""
        with self.output.open('rb') as lines:
            return sum(1 for _ in lines)

    def expect(self, events: int) -> None:
        """What did not deliver everything is no measurement."""
        if self.delivered() != events:
            raise RuntimeError(f'{self.delivered()} lines instead of {events}')
