"""What single attributes and conditions on them cost, beside all metadata piped to `jq` with the same condition.

Fair, because that is what a user had before, and both read the same service with the same checks. Rows and blobs are
those that the emulator counts. Processor time is user and system time of all processes of each side, start-up of az
taken off, without latency. The bytes are those that leave az.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import contenders, report
from benchmarks.bench import Bench
from benchmarks.process import Command
from benchmarks.report import Figure
from benchmarks.server import Server

_EVENTS = 20_000
_ONE_IN = 100
_SIZES = {'3 kB': 3_000, '9 kB': 9_000}
_TURNS = 3
_FIELD = ('--include-field', 'PatientID')


@dataclass(frozen=True)
class _Case:
    """Options of ours, and the filter of `jq` that keeps the same events."""

    name: str
    options: tuple[str, ...]
    jq: str
    most_blobs: float
    most_cpu: float


_CASES = (
    _Case('a filter, scattered', ('--study-instance-uid', '1.3', *_FIELD), '.studyInstanceUid == "1.3"', 1 / 50, 0.5),
    _Case('a filter, in a row', ('--partition-name', 'row', *_FIELD), '.partitionName == "row"', 1 / 50, 0.5),
    _Case('`--match` alone', ('--match', 'Modality=CT'), '.metadata["00080060"].Value[0] == "CT"', 1.0, 0.7),
)


@dataclass(frozen=True)
class _Read:
    """What a pipeline made the service read, and used itself."""

    requests: int
    rows: int
    blobs: int
    cpu_seconds: float
    output_bytes: int


def measure() -> str:
    """The section about attributes, on feeds of its own."""
    rows: list[tuple[str, ...]] = []
    figures: list[Figure] = []
    for size, metadata_bytes in _SIZES.items():
        with (
            tempfile.TemporaryDirectory(prefix='benchmarks-') as folder,
            Server(events=_EVENTS, metadata=True, metadata_bytes=metadata_bytes) as server,
        ):
            bench = Bench(server, Path(folder))
            server.set_latency(0)
            all_bytes = _all_bytes(bench)
            for case in _CASES:
                ours, theirs, cpu = _compared(bench, case)
                rows.append(_row(f'{case.name}, {size}', ours, theirs, all_bytes))
                figures += _figures(f'{case.name}, {size}', case, ours, theirs, cpu, all_bytes)
    return report.section(
        f'Attributes of 1 in {_ONE_IN} of {_EVENTS:,} events',
        f'Beside `az dicom changefeed --include-metadata --stream | jq`, medians of {_TURNS} turns; ours / theirs.',
        [report.table(('', 'requests', 'rows', 'blobs', 'CPU, s', 'bytes from az'), rows), report.figures(figures)],
    )


def _compared(bench: Bench, case: _Case) -> tuple[_Read, _Read, float]:
    """Ours, theirs, and the median of the ratios of processor time."""
    url = bench.server.service_url
    ours_command = contenders.changefeed(url, *case.options)
    theirs_command = contenders.changefeed(url, metadata=True)
    jq: Command = ('jq', '--compact-output', f'select({case.jq})')
    turns = [(_read(bench, ours_command), _read(bench, theirs_command, jq)) for _ in range(_TURNS)]
    ours, theirs = (sorted(reads, key=lambda read: read.cpu_seconds)[_TURNS // 2] for reads in zip(*turns, strict=True))
    return ours, theirs, median(ours.cpu_seconds / theirs.cpu_seconds for ours, theirs in turns)


def _read(bench: Bench, *pipeline: Command) -> _Read:
    startup = bench.measure(contenders.TOKEN).cpu_seconds
    bench.server.clear_journal()
    measured = bench.measure(*pipeline)
    bench.expect(_EVENTS // _ONE_IN)
    counted = bench.server.counted
    return _Read(
        counted['requests'],
        counted['rows_read'],
        counted['blobs_read'],
        measured.cpu_seconds - startup,
        bench.output.stat().st_size,
    )


def _all_bytes(bench: Bench) -> int:
    """What leaves az with all metadata."""
    bench.measure(contenders.changefeed(bench.server.service_url, metadata=True))
    bench.expect(_EVENTS)
    return bench.output.stat().st_size


def _row(name: str, ours: _Read, theirs: _Read, all_bytes: int) -> tuple[str, ...]:
    def pair(one: int, other: int) -> str:
        return f'{one:,} / {other:,}'

    return (
        name,
        pair(ours.requests, theirs.requests),
        pair(ours.rows, theirs.rows),
        pair(ours.blobs, theirs.blobs),
        f'{ours.cpu_seconds:.2f} / {theirs.cpu_seconds:.2f}',
        pair(ours.output_bytes, all_bytes),
    )


def _figures(name: str, case: _Case, ours: _Read, theirs: _Read, cpu: float, all_bytes: int) -> list[Figure]:
    figures = [
        Figure(f'{name}: blobs', ours.blobs / theirs.blobs, case.most_blobs),
        Figure(f'{name}: processor time', cpu, case.most_cpu),
    ]
    if case.most_blobs == 1.0:
        figures.append(Figure(f'{name}: requests', ours.requests / theirs.requests, 1.0))
        figures.append(Figure(f'{name}: bytes', ours.output_bytes / all_bytes, 1 / 20))
    return figures
