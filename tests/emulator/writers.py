"""Writers: the transactions that put events into the feed, commit late or never, and take numbers meanwhile.

Owns: how a writer takes a clock value and a sequence number (contract, section 8), and how a change of an instance
rewrites the rows that it already has (8.6).
Does not own: which writers may begin, and which lose their ground (`store.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.emulator.event_json import CREATE, DELETE, UPDATE, Instance
from tests.emulator.feed_tables import INSERT_EVENT, INSERT_METADATA, FeedTables


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
                database.execute(INSERT_METADATA, (version, self.metadata))
        database.execute(
            'UPDATE instance SET version = ? WHERE key = ?', (None if self.action == DELETE else version, key)
        )
        database.execute(
            INSERT_EVENT,
            (sequence, self.ticks, self.action, key, version, path, tables.utc_offset_minutes(self.action), ''),
        )
        if self.action == UPDATE:
            database.execute('UPDATE feed SET path = ? WHERE instance = ?', (path, key))
        tables.render_instance(key)
