"""`python -m benchmarks.spark [EVENTS]`: the Spark source beside the reader alone, with the same requests in flight.

In the environment of `make spark`, which has no az. Every contender reads the same feed, of 200,000 events or EVENTS,
by sequence number, from a server that takes 200 ms for an answer, and throws it away. Workers are warm: what a start of
Spark costs is measured by itself. The feed from which Spark is worth its start is where both take the same time.

Writes `RESULTS-SPARK.md`, with EVENTS to the screen only. Takes twenty-five minutes, nearly all of it waiting for the
server: so it wants the machine for itself, because what the machine adds is what is measured.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests

from benchmarks import report
from benchmarks.server import Server
from tests.conftest import ROOT
from tests.emulator.entra import DICOM_AUDIENCE
from tests.emulator.identities import HOME_TENANT, READER_APPLICATION

_LATENCY_SECONDS = 0.2
_EVENTS = 200_000
_RESULTS = Path(__file__).with_name('RESULTS-SPARK.md')
_SETUPS = ((1, 1), (4, 1), (1, 4), (4, 4))
"""Task slots, and requests in flight for each."""


def main(events: int | None) -> None:
    text = f'{_head()}\n{_measured(events or _EVENTS)}'
    print(text, flush=True)
    if events is None:
        _RESULTS.write_text(text, 'utf-8')


def _measured(events: int) -> str:
    with tempfile.TemporaryDirectory(prefix='benchmarks-') as folder, Server(events=events, metadata=False) as server:
        os.environ.update(server.environment)
        os.environ.update({'PYSPARK_PYTHON': sys.executable, 'PYTHONPATH': str(ROOT)})
        path = Path(folder) / 'token'
        path.write_text(_token())
        options = {'serviceUrl': server.service_url, 'credential': 'tokenFile', 'tokenFile': str(path)}
        return _section(server, options)


def _section(server: Server, options: dict[str, str]) -> str:
    starts: list[float] = []
    spark, reader = {}, {}
    for slots, each in _SETUPS:
        with _session(slots, starts) as session:
            spark[slots, each] = _spark_seconds(session, server, options, each)
            if (slots, each) == (1, 4):
                bare = _spark_seconds(session, server, options, each, latency_seconds=0.0)
    for total in sorted({slots * each for slots, each in _SETUPS}):
        reader[total] = _reader_seconds(server, options, total)
    bare_reader = _reader_seconds(server, options, 4, latency_seconds=0.0)
    rows = [_row(slots, each, spark=seconds, reader=reader[slots * each]) for (slots, each), seconds in spark.items()]
    figures = [
        report.Figure('four slots to one, one request each', spark[1, 1] / spark[4, 1], 3.2, at_most=False),
        report.Figure('four slots to one, four requests each', spark[1, 4] / spark[4, 4], 2.8, at_most=False),
    ]
    return report.section(
        'Spark',
        f'{server.events:,} events, {1000 * _LATENCY_SECONDS:.0f} ms for each answer.',
        [
            report.table(('slots', 'requests in flight for each', 'Spark', 'the reader with as many', 'ratio'), rows),
            report.figures(figures),
            f'Start of Spark: {starts[0]:.0f} s; of a later session {min(starts[1:]):.1f} s. Without latency, four '
            f'requests in flight: Spark {bare:.1f} s, the reader {bare_reader:.1f} s.',
            f'Spark with 4 x 4 overtakes the reader with 8 in flight, its own start included, from about '
            f'{_worth(starts[0], spark[4, 4], reader[4] / 2, server.events):,.0f} events on.',
        ],
    )


def _row(slots: int, each: int, *, spark: float, reader: float) -> tuple[str, ...]:
    return (f'{slots}', f'{each}', f'{spark:.1f} s', f'{reader:.1f} s', f'{reader / spark:.2f}')


def _worth(start_seconds: float, spark_seconds: float, reader_seconds: float, events: int) -> float:
    saved = (reader_seconds - spark_seconds) / events
    return start_seconds / saved if saved > 0 else float('inf')


@contextmanager
def _session(slots: int, starts: list[float]) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    from dicomfeed.spark import DicomChangeFeed

    began = time.perf_counter()
    session = (
        SparkSession.builder.master(f'local[{slots}]')
        .config('spark.driver.memory', '1g')
        .config('spark.ui.enabled', 'false')
        .config('spark.ui.showConsoleProgress', 'false')
        .getOrCreate()
    )
    session.sparkContext.setLogLevel('ERROR')
    session.dataSource.register(DicomChangeFeed)
    starts.append(time.perf_counter() - began)
    yield session
    session.stop()


def _spark_seconds(
    session: Any,
    server: Server,
    options: dict[str, str],
    in_flight: int,
    *,
    latency_seconds: float = _LATENCY_SECONDS,
) -> float:
    slots = session.sparkContext.defaultParallelism
    given = {**options, 'requestsInFlightPerTask': str(in_flight)}
    server.set_latency(0.0)
    warming = session.read.format('dicomchangefeed').options(**given, untilSequence=str(slots * 100), rangeSize='100')
    _write(warming.load())
    server.set_latency(latency_seconds)
    return _timed(lambda: _write(session.read.format('dicomchangefeed').options(**given).load()))


def _write(frame: Any) -> None:
    frame.write.format('noop').mode('overwrite').save()


def _reader_seconds(
    server: Server, options: dict[str, str], in_flight: int, *, latency_seconds: float = _LATENCY_SECONDS
) -> float:
    from dicomfeed import AtGap, Feed, FeedClient, HttpTransport, SequenceReader, ThreadPool
    from dicomfeed.spark.tokens import TokenFile

    def read() -> None:
        client = FeedClient(
            server.service_url, TokenFile(options['tokenFile']), transport=HttpTransport(connections=in_flight)
        )
        with closing(ThreadPool(in_flight)) as pool:
            reader = SequenceReader(Feed(client), cursor=0, pool=pool)
            found = sum(len(events) for events in reader.read(server.last_sequence, at_gap=AtGap.STOP))
        if found != server.events:
            raise RuntimeError(f'{found} events instead of {server.events}')

    server.set_latency(latency_seconds)
    return _timed(read)


def _timed(action: Callable[[], None]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _token() -> str:
    answer = requests.post(
        f'https://login.microsoftonline.com/{HOME_TENANT.id}/oauth2/v2.0/token',
        data={
            'grant_type': 'client_credentials',
            'client_id': READER_APPLICATION.client_id,
            'client_secret': READER_APPLICATION.secret,
            'scope': f'{DICOM_AUDIENCE}/.default',
        },
        timeout=60,
    )
    answer.raise_for_status()
    return str(answer.json()['access_token'])


def _head() -> str:
    from pyspark import __version__

    return f"""\
# Results of `make bench`: Spark

Written by `python -m benchmarks.spark`, all in one run on {os.cpu_count()} cores, with Spark {__version__} and Python
{platform.python_version()}. The server is the emulator in a process of its own on the same machine.
"""


if __name__ == '__main__':
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
