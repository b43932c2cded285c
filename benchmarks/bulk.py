"""An HTTPS server that sends as many bytes as it is asked for, and a plain copy from TLS to TCP; a process each.

    GET /v2/studies?bytes=N&latency=SECONDS&rate=BYTES_PER_SECOND

Owns both processes. They do as little as possible, so that what stands between client and server is what is measured.
"""

from __future__ import annotations

import multiprocessing
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_PIECE_BYTES = 2**16
_ANSWER_SECONDS = 60.0


@contextmanager
def serving(ca_file: Path) -> Iterator[int]:
    """The port of the server; its authority is written to the file."""
    with _process(_serve, str(ca_file)) as port:
        yield port


@contextmanager
def copying(ca_file: Path, server_port: int) -> Iterator[int]:
    """The port on which every connection is copied to the server and back, by one loop of receive and send."""
    with _process(_copy, str(ca_file), server_port) as port:
        yield port


@contextmanager
def _process(target: Callable[..., None], *arguments: object) -> Iterator[int]:
    spawning = multiprocessing.get_context('spawn')
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=target, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join(timeout=_ANSWER_SECONDS)


def _serve(connection: Connection, ca_file: str) -> None:
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('127.0.0.1').configure_cert(context)
    _listen(connection, lambda sock: _answer_all(context.wrap_socket(sock, server_side=True)))


def _copy(connection: Connection, ca_file: str, server_port: int) -> None:
    context = ssl.create_default_context(cafile=ca_file)

    def copy(sock: socket.socket) -> None:
        plain = socket.create_connection(('127.0.0.1', server_port))
        server = context.wrap_socket(plain, server_hostname='127.0.0.1')
        server.sendall(sock.recv(_PIECE_BYTES))
        space = memoryview(bytearray(_PIECE_BYTES))
        while count := server.recv_into(space):
            sock.sendall(space[:count])
        sock.close()

    _listen(connection, copy)


def _listen(connection: Connection, serve: Callable[[socket.socket], None]) -> None:
    listener = socket.create_server(('127.0.0.1', 0), backlog=128)
    connection.send(listener.getsockname()[1])

    def accept() -> None:
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_until_the_end, args=(serve, sock), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    connection.poll(None)  # true when the measuring process closes its end, or has ended


def _until_the_end(serve: Callable[[socket.socket], None], sock: socket.socket) -> None:
    try:
        serve(sock)
    except OSError:
        pass  # the client has left, as after its last request


def _answer_all(sock: ssl.SSLSocket) -> None:
    received = b''
    while True:
        while b'\r\n\r\n' not in received:
            piece = sock.recv(_PIECE_BYTES)
            if not piece:
                return
            received += piece
        head, _, received = received.partition(b'\r\n\r\n')
        received = _skip_body(sock, head, received)
        _answer(sock, parse_qs(urlsplit(head.split(b' ')[1].decode()).query), closes=b'\nConnection: close' in head)


def _skip_body(sock: ssl.SSLSocket, head: bytes, received: bytes) -> bytes:
    _, found, rest = head.lower().partition(b'content-length: ')
    left = int(rest.split(b'\r\n')[0]) - len(received) if found else -len(received)
    space = bytearray(_PIECE_BYTES)
    while left > 0:
        count = sock.recv_into(space, min(left, _PIECE_BYTES))
        if not count:
            raise OSError('the client left')
        left -= count
    return received[len(received) + left :] if left < 0 else b''


def _answer(sock: ssl.SSLSocket, query: dict[str, list[str]], *, closes: bool) -> None:
    count, rate = int(query.get('bytes', ['2'])[0]), float(query.get('rate', ['inf'])[0])
    time.sleep(float(query.get('latency', ['0'])[0]))
    head = f'HTTP/1.1 200 OK\r\nContent-Length: {count}\r\n' + ('Connection: close\r\n' if closes else '')
    piece = memoryview(bytes(_PIECE_BYTES))
    began, sent = time.perf_counter(), 0
    if count <= _PIECE_BYTES:
        sock.sendall(head.encode() + b'\r\n' + piece[:count])
        sent = count
    else:
        sock.sendall(head.encode() + b'\r\n')
    while sent < count:
        step = min(count - sent, _PIECE_BYTES)
        sock.sendall(piece[:step])
        sent += step
        ahead = sent / rate - (time.perf_counter() - began)
        if ahead > 0.002:
            time.sleep(ahead)
    if closes:
        sock.close()
