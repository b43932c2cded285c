"""Pages with metadata, where the metadata of single events cannot be read.

The service reads a blob for each event of a page, and one that fails fails the page (dicom-server
ChangeFeedService.cs): for ever where that blob is broken (poison), for a while where the blob store is down
(trouble). The same page without metadata succeeds in both. An event is poisoned when it alone still fails after
`POISON_SECONDS` while a neighbour's metadata reads well; it is delivered without metadata, and reported.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from dicomfeed.client import FeedClient
from dicomfeed.errors import FeedError, MalformedResponse, ServiceTrouble, TooManyPoisoned
from dicomfeed.events import Event, field
from dicomfeed.queries import Page, Query, SequenceRange

POISON_SECONDS = 60.0
MOST_POISONED = 10
_PAGE_PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 5.0
_NOT_METADATA = frozenset({408, 429})


class MetadataReader:
    """Reads pages with metadata; knows which events are poisoned.

    :param on_poisoned: told the sequence number of each event that is delivered without metadata.
    """

    def __init__(self, client: FeedClient, *, on_poisoned: Callable[[int], None] = lambda sequence: None) -> None:
        self._client = client
        self._clock = client.clock
        self._on_poisoned = on_poisoned
        self._poisoned: set[int] = set()
        self._well_read: int | None = None
        self._lock = threading.Lock()

    def read(self, query: Query) -> Page:
        """The page, each event with its metadata, save those that are poisoned.

        Raises what the client raises when the trouble outlasts its patience, and TooManyPoisoned.
        """
        deadline = self._deadline()
        while True:
            try:
                return self._note(
                    self._client.read(
                        query, include_metadata=True, patience_seconds=self._bounded(_PAGE_PATIENCE_SECONDS)
                    )
                )
            except (ServiceTrouble, MalformedResponse) as error:
                if not _may_be_metadata(error):
                    return self._note(
                        self._client.read(query, include_metadata=True, patience_seconds=self._client.patience_seconds)
                    )
                page = self._without_the_poisoned(query)
                if page is not None:
                    return page
                if deadline is not None and self._clock.monotonic() > deadline:
                    raise
                self._clock.sleep(_PAUSE_SECONDS)

    def _without_the_poisoned(self, query: Query) -> Page | None:
        """The page put together event by event; None while nothing near reads well, so the blob store is down."""
        bare = self._client.read(query, include_metadata=False, patience_seconds=self._client.patience_seconds)
        if self._blobs_are_down():
            return None
        pieces: list[Page | None] = []
        for piece in self._pieces(query):
            pieces.append(piece)
            if self._well_read is None and len(pieces) > MOST_POISONED:
                return None
        events = {event.sequence: event for page in pieces if page is not None for event in page.events}
        suspects = [event for event in bare.events if event.sequence not in events]
        for suspect in suspects:
            readable = self._outwaited(suspect)
            if readable is None:
                return None
            events[suspect.sequence] = readable
        return Page(
            [events[event.sequence] for event in bare.events],
            bare.asked_monotonic,
            bare.asked_ticks,
            bare.answered_monotonic,
        )

    def _pieces(self, query: Query) -> Iterator[Page | None]:
        """Pages of halves, of halves of halves, …; None for a single event that fails."""
        try:
            yield self._note(self._client.read(query, include_metadata=True, patience_seconds=0))
        except (ServiceTrouble, MalformedResponse):
            halves = query.halves()
            if len(halves) == 1:
                yield None
                return
            for half in halves:
                yield from self._pieces(half)

    def _outwaited(self, suspect: Event) -> Event | None:
        """The event, with metadata when they come within a minute, without when only they do not; None: trouble."""
        alone = SequenceRange(suspect.sequence - 1, 1)
        if suspect.sequence not in self._poisoned:
            try:
                page = self._client.read(alone, include_metadata=True, patience_seconds=POISON_SECONDS)
                return page.events[0] if page.events else suspect
            except (ServiceTrouble, MalformedResponse):
                if self._blobs_are_down() or self._well_read is None:
                    return None
        self._report(suspect.sequence)
        return suspect

    def _report(self, sequence: int) -> None:
        with self._lock:
            if sequence in self._poisoned:
                return
            self._poisoned.add(sequence)
            if len(self._poisoned) > MOST_POISONED:
                raise TooManyPoisoned(
                    f'The metadata of more than {MOST_POISONED} events cannot be read.',
                    sequences=sorted(self._poisoned),
                )
        self._on_poisoned(sequence)

    def _blobs_are_down(self) -> bool:
        """Whether even the event whose metadata was read last fails now; forgets one that has none any more."""
        if self._well_read is None:
            return False
        try:
            page = self._client.read(SequenceRange(self._well_read - 1, 1), include_metadata=True, patience_seconds=0)
        except FeedError:
            return True
        self._well_read = None
        self._note(page)
        return False

    def _note(self, page: Page) -> Page:
        """Remember an event whose metadata came: it is the neighbour that tells poison from trouble."""
        for event in reversed(page.events):
            if field(event.decode(), 'metadata') is not None:
                self._well_read = event.sequence
                break
        return page

    def _deadline(self) -> float | None:
        patience = self._client.patience_seconds
        return None if patience is None else self._clock.monotonic() + patience

    def _bounded(self, seconds: float) -> float:
        patience = self._client.patience_seconds
        return seconds if patience is None else min(seconds, patience)


def _may_be_metadata(error: FeedError) -> bool:
    """Whether the failure may come from the blob store; throttling does not."""
    return getattr(error, 'status', 0) not in _NOT_METADATA
