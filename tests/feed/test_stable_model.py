"""Stable studies against random schedules in virtual time: the rows are those that all events at once would give.

The feed is a list. Writers read the clock, take a sequence number and commit up to 30 seconds later or never; the
database's clock steps and the service's `Date` differs from it; polls fail or break off; the process is killed and goes
on from what was saved, the rows and the snapshot together. `test_stable.py` has the cases by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dicomfeed.stable import BY_SERIES, BY_STUDY, Row, Snapshot, StableStudies
from dicomfeed.times import format_timestamp, ticks_from_seconds
from tests.feed.studies import Stored, all_at_once
from tests.feed.world import after

MARGIN = ticks_from_seconds(360)
LATEST_START = 5_000.0
END = 40 * 86_400.0  # by then, everything is over and closed

# The feed


class Write(NamedTuple):
    """A writer that reads its clock `at`, takes its sequence number later, and commits or rolls back later still."""

    at: float
    sequence_after: float
    over_after: float
    is_rolled_back: bool
    study: int
    instance: int
    action: str


@dataclass
class Feed:
    """What the writers of a schedule leave behind."""

    stored: list[Stored] = field(default_factory=list)
    gaps: list[tuple[int, float, float]] = field(default_factory=list)
    """Sequence numbers that were taken, from when, and when they were filled or given up."""

    @classmethod
    def of(cls, writes: list[Write], clock: Callable[[float], float]) -> Feed:
        feed = cls()
        ordered = sorted(writes, key=lambda write: (write.at + write.sequence_after, write))
        for sequence, write in enumerate(ordered, start=1):
            taken_at = write.at + write.sequence_after
            over_at = taken_at + write.over_after
            feed.gaps.append((sequence, taken_at, over_at))
            if not write.is_rolled_back:
                study, series = f'1.{write.study}', f'1.{write.study}.{write.instance % 2}'
                ticks = after(write.at + clock(write.at))
                feed.stored.append(
                    Stored(ticks, sequence, study, series, f'{series}.{write.instance}', write.action, over_at)
                )
        return feed

    def visible(self, now: float) -> list[Stored]:
        return [stored for stored in self.stored if stored.seen_at <= now]

    def first_open_gap(self, now: float) -> int:
        return min((sequence for sequence, since, until in self.gaps if since <= now < until), default=2**62)


# The reader


class Killed(Exception):
    """The process is gone, with everything that was not saved."""


@dataclass
class Habits:
    """How a reader works; printed when a test fails."""

    level: str = BY_STUDY
    pause_seconds: float = 60.0
    batch: int = 3
    page_seconds: float = 0.1
    date_ahead: float = 0.0
    batches_a_save: int = 1
    is_cron: bool = False


@dataclass
class Reader:
    """Reads the feed by sequence number, and keeps the rows and the snapshot as a file would."""

    feed: Feed
    habits: Habits
    kills: Iterator[int]
    """Of how many batches each process lives."""

    def __post_init__(self) -> None:
        self.now = 0.0
        self.rows: list[Row] = []
        self.late = 0
        self._saved = (Snapshot(), 0)
        self._batches = 0
        self._start()

    def _start(self) -> None:
        """A process that goes on from what was saved."""
        snapshot, length = self._saved
        del self.rows[length:]
        self.studies = new_studies(self.habits, snapshot)
        self._position = snapshot.cursor
        self._batches_left = next(self.kills, None)

    def poll(self, outcome: str) -> None:
        """One poll; `outcome` is `whole`, `no-answer`, or `broken`, in which the second page fails."""
        try:
            if outcome != 'no-answer':
                self._read(most_batches=1 if outcome == 'broken' else None)
        except Killed:
            self._start()
            return
        if self.habits.is_cron:
            self._save()
            self._start()

    def _read(self, *, most_batches: int | None) -> None:
        newest = max((one.sequence for one in self.feed.visible(self.now)), default=0)
        self.studies.begin_poll(after(self.now + self.habits.date_ahead))
        batches = 0
        while self._position < newest:
            if batches == most_batches:
                return
            events = self._page(newest)
            if not events:
                return
            self._take(events)
            batches += 1
        if most_batches is None:
            self.rows += self.studies.complete_poll()
            self._live()

    def _page(self, newest: int) -> list[Stored]:
        self.now += self.habits.page_seconds
        through = min(newest, self.feed.first_open_gap(self.now) - 1)
        found = [one for one in self.feed.visible(self.now) if self._position < one.sequence <= through]
        return sorted(found, key=lambda one: one.sequence)[: self.habits.batch]

    def _take(self, page: list[Stored]) -> None:
        self._position = page[-1].sequence
        events = [one.event() for one in page]
        before = self.studies.late
        self.rows += self.studies.add(events, events)
        self.late += self.studies.late - before
        self._live()

    def _live(self) -> None:
        self._batches += 1
        if self._batches_left is not None:
            self._batches_left -= 1
            if self._batches_left < 0:
                raise Killed
        if self._batches % self.habits.batches_a_save == 0:
            self._save()

    def _save(self) -> None:
        self._saved = (self.studies.snapshot, len(self.rows))


def new_studies(habits: Habits, snapshot: Snapshot | None = None, **options: Any) -> StableStudies:
    pause = ticks_from_seconds(habits.pause_seconds)
    return StableStudies(snapshot, stable_after=pause, settle_margin=MARGIN, level=habits.level, **options)


def read_all(reader: Reader, polls: list[tuple[float, str]]) -> None:
    for seconds, outcome in polls:
        reader.now += seconds
        reader.poll(outcome)
    reader.now = max(reader.now, END)
    for _ in range(20):  # what is left of the kills, and then a poll that comes through
        reader.poll('whole')


# Schedules


@dataclass(frozen=True)
class Schedule:
    """What the writers do, and how the database's clock steps."""

    writes: list[Write]
    steps: list[tuple[float, float]]

    def feed(self) -> Feed:
        return Feed.of(self.writes, self._ahead)

    def _ahead(self, now: float) -> float:
        return next((ahead for since, ahead in sorted(self.steps, reverse=True) if since <= now), 0.0)


