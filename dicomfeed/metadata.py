"""The metadata of events that are to be delivered, also where that of single events cannot be read.

An event is read twice: first without metadata, which decides that it is there and where it belongs; then, if it is
wanted, again by sequence number with metadata, and that second line is the one that counts. Where every event is wanted
the first read may bring the metadata, and there is no second one. What is made of metadata once they are read,
`choice.py` says; what cannot be read, `poison.py` tells from trouble that passes.

Workers make an `Attempt` each, in any order; the thread that delivers completes one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dicomfeed.choice import MetadataChoice
from dicomfeed.client import FeedClient
from dicomfeed.errors import TooManyPoisoned
from dicomfeed.events import Event, Verdict
from dicomfeed.poison import MOST_POISONED, POISON_SECONDS, Hunt, MetadataRequests, by_sequence, ranges
from dicomfeed.queries import Page, Query

_ATTEMPT_SECONDS = 10.0
_MOST_BETWEEN = 4
"""So many events that nobody wants are read rather than asked around."""


class Attempt(NamedTuple):
    """Events as they were read first, those of them that are wanted, and some of these as they are delivered."""

    events: list[Event]
    wanted: dict[int, Event]
    found: dict[int, Event]


class MetadataReader:
    """Reads the metadata of events; knows which events are poisoned.

    :param choice: what is made of them.
    :param on_poisoned: told the sequence number of each event whose metadata cannot be read.
    """

    def __init__(
        self,
        client: FeedClient,
        choice: MetadataChoice,
        *,
        on_poisoned: Callable[[int], None] = lambda sequence: None,
    ) -> None:
        self._reads = MetadataRequests(client, choice)
        self._choice = choice
        self._on_poisoned = on_poisoned
        self._poisoned: set[int] = set()
        self._clock = client.clock
        self._unreadable_until = 0.0

    def page(self, query: Query) -> Page | None:
        """A page read with metadata at once; None where that fails, and for a minute after, as it may fail again."""
        if self._clock.monotonic() < self._unreadable_until:
            return None
        page = self._reads.read(query)
        if page is None:
            self._unreadable_until = self._clock.monotonic() + POISON_SECONDS
        return page

    def attempt(self, events: list[Event], *, wanted: list[Event]) -> Attempt:
        """A first try, by any thread: whatever fails for more than some seconds is left for `complete`.

        Events that came with their metadata are not read again.
        """
        attempt = Attempt(events, by_sequence(wanted), self._read_at_once(wanted))
        missing = self._missing(attempt)
        for query in ranges(missing, most_between=_MOST_BETWEEN):
            found = self._reads.find(query, missing, patience_seconds=_ATTEMPT_SECONDS)
            if found is None:
                break
            attempt.found.update(found)
        return attempt

    def complete(self, attempt: Attempt) -> list[Event]:
        """The events, the wanted ones as they are delivered: without metadata where there are none or are poisoned.

        By one thread, in the order of delivery. Raises the trouble that outlasts the patience, FeedRestored and
        TooManyPoisoned.
        """
        found, missing = attempt.found, self._missing(attempt)
        if missing:
            found = found | Hunt(self._reads, missing, on_poisoned=self._report).run()
        left = [event for sequence, event in attempt.wanted.items() if sequence not in found]
        found = found | by_sequence(map(self._without_metadata, left))
        return [found.get(event.sequence, event) for event in attempt.events]

    def _read_at_once(self, wanted: list[Event]) -> dict[int, Event]:
        """Those that came with their metadata; none where something is wrong with one: then they are read again."""
        try:
            return by_sequence(self._choice.applied([event for event in wanted if event.head]))
        except ValueError:
            return {}

    def _missing(self, attempt: Attempt) -> dict[int, Event]:
        """The wanted events whose metadata are there to be read and have not been."""
        return {
            sequence: event
            for sequence, event in attempt.wanted.items()
            if sequence not in attempt.found and sequence not in self._poisoned and not event.is_deleted
        }

    def _without_metadata(self, event: Event) -> Event:
        try:
            return self._choice.without_metadata(event, Verdict.DELETED if event.is_deleted else Verdict.UNREADABLE)
        except ValueError:
            raise self._reads.malformed() from None

    def _report(self, sequence: int) -> None:
        self._poisoned.add(sequence)
        if len(self._poisoned) > MOST_POISONED:
            raise TooManyPoisoned(
                f'The metadata of more than {MOST_POISONED} events cannot be read.', sequences=sorted(self._poisoned)
            )
        self._on_poisoned(sequence)
