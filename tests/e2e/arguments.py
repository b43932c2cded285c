"""Watches the arguments of every process on the machine, as anybody on it can."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType

PROCESSES = Path('/proc')


class ArgumentsWatch:
    """In a `with` block: looks about every millisecond; `seen` are the command lines, arguments with blanks between."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._looks = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name='arguments', daemon=True)

    def __enter__(self) -> ArgumentsWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def shows(self, text: str) -> bool:
        return any(text in line for line in list(self.seen))

    def wait_for(self, text: str, *, looks: int = 100_000) -> bool:
        """Whether such a line is seen while the watch takes at most so many looks."""
        last = self._looks + looks
        while not self.shows(text) and self._looks < last:
            time.sleep(0.001)
        return self.shows(text)

    def _watch(self) -> None:
        while not self._end.wait(0.001):
            self._looks += 1
            self.seen.update(map(_command_line, PROCESSES.glob('[0-9]*/cmdline')))


def _command_line(path: Path) -> str:
    try:
        return path.read_bytes().replace(b'\0', b' ').decode(errors='replace')
    except OSError:  # it has ended
        return ''
