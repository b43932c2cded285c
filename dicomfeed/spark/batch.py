"""One job over what is final when it is planned: the closed prefix of the feed, or the settled part of a window.

So a task that Spark runs again, and a second action on the same DataFrame, read the same events. What can still change
is left to the next job, and the log says where that begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyspark.sql.datasource import DataSourceReader, InputPartition

from dicomfeed.events import Event
from dicomfeed.feed import Feed
from dicomfeed.prefetch import Pool
from dicomfeed.sequences import SequenceReader
from dicomfeed.spark.offsets import Offset, digest_of
from dicomfeed.spark.options import Options
from dicomfeed.spark.ranges import SequencePartition, WindowPartition, divide, read_partition
from dicomfeed.spark.session import logger, open_feed
from dicomfeed.times import FIRST_TICK, LAST_TICK, Ticks, format_timestamp, parse_time
from dicomfeed.windows import WindowReader


class BatchReader(DataSourceReader):
    """A plan, and the reading of its parts.

    Ranges are narrowed by options only. There is no `pushFilters`: Spark keeps a plan that a filter has narrowed, and
    uses it again for the next action without a filter (SPARK-58551).
    """

    def __init__(self, options: Options) -> None:
        self._options = options

    def partitions(self) -> list[InputPartition]:
        """What each task reads; asked for once for each `load()`."""
        with open_feed(self._options, for_task=False) as (feed, pool):
            newest = feed.newest()
            plan = _windows if self._options.is_window else _ranges
            return plan(self._options, feed, pool, newest)

    def read(self, partition: InputPartition) -> Iterator[Any]:
        """The rows of one task."""
        return read_partition(self._options, partition)


def _ranges(options: Options, feed: Feed, pool: Pool, newest: Event | None) -> list[InputPartition]:
    first = options.after_sequence or 0
    reader = SequenceReader(feed, cursor=first, pool=pool, settle_seconds=options.settle_seconds)
    reader.verify(newest)
    if newest is None:
        return []
    reader.skip_settled(newest)
    for _ in reader.read_closed(newest):
        pass
    if reader.open_gap is not None:
        logger.warning(
            'Complete through sequence number %d: the gap after it may still fill, so what comes later is left to the '
            'next job.',
            reader.cursor,
        )
    through = reader.cursor if options.until_sequence is None else min(reader.cursor, options.until_sequence)
    whole = SequencePartition(first, through, _anchor(newest))
    return list(divide(options, feed, pool, whole))


def _windows(options: Options, feed: Feed, pool: Pool, newest: Event | None) -> list[InputPartition]:
    if newest is None:
        return []
    now = feed.client.service_now()
    window = WindowReader(
        feed,
        start=_time(options.start_time, now, FIRST_TICK),
        end=_time(options.end_time, now, LAST_TICK),
        pool=pool,
        settle_seconds=options.settle_seconds,
    )
    found = [WindowPartition(start, end, _anchor(newest)) for start, end in window.settled_windows(options.range_size)]
    if window.settled_through is not None:
        logger.warning(
            'Settled through %s: later events of the window are left to the next job.',
            format_timestamp(window.settled_through),
        )
    return list(found)


def _time(text: str | None, now: Ticks, default: Ticks) -> Ticks:
    return default if text is None else parse_time(text, now=now)


def _anchor(newest: Event) -> Offset:
    return Offset(newest.sequence, digest_of(newest.identity))
