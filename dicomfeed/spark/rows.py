"""Events as rows: the schema, and Arrow batches of it.

Owned: which property is which column. Not owned: which events, with which attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import pyarrow
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from dicomfeed.events import Event, field
from dicomfeed.slices import members
from dicomfeed.times import ticks_from_epoch

_ROWS_AT_ONCE = 1_000
_TICKS_PER_MICROSECOND = 10
_EPOCH = ticks_from_epoch(0)
_PROPERTIES = ('state', 'studyInstanceUid', 'seriesInstanceUid', 'sopInstanceUid', 'partitionName', 'filePath')

SCHEMA = StructType(
    [
        StructField('sequence', LongType(), False),
        StructField('timestamp', TimestampType(), False),
        StructField('timestampText', StringType(), False),
        StructField('action', StringType(), True),
        *(StructField(name, StringType(), True) for name in _PROPERTIES),
        StructField('metadata', StringType(), True),
        StructField('line', StringType(), False),
    ]
)
# Written by hand: Spark compares it with its own for the same schema, whose function moved from release to release.
_ARROW_SCHEMA = pyarrow.schema(
    [
        pyarrow.field('sequence', pyarrow.int64(), nullable=False),
        pyarrow.field('timestamp', pyarrow.timestamp('us', tz='UTC'), nullable=False),
        pyarrow.field('timestampText', pyarrow.string(), nullable=False),
        pyarrow.field('action', pyarrow.string()),
        *(pyarrow.field(name, pyarrow.string()) for name in _PROPERTIES),
        pyarrow.field('metadata', pyarrow.string()),
        pyarrow.field('line', pyarrow.string(), nullable=False),
    ]
)


def batches(lists: Iterable[list[Event]]) -> Iterator[Any]:
    """Arrow batches of the events in the lists, in their order."""
    events = chain.from_iterable(lists)
    while some := list(islice(events, _ROWS_AT_ONCE)):
        columns = zip(*map(_row, some), strict=True)
        yield pyarrow.RecordBatch.from_arrays(
            [pyarrow.array(values, kind.type) for values, kind in zip(columns, _ARROW_SCHEMA, strict=True)],
            schema=_ARROW_SCHEMA,
        )


def _row(event: Event) -> tuple[Any, ...]:
    properties = event.decode_properties()
    microseconds = (event.ticks - _EPOCH) // _TICKS_PER_MICROSECOND
    others = (_text(field(properties, name)) for name in _PROPERTIES)
    metadata = _metadata(event)
    return (
        *(event.sequence, microseconds, event.timestamp, event.action),
        *others,
        *(None if metadata is None else metadata.decode(), event.line.decode()),
    )


def _metadata(event: Event) -> bytes | None:
    """The service's own text, `null` being none."""
    if event.head:
        return event.line[event.head :].partition(b':')[2][:-1]
    if b'metadata' not in event.line.lower():
        return None
    found = [text for name, text in members(event.line).items() if name.lower() == 'metadata']
    return found[0] if found and found[0] != b'null' else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
