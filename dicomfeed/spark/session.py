"""The feed as one process of a job reads it: its client, what its log says, what its errors say.

Owned: what goes into Spark's logs, event log and exceptions, none of which may hold a token, a UID or what the service
said. Not owned: what is read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from dicomfeed.client import FeedClient, Retry
from dicomfeed.errors import (
    FeedError,
    FeedRestored,
    Forbidden,
    HostUnreachable,
    NotFound,
    Redirected,
    ServiceTrouble,
    StartAboveEnd,
    TooManyPoisoned,
    Unauthorized,
)
from dicomfeed.events import Event
from dicomfeed.feed import AtOnce, Feed
from dicomfeed.prefetch import ThreadPool
from dicomfeed.spark.options import Options
from dicomfeed.spark.tokens import token_source
from dicomfeed.times import Ticks
from dicomfeed.transport import HttpTransport

logger = logging.getLogger('dicomfeed.spark')

_PATIENCE_SECONDS = 900.0
"""So long one page is asked for again: Spark itself tries a failed task again at once, and a query not at all."""
_FAILURES_BEFORE_A_WARNING = 3
_ADVICE: dict[type[FeedError], str] = {
    Forbidden: 'The identity of the job may not read the feed: give it the role DICOM Data Reader.',
    Unauthorized: 'The service does not accept the token: check the options resource and credential.',
    NotFound: 'The service has no change feed at this address: check the option serviceUrl.',
    Redirected: 'Check the option serviceUrl: a token never follows to another host.',
    HostUnreachable: 'Check the option serviceUrl, and the network and the proxy settings of the nodes.',
    ServiceTrouble: 'Try again later, with fewer requests in flight if the service was busy.',
    StartAboveEnd: 'Check the option afterSequence, or find out whether the database was restored.',
    FeedRestored: 'Find out what was restored, then start with a new checkpoint.',
    TooManyPoisoned: 'Read without includeMetadata, or report the events to Azure support.',
}


class JobFailed(RuntimeError):
    """Why a job ends, for its user: what happened and what to do."""


@contextmanager
def open_feed(
    options: Options,
    *,
    for_task: bool,
    since: Ticks | None = None,
) -> Iterator[tuple[Feed, ThreadPool]]:
    """The feed and the threads that ask it, for one task or one query. Nothing has been sent.

    Raises JobFailed in the place of what the reader raises inside the context.

    :param for_task: with the metadata, or the attributes, that the options ask for; of a service that has answered the
        driver, which needs none of them.
    :param since: events before it are not wanted.
    """
    pool = ThreadPool(options.requests_in_flight)
    poisoned: list[int] = []

    def report(sequence: int) -> None:
        poisoned.append(sequence)
        logger.warning('The metadata of event %d cannot be read; it comes without.', sequence)

    try:
        with telling():
            client = FeedClient(
                options.service_url,
                token_source(options),
                transport=HttpTransport(user_agent='dicomfeed-spark', connections=options.requests_in_flight),
                patience_seconds=_PATIENCE_SECONDS,
                is_proven=for_task,
                on_retry=_retrying,
            )
            feed = Feed(
                client,
                include_metadata=for_task and options.include_metadata,
                fields=options.fields if for_task else None,
                metadata_at_once=AtOnce.ALWAYS,
                on_poisoned=report,
            )
            yield (feed if since is None else feed.only(lambda event: is_since(event, since))), pool
        if poisoned:
            logger.warning('Events of this task without their metadata: %d.', len(poisoned))
    finally:
        pool.close()


def is_since(event: Event, since: Ticks | None) -> bool:
    """Whether the event is not before the start time, if there is one."""
    return since is None or event.ticks >= since


@contextmanager
def telling() -> Iterator[None]:
    """What the reader raises inside comes out as JobFailed, which says what to do."""
    try:
        yield
    except FeedError as error:
        advice = next((text for kind, text in _ADVICE.items() if isinstance(error, kind)), None)
        raise JobFailed(f'{error} {advice}' if advice else str(error)) from None


def _retrying(retry: Retry) -> None:
    if retry.failures >= _FAILURES_BEFORE_A_WARNING:
        logger.warning('%s Trying again in %.0f s.', retry.reason, retry.pause_seconds)
