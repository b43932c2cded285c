"""Events as rows: the schema, and Arrow batches of it.

Owned: which property is which column, and how metadata are reduced. Not owned: which events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import pyarrow
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from dicomfeed.attributes import Fields, select
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


def batches(lists: Iterable[list[Event]], *, fields: Fields | None) -> Iterator[Any]:
    """Arrow batches of the events in the lists, in their order.

    :param fields: what of the metadata is kept, in the column and in the line; None keeps the service's own bytes.
    """
    events = chain.from_iterable(lists)
    while some := list(islice(events, _ROWS_AT_ONCE)):
        columns = zip(*_rows(some, fields), strict=True)
        yield pyarrow.RecordBatch.from_arrays(
            [pyarrow.array(values, kind.type) for values, kind in zip(columns, _ARROW_SCHEMA, strict=True)],
            schema=_ARROW_SCHEMA,
        )


def _rows(events: list[Event], fields: Fields | None) -> Iterator[tuple[Any, ...]]:
    texts = map(_whole, events) if fields is None else _reduced(events, fields)
    for event, (metadata, line) in zip(events, texts, strict=True):
        properties = event.decode_properties()
        microseconds = (event.ticks - _EPOCH) // _TICKS_PER_MICROSECOND
        others = (_text(field(properties, name)) for name in _PROPERTIES)
        yield event.sequence, microseconds, event.timestamp, event.action, *others, metadata, line


def _whole(event: Event) -> tuple[str | None, str]:
    metadata = _metadata(event)
    return None if metadata is None else metadata.decode(), event.line.decode()


def _metadata(event: Event) -> bytes | None:
    """The service's own text, `null` being none."""
    if event.head:
        return event.line[event.head :].partition(b':')[2][:-1]
    if b'metadata' not in event.line.lower():
        return None
    found = [text for name, text in members(event.line).items() if name.lower() == 'metadata']
    return found[0] if found and found[0] != b'null' else None


def _reduced(events: list[Event], fields: Fields) -> Iterator[tuple[str | None, str]]:
    for selection in select((event.line for event in events), fields.tags):
        metadata = None if selection.attributes is None else fields.reduce(selection.attributes)
        yield None if metadata is None else metadata.decode(), selection.line(metadata).decode()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
