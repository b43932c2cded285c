"""How long after its commit an event stands on the standard output of `--follow`.

The measure is the poll interval: a reader that asks at that interval cannot do better than half of it in the median.
Fair, because a delay begins before the commit is asked for and ends when the line has been read from the pipe, and the
events come at random moments, one in each slice of time so that all moments between two polls are met alike.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median, quantiles

from benchmarks import contenders, report
from benchmarks.bench import Bench
from benchmarks.reading import LATENCY_SECONDS
from benchmarks.report import Figure

_POLL_SECONDS = 2
_SLICES = 300
_SLICE_SECONDS = 0.2
_PATIENCE_SECONDS = 30.0


class _Arrivals:
    """When the line of each event came, by sequence number."""

    def __init__(self) -> None:
        self._moments: dict[int, float] = {}
        self._changed = threading.Condition()

    def note(self, line: bytes) -> None:
        moment = time.monotonic()
        with self._changed:
            self._moments[json.loads(line)['sequence']] = moment
            self._changed.notify_all()

    def of(self, sequence: int) -> float:
        """Wait for the event. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: sequence in self._moments, _PATIENCE_SECONDS):
                raise TimeoutError(f'event {sequence} never came')
            return self._moments[sequence]


def measure(bench: Bench) -> str:
    """The section about following."""
    server = bench.server
    server.set_latency(LATENCY_SECONDS)
    with _following(bench) as arrivals:
        _wait_until_it_follows(bench, arrivals)
        cpu_before, began = server.cpu_seconds, time.monotonic()
        commits = list(_commits(bench))
        server_share = (server.cpu_seconds - cpu_before) / (time.monotonic() - began)
        delays = [(arrivals.of(sequence) - moment) / _POLL_SECONDS for sequence, moment in commits]
    return report.section(
        'Following: from commit to line',
        f'{len(delays)} events at random moments within {_SLICES * _SLICE_SECONDS:.0f} seconds, '
        f'`--poll-interval {_POLL_SECONDS}s`, {1000 * LATENCY_SECONDS:.0f} ms of latency; in poll intervals.',
        [
            report.figures(
                [
                    Figure('median', median(delays), 0.6, server_share),
                    Figure('99th percentile', quantiles(delays, n=100)[98], 1.2, server_share),
                ]
            )
        ],
    )


def _commits(bench: Bench) -> Iterator[tuple[int, float]]:
    """Sequence number and moment of each event, at one random moment in each slice of time."""
    chance, began = random.Random(1), time.monotonic()
    for number in range(_SLICES):
        time.sleep(max(0.0, began + (number + chance.random()) * _SLICE_SECONDS - time.monotonic()))
        moment = time.monotonic()
        yield bench.server.store(), moment


def _wait_until_it_follows(bench: Bench, arrivals: _Arrivals) -> None:
    """Starting at now, it delivers the first event that is committed after it asked what now is."""
    for _ in range(5):
        try:
            arrivals.of(bench.server.store())
            return
        except TimeoutError:
            continue
    raise TimeoutError('nothing came')


@contextmanager
def _following(bench: Bench) -> Iterator[_Arrivals]:
    command = contenders.changefeed(bench.server.service_url, '--follow', '--poll-interval', f'{_POLL_SECONDS}s')
    arrivals = _Arrivals()
    with subprocess.Popen(command, env=bench.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        reading = threading.Thread(target=_note_all, args=(process.stdout, arrivals), daemon=True)
        reading.start()
        try:
            yield arrivals
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(_PATIENCE_SECONDS)
            reading.join()


def _note_all(lines: Iterator[bytes], arrivals: _Arrivals) -> None:
    for line in lines:
        arrivals.note(line)
