"""The emulator in a process of its own, so that its work is neither the client's nor held up by the measuring.

Owns that process and its control plane as methods.
"""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import requests

_SETTLED_SECONDS = 3600.0
_ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class _Address:
    environment: dict[str, str]
    service_url: str
    control_url: str
    last_sequence: int


class Server:
    """Serves a sample feed of so many events between `__enter__` and `__exit__`.

    With `metadata_bytes` it is a marked one (`marked_feed.py`), with metadata of about that size. All of them are
    settled, as those of an archive are. `environment` is what leads a client to this cloud.
    """

    def __init__(self, *, events: int, metadata: bool, metadata_bytes: int | None = None) -> None:
        spawning = multiprocessing.get_context('spawn')
        self.events = events
        self._connection, theirs = spawning.Pipe()
        self._process = spawning.Process(target=_serve, args=(theirs, events, metadata, metadata_bytes), daemon=True)

    def __enter__(self) -> Server:
        self._process.start()
        address: _Address = self._connection.recv()
        self.environment, self.service_url = address.environment, address.service_url
        self.last_sequence = address.last_sequence
        self._control_url = address.control_url
        self._control = requests.Session()
        self._control.trust_env = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._control.close()
        self._connection.close()
        self._process.join(timeout=_ANSWER_SECONDS)

    @property
    def cpu_seconds(self) -> float:
        """Processor time that the server has used since it began."""
        return float(self._asked('GET', 'journal')['cpu_seconds'])

    @property
    def counted(self) -> dict[str, Any]:
        """The counters of the journal since it was cleared."""
        return self._asked('GET', 'journal')

    @property
    def rows_skipped(self) -> int:
        """Rows that the service had to read and throw away since the journal was cleared."""
        return int(self._asked('GET', 'journal')['rows_skipped'])

    def clear_journal(self) -> None:
        self._asked('DELETE', 'journal')

    def set_latency(self, seconds: float) -> None:
        """Have every answer of the feed take so much longer from now on."""
        self._asked('POST', 'latency', seconds=seconds)

    def store(self) -> int:
        """Commit one new instance; the sequence number of its event."""
        return int(self._asked('POST', 'store', count=1)['sequences'][0])

    def _asked(self, method: str, name: str, **fields: Any) -> dict[str, Any]:
        answer = self._control.request(method, f'{self._control_url}/{name}', json=fields, timeout=_ANSWER_SECONDS)
        answer.raise_for_status()
        return dict(answer.json()) if answer.content else {}


def _serve(connection: Connection, events: int, metadata: bool, metadata_bytes: int | None) -> None:
    # Here, because what the measuring process weighs would count as its children's peak memory (`process.py`).
    from benchmarks.marked_feed import marked_feed
    from tests.emulator import ticks
    from tests.emulator.cloud import Emulator
    from tests.emulator.sample import sample_feed

    with Emulator() as emulator:
        store = emulator.service.store
        end = ticks.now() - int(_SETTLED_SECONDS * ticks.PER_SECOND)
        if metadata_bytes is None:
            store.load(sample_feed(events, metadata=metadata, end_ticks=end))
        else:
            store.load(marked_feed(events, metadata_bytes=metadata_bytes, end_ticks=end))
        connection.send(
            _Address(
                emulator.environment, emulator.service_url, f'{emulator.base_url}/_emulator', store.next_sequence - 1
            )
        )
        connection.poll(None)  # true when the measuring process closes its end, or has ended
