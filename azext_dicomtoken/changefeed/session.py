"""What every way of reading the feed needs: the service, the sign-in, the client, and who hears of trouble."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace

from knack.log import get_logger

from azext_dicomtoken._advice import Access, access_of
from azext_dicomtoken._command_line import service_command
from azext_dicomtoken._invocation import Invocation
from azext_dicomtoken._login import Login
from azext_dicomtoken._output import duration_text, say
from azext_dicomtoken._service import Service, resolve_service
from azext_dicomtoken.changefeed.options import Options
from azext_dicomtoken.changefeed.progress import Progress
from dicomfeed.client import ONE_SHOT_PATIENCE_SECONDS, FeedClient, Retry
from dicomfeed.errors import ConnectionFailed, ServiceError
from dicomfeed.feed import AtOnce, Feed
from dicomfeed.filters import Filters
from dicomfeed.prefetch import ThreadPool
from dicomfeed.summary import Summary
from dicomfeed.times import Clock

logger = get_logger(__name__)

_SECONDS_BETWEEN_REPORTS = 5.0
_DECODING = 2  # threads more than requests, so that none waits for a page with metadata to be decoded


@dataclass(frozen=True)
class Session:  # pylint: disable=too-many-instance-attributes    # what one run is made of
    """One run of the command."""

    invocation: Invocation
    options: Options
    service: Service
    login: Login
    feed: Feed
    pool: ThreadPool
    filters: Filters
    summary: Summary

    @property
    def client(self) -> FeedClient:
        return self.feed.client

    def progress(self, *, wanted: bool = True) -> Progress:
        """What a person sees who watches the run."""
        return Progress(self.invocation.cli_ctx, monotonic=self.client.clock.monotonic, wanted=wanted)

    def access(self) -> Access:
        """Who asks which service, for what is said when that fails."""
        check = service_command(self.invocation, self.options.typed, 'check-access')
        return replace(access_of(self.invocation, self.service, self.login), check_command=check)


def open_session(invocation: Invocation, options: Options) -> Session:
    """Put together what a run needs. Nothing has been sent after it, but to Azure Resource Manager when named."""
    service = resolve_service(invocation, **options.service)
    assert service.url is not None
    login = Login(invocation, audience=service.audience, tenant=options.tenant)
    summary = Summary()
    trouble = Trouble(summary, has_conditions=options.conditions is not None)
    client = FeedClient(
        service.url,
        login,
        clock=Clock(sleep=invocation.stdout.sleep) if options.writes_stdout else None,
        transport=invocation.transport(connections=options.concurrency),
        patience_seconds=None if options.follow else ONE_SHOT_PATIENCE_SECONDS,
        on_retry=trouble.retrying,
        on_clock_difference=_say_clocks_differ,
        keep_names=options.stable_after is not None,
    )
    filters = Filters(**options.filters, conditions=options.conditions)
    feed = Feed(
        client,
        include_metadata=options.include_metadata,
        fields=options.fields,
        conditions=options.conditions,
        metadata_at_once=_at_once(filters, options),
        wanted=filters.passing,
        on_poisoned=trouble.poisoned,
    )
    pool = ThreadPool(options.concurrency + (_DECODING if options.reads_metadata else 0))
    return Session(invocation, options, service, login, feed, pool, filters, summary)


def _at_once(filters: Filters, options: Options) -> AtOnce:
    """With --follow, events may have to wait long for a gap before they can be delivered."""
    if options.follow:
        return AtOnce.NEVER
    return AtOnce.WHERE_MOST_ARE_WANTED if filters.has_properties else AtOnce.ALWAYS


@dataclass
class Trouble:
    """Says on standard error why there is nothing for a while: once in a few seconds, whatever the workers meet."""

    summary: Summary
    has_conditions: bool = False
    _last_report: float = field(default=float('-inf'))

    def retrying(self, retry: Retry) -> None:
        self.summary.retries += 1
        if time.monotonic() - self._last_report < _SECONDS_BETWEEN_REPORTS:
            return
        self._last_report = time.monotonic()
        logger.warning('%s Trying again in about %d s.', _reason(retry), math.ceil(retry.pause_seconds))

    def poisoned(self, sequence: int) -> None:
        self.summary.unreadable.append(sequence)
        what_follows = (
            'The event is left out, because --match cannot be tested.'
            if self.has_conditions
            else 'The event comes without it.'
        )
        say(f'The metadata of event {sequence} cannot be read. {what_follows}')


def _say_clocks_differ(seconds_ahead: float) -> None:
    """On standard error whatever --only-show-errors says: what is read is not what the local clock suggests."""
    direction = 'ahead of' if seconds_ahead > 0 else 'behind'
    say(
        f"This machine's clock is {duration_text(abs(seconds_ahead))} {direction} the service's. "
        "Ages count back from the service's clock."
    )


def _reason(retry: Retry) -> str:
    """The reader's own words: what the service said could be anything, and logs are kept."""
    error = retry.reason
    if isinstance(error, ConnectionFailed) and error.through_proxy:
        return f'{error} (through the proxy)'
    if isinstance(error, ServiceError) and error.request_id:
        return f'{error} (request {error.request_id[:80]!r})'
    return str(error)
