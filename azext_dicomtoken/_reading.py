"""What every way of reading the feed needs: the service, the sign-in, the client, and who hears of trouble."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from knack.log import get_logger

from azext_dicomtoken._diagnosis import Access
from azext_dicomtoken._login import Login
from azext_dicomtoken._options import CONCURRENCY, Options
from azext_dicomtoken._paging import command_line
from azext_dicomtoken._service import Service, resolve_service
from dicomfeed.client import ONE_SHOT_PATIENCE_SECONDS, FeedClient, Retry
from dicomfeed.delivery import Summary
from dicomfeed.errors import ConnectionFailed, ServiceError
from dicomfeed.feed import Feed
from dicomfeed.filters import Filters
from dicomfeed.prefetch import ThreadPool
from dicomfeed.times import LAST_TICK
from dicomfeed.transport import HttpTransport

logger = get_logger(__name__)

_SECONDS_BETWEEN_REPORTS = 5.0
_DECODING = 2  # threads more than requests, so that none waits for a page with metadata to be decoded


@dataclass
class Trouble:
    """Says on standard error why there is nothing for a while: once in a few seconds, whatever the workers meet."""

    summary: Summary
    _last_report: float = field(default=float('-inf'))

    def retrying(self, retry: Retry) -> None:
        self.summary.retries += 1
        if time.monotonic() - self._last_report < _SECONDS_BETWEEN_REPORTS:
            return
        self._last_report = time.monotonic()
        logger.warning('%s Trying again in about %d s.', _reason(retry), math.ceil(retry.pause_seconds))

    def poisoned(self, sequence: int) -> None:
        self.summary.unreadable.append(sequence)
        logger.warning('The metadata of event %d cannot be read; it comes without.', sequence)


def _say_clocks_differ(seconds_ahead: float) -> None:
    """On standard error whatever --only-show-errors says: what is read is not what the local clock suggests."""
    seconds = round(abs(seconds_ahead))
    difference = f'{seconds // 3600} h {seconds // 60 % 60} min' if seconds >= 3600 else f'{seconds // 60} min'
    print(
        f"This machine's clock is {difference} {'ahead of' if seconds_ahead > 0 else 'behind'} the service's. "
        "Ages count back from the service's clock.",
        file=sys.stderr,
    )


def _reason(retry: Retry) -> str:
    """The reader's own words: what the service said could be anything, and logs are kept."""
    error = retry.reason
    if isinstance(error, ConnectionFailed) and error.through_proxy:
        return f'{error} (through the proxy)'
    if isinstance(error, ServiceError) and error.request_id:
        return f'{error} (request {error.request_id[:80]!r})'
    return str(error)


@dataclass(frozen=True)
class Reading:  # pylint: disable=too-many-instance-attributes    # what one run is made of
    """One run of the command."""

    cmd: Any
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

    def access(self) -> Access:
        """Who asks which service, for what is said when that fails."""
        return Access(self.service, self.login.unverified_claims())

    def command_line(self, more: list[tuple[str, Any]], *, without: tuple[str, ...]) -> str:
        """The command as it was typed, for the same identity and format, with other options in the place of some."""
        cli_ctx = self.cmd.cli_ctx
        output = cli_ctx.invocation.data.get('output')
        if output == cli_ctx.config.get('core', 'output', fallback='json'):
            output = None
        subscription = cli_ctx.data.get('subscription_id')
        if getattr(subscription, 'is_default', False):
            subscription = None
        return command_line([*self.options.typed(*without), *more, ('--subscription', subscription), ('-o', output)])

    def window_end(self) -> int:
        """Where the window ends: as given, else now by the service's clock, or just after the newest event."""
        options = self.options
        if options.token and options.token.end is not None:
            return options.token.end
        if options.end is not None:
            return options.end
        newest = self.client.latest(by_time=True)
        return min(LAST_TICK, max(self.client.service_now(), newest.ticks + 1 if newest else 0))


def open_reading(cmd: Any, options: Options) -> Reading:
    """Put together what a run needs. Nothing has been sent after it, but to Azure Resource Manager when named."""
    from azure.cli.core.util import get_az_user_agent

    service = resolve_service(
        cmd.cli_ctx,
        service_url=options.service_url,
        workspace_name=options.workspace_name,
        dicom_service_name=options.dicom_service_name,
        resource_group_name=options.resource_group_name,
        resource=options.resource,
    )
    assert service.url is not None
    login = Login(
        cmd.cli_ctx,
        audience=service.audience,
        subscription=cmd.cli_ctx.data.get('subscription_id'),
        tenant=options.tenant,
    )
    summary = Summary()
    trouble = Trouble(summary)
    concurrency = options.concurrency or CONCURRENCY
    client = FeedClient(
        service.url,
        login,
        transport=HttpTransport(user_agent=get_az_user_agent(), connections=concurrency),
        patience_seconds=None if options.follow else ONE_SHOT_PATIENCE_SECONDS,
        on_retry=trouble.retrying,
        on_clock_difference=_say_clocks_differ,
    )
    filters = Filters(**options.filters)
    feed = Feed(client, include_metadata=options.include_metadata, wanted=filters.passing, on_poisoned=trouble.poisoned)
    pool = ThreadPool(concurrency + (_DECODING if options.include_metadata else 0))
    return Reading(cmd, options, service, login, feed, pool, filters, summary)
