"""The emulated cloud as one object: composition, start, stop, the environment of a child process, its remote control.

Owned: how the parts are put together and how long they live; the control plane below `/_emulator/`, over plain http,
which translates requests of other processes into calls of the default DICOM service and the journal. Bodies are JSON
objects and may be left out where every field has a default.
Not owned: what each part does.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router

from tests.emulator import trouble
from tests.emulator.arm import ARM_HOSTS, Arm, DicomResource
from tests.emulator.dicom import READER, DicomService
from tests.emulator.entra import AUTHORITY_HOSTS, DICOM_AUDIENCE, GRAPH_HOST, Entra
from tests.emulator.hosts import CertificateAuthority, Hosts, front_door
from tests.emulator.identities import HOME_TENANT, READERS
from tests.emulator.journal import Journal
from tests.emulator.role_assignments import Assignment
from tests.emulator.token_endpoints import (
    CLOUD_SHELL_HOST,
    MANAGED_IDENTITY_FOLDER,
    TokenEndpoints,
    cloud_shell_environment,
    managed_identity_environment,
)
from tests.emulator.trouble import Trouble
from tests.emulator.troubled import Troubled

DICOM_SUFFIX = 'dicom.azurehealthcareapis.com'
PRIVATE_HOST = 'dicom.hospital.example'
PRIVATE_AUDIENCE = 'api://private-dicom'


class Emulator:
    """A local Azure on 127.0.0.1, served by a daemon thread between `start` and `stop` (or in a `with` block).

    `directory` keeps the CA file (default: a temporary one), `port` 0 takes a free one, `latency_seconds` is added to
    every answer of the DICOM services.

    `sign_in_trouble` stands in front of Entra ID, of the managed identity's endpoint and of Cloud Shell's broker;
    `proxy_refusals` maps hosts, or `*`, to the status with which the proxy refuses CONNECT.
    """

    def __init__(self, *, directory: Path | None = None, port: int = 0, latency_seconds: float = 0.0) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix='azure-emulator-') if directory is None else None
        self.directory = directory or Path(self._temporary.name if self._temporary else '')
        self._latency_seconds = latency_seconds
        self._socket = _listening_socket(port)
        self.port: int = self._socket.getsockname()[1]
        self.base_url = self.proxy_url = f'http://127.0.0.1:{self.port}'
        self.journal = Journal()
        self.entra = Entra(self.journal)
        self.arm = Arm(self.entra)
        self.arm.assign = self._assign
        self.token_endpoints = TokenEndpoints(self.entra, self.journal)
        self.sign_in_trouble = Trouble()
        self.services: dict[str, DicomService] = {}
        self._authority = CertificateAuthority(self.directory / 'emulator-ca.pem')
        self.ca_file = self._authority.ca_file
        self._hosts = Hosts(self.journal)
        self.proxy_refusals = self._hosts.refusals
        self.service = self.add_service('contoso', 'imaging')
        self.private_service = self._private_service()
        self._add_hosts()
        self._server = self._make_server()
        self._thread = threading.Thread(target=self._serve, name='emulator', daemon=True)

    @property
    def service_url(self) -> str:
        """The default service, as its users name it."""
        return 'https://contoso-imaging.' + DICOM_SUFFIX

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs, beside its own environment, to live in this cloud."""
        ca_file = str(self.ca_file)
        return {
            'HTTPS_PROXY': self.proxy_url,
            'https_proxy': self.proxy_url,
            'NO_PROXY': '127.0.0.1',
            'no_proxy': '127.0.0.1',
            'REQUESTS_CA_BUNDLE': ca_file,
            'CURL_CA_BUNDLE': ca_file,
            'SSL_CERT_FILE': ca_file,
        }

    @property
    def managed_identity_environment(self) -> dict[str, str]:
        return {**self.environment, **managed_identity_environment(self.base_url)}

    @property
    def cloud_shell_environment(self) -> dict[str, str]:
        return {**self.environment, **cloud_shell_environment(self.proxy_url)}

    def add_service(
        self, workspace: str, name: str, *, suffix: str = DICOM_SUFFIX, audience: str = DICOM_AUDIENCE, **options: Any
    ) -> DicomService:
        """Deploy a DICOM service: its host, its ARM resource, and the reader role for the demo readers.

        `options` go to DicomService.
        """
        host = f'{workspace}-{name}.{suffix}'
        audiences = [audience, audience + '/']
        self.arm.dicom_services.append(DicomResource(workspace, name, f'https://{host}', audiences=list(audiences)))
        return self._deploy(host, audiences=audiences, **options)

    def start(self) -> Emulator:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(timeout=60)
        if self._temporary is not None:
            self._temporary.cleanup()

    @property
    def is_serving(self) -> bool:
        return self._thread.is_alive()

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _deploy(self, host: str, *, audiences: list[str], **options: Any) -> DicomService:
        service = DicomService(
            verify=partial(self.entra.verify, audiences=audiences, tenant=HOME_TENANT),
            journal=self.journal,
            host=host,
            latency_seconds=self._latency_seconds,
            audiences=audiences,
            authority=f'https://login.microsoftonline.com/{HOME_TENANT.id}',
            role_assignments={reader.object_ids[HOME_TENANT.id]: {READER} for reader in READERS},
            **options,
        )
        self.entra.resources.update(audience.rstrip('/') for audience in audiences)
        self.services[host] = service
        self._hosts.add(host, service)
        return service

    def _assign(self, resource: DicomResource, assignment: Assignment) -> None:
        host = urlsplit(resource.service_url).hostname or ''
        self.services[host].grant(assignment.principal_id, assignment.role)

    def _private_service(self) -> DicomService:
        """A server of one's own, with an audience of its own: by name through the proxy, and by plain http directly."""
        return self._deploy(PRIVATE_HOST, audiences=[PRIVATE_AUDIENCE])

    def _add_hosts(self) -> None:
        for host in (*AUTHORITY_HOSTS, GRAPH_HOST):
            self._hosts.add(host, Troubled(self.entra.app, self.sign_in_trouble))
        for host in ARM_HOSTS:
            self._hosts.add(host, self.arm.app)
        self._hosts.add(CLOUD_SHELL_HOST, Troubled(self.token_endpoints.cloud_shell_app, self.sign_in_trouble))
        control = Mount('/_emulator', Control(self.service, self.journal).app)
        identity = Troubled(self.token_endpoints.managed_identity_app, self.sign_in_trouble)
        loopback = Router(
            [Mount(MANAGED_IDENTITY_FOLDER, identity), control],
            default=self.private_service,
        )
        self._hosts.add(f'127.0.0.1:{self.port}', loopback)
        self._hosts.add(f'localhost:{self.port}', loopback)

    def _make_server(self) -> uvicorn.Server:
        config = uvicorn.Config(
            self._hosts,
            http=front_door(self._authority, self._hosts),  # type: ignore[arg-type]
            loop='auto',  # uvloop, where there is one
            ws='none',
            lifespan='off',
            log_config=None,
            log_level='error',
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        return uvicorn.Server(config)

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])


