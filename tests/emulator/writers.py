"""The rows behind the change feed, in SQLite, and the two ways into them: writers' transactions, and many rows at once.

Owned: the schema, the state and the text that each event has now, the counters from which sequence numbers and versions
come; how a writer takes a clock value and sequence numbers (contract, section 8), and how a change of an instance
rewrites the rows that it already has (8.6); the bulk load of an empty feed. Both ways end in the same rows; a test
compares them.
Not owned: what a reader sees, which writers may begin, and which lose their ground (`store.py`).
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tests.emulator.event_json import CREATE, CURRENT, DELETE, DELETED, REPLACED, UPDATE, Event, EventShape, Instance

_SCHEMA = """
CREATE TABLE IF NOT EXISTS instance (
    key INTEGER PRIMARY KEY, partition TEXT, study TEXT, series TEXT, sop TEXT,
    version INTEGER);                       -- the current one; NULL: deleted
CREATE TABLE IF NOT EXISTS feed (
    sequence INTEGER PRIMARY KEY, ticks INTEGER, action TEXT, instance INTEGER,
    version INTEGER,                        -- the instance's version that this event made or deleted
    path TEXT, utc_offset_minutes INTEGER,
    text TEXT);                             -- the event as it is sent now, without metadata
CREATE TABLE IF NOT EXISTS blob (version INTEGER PRIMARY KEY, metadata TEXT);
"""
_INDEXES = """
CREATE INDEX IF NOT EXISTS instance_by_uids ON instance (study, sop);
CREATE INDEX IF NOT EXISTS feed_by_time ON feed (ticks, sequence);
CREATE INDEX IF NOT EXISTS feed_by_instance ON feed (instance);
"""
_DROP_INDEXES = 'DROP INDEX instance_by_uids; DROP INDEX feed_by_time; DROP INDEX feed_by_instance'

_INSERT_EVENT = (
    'INSERT INTO feed (sequence, ticks, action, instance, version, path, utc_offset_minutes, text)'
    ' VALUES (?, ?, ?, ?, ?, ?, ?, ?)'
)
_INSERT_METADATA = 'INSERT INTO blob VALUES (?, ?)'

_EVENTS = f"""
SELECT f.sequence, f.ticks, f.action, i.partition, i.study, i.series, i.sop,
       CASE WHEN i.version IS NULL THEN '{DELETED}' WHEN i.version = f.version THEN '{CURRENT}'
            ELSE '{REPLACED}' END,
       f.path, f.utc_offset_minutes
FROM feed AS f JOIN instance AS i ON i.key = f.instance"""
_ROWS_AT_ONCE = 10_000


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
        self.database.executescript('PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;' + _SCHEMA + _INDEXES)
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


class Writer:
    """One transaction that will insert feed rows: begun, not yet committed, seen by no reader.

    The clock is always read before the sequence numbers are taken, as in the service's procedures; `commit` takes what
    was not taken before. A transaction that lost its ground (the instance was deleted meanwhile, the database was
    restored) is rolled back, and its `commit` writes nothing. Sequence numbers of a rolled-back writer are burned.
    `on_end` is told once, when the writer commits or is rolled back.
    """

    def __init__(
        self,
        tables: FeedTables,
        action: str,
        instances: Sequence[Instance],
        *,
        metadata: str | None,
        clock: Callable[[], int],
        on_end: Callable[[Writer], None],
    ) -> None:
        self._tables = tables
        self._clock = clock
        self._on_end = on_end
        self.action = action
        self.instances = tuple(instances)
        self.metadata = metadata
        self.ticks: int | None = None
        self.sequences: tuple[int, ...] = ()
        self.is_open = True

    def take_clock(self, ticks: int | None = None) -> int:
        """Read the server's clock (or use `ticks`): the timestamp of all rows of this writer."""
        self.ticks = self._clock() if ticks is None else ticks
        return self.ticks

    def take_sequence(self, count: int | None = None) -> tuple[int, ...]:
        """Take sequence numbers for the next `count` instances (None: for all that have none); returns all so far.

        They are a gap until `commit`. A statement takes them row by row, so those of other writers may fall between
        (contract 11.6).
        """
        if self.ticks is None:
            self.take_clock()
        missing = len(self.instances) - len(self.sequences)
        self.sequences += self._tables.take_sequences(missing if count is None else min(count, missing))
        return self.sequences

    def commit(self) -> tuple[int, ...]:
        """Make the rows visible. Returns their sequence numbers; none where the writer had been rolled back."""
        with self._tables.lock:
            if not self.is_open:
                return ()
            sequences = self.take_sequence()
            self._end()
            written = []
            for sequence, instance in zip(sequences, self.instances, strict=False):
                key, version = self._tables.instance_key(instance)
                if self.action != CREATE and version is None:
                    continue  # another writer deleted it meanwhile; the real service would have made that one wait
                self._insert(sequence, key, version)
                written.append(sequence)
            return tuple(written)

    def roll_back(self) -> None:
        """Give up. Does nothing when the writer has already ended."""
        with self._tables.lock:
            if self.is_open:
                self._end()

    def _end(self) -> None:
        self.is_open = False
        self._on_end(self)

    def _insert(self, sequence: int, key: int, version: int | None) -> None:
        """One row, and what it does to the rows that the instance already has (contract 8.6)."""
        tables, database = self._tables, self._tables.database
        path = None
        if self.action != DELETE:
            version = tables.take_version()
            path = tables.new_path(self.instances[0].partition, version, sequence)
            if self.metadata is not None:
                database.execute(_INSERT_METADATA, (version, self.metadata))
        database.execute(
            'UPDATE instance SET version = ? WHERE key = ?', (None if self.action == DELETE else version, key)
        )
        database.execute(
            _INSERT_EVENT,
            (sequence, self.ticks, self.action, key, version, path, tables.utc_offset_minutes(self.action), ''),
        )
        if self.action == UPDATE:
            database.execute('UPDATE feed SET path = ? WHERE instance = ?', (path, key))
        tables.render_instance(key)


