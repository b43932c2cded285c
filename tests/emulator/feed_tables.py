"""The tables behind the change feed, in SQLite: events, the instances that they are about, and their metadata.

Owns: the schema, the state and the text that each event has now, how a new row's path and zone are made, and the
counters from which sequence numbers and versions come.
Does not own: what a reader sees (`store.py`), and when rows are written (`writers.py`, `bulk_load.py`).
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from pathlib import Path

from tests.emulator.event_json import CREATE, CURRENT, DELETED, REPLACED, Event, EventShape, Instance

_SCHEMA = """
CREATE TABLE IF NOT EXISTS instance (
    key INTEGER PRIMARY KEY, partition TEXT, study TEXT, series TEXT, sop TEXT,
    version INTEGER);                       -- the current one; NULL: deleted
CREATE TABLE IF NOT EXISTS feed (
    sequence INTEGER PRIMARY KEY, ticks INTEGER, action TEXT, instance INTEGER,
    version INTEGER,                        -- the instance's version that this event made or deleted
    path TEXT, utc_offset_minutes INTEGER,
    text TEXT);                             -- the entry as it is sent now, without metadata
CREATE TABLE IF NOT EXISTS blob (version INTEGER PRIMARY KEY, metadata TEXT);
"""
INDEXES = """
CREATE INDEX IF NOT EXISTS instance_by_uids ON instance (study, sop);
CREATE INDEX IF NOT EXISTS feed_by_time ON feed (ticks, sequence);
CREATE INDEX IF NOT EXISTS feed_by_instance ON feed (instance);
"""
DROP_INDEXES = 'DROP INDEX instance_by_uids; DROP INDEX feed_by_time; DROP INDEX feed_by_instance'

INSERT_EVENT = (
    'INSERT INTO feed (sequence, ticks, action, instance, version, path, utc_offset_minutes, text)'
    ' VALUES (?, ?, ?, ?, ?, ?, ?, ?)'
)
INSERT_METADATA = 'INSERT INTO blob VALUES (?, ?)'

_EVENTS = f"""
SELECT f.sequence, f.ticks, f.action, i.partition, i.study, i.series, i.sop,
       CASE WHEN i.version IS NULL THEN '{DELETED}' WHEN i.version = f.version THEN '{CURRENT}'
            ELSE '{REPLACED}' END,
       f.path, f.utc_offset_minutes
FROM feed AS f JOIN instance AS i ON i.key = f.instance"""


class FeedTables:
    """The database of one feed. Whoever uses it holds `lock`.

    `next_sequence` and `next_version` are the numbers that will be taken next; the other attributes are described at
    `store.FeedStore`.
    """

    def __init__(
        self, path: Path | str, *, shape: EventShape, external_storage: bool, utc_offset_minutes_of_deletes: int
    ) -> None:
        self.shape = shape
        self.external_storage = external_storage
        self.utc_offset_minutes_of_deletes = utc_offset_minutes_of_deletes
        self.lock = threading.RLock()
        self.database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self.database.close)  # from 3.13 on Python warns of one that is merely dropped
        self.database.executescript('PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;' + _SCHEMA + INDEXES)
        self.next_sequence = self.number('SELECT max(sequence) FROM feed') + 1
        self.next_version = self.number('SELECT max(version) FROM feed') + 1

    def number(self, query: str, *parameters: int) -> int:
        """What a query for a single number gives; 0 for NULL."""
        return int(self.database.execute(query, parameters).fetchone()[0] or 0)

    def events(self, clause: str, *parameters: int) -> list[Event]:
        """Events as they stand now. `clause` is what follows FROM: the feed is `f` there, its instance `i`."""
        return [_event(row) for row in self.database.execute(_EVENTS + clause, parameters)]

    def render(self, clause: str, *parameters: int) -> None:
        """Write the texts of these events anew: what follows from the tables has changed, or the shape has."""
        self.database.executemany(
            'UPDATE feed SET text = ? WHERE sequence = ?',
            ((self.shape.text(event), event.sequence) for event in self.events(clause, *parameters)),
        )

    def render_instance(self, key: int) -> None:
        """Write the texts of all events of an instance anew."""
        self.render(' WHERE f.instance = ?', key)

    def instances(self, study: str, series: str | None, sop: str | None, partition: str) -> list[Instance]:
        """The instances that exist now under a study, a series or a single UID."""
        return [
            Instance(*row)
            for row in self.database.execute(
                'SELECT partition, study, series, sop FROM instance WHERE study = :study AND partition = :partition'
                ' AND (:series IS NULL OR series = :series) AND (:sop IS NULL OR sop = :sop) AND version IS NOT NULL'
                ' ORDER BY key',
                {'study': study, 'series': series, 'sop': sop, 'partition': partition},
            )
        ]

    def instance_key(self, instance: Instance) -> tuple[int, int | None]:
        """The row of the instance, made where missing, and its current version."""
        partition, study, series, sop = instance
        found = self.database.execute(
            'SELECT key, version FROM instance WHERE study = ? AND series = ? AND sop = ? AND partition = ?',
            (study, series, sop, partition),
        ).fetchone()
        if found:
            return found[0], found[1]
        key = self.database.execute(
            'INSERT INTO instance (partition, study, series, sop) VALUES (?, ?, ?, ?)', instance
        ).lastrowid
        assert key is not None
        return key, None

    def take_sequences(self, count: int) -> tuple[int, ...]:
        """Sequence numbers that nobody else will have."""
        with self.lock:
            first = self.next_sequence
            self.next_sequence += count
            return tuple(range(first, self.next_sequence))

    def take_version(self) -> int:
        """A version that no instance has had."""
        self.next_version += 1
        return self.next_version - 1

    def new_path(self, partition: str, version: int, sequence: int) -> str | None:
        """Where external storage, if there is one, keeps a new version."""
        return f'DICOM/{partition}/{version}_{sequence}.dcm' if self.external_storage else None

    def utc_offset_minutes(self, action: str) -> int:
        """The zone in which a new row is written (contract 3.3)."""
        return 0 if action == CREATE else self.utc_offset_minutes_of_deletes


def _event(row: tuple[int, int, str, str, str, str, str, str, str | None, int]) -> Event:
    sequence, ticks, action, partition, study, series, sop, state, path, offset = row
    return Event(sequence, ticks, action, Instance(partition, study, series, sop), state, path, offset)
