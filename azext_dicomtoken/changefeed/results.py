"""What az prints of the feed: one event, a list, or counts."""

from __future__ import annotations

from typing import Any

from azext_dicomtoken.changefeed.readings import reading_of
from azext_dicomtoken.changefeed.resume import say_list_was_cut
from azext_dicomtoken.changefeed.session import Session
from dicomfeed.counts import Counts
from dicomfeed.events import Event
from dicomfeed.queries import SequenceRange


def result_of(session: Session) -> Any:
    """The result of a run that does not stream."""
    options = session.options
    if options.count_by:
        return _counts(session, options.count_by)
    if options.sequence is not None:
        return _numbered_event(session, options.sequence)
    if options.latest:
        return _newest_event(session)
    return [event.decode() for event in _listed(session)]


def _counts(session: Session, by: str) -> list[dict[str, Any]]:
    """One row a bucket, over the whole of what was asked."""
    reading, counts, reached = reading_of(session), Counts(by), None
    for events in reading.batches():
        for event in reading.passing(events):
            counts.add(event)
        reached = events[-1] if events else reached
    reading.conclude(reached)
    return counts.rows()


def _numbered_event(session: Session, sequence: int) -> dict[str, Any]:
    events = session.feed.page(SequenceRange(sequence - 1, 1)).events
    if events:
        return events[0].decode()
    from azure.cli.core.azclierror import ResourceNotFoundError

    raise ResourceNotFoundError(
        'No event has that sequence number.',
        recommendation='A number may be missing for ever, or appear up to a minute late. The newest event: '
        'az dicom changefeed --latest',
    )


def _newest_event(session: Session) -> dict[str, Any] | None:
    """The newest event that passes the filters; None where there is none."""
    if session.filters.is_empty:
        found = session.feed.newest()
        newest = session.feed.with_metadata([found])[0] if found else None
    else:
        newest = next((event for batch in reading_of(session).batches() for event in batch), None)
    return newest.decode() if newest else None


def _listed(session: Session) -> list[Event]:
    """At most --max-items events; where there are more, standard error says how to continue."""
    options = session.options
    most = options.tail or options.max_items
    reading = reading_of(session, at_most=most + 1)
    events: list[Event] = []
    reached: Event | None = None
    for batch in reading.batches():
        events += reading.passing(batch)
        if len(events) > most:
            break
        reached = batch[-1] if batch else reached
    if len(events) > most:
        events = events[:most]
        reached = events[-1]
        token = reading.position(reached)
        assert token is not None
        say_list_was_cut(session.invocation, options, token)
    reading.conclude(reached)
    return events
