"""What a person sees who watches a run: a progress bar on standard error, and that it waits for events."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, TextIO

from azext_dicomtoken._output import say

_SECONDS_BETWEEN_UPDATES = 0.2


class Progress:
    """az's own bar. az does not look at --only-show-errors or core.disable_progress_bar for a bar; this does."""

    def __init__(
        self,
        cli_ctx: Any,
        *,
        wanted: bool,
        stream: TextIO | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream or sys.stderr
        self._monotonic = monotonic
        self._is_watched = self._stream is not None and self._stream.isatty() and not cli_ctx.only_show_errors
        shown = (
            wanted
            and self._is_watched
            and not cli_ctx.config.getboolean('core', 'disable_progress_bar', fallback=False)
        )
        self._hook = cli_ctx.get_progress_controller(det=True) if shown else None
        self._last_update = float('-inf')

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._clear()

    def show(self, message: str, fraction: float) -> None:
        """Draw the bar, a few times a second at the most; `fraction` is 0 to 1."""
        if self._hook is None or self._monotonic() - self._last_update < _SECONDS_BETWEEN_UPDATES:
            return
        self._last_update = self._monotonic()
        self._hook.add(message=message, value=max(0.0, min(1.0, fraction)), total_val=1.0)

    def say_instead(self, message: str) -> None:
        """Say something to a person who watches, in the place of the bar."""
        if self._is_watched:
            self._clear()
            say(message, stream=self._stream)

    def _clear(self) -> None:
        if self._hook is not None and self._hook.reporter.value is not None:
            with suppress(OSError):
                self._stream.write('\r' + ' ' * 90 + '\r')
