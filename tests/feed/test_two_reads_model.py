"""Attributes against random schedules in virtual time: what is delivered is what a plain filter over everything gives.

Instances are stored, updated, deleted, stored again and broken at any time, so also between the two reads of an event.
Whatever the schedule, each line is one that the service itself had at some time during the run, reduced to what was
asked for. What is left out had a time during the run at which it did not pass, or is reported as unreadable. Each event
comes once, in order.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfeed.attributes import parse_fields
from dicomfeed.conditions import Conditions, parse_conditions
from dicomfeed.events import Event
from dicomfeed.feed import AtOnce, Feed
from dicomfeed.filters import Filters
from dicomfeed.prefetch import InlinePool
from dicomfeed.sequences import AtGap, SequenceReader
from dicomfeed.starts import TailReader
from dicomfeed.windows import WindowReader
from tests.emulator.event_json import EventShape
from tests.feed.test_model import HORIZON, LAST_STEP, model
from tests.feed.world import Ended, World

WELL = 2
"""So many instances stay as they are, for there to be a neighbour whose metadata can be read."""
WAIT_SECONDS = 5_000.0  # poison takes minutes to be told from trouble
CT = Conditions(tuple(parse_conditions(['Modality=CT'])))
MODALITY = '00080060'
Line = dict[str, Any]
Steps = list[tuple[str, float, int, str]]


@dataclass(frozen=True)
class Wanted:
    """What a run asks for; `is_whole` with all metadata, or with those of the field."""

    filters: Filters
    is_whole: bool = False
    has_field: bool = False

    def passes(self, line: Line) -> bool:
        """The plain filter."""
        by_property = [('action', self.filters.action), ('state', self.filters.state)]
        if any(values and line[name] not in values for name, values in by_property):
            return False
        return self.filters.conditions is None or modality_of(line) == 'CT'

    def reduced(self, line: Line, *, is_readable: bool = True) -> Line:
        """What a line of the service's becomes."""
        metadata = line.get('metadata') if is_readable else None
        if self.is_whole:
            return {name: value for name, value in line.items() if name != 'metadata' or is_readable}
        bare = {name: value for name, value in line.items() if name not in ('metadata', 'patientName')}
        if not self.has_field or metadata is None:
            return bare
        return bare | {'metadata': {tag: value for tag, value in metadata.items() if tag == MODALITY}}


def modality_of(line: Line) -> str | None:
    """None for an instance that is deleted."""
    return line['metadata'][MODALITY]['Value'][0] if 'metadata' in line else None


class History:
    """A world in which instances change, and every line that the service had for each event since when."""

    def __init__(self, steps: Steps, *, latency_seconds: float) -> None:
        self.world = World(latency_seconds=latency_seconds)
        self.world.store.shape = EventShape(extra={'patientName': 'Secret'})
        self._lines: dict[int, list[tuple[float, Line]]] = defaultdict(list)
        self.broken: set[int] = set()
        for _ in range(WELL + 2):
            self._create(0, 'CT')
        for kind, at, which, modality in steps:
            act: Callable[[int, str], object] = getattr(self, f'_{kind}')
            self.world.at(at, self._noted(lambda act=act, which=which, modality=modality: act(which, modality)))

    def _noted(self, act: Callable[[], object]) -> Callable[[], object]:
        def acted() -> None:
            act()
            self._note()

        return acted

    def _note(self) -> None:
        for text in self.world.store.texts():
            line = json.loads(text)
            had = self._lines[line['sequence']]
            if not had or had[-1][1] != line:
                had.append((self.world.elapsed, line))

    def lines(self, sequence: int, *, begin: float, end: float) -> list[Line]:
        """Those that the event had from one time to another."""
        had = self._lines[sequence]
        ends = [*(since for since, _ in had[1:]), float('inf')]
        return [line for (since, line), until in zip(had, ends, strict=True) if since <= end and until >= begin]

    def _create(self, _which: int, modality: str) -> None:
        self.world.store.create(metadata=_metadata(modality))
        self._note()

    def _late(self, which: int, modality: str) -> None:
        """A create that takes its number now and commits later."""
        writer = self.world.store.begin_create(metadata=_metadata(modality))
        writer.take_clock()
        writer.take_sequence()
        self.world.at(self.world.elapsed + which % 28, self._noted(writer.commit))

    def _burn(self, which: int, _modality: str) -> None:
        self.world.store.burn(1 + which % 3)

    def _update(self, which: int, modality: str) -> None:
        if study := self._study(which, is_there=True):
            self.world.store.update(study, metadata=_metadata(modality))

    def _delete(self, which: int, _modality: str) -> None:
        if study := self._study(which, is_there=True):
            self.world.store.delete(study)

    def _again(self, which: int, modality: str) -> None:
        """Store a deleted instance again."""
        if study := self._study(which, is_there=False):
            instance = next(event.instance for event in self.world.store.events() if event.instance.study == study)
            self.world.store.create(instance, metadata=_metadata(modality))

    def _poison(self, which: int, _modality: str) -> None:
        if len(self.broken) < 4 and (study := self._study(which, is_there=True)):
            events = [event.sequence for event in self.world.store.events() if event.instance.study == study]
            self.world.store.poison(events[0])
            self.broken.update(events)

    def _outage(self, which: int, _modality: str) -> None:
        store = self.world.store
        store.blobs_down = True
        self.world.at(self.world.elapsed + which, lambda: setattr(store, 'blobs_down', False))

    def _study(self, which: int, *, is_there: bool) -> str | None:
        """One of the studies that may change, by its number."""
        state_of = {event.instance.study: event.state for event in self.world.store.events()[WELL:]}
        fitting = [study for study, state in state_of.items() if (state != 'Deleted') is is_there]
        return fitting[which % len(fitting)] if fitting else None


def _metadata(modality: str) -> str:
    return json.dumps(
        {
            MODALITY: {'vr': 'CS', 'Value': [modality]},
            '00100010': {'vr': 'PN', 'Value': [{'Alphabetic': 'Secret^Patient'}]},
        }
    )


class Run:
    """What one run or several read, and when that was handed out."""

    def __init__(self, history: History, wanted: Wanted) -> None:
        self.events: list[Event] = []
        self._history = history
        self._wanted = wanted
        self._began = history.world.elapsed
        self._handed_out: dict[int, float] = {}

    @property
    def sequences(self) -> list[int]:
        return [event.sequence for event in self.events]

    def take(self, events: list[Event]) -> None:
        self.events += events
        self._handed_out.update({event.sequence: self._history.world.elapsed for event in events})

    def check(self, *, expected: set[int]) -> None:
        """That what was read is right, and nothing of `expected` is missing without a reason."""
        filters, reported = self._wanted.filters, set(self._history.world.poisoned)
        passing = {event.sequence: event.decode() for event in filters.passing(self.events)}
        assert len(set(self.sequences)) == len(self.sequences)
        assert reported <= self._history.broken
        for sequence, line in passing.items():
            assert line in self._possible(sequence, is_readable=sequence not in reported)
        for sequence in expected - passing.keys():
            assert sequence in reported or not all(map(self._wanted.passes, self._had(sequence)))
        for event in filters.deleted(self.events):
            assert any(line['state'] == 'Deleted' for line in self._had(event.sequence))

    def _had(self, sequence: int) -> list[Line]:
        end = self._handed_out.get(sequence, self._history.world.elapsed)
        return self._history.lines(sequence, begin=self._began, end=end)

    def _possible(self, sequence: int, *, is_readable: bool) -> list[Line]:
        """The lines that may come of an event; what is undecided does not pass."""
        had = self._had(sequence)
        if is_readable:
            return [self._wanted.reduced(line) for line in had if self._wanted.passes(line)]
        return [self._wanted.reduced(line, is_readable=self._wanted.filters.conditions is not None) for line in had]


_step = st.tuples(
    st.sampled_from(
        ['create', 'create', 'late', 'burn', 'update', 'update', 'delete', 'delete', 'again', 'poison', 'outage']
    ),
    st.floats(0, LAST_STEP).map(lambda seconds: round(seconds, 1)),
    st.integers(0, 90),
    st.sampled_from(['CT', 'MR']),
)
_close = st.floats(195, 215).map(lambda seconds: round(seconds, 1))
_between = st.tuples(st.sampled_from(['update', 'delete', 'again']), _close, st.integers(0, 9), st.just('MR'))
schedules = st.lists(st.one_of(_step, _between), min_size=5, max_size=30)
filters = st.builds(
    Filters,
    action=st.sampled_from([(), ('Create', 'Update')]),
    state=st.sampled_from([(), (), ('Current',), ('Current', 'Replaced')]),
    conditions=st.sampled_from([CT, CT, None]),
)
wanteds = st.builds(
    lambda filters, form: Wanted(filters, is_whole=form == 'whole', has_field=form == 'field'),
    filters,
    st.sampled_from(['field', 'field', 'whole', 'bare']),
).filter(lambda wanted: wanted.has_field or wanted.filters.conditions is not None)
latencies = st.sampled_from([0.02, 2.0])
at_once = st.sampled_from(list(AtOnce))
begins = st.sampled_from([195, 205, 900])


