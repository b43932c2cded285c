"""Web pages of any origin on this machine, and a real browser that opens one and lets it report."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

SECONDS = 60

# Each attempt ends, whatever comes of it, and its outcome is a text.
_PAGE = """<!doctype html><title>page</title><body><script>
const waited = (target, good, bad) => new Promise(done => {
  target.addEventListener(good, () => done('loaded'));
  target.addEventListener(bad, () => done('failed'));
  setTimeout(() => done('nothing'), 4000);
});
const asked = (url, options) => fetch(url, options).then(
  async answer => `${answer.type} ${answer.status} ${(await answer.text()).slice(0, 80)}`, () => 'failed');
const element = (name, attributes) => {
  const made = Object.assign(document.createElement(name), attributes);
  const outcome = waited(made, 'load', 'error');
  document.body.append(made);
  return outcome;
};
const attempts = ATTEMPTS;
(async () => {
  const outcomes = {};
  for (const [name, attempt] of Object.entries(attempts)) {
    outcomes[name] = await attempt().catch(error => `thrown ${error}`);
  }
  await fetch('/report', {method: 'POST', body: JSON.stringify(outcomes)});
})();
</script>"""


class Pages:
    """Serves one page, whose script makes the attempts, under every name that leads here."""

    def __init__(self) -> None:
        self.page = b''
        self.reports: Queue[dict[str, str]] = Queue()
        self._server = ThreadingHTTPServer(('127.0.0.1', 0), _handler(self))
        self.port = self._server.server_port

    def offer(self, attempts: dict[str, str]) -> None:
        """JavaScript by name: each a function that promises a text."""
        script = ',\n'.join(f'{json.dumps(name)}: async () => {code}' for name, code in attempts.items())
        self.page = _PAGE.replace('ATTEMPTS', '{' + script + '}').encode()

    @contextmanager
    def serving(self) -> Iterator[Pages]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(SECONDS)


def _handler(pages: Pages) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(pages.page if self.path == '/' else b'', 'text/html')

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers['Content-Length']))
            if self.path == '/report':
                pages.reports.put(json.loads(body))
            self._answer(b'', 'text/plain')

        def _answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header('Content-Type', kind)
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler


class Browser:
    """Chromium without a window, with a profile of its own; every name of `.example` leads to this machine."""

    def __init__(self, folder: Path) -> None:
        self._command = [
            *(str(shutil.which('chromium')), '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic'),
            *('--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'),
            *('--no-proxy-server', '--host-resolver-rules=MAP *.example 127.0.0.1', f'--user-data-dir={folder}'),
        ]

    @contextmanager
    def opened(self, url: str) -> Iterator[None]:
        """The page is open inside this context."""
        process = subprocess.Popen(
            [*self._command, '--remote-debugging-port=0', url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=SECONDS)

    def dom(self, url: str) -> str:
        """What the page is when its scripts, if any, have run."""
        done = subprocess.run(
            [*self._command, '--virtual-time-budget=3000', '--dump-dom', url],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
        return done.stdout