class Row(NamedTuple):
    """An event without the state that follows from the events after it.

    `metadata` is DICOM JSON text; without it an instance has the few attributes that follow from its UIDs.
    """

    sequence: int
    ticks: int
    action: str
    instance: Instance
    metadata: str | None = None


def load(tables: FeedTables, rows: Iterable[Row]) -> int:
    """Fill empty tables with events, given by ascending sequence; returns how many. ValueError where there are some.

    A row is rendered once, and once more if a later one changes its instance.
    """
    with tables.lock:
        if tables.number('SELECT count(*) FROM feed'):
            raise ValueError('the store is not empty')
        loading = _Loading(tables)
        tables.database.executescript(_DROP_INDEXES)  # several times as fast without them
        try:
            with tables.database:
                tables.database.execute('BEGIN')
                loaded = loading.insert(rows)
        finally:
            tables.database.executescript(_INDEXES)
        for key in loading.changed:
            tables.render_instance(key)
        return loaded


class _Loading:
    """What is known of the instances while their rows go in; `changed` are the keys of those with more than one row."""

    def __init__(self, tables: FeedTables) -> None:
        self.changed: set[int] = set()
        self._tables = tables
        self._keys: dict[Instance, int] = {}
        self._versions: list[int | None] = []

    def insert(self, rows: Iterable[Row]) -> int:
        tables, database, rows = self._tables, self._tables.database, iter(rows)
        loaded = 0
        while part := list(islice(rows, _ROWS_AT_ONCE)):
            loaded += len(part)
            database.executemany(_INSERT_EVENT, [self._loaded(row) for row in part])
            database.executemany(
                _INSERT_METADATA, [(row.sequence, row.metadata) for row in part if row.metadata is not None]
            )
            tables.next_sequence = tables.next_version = part[-1].sequence + 1
        database.executemany(
            'INSERT INTO instance VALUES (?, ?, ?, ?, ?, ?)',
            ((key, *instance, self._versions[key]) for instance, key in self._keys.items()),
        )
        return loaded

    def _loaded(self, row: Row) -> tuple[object, ...]:
        """The row as it looks when nothing comes after it. Its sequence number serves as the version that it makes."""
        sequence, ticks, action, instance, _ = row
        tables, versions = self._tables, self._versions
        key = self._keys.setdefault(instance, len(self._keys))
        version: int | None = sequence
        if key < len(versions):
            self.changed.add(key)
            if action == DELETE:
                version = versions[key]
            versions[key] = None if action == DELETE else version
        else:
            versions.append(None if action == DELETE else version)
        path = None if action == DELETE else tables.new_path(instance.partition, sequence, sequence)
        offset = tables.utc_offset_minutes(action)
        event = Event(sequence, ticks, action, instance, DELETED if action == DELETE else CURRENT, path, offset)
        return sequence, ticks, action, key, version, path, offset, tables.shape.text(event)