def feed_of(history: History, wanted: Wanted, at_once: AtOnce, *, patience_seconds: float | None = 300.0) -> Feed:
    return Feed(
        history.world.client(patience_seconds=patience_seconds),
        include_metadata=wanted.is_whole,
        fields=parse_fields(['Modality']) if wanted.has_field else None,
        conditions=wanted.filters.conditions,
        metadata_at_once=at_once,
        wanted=wanted.filters.passing,
        on_poisoned=history.world.poisoned.append,
    )


@model
@given(steps=schedules, wanted=wanteds, latency=latencies, ahead=st.sampled_from([0, 5]))
def test_follow_delivers_what_a_plain_filter_does(steps: Steps, wanted: Wanted, latency: float, ahead: int) -> None:
    history = History(steps, latency_seconds=latency)
    world, run = history.world, Run(history, wanted)
    world.end = HORIZON + WAIT_SECONDS
    feed = feed_of(history, wanted, AtOnce.NEVER, patience_seconds=None)
    reader = SequenceReader(feed, cursor=0, pool=InlinePool(ahead))
    with pytest.raises(Ended):
        for events in reader.follow(poll_interval_seconds=10.0):
            run.take(events)
    assert run.sequences == world.committed()
    run.check(expected=set(world.committed()))


@model
@given(steps=schedules, wanted=wanteds, latency=latencies, at_once=at_once, begin=begins)
def test_runs_with_checkpoint_deliver_what_a_plain_filter_does(
    steps: Steps, wanted: Wanted, latency: float, at_once: AtOnce, begin: int
) -> None:
    history = History(steps, latency_seconds=latency)
    history.world.pass_time(begin)
    world, run, cursor = history.world, Run(history, wanted), 0
    while world.elapsed < HORIZON or cursor < world.committed()[-1]:
        reader = SequenceReader(feed_of(history, wanted, at_once), cursor=cursor, pool=InlinePool(5))
        for events in reader.read(world.committed()[-1], at_gap=AtGap.STOP):
            run.take(events)
        cursor = reader.cursor
        world.pass_time(60.0)
    assert run.sequences == world.committed()
    run.check(expected=set(world.committed()))


@model
@given(steps=schedules, wanted=wanteds, latency=latencies, at_once=at_once, begin=begins)
def test_window_delivers_what_a_plain_filter_does(
    steps: Steps, wanted: Wanted, latency: float, at_once: AtOnce, begin: int
) -> None:
    history = History(steps, latency_seconds=latency)
    history.world.pass_time(begin)
    run, there = Run(history, wanted), set(history.world.committed())
    end = history.world.clock.now() + 1
    reader = WindowReader(feed_of(history, wanted, at_once), start=0, end=end, pool=InlinePool(5))
    for events in reader.read():
        run.take(events)
    order = [(event.ticks, event.sequence) for event in run.events]
    assert order == sorted(order)
    run.check(expected=there)


@model
@given(
    steps=schedules, wanted=wanteds, latency=latencies, at_once=at_once, begin=begins, count=st.sampled_from([1, 4, 99])
)
def test_tail_delivers_what_a_plain_filter_does(
    steps: Steps, wanted: Wanted, latency: float, at_once: AtOnce, begin: int, count: int
) -> None:
    history = History(steps, latency_seconds=latency)
    history.world.pass_time(begin)
    run, there = Run(history, wanted), set(history.world.committed())
    feed = feed_of(history, wanted, at_once)
    for events in TailReader(feed, count, filters=wanted.filters, pool=InlinePool(5)).read():
        run.take(events)
    assert run.sequences == sorted(run.sequences)
    is_full = len(wanted.filters.passing(run.events)) == count
    run.check(expected={sequence for sequence in there if not is_full or sequence > run.sequences[0]})
