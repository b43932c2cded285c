"""What the reading algorithms ask the service for: pages, the metadata of events, and windows of time row by row.

Owned: which events are wanted with metadata, and the walk through a window that misses no row which was visible when it
began. Not owned: requests (`client.py`), the order of the questions (`sequences.py`, `windows.py`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from copy import copy
from enum import Enum
from itertools import takewhile
from typing import TYPE_CHECKING

from dicomfeed.choice import MetadataChoice
from dicomfeed.client import FeedClient, Poll
from dicomfeed.errors import MalformedResponse
from dicomfeed.events import Event
from dicomfeed.metadata import Attempt, MetadataReader
from dicomfeed.prefetch import Pool, in_order
from dicomfeed.queries import TIME_LIMIT, Page, Query, TimeSlice, windows_back
from dicomfeed.times import Ticks

if TYPE_CHECKING:
    from dicomfeed.attributes import Fields
    from dicomfeed.conditions import Conditions

_RECENT_EVENTS = 1_000


class AtOnce(Enum):
    """When a page that is read to be delivered has metadata from the first read on.

    That halves the requests where most events are wanted and can be delivered soon; else metadata are read in vain.
    """

    NEVER = 1
    WHERE_MOST_ARE_WANTED = 2
    ALWAYS = 3


class Feed:
    """The change feed of one service, as one run reads it.

    :param include_metadata: whether delivered events carry the instance's current metadata.
    :param fields: the attributes that delivered events carry instead; None: they carry none.
    :param conditions: what an instance has to meet; events then have a verdict, which `Filters.passing` looks at.
    :param wanted: those of some events that the run wants; no metadata of others are read, tested or reported.
    :param on_poisoned: told the sequence number of each event whose metadata cannot be read.
    """

    def __init__(
        self,
        client: FeedClient,
        *,
        include_metadata: bool = False,
        fields: Fields | None = None,
        conditions: Conditions | None = None,
        metadata_at_once: AtOnce = AtOnce.NEVER,
        wanted: Callable[[Iterable[Event]], list[Event]] = list,
        on_poisoned: Callable[[int], None] = lambda sequence: None,
    ) -> None:
        self.client = client
        self.clock = client.clock
        self._choice = MetadataChoice(include_metadata, fields, conditions)
        self._metadata_at_once = metadata_at_once if self._choice.needs_metadata else AtOnce.NEVER
        self._recent = _Recent()
        self._wanted = wanted
        self._metadata = MetadataReader(client, self._choice, on_poisoned=on_poisoned)

    @property
    def reads_metadata(self) -> bool:
        """Whether the metadata of wanted events are read, for their lines or for conditions."""
        return self._choice.needs_metadata

    def without_metadata(self) -> Feed:
        """The same feed for looking around in it, where the metadata of events would be read in vain."""
        return Feed(self.client)

    def only(self, is_wanted: Callable[[Event], bool]) -> Feed:
        """The same feed, of which fewer events are wanted."""
        narrowed = copy(self)
        narrowed._wanted = lambda events: self._wanted(filter(is_wanted, events))
        if self._metadata_at_once is AtOnce.ALWAYS:
            narrowed._metadata_at_once = AtOnce.WHERE_MOST_ARE_WANTED
        return narrowed

    def page(self, query: Query) -> Page:
        """A page to deliver."""
        page = self.first_page(query)
        return page._replace(events=self.with_metadata(page.events))

    def with_metadata(self, events: list[Event]) -> list[Event]:
        """The events as they are delivered. Raises what `MetadataReader.complete` does."""
        return self.complete(self.attempt(events))

    def completed(
        self, batches: Generator[list[Event], None, None], *, pool: Pool
    ) -> Generator[list[Event], None, None]:
        """Batches of events as they are delivered; with metadata several are read at a time."""
        with closing(batches):
            if not self.reads_metadata:
                yield from batches
                return
            with closing(in_order(batches, self.attempt, pool=pool)) as attempts:
                for _, attempt in attempts:
                    yield self.complete(attempt)

    def attempt(self, events: list[Event]) -> Attempt:
        """A first try to read the metadata of events, by any thread."""
        if not self.reads_metadata:
            return self._metadata.attempt(events, wanted=[])
        wanted = self._wanted(events)
        self._recent.note(len(events), len(wanted))
        return self._metadata.attempt(events, wanted=wanted)

    def complete(self, attempt: Attempt) -> list[Event]:
        """What the first try leaves to be done, by one thread, in the order of delivery."""
        return self._metadata.complete(attempt)

    def first_page(self, query: Query) -> Page:
        """A page of events that will be delivered, for `attempt` and `complete` to add the metadata that it lacks."""
        page = self._metadata.page(query) if self._reads_at_once() else None
        return self.bare_page(query) if page is None else page

    def _reads_at_once(self) -> bool:
        return self._metadata_at_once is AtOnce.ALWAYS or (
            self._metadata_at_once is AtOnce.WHERE_MOST_ARE_WANTED and self._recent.are_mostly_wanted()
        )

    def bare_page(self, query: Query) -> Page:
        """A page to look at: never with metadata."""
        return self.client.read(query, include_metadata=False, patience_seconds=self.client.patience_seconds)

    def newest(self) -> Event | None:
        """The event with the greatest sequence number, without metadata; None for an empty feed."""
        return self.client.latest()

    def poll(self) -> Poll:
        """The newest event, and the service's clock when it was asked for."""
        return self.client.poll()

    def event_before(self, bound: Ticks) -> Event | None:
        """An event older than that, and not much older than it has to be; None where there is none.

        Of the first page of events in the shortest window back that has any, the one with the greatest number.
        """
        for start, end in windows_back(bound):
            events = self.bare_page(TimeSlice(start, end, 0, TIME_LIMIT)).events
            if events:
                return max(events, key=lambda event: event.sequence)
        return None

    def walk(
        self,
        start: Ticks,
        end: Ticks,
        *,
        read: Callable[[Query], Page],
        limit: int = TIME_LIMIT,
    ) -> Iterator[Page]:
        """The rows of the window [start, end) in (timestamp, sequence) order, page after page.

        Goes on at the last timestamp, with `offset` inside a group of equal ones only, so a row that commits late
        shifts none of the others out of sight. No row comes twice.
        """
        offset = 0
        delivered: set[int] = set()
        while start < end:
            page = read(TimeSlice(start, end, offset, limit))
            new = [event for event in page.events if event.sequence not in delivered]
            # Rows that commit late may shift known ones back into sight, but hardly whole pages of them.
            self.refuse_repetition(is_new=bool(new) or offset <= len(delivered) + 2 * limit)
            yield page._replace(events=new)
            if len(page.events) < limit:
                return
            last = page.events[-1].ticks
            tied = _tied_at_end(page.events)
            offset, delivered = (offset + limit, delivered | tied) if last == start else (0, tied)
            start = last

    def refuse_repetition(self, *, is_new: bool) -> None:
        """Raise MalformedResponse for a page that comes again where another one was asked for.

        Each by itself answers its query; together they would be a feed without end.
        """
        if not is_new:
            raise MalformedResponse(
                'A page of the change feed came again for the next one.', url=self.client.service_url
            )


class _Recent:
    """How many of the events read last were wanted; told by all workers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: deque[tuple[int, int]] = deque()
        self._read = self._wanted = 0

    def note(self, read: int, wanted: int) -> None:
        with self._lock:
            self._add(read, wanted)
            self._batches.append((read, wanted))
            while self._read - self._batches[0][0] >= _RECENT_EVENTS:
                read, wanted = self._batches.popleft()
                self._add(-read, -wanted)

    def are_mostly_wanted(self) -> bool:
        """Whether at least half of the last thousand were; not before there were as many."""
        with self._lock:
            return self._read >= _RECENT_EVENTS and 2 * self._wanted >= self._read

    def _add(self, read: int, wanted: int) -> None:
        self._read += read
        self._wanted += wanted


def _tied_at_end(events: list[Event]) -> set[int]:
    """The sequence numbers of the last event and of those that share its timestamp, which are right before it."""
    last = events[-1].ticks
    return {event.sequence for event in takewhile(lambda event: event.ticks == last, reversed(events))}
