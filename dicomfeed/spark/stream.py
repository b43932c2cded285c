"""What Spark asks of a stream: where it begins, how far it may go, what each task of a batch reads.

One object in one long-lived process answers for a query; the tasks get new ones, made of the options. Owned: Spark's
calls. Not owned: how far the feed is closed (`prefix.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from pyspark.sql.datasource import DataSourceStreamReader, InputPartition

from dicomfeed.errors import FeedRestored
from dicomfeed.events import Event
from dicomfeed.feed import Feed
from dicomfeed.prefetch import Pool
from dicomfeed.sequences import FEED_SHORTER
from dicomfeed.spark.offsets import Offset, refuse_other_event
from dicomfeed.spark.options import Options, absolute_time
from dicomfeed.spark.prefix import Prefix
from dicomfeed.spark.ranges import SequencePartition, divide, read_partition
from dicomfeed.spark.session import logger, open_feed, telling
from dicomfeed.times import Ticks

try:
    from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadMaxRows, SupportsTriggerAvailableNow

    HAS_ADMISSION_CONTROL = True
except ImportError:  # before Spark 4.2
    HAS_ADMISSION_CONTROL = False

    class SupportsTriggerAvailableNow:  # type: ignore[no-redef]
        """There, a query with that trigger reads one batch, whatever the reader says."""


Text = dict[str, Any]


class StreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """A stream that begins where the options say and ends never.

    What it holds beside the options is made when it is first needed, in the process that needs it.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._driver: _Driver | None = None
        self._place: Offset | None = None
        """Where the query stands, as far as Spark has let it be known: before 4.2, not before the first batch."""
        self._start_time: str | None = None
        """Of the query, as far as batches have let it be known."""
        self._has_warned = False

    def initialOffset(self) -> Text:
        """A constant of the options: Spark asks again at each replay of the first batch, and stores no answer."""
        self._place = initial_offset(self._options)
        return self._place.as_dict()

    def latestOffset(self, start: Text | None = None, limit: Any = None) -> Text:
        """How far the next batch may go; `start`, which Spark gives from 4.2 on, where there is nothing new."""
        if start is not None:
            self._place = Offset.parse(start)
        with telling():
            prefix = self._opened().prefix(self._place)
            place = self._place or replace(initial_offset(self._options), is_logged=True)
            self._place = prefix.end_after(place, most_events=getattr(limit, 'max_rows', None))
        return self._place.as_dict()

    def getDefaultReadLimit(self) -> Any:
        """What Spark passes to `latestOffset`, where it knows limits."""
        most = self._options.max_events
        return ReadAllAvailable() if most is None else ReadMaxRows(most)

    def prepareForTriggerAvailableNow(self) -> None:
        """What is there now is the end of this query."""
        with telling():
            self._opened().end_here()

    def partitions(self, start: Text, end: Text) -> list[InputPartition]:
        """What each task reads of the batch. After a restart this comes before all else, with offsets as logged."""
        begin, place = with_start_time(Offset.parse(start), Offset.parse(end), known=self._start_time)
        self._place, self._start_time = place, place.start_time
        self._warn_of_another_start()
        with telling():
            return self._opened().plan(begin, place)

    def read(self, partition: InputPartition) -> Iterator[Any]:
        """The rows of one task, in a process and an object of its own."""
        return read_partition(self._options, partition)

    def stop(self) -> None:
        """The query has ended."""
        if self._driver is not None:
            self._driver.close()

    def _warn_of_another_start(self) -> None:
        """Once."""
        typed, counts = self._options.start_time, self._start_time
        if not self._has_warned and None not in (typed, counts) and typed != counts:
            logger.warning('startTime is ignored: the stream goes on where its checkpoint stands.')
            self._has_warned = True

    def _opened(self) -> _Driver:
        self._driver = self._driver or _Driver(self._options)
        return self._driver


class RefusedStream(DataSourceStreamReader):
    """In the place of a reader that cannot be: each call raises the error, which says why.

    pyspark calls `stop` on what `streamReader` returns, and where that raises, fails itself and says so instead.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error

    def initialOffset(self) -> Text:
        raise self._error

    def latestOffset(self, start: Text | None = None, limit: Any = None) -> Text:
        raise self._error

    def partitions(self, start: Text, end: Text) -> list[InputPartition]:
        raise self._error

    def read(self, partition: InputPartition) -> Iterator[Any]:
        raise self._error


class _Driver:
    """What the process that answers for a query keeps: connections, and how far the feed is known to be closed."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._closing = ExitStack()
        self._feed, self._pool = self._closing.enter_context(open_feed(options, for_task=False))
        self._prefix: Prefix | None = None
        self._newest: Callable[[], Event | None] | None = None

    def prefix(self, place: Offset | None) -> Prefix:
        """The closed prefix, known from the first call on."""
        if self._prefix is None:
            self._prefix = Prefix(
                self._options,
                self._feed,
                self._pool,
                start=place or initial_offset(self._options),
                is_known=place is not None,
                newest=self._newest,
            )
        return self._prefix

    def end_here(self) -> None:
        """Take the newest event that is there now for the end of the feed."""
        newest = self._feed.newest()
        self._newest = lambda: newest

    def plan(self, begin: Offset, end: Offset) -> list[InputPartition]:
        """The ranges between two offsets."""
        return list(plan_batch(self._options, self._feed, self._pool, begin=begin, end=end))

    def close(self) -> None:
        """Let threads and connections go."""
        self._closing.close()


def plan_batch(options: Options, feed: Feed, pool: Pool, *, begin: Offset, end: Offset) -> list[SequencePartition]:
    """The ranges between two offsets, of this run or logged by one before. Raises FeedRestored.

    The start is that of the checkpoint; another one in the options is ignored. What the driver itself has read is a
    range by itself, and compared with what it has read.
    """
    refuse_other_event(feed, begin)
    refuse_other_event(feed, end)
    first = _begin_sequence(begin, end)
    if end.sequence < first:
        raise FeedRestored(FEED_SHORTER)
    whole = SequencePartition(first, end.sequence, end, since=_since(begin.start_time))
    watched = end.watched
    if watched is None or watched.after < first:  # the driver did not know where the stream stands: before Spark 4.2
        return divide(options, feed, pool, whole)
    settled = divide(options, feed, pool, replace(whole, through=watched.after))
    return [*settled, replace(whole, after=watched.after, expected=watched)]


def with_start_time(begin: Offset, end: Offset, *, known: str | None) -> tuple[Offset, Offset]:
    """The offsets of a batch with the start time of the query, which the checkpoint says and not the options of today.

    :param known: what earlier batches of this process have said; before Spark 4.2, not every end says it.
    """
    if begin.is_initial and not begin.is_logged:
        start_time = end.beginning.start_time if end.beginning else end.start_time
    else:
        start_time = begin.start_time or known
    return replace(begin, start_time=start_time), replace(end, start_time=start_time)


def _begin_sequence(begin: Offset, end: Offset) -> int:
    """After which sequence number a batch begins; for the first one its end says it, not the options of today."""
    if not begin.is_initial or begin.is_logged:
        return begin.sequence
    return end.beginning.sequence if end.beginning else end.sequence


def initial_offset(options: Options) -> Offset:
    """Where a stream begins, as far as the options alone say it."""
    return Offset(options.after_sequence or 0, start_time=options.start_time)


def _since(start_time: str | None) -> Ticks | None:
    return None if start_time is None else absolute_time(start_time)
