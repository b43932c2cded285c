"""Orthanc, an image archive, as the DICOMweb side of a service: Debian's `orthanc` and its plugin `orthanc-dicomweb`.

Owned: the process with a folder and a port of its own, and where its answers differ from the service's. Not owned:
tokens and roles, which the service checks before it asks (`dicom.py`).
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.emulator.hosts import Receive, Scope, Send
from tests.emulator.trouble import Response

PROGRAM = Path('/usr/sbin/Orthanc')
PLUGIN = Path('/usr/share/orthanc/plugins/libOrthancDicomWeb.so')
IS_INSTALLED = PROGRAM.exists() and PLUGIN.exists()

_SECONDS = 60
_RESOURCE = re.compile(r'/v[12]/studies/([0-9.]+)(?:/series/([0-9.]+)(?:/instances/([0-9.]+))?)?/?')
_FOLDERS = ('studies', 'series', 'instances')
_HOP_BY_HOP = {'connection', 'keep-alive', 'transfer-encoding', 'content-length', 'expect'}


class Orthanc:
    """One that runs. `url` is its own interface, with DICOMweb at `/v2`; nothing of both wants a token."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f'http://127.0.0.1:{port}'

    def ask(self, method: str, path: str, body: bytes = b'', headers: Mapping[str, str] | None = None) -> Response:
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=_SECONDS)
        try:
            connection.request(method, path, body or None, dict(headers or {}))
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
            return Response(answer.status, kept, answer.read())
        finally:
            connection.close()

    def find(self, uid: str) -> list[str]:
        """Paths of the studies, series and instances with this UID: Orthanc has identifiers of its own."""
        return [found['Path'] for found in json.loads(self.ask('POST', '/tools/lookup', uid.encode()).body)]

    def file(self, sop_instance_uid: str) -> bytes:
        """An instance as it was stored."""
        (path,) = self.find(sop_instance_uid)
        return self.ask('GET', f'{path}/file').body

    def clear(self) -> None:
        """Delete everything."""
        for study in json.loads(self.ask('GET', '/studies').body):
            self.ask('DELETE', f'/studies/{study}')

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI face. Bodies are as small as sample files are, and are held in memory."""
        body = b''.join([piece async for piece in _pieces(receive)])
        answer = await asyncio.to_thread(self._serve, scope, body)
        headers = [(name.lower().encode(), value.encode('latin-1')) for name, value in answer.headers.items()]
        if answer.status != 204:
            headers.append((b'content-length', b'%d' % len(answer.body)))
        await send({'type': 'http.response.start', 'status': answer.status, 'headers': headers})
        await send({'type': 'http.response.body', 'body': answer.body})

    def _serve(self, scope: Scope, body: bytes) -> Response:
        """As the service does: an empty search is 204, and DELETE is DICOMweb, which Orthanc has elsewhere."""
        if scope['method'] == 'DELETE':
            return self._delete(scope['path'])
        sent = {name.decode('latin-1'): value.decode('latin-1') for name, value in scope['headers']}
        headers = {name: value for name, value in sent.items() if name not in {*_HOP_BY_HOP, 'authorization'}}
        query = scope['query_string'].decode('latin-1')
        answer = self.ask(scope['method'], scope['raw_path'].decode('latin-1') + (query and f'?{query}'), body, headers)
        return Response(204, {}) if answer.status == 200 and _text(answer).strip() == b'[]' else answer

    def _delete(self, path: str) -> Response:
        match = _RESOURCE.fullmatch(path)
        uids = [uid for uid in match.groups() if uid] if match else []
        found = [path for path in self.find(uids[-1]) if f'/{_FOLDERS[len(uids) - 1]}/' in path] if uids else []
        for path in found:
            self.ask('DELETE', path)
        return Response(204 if found else 404, {})


@contextmanager
def orthanc(folder: Path, *, peers: Mapping[str, Any] | None = None) -> Iterator[Orthanc]:
    """One with an empty archive in this folder, which need not exist, until the end of the context.

    :param peers: DICOMweb servers that it knows as a client, by name, as its configuration has them.
    :raises FileNotFoundError: Orthanc or its plugin is not installed.
    """
    if not IS_INSTALLED:
        raise FileNotFoundError(f'Debian has {PROGRAM} and {PLUGIN} in orthanc-dicomweb.')
    (folder / 'archive').mkdir(parents=True)
    port = _free_port()
    (folder / 'orthanc.json').write_text(json.dumps(_configuration(folder, port, peers or {})), 'utf-8')
    with (folder / 'orthanc.log').open('w') as log:
        process = subprocess.Popen(
            [str(PROGRAM), str(folder / 'orthanc.json')], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            running = Orthanc(port)
            _wait(process, running, folder / 'orthanc.log')
            yield running
        finally:
            process.kill()  # what it holds is a test's, and its own end takes a second
            process.wait(_SECONDS)


def _text(answer: Response) -> bytes:
    """The body without its compression, if it has one."""
    return gzip.decompress(answer.body) if answer.headers.get('Content-Encoding') == 'gzip' else answer.body


def _configuration(folder: Path, port: int, peers: Mapping[str, Any]) -> dict[str, Any]:
    return {
        'StorageDirectory': str(folder / 'archive'),
        'IndexDirectory': str(folder / 'archive'),
        'Plugins': [str(PLUGIN)],
        'HttpPort': port,
        'RemoteAccessAllowed': False,
        'AuthenticationEnabled': False,
        'DicomServerEnabled': False,
        'HttpsVerifyPeers': True,
        # Under /v2/ nothing has to be rewritten; with `Ssl`, the URLs in its answers are https ones.
        'DicomWeb': {'Enable': True, 'Root': '/v2/', 'EnableWado': False, 'Ssl': True, 'Servers': dict(peers)},
    }


def _free_port() -> int:
    """Orthanc takes no port 0."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], running: Orthanc, log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            if running.ask('GET', '/v2/studies').status == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f'Orthanc does not start:\n{log.read_text("utf-8", "replace")}')


async def _pieces(receive: Receive) -> Any:
    """The body of a request as it comes, until it is whole or the client has gone."""
    has_more = True
    while has_more:
        message = await receive()
        yield message.get('body', b'')
        has_more = message.get('more_body', False)
