"""A DICOM service by script: a real HTTPS server on this machine that says what a test tells it to, byte by byte.

Owns the listening socket, TLS, and what was received. What is answered is the test's.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import trustme

_SECONDS = 30.0


class Talk:
    """One request on one connection, and the means to answer it."""

    def __init__(self, sock: ssl.SSLSocket, received: bytes) -> None:
        self.sock = sock
        self._rest = received
        head = self._until(b'\r\n\r\n')
        lines = head.decode('latin-1').split('\r\n')[:-2]
        self.line = lines[0]
        self.method, self.target, _ = lines[0].split(' ')
        self.fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(':') for line in lines[1:])]
        self.body = b''

    def header(self, name: str) -> str | None:
        return dict(self.fields).get(name)

    @property
    def rest(self) -> bytes:
        """What was received after this request."""
        return self._rest

    def read_body(self) -> bytes:
        """All of it, chunks joined. Raises EOFError where it is cut short."""
        if self.header('transfer-encoding') == 'chunked':
            while size := int(self._until(b'\r\n'), 16):
                self.body += self._exactly(size)
                self._exactly(2)
            self._until(b'\r\n')
        else:
            self.body += self._exactly(int(self.header('content-length') or 0))
        return self.body

    def receive(self) -> bytes:
        """Whatever comes next; nothing at the end."""
        if self._rest:
            rest, self._rest = self._rest, b''
            return rest
        try:
            return self.sock.recv(65536)
        except OSError:
            return b''

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reply(self, body: bytes = b'[]', status: str = '200 OK', **fields: str) -> None:
        """A whole answer with its length."""
        lines = [f'{name.replace("_", "-")}: {value}\r\n' for name, value in fields.items()]
        self.send(f'HTTP/1.1 {status}\r\n{"".join(lines)}Content-Length: {len(body)}\r\n\r\n'.encode() + body)

    def break_off(self) -> None:
        """Cut the connection: no end of TLS, a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        socket.socket(fileno=self.sock.detach()).close()

    def vanish(self) -> None:
        """End the connection as a router would: no end of TLS."""
        socket.socket(fileno=self.sock.detach()).close()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._rest:
            self._more()
        found, _, self._rest = self._rest.partition(mark)
        return found + mark

    def _exactly(self, count: int) -> bytes:
        while len(self._rest) < count:
            self._more()
        found, self._rest = self._rest[:count], self._rest[count:]
        return found

    def _more(self) -> None:
        try:
            piece = self.sock.recv(65536)
        except OSError:
            piece = b''
        if not piece:
            raise EOFError
        self._rest += piece


Script = Callable[[Talk], None]


def answer_plainly(talk: Talk) -> None:
    talk.read_body()
    talk.reply()


@dataclass
class ScriptedService:
    """`script` answers each request; what it raises for an end is the end of the connection."""

    port: int
    ca_file: str
    script: Script = answer_plainly
    talks: list[Talk] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f'https://127.0.0.1:{self.port}'

    @property
    def heads(self) -> list[str]:
        return [talk.line for talk in self.talks]


@contextmanager
def serving(ca_file: str, *, authority: trustme.CA) -> Iterator[ScriptedService]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('127.0.0.1', 'localhost').configure_cert(context)
    authority.cert_pem.write_to_path(ca_file)
    with socket.create_server(('127.0.0.1', 0), backlog=128) as listener:
        service = ScriptedService(listener.getsockname()[1], ca_file)
        ending = threading.Event()
        thread = threading.Thread(target=_accept, args=(listener, context, service, ending), daemon=True)
        thread.start()
        yield service
        ending.set()
        thread.join(_SECONDS)


def _accept(
    listener: socket.socket, context: ssl.SSLContext, service: ScriptedService, ending: threading.Event
) -> None:
    while not ending.is_set():
        if select.select([listener], [], [], 0.05)[0]:
            sock, _ = listener.accept()
            sock.settimeout(_SECONDS)
            threading.Thread(target=_serve, args=(sock, context, service), daemon=True).start()


def _serve(plain: socket.socket, context: ssl.SSLContext, service: ScriptedService) -> None:
    try:
        sock = context.wrap_socket(plain, server_side=True)
    except OSError:
        plain.close()
        return
    service.connections += 1
    rest = b''
    try:
        while True:
            talk = Talk(sock, rest)
            service.talks.append(talk)
            service.script(talk)
            rest = talk.rest
    except (EOFError, OSError, ValueError):
        pass
    finally:
        if sock.fileno() >= 0:
            _close(sock)


def _close(sock: ssl.SSLSocket) -> None:
    """With the end of TLS, as a server that closes on purpose does."""
    try:
        sock.settimeout(0.2)
        sock.unwrap().close()
    except (OSError, ValueError):
        sock.close()
