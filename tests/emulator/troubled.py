"""Trouble in front of a part of the emulator that knows nothing of it: the sign-in service and the token endpoints.

Owns the ASGI application that asks a `Trouble` first. What a fault does is in `trouble.py`.
"""

from __future__ import annotations

from tests.emulator.dicom import _hang_up, _request, _send, _wait
from tests.emulator.hosts import Application, Receive, Scope, Send
from tests.emulator.trouble import ConnectionCut, Hang, Response, Trouble


class Troubled:
    """The application, unless a request meets a fault: one that needs no answer of the application's own.

    `trouble` may be shared with other parts: a managed identity and Entra ID are one sign-in for who asks.
    """

    def __init__(self, application: Application, trouble: Trouble) -> None:
        self.trouble = trouble
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        released = self.trouble.released
        fault = self.trouble.choose(_request(scope))
        if fault is None:
            return await self._application(scope, receive, send)
        try:
            await _send(send, fault(lambda: Response(200, {})))
        except ConnectionCut:
            await _hang_up(receive)
        except Hang as hang:
            await _wait(receive, released, hang.seconds)
            await _hang_up(receive)
