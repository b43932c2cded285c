"""Runs of `az dicom changefeed` in virtual time: az's objects as far as a run looks at them, and no sign-in."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jmespath
import pytest
from knack.events import EVENT_INVOKER_FILTER_RESULT

from azext_dicomtoken._invocation import Invocation, keep_arguments
from azext_dicomtoken._service import Service
from azext_dicomtoken.changefeed.options import checked
from azext_dicomtoken.changefeed.session import Session
from dicomfeed.delivery import Summary
from dicomfeed.filters import Filters
from dicomfeed.prefetch import InlinePool
from tests.feed.world import URL, World

OpenSession = Callable[..., Session]


class FakeCli:
    """As much of az as a run asks: the format of its output and what was typed."""

    only_show_errors = True
    config = SimpleNamespace(getboolean=lambda *_, **__: False)

    def __init__(self, *arguments: str, output: str = 'json', query: str | None = None) -> None:
        self.data: dict[str, Any] = {}
        self.invocation = SimpleNamespace(data={'output': output})
        self._event_handlers: dict[str, list[Any]] = {EVENT_INVOKER_FILTER_RESULT: []}
        if query is not None:
            self.search(query)
            arguments = (*arguments, '--query', query)
        keep_arguments(self, arguments)

    def search(self, query: str) -> None:
        """As knack does where --query is typed."""
        compiled = jmespath.compile(query)

        def search(_cli: Any, event_data: dict[str, Any]) -> None:
            event_data['result'] = compiled.search(event_data['result'])

        self._event_handlers[EVENT_INVOKER_FILTER_RESULT].append(search)
        self.invocation.data['query_active'] = True


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def cli() -> FakeCli:
    return FakeCli()


@pytest.fixture
def open_session(world: World, cli: FakeCli) -> OpenSession:
    """A run with these options, as typed, in the world."""

    def opened(*, filters: dict[str, tuple[str, ...]] | None = None, **options: Any) -> Session:
        invocation = Invocation(cli)
        typed = {name: list(values) for name, values in (filters or {}).items()}
        meant = checked({**typed, **options}, invocation)
        wanted = Filters(**filters or {}, conditions=meant.conditions)
        return Session(
            invocation,
            meant,
            Service(URL, 'audience'),
            login=None,  # type: ignore[arg-type]
            feed=world.feed(include_metadata=meant.include_metadata, fields=meant.fields, filters=wanted),
            pool=InlinePool(5),
            filters=wanted,
            summary=Summary(),
        )

    return opened
