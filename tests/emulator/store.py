"""The state behind the change feed, in SQLite, with the service's own order and range semantics as SQL.

Owns: which events are visible and in which order, how writers take a clock value and a sequence number and commit later
or never, and how a change of an instance rewrites the rows that it already has (contract, sections 6 and 8).
Does not own: HTTP (`dicom.py`) and the spelling of an entry (`event_json.py`).

One thing is harsher than the real service: there, a read waits for a writer that has already inserted a row into the
range (8.2). Here it never waits, and finds a hole. A reader that bears this bears the real one.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from itertools import islice
from pathlib import Path
from typing import Callable, Iterable, Iterator, NamedTuple, Sequence

from tests.emulator import ticks as time_ticks
from tests.emulator.event_json import (CREATE, CURRENT, DEFAULT_PARTITION, DELETE, DELETED, RECORDED, REPLACED, UPDATE,
                                       Event, EventShape, Instance)

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
_INDEXES = """
CREATE INDEX IF NOT EXISTS instance_by_uids ON instance (study, sop);
CREATE INDEX IF NOT EXISTS feed_by_time ON feed (ticks, sequence);
CREATE INDEX IF NOT EXISTS feed_by_instance ON feed (instance);
"""

# Filling an empty store is several times as fast without them.
_DROP_INDEXES = 'DROP INDEX instance_by_uids; DROP INDEX feed_by_time; DROP INDEX feed_by_instance'

_TEXTS = 'SELECT f.text FROM feed AS f'
_TEXTS_AND_METADATA = """
SELECT f.text, i.version, b.metadata, i.study, i.series, i.sop
FROM feed AS f JOIN instance AS i ON i.key = f.instance LEFT JOIN blob AS b ON b.version = i.version"""
# The four queries of the service: v1 list, v2 list, v1 latest, v2 latest (contract 2.2 to 2.4).
_BY_SEQUENCE = ' WHERE f.sequence BETWEEN ? + 1 AND ? + ? ORDER BY f.sequence'
_BY_TIME = ' WHERE f.ticks >= ? AND f.ticks < ? ORDER BY f.ticks, f.sequence LIMIT ? OFFSET ?'
_LATEST_BY_SEQUENCE = ' ORDER BY f.sequence DESC LIMIT 1'
_LATEST_BY_TIME = ' ORDER BY f.ticks DESC, f.sequence DESC LIMIT 1'

_EVENTS = f"""
SELECT f.sequence, f.ticks, f.action, i.partition, i.study, i.series, i.sop,
       CASE WHEN i.version IS NULL THEN '{DELETED}' WHEN i.version = f.version THEN '{CURRENT}'
            ELSE '{REPLACED}' END,
       f.path, f.utc_offset_minutes
FROM feed AS f JOIN instance AS i ON i.key = f.instance"""
_INSERT = ('INSERT INTO feed (sequence, ticks, action, instance, version, path, utc_offset_minutes, text)'
           ' VALUES (?, ?, ?, ?, ?, ?, ?, ?)')


class Row(NamedTuple):
    """What `FeedStore.load` takes: an event without the state that follows from the events after it.

    `metadata` is DICOM JSON text; without it an instance has the few attributes that follow from its UIDs.
    """

    sequence: int
    ticks: int
    action: str
    instance: Instance
    metadata: str | None = None


class BlobFailure(Exception):
    """Metadata could not be read. `status` is what the service answers: 503, or 500 where the blob is missing."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Writer:
    """One transaction that will insert feed rows: begun, not yet committed, seen by no reader.

    The clock is always read before the sequence numbers are taken, as in the service's procedures; `commit` takes what
    was not taken before. A transaction that lost its ground (the instance was deleted meanwhile, the database was
    restored) is rolled back, and its `commit` writes nothing. Sequence numbers of a rolled-back writer are burned.
    """

    def __init__(self, store: FeedStore, action: str, instances: Sequence[Instance], metadata: str | None) -> None:
        self._store = store
        self.action = action
        self.instances = tuple(instances)
        self.metadata = metadata
        self.ticks: int | None = None
        self.sequences: tuple[int, ...] = ()
        self.is_open = True

    def take_clock(self, ticks: int | None = None) -> int:
        """Read the server's clock (or use `ticks`): the timestamp of all rows of this writer."""
        self.ticks = self._store.clock() if ticks is None else ticks
        return self.ticks

    def take_sequence(self) -> tuple[int, ...]:
        """Take one sequence number for each instance; they are a hole until `commit`."""
        if self.ticks is None:
            self.take_clock()
        if not self.sequences:
            self.sequences = self._store.burn(len(self.instances))
        return self.sequences

    def commit(self) -> tuple[int, ...]:
        """Make the rows visible. Returns their sequence numbers; none where the writer had been rolled back."""
        return self._store.commit(self)

    def roll_back(self) -> None:
        """Give up. Does nothing when the writer has already ended."""
        self._store.roll_back(self)


