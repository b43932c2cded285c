"""A token endpoint for a managed identity that hands out whatever token it is told to, and the login that uses it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

SUBSCRIPTION = '00000000-0000-4000-8000-00000000000a'
TENANT = '00000000-0000-4000-8000-00000000000b'


class IdentityEndpoint:
    """Serves on 127.0.0.1; keeps the resources that tokens were asked for."""

    def __init__(self) -> None:
        self.token = 'plain-token'
        self.lifetime_seconds = 3600
        self.delay_seconds = 0.0
        self.resources: list[str] = []
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(('127.0.0.1', 0), self._handler())

    @property
    def environment(self) -> dict[str, str]:
        return {
            'IDENTITY_ENDPOINT': f'http://127.0.0.1:{self._server.server_port}/token',
            'IDENTITY_HEADER': 'header',
            'NO_PROXY': '127.0.0.1',
        }

    @contextmanager
    def serving(self) -> Iterator[IdentityEndpoint]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._released.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _answer(self, resource: str) -> bytes:
        self.resources.append(resource)
        self._released.wait(self.delay_seconds)
        return json.dumps(
            {
                'access_token': self.token,
                'token_type': 'Bearer',
                'resource': resource,
                'expires_on': str(int(time.time()) + self.lifetime_seconds),
            }
        ).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = endpoint._answer(parse_qs(urlsplit(self.path).query)['resource'][0])
                self.send_response(200)
                self.send_header('Content-Type', 'application/json')
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def write_login(config_folder: Path) -> None:
    """Make az believe that it is signed in with the system-assigned identity of this machine."""
    account = {
        'id': SUBSCRIPTION,
        'name': 'Test',
        'state': 'Enabled',
        'isDefault': True,
        'environmentName': 'AzureCloud',
        'tenantId': TENANT,
        'homeTenantId': TENANT,
        'managedByTenants': [],
        'user': {'name': 'systemAssignedIdentity', 'type': 'servicePrincipal', 'assignedIdentityInfo': 'MSI'},
    }
    profile = {'installationId': '00000000-0000-4000-8000-00000000000c', 'subscriptions': [account]}
    (config_folder / 'azureProfile.json').write_text(json.dumps(profile), 'utf-8')
