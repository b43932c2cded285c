"""A DICOM service and its readers in virtual time: every schedule takes no time at all, and none is left to chance.

Requests take time, and while they or a sleep take it, what was put on the agenda happens: writers commit, clocks are
set, the service fails. The service is the emulator's, without a socket.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import urlencode, urlsplit

from dicomfeed.attributes import Fields
from dicomfeed.client import FeedClient, Retry
from dicomfeed.errors import HostUnreachable, SignInUnavailable
from dicomfeed.feed import AtOnce, Feed
from dicomfeed.filters import Filters
from dicomfeed.times import Clock, epoch_seconds, parse_timestamp, ticks_from_seconds
from dicomfeed.transport import READ_TIMEOUT_SECONDS, SLOW_TIMEOUT_SECONDS, Answer
from tests.emulator.dicom import DicomService
from tests.emulator.journal import Journal
from tests.emulator.store import FeedStore
from tests.emulator.trouble import ConnectionCut, Hang, Request
from tests.emulator.writers import Writer

BEGINNING = parse_timestamp('2026-01-31T12:00:00Z')
URL = 'https://contoso-imaging.dicom.azurehealthcareapis.com'


class Ended(BaseException):
    """The world's time is over, in the middle of whatever goes on."""


class Killed(BaseException):
    """The process was killed: nothing more of it happens."""


@dataclass(frozen=True)
class Token:
    expires_on: float
    token: str = 'virtual'


class World:
    """The service, the clocks and the agenda.

    `latency_seconds` goes by before and after the service looks at a request.
    """

    def __init__(self, *, latency_seconds: float = 0.02) -> None:
        self.elapsed = 0.0
        self.end: float | None = None
        self.kill_at: float | None = None
        self.is_dead = False
        self.local_clock_ahead_seconds = 0.0
        self.database_clock_ahead_seconds = 0.0
        self.clock = Clock(
            now=lambda: self._ticks(self.local_clock_ahead_seconds),
            monotonic=lambda: self.elapsed,
            sleep=self.pass_time,
        )
        self.store = FeedStore(clock=lambda: self._ticks(self.database_clock_ahead_seconds))
        self.journal = Journal()
        self.service = DicomService(verify=None, journal=self.journal, host=urlsplit(URL).netloc, store=self.store)
        self.restored = False
        self.sign_in_fails_until = 0.0
        self.token_seconds = 1e9
        self.retries: list[Retry] = []
        self.poisoned: list[int] = []
        self.metadata_at_once = False
        self._latency_seconds = latency_seconds
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []
        self._number = count()

    # Time

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Have something happen so many seconds after the beginning."""
        heapq.heappush(self._agenda, (seconds, next(self._number), action))

    def pass_time(self, seconds: float) -> None:
        """Let time go by, with whatever happens in it. Raises Ended or Killed where that is due."""
        target = self.elapsed + seconds
        last = min(
            target, self.end if self.end is not None else target, self.kill_at if self.kill_at is not None else target
        )
        while self._agenda and self._agenda[0][0] <= last:
            moment, _, action = heapq.heappop(self._agenda)
            self.elapsed = max(self.elapsed, moment)
            action()
        self.elapsed = max(self.elapsed, last)
        if self.kill_at is not None and self.elapsed >= self.kill_at:
            self.kill_at, self.is_dead = None, True
            raise Killed
        if self.end is not None and self.elapsed >= self.end:
            raise Ended

    def _ticks(self, ahead_seconds: float) -> int:
        return BEGINNING + ticks_from_seconds(self.elapsed + ahead_seconds)

    # Writers

    def create(
        self, *, at: float, sequence_after: float = 0.0, commit_after: float = 0.0, rolled_back: bool = False
    ) -> None:
        """A create that reads its clock at a moment, takes its number later, and commits or rolls back later still."""
        self._write(self.store.begin_create, at, sequence_after, commit_after, rolled_back)

    def writer(self) -> Writer:
        """A create that has read its clock and taken its number, and has not committed yet."""
        writer = self.store.begin_create()
        writer.take_clock()
        writer.take_sequence()
        return writer

    def create_now(self, number: int = 1, *, ticks: int | None = None) -> None:
        """Creates that are over at once."""
        for _ in range(number):
            self.store.create(ticks=ticks)

    def _write(
        self, begin: Callable[[], Writer], at: float, sequence_after: float, commit_after: float, rolled_back: bool
    ) -> None:
        def start() -> None:
            writer = begin()
            writer.take_clock()
            self.at(at + sequence_after, writer.take_sequence)
            self.at(at + sequence_after + commit_after, writer.roll_back if rolled_back else writer.commit)

        self.at(at, start)

    # Readers

    def client(self, *, patience_seconds: float | None = 300.0) -> FeedClient:
        """A client in this world, with no jitter."""
        return FeedClient(
            URL,
            self,
            transport=self,
            clock=self.clock,
            patience_seconds=patience_seconds,
            on_retry=self.retries.append,
            jitter=lambda: 0.5,
        )

    def feed(
        self,
        *,
        patience_seconds: float | None = 300.0,
        include_metadata: bool = False,
        fields: Fields | None = None,
        filters: Filters = Filters(),
    ) -> Feed:
        return Feed(
            self.client(patience_seconds=patience_seconds),
            include_metadata=include_metadata,
            fields=fields,
            conditions=filters.conditions,
            metadata_at_once=AtOnce.ALWAYS if self.metadata_at_once else AtOnce.NEVER,
            wanted=filters.passing,
            on_poisoned=self.poisoned.append,
        )

    def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> Token:
        if self.elapsed < self.sign_in_fails_until:
            raise SignInUnavailable('The sign-in service is in trouble.', is_reached=True)
        return Token(expires_on=epoch_seconds(self.clock.now()) + self.token_seconds)

    def get(self, url: str, *, parameters: Mapping[str, str], token: str, is_slow: bool = False) -> Answer:
        """The transport: the emulator's answer, some time later."""
        self.pass_time(self._latency_seconds)
        request = Request(urlsplit(url).path, urlencode(parameters), headers={'authorization': f'Bearer {token}'})
        try:
            response = self.service.respond(request)
        except ConnectionCut:
            raise HostUnreachable('The connection broke.', url=url) from None
        except Hang as hang:
            self.pass_time(min(hang.seconds, SLOW_TIMEOUT_SECONDS if is_slow else READ_TIMEOUT_SECONDS))
            raise HostUnreachable('The host did not answer in time.', url=url) from None
        self.pass_time(self._latency_seconds)
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, response.body)

    # The truth

    def committed(self) -> list[int]:
        """The sequence numbers of all events that there are, in order."""
        return sorted(event.sequence for event in self.store.events())


def after(seconds: float) -> int:
    """Ticks of a moment so many seconds after the beginning."""
    return BEGINNING + ticks_from_seconds(seconds)


def numbers(batches: Any) -> list[int]:
    """The sequence numbers in batches of events."""
    return [event.sequence for batch in batches for event in batch]
