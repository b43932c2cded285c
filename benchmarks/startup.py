"""What a command costs before it does anything of use, beside what core's nearest command costs.

    python -m benchmarks.startup [PAIRS]

Both commands of a pair run in turn, under one login and with the token in az's cache, so that whatever else the
machine does hits both alike. Prints a Markdown table; the ratio is the median of the pairs' ratios.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import contenders
from benchmarks.bench import with_extension
from tests.emulator import ticks
from tests.emulator.cloud import Emulator
from tests.emulator.entra import DICOM_AUDIENCE
from tests.emulator.sample import sample_feed

Command = tuple[str, ...]

_EVENTS = 40

# issues a token and sends one request, as the commands of the extension do
REST: Command = (
    'rest',
    '--method',
    'get',
    '--url',
    'SERVICE/v2/changefeed/latest?includeMetadata=false',
    '--resource',
    DICOM_AUDIENCE,
)
# ours, core's, and the ratio that is aimed at; SERVICE stands for the service's URL
PAIRS: list[tuple[Command, Command, float]] = [
    (('dicom', 'changefeed', '-h'), ('version',), 1.1),
    (('dicom', 'changefeed', '--latest', '--service-url', 'SERVICE'), REST, 1.1),
    (('dicom', 'token', 'issue'), ('account', 'get-access-token', '--resource', DICOM_AUDIENCE), 0.8),
    (('dicom', 'token', 'issue'), REST, 1.0),
    (('dicom', 'check-access', '--service-url', 'SERVICE'), REST, 1.15),
    (('dicom', 'token', 'issue', '-h'), ('version',), 1.05),
]


def main(count: int) -> None:
    with Emulator() as emulator, tempfile.TemporaryDirectory(prefix='startup-') as folder:
        environment = with_extension(Path(folder), emulator.environment)
        emulator.service.store.load(sample_feed(_EVENTS, end_ticks=ticks.now()))
        run(contenders.LOGIN, environment)
        print(f"| ours | core's | ours, ms | core's, ms | ratio of {count} pairs | aim |\n|---|---|---|---|---|---|")
        for ours, core, aim in PAIRS:
            pair = [_at(emulator.service_url, command) for command in (ours, core)]
            print(row(ours, core, aim, measure(*pair, environment, count=count)), flush=True)


def _at(service_url: str, command: Command) -> Command:
    return tuple(word.replace('SERVICE', service_url) for word in command)


def measure(ours: Command, core: Command, environment: dict[str, str], *, count: int) -> list[tuple[float, float]]:
    """Seconds of each pair; the first run of each, which fills caches, is not among them."""
    run(ours, environment)
    run(core, environment)
    return [(run(ours, environment), run(core, environment)) for _ in range(count)]


def run(command: Command, environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, '-m', 'azure.cli', *command], env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


def row(ours: Command, core: Command, aim: float, seconds: list[tuple[float, float]]) -> str:
    ratio = statistics.median(mine / theirs for mine, theirs in seconds)
    mine, theirs = (round(1000 * statistics.median(column)) for column in zip(*seconds, strict=True))
    return f'| `az {" ".join(ours)}` | `az {" ".join(core)}` | {mine} | {theirs} | {ratio:.2f} | {aim} |'


if __name__ == '__main__':
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 31)