def _listening_socket(port: int) -> socket.socket:
    """Listening from now on, so that a client may connect before the server's first turn."""
    listener = socket.socket()
    if os.name == 'posix':
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(('127.0.0.1', port))
    listener.listen(1024)
    return listener


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
    """`app` answers: GET and DELETE `journal`; POST `store`, `update`, `delete`, `burn`, `latency`; POST and DELETE
    `poison` and `trouble`.
    """

    def __init__(self, service: DicomService, journal: Journal) -> None:
        self._service = service
        self._journal = journal
        self.app = Starlette(
            routes=[
                Route('/journal', self._show_journal, methods=['GET']),
                Route('/journal', self._clear_journal, methods=['DELETE']),
                Route('/store', self._store, methods=['POST']),
                Route('/update', self._update, methods=['POST']),
                Route('/delete', self._delete, methods=['POST']),
                Route('/poison', self._poison, methods=['POST']),
                Route('/poison', self._fix, methods=['DELETE']),
                Route('/burn', self._burn, methods=['POST']),
                Route('/latency', self._set_latency, methods=['POST']),
                Route('/trouble', self._make_trouble, methods=['POST']),
                Route('/trouble', self._end_trouble, methods=['DELETE']),
            ]
        )

    async def _show_journal(self, _: Request) -> Response:
        """The counters, the hosts asked for, and the CPU seconds of this process."""
        shown = {
            **self._journal.counters(),
            'blobs_read': self._service.store.blob_reads,
            'hosts': sorted(self._journal.hosts),
            'cpu_seconds': time.process_time(),
        }
        return JSONResponse(shown)

    async def _clear_journal(self, _: Request) -> Response:
        self._journal.clear()
        self._service.store.blob_reads = 0
        return Response(status_code=204)

    async def _store(self, request: Request) -> Response:
        """`{"count": 1}`: store so many new instances, with `metadata` (DICOM JSON) if there are any."""
        fields = await _fields(request)
        metadata = _metadata_in(fields)
        return _sequences([self._service.store.create(metadata=metadata) for _ in range(fields.get('count', 1))])

    async def _update(self, request: Request) -> Response:
        """`{"sequence": 17}`: update the study of that event, with `metadata` if there are any."""
        fields = await _fields(request)
        instance = self._service.store.event(fields['sequence']).instance
        return _sequences(self._service.store.update(instance.study, metadata=_metadata_in(fields)))

    async def _delete(self, request: Request) -> Response:
        """`{"sequence": 17}`: delete the instance of that event."""
        instance = self._service.store.event((await _fields(request))['sequence']).instance
        return _sequences(self._service.store.delete(instance.study, instance.series, instance.sop))

    async def _poison(self, request: Request) -> Response:
        """`{"sequence": 17}`: the metadata that this event shows cannot be read any more."""
        self._service.store.poison((await _fields(request))['sequence'])
        return Response(status_code=204)

    async def _fix(self, request: Request) -> Response:
        """`{"sequence": 17}`: they can."""
        self._service.store.fix((await _fields(request))['sequence'])
        return Response(status_code=204)

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


def _metadata_in(fields: dict[str, Any]) -> str | None:
    return json.dumps(fields['metadata']) if 'metadata' in fields else None


def _sequences(sequences: Any) -> Response:
    return JSONResponse({'sequences': list(sequences)})
