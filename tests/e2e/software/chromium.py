"""Chromium without a window, driven over a pipe: a page to open, to ask, to click in and to take a picture of.

The protocol is that of its developer tools; each message ends with a NUL.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SECONDS = 120


class Page:
    """The one page of a browser."""

    def __init__(self, commands: int, messages: int) -> None:
        self._commands = commands
        self._messages = messages
        self._received = b''
        self._count = 0
        target = self._ask('Target.createTarget', url='about:blank')['targetId']
        self._session = self._ask('Target.attachToTarget', targetId=target, flatten=True)['sessionId']

    def open(self, url: str) -> None:
        """Go there; what is asked from then on is asked of that page."""
        self._ask_page('Page.enable')
        self._ask_page('Page.navigate', url=url)
        while self._next_message().get('method') != 'Page.loadEventFired':
            pass
        self._ask_page('Page.disable')

    def evaluate(self, script: str) -> Any:
        """The value of an expression; of a promise, what it promises."""
        answer = self._ask_page('Runtime.evaluate', expression=script, awaitPromise=True, returnByValue=True)
        assert 'exceptionDetails' not in answer, answer
        return answer['result'].get('value')

    def wait_for(self, script: str) -> Any:
        """What the expression is, as soon as that is true in the sense of JavaScript."""
        deadline = time.monotonic() + _SECONDS
        while not (value := self.evaluate(script)):
            assert time.monotonic() < deadline, f'{script}\n{self.evaluate("document.body.innerText")}'
            time.sleep(0.2)
        return value

    def picture(self) -> bytes:
        """The page as it is now, as PNG."""
        return base64.b64decode(self._ask_page('Page.captureScreenshot', format='png')['data'])

    def _ask_page(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._ask(method, self._session, **parameters)

    def _ask(self, method: str, session: str | None = None, /, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        message = {'id': self._count, 'method': method, 'params': parameters}
        os.write(self._commands, json.dumps(message | ({'sessionId': session} if session else {})).encode() + b'\0')
        while (answer := self._next_message()).get('id') != self._count:
            pass  # an event, which nobody waits for
        assert 'error' not in answer, answer
        return dict(answer['result'])

    def _next_message(self) -> dict[str, Any]:
        while b'\0' not in self._received:
            assert select.select([self._messages], [], [], _SECONDS)[0], 'the browser says nothing'
            self._received += os.read(self._messages, 1 << 20)
        message, _, self._received = self._received.partition(b'\0')
        return dict(json.loads(message))


@contextmanager
def chromium(folder: Path, *, size: tuple[int, int] = (1280, 800)) -> Iterator[Page]:
    """A browser with a new profile in this folder; WebGL without a graphics card."""
    command_end, commands = os.pipe()
    messages, message_end = os.pipe()
    arguments = [
        *('chromium', '--headless', '--no-sandbox', '--no-first-run', '--remote-debugging-pipe'),
        *('--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--disable-quic', '--no-proxy-server'),
        *('--disable-background-networking', '--disable-component-update', '--disable-sync'),
        *(f'--window-size={size[0]},{size[1]}', '--hide-scrollbars', f'--user-data-dir={folder}'),
    ]
    # The protocol is on the descriptors 3 and 4.
    process = subprocess.Popen(
        ['bash', '-c', f'exec "$@" 3<&{command_end} 4>&{message_end}', 'bash', *arguments],
        pass_fds=(command_end, message_end),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(command_end)
    os.close(message_end)
    try:
        yield Page(commands, messages)
    finally:
        process.terminate()
        process.wait(_SECONDS)
        os.close(commands)
        os.close(messages)
