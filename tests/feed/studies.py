"""Rows of stable studies by their definition: from all events at once, for tests of what gives them bit by bit."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from dicomfeed.events import Event
from dicomfeed.stable import BY_SERIES
from dicomfeed.times import TICKS_PER_DAY, Ticks, format_timestamp
from tests.emulator.store import FeedStore


class Stored(NamedTuple):
    """An event, and when it can be seen."""

    ticks: Ticks
    sequence: int
    study: str
    series: str
    instance: str
    action: str
    seen_at: float

    def event(self) -> Event:
        fields = {
            'sequence': self.sequence,
            'partitionName': 'Microsoft.Default',
            'studyInstanceUid': self.study,
            'seriesInstanceUid': self.series,
            'sopInstanceUid': self.instance,
            'action': self.action,
            'timestamp': format_timestamp(self.ticks),
        }
        return Event(self.sequence, format_timestamp(self.ticks), str(fields['action']), json.dumps(fields).encode())


def all_stored(store: FeedStore) -> list[Stored]:
    """The events of a feed in the emulator; `seen_at` is not known."""
    return [
        Stored(event.ticks, event.sequence, *event.instance[1:], event.action, seen_at=0.0) for event in store.events()
    ]


def all_at_once(stored: list[Stored], *, pause: Ticks, level: str) -> list[dict[str, Any]]:
    """The rows by their definition."""
    ended: list[tuple[list[Stored], bool]] = []
    for group in {(one.study, one.series if level == BY_SERIES else None) for one in stored}:
        row: list[Stored] = []
        for one in sorted(one for one in stored if group in ((one.study, None), (one.study, one.series))):
            pauses = bool(row) and one.ticks - row[-1].ticks > pause
            if pauses or (row and one.ticks - row[0].ticks > max(pause, TICKS_PER_DAY)):
                ended.append((row, pauses))
                row = []
            row.append(one)
        ended.append((row, True))
    ended.sort(key=lambda ending: (ending[0][-1].ticks, max(one.sequence for one in ending[0])))
    return [described(row, is_stable=is_stable, level=level) for row, is_stable in ended]


def described(row: list[Stored], *, is_stable: bool, level: str) -> dict[str, Any]:
    actions = [one.action for one in row]
    uids = {'seriesInstanceUid': row[0].series} if level == BY_SERIES else {'series': len({one.series for one in row})}
    return uids | {
        'studyInstanceUid': row[0].study,
        'partitionName': 'Microsoft.Default',
        'firstTimestamp': format_timestamp(row[0].ticks),
        'lastTimestamp': format_timestamp(row[-1].ticks),
        'firstSequence': min(one.sequence for one in row),
        'lastSequence': max(one.sequence for one in row),
        'events': len(row),
        'created': actions.count('Create'),
        'updated': actions.count('Update'),
        'deleted': actions.count('Delete'),
        'instances': len({one.instance for one in row}),
        'stable': is_stable,
    }
