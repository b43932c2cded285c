"""The feed as a stream, on a real Spark, without kills: batches, restarts, replays."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.emulator import trouble
from tests.emulator.dicom import DicomService
from tests.emulator.sample import sample_feed
from tests.spark.conftest import ADMITS, UNCLOSED
from tests.spark.test_batch import Make, Options, committed, failure, requests_of

pytestmark = UNCLOSED

FORMAT = 'dicomchangefeed'
MOST_SECONDS = 120


class Stream:
    """A query that writes Parquet, and what is in its folders."""

    def __init__(self, spark: Any, folder: Path, given: dict[str, str]) -> None:
        self.spark = spark
        self.folder = folder
        self.given = {'pollIntervalSeconds': '1', **given}

    def run(self, **more: str) -> None:
        """All there is now."""
        query = self.start(availableNow=True, **more)
        assert query.awaitTermination(MOST_SECONDS)

    def start(self, *, availableNow: bool = False, **more: str) -> Any:
        frame = self.spark.readStream.format(FORMAT).options(**{**self.given, **more}).load()
        writer = frame.writeStream.format('parquet').option('checkpointLocation', str(self.folder / 'checkpoint'))
        writer = writer.trigger(availableNow=True) if availableNow else writer
        return writer.start(str(self.folder / 'table'))

    def sequences(self) -> list[int]:
        """What a reader of the sink's log sees."""
        table = self.folder / 'table'
        if not (table / '_spark_metadata').exists():
            return []
        return sorted(row.sequence for row in self.spark.read.schema('sequence long').parquet(str(table)).collect())

    def offsets(self) -> list[dict[str, Any]]:
        """The ends of the batches, as logged."""
        files = sorted((self.folder / 'checkpoint' / 'offsets').glob('[0-9]*'), key=lambda path: int(path.name))
        return [json.loads(path.read_text().splitlines()[2]) for path in files]

    def forget_commit(self, batch: int) -> None:
        """As after a kill while the batch was open: it is in the offset log, and neither done nor in the sink's log."""
        for path in (self.folder / 'checkpoint' / 'commits', self.folder / 'table' / '_spark_metadata'):
            (path / str(batch)).unlink()
            (path / f'.{batch}.crc').unlink(missing_ok=True)


@pytest.fixture
def stream(spark: Any, tmp_path: Path, new_service: Make, options: Options) -> Stream:
    made = Stream(spark, tmp_path, options(new_service(), settleSeconds=2))
    return made


def service_of(emulator: Any, stream: Stream) -> DicomService:
    return emulator.services[stream.given['serviceUrl'].removeprefix('https://')]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + MOST_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_available_now_reads_what_is_there_and_then_what_is_new(emulator: Any, stream: Stream) -> None:
    service = service_of(emulator, stream)
    service.store.load(sample_feed(3_000))
    stream.run(rangeSize='1000')
    assert stream.sequences() == committed(service)
    for _ in range(5):
        service.store.create()
    stream.run()
    assert stream.sequences() == committed(service)
    before = len(stream.offsets())
    stream.run()
    assert stream.sequences() == committed(service)
    assert len(stream.offsets()) - before <= (not ADMITS)  # below 4.2 Spark does not say where the query stands


def test_first_event_of_an_empty_feed_is_read_when_it_comes(emulator: Any, stream: Stream) -> None:
    stream.run()
    assert not [offset for offset in stream.offsets() if offset['sequence'] or 'event' in offset]
    service_of(emulator, stream).store.create()
    stream.run(settleSeconds='0')
    assert stream.sequences() == [1]


@pytest.mark.skipif(not ADMITS, reason='admission control begins with Spark 4.2')
def test_most_events_bound_each_batch(emulator: Any, stream: Stream) -> None:
    service = service_of(emulator, stream)
    service.store.load(sample_feed(2_500))
    stream.run(maxEventsPerTrigger='700')
    numbers, ends = committed(service), [0, *(offset['sequence'] for offset in stream.offsets())]
    sizes = [sum(start < number <= end for number in numbers) for start, end in zip(ends, ends[1:], strict=False)]
    assert stream.sequences() == numbers
    assert max(sizes) <= 700 and set(ends[1:]) <= set(numbers) and len(sizes) >= 4


