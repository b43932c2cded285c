"""The control plane below `/_emulator/`: the emulator's own interface for other processes, over plain http.

Owns the translation of requests into calls of the default DICOM service and the journal; no behaviour of its own.
Bodies are JSON objects and may be left out where every field has a default.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.emulator import trouble
from tests.emulator.dicom import DicomService
from tests.emulator.journal import Journal

FAULTS: dict[str, Callable[..., trouble.Fault]] = {
    make.__name__: make
    for make in (
        trouble.status,
        trouble.throttled,
        trouble.server_error,
        trouble.unavailable,
        trouble.web_page,
        trouble.transient_400,
        trouble.redirect,
        trouble.cut,
        trouble.cut_body,
        trouble.hang,
        trouble.malformed_json,
        trouble.huge_body,
        trouble.expired_token,
    )
}


class Control:
    """`app` answers: GET and DELETE `journal`; POST `store`, `delete`, `burn`, `latency`; POST and DELETE `trouble`."""

    def __init__(self, service: DicomService, journal: Journal) -> None:
        self._service = service
        self._journal = journal
        self.app = Starlette(
            routes=[
                Route('/journal', self._show_journal, methods=['GET']),
                Route('/journal', self._clear_journal, methods=['DELETE']),
                Route('/store', self._store, methods=['POST']),
                Route('/delete', self._delete, methods=['POST']),
                Route('/burn', self._burn, methods=['POST']),
                Route('/latency', self._set_latency, methods=['POST']),
                Route('/trouble', self._make_trouble, methods=['POST']),
                Route('/trouble', self._end_trouble, methods=['DELETE']),
            ]
        )

    async def _show_journal(self, _: Request) -> Response:
        """The counters, the hosts asked for, and the CPU seconds of this process."""
        hosts = sorted(self._journal.hosts)
        return JSONResponse({**self._journal.counters(), 'hosts': hosts, 'cpu_seconds': time.process_time()})

    async def _clear_journal(self, _: Request) -> Response:
        self._journal.clear()
        return Response(status_code=204)

    async def _store(self, request: Request) -> Response:
        """`{"count": 1}`: store so many new instances."""
        count = (await _fields(request)).get('count', 1)
        return _sequences([self._service.store.create() for _ in range(count)])

    async def _delete(self, request: Request) -> Response:
        """`{"sequence": 17}`: delete the instance of that event."""
        instance = self._service.store.event((await _fields(request))['sequence']).instance
        return _sequences(self._service.store.delete(instance.study, instance.series, instance.sop))

    async def _burn(self, request: Request) -> Response:
        """`{"count": 1}`: take so many sequence numbers that no event will have."""
        return _sequences(self._service.store.burn((await _fields(request)).get('count', 1)))

    async def _set_latency(self, request: Request) -> Response:
        """`{"seconds": 0.02}`: added to every answer from now on."""
        self._service.latency_seconds = (await _fields(request))['seconds']
        return Response(status_code=204)

    async def _make_trouble(self, request: Request) -> Response:
        """`{"fault": "throttled", "options": {"retry_after": 2}, "times": 3}`; for the next requests, by default one.

        With `"every": 20` (and a `"seed"`) it hits one of every 20 requests until the trouble is deleted.
        """
        fields = await _fields(request)
        fault = FAULTS[fields['fault']](**fields.get('options', {}))
        if 'every' in fields:
            self._service.trouble.every(fields['every'], [fault], seed=fields.get('seed', 1))
        else:
            self._service.trouble.next(fault, times=fields.get('times', 1))
        return Response(status_code=204)

    async def _end_trouble(self, _: Request) -> Response:
        self._service.trouble.clear()
        return Response(status_code=204)


async def _fields(request: Request) -> dict[str, Any]:
    body = await request.body()
    return dict(json.loads(body)) if body else {}


def _sequences(sequences: Any) -> Response:
    return JSONResponse({'sequences': list(sequences)})
