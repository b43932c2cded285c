"""A schedule of what happens in a world, drawn at random, and steps that more than one kind of schedule has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.feed.world import World

Step = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Schedule:
    """Steps by kind and values, of which the first is a time; printed when a test fails."""

    steps: tuple[Step, ...]

    def put_on_agenda(self, world: World, kinds: Mapping[str, Callable[..., None]]) -> None:
        for kind, values in self.steps:
            kinds[kind](world, *values)


def step(kind: str, *values: st.SearchStrategy[Any], last: float) -> st.SearchStrategy[Step]:
    """A step of that kind at any time up to `last`, in seconds since the world began."""
    time = st.floats(0, last, allow_nan=False).map(lambda seconds: round(seconds, 1))
    return st.tuples(st.just(kind), st.tuples(time, *values))


def burn(world: World, at: float, number: int) -> None:
    world.at(at, lambda: world.store.burn(number))


def set_clock(world: World, at: float, ahead_seconds: float) -> None:
    """The clock of the database steps."""

    def act() -> None:
        world.database_clock_ahead_seconds = ahead_seconds

    world.at(at, act)