@pytest.mark.skipif(ADMITS, reason='Spark 4.2 and later have it')
def test_most_events_are_refused_where_spark_has_no_limits(stream: Stream) -> None:
    assert 'maxEventsPerTrigger needs Spark 4.2' in failure(lambda: stream.start(maxEventsPerTrigger='700'))


def test_stream_begins_where_its_options_say(spark: Any, tmp_path: Path, new_service: Make, options: Options) -> None:
    service = new_service()
    service.store.load(sample_feed(900))
    events = service.store.events()
    middle = json.loads(service.store.by_sequence(0, 2**62)[450])['timestamp']
    by_number = Stream(spark, tmp_path / 'number', options(service, afterSequence=events[300].sequence))
    by_time = Stream(spark, tmp_path / 'time', options(service, startTime=middle))
    for stream in (by_number, by_time):
        stream.run()
    assert by_number.sequences() == [event.sequence for event in events[301:]]
    assert by_time.sequences() == [event.sequence for event in events if event.ticks >= events[450].ticks]
    replayed = by_time.sequences()
    by_time.forget_commit(0)
    by_time.run()
    assert by_time.sequences() == replayed


def test_nothing_above_an_open_gap_comes_before_it_closes(emulator: Any, stream: Stream) -> None:
    service = service_of(emulator, stream)
    service.store.load(sample_feed(100))
    before = committed(service)
    query = stream.start(settleSeconds='3600')
    try:
        wait_until(lambda: stream.sequences() == before)
        filled = service.store.begin_create()
        filled.take_clock()
        filled.take_sequence()
        service.store.create()
        asked = len(requests_of(emulator, service))
        wait_until(lambda: len(requests_of(emulator, service)) > asked + 10)
        assert stream.sequences() == before
        filled.commit()
        wait_until(lambda: stream.sequences() == committed(service))
    finally:
        query.stop()


def test_gap_that_never_fills_closes_after_the_settle_time(emulator: Any, stream: Stream) -> None:
    service = service_of(emulator, stream)
    service.store.load(sample_feed(50))
    service.store.burn(2)
    service.store.create()
    query = stream.start()
    try:
        wait_until(lambda: bool(stream.offsets()) and stream.sequences() == committed(service))
    finally:
        query.stop()


def test_idle_stream_asks_once_in_each_interval(emulator: Any, stream: Stream) -> None:
    service = service_of(emulator, stream)
    service.store.load(sample_feed(20))
    query = stream.start()
    try:
        wait_until(lambda: bool(stream.offsets()) and stream.sequences() == committed(service))
        time.sleep(1)
        began, before = time.monotonic(), len(requests_of(emulator, service))
        time.sleep(5)
        asked, seconds = len(requests_of(emulator, service)) - before, time.monotonic() - began
    finally:
        query.stop()
    assert 1 <= asked <= seconds + 2


def test_replay_reads_the_same_range_again(emulator: Any, stream: Stream) -> None:
    service = service_of(emulator, stream)
    service.store.load(sample_feed(400))
    for _ in range(8):
        service.store.create()
    stream.run()
    expected = stream.sequences()
    stream.forget_commit(0)
    service.store.create()
    stream.run()
    if not ADMITS:  # a query with that trigger ends after one batch, and this one was the replay
        stream.run()
    assert stream.sequences() == [*expected, committed(service)[-1]]


def test_range_that_differs_at_a_replay_ends_the_query(emulator: Any, stream: Stream) -> None:
    service = service_of(emulator, stream)
    service.store.load(sample_feed(100))
    late = service.store.begin_create()
    late.take_clock()
    late.take_sequence()
    service.store.create()
    query = stream.start()  # the gap closes after two seconds
    try:
        wait_until(lambda: bool(stream.offsets()) and stream.sequences() == committed(service))
    finally:
        query.stop()
    assert late.commit()
    stream.forget_commit(len(stream.offsets()) - 1)
    assert 'does not hold the events any more' in failure(stream.run)


