"""Processor time of stable studies, beside that of writing the same events to a file; and what open studies weigh.

Fair, because both read the same pages with the same checks; the grouping has to look into each event, and is spared the
file. As in `counting.py` it is user and system time, start-up taken off, without latency. For the weight, no series of
the feed is ever stable, so that all of them are open at the end; it is the peak of the whole process, az included,
beside that of a run that keeps nothing.
"""

from __future__ import annotations

import json
from statistics import median

from benchmarks import contenders, report
from benchmarks.bench import Bench, Measured
from benchmarks.report import Figure

_TURNS = 5
_MEMORY_TURNS = 3
_GROUPED = ('--stable-after', '10m')
_ALL_OPEN = ('--stable-after', '30d', '--level', 'series')


def measure(bench: Bench) -> str:
    """The section about processor time."""
    bench.server.set_latency(0)
    rows = _summary(bench, *_GROUPED)['rows']
    pairs = [_pair(bench) for _ in range(_TURNS)]
    ours, theirs = (median(column) for column in zip(*pairs, strict=True))
    return report.section(
        f'Stable studies of {bench.server.events:,} events',
        'No latency; seconds, user and system, start-up taken off.',
        [
            report.table(
                ('`--stable-after 10m --output-file`', '`--output-file`', 'rows', 'runs'),
                [(f'{ours:.2f}', f'{theirs:.2f}', f'{rows:,}', str(_TURNS))],
            ),
            report.figures([Figure('as a multiple of `--output-file`', median(a / b for a, b in pairs), 1.2)]),
        ],
    )


def measure_memory(bench: Bench) -> str:
    """The section about memory."""
    bench.server.set_latency(0)
    still_open = _summary(bench, *_ALL_OPEN)['open']
    ours, theirs = (
        median(_written(bench, *options).peak_mib for _ in range(_MEMORY_TURNS)) for options in (_ALL_OPEN, ())
    )
    return report.section(
        'Peak memory with open studies',
        'Largest resident set, no latency.',
        [
            report.table(
                ('', 'MiB'),
                [(f'{still_open:,} series open', f'{ours:.1f}'), ('`--output-file`', f'{theirs:.1f}')],
            ),
            report.figures([Figure('more for each 10,000', (ours - theirs) * 10_000 / still_open, 20, unit=' MiB')]),
        ],
    )


def _pair(bench: Bench) -> tuple[float, float]:
    startup = bench.measure(contenders.TOKEN).cpu_seconds
    grouping, writing = _written(bench, *_GROUPED), _written(bench)
    return grouping.cpu_seconds - startup, writing.cpu_seconds - startup


def _written(bench: Bench, *options: str) -> Measured:
    file = bench.folder / 'feed.jsonl'
    service = ('--service-url', bench.server.service_url)
    measured = bench.measure((*contenders.CHANGEFEED, *service, *options, '--output-file', str(file)))
    file.unlink()
    return measured


def _summary(bench: Bench, *options: str) -> dict[str, int]:
    file = bench.folder / 'summary.json'
    _written(bench, *options, '--summary-file', str(file))
    return dict(json.loads(file.read_bytes()))
