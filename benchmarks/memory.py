"""Peak memory of `az dicom changefeed --stream`: does it grow with the feed?

Fair, because both sizes are read from one feed, the smaller one as its last part, and it is the peak of the whole
process, az and Python included.
"""

from __future__ import annotations

from statistics import median

from benchmarks import contenders, report
from benchmarks.bench import Bench
from benchmarks.report import Figure

PART = 100_000
_RUNS_OF_PART = 3


def measure(bench: Bench) -> str:
    """The section about memory."""
    server = bench.server
    server.set_latency(0)
    startup = bench.measure(contenders.TOKEN)
    after = ('--after-sequence', str(server.last_sequence - PART))
    part = median(
        bench.measure(contenders.changefeed(server.service_url, *after)).peak_mib for _ in range(_RUNS_OF_PART)
    )
    whole = bench.measure(contenders.changefeed(server.service_url))
    bench.expect(server.events)
    return report.section(
        'Peak memory of the client',
        'Largest resident set, no latency, without metadata.',
        [
            report.table(
                ('', 'MiB'),
                [
                    ('start-up: `az dicom token issue`', f'{startup.peak_mib:.1f}'),
                    (f'about {PART:,} events', f'{part:.1f}'),
                    (f'{server.events:,} events ({whole.wall_seconds:.0f} seconds)', f'{whole.peak_mib:.1f}'),
                ],
            ),
            report.figures(
                [
                    Figure(f'{server.events:,} events', whole.peak_mib, 90, unit=' MiB'),
                    Figure(f'as a multiple of {PART:,} events', whole.peak_mib / part, 1.1),
                ]
            ),
        ],
    )
