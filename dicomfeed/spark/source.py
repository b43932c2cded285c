"""The class that a user registers with Spark.

Owned: the name, the schema, what only a batch or only a stream takes. Not owned: reading.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceStreamReader
from pyspark.sql.types import StructType

from dicomfeed.spark.batch import BatchReader
from dicomfeed.spark.options import OptionRefused, absolute_time, parse_options
from dicomfeed.spark.rows import SCHEMA
from dicomfeed.spark.stream import HAS_ADMISSION_CONTROL, RefusedStream, StreamReader

_FOR_STREAMS = ('pollIntervalSeconds', 'maxEventsPerTrigger')
_FOR_BATCHES = ('endTime', 'untilSequence')


class DicomChangeFeed(DataSource):
    """`spark.dataSource.register(DicomChangeFeed)`, then `spark.read.format('dicomchangefeed')` or `readStream`.

    Spark makes one in a process of its own at `load()`: wrong options fail there.
    """

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = parse_options(dict(options))
        if self._options.max_events is not None and not HAS_ADMISSION_CONTROL:
            raise OptionRefused('maxEventsPerTrigger needs Spark 4.2 or later.')

    @classmethod
    def name(cls) -> str:
        """The format's name."""
        return 'dicomchangefeed'

    def schema(self) -> StructType:
        """The columns of an event, always the same."""
        return SCHEMA

    def reader(self, schema: StructType) -> DataSourceReader:
        """For a batch."""
        _refuse_other_schema(schema)
        self._refuse(_FOR_STREAMS, 'is for a stream: leave it out of a batch.')
        return BatchReader(self._options)

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:
        """For a stream. What is wrong is said by what is returned, as pyspark replaces an error of this method."""
        try:
            _refuse_other_schema(schema)
            self._refuse(_FOR_BATCHES, 'is for a batch: a stream has no end.')
            self._refuse_age()
        except OptionRefused as error:
            return RefusedStream(error)
        return StreamReader(self._options)

    def _refuse(self, names: tuple[str, ...], sentence: str) -> None:
        for name in names:
            if name in self._options.named:
                raise OptionRefused(f'{name} {sentence}')

    def _refuse_age(self) -> None:
        start = self._options.start_time
        if start is not None and absolute_time(start) is None:
            raise OptionRefused('The startTime of a stream is a time or a date: an age means another time every time.')


def _refuse_other_schema(schema: StructType) -> None:
    """Spark's own error for a column of another type holds what is in the column."""
    if schema != SCHEMA:
        raise OptionRefused(
            'The schema of the change feed is fixed: leave out schema(), and select columns afterwards.'
        )
