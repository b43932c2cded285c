"""A stream in virtual time: Spark's calls without Spark, so that many schedules of writers and kills can be tried."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from dicomfeed.errors import FeedRestored
from dicomfeed.events import Event
from dicomfeed.prefetch import InlinePool
from dicomfeed.spark.offsets import Offset
from dicomfeed.spark.options import parse_options
from dicomfeed.spark.prefix import Prefix
from dicomfeed.spark.stream import initial_offset, plan_batch, with_start_time
from dicomfeed.times import format_timestamp
from tests.emulator import trouble
from tests.feed.world import URL, World, after

POLL_SECONDS = 5.0


class Query:
    """What Spark does: it logs an end, has the range read, and takes the rows of a batch as a whole.

    `tells_place` is whether it says where the stream stands, as Spark does from 4.2 on.
    """

    def __init__(self, world: World, *, tells_place: bool = True, most_events: int | None = None, **more: str) -> None:
        self.world = world
        self.options = parse_options({'serviceUrl': URL, 'rangeSize': '100', **more})
        self.tells_place = tells_place
        self.most_events = most_events
        self.ends: list[str] = []
        self.tables: list[list[Event]] = []
        self.prefix: Prefix | None = None
        self.place: Offset | None = None
        self.start_time: str | None = None

    def start(self) -> None:
        """A new process: all it has is the offset log; a batch that was open is read first."""
        self.prefix = self.place = self.start_time = None
        if len(self.ends) > len(self.tables):
            self.read()

    def step(self, *, killed_before_reading: bool = False) -> bool:
        """One trigger; whether there was a batch."""
        if self.tells_place:
            self.place = self._place(len(self.ends))
        place = self.place or replace(initial_offset(self.options), is_logged=True)
        if self.prefix is None:
            feed, known = self.world.feed(patience_seconds=900.0), self.place is not None
            self.prefix = Prefix(self.options, feed, InlinePool(), start=place, is_known=known)
        self.place = self.prefix.end_after(place, most_events=self.most_events)
        end = json.dumps(self.place.as_dict())
        if end == json.dumps(self._place(len(self.ends)).as_dict()):
            return False
        self.ends.append(end)
        if not killed_before_reading:
            self.read()
        return True

    def read(self) -> None:
        """The open batch, in any order of its tasks."""
        number = len(self.tables)
        begin, end = with_start_time(self._place(number), self._place(number + 1), known=self.start_time)
        self.place, self.start_time = end, end.start_time
        feed = self.world.feed()
        plan = plan_batch(self.options, feed, InlinePool(), begin=begin, end=end)
        lists = [events for part in reversed(plan) for events in part.read(self.options, feed, InlinePool())]
        self.tables.append([event for events in lists for event in events])

    def sequences(self) -> list[int]:
        return sorted(event.sequence for table in self.tables for event in table)

    def _place(self, batches: int) -> Offset:
        return Offset.parse(json.loads(self.ends[batches - 1])) if batches else initial_offset(self.options)


def schedule(world: World, chance: random.Random) -> None:
    """Writers of ten minutes, who commit up to 30 s late, some of them never, and burn blocks."""
    world.create_now(chance.choice((0, 3, 250)), ticks=after(-3_600))
    world.store.burn(chance.choice((0, 2, 3_000)))
    for _ in range(60):
        begin, spent = chance.uniform(0, 600), 30 * chance.random() ** 2
        between = spent * chance.random()
        world.create(at=begin, sequence_after=between, commit_after=spent - between, rolled_back=chance.random() < 0.15)
    for size in (1, 40, 2_000):
        world.at(chance.uniform(0, 600), lambda size=size: world.store.burn(size))


def two_hours() -> World:
    """An event a minute, numbered from 1, all of which have settled but the newest ones."""
    world = World()
    for minute in range(120):
        world.create_now(1, ticks=after(60 * minute))
    world.pass_time(7_200.0)
    return world


@pytest.mark.parametrize('tells_place', [True, False], ids=['4.2', 'before 4.2'])
@pytest.mark.parametrize('seed', range(20))
def test_each_event_comes_once_whatever_writers_and_kills(seed: int, tells_place: bool) -> None:
    world, chance = World(), random.Random(seed)
    schedule(world, chance)
    query = Query(world, tells_place=tells_place, most_events=chance.choice((None, 7, 90)) if tells_place else None)
    while world.elapsed < 1_200:
        kill = chance.random() < 0.15
        query.step(killed_before_reading=kill)
        world.pass_time(chance.choice((0.1, 3.0, 20.0)))
        if kill:
            query.start()
    while query.step():
        pass
    assert query.sequences() == world.committed()
    if query.most_events is not None:
        assert max(map(len, query.tables)) <= query.most_events


def test_poll_interval_bounds_the_requests_of_an_idle_stream() -> None:
    world = World()
    world.create_now(3)
    query = Query(world, settleSeconds='0')
    query.step()
    world.journal.clear()
    for _ in range(600):
        world.pass_time(0.1)
        query.step()
    assert 60 / POLL_SECONDS - 1 <= len(world.journal.requests) <= 60 / POLL_SECONDS + 1


def test_nothing_new_is_the_same_text() -> None:
    world = World()
    world.create_now(3)
    query = Query(world)
    assert query.step()
    world.pass_time(60.0)
    assert not query.step()


def test_settled_events_are_not_read_by_the_driver() -> None:
    world = World()
    world.create_now(5_000)
    world.pass_time(3_600.0)
    query = Query(world)
    query.step(killed_before_reading=True)
    assert json.loads(query.ends[0])['sequence'] == 5_000
    assert 'watched' not in json.loads(query.ends[0])
    assert len(world.journal.requests) < 5


def test_wide_gap_is_no_empty_batch() -> None:
    world = World()
    world.create_now(20, ticks=after(-3_600))
    world.store.burn(200_000)
    world.create_now(20, ticks=after(-3_000))
    world.pass_time(60.0)
    query = Query(world, most_events=8)
    while query.step():
        pass
    assert query.sequences() == world.committed()
    assert all(query.tables)


def test_start_at_a_time_begins_below_it_and_leaves_out_what_is_older() -> None:
    world = two_hours()
    query = Query(world, startTime=format_timestamp(after(3_600)))
    query.step(killed_before_reading=True)
    assert 0 < json.loads(query.ends[0])['beginning']['sequence'] < 60
    query.start()
    assert query.sequences() == list(range(61, 121))


@pytest.mark.parametrize(
    ('begun', 'later', 'first'),
    [
        ({}, {'startTime': format_timestamp(after(3_600))}, 1),
        ({}, {'afterSequence': '50'}, 1),
        ({'afterSequence': '20'}, {}, 21),
        ({'startTime': format_timestamp(after(600))}, {'startTime': format_timestamp(after(3_600))}, 11),
        ({'startTime': format_timestamp(after(600))}, {'afterSequence': '90'}, 11),
        ({'startTime': format_timestamp(after(600))}, {}, 11),
    ],
    ids=['time', 'number', 'left out', 'later time', 'number for time', 'time left out'],
)
@pytest.mark.parametrize('is_open', [True, False], ids=['open batch', 'between batches'])
@pytest.mark.parametrize('tells_place', [True, False], ids=['4.2', 'before 4.2'])
def test_start_of_the_checkpoint_counts(begun: Any, later: Any, first: int, is_open: bool, tells_place: bool) -> None:
    """A job that begins a day back each time must not lose what an earlier run left."""
    world = two_hours()
    query = Query(world, most_events=30 if tells_place else None, tells_place=tells_place, **begun)
    query.step(killed_before_reading=is_open)
    query.options = Query(world, **later).options
    world.create_now(10)
    for _ in range(8):
        query.start()
        query.step()
        world.create_now(1)
        world.pass_time(6.0)
    assert query.sequences() == list(range(first, 121 + 10 + 7))


@pytest.mark.parametrize('is_open', [True, False], ids=['open batch', 'between batches'])
@pytest.mark.parametrize('later', [{'afterSequence': '200'}, {'startTime': '2100-01-01'}], ids=['number', 'time'])
@pytest.mark.parametrize('tells_place', [True, False], ids=['4.2', 'before 4.2'])
def test_start_on_an_empty_feed_counts(tells_place: bool, later: Any, is_open: bool) -> None:
    """A query that ends with what is there logs a batch of nothing then, which ends at what looks like a beginning."""
    world = World()
    query = Query(world, tells_place=tells_place)
    if tells_place:
        query.ends.append(json.dumps(initial_offset(query.options).as_dict()))
    else:
        query.step(killed_before_reading=True)
    if not is_open:
        query.read()
    world.create_now(300)
    query.options = Query(world, **later).options
    query.start()
    query.step()
    assert query.sequences() == list(range(1, 301))


@pytest.mark.parametrize('tells_place', [True, False], ids=['4.2', 'before 4.2'])
def test_start_in_the_future_holds_back_what_comes_before_it(tells_place: bool) -> None:
    world = two_hours()
    query = Query(world, tells_place=tells_place, startTime=format_timestamp(after(7_260)))
    for _ in range(20):
        world.create_now(1)
        query.step()
        world.pass_time(6.0)
    assert query.sequences() == list(range(131, 141))


def test_retry_after_of_a_poll_is_obeyed() -> None:
    world = World()
    world.create_now(3)
    query = Query(world)
    query.step()
    world.service.trouble.next(trouble.throttled(2_000))
    world.pass_time(10.0)
    query.step()
    world.journal.clear()
    for _ in range(100):
        world.pass_time(15.0)
        query.step()
    assert not world.journal.requests
    world.create_now(1)
    world.pass_time(600.0)
    assert query.step() and query.sequences() == [1, 2, 3, 4]


def test_end_that_is_gone_in_the_middle_of_a_backlog_is_a_restore() -> None:
    world = World()
    world.create_now(300)
    world.pass_time(3_600.0)
    query = Query(world, most_events=50)
    query.step()
    world.store.restore(60)
    with pytest.raises(FeedRestored):
        query.step()


def test_end_that_cannot_be_read_in_one_poll_is_read_on_at_once() -> None:
    world = World(latency_seconds=0.5)
    world.create_now(3_000)
    query = Query(world, pollIntervalSeconds='3600')
    while len(query.sequences()) < 3_000:
        assert query.step() and world.elapsed < 600


@pytest.mark.parametrize('batches_before', [0, 1])
def test_late_event_in_a_range_that_was_read_ends_the_query(batches_before: int) -> None:
    world = World()
    query = Query(world)
    for _ in range(batches_before):
        world.create_now(3)
        query.step()
    late = world.writer()
    world.create_now(3)
    while not query.step(killed_before_reading=True):
        world.pass_time(10.0)
    late.commit()
    with pytest.raises(FeedRestored, match='does not hold'):
        query.start()


def restored(**how: Any) -> Query:
    """A stream that has read a batch of a feed of which the end is gone, and maybe written again."""
    world = World()
    world.create_now(10)
    query = Query(world)
    query.step(killed_before_reading=how['is_open'])
    world.store.restore(5)
    world.create_now(how['written_again'])
    world.pass_time(10.0)
    return query


@pytest.mark.parametrize('written_again', [0, 3, 5, 50])
@pytest.mark.parametrize('is_open', [True, False], ids=['open batch', 'between batches'])
def test_restored_database_ends_the_query(is_open: bool, written_again: int) -> None:
    query = restored(is_open=is_open, written_again=written_again)
    with pytest.raises(FeedRestored):
        query.start()
        query.step()


@pytest.mark.parametrize('age_seconds', [0.0, 3_600.0], ids=['watched', 'settled'])
def test_database_that_is_restored_while_tasks_read_fails_them(age_seconds: float) -> None:
    world = World()
    world.create_now(300)
    world.pass_time(age_seconds)
    query = Query(world)
    query.step(killed_before_reading=True)
    world.at(world.elapsed + 0.1, lambda: world.store.restore(50))
    with pytest.raises(FeedRestored):
        query.start()
