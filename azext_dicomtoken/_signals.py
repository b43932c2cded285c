"""Ctrl-C and SIGTERM: an exception in the main thread, held back while something is being written.

On Windows there is no SIGTERM; not tried there.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SAME_WISH_SECONDS = 1.0


class Interrupted(BaseException):
    """A signal asked the command to end.

    :ivar exit_code: 128 and the signal's number, as shells have it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class Interruption:
    """Raises Interrupted for the first signal, where it does no harm; for a second one at once.

    A signal that follows within a second is the same wish, as when a supervisor signals the process and its group.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._held_back = 0
        self._pending: int | None = None
        self._first_signal: float | None = None
        self._monotonic = monotonic

    @contextmanager
    def raising(self) -> Iterator[Interruption]:
        """Signals raise inside this context. After it the former handlers come back, or, where one came, none counts.

        What is left of the process then is az's own ending, which no second signal shall turn into another exit code.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        former: dict[int, Any] = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` and `&` in a script leave it
                former[number] = signal.signal(number, self._handle)
        try:
            yield self
        finally:
            for former_number, handler in former.items():
                signal.signal(former_number, handler if self._first_signal is None else signal.SIG_IGN)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """A signal waits until this context is left."""
        self._held_back += 1
        try:
            yield
        finally:
            self._held_back -= 1
        if self._pending is not None and not self._held_back:
            raise Interrupted(self._pending)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        now = self._monotonic()
        if self._first_signal is None:
            self._first_signal = now
        elif now - self._first_signal < _SAME_WISH_SECONDS:
            return
        if self._held_back and self._pending is None:
            self._pending = number
            return
        raise Interrupted(number)