_moments = st.floats(0, LATEST_START, allow_nan=False).map(lambda seconds: round(seconds, 1))
_studies = st.integers(1, 3)


def _arrival(at: float, study: int, number: int, pause: float, delay: float) -> list[Write]:
    """A study comes in; every third writer is slow to take its sequence number, the others to commit."""
    delays = cycle([(delay, 0.1), (0.0, delay), (0.1, delay)])
    return [Write(at + i * pause, *next(delays), False, study, i, 'Create') for i in range(number)]


def _single(at: float, study: int, delays: tuple[float, float], is_rolled_back: bool, action: str) -> list[Write]:
    """One writer, which leaves a gap when it is rolled back."""
    return [Write(at, *delays, is_rolled_back, study, 3, action)]


def _deletion(at: float, study: int, number: int) -> list[Write]:
    """A study is deleted: its events have one timestamp."""
    return [Write(at, 0.01 * i, 1.0, False, study, i, 'Delete') for i in range(number)]


def _probe(at: float, pause: float) -> list[Write]:
    """Something stores and deletes a test study for more than a day."""
    actions = cycle(['Create', 'Delete'])
    return [Write(at + i * pause, 0, 0.1, False, 9, i // 2, next(actions)) for i in range(int(100_000 / pause))]


def schedules(*, delays: list[tuple[float, float]], ahead: list[float]) -> st.SearchStrategy[Schedule]:
    single = st.builds(
        _single, _moments, _studies, st.sampled_from(delays), st.booleans(), st.sampled_from(['Create', 'Update'])
    )
    parts = st.one_of(
        single,
        single,
        st.builds(
            _arrival,
            _moments,
            _studies,
            st.integers(2, 8),
            st.sampled_from([0.5, 11, 25, 70, 590]),
            st.sampled_from([0, 12, 28]),
        ),
        st.builds(_deletion, _moments, _studies, st.integers(1, 5)),
        st.builds(_probe, _moments, st.sampled_from([1_800, 7_000])),
    )
    writes = st.lists(parts, min_size=2, max_size=12).map(lambda lists: [write for part in lists for write in part])
    return st.builds(Schedule, writes, st.lists(st.tuples(_moments, st.sampled_from(ahead)), max_size=4))


within_the_margin = schedules(delays=[(0, 0), (1, 28), (28, 1), (14, 14)], ahead=[-90.0, 0.0, 45.0])
beyond_the_margin = schedules(delays=[(0, 0), (20, 8), (900, 20), (4_000, 1)], ahead=[-3_000.0, 0.0, 3_000.0])

habits = st.builds(
    Habits,
    level=st.sampled_from([BY_STUDY, BY_SERIES]),
    pause_seconds=st.sampled_from([20.0, 60.0, 600.0, 7_200.0, 2 * 86_400.0]),
    batch=st.sampled_from([1, 3, 100]),
    page_seconds=st.sampled_from([0.1, 8.0]),
    date_ahead=st.sampled_from([-90.0, 0.0, 90.0]),
    batches_a_save=st.sampled_from([1, 2, 7]),
    is_cron=st.booleans(),
)
polls = st.lists(
    st.tuples(
        st.sampled_from([10.0, 60.0, 400.0, 3_000.0, 40_000.0]),
        st.sampled_from(['whole', 'whole', 'whole', 'no-answer', 'broken']),
    ),
    min_size=1,
    max_size=30,
)
kills = st.lists(st.integers(0, 12), max_size=8)

# Without shrinking, a failure shows in a minute; add Phase.shrink when one has to be understood.
model = settings(
    max_examples=150,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)


@model
@given(schedule=within_the_margin, habits=habits, polls=polls, kills=kills)
def test_rows_are_those_of_all_events_at_once(
    schedule: Schedule, habits: Habits, polls: list[tuple[float, str]], kills: list[int]
) -> None:
    feed = schedule.feed()
    reader = Reader(feed, habits, iter(kills))
    read_all(reader, polls)
    pause = ticks_from_seconds(habits.pause_seconds)
    assert reader.rows == all_at_once(feed.stored, pause=pause, level=habits.level)
    assert reader.late == 0


@model
@given(schedule=beyond_the_margin, habits=habits, polls=polls, kills=kills, marked=st.integers(0, 2**16))
def test_each_event_counts_once_even_beyond_the_margin(
    schedule: Schedule, habits: Habits, polls: list[tuple[float, str]], kills: list[int], marked: int
) -> None:
    feed = schedule.feed()
    feed.stored = [
        one._replace(action='Update' if number == marked % len(feed.stored) else 'Create')
        for number, one in enumerate(feed.stored)
    ]
    reader = Reader(feed, habits, iter(kills))
    read_all(reader, polls)
    assert sum(row['updated'] for row in reader.rows) == min(1, len(feed.stored))
    for study in {one.study for one in feed.stored}:
        counted = sum(row['events'] for row in reader.rows if row['studyInstanceUid'] == study)
        assert counted == sum(one.study == study for one in feed.stored)


@model
@given(
    schedule=within_the_margin,
    habits=habits,
    at=st.floats(0, 120_000),
    window=st.tuples(_moments, st.sampled_from([50.0, 700.0, 3_000.0, 100_000.0])),
    by_time=st.booleans(),
)
def test_window_gives_the_rows_that_nothing_can_join(
    schedule: Schedule, habits: Habits, at: float, window: tuple[float, float], by_time: bool
) -> None:
    start, end = after(window[0]), after(window[0] + window[1])
    stored = [one for one in schedule.feed().visible(at) if start <= one.ticks < end]
    studies = new_studies(habits, end=end)
    rows = read_window(studies, stored, habits, at=at, by_time=by_time)
    pause = ticks_from_seconds(habits.pause_seconds)
    mark = min(end, after(at + habits.date_ahead) - MARGIN)
    expected = all_at_once(stored, pause=pause, level=habits.level)
    assert rows == [row for row in expected if row['lastTimestamp'] < format_timestamp(mark - pause)]
    still_open = {(row['studyInstanceUid'], row.get('seriesInstanceUid')) for row in expected[len(rows) :]}
    assert studies.still_open.number == len(still_open)
    assert studies.late == 0


def read_window(studies: StableStudies, stored: list[Stored], habits: Habits, *, at: float, by_time: bool) -> list[Row]:
    """One reading, in (timestamp, sequence number) order or by sequence number."""
    events = [one.event() for one in sorted(stored, key=lambda one: one[:2] if by_time else (0, one.sequence))]
    studies.begin_poll(after(at + habits.date_ahead))
    rows: list[Row] = []
    for begin in range(0, len(events), habits.batch):
        batch = events[begin : begin + habits.batch]
        rows += studies.add(batch, batch)
    return rows + studies.complete_poll()
