"""What one task reads: a range of sequence numbers or a sub-window of time, and what has to hold of it.

Owned: what goes from the driver to a task, the reading of it, and the check that the database is still the one that the
driver saw. Not owned: how the work is divided (`batch.py`, `stream.py`), rows (`rows.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql.datasource import InputPartition

from dicomfeed.errors import FeedRestored
from dicomfeed.events import Event
from dicomfeed.feed import Feed
from dicomfeed.prefetch import Pool
from dicomfeed.sequences import SequenceReader
from dicomfeed.spark.offsets import Fingerprint, Offset, Watched, digest_of, refuse_other_event
from dicomfeed.spark.options import Options
from dicomfeed.spark.rows import batches
from dicomfeed.spark.session import is_since, open_feed
from dicomfeed.times import Ticks
from dicomfeed.windows import WindowReader


@dataclass(frozen=True)
class SequencePartition(InputPartition):
    """The events above `after` through `through`, where no gap was open when the driver planned it.

    :ivar anchor: an event that the driver saw, which a restored database does not have.
    :ivar since: events before it are left out.
    :ivar expected: what the driver has read of exactly this range.
    """

    after: int
    through: int
    anchor: Offset
    since: Ticks | None = None
    expected: Watched | None = None

    def read(self, options: Options, feed: Feed, pool: Pool) -> Iterator[list[Event]]:
        """Raises FeedRestored at the end, and then nothing of it counts: Spark takes a task whole or not at all."""
        seen = Fingerprint()
        reader = SequenceReader(feed, cursor=self.after, pool=pool, settle_seconds=options.settle_seconds)
        for events in reader.read_range(self.through):
            if self.expected is not None:
                seen.add(digest_of(event.identity) for event in events)
            yield [event for event in events if is_since(event, self.since)]
        refuse_other_event(feed, self.anchor)
        if self.expected not in (None, seen.after(self.after)):
            raise FeedRestored('A range of sequence numbers does not hold the events any more that it held before.')


@dataclass(frozen=True)
class WindowPartition(InputPartition):
    """The events of a settled sub-window of time."""

    start: Ticks
    end: Ticks
    anchor: Offset
    since: None = None

    def read(self, options: Options, feed: Feed, pool: Pool) -> Iterator[list[Event]]:
        """Raises FeedRestored at the end."""
        settle = options.settle_seconds
        yield from WindowReader(feed, start=self.start, end=self.end, pool=pool, settle_seconds=settle).read()
        refuse_other_event(feed, self.anchor)


def read_partition(options: Options, partition: InputPartition) -> Iterator[Any]:
    """The rows of one task, as Arrow batches; none for the partition that Spark makes up where there is nothing."""
    if not isinstance(partition, SequencePartition | WindowPartition):
        return
    with open_feed(options, for_task=True, since=partition.since) as (feed, pool):
        yield from batches(partition.read(options, feed, pool))


def divide(options: Options, feed: Feed, pool: Pool, whole: SequencePartition) -> list[SequencePartition]:
    """The partition in parts of at most as many sequence numbers as the options say, wide gaps left out."""
    reader = SequenceReader(feed, cursor=whole.after, pool=pool, settle_seconds=options.settle_seconds)
    ranges = reader.ranges(whole.through, size=options.range_size)
    return [replace(whole, after=after, through=through) for after, through in ranges]
