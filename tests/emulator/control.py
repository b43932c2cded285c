"""The control plane below `/_emulator/`: the emulator's own interface for other processes, over plain http.

Owns the translation of requests into calls of the default DICOM service and the journal; no behaviour of its own.
"""
from __future__ import annotations

import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.emulator.dicom import DicomService
from tests.emulator.journal import Journal


def control_app(service: DicomService, journal: Journal) -> Starlette:
    """`GET journal` (counters, hosts, CPU seconds of this process) and `DELETE journal` (begin anew)."""

    async def show_journal(_: Request) -> Response:
        return JSONResponse({
            **journal.counters(),
            "hosts": sorted(journal.hosts),
            "cpu_seconds": time.process_time(),
        })

    async def clear_journal(_: Request) -> Response:
        journal.clear()
        return Response(status_code=204)

    return Starlette(routes=[
        Route("/journal", show_journal, methods=["GET"]),
        Route("/journal", clear_journal, methods=["DELETE"]),
    ])