class FeedStore:
    """The feed of one DICOM service. All methods may be called from any thread.

    `clock` gives ticks (see `ticks.py`). `external_storage` gives new versions a file path.
    `utc_offset_minutes_of_deletes` is the zone in which rows of deletes and updates are written (contract 3.3).
    `blobs_down` makes every read of metadata fail; `blob_reads` counts them.
    A store on disk can be opened again; numbers burned above its last event are then forgotten.
    """

    def __init__(self, path: Path | str = ':memory:', *, clock: Callable[[], int] = time_ticks.now,
                 shape: EventShape = RECORDED, external_storage: bool = False,
                 utc_offset_minutes_of_deletes: int = 0) -> None:
        self.clock = clock
        self.external_storage = external_storage
        self.utc_offset_minutes_of_deletes = utc_offset_minutes_of_deletes
        self.blobs_down = False
        self.blob_reads = 0
        self._shape = shape
        self._poisoned: dict[int, int] = {}
        self._writers: list[Writer] = []
        self._lock = threading.RLock()
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._database.close)    # from 3.13 on Python warns of one that is merely dropped
        self._database.executescript('PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;' + _SCHEMA + _INDEXES)
        self._next_sequence = self._number('SELECT max(sequence) FROM feed') + 1
        self._next_version = self._number('SELECT max(version) FROM feed') + 1

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    # What a reader sees

    def by_sequence(self, offset: int, limit: int, *, metadata: bool = False) -> list[str]:
        """The entries with a sequence number in offset+1 … offset+limit, as JSON texts.

        OverflowError where that sum is beyond 64 bits, as in the database (contract 2.2).
        """
        if offset + limit >= 2 ** 63:
            raise OverflowError('BIGINT')
        return self._read(_BY_SEQUENCE, (offset, offset, limit), metadata)

    def by_time(self, start: int, end: int, offset: int, limit: int, *, metadata: bool = False) -> list[str]:
        """At most `limit` entries with start <= ticks < end, after the first `offset` of them, by (ticks, sequence)."""
        return self._read(_BY_TIME, (start, end, limit, offset), metadata)

    def skipped(self, start: int, end: int, offset: int) -> int:
        """How many rows of the window `by_time` has to read only to skip them."""
        with self._lock:
            return self._number('SELECT count(*) FROM (SELECT 1 FROM feed WHERE ticks >= ? AND ticks < ? LIMIT ?)',
                                start, end, offset)

    def latest(self, *, by_time: bool, metadata: bool = False) -> str | None:
        """The newest entry by (ticks, sequence), or by sequence; None when there is none."""
        texts = self._read(_LATEST_BY_TIME if by_time else _LATEST_BY_SEQUENCE, (), metadata)
        return texts[0] if texts else None

    # What tests ask for: the truth

    def events(self) -> list[Event]:
        """All committed events as they stand now, by sequence."""
        with self._lock:
            return [_event(row) for row in self._database.execute(_EVENTS + ' ORDER BY f.sequence')]

    def event(self, sequence: int) -> Event:
        """The committed event with that sequence number. Raises KeyError where there is none."""
        with self._lock:
            for row in self._database.execute(_EVENTS + ' WHERE f.sequence = ?', (sequence,)):
                return _event(row)
        raise KeyError(sequence)

    @property
    def next_sequence(self) -> int:
        """The number that the next writer will take."""
        return self._next_sequence

    # Writing

    def create(self, instance: Instance | None = None, *, ticks: int | None = None,
               metadata: str | None = None) -> int:
        """Store an instance (None: a new one in a study of its own); returns the sequence number of its event."""
        writer = self.begin_create(instance, metadata=metadata)
        writer.take_clock(ticks)
        return writer.commit()[0]

    def begin_create(self, instance: Instance | None = None, *, metadata: str | None = None) -> Writer:
        """Begin to store an instance. ValueError where it exists, or another writer is storing it."""
        with self._lock:
            instance = instance or self._new_instance()
            if self._matching(instance.study, instance.series, instance.sop, instance.partition) or any(
                    instance in writer.instances for writer in self._writers if writer.action == CREATE):
                raise ValueError('the instance exists')
            return self._begin(CREATE, [instance], metadata)

    def delete(self, study: str, series: str | None = None, sop: str | None = None, *,
               partition: str = DEFAULT_PARTITION, ticks: int | None = None) -> tuple[int, ...]:
        """Delete a study, a series or an instance: one event for each instance, all with one timestamp."""
        writer = self.begin_delete(study, series, sop, partition=partition)
        writer.take_clock(ticks)
        return writer.commit()

    def begin_delete(self, study: str, series: str | None = None, sop: str | None = None, *,
                     partition: str = DEFAULT_PARTITION) -> Writer:
        """Begin such a delete. Instances that are still being stored are given up without an event."""
        with self._lock:
            for writer in list(self._writers):
                if writer.action == CREATE and _is_in(writer.instances[0], study, series, sop, partition):
                    writer.roll_back()
            return self._begin(DELETE, self._matching(study, series, sop, partition), None)

    def update(self, study: str, *, partition: str = DEFAULT_PARTITION, ticks: int | None = None,
               metadata: str | None = None) -> tuple[int, ...]:
        """Bulk-update a study: a new version and one event for each instance, all with one timestamp."""
        writer = self.begin_update(study, partition=partition, metadata=metadata)
        writer.take_clock(ticks)
        return writer.commit()

    def begin_update(self, study: str, *, partition: str = DEFAULT_PARTITION, metadata: str | None = None) -> Writer:
        """Begin such an update."""
        with self._lock:
            return self._begin(UPDATE, self._matching(study, None, None, partition), metadata)

    def commit(self, writer: Writer) -> tuple[int, ...]:
        """See `Writer.commit`."""
        with self._lock:
            if not writer.is_open:
                return ()
            sequences = writer.take_sequence()
            self._end(writer)
            written = []
            for sequence, instance in zip(sequences, writer.instances):
                key, version = self._instance_key(instance)
                if writer.action != CREATE and version is None:
                    continue  # another writer deleted it meanwhile; the real service would have made that one wait
                self._insert(sequence, writer, key, version)
                written.append(sequence)
            return tuple(written)

    def roll_back(self, writer: Writer) -> None:
        """See `Writer.roll_back`."""
        with self._lock:
            if writer.is_open:
                self._end(writer)

    def burn(self, count: int) -> tuple[int, ...]:
        """Take sequence numbers that no row will have (unless a writer takes them): a hole for ever."""
        with self._lock:
            first = self._next_sequence
            self._next_sequence += count
            return tuple(range(first, self._next_sequence))

    def restore(self, to_sequence: int) -> None:
        """Restore the database to the moment after `to_sequence`: what came later is gone, its numbers come again."""
        with self._lock:
            for writer in list(self._writers):
                writer.roll_back()
            keys = [key for (key,) in self._database.execute(
                'SELECT DISTINCT instance FROM feed WHERE sequence > ?', (to_sequence,))]
            self._database.execute('DELETE FROM feed WHERE sequence > ?', (to_sequence,))
            for key in keys:
                self._database.execute(
                    'UPDATE instance SET version = (SELECT CASE WHEN action = ? THEN NULL ELSE version END FROM feed'
                    ' WHERE feed.instance = instance.key ORDER BY sequence DESC LIMIT 1) WHERE key = ?', (DELETE, key))
                self._render(' WHERE f.instance = ?', key)
            self._next_sequence = to_sequence + 1

    def load(self, rows: Iterable[Row]) -> int:
        """Fill an empty store with many events, given by ascending sequence; returns how many.

        A row is rendered once, and once more if a later one changes its instance.
        """
        with self._lock:
            if self._number('SELECT count(*) FROM feed'):
                raise ValueError('the store is not empty')
            self._database.executescript(_DROP_INDEXES)
            try:
                with self._database:
                    self._database.execute('BEGIN')
                    loaded, changed = self._load(iter(rows))
            finally:
                self._database.executescript(_INDEXES)
            for key in changed:
                self._render(' WHERE f.instance = ?', key)
            return loaded

    # Trouble with metadata, and other spellings

    def poison(self, sequence: int, *, status: int = 503) -> None:
        """Break the metadata that the event shows now, and with it every event that shows the same version."""
        with self._lock:
            self._poisoned[self._version_shown(sequence)] = status

    def mend(self, sequence: int) -> None:
        """Undo `poison` for the version that the event shows now."""
        with self._lock:
            self._poisoned.pop(self._version_shown(sequence), None)

    @property
    def shape(self) -> EventShape:
        """How entries are spelled; setting it spells all of them anew."""
        return self._shape

    @shape.setter
    def shape(self, shape: EventShape) -> None:
        with self._lock:
            self._shape = shape
            self._render('')

    # Below: the lock is held

    def _read(self, clause: str, parameters: tuple[int, ...], metadata: bool) -> list[str]:
        with self._lock:
            if not metadata:
                return [text for (text,) in self._database.execute(_TEXTS + clause, parameters)]
            return [self._with_metadata(*row)
                    for row in self._database.execute(_TEXTS_AND_METADATA + clause, parameters).fetchall()]

    def _with_metadata(self, text: str, version: int | None, metadata: str | None, *uids: str) -> str:
        if version is None:
            return text
        self.blob_reads += 1
        if self.blobs_down or version in self._poisoned:
            raise BlobFailure(self._poisoned.get(version, 503))
        return self._shape.text_with_metadata(text, metadata or _plain_metadata(version, *uids))

    def _begin(self, action: str, instances: Sequence[Instance], metadata: str | None) -> Writer:
        writer = Writer(self, action, instances, metadata)
        self._writers.append(writer)
        return writer

    def _end(self, writer: Writer) -> None:
        writer.is_open = False
        self._writers.remove(writer)

    def _insert(self, sequence: int, writer: Writer, key: int, version: int | None) -> None:
        """One row, and what it does to the rows that the instance already has (contract 8.6)."""
        path = None
        if writer.action != DELETE:
            version, self._next_version = self._next_version, self._next_version + 1
            path = self._new_path(writer.instances[0].partition, version, sequence)
            if writer.metadata is not None:
                self._database.execute('INSERT INTO blob VALUES (?, ?)', (version, writer.metadata))
        self._database.execute('UPDATE instance SET version = ? WHERE key = ?',
                               (None if writer.action == DELETE else version, key))
        self._database.execute(_INSERT, (sequence, writer.ticks, writer.action, key, version, path,
                                         self._utc_offset_minutes(writer.action), ''))
        if writer.action == UPDATE:
            self._database.execute('UPDATE feed SET path = ? WHERE instance = ?', (path, key))
        self._render(' WHERE f.instance = ?', key)

    def _new_path(self, partition: str, version: int, sequence: int) -> str | None:
        return f'DICOM/{partition}/{version}_{sequence}.dcm' if self.external_storage else None

    def _utc_offset_minutes(self, action: str) -> int:
        return 0 if action == CREATE else self.utc_offset_minutes_of_deletes

    def _instance_key(self, instance: Instance) -> tuple[int, int | None]:
        """The row of the instance, made where missing, and its current version."""
        partition, study, series, sop = instance
        found = self._database.execute(
            'SELECT key, version FROM instance WHERE study = ? AND series = ? AND sop = ? AND partition = ?',
            (study, series, sop, partition)).fetchone()
        if found:
            return found[0], found[1]
        key = self._database.execute('INSERT INTO instance (partition, study, series, sop) VALUES (?, ?, ?, ?)',
                                     instance).lastrowid
        assert key is not None
        return key, None

    def _matching(self, study: str, series: str | None, sop: str | None, partition: str) -> list[Instance]:
        """The instances that exist now under a study, a series or a single UID."""
        return [Instance(*row) for row in self._database.execute(
            'SELECT partition, study, series, sop FROM instance WHERE study = :study AND partition = :partition'
            ' AND (:series IS NULL OR series = :series) AND (:sop IS NULL OR sop = :sop) AND version IS NOT NULL'
            ' ORDER BY key', {'study': study, 'series': series, 'sop': sop, 'partition': partition})]

    def _new_instance(self) -> Instance:
        number = self._next_version + len(self._writers)
        while self._matching(study := f'1.2.826.0.1.3680043.10.{number}', None, None, DEFAULT_PARTITION) or any(
                writer.instances and writer.instances[0].study == study for writer in self._writers):
            number += 1
        return Instance(DEFAULT_PARTITION, study, f'{study}.1', f'{study}.1.1')

    def _load(self, rows: Iterator[Row]) -> tuple[int, set[int]]:
        """How many rows were loaded, and the keys of the instances that have more than one."""
        keys: dict[Instance, int] = {}
        versions: list[int | None] = []
        changed: set[int] = set()
        loaded = 0
        while part := list(islice(rows, 10_000)):
            loaded += len(part)
            self._database.executemany(_INSERT, [self._loaded(row, keys, versions, changed) for row in part])
            self._database.executemany('INSERT INTO blob VALUES (?, ?)', [
                (row.sequence, row.metadata) for row in part if row.metadata is not None])
            self._next_sequence = self._next_version = part[-1].sequence + 1
        self._database.executemany('INSERT INTO instance VALUES (?, ?, ?, ?, ?, ?)', (
            (key, *instance, versions[key]) for instance, key in keys.items()))
        return loaded, changed

    def _loaded(self, row: Row, keys: dict[Instance, int], versions: list[int | None],
                changed: set[int]) -> tuple[object, ...]:
        """The row as it looks when nothing comes after it. Its sequence number serves as the version that it makes."""
        sequence, ticks, action, instance, _ = row
        key = keys.setdefault(instance, len(keys))
        version: int | None = sequence
        if key < len(versions):
            changed.add(key)
            if action == DELETE:
                version = versions[key]
            versions[key] = None if action == DELETE else version
        else:
            versions.append(None if action == DELETE else version)
        path = None if action == DELETE else self._new_path(instance.partition, sequence, sequence)
        offset = self._utc_offset_minutes(action)
        event = Event(sequence, ticks, action, instance, DELETED if action == DELETE else CURRENT, path, offset)
        return sequence, ticks, action, key, version, path, offset, self._shape.text(event)

    def _render(self, clause: str, *parameters: int) -> None:
        events = [_event(row) for row in self._database.execute(_EVENTS + clause, parameters)]
        self._database.executemany('UPDATE feed SET text = ? WHERE sequence = ?',
                                   ((self._shape.text(event), event.sequence) for event in events))

    def _version_shown(self, sequence: int) -> int:
        row = self._database.execute('SELECT i.version FROM feed AS f JOIN instance AS i ON i.key = f.instance'
                                     ' WHERE f.sequence = ? AND i.version IS NOT NULL', (sequence,)).fetchone()
        if row is None:
            raise ValueError('no such event, or one of a deleted instance, which shows no metadata')
        return int(row[0])

    def _number(self, query: str, *parameters: int) -> int:
        return int(self._database.execute(query, parameters).fetchone()[0] or 0)


def _event(row: tuple[int, int, str, str, str, str, str, str, str | None, int]) -> Event:
    sequence, ticks, action, partition, study, series, sop, state, path, offset = row
    return Event(sequence, ticks, action, Instance(partition, study, series, sop), state, path, offset)


def _is_in(instance: Instance, study: str, series: str | None, sop: str | None, partition: str) -> bool:
    return (instance.partition == partition and instance.study == study and series in (None, instance.series)
            and sop in (None, instance.sop))


def _plain_metadata(version: int, study: str, series: str, sop: str) -> str:
    """Metadata of an instance that was stored without any: its UIDs, and its version as instance number."""
    return (f'{{"00080018":{{"vr":"UI","Value":["{sop}"]}},"0020000D":{{"vr":"UI","Value":["{study}"]}},'
            f'"0020000E":{{"vr":"UI","Value":["{series}"]}},"00200013":{{"vr":"IS","Value":[{version}]}}}}')
