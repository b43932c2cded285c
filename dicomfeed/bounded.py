"""An HTTP answer that has arrived within a time, or is none.

A read time-out bounds the wait for the next bytes; a server that sends one now and then meets it for ever, in the
status line as in the body, or with one `100 Continue` after the other.

Owned: the bound on all of an answer. Not owned: any other time-out, the size of an answer (`transport.py`).
"""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Callable
from typing import Any


def responses_within(seconds: float, monotonic: Callable[[], float]) -> type[http.client.HTTPResponse]:
    """A `response_class` for http.client, whose answers end with TimeoutError when they take longer than that.

    The time runs from the end of the request; it is looked at whenever bytes have come.
    """

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self.fp = io.BufferedReader(_Bounded(self.fp.detach(), monotonic() + seconds, monotonic))

    return Response


class _Bounded(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, last_moment: float, monotonic: Callable[[], float]) -> None:
        self._raw = raw
        self._last_moment = last_moment
        self._monotonic = monotonic

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = self._raw.readinto(buffer)
        if self._monotonic() > self._last_moment:
            raise TimeoutError('the answer took too long to arrive')
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
