"""OHIF, a viewer that runs in the browser, on a web server of its own.

Owned: the server. Not owned: the viewer, which `make viewer` unpacks, and its settings.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@contextmanager
def ohif(folder: Path) -> Iterator[Viewer]:
    """The viewer that is unpacked in this folder, on a free port, until the end of the context."""
    viewer = Viewer(folder)
    thread = threading.Thread(target=viewer.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield viewer
    finally:
        viewer.server.shutdown()
        viewer.server.server_close()
        thread.join()


class Viewer:
    """`settings` is the text of its app-config.js."""

    def __init__(self, folder: Path) -> None:
        self.settings = ''
        self.server = ThreadingHTTPServer(('127.0.0.1', 0), _handler(self, folder))

    def origin(self, name: str) -> str:
        """By this name of the machine: to a browser, each is another origin."""
        return f'http://{name}:{self.server.server_port}'


def _handler(viewer: Viewer, folder: Path) -> type[SimpleHTTPRequestHandler]:
    class Handler(SimpleHTTPRequestHandler):
        """Files of the viewer; every other path is the viewer's own business, and its first page."""

        extensions_map = {**SimpleHTTPRequestHandler.extensions_map, '.wasm': 'application/wasm'}

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def do_GET(self) -> None:
            if self.path == '/app-config.js':
                return self._send(viewer.settings.encode())
            if not re.search(r'\.\w+$', self.path.partition('?')[0]):
                self.path = '/index.html'
            super().do_GET()

        def copyfile(self, source: Any, outputfile: Any) -> None:
            with suppress(ConnectionError):  # a browser that goes to another page leaves
                super().copyfile(source, outputfile)

        def _send(self, script: bytes) -> None:
            self.send_response(200)
            self.send_header('Content-Type', 'text/javascript')
            self.send_header('Content-Length', str(len(script)))
            self.end_headers()
            self.wfile.write(script)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler
