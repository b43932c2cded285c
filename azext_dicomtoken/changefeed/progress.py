"""What a person sees who watches a run: a progress bar on standard error, and that it waits for events.

az's own bar (`azure.cli.core.commands.progress`) shows four decimals, no rate and no time left, is as wide as it likes,
and looks at none of the settings that turn it off.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from threading import RLock
from types import TracebackType
from typing import Any, TextIO

from azext_dicomtoken._output import duration_text, say

_SECONDS_BEFORE_THE_FIRST = 2.0
_SECONDS_BETWEEN_UPDATES = 0.2
_SHORTEST_BAR = 5
_LONGEST_BAR = 30


class Progress:  # pylint: disable=too-many-instance-attributes    # what is drawn, when, and where
    """One line on standard error, drawn when a run takes longer than two seconds, and gone at its end.

    Nothing else lands on that line: as long as it is in use, whatever is written to standard error clears it first.
    It is drawn without colors and without escape sequences.

    :param wanted: whether a bar would be in nobody's way.
    :param monotonic: the run's clock.
    """

    def __init__(
        self,
        cli_ctx: Any,
        *,
        monotonic: Callable[[], float],
        wanted: bool = True,
        columns: Callable[[], int] | None = None,
    ) -> None:
        self._stream = sys.stderr
        self._monotonic = monotonic
        self._columns = columns or self._terminal_columns
        self._is_watched = self._stream is not None and self._stream.isatty() and not cli_ctx.only_show_errors
        self._is_shown = (
            wanted
            and self._is_watched
            and not cli_ctx.config.getboolean('core', 'disable_progress_bar', fallback=False)
        )
        self._began = monotonic()
        self._next_update = self._began + _SECONDS_BEFORE_THE_FIRST
        self._events = 0
        self._line = _Line(self._stream)

    def __enter__(self) -> Progress:
        if self._is_shown:
            self._line.take_over()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def show(self, fraction: float, events: int) -> None:
        """Draw the bar, a few times a second at the most.

        :param fraction: how much of the whole is done, 0 to 1.
        :param events: how many more events were read.
        """
        self._events += events
        now = self._monotonic()
        if self._is_shown and now >= self._next_update:
            self._next_update = now + _SECONDS_BETWEEN_UPDATES
            self._line.draw(_text(min(1.0, max(0.0, fraction)), self._events, now - self._began, self._columns()))

    def say_instead(self, message: str) -> None:
        """Say something to a person who watches, in the place of the bar, which ends."""
        self._end()
        if self._is_watched:
            say(message, stream=self._stream)

    def _end(self) -> None:
        if self._is_shown:
            self._is_shown = False
            self._line.give_back()

    def _terminal_columns(self) -> int:
        with suppress(OSError, ValueError):
            columns = os.get_terminal_size(self._stream.fileno()).columns
            if columns:  # a terminal may not know
                return columns
        return shutil.get_terminal_size().columns


def _text(fraction: float, events: int, seconds: float, columns: int) -> str:
    """` 42% [####      ] 12,300 events, 4,100/s, 4 s left`, in fewer columns than there are."""
    rate = f'{events:,} events read, {events / seconds:,.0f}/s' if events else ''
    left = f'{duration_text(seconds / fraction - seconds)} left' if fraction else ''
    percent, numbers = f'{int(fraction * 100):3d}%', ', '.join(filter(None, (rate, left)))
    length = min(_LONGEST_BAR, columns - 1 - len(f'{percent} [] {numbers}'))
    if length < _SHORTEST_BAR:
        return f'{percent} {numbers}'[: columns - 1]
    return f'{percent} [{("#" * int(length * fraction)).ljust(length)}] {numbers}'


class _Line:
    """The last line of a terminal, which everything else that goes to its stream finds empty."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = RLock()  # workers report retries
        self._length = 0
        self._is_free = True
        self._handlers: list[logging.StreamHandler[Any]] = []

    def take_over(self) -> None:
        """From now on, what is written to the stream clears the line first."""
        self._handlers = list(_handlers_of(self._stream))
        self._lead_to(self)
        if sys.stderr is self._stream:
            sys.stderr = self

    def give_back(self) -> None:
        """Clear the line and leave the stream as it was."""
        self._lead_to(self._stream)
        if sys.stderr is self:
            sys.stderr = self._stream
        with self._lock:
            self._clear()

    def draw(self, text: str) -> None:
        """Show the text, unless somebody else has begun a line and not ended it."""
        with self._lock:
            if self._is_free:
                self._put(f'\r{text.ljust(self._length)}')
                self._length = len(text)

    def write(self, text: str) -> int:
        """Write what others have to say."""
        with self._lock:
            self._clear()
            self._is_free = text.endswith('\n')
            return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _clear(self) -> None:
        if self._length:
            self._put(f'\r{" " * self._length}\r')
            self._length = 0

    def _put(self, text: str) -> None:
        with suppress(OSError):  # the terminal is gone; nothing of the run depends on it
            self._stream.write(text)
            self._stream.flush()

    def _lead_to(self, stream: Any) -> None:
        for handler in self._handlers:
            handler.setStream(stream)


def _handlers_of(stream: TextIO) -> Iterator[logging.StreamHandler[Any]]:
    """az's handlers of log messages that write to the stream."""
    from knack.log import cli_logger_names

    handlers: Iterable[logging.Handler] = (
        handler for name in (None, *cli_logger_names) for handler in logging.getLogger(name).handlers
    )
    for handler in dict.fromkeys(handlers):
        if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
            yield handler
