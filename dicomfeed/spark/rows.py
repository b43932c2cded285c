"""Events as rows: the schema, and Arrow batches of it.

Owned: which property is which column. Not owned: which events, with which attributes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import pyarrow
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from dicomfeed.events import Event, field
from dicomfeed.slices import members
from dicomfeed.times import ticks_from_epoch

_MOST_ROWS = 1_000
_MOST_BYTES = 4 * 1024 * 1024
"""Of lines, with which a batch ends. Their metadata are in it twice, and Spark holds several batches."""
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
    for events in _parts(chain.from_iterable(lists)):
        columns = zip(*map(_row, events), strict=True)
        yield pyarrow.RecordBatch.from_arrays(
            [pyarrow.array(values, kind.type) for values, kind in zip(columns, _ARROW_SCHEMA, strict=True)],
            schema=_ARROW_SCHEMA,
        )


def _parts(events: Iterable[Event]) -> Iterator[list[Event]]:
    part: list[Event] = []
    length = 0
    for event in events:
        part.append(event)
        length += len(event.line)
        if len(part) == _MOST_ROWS or length >= _MOST_BYTES:
            yield part
            part, length = [], 0
    if part:
        yield part


def _row(event: Event) -> tuple[Any, ...]:
    properties = event.decode_properties()
    microseconds = (event.ticks - _EPOCH) // _TICKS_PER_MICROSECOND
    others = (_text(field(properties, name)) for name in _PROPERTIES)
    metadata = _metadata(event)
    return (
        *(event.sequence, microseconds, event.timestamp, _text(event.action)),
        *others,
        *(None if metadata is None else metadata.decode(), event.line.decode()),
    )


def _metadata(event: Event) -> bytes | None:
    """The service's own text, `null` being none."""
    if event.head:
        return event.line[event.head :].partition(b':')[2][:-1]
    if b'metadata' not in event.line.lower():
        return None
    try:
        texts = members(event.line)
    except ValueError:  # a name occurs twice: the last one counts, as for json
        texts = {name: json.dumps(value).encode() for name, value in event.decode().items()}
    found = next((text for name, text in texts.items() if name.lower() == 'metadata'), b'null')
    return None if found == b'null' else found


def _text(value: Any) -> str | None:
    """A text that has a form in UTF-8: half of a surrogate pair, which JSON may hold, is shown as its escape."""
    return value.encode('utf-8', 'backslashreplace').decode() if isinstance(value, str) else None
