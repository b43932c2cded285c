"""What the emulator was asked: the counters and lists that tests assert on.

Owned: the record of requests, token requests, skipped rows and refused hosts, under one lock. Lists returned are
copies, so a test may iterate while requests arrive.
Not owned: any judgement; bodies and answers, which are not kept.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    `status` is 0 where the connection ended before an answer began; `headers` are the request's, with lower-case keys;
    `query` is the raw text behind the question mark; `body_size` is the size of the answer's body in bytes.
    """

    host: str
    method: str
    path: str
    query: str
    status: int
    headers: Mapping[str, str]
    body_size: int


class Journal:
    """Thread-safe record of what was asked since the start or the last `clear`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._token_requests: list[dict[str, str]] = []
        self._refused_hosts: list[str] = []
        self._rows_skipped = 0
        self._rows_read = 0

    def record(self, request: Request) -> None:
        with self._lock:
            self._requests.append(request)

    def record_token_request(self, **fields: str) -> None:
        """Note what a token endpoint was asked: grant, scope, claims, tenant, principal; never a secret or a token."""
        with self._lock:
            self._token_requests.append(fields)

    def record_refused_host(self, host: str) -> None:
        with self._lock:
            self._refused_hosts.append(host)

    def add_rows_skipped(self, count: int) -> None:
        """Add rows that a service had to read and throw away to reach an offset."""
        with self._lock:
            self._rows_skipped += count

    def add_rows_read(self, count: int) -> None:
        """Add rows that a service gave in the answer to a list."""
        with self._lock:
            self._rows_read += count

    @property
    def requests(self) -> list[Request]:
        with self._lock:
            return list(self._requests)

    @property
    def token_requests(self) -> list[dict[str, str]]:
        with self._lock:
            return list(self._token_requests)

    @property
    def refused_hosts(self) -> list[str]:
        with self._lock:
            return list(self._refused_hosts)

    @property
    def rows_skipped(self) -> int:
        with self._lock:
            return self._rows_skipped

    @property
    def hosts(self) -> set[str]:
        """Hosts that were asked for something, refused ones included."""
        with self._lock:
            return {request.host for request in self._requests} | set(self._refused_hosts)

    def counters(self) -> dict[str, int]:
        with self._lock:
            return {
                'requests': len(self._requests),
                'token_requests': len(self._token_requests),
                'rows_skipped': self._rows_skipped,
                'rows_read': self._rows_read,
                'refused_hosts': len(self._refused_hosts),
            }

    def clear(self) -> None:
        with self._lock:
            self._requests.clear()
            self._token_requests.clear()
            self._refused_hosts.clear()
            self._rows_skipped = self._rows_read = 0
