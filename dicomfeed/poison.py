"""Events whose metadata cannot be read, told from trouble that passes.

The service reads a blob for each event of a page with metadata, and one that fails fails the page (dicom-server
ChangeFeedService.cs): for ever where that blob is broken (poison), for a while where the blob store is down or far away
(trouble). An event is poisoned when it alone has failed twice, `POISON_SECONDS` apart, while a neighbour's metadata
reads well. Metadata that nothing can be made of count as failed. Everything else is trouble and is waited out.

Owned: the requests with metadata, and the search. Not owned: which events are wanted (`metadata.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

from dicomfeed.choice import MetadataChoice
from dicomfeed.client import MAY_PASS, FeedClient, Retry, asked_pause
from dicomfeed.errors import FeedError, FeedRestored, MalformedResponse, SignInUnavailable
from dicomfeed.events import Event, field
from dicomfeed.queries import SEQUENCE_LIMIT, TIME_LIMIT, Page, Query, SequenceRange, TimeSlice, windows_back
from dicomfeed.times import LAST_TICK

POISON_SECONDS = 60.0
MOST_POISONED = 10
_PATIENCE_FACTOR = 4.0
"""So many times the patience for a page without metadata: twenty minutes in a run of one shot."""
_FIRST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 60.0
_CANDIDATES = 5
_NOT_METADATA = frozenset({408, 429})


class MetadataRequests:
    """Requests with metadata, what they failed with last, and a neighbour: an event whose metadata read well."""

    def __init__(self, client: FeedClient, choice: MetadataChoice) -> None:
        self.client = client
        self.clock = client.clock
        self._choice = choice
        self.last_error: FeedError | None = None
        self.neighbour: int | None = None

    def read(self, query: Query, *, patience_seconds: float = 0.0) -> Page | None:
        """The page; None where it failed as it does when a blob cannot be read. Raises everything else.

        Throttling and a sign-in in trouble are not that; they get all the patience of the client, but each of our own
        requests has little, because what comes after them may be a blob that cannot be read.
        """
        longest, began = self.client.patience_seconds, self.clock.monotonic()
        seconds = patience_seconds if longest is None else min(patience_seconds, longest)
        while True:
            try:
                return self._note(self.client.read(query, include_metadata=True, patience_seconds=seconds))
            except MAY_PASS as error:
                self.last_error = error
                if _may_be_metadata(error):
                    return None
                pause = max(_FIRST_PAUSE_SECONDS, asked_pause(error))
                is_over = longest is not None and self.clock.monotonic() + pause > began + longest
                if is_over or not _is_waited_out(error):
                    raise
                self.client.on_retry(Retry(error, 1, pause))
            self.clock.sleep(pause)

    def find(
        self, query: Query, known: Mapping[int, Event], *, patience_seconds: float = 0.0
    ) -> dict[int, Event] | None:
        """Those of the page that were read before, as they are delivered; None where the page failed, or one of them.

        Nothing else of the page counts: rows that are new in it have a read of their own. Raises FeedRestored, too.
        """
        page = self.read(query, patience_seconds=patience_seconds)
        if page is None:
            return None
        try:
            return by_sequence(self._choice.applied(_matching(page, known)))
        except ValueError:
            self.last_error = self.malformed()
            return None

    def malformed(self) -> MalformedResponse:
        """The error where the metadata of an event are not what the contract says."""
        return MalformedResponse(
            'The metadata of an event are not DICOM JSON, or a name occurs twice in them.', url=self.client.service_url
        )

    def look(self, query: Query) -> list[Event]:
        """The events of a page without metadata; none where it fails."""
        try:
            return self.client.read(query, include_metadata=False, patience_seconds=0).events
        except MAY_PASS as error:
            self.last_error = error
            return []

    def neighbour_fails(self) -> bool:
        """Whether the event whose metadata read well last fails now; one that has none any more is forgotten."""
        if self.neighbour is None:
            return False
        page = self.read(SequenceRange(self.neighbour - 1, 1))
        if page is not None and not any(map(_has_metadata, page.events)):
            self.neighbour = None
        return page is None

    def _note(self, page: Page) -> Page:
        event = next(filter(_has_metadata, reversed(page.events)), None)
        if event is not None:
            self.neighbour = event.sequence
        return page


class Hunt:
    """The search for the metadata of some events, until each has been read or is known to be poisoned.

    Round after round, what is missing is read together, then in halves, which leaves single events that fail: the
    suspects. A suspect's failure counts while a neighbour reads well, before it and after it.
    """

    def __init__(
        self, reads: MetadataRequests, missing: dict[int, Event], *, on_poisoned: Callable[[int], None]
    ) -> None:
        self._reads = reads
        self._clock = reads.clock
        self._missing = missing
        self._on_poisoned = on_poisoned
        self._found: dict[int, Event] = {}
        self._failed_since: dict[int, float] = {}
        self._absent_since: dict[int, float] = {}
        self._neighbours: Iterator[int] = iter(())
        self._progress_monotonic = self._clock.monotonic()

    def run(self) -> dict[int, Event]:
        """What was found, by sequence number. Raises the last trouble when nothing moves while patience lasts."""
        rounds = 0
        self._report_trouble(pause=0.0, rounds=rounds)
        while self._missing:
            self._go_round()
            if self._missing:
                self._pause(rounds)
            rounds += 1
        return self._found

    def _go_round(self) -> None:
        if self._reads.neighbour_fails() and not self._another_reads_well():
            return
        for sequence, began in self._suspects():
            if self._neighbour_reads_well(sequence):
                self._count_failure(sequence, began)

    def _suspects(self) -> list[tuple[int, float]]:
        """Read what can be read. Which single events fail, and since when they have been tried this time.

        Halves are read side by side, so that what is well is read soon, however long what is not takes to fail.
        """
        suspects: list[tuple[int, float]] = []
        failures = 0
        pieces = deque(ranges(self._missing, most_between=0))
        while pieces:
            piece, began = pieces.popleft(), self._clock.monotonic()
            failures = 0 if self._try(piece) else failures + 1
            if failures == 0:
                continue
            if self._looks_like_an_outage(failures):
                break
            if piece.limit == 1:
                suspects.append((piece.through, began))
            pieces.extend(half for half in piece.halves() if half != piece)
        return suspects

    def _looks_like_an_outage(self, failures: int) -> bool:
        """Whether it is the blob store rather than so many events one after the other; looked at now and then."""
        if self._reads.neighbour is None:
            return failures > MOST_POISONED
        return failures % MOST_POISONED == 1 and self._reads.neighbour_fails()

    def _try(self, piece: SequenceRange) -> bool:
        """Whether the piece was read; an event that was there once and is not in it is waited for, for a while."""
        found = self._reads.find(piece, self._missing)
        if found is None:
            self._refuse_standstill()
            return False
        for sequence, event in found.items():
            self._found[sequence] = event
            del self._missing[sequence]
            self._progress_monotonic = self._clock.monotonic()
        for sequence in [sequence for sequence in self._missing if piece.after < sequence <= piece.through]:
            self._wait_for_absent(sequence)
        return True

    def _wait_for_absent(self, sequence: int) -> None:
        since = self._absent_since.setdefault(sequence, self._clock.monotonic())
        if self._clock.monotonic() - since >= POISON_SECONDS:
            raise FeedRestored('An event that was read is not there any more.')

    def _neighbour_reads_well(self, sequence: int) -> bool:
        """Whether some event near it reads well now; where none is known, a few are tried, others the next time."""
        if self._reads.neighbour_fails():
            return False
        for _ in range(_CANDIDATES):
            if self._reads.neighbour is not None:
                return True
            self._try_candidate(sequence)
        return self._reads.neighbour is not None

    def _another_reads_well(self) -> bool:
        """Whether some event reads well that takes the place of the neighbour; one is tried in a round.

        What breaks the blob of an instance breaks its older events, too, and one of them may be the neighbour.
        """
        before = self._reads.neighbour
        self._try_candidate(min(self._missing))
        return self._reads.neighbour != before

    def _try_candidate(self, sequence: int) -> None:
        """Read an event near this one, another one each time; where it reads well it is the neighbour."""
        candidate = next(self._neighbours, None)
        if candidate is None:
            self._neighbours = self._near(self._missing[sequence])
            candidate = next(self._neighbours, sequence)
        self._reads.read(SequenceRange(candidate - 1, 1))

    def _near(self, event: Event) -> Iterator[int]:
        """Sequence numbers of events from its timestamp on and before it, those of one page at a time."""
        for begin, end in ((event.ticks, LAST_TICK), *windows_back(event.ticks)):
            seen = self._reads.look(TimeSlice(begin, end, 0, TIME_LIMIT)) if begin < end else []
            others = [other for other in seen if other.sequence not in self._missing and not other.is_deleted]
            step = max(1, len(others) // _CANDIDATES)  # broken ones are often side by side
            yield from (other.sequence for start in range(step) for other in others[start::step])

    def _count_failure(self, sequence: int, began: float) -> None:
        since = self._failed_since.setdefault(sequence, self._clock.monotonic())
        if began - since >= POISON_SECONDS:
            self._on_poisoned(sequence)
            del self._missing[sequence]
            self._progress_monotonic = self._clock.monotonic()

    def _refuse_standstill(self) -> None:
        """Raise the last trouble when nothing has moved for as long as patience lasts; each half has all of it."""
        patience, error = self._reads.client.patience_seconds, self._reads.last_error
        if patience is None or error is None:
            return
        if self._clock.monotonic() - self._progress_monotonic > _PATIENCE_FACTOR * patience:
            raise error

    def _pause(self, rounds: int) -> None:
        self._refuse_standstill()
        pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(rounds, 10))
        pause = max(pause, asked_pause(self._reads.last_error))
        self._report_trouble(pause=pause, rounds=rounds + 1)
        self._clock.sleep(pause)

    def _report_trouble(self, *, pause: float, rounds: int) -> None:
        if self._reads.last_error is not None:
            self._reads.client.on_retry(Retry(self._reads.last_error, rounds + 1, pause))


def ranges(sequences: Iterable[int], *, most_between: int) -> Iterator[SequenceRange]:
    """Ranges that cover the sequence numbers, with at most so many others between two of them."""
    first = last = 0
    for sequence in sorted(sequences):
        if first and sequence - last - 1 <= most_between and sequence - first < SEQUENCE_LIMIT:
            last = sequence
            continue
        if first:
            yield SequenceRange(first - 1, last - first + 1)
        first = last = sequence
    if first:
        yield SequenceRange(first - 1, last - first + 1)


def by_sequence(events: Iterable[Event]) -> dict[int, Event]:
    return {event.sequence: event for event in events}


def _matching(page: Page, known: Mapping[int, Event]) -> list[Event]:
    """The events of the page that were read before. Raises FeedRestored where one is another."""
    found = [event for event in page.events if event.sequence in known]
    if any(event.identity != known[event.sequence].identity for event in found):
        raise FeedRestored('An event is another one now than when it was read first.')
    return found


def _has_metadata(event: Event) -> bool:
    return event.head > 0 or field(event.decode(), 'metadata') is not None


def _is_waited_out(error: FeedError) -> bool:
    """Whether the failure passes by itself, without being one of the blob store."""
    return isinstance(error, SignInUnavailable) or getattr(error, 'status', 0) in _NOT_METADATA


def _may_be_metadata(error: FeedError) -> bool:
    """Whether the failure may come from the blob store: neither throttling, a lost proxy nor the sign-in does."""
    if isinstance(error, SignInUnavailable):
        return False
    return getattr(error, 'status', 0) not in _NOT_METADATA and getattr(error, 'proxy_status', None) is None
