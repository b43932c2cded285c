"""Processor time of counting, beside that of writing the same events to a file.

Fair, because both read the same pages with the same checks; a count only has to be no dearer than what it saves. As in
`client_cpu.py` it is user and system time, start-up taken off, without latency.
"""

from __future__ import annotations

from statistics import median

from benchmarks import contenders, report
from benchmarks.bench import Bench
from benchmarks.report import Figure

_TURNS = 5


def measure(bench: Bench) -> str:
    """The section about counting."""
    bench.server.set_latency(0)
    pairs = [_pair(bench) for _ in range(_TURNS)]
    ours, theirs = (median(column) for column in zip(*pairs, strict=True))
    return report.section(
        f'Counting {bench.server.events:,} events',
        'No latency; seconds, user and system, start-up taken off.',
        [
            report.table(
                ('`--count-by hour`', '`--output-file`', 'runs'), [(f'{ours:.2f}', f'{theirs:.2f}', str(_TURNS))]
            ),
            report.figures([Figure('as a multiple of `--output-file`', median(a / b for a, b in pairs), 1.0)]),
        ],
    )


def _pair(bench: Bench) -> tuple[float, float]:
    service, file = ('--service-url', bench.server.service_url), bench.folder / 'feed.jsonl'
    startup = bench.measure(contenders.TOKEN).cpu_seconds
    counting = bench.measure((*contenders.CHANGEFEED, *service, '--count-by', 'hour'))
    writing = bench.measure((*contenders.CHANGEFEED, *service, '--output-file', str(file)))
    file.unlink()
    return counting.cpu_seconds - startup, writing.cpu_seconds - startup
