"""One socket of a conversation, non-blocking, with what was received and not yet read.

Owned: waiting with deadlines, the size of a head, what TLS wants to read before it writes. Not owned: what a message
means (`messages.py`) and who is at the other end.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from azext_dicomtoken.proxy import syntax
from azext_dicomtoken.proxy.syntax import Answer

_PIECE_BYTES = 64 * 1024
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True)
class Limits:  # pylint: disable=too-many-instance-attributes    # a table
    """How many, and how long; seconds are those of the monotonic clock."""

    connections: int = 64
    head_seconds: float = 10.0
    piece_seconds: float = 60.0
    idle_seconds: float = 60.0
    answer_seconds: float = 300.0
    connect_seconds: float = 10.0
    body_reuse_seconds: float = 5.0
    linger_seconds: float = 2.0
    end_seconds: float = 10.0
    forced_renewal_seconds: float = 60.0
    lost_seconds: float = 5.0


LIMITS = Limits()


class Failure(Exception):
    """The request cannot go on; the client gets this answer, if nothing else was sent yet."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.text)
        self.answer = answer


class Late(Exception):
    """Nothing came, or nothing was taken, until the deadline."""


class PeerLeft(Exception):
    """The other side closed or broke the connection in the middle of something."""


class ClientLeft(PeerLeft):
    """The client did."""


class ServiceLeft(PeerLeft):
    """The service did."""


class Wire:
    """A connected socket. Not for two threads, but for `shut_down`.

    :param left: what is raised when the other side leaves.
    """

    def __init__(
        self, sock: socket.socket, *, left: type[PeerLeft], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        sock.settimeout(0)
        if isinstance(sock, ssl.SSLSocket):
            # Else a connection that was cut looks like one that was closed.
            sock.suppress_ragged_eofs = False  # type: ignore[attr-defined]
        self._sock = sock
        self.left = left
        self._monotonic = monotonic
        self._space = bytearray(_PIECE_BYTES)
        self._unread = b''
        self._is_ended = False

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def has_unread(self) -> bool:
        """Whether bytes were received that nobody has read."""
        return bool(self._unread)

    def poll(self) -> bool:
        """Whether there is something to read now, be it the end. A readable TLS socket may hold only a ticket."""
        if not self._unread and not self._is_ended:
            piece = self._receive()
            if piece is None:
                return False
            self._unread = bytes(piece)
        return True

    def read_now(self) -> memoryview | None:
        """What is there, good until the next call; empty at the end; None where nothing is there yet."""
        if self._unread:
            unread, self._unread = self._unread, b''
            return memoryview(unread)
        return self._receive()

    def unread(self, rest: memoryview) -> None:
        """Put back what belongs to the next message."""
        self._unread = bytes(rest) + self._unread

    def read(self, seconds: float, *, watch: Wire | None = None) -> memoryview:
        """What is there within that time; empty at the end."""
        deadline = self._monotonic() + seconds
        while (piece := self.read_now()) is None:
            self._wait(deadline, watch)
        return piece

    def wait_for_input(self, seconds: float, *, watch: Wire | None = None) -> bool:
        """Wait for the first byte of a message; False at the end."""
        deadline = self._monotonic() + seconds
        while not self.poll():
            self._wait(deadline, watch)
        return self.has_unread

    def read_head(self, seconds: float, *, watch: Wire | None = None) -> bytes:
        """The bytes up to and with the empty line.

        :raises Failure: as soon as they can be no head any more, with the answer for a client.
        """
        deadline = self._monotonic() + seconds
        head = bytearray()
        while (end := head.find(b'\r\n\r\n')) < 0:
            if syntax.has_bare_control(head):
                raise Failure(Answer(400, 'A line ends with CR and LF, and neither stands alone.'))
            if len(head) > syntax.LARGEST_HEAD_BYTES:
                raise Failure(syntax.HEAD_TOO_LARGE)
            piece = self.read_now()
            if piece is None:
                self._wait(deadline, watch)
            elif not piece:
                raise self.left
            else:
                head += piece
        self.unread(memoryview(head)[end + 4 :])
        return bytes(head[: end + 4])

    def write_now(self, data: memoryview) -> int:
        """How many bytes could be written without waiting."""
        try:
            return self._sock.send(data)
        except _NOT_YET:
            return 0
        except OSError as error:
            raise self.left from error

    def write(self, data: bytes | memoryview, seconds: float) -> None:
        """All of it, with never more than that time between two pieces."""
        rest = memoryview(data)
        while rest:
            written = self.write_now(rest)
            rest = rest[written:]
            if not written:
                wait([], [self], seconds)

    def finish_writing(self) -> None:
        """Say that nothing more comes, and read on."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has left, which is where this leads anyway

    def shut_down(self) -> None:
        """End the conversation from another thread; whoever waits sees the end."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # ended already

    def close(self) -> None:
        self._sock.close()

    def reset(self) -> None:
        """Close so that the other side sees an error, where an end would look like the end of the message."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self._sock.close()

    def _receive(self) -> memoryview | None:
        if self._is_ended:
            return memoryview(b'')
        try:
            count = self._sock.recv_into(self._space)
        except _NOT_YET:
            return None
        except OSError as error:
            raise self.left from error
        self._is_ended = count == 0
        return memoryview(self._space)[:count]

    def _wait(self, deadline: float, watch: Wire | None) -> None:
        """Until there may be something to read. The `watch`ed one leaving ends that, while it has nothing to say."""
        watched = [watch] if watch and not watch.has_unread else []
        ready = wait([self, *watched], [], deadline - self._monotonic())
        for other in watched:
            if other in ready and other.poll() and not other.has_unread:
                raise other.left


def wait(reading: Sequence[Wire], writing: Sequence[Wire], seconds: float) -> list[Wire]:
    """Those that are ready. Raises Late where none is within that time."""
    try:
        readable, writable, _ = select.select(reading, writing, [], max(0.0, seconds))
    except (OSError, ValueError) as error:  # closed by another thread meanwhile
        raise PeerLeft from error
    if not readable and not writable:
        raise Late
    return [*readable, *writable]
