"""Drivers that are killed while a stream runs: each event is in the table exactly once, whatever writers did meanwhile.

The table is read through the sink's own log: its folder holds files of batches that never ended, too.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.e2e.feed_writers import writing
from tests.emulator import ticks, trouble
from tests.emulator.dicom import DicomService
from tests.emulator.sample import sample_feed
from tests.spark.conftest import ADMITS, MASTER, UNCLOSED

pytestmark = [pytest.mark.slow, UNCLOSED]

KILLS = 6
OPEN_BATCHES = 3
MOST_SECONDS = 300
Options = Callable[..., dict[str, str]]


class Job:
    """One stream in a folder, run by one driver after the other."""

    def __init__(self, folder: Path, environment: dict[str, str], options: dict[str, str]) -> None:
        self.folder = folder
        self._environment = {**os.environ, **environment}
        self._options = options

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """A driver in a session of its own, all of which is killed in the end."""
        with open(self.folder / 'log', 'ab') as log:
            process = subprocess.Popen(
                [sys.executable, '-m', 'tests.spark.job', self.folder, MASTER, json.dumps(self._options)],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            kill_session(process.pid)
            process.wait()

    def logged(self, name: str) -> set[int]:
        """Numbers of the batches in that log of the checkpoint."""
        return {int(path.name) for path in (self.folder / 'checkpoint' / name).glob('[0-9]*')}

    def open_batch(self) -> int | None:
        """The batch that has been planned and is not done."""
        return max(self.logged('offsets') - self.logged('commits'), default=None)

    def messages(self) -> str:
        """The end of what the drivers said."""
        return (self.folder / 'log').read_text('utf-8', 'replace')[-4_000:]


def kill_session(leader: int) -> None:
    """Python, Java and the workers, some of which have made process groups of their own."""
    for number in (int(path.name) for path in Path('/proc').glob('[0-9]*')):
        with suppress(ProcessLookupError):  # it has just ended
            if os.getsid(number) == leader:
                os.kill(number, signal.SIGKILL)


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], job: Job) -> None:
    deadline = time.monotonic() + MOST_SECONDS
    while not condition():
        assert process.poll() is None, job.messages()
        assert time.monotonic() < deadline, job.messages()
        time.sleep(0.02)


def kill_with_an_open_batch(job: Job, chance: random.Random, *, after: int) -> int | None:
    """Kill the driver soon after it has planned another batch; the number of the batch that was open then."""
    with job.running() as process:
        wait_until(lambda: (job.open_batch() or 0) >= after and job.open_batch() is not None, process, job)
        time.sleep(chance.choice((0.0, 0.3, 1.0)) * chance.random())
    return job.open_batch()


def rows(spark: Any, job: Job) -> list[tuple[int, str]]:
    table = spark.read.schema('sequence long, timestampText string').parquet(str(job.folder / 'table'))
    return sorted((row.sequence, row.timestampText) for row in table.collect())


def test_each_event_is_in_the_table_once_however_often_the_driver_was_killed(
    spark: Any,
    emulator: Any,
    spark_environment: dict[str, str],
    options: Options,
    tmp_path: Path,
) -> None:
    service: DicomService = emulator.add_service('contoso', f'killed{len(emulator.services)}')
    service.store.load(sample_feed(4_000, end_ticks=ticks.now() - 600 * ticks.PER_SECOND, metadata=False))
    service.store.burn(200_000)
    service.trouble.every(40, [trouble.unavailable(), trouble.cut(), trouble.throttled(1)], seed=1)
    bound = {'maxEventsPerTrigger': 900} if ADMITS else {}
    given = options(service, settleSeconds=8, pollIntervalSeconds=1, rangeSize=500, **bound)
    job, chance = Job(tmp_path, spark_environment, given), random.Random(7)
    killed_in: list[int | None] = []
    with writing(service.store, writers=3, latest_commit_seconds=3.0, seed=1):
        killed_in.append(kill_with_an_open_batch(job, chance, after=0))
        while len(killed_in) < KILLS or sum(batch is not None for batch in killed_in) < OPEN_BATCHES:
            assert len(killed_in) < 3 * KILLS
            killed_in.append(kill_with_an_open_batch(job, chance, after=max(job.logged('commits'), default=-1) + 1))
    assert killed_in[0] == 0, killed_in
    expected = [(event.sequence, event.ticks) for event in service.store.events()]
    last = expected[-1][0]
    with job.running() as process:
        wait_until(lambda: _is_through(job, last), process, job)
    found = rows(spark, job)
    assert [sequence for sequence, _ in found] == [sequence for sequence, _ in expected]
    assert [ticks.parse(text) for _, text in found] == [moment for _, moment in expected]
    said = '\n'.join(path.read_text('utf-8', 'replace') for path in (tmp_path / 'log', *worker_logs()))
    assert Path(given['tokenFile']).read_text() not in said
    assert not [event for event in service.store.events() if event.instance.study in said]


def worker_logs() -> list[Path]:
    """Where a cluster of processes has them; with a local master they are in the driver's."""
    import pyspark

    return [path for path in (Path(pyspark.__file__).parent / 'work').rglob('std*') if path.is_file()]


def _is_through(job: Job, sequence: int) -> bool:
    """Whether a batch that ends there is done."""
    done = max(job.logged('commits'), default=None)
    if done is None:
        return False
    offset = (job.folder / 'checkpoint' / 'offsets' / str(done)).read_text().splitlines()[-1]
    return json.loads(offset)['sequence'] >= sequence
