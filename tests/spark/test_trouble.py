"""Long jobs in trouble: tokens that expire, a role that is taken away, metadata that cannot be read; a large feed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.emulator import trouble
from tests.emulator.dicom import DicomService
from tests.emulator.identities import READER_APPLICATION
from tests.emulator.sample import AN_END, sample_feed
from tests.spark.conftest import UNCLOSED
from tests.spark.test_batch import Make, Options, committed, failure, load, requests_of, sequences
from tests.spark.test_stream import Stream, wait_until

pytestmark = [pytest.mark.slow, UNCLOSED]

TOKEN_SECONDS = 20
JOB_SECONDS = 120


def test_large_batch_holds_every_event(spark: Any, new_service: Make, options: Options) -> None:
    service = new_service()
    service.store.load(sample_feed(200_000, metadata=False))
    rows = load(spark, options(service)).select('sequence', 'line').collect()
    assert sorted(row.line for row in rows) == sorted(service.store.by_sequence(0, 2**62))
    assert sorted(row.sequence for row in rows) == committed(service)


@contextmanager
def short_lived_tokens(emulator: Any, path: Path) -> Iterator[None]:
    """A file in which somebody replaces the token before it expires."""
    end, lifetime = threading.Event(), emulator.entra.token_lifetime_seconds

    def renew() -> None:
        while True:
            new = path.with_suffix('.new')
            new.write_text(emulator.entra.issue(READER_APPLICATION))
            new.replace(path)
            if end.wait(TOKEN_SECONDS / 3):
                return

    emulator.entra.token_lifetime_seconds = TOKEN_SECONDS
    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
        emulator.entra.token_lifetime_seconds = lifetime


def test_tokens_of_seconds_last_for_a_job_of_minutes(
    spark: Any, emulator: Any, new_service: Make, options: Options, tmp_path: Path
) -> None:
    service = new_service()
    for _ in range(4_000):  # without a gap, which would cost more requests
        service.store.create(ticks=AN_END)
    slots, pages = spark.sparkContext.defaultParallelism, 40
    service.latency_seconds = JOB_SECONDS * slots / pages
    path = tmp_path / 'token'
    began = time.monotonic()
    with short_lived_tokens(emulator, path):
        frame = load(spark, options(service, tokenFile=path, rangeSize=2_000, requestsInFlightPerTask=1))
        assert sequences(frame) == committed(service)
    assert time.monotonic() - began > 3 * TOKEN_SECONDS  # else it has shown nothing
    assert len({request.headers.get('authorization') for request in requests_of(emulator, service)}) > 3


def test_tokens_of_seconds_last_for_a_stream(
    spark: Any, emulator: Any, new_service: Make, options: Options, tmp_path: Path
) -> None:
    service = new_service()
    path = tmp_path / 'token'
    with short_lived_tokens(emulator, path):
        stream = Stream(spark, tmp_path, options(service, tokenFile=path, settleSeconds=2))
        query = stream.start()
        end = time.monotonic() + 4 * TOKEN_SECONDS
        while time.monotonic() < end:
            service.store.create()
            time.sleep(1)
        wait_until(lambda: stream.sequences() == committed(service))
        query.stop()
    assert len({request.headers.get('authorization') for request in requests_of(emulator, service)}) > 3


@contextmanager
def while_asking(emulator: Any, service: DicomService, act: Callable[[], object]) -> Iterator[None]:
    """Something happens once the service has had 20 requests of what is done inside."""
    end = threading.Event()

    def watch() -> None:
        while not end.wait(0.05):
            if len(requests_of(emulator, service)) >= 20:
                return act()

    service.latency_seconds = 0.5
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def test_lost_connections_are_waited_out(spark: Any, emulator: Any, new_service: Make, options: Options) -> None:
    """Also by a task that has had no answer yet: its driver has."""
    service = new_service()
    service.store.load(sample_feed(2_000, metadata=False))

    def cut_connections() -> None:
        service.trouble.when(lambda request: True, trouble.cut(), times=10**6)
        time.sleep(30)
        service.trouble.clear()

    with while_asking(emulator, service, cut_connections):
        frame = load(spark, options(service, rangeSize=100, requestsInFlightPerTask=1))
        assert sequences(frame) == committed(service)


def test_role_that_is_taken_away_ends_the_job_and_is_named(
    spark: Any, emulator: Any, new_service: Make, options: Options
) -> None:
    service = new_service()
    service.store.load(sample_feed(4_000, metadata=False))
    with while_asking(emulator, service, service.role_assignments.clear):
        frame = load(spark, options(service, rangeSize=500, requestsInFlightPerTask=1))
        message = failure(frame.collect)
    assert 'give it the role DICOM Data Reader' in message


def test_poisoned_event_comes_without_metadata(spark: Any, new_service: Make, options: Options) -> None:
    """Whose sequence number is in the log of its task; it takes a minute to be sure of."""
    service = new_service()
    service.store.load(sample_feed(150))
    poisoned = next(event.sequence for event in service.store.events()[70:] if event.state == 'Current')
    service.store.poison(poisoned)
    rows = {row.sequence: row for row in load(spark, options(service, includeMetadata='true')).collect()}
    assert sorted(rows) == committed(service)
    assert rows[poisoned].metadata is None
    assert rows[poisoned - 1].metadata is not None or rows[poisoned + 1].metadata is not None
