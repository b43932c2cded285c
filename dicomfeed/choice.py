"""What a run makes of the metadata of its events: what is added to a line, and whether the event is delivered at all.

Owned: that nothing of the metadata gets into a line but what was asked for, and the verdict of the conditions, which
stays with the event because the attribute that decided may not be in the line. Not owned: how metadata are read
(`metadata.py`), which attribute is meant and what matches it (`attributes.py`, `conditions.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from dicomfeed.events import BEFORE_METADATA, Event, Verdict

if TYPE_CHECKING:
    from dicomfeed.attributes import Attributes, Fields, Selection
    from dicomfeed.conditions import Conditions


@dataclass(frozen=True)
class MetadataChoice:
    """All metadata, those of some fields, or none; and conditions that decide which events are delivered.

    :ivar is_whole: lines are the service's own, with all metadata.
    :ivar fields: the attributes to add to each line; None: none are added.
    :ivar conditions: what an instance has to meet; None: nothing.
    """

    is_whole: bool = False
    fields: Fields | None = None
    conditions: Conditions | None = None

    @property
    def needs_metadata(self) -> bool:
        """Whether any metadata have to be read."""
        return self.is_whole or self.fields is not None or self.conditions is not None

    def applied(self, events: Sequence[Event]) -> list[Event]:
        """Events that were read with metadata as they are delivered, with the verdict of the conditions if any.

        Raises ValueError where an event has none although its instance is there, or they are not DICOM JSON.
        """
        if self.is_whole and self.conditions is None:
            return list(events)
        selections = _selections(events, self._tags)
        return [self._applied(event, selection) for event, selection in zip(events, selections, strict=True)]

    def without_metadata(self, event: Event, verdict: Verdict) -> Event:
        """An event as it is delivered that has no metadata, or none that can be read; `verdict` says which.

        Raises ValueError for an event in which a property occurs twice.
        """
        known = verdict if self.conditions is not None else None
        if self.is_whole:
            return event._replace(verdict=known)
        return _rewritten(event, _selections([event], frozenset())[0], None, known)

    @cached_property
    def _tags(self) -> frozenset[str]:
        wanted = (self.fields, self.conditions)
        return frozenset(tag for choice in wanted if choice is not None for tag in choice.tags)

    def _applied(self, event: Event, selection: Selection) -> Event:
        is_deleted = event.is_deleted
        attributes = None if is_deleted else selection.attributes
        if attributes is None and not is_deleted:
            raise ValueError('an instance that is there has no metadata')
        verdict = self._verdict(attributes)
        if verdict is Verdict.DIFFERS:
            return _left_out(event, selection)
        if self.is_whole:
            return event._replace(verdict=verdict)
        metadata = None
        if self.fields is not None and attributes is not None:
            metadata = self.fields.reduce(attributes)
        return _rewritten(event, selection, metadata, verdict)

    def _verdict(self, attributes: Attributes | None) -> Verdict | None:
        if self.conditions is None:
            return None
        if attributes is None:
            return Verdict.DELETED
        return Verdict.MATCHES if self.conditions.match(attributes) else Verdict.DIFFERS


def _left_out(event: Event, selection: Selection) -> Event:
    """The event without its metadata. As it is not delivered, it may keep properties that nobody knows."""
    return event._replace(line=selection.properties, head=0, verdict=Verdict.DIFFERS)


def _selections(events: Sequence[Event], tags: frozenset[str]) -> list[Selection]:
    from dicomfeed.attributes import select  # only runs that choose attributes need it

    return select([event.line for event in events], tags, are_split=all(event.head for event in events))


def _rewritten(event: Event, selection: Selection, metadata: bytes | None, verdict: Verdict | None) -> Event:
    line = selection.line(metadata)
    head = 0 if metadata is None else len(line) - len(BEFORE_METADATA) - len(metadata) - 1
    return event._replace(line=line, head=head, verdict=verdict)
