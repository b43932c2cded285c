"""The side that listens: connections of local clients, each with a thread.

Owned: the listening socket, how many connections there are, idleness, the end. Not owned: what is said on a connection
(`conversation.py`).
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from azext_dicomtoken.proxy.conversation import Conversation, Exchange
from azext_dicomtoken.proxy.rules import Policy
from azext_dicomtoken.proxy.upstream import Upstream
from azext_dicomtoken.proxy.wire import LIMITS, ClientLeft, Late, Limits, PeerLeft, Wire

ADDRESS = '127.0.0.1'
_BACKLOG = 128
_POLL_SECONDS = 0.5  # Windows lets no signal through to a thread that waits for a socket
_MOST_REFUSED_AT_ONCE = 16


def listen(port: int) -> socket.socket:
    """A socket that listens on this machine's own address, and nobody else on its port. Raises OSError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == 'nt':  # not tried there
            listener.setsockopt(socket.SOL_SOCKET, getattr(socket, 'SO_EXCLUSIVEADDRUSE', -5), 1)
        else:  # a restart need not wait for old connections; two that listen are refused all the same
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ADDRESS, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


class Server:  # pylint: disable=too-many-instance-attributes    # what connections share
    """Serves on a listening socket until it is idle or told to end.

    :param on_exchange: told of each request, from the thread that served it.
    :param on_fault: told of what should not happen, by its class alone: a text might hold parts of a request.
    """

    def __init__(
        self,
        listener: socket.socket,
        policy: Policy,
        upstream: Upstream,
        *,
        idle_timeout_seconds: float,
        limits: Limits = LIMITS,
        on_exchange: Callable[[Exchange], None] = lambda exchange: None,
        on_fault: Callable[[str], None] = lambda name: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listener = listener
        self._policy = policy
        self._upstream = upstream
        self._limits = limits
        self._idle_timeout_seconds = idle_timeout_seconds
        self._on_exchange = on_exchange
        self._on_fault = on_fault
        self._monotonic = monotonic
        self._state = threading.Condition()
        self._busy: dict[Wire, bool] = {}  # each connection, and whether a request is on its way
        self._refusing = 0
        self._passing = 0
        self._last_end = monotonic()
        self._is_ending = False

    @property
    def idle_since(self) -> float:
        """When the last request that passed had ended, on the monotonic clock."""
        return self._last_end

    def serve(self) -> None:
        """Accept connections until no request has come for the idle timeout, or `end` was called."""
        while not self._is_ending and not self._is_idle():
            try:
                readable, _, _ = select.select([self._listener], [], [], _POLL_SECONDS)
            except (OSError, ValueError):  # closed by another thread meanwhile
                if not self._is_ending:
                    raise
                return
            if readable:
                self._accept()

    def end(self) -> None:
        """Take no more requests; return when those in flight have ended, or after their time."""
        with self._state:
            self._stop_listening()
            for wire in [wire for wire, is_busy in self._busy.items() if not is_busy]:
                wire.shut_down()
            self._state.wait_for(lambda: not self._busy, timeout=self._limits.end_seconds)

    def close(self) -> None:
        """End at once, in the middle of whatever is in flight."""
        with self._state:
            self._stop_listening()
            for wire in self._busy:
                wire.shut_down()
        self._upstream.close()

    def _stop_listening(self) -> None:
        self._is_ending = True
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for it, where the system lets it
        except OSError:
            pass
        self._listener.close()

    def _is_idle(self) -> bool:
        with self._state:
            return not self._passing and self._monotonic() - self._last_end >= self._idle_timeout_seconds

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:  # it left again, or there are too many open files
            time.sleep(0.01)
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = Wire(sock, left=ClientLeft, monotonic=self._monotonic)
        with self._state:
            is_free = len(self._busy) < self._limits.connections
            if is_free:
                self._busy[wire] = False
            elif self._refusing >= _MOST_REFUSED_AT_ONCE:
                wire.close()
                return
            else:
                self._refusing += 1
        threading.Thread(target=self._converse if is_free else self._refuse, args=(wire,), daemon=True).start()

    def _refuse(self, wire: Wire) -> None:
        try:
            self._conversation(wire).refuse_connection()
        except (PeerLeft, Late):
            pass  # nobody waits for the answer
        finally:
            wire.close()
            with self._state:
                self._refusing -= 1

    def _converse(self, wire: Wire) -> None:
        """Serve one connection, request by request."""
        conversation = self._conversation(wire)
        try:
            while conversation.wait_for_request() and self._begin(wire) and conversation.serve_request():
                self._rest(wire)
        except (PeerLeft, Late):
            pass  # nobody is left to tell
        except Exception as error:  # pylint: disable=broad-exception-caught    # a fault of ours, which is reported
            self._on_fault(type(error).__name__)
        finally:
            wire.close()
            with self._state:
                self._busy.pop(wire, None)
                self._state.notify_all()

    def _conversation(self, wire: Wire) -> Conversation:
        return Conversation(
            wire,
            self._policy,
            upstream=self._upstream,
            limits=self._limits,
            passing=self._pass,
            on_exchange=self._on_exchange,
            monotonic=self._monotonic,
        )

    def _begin(self, wire: Wire) -> bool:
        """Whether the request that comes may still be served."""
        with self._state:
            self._busy[wire] = not self._is_ending
            return self._busy[wire]

    def _rest(self, wire: Wire) -> None:
        with self._state:
            self._busy[wire] = False
            if self._is_ending:
                wire.shut_down()

    @contextmanager
    def _pass(self) -> Iterator[None]:
        """While a request passes. What was refused does not count: it would keep the proxy alive for strangers."""
        with self._state:
            self._passing += 1
        try:
            yield
        finally:
            with self._state:
                self._passing -= 1
                self._last_end = self._monotonic()
