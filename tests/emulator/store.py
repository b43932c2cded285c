"""The change feed of one service, with the service's own order and range semantics as SQL.

Owned: which events are visible and in which order, which writers may begin, whether metadata can be read, and what a
restore leaves (contract, sections 6 and 8).
Not owned: the tables and the ways into them (`writers.py`), HTTP (`dicom.py`), the spelling of an event
(`event_json.py`).

One thing is harsher than the real service: there, a read waits for a writer that has already inserted a row into the
range (8.2). Here it never waits, and finds a gap. A reader that bears this bears the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.emulator import ticks as time_ticks
from tests.emulator.event_json import CREATE, DEFAULT_PARTITION, DELETE, RECORDED, UPDATE, Event, EventShape, Instance
from tests.emulator.writers import FeedTables, Row, Writer, load

_TEXTS = 'SELECT f.text FROM feed AS f'
_TEXTS_AND_METADATA = """
SELECT f.text, i.version, b.metadata, i.study, i.series, i.sop
FROM feed AS f JOIN instance AS i ON i.key = f.instance LEFT JOIN blob AS b ON b.version = i.version"""
# The four queries of the service: v1 list, v2 list, v1 latest, v2 latest (contract 2.2 to 2.4).
_BY_SEQUENCE = ' WHERE f.sequence BETWEEN ? + 1 AND ? + ? ORDER BY f.sequence'
_BY_TIME = ' WHERE f.ticks >= ? AND f.ticks < ? ORDER BY f.ticks, f.sequence LIMIT ? OFFSET ?'
_LATEST_BY_SEQUENCE = ' ORDER BY f.sequence DESC LIMIT 1'
_LATEST_BY_TIME = ' ORDER BY f.ticks DESC, f.sequence DESC LIMIT 1'


class BlobFailure(Exception):
    """Metadata could not be read. `status` is what the service answers: 503, or 500 where the blob is missing."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class FeedStore:
    """The feed of one DICOM service. All methods may be called from any thread.

    `clock` gives ticks (see `ticks.py`). `external_storage` gives new versions a file path.
    `utc_offset_minutes_of_deletes` is the zone in which rows of deletes and updates are written (contract 3.3).
    `blobs_down` makes every read of metadata fail; `blob_reads` counts them.
    A store on disk can be opened again; numbers burned above its last event are then forgotten.
    """

    def __init__(
        self,
        path: Path | str = ':memory:',
        *,
        clock: Callable[[], int] = time_ticks.now,
        shape: EventShape = RECORDED,
        external_storage: bool = False,
        utc_offset_minutes_of_deletes: int = 0,
    ) -> None:
        self.clock = clock
        self.blobs_down = False
        self.blob_reads = 0
        self._poisoned: dict[int, int] = {}
        self._writers: list[Writer] = []
        self._tables = FeedTables(
            path,
            shape=shape,
            external_storage=external_storage,
            utc_offset_minutes_of_deletes=utc_offset_minutes_of_deletes,
        )
        self._database = self._tables.database
        self._lock = self._tables.lock

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    # What a reader sees

    def by_sequence(self, offset: int, limit: int, *, metadata: bool = False) -> list[str]:
        """The events with a sequence number in offset+1 … offset+limit, as JSON texts.

        OverflowError where that sum is beyond 64 bits, as in the database (contract 2.2).
        """
        if offset + limit >= 2**63:
            raise OverflowError('BIGINT')
        return self._read(_BY_SEQUENCE, (offset, offset, limit), metadata)

    def by_time(self, start: int, end: int, offset: int, limit: int, *, metadata: bool = False) -> list[str]:
        """At most `limit` events with start <= ticks < end, after the first `offset` of them, by (ticks, sequence)."""
        return self._read(_BY_TIME, (start, end, limit, offset), metadata)

    def skipped(self, start: int, end: int, offset: int) -> int:
        """How many rows of the window `by_time` has to read only to skip them."""
        with self._lock:
            return self._tables.number(
                'SELECT count(*) FROM (SELECT 1 FROM feed WHERE ticks >= ? AND ticks < ? LIMIT ?)', start, end, offset
            )

    def latest(self, *, by_time: bool, metadata: bool = False) -> str | None:
        """The newest event by (ticks, sequence), or by sequence; None when there is none."""
        texts = self._read(_LATEST_BY_TIME if by_time else _LATEST_BY_SEQUENCE, (), metadata)
        return texts[0] if texts else None

    # What tests ask for: the truth

    def events(self) -> list[Event]:
        """All committed events as they stand now, by sequence."""
        with self._lock:
            return self._tables.events(' ORDER BY f.sequence')

    def event(self, sequence: int) -> Event:
        """The committed event with that sequence number. Raises KeyError where there is none."""
        with self._lock:
            for event in self._tables.events(' WHERE f.sequence = ?', sequence):
                return event
        raise KeyError(sequence)

    def texts(self) -> list[str]:
        """All committed events with metadata as they stand now, whatever cannot be read; no read counts."""
        with self._lock:
            rows = self._database.execute(f'{_TEXTS_AND_METADATA} ORDER BY f.sequence').fetchall()
            return [self._text_with_metadata(*row) for row in rows]

    @property
    def next_sequence(self) -> int:
        """The number that the next writer will take."""
        return self._tables.next_sequence

    # Writing

    def create(self, instance: Instance | None = None, *, ticks: int | None = None, metadata: str | None = None) -> int:
        """Store an instance (None: a new one in a study of its own); returns the sequence number of its event."""
        writer = self.begin_create(instance, metadata=metadata)
        writer.take_clock(ticks)
        return writer.commit()[0]

    def begin_create(self, instance: Instance | None = None, *, metadata: str | None = None) -> Writer:
        """Begin to store an instance. ValueError where it exists, or another writer is storing it."""
        with self._lock:
            instance = instance or self._new_instance()
            if self._tables.instances(instance.study, instance.series, instance.sop, instance.partition) or any(
                instance in writer.instances for writer in self._writers if writer.action == CREATE
            ):
                raise ValueError('the instance exists')
            return self._begin(CREATE, [instance], metadata)

    def delete(
        self,
        study: str,
        series: str | None = None,
        sop: str | None = None,
        *,
        partition: str = DEFAULT_PARTITION,
        ticks: int | None = None,
    ) -> tuple[int, ...]:
        """Delete a study, a series or an instance: one event for each instance, all with one timestamp."""
        writer = self.begin_delete(study, series, sop, partition=partition)
        writer.take_clock(ticks)
        return writer.commit()

    def begin_delete(
        self, study: str, series: str | None = None, sop: str | None = None, *, partition: str = DEFAULT_PARTITION
    ) -> Writer:
        """Begin such a delete. Instances that are still being stored are given up without an event."""
        with self._lock:
            for writer in list(self._writers):
                if writer.action == CREATE and _is_in(writer.instances[0], study, series, sop, partition):
                    writer.roll_back()
            return self._begin(DELETE, self._tables.instances(study, series, sop, partition), None)

    def update(
        self, study: str, *, partition: str = DEFAULT_PARTITION, ticks: int | None = None, metadata: str | None = None
    ) -> tuple[int, ...]:
        """Bulk-update a study: a new version and one event for each instance, all with one timestamp."""
        writer = self.begin_update(study, partition=partition, metadata=metadata)
        writer.take_clock(ticks)
        return writer.commit()

    def begin_update(self, study: str, *, partition: str = DEFAULT_PARTITION, metadata: str | None = None) -> Writer:
        """Begin such an update."""
        with self._lock:
            return self._begin(UPDATE, self._tables.instances(study, None, None, partition), metadata)

    def burn(self, count: int) -> tuple[int, ...]:
        """Take sequence numbers that no row will have (unless a writer takes them): a gap for ever."""
        return self._tables.take_sequences(count)

    def restore(self, to_sequence: int) -> None:
        """Restore the database to what it was after `to_sequence`: what came later is gone, its numbers come again."""
        with self._lock:
            for writer in list(self._writers):
                writer.roll_back()
            keys = [
                key
                for (key,) in self._database.execute(
                    'SELECT DISTINCT instance FROM feed WHERE sequence > ?', (to_sequence,)
                )
            ]
            self._database.execute('DELETE FROM feed WHERE sequence > ?', (to_sequence,))
            for key in keys:
                self._database.execute(
                    'UPDATE instance SET version = (SELECT CASE WHEN action = ? THEN NULL ELSE version END FROM feed'
                    ' WHERE feed.instance = instance.key ORDER BY sequence DESC LIMIT 1) WHERE key = ?',
                    (DELETE, key),
                )
                self._tables.render_instance(key)
            self._tables.next_sequence = to_sequence + 1

    def load(self, rows: Iterable[Row]) -> int:
        """Fill an empty store with many events, given by ascending sequence; returns how many."""
        return load(self._tables, rows)

    # Trouble with metadata, and other spellings

    def poison(self, sequence: int, *, status: int = 503) -> None:
        """Break the metadata that the event shows now, and with it every event that shows the same version."""
        with self._lock:
            self._poisoned[self._version_shown(sequence)] = status

    def fix(self, sequence: int) -> None:
        """Undo `poison` for the version that the event shows now."""
        with self._lock:
            self._poisoned.pop(self._version_shown(sequence), None)

    @property
    def shape(self) -> EventShape:
        """How events are spelled; setting it spells all of them anew."""
        return self._tables.shape

    @shape.setter
    def shape(self, shape: EventShape) -> None:
        with self._lock:
            self._tables.shape = shape
            self._tables.render('')

    @property
    def external_storage(self) -> bool:
        """Whether versions that come now have a file path."""
        return self._tables.external_storage

    @external_storage.setter
    def external_storage(self, external_storage: bool) -> None:
        self._tables.external_storage = external_storage

    # Below: the lock is held

    def _read(self, clause: str, parameters: tuple[int, ...], metadata: bool) -> list[str]:
        with self._lock:
            if not metadata:
                return [text for (text,) in self._database.execute(_TEXTS + clause, parameters)]
            return [
                self._with_metadata(*row)
                for row in self._database.execute(_TEXTS_AND_METADATA + clause, parameters).fetchall()
            ]

    def _with_metadata(self, text: str, version: int | None, metadata: str | None, *uids: str) -> str:
        if version is None:
            return text
        self.blob_reads += 1
        if self.blobs_down or version in self._poisoned:
            raise BlobFailure(self._poisoned.get(version, 503))
        return self._text_with_metadata(text, version, metadata, *uids)

    def _text_with_metadata(self, text: str, version: int | None, metadata: str | None, *uids: str) -> str:
        if version is None:
            return text
        return self._tables.shape.text_with_metadata(text, metadata or _plain_metadata(version, *uids))

    def _begin(self, action: str, instances: Sequence[Instance], metadata: str | None) -> Writer:
        writer = Writer(
            self._tables, action, instances, metadata=metadata, clock=self.clock, on_end=self._writers.remove
        )
        self._writers.append(writer)
        return writer

    def _new_instance(self) -> Instance:
        number = self._tables.next_version + len(self._writers)
        while self._tables.instances(study := f'1.2.826.0.1.3680043.10.{number}', None, None, DEFAULT_PARTITION) or any(
            writer.instances and writer.instances[0].study == study for writer in self._writers
        ):
            number += 1
        return Instance(DEFAULT_PARTITION, study, f'{study}.1', f'{study}.1.1')

    def _version_shown(self, sequence: int) -> int:
        row = self._database.execute(
            'SELECT i.version FROM feed AS f JOIN instance AS i ON i.key = f.instance'
            ' WHERE f.sequence = ? AND i.version IS NOT NULL',
            (sequence,),
        ).fetchone()
        if row is None:
            raise ValueError('no such event, or one of a deleted instance, which shows no metadata')
        return int(row[0])


def _is_in(instance: Instance, study: str, series: str | None, sop: str | None, partition: str) -> bool:
    return (
        instance.partition == partition
        and instance.study == study
        and series in (None, instance.series)
        and sop in (None, instance.sop)
    )


def _plain_metadata(version: int, study: str, series: str, sop: str) -> str:
    """Metadata of an instance that was stored without any: its UIDs, and its version as instance number."""
    return (
        f'{{"00080018":{{"vr":"UI","Value":["{sop}"]}},"0020000D":{{"vr":"UI","Value":["{study}"]}},'
        f'"0020000E":{{"vr":"UI","Value":["{series}"]}},"00200013":{{"vr":"IS","Value":[{version}]}}}}'
    )
