"""One event of the change feed, and the JSON text that the service writes for it.

Owned: the order and the spelling of an event's properties (contract 3.1 to 3.3), and the spellings that a reader should
also bear (10.5).
Not owned: which events there are (`store.py`), and metadata, which is added to this text for each request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from json.encoder import encode_basestring  # puts quotes round; keeps what is not ASCII as it is
from typing import NamedTuple

from tests.emulator.ticks import timestamp_text

DEFAULT_PARTITION = 'Microsoft.Default'

CREATE = 'Create'
DELETE = 'Delete'
UPDATE = 'Update'

CURRENT = 'Current'
REPLACED = 'Replaced'
DELETED = 'Deleted'


class Instance(NamedTuple):
    """Who an event is about. UIDs alone are not an identity: two partitions may hold the same ones."""

    partition: str
    study: str
    series: str
    sop: str


class Event(NamedTuple):
    """A committed row as a reader sees it now: state and path change when the instance does."""

    sequence: int
    ticks: int
    action: str
    instance: Instance
    state: str
    path: str | None = None
    utc_offset_minutes: int = 0


@dataclass(frozen=True)
class EventShape:
    """How events are written. The default is the recorded form; the rest is what a reader must also bear.

    `extra` holds properties that no reader knows; `partition_name=False` is a server older than schema 39.
    """

    partition_name: bool = True
    pascal_names: bool = False
    lower_enums: bool = False
    extra: Mapping[str, object] = field(default_factory=dict)

    def text(self, event: Event) -> str:
        """The event without metadata. Properties without a value are left out, never `null`."""
        if self is not RECORDED and self != RECORDED:
            return self._other_text(event)
        sequence, ticks, action, (partition, study, series, sop), state, path, utc_offset_minutes = event
        path_text = '' if path is None else f'"filePath":{encode_basestring(path)},'
        return (
            f'{{"sequence":{sequence},"partitionName":{encode_basestring(partition)},{path_text}'
            f'"studyInstanceUid":{encode_basestring(study)},"seriesInstanceUid":{encode_basestring(series)},'
            f'"sopInstanceUid":{encode_basestring(sop)},"action":"{action}",'
            f'"timestamp":"{timestamp_text(ticks, utc_offset_minutes)}","state":"{state}"}}'
        )

    def text_with_metadata(self, text: str, metadata: str) -> str:
        """The event `text` with `metadata` (JSON text) as its last property."""
        return f'{text[:-1]},"{self._name("metadata")}":{metadata}}}'

    def _other_text(self, event: Event) -> str:
        properties: dict[str, object] = json.loads(RECORDED.text(event))
        if not self.partition_name:
            del properties['partitionName']
        if self.lower_enums:
            properties['action'], properties['state'] = event.action.lower(), event.state.lower()
        properties = {self._name(name): value for name, value in properties.items()} | dict(self.extra)
        return json.dumps(properties, ensure_ascii=False, separators=(',', ':'))

    def _name(self, name: str) -> str:
        return name[0].upper() + name[1:] if self.pascal_names else name


RECORDED = EventShape()
