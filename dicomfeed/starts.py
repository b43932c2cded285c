"""Where a reading by sequence begins when it was not given as a number: at a time, at now, at a tail."""

from __future__ import annotations

from dicomfeed.feed import Feed
from dicomfeed.filters import Filters
from dicomfeed.gaps import SETTLE_SECONDS, unsettled_ticks
from dicomfeed.prefetch import Pool
from dicomfeed.queries import TIME_LIMIT, TimeSlice
from dicomfeed.sequences import AtGap, SequenceReader
from dicomfeed.tail import newest_events
from dicomfeed.times import Ticks


def sequence_before(feed: Feed, moment: Ticks, *, settle_seconds: float = SETTLE_SECONDS) -> int:
    """A number below that of every event stamped at `moment` or later, whenever it commits; 0 where there is none.

    It is that of an event stamped more than the unsettled time before, because a number is taken after the clock is
    read. A fixed slack in numbers would not do: one delete may burn any number of them.
    """
    for start, end in feed.windows_back(moment - unsettled_ticks(settle_seconds)):
        events = feed.bare_page(TimeSlice(start, end, 0, TIME_LIMIT)).events
        if events:
            return max(event.sequence for event in events)
    return 0


def sequence_now(feed: Feed, *, pool: Pool, settle_seconds: float = SETTLE_SECONDS) -> int:
    """The number above which is all that is still to come.

    That of the newest event, or the one below the lowest gap that is still open: then a few events that are already
    there come, too.
    """
    newest = feed.newest()
    if newest is None:
        return 0
    anchor = sequence_before(feed, newest.ticks, settle_seconds=settle_seconds)
    reader = SequenceReader(Feed(feed.client), cursor=anchor, pool=pool, settle_seconds=settle_seconds)
    for _ in reader.read(newest.sequence, at_gap=AtGap.STOP):
        pass
    return newest.sequence if reader.open_gap is None else reader.open_gap.first - 1


def sequence_before_tail(
    feed: Feed, count: int, *, filters: Filters, pool: Pool, settle_seconds: float = SETTLE_SECONDS
) -> int:
    """The number above which are the `count` newest events that pass the filters, and all that is still to come."""
    now = sequence_now(feed, pool=pool, settle_seconds=settle_seconds)
    newest = newest_events(Feed(feed.client), count, filters=filters, pool=pool, settle_seconds=settle_seconds)
    return min([now, *(event.sequence - 1 for event in newest)])
