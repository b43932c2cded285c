"""Filling an empty feed with many events at once.

Owns: the row that is given, and the short way from it into the tables.
Does not own: the tables (`feed_tables.py`), and what one event at a time does to them (`writers.py`). Both ways end in
the same tables; a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from tests.emulator.event_json import CURRENT, DELETE, DELETED, Event, Instance
from tests.emulator.feed_tables import DROP_INDEXES, INDEXES, INSERT_EVENT, INSERT_METADATA, FeedTables

_ROWS_AT_ONCE = 10_000


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
        tables.database.executescript(DROP_INDEXES)  # several times as fast without them
        try:
            with tables.database:
                tables.database.execute('BEGIN')
                loaded = loading.insert(rows)
        finally:
            tables.database.executescript(INDEXES)
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
            database.executemany(INSERT_EVENT, [self._loaded(row) for row in part])
            database.executemany(
                INSERT_METADATA, [(row.sequence, row.metadata) for row in part if row.metadata is not None]
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