def test_restored_database_ends_the_query(emulator: Any, stream: Stream) -> None:
    service = service_of(emulator, stream)
    service.store.load(sample_feed(100))
    stream.run()
    service.store.restore(committed(service)[-5])
    message = failure(stream.run)
    assert 'Find out what was restored' in message
    while service.store.next_sequence < 200:
        service.store.create()
    assert 'Find out what was restored' in failure(stream.run)


def test_role_that_is_taken_away_ends_the_query_which_goes_on_with_it(emulator: Any, stream: Stream) -> None:
    service = service_of(emulator, stream)
    service.store.load(sample_feed(50))
    query, roles = stream.start(), dict(service.role_assignments)
    wait_until(lambda: bool(stream.offsets()) and stream.sequences() == committed(service))
    service.role_assignments.clear()
    assert 'give it the role DICOM Data Reader' in failure(lambda: query.awaitTermination(MOST_SECONDS))
    service.role_assignments.update(roles)
    service.store.create()
    stream.run()
    assert stream.sequences() == committed(service)


def test_later_start_time_is_ignored_and_loses_nothing(emulator: Any, stream: Stream) -> None:
    service = service_of(emulator, stream)
    service.store.load(sample_feed(300))
    stream.run(startTime='2000-01-01')
    for _ in range(3):
        service.store.create()
    stream.run(startTime='2100-01-01', settleSeconds='0')
    assert stream.sequences() == committed(service)


def test_trouble_is_waited_out_at_the_start_and_while_there_is_more_to_read(emulator: Any, stream: Stream) -> None:
    service = service_of(emulator, stream)
    service.store.load(sample_feed(500))
    service.trouble.next(trouble.throttled(5))
    bound = {'maxEventsPerTrigger': '100'} if ADMITS else {}
    query = stream.start(**bound)
    try:
        wait_until(lambda: bool(stream.offsets()))
        service.trouble.next(trouble.unavailable(), times=6)
        wait_until(lambda: stream.sequences() == committed(service))
    finally:
        query.stop()


def test_stream_whose_service_is_away_stops_at_once(emulator: Any, stream: Stream) -> None:
    service = service_of(emulator, stream)
    service.trouble.when(lambda request: True, trouble.unavailable(), times=10**6)
    query = stream.start()
    wait_until(lambda: len(requests_of(emulator, service)) > 2)
    before = len(requests_of(emulator, service))
    query.stop()
    assert len(requests_of(emulator, service)) - before < 5 and not query.isActive


def test_checkpoint_and_logs_have_no_token_and_no_uid(
    emulator: Any, stream: Stream, token_file: Path, spark: Any
) -> None:
    service = service_of(emulator, stream)
    service.store.load(sample_feed(200))
    for _ in range(3):
        service.store.create()
    stream.run()
    secrets = {token_file.read_text(), *(event.instance.study for event in service.store.events())}
    events = Path(spark.conf.get('spark.eventLog.dir').removeprefix('file:'))
    files = [path for folder in (stream.folder / 'checkpoint', events) for path in folder.rglob('*') if path.is_file()]
    texts = [path.read_bytes() for path in files]
    assert files and not [secret for secret in secrets for text in texts if secret.encode() in text]


@pytest.mark.parametrize(
    ('given', 'sentence'),
    [
        ({'endTime': '2024-01-01'}, 'endTime is for a batch: a stream has no end'),
        ({'untilSequence': '17'}, 'untilSequence is for a batch: a stream has no end'),
        ({'startTime': '3d'}, 'an age means another time every time'),
    ],
    ids=['endTime', 'untilSequence', 'an age'],
)
def test_option_that_a_stream_cannot_have_ends_it(given: dict[str, str], sentence: str, stream: Stream) -> None:
    message = failure(lambda: stream.run(**given))
    assert sentence in message and 'UnboundLocalError' not in message
