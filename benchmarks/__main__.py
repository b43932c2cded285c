"""`python -m benchmarks`: measure everything, one thing after the other, and write `RESULTS.md`.

    python -m benchmarks [SECTION …]      only those: startup proxy attributes reading cpu counting window following
                                      stable memory; to the screen

Takes about fifteen minutes on two cores, which it wants for itself. Needs curl and jq.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import attributes, client_cpu, counting, following, memory, proxy, reading, report, stable, window
from benchmarks.bench import Bench
from benchmarks.server import Server

RESULTS = Path(__file__).with_name('RESULTS.md')
_ROOT = RESULTS.parent.parent
_STARTUP_PAIRS = 31
# on a feed of 100,000 events with metadata; following comes last, as it adds to the feed
_ON_THE_FEED: dict[str, tuple[Callable[[Bench], str], ...]] = {
    'reading': (
        lambda bench: reading.measure(bench, metadata=False),
        lambda bench: reading.measure(bench, metadata=True),
    ),
    'cpu': (client_cpu.measure,),
    'counting': (counting.measure,),
    'window': (window.measure,),
    'following': (following.measure,),
}
_ON_STUDIES = {'stable': (stable.measure, stable.measure_memory)}
_ON_A_LARGE_FEED = {'memory': (memory.measure,)}


def main(chosen: set[str]) -> None:
    parts = [
        _HEAD.format(cores=os.cpu_count(), python=platform.python_version(), curl=_version('curl'), jq=_version('jq'))
    ]
    for part in _sections(chosen):
        print(part, flush=True)
        parts.append(part)
    if not chosen:
        RESULTS.write_text('\n'.join(parts), 'utf-8')


def _sections(chosen: set[str]) -> Iterator[str]:
    if not chosen or 'startup' in chosen:
        yield _startup()
    if not chosen or 'proxy' in chosen:
        yield proxy.measure()
    if not chosen or 'attributes' in chosen:
        yield attributes.measure()
    for measurements, events, metadata in (
        (_ON_THE_FEED, 100_000, True),
        (_ON_STUDIES, 200_000, False),
        (_ON_A_LARGE_FEED, 1_000_000, False),
    ):
        wanted = [measure for name, those in measurements.items() if not chosen or name in chosen for measure in those]
        if wanted:
            with (
                tempfile.TemporaryDirectory(prefix='benchmarks-') as folder,
                Server(events=events, metadata=metadata) as server,
            ):
                bench = Bench(server, Path(folder))
                yield from (measure(bench) for measure in wanted)


def _startup() -> str:
    """In a process of its own, because it has the emulator in it (`process.py` says why that matters)."""
    done = subprocess.run(
        [sys.executable, '-m', 'benchmarks.startup', str(_STARTUP_PAIRS)],
        cwd=_ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return report.section('Start-up', 'Each beside the nearest command of core.', [done.stdout.strip()])


def _version(tool: str) -> str:
    said = subprocess.run([tool, '--version'], check=True, stdout=subprocess.PIPE, text=True).stdout
    return said.split(' (')[0].strip()


_HEAD = f"""\
# Results of `make bench`

Written by `python -m benchmarks`, all in one run on {{cores}} cores, with Python {{python}}, {{curl}} and {{jq}}. The
server is the emulator in a process of its own on the same machine; a ratio counts only where it used less than
{report.percent(report.BUSIEST_SERVER)} of a core. Figures of several runs are medians; the contenders took turns.
What is compared with what, and why that is fair, stands at the top of each file beside this one.
"""

if __name__ == '__main__':
    main(set(sys.argv[1:]))
