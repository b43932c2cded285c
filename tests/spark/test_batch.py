"""The feed as a DataFrame, on a real Spark."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.emulator import trouble
from tests.emulator.dicom import DicomService
from tests.emulator.sample import sample_feed
from tests.spark.conftest import MASTER, UNCLOSED

pytestmark = UNCLOSED

EVENTS = 10_000
FORMAT = 'dicomchangefeed'
Make = Callable[[], DicomService]
Options = Callable[..., dict[str, str]]


@pytest.fixture(scope='module')
def archive(emulator: Any) -> DicomService:
    """A feed of long ago, with ties, late commits and a wide gap."""
    service = emulator.add_service('contoso', 'archive')
    service.store.load(sample_feed(EVENTS))
    return service


def load(spark: Any, given: dict[str, str]) -> Any:
    return spark.read.format(FORMAT).options(**given).load()


def sequences(frame: Any) -> list[int]:
    return sorted(row.sequence for row in frame.select('sequence').collect())


def committed(service: DicomService) -> list[int]:
    return [event.sequence for event in service.store.events()]


def test_batch_holds_every_event_as_the_store_has_it(spark: Any, archive: DicomService, options: Options) -> None:
    rows = load(spark, options(archive, rangeSize=1_500)).orderBy('sequence').collect()
    lines = archive.store.by_sequence(0, 2**62)
    assert [row.line for row in rows] == lines
    for row, line in zip(rows, lines, strict=True):
        event = json.loads(line)
        assert row.timestampText == event['timestamp']
        assert row.timestamp == datetime.fromisoformat(floored(event['timestamp']))
        names = ('sequence', 'action', 'state', 'studyInstanceUid', 'seriesInstanceUid', 'sopInstanceUid')
        assert [row[name] for name in names] == [event[name] for name in names]
        assert (row.partitionName, row.filePath, row.metadata) == (event['partitionName'], event.get('filePath'), None)


def floored(timestamp: str) -> str:
    """A timestamp of the service to the microsecond, without its zone, which is UTC."""
    seconds, _, digits = timestamp.removesuffix('+00:00').partition('.')
    return f'{seconds}.{digits[:6]:0<6}'


def test_wide_gap_costs_no_partition(spark: Any, archive: DicomService, options: Options) -> None:
    size = 500
    frame = load(spark, options(archive, rangeSize=size))
    assert frame.rdd.getNumPartitions() <= EVENTS / size + 10 < archive.store.next_sequence / size


def test_window_holds_the_events_from_start_to_before_end(spark: Any, archive: DicomService, options: Options) -> None:
    stored = archive.store.events()
    start, end = sorted(event.ticks for event in stored)[EVENTS // 3 : 2 * EVENTS // 3 : EVENTS // 3 - 1]
    texts = {
        event.sequence: json.loads(text)['timestamp']
        for event, text in zip(stored, archive.store.by_sequence(0, 2**62), strict=True)
    }
    bounds = {ticks: texts[event.sequence] for event in stored for ticks in (start, end) if event.ticks == ticks}
    frame = load(spark, options(archive, startTime=bounds[start], endTime=bounds[end], rangeSize=1_000))
    assert sequences(frame) == [event.sequence for event in stored if start <= event.ticks < end]


def test_sequence_numbers_bound_a_batch(spark: Any, archive: DicomService, options: Options) -> None:
    expected = [number for number in committed(archive) if 117 < number <= 2_345]
    assert sequences(load(spark, options(archive, afterSequence=117, untilSequence=2_345))) == expected


def test_empty_feed_has_no_rows(spark: Any, new_service: Make, options: Options) -> None:
    service = new_service()
    assert load(spark, options(service)).count() == 0
    assert load(spark, options(service, startTime='2024-01-01')).count() == 0


def test_filtered_action_leaves_the_next_one_whole(spark: Any, archive: DicomService, options: Options) -> None:
    """Spark keeps a plan that a filter has narrowed (SPARK-58551)."""
    frame = load(spark, options(archive, untilSequence=300))
    few = frame.filter('sequence between 5 and 7')
    frame.createOrReplaceTempView('feed')
    expected = len([number for number in committed(archive) if number <= 300])
    assert few.count() == spark.sql('select * from feed where sequence between 5 and 7').count() == 3
    assert frame.count() == spark.sql('select * from feed').count() == expected
    assert few.union(frame).count() == expected + 3


def test_second_action_sees_what_the_first_saw(spark: Any, new_service: Make, options: Options) -> None:
    service = new_service()
    service.store.load(sample_feed(500))
    frame = load(spark, options(service))
    first = sequences(frame)
    service.store.create()
    assert sequences(frame) == first
    assert len(sequences(load(spark, options(service)))) == len(first) + 1


def test_batch_ends_before_an_open_gap(spark: Any, new_service: Make, options: Options) -> None:
    service = new_service()
    service.store.load(sample_feed(50))
    before = committed(service)
    service.store.burn(1)
    service.store.create()
    assert sequences(load(spark, options(service))) == before


def test_metadata_is_a_column_and_part_of_the_line(spark: Any, new_service: Make, options: Options) -> None:
    service = new_service()
    service.store.load(sample_feed(120))
    rows = load(spark, options(service, includeMetadata='true')).orderBy('sequence').collect()
    lines = service.store.by_sequence(0, 2**62, metadata=True)
    assert [row.line for row in rows] == lines
    assert [row.metadata and json.loads(row.metadata) for row in rows] == [
        json.loads(line).get('metadata') for line in lines
    ]
    assert any(row.metadata for row in rows)


def test_included_fields_are_what_is_left_of_the_metadata(spark: Any, new_service: Make, options: Options) -> None:
    service = new_service()
    service.store.load(sample_feed(60))
    rows = load(spark, options(service, includeFields='PatientName,00080060')).collect()
    kept = [json.loads(row.metadata) for row in rows if row.metadata]
    assert kept and all(set(one) <= {'00100010', '00080060'} for one in kept) and any(kept)
    assert all(json.loads(row.line).get('metadata') == json.loads(row.metadata) for row in rows if row.metadata)


def test_trouble_that_passes_is_waited_out(spark: Any, new_service: Make, options: Options) -> None:
    service = new_service()
    service.store.load(sample_feed(3_000))
    service.trouble.every(6, [trouble.unavailable(), trouble.cut(), trouble.throttled(1)], seed=1)
    assert sequences(load(spark, options(service, rangeSize=500))) == committed(service)


def test_job_without_the_role_ends_and_names_it(spark: Any, new_service: Make, options: Options) -> None:
    service = new_service()
    service.store.load(sample_feed(20))
    service.role_assignments.clear()
    message = failure(lambda: load(spark, options(service)).count())
    assert 'give it the role DICOM Data Reader' in message


@pytest.mark.parametrize(
    ('given', 'sentence'),
    [
        ({'serviceUrl': 'https://evil.example'}, 'does not lead to a DICOM service'),
        ({'serviceUrl': ''}, 'serviceUrl is missing'),
        ({'rangeSize': '0'}, 'The value of rangeSize is not valid'),
        ({'startTime': 'soon'}, 'The value of startTime is not valid'),
        ({'startTime': '3d', 'afterSequence': '1'}, 'exclude each other'),
        ({'credential': 'magic'}, 'credential is one of'),
        ({'credential': 'default'}, 'require each other'),
        ({'includeFields': 'PatientNam'}, 'there is no such keyword'),
        ({'aftersequnce': '1'}, 'There is no option'),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)
def test_wrong_option_fails_at_load(
    given: dict[str, str], sentence: str, spark: Any, archive: DicomService, options: Options
) -> None:
    assert sentence in failure(lambda: load(spark, options(archive, **given)))


def test_sign_in_in_trouble_is_waited_out_and_asked_once_for_all_tasks(
    spark: Any, emulator: Any, archive: DicomService, options: Options
) -> None:
    """With the credential of azure-identity, which says of any trouble no more than that there is no token."""
    given = {'serviceUrl': options(archive)['serviceUrl'], 'rangeSize': '500'}
    before = len(emulator.journal.token_requests)
    emulator.sign_in_trouble.next(trouble.unavailable(), times=6)  # azure-identity asks four times itself
    assert load(spark, given).count() == EVENTS
    processes = spark.sparkContext.defaultParallelism + 2  # those that plan, too
    assert 1 <= len(emulator.journal.token_requests) - before <= processes < EVENTS / 500


def test_option_of_a_stream_ends_a_batch(spark: Any, archive: DicomService, options: Options) -> None:
    frame = load(spark, options(archive, pollIntervalSeconds=5))
    assert 'pollIntervalSeconds is for a stream' in failure(frame.count)


def test_schema_of_the_users_own_is_refused(spark: Any, archive: DicomService, options: Options) -> None:
    frame = spark.read.format(FORMAT).schema('sequence string').options(**options(archive)).load()
    assert 'The schema of the change feed is fixed' in failure(frame.count)


def test_az_gives_tokens_with_a_local_master_only(spark: Any, archive: DicomService, options: Options) -> None:
    given = {'serviceUrl': options(archive)['serviceUrl'], 'credential': 'az', 'untilSequence': '50'}
    frame = load(spark, given)
    if 'cluster' in MASTER:
        assert 'works with a local master only' in failure(frame.count)
    else:
        assert frame.count() == len([number for number in committed(archive) if number <= 50])


def failure(action: Callable[[], object]) -> str:
    from pyspark.errors import PySparkException

    with pytest.raises(PySparkException) as raised:
        action()
    return str(raised.value)


def requests_of(emulator: Any, service: DicomService) -> list[Any]:
    return [request for request in emulator.journal.requests if request.host == service.host]
