"""Processor time of the client, beside `curl | jq -c '.[]'`, which makes the same lines of the same pages.

Fair, because it is user and system time of all processes of each side, start-up of az taken off as in `reading.py`.
There is no latency, which costs no processor time; the server's speed is of no importance here either.
"""

from __future__ import annotations

from statistics import median

from benchmarks import contenders, report
from benchmarks.bench import Bench
from benchmarks.report import Figure

_TURNS = 3


def measure(bench: Bench) -> str:
    """The section about processor time."""
    bench.server.set_latency(0)
    rows: list[tuple[str, ...]] = []
    figures: list[Figure] = []
    for metadata, aim in ((False, 1.0), (True, 0.5)):
        name = 'with metadata' if metadata else 'without metadata'
        pairs = [_pair(bench, metadata=metadata) for _ in range(_TURNS)]
        ours, theirs = (median(column) for column in zip(*pairs, strict=True))
        rows.append((name, f'{ours:.2f}', f'{theirs:.2f}', str(_TURNS)))
        figures.append(Figure(f'{name}, as a multiple of `curl` and `jq`', median(a / b for a, b in pairs), aim))
    return report.section(
        f'Processor time of the client for {bench.server.events:,} events',
        'No latency; seconds, user and system.',
        [
            report.table(
                ('', '`az dicom changefeed --stream`, start-up taken off', "`curl … \\| jq -c '.[]'`", 'runs'), rows
            ),
            report.figures(figures),
        ],
    )


def _pair(bench: Bench, *, metadata: bool) -> tuple[float, float]:
    server = bench.server
    urls = contenders.page_urls(server.service_url, last_sequence=server.last_sequence, metadata=metadata)
    startup = bench.measure(contenders.TOKEN)
    ours = bench.measure(contenders.changefeed(server.service_url, metadata=metadata))
    bench.expect(server.events)
    theirs = bench.measure(contenders.curl_one_by_one(urls, bench.folder, header=bench.header), contenders.JQ)
    bench.expect(server.events)
    return ours.cpu_seconds - startup.cpu_seconds, theirs.cpu_seconds
