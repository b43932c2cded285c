"""Runs of `az dicom changefeed` in virtual time, with as much of az as a run looks at; a run may be killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from azext_dicomtoken._invocation import Invocation
from azext_dicomtoken._service import Service
from azext_dicomtoken._signals import Interruption
from azext_dicomtoken.changefeed.options import Options
from azext_dicomtoken.changefeed.session import Session
from azext_dicomtoken.changefeed.stream import stream
from dicomfeed.client import ONE_SHOT_PATIENCE_SECONDS
from dicomfeed.errors import RequestError, ServiceTrouble
from dicomfeed.filters import Filters
from dicomfeed.prefetch import InlinePool
from dicomfeed.summary import Summary
from tests.feed.world import URL, Ended, Killed, World


class _Mortal(Interruption):
    """Lets nothing be written any more once the world's process is dead."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    @contextmanager
    def held_back(self) -> Iterator[None]:
        if self._world.is_dead:
            raise Killed
        yield


def session_in(world: World, options: Options) -> Session:
    """A run with these options."""
    filters = Filters(**options.filters, conditions=options.conditions)
    cli_ctx = SimpleNamespace(only_show_errors=True, invocation=SimpleNamespace(data={}), data={})
    return Session(
        Invocation(cli_ctx),
        options,
        Service(URL, 'audience'),
        login=None,  # type: ignore[arg-type]
        feed=world.feed(patience_seconds=None if options.follow else ONE_SHOT_PATIENCE_SECONDS, filters=filters),
        pool=InlinePool(5),
        filters=filters,
        summary=Summary(),
    )


def run_once(world: World, options: Options) -> Session:
    """One run of the command with --stream or --output-file, which may be killed, or ended as by a signal."""
    session = session_in(world, options)
    try:
        stream(session, _Mortal(world))
    except Killed:
        world.is_dead = False
    except Ended:
        world.end = None
    except (RequestError, ServiceTrouble):
        pass  # patience was at an end: the command has exit code 1, and cron calls it again
    return session
