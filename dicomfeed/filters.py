"""Which events are wanted: filters that count after reading and never cut short what is read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from dicomfeed.events import Event, Fields, Verdict, field

if TYPE_CHECKING:
    from dicomfeed.conditions import Conditions


class Filters(NamedTuple):
    """Wanted values by property; several values of one are OR, several properties are AND, none lets all pass.

    Actions and states compare without regard to letter case, as the service's own spelling of them is not sure;
    identifiers compare exactly. Conditions on attributes are tested where metadata are read (`choice.py`), which leaves
    its verdict with the event; None lets all pass.
    """

    action: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    study_instance_uid: tuple[str, ...] = ()
    series_instance_uid: tuple[str, ...] = ()
    sop_instance_uid: tuple[str, ...] = ()
    partition_name: tuple[str, ...] = ()
    conditions: Conditions | None = None

    def passing(self, events: Iterable[Event]) -> list[Event]:
        """Those of the events that pass, in their order. An event is decoded only where its action does not decide.

        Where the conditions have not been tested, as on a first read, they do not count.
        """
        return self._passing(event for event in events if event.verdict in _PASS)

    def deleted(self, events: Iterable[Event]) -> list[Event]:
        """Those that pass but for the conditions, which cannot be tested because the instance is deleted."""
        return self._passing(event for event in events if event.verdict is Verdict.DELETED)

    def _passing(self, events: Iterable[Event]) -> list[Event]:
        actions = {action.lower() for action in self.action}
        wanted = [(name, values) for name, values in self._wanted() if name != 'action']
        if actions:
            events = (event for event in events if event.action is not None and event.action.lower() in actions)
        if wanted:
            events = (event for event in events if _passes(event.decode_properties(), wanted))
        return list(events)

    @property
    def is_empty(self) -> bool:
        """Whether everything passes."""
        return self.conditions is None and not self.has_properties

    @property
    def has_properties(self) -> bool:
        """Whether anything is tested that an event has without metadata."""
        return bool(self._wanted())

    def as_dict(self) -> dict[str, list[str]]:
        """The filters by property name of the service, values sorted: equal for filters that mean the same.

        Without the conditions, whose values may name a patient.
        """
        return {name: sorted(values) for name, values in self._wanted()}

    def _wanted(self) -> list[tuple[str, frozenset[str]]]:
        given = ((_property_name(name), values) for name, values in zip(self._fields[:-1], self[:-1], strict=True))
        return [(name, frozenset(_folded(name, value) for value in values)) for name, values in given if values]


_PASS = (None, Verdict.MATCHES)


def _passes(fields: Fields, wanted: list[tuple[str, frozenset[str]]]) -> bool:
    return all(_text(fields, name) in values for name, values in wanted)


def _text(fields: Fields, name: str) -> str | None:
    value = field(fields, name)
    return _folded(name, value) if isinstance(value, str) else None


def _folded(name: str, value: str) -> str:
    return value.lower() if name in ('action', 'state') else value


def _property_name(name: str) -> str:
    """`study_instance_uid` as the service writes it."""
    first, *rest = name.split('_')
    return first + ''.join(part.capitalize() for part in rest)
