"""What az prints of the feed: one event, a list, or counts."""

from __future__ import annotations

from bisect import bisect
from typing import Any, NamedTuple

from azext_dicomtoken._command_line import service_command
from azext_dicomtoken._json import loads
from azext_dicomtoken.changefeed.lines import queried
from azext_dicomtoken.changefeed.options import Options
from azext_dicomtoken.changefeed.readings import Reading, reading_of, say_deleted_not_matched
from azext_dicomtoken.changefeed.resume import say_list_was_cut
from azext_dicomtoken.changefeed.session import Session
from azext_dicomtoken.changefeed.vocabulary import MOST_FOR_QUERY, MOST_FOR_QUERY_WITH_METADATA
from dicomfeed.counts import Counts
from dicomfeed.events import Event
from dicomfeed.queries import SequenceRange


def result_of(session: Session) -> Any:
    """The result of a run that does not stream, after --query."""
    result = _result_of(session)
    return queried(session.invocation, result) if session.invocation.has_query else result


def _result_of(session: Session) -> Any:
    options = session.options
    if options.count_by:
        return _counts(session, options.count_by)
    if options.sequence is not None:
        return _numbered_event(session, options.sequence)
    if options.latest:
        return _newest_event(session)
    if options.stable_after is not None:
        return _stable_studies(session)
    return [_decoded(event) for event in _listed(session)]


def _counts(session: Session, by: str) -> list[dict[str, Any]]:
    """One row a bucket, over the whole of what was asked."""
    reading, counts, reached = reading_of(session), Counts(by), None
    with session.progress() as progress:
        for events in reading.batches():
            for event in reading.passing(events):
                counts.add(event)
            session.summary.deleted_not_matched += len(reading.deleted(events))
            reached = events[-1] if events else reached
            progress.show(reading.fraction(reached), len(events))
    reading.conclude(reached)
    return counts.rows()


def _stable_studies(session: Session) -> list[dict[str, Any]]:
    """At most --max-items rows of everything that was asked, or with --query and without --max-items all."""
    from azext_dicomtoken.changefeed.studies import say_rows_were_cut, say_what_is_open, studies_of

    options, reading = session.options, reading_of(session)
    studies = studies_of(reading)
    assert studies is not None
    most = MOST_FOR_QUERY if _is_everything(session) else options.max_items
    rows: list[dict[str, Any]] = []
    reached = None
    with session.progress() as progress:
        for events in reading.batches(studies.begin_poll):
            closed = studies.add(events, reading.passing(events)) if events else studies.complete_poll()
            rows += closed[: most + 1 - len(rows)]
            session.summary.deleted_not_matched += len(reading.deleted(events))
            reached = events[-1] if events else reached
            progress.show(reading.fraction(reached), len(events))
    if len(rows) > most and _is_everything(session):
        raise _too_many_for_query(most, 'row')
    if len(rows) > most:
        rows.pop()
        say_rows_were_cut(options)
    reading.conclude(reached)
    say_what_is_open(options, studies)
    say_deleted_not_matched(session.summary)
    return rows


def _numbered_event(session: Session, sequence: int) -> dict[str, Any]:
    events = session.feed.page(SequenceRange(sequence - 1, 1)).events
    if events:
        return _decoded(events[0])
    from azure.cli.core.azclierror import ResourceNotFoundError

    latest = service_command(session.invocation, session.options.typed, 'changefeed', '--latest')
    raise ResourceNotFoundError(
        'No event has that sequence number.',
        recommendation='A sequence number can be missing forever, or appear up to a minute late. The newest event: '
        + latest,
    )


def _newest_event(session: Session) -> dict[str, Any] | None:
    """The newest event that passes the filters; None where there is none."""
    if session.filters.is_empty:
        found = session.feed.newest()
        newest = session.feed.with_metadata([found])[0] if found else None
    else:
        taken = _first(reading_of(session), 2)  # one more than there are: what comes above the newest one counts too
        newest = next(iter(taken.events), None)
        session.summary.deleted_not_matched = taken.deleted
        say_deleted_not_matched(session.summary)
    return _decoded(newest) if newest else None


def _listed(session: Session) -> list[Event]:
    """At most --max-items events, or everything; where there are more, standard error says how to continue."""
    options = session.options
    is_everything = _is_everything(session)
    most = _most_for_query(options) if is_everything else options.tail or options.max_items
    reading = reading_of(session, at_most=None if is_everything else most + 1)
    events, deleted_before, deleted, reached = _first(reading, most + 1)
    reading.is_cut = len(events) > most
    if reading.is_cut and is_everything:
        raise _too_many_for_query(most, 'event')
    if reading.is_cut and not options.tail:
        events.pop()
        reached, deleted = events[-1], deleted_before[-2]
        say_list_was_cut(session.invocation, options, reading.position(reached))
    session.summary.deleted_not_matched = deleted
    reading.conclude(reached)
    return events


def _is_everything(session: Session) -> bool:
    """Whether a list is not cut, because --query is applied to it: `length(@)` of a cut list is wrong."""
    return session.invocation.has_query and not session.options.tail and 'max_items' not in session.options.typed


def _most_for_query(options: Options) -> int:
    return MOST_FOR_QUERY_WITH_METADATA if options.reads_metadata else MOST_FOR_QUERY


def _too_many_for_query(most: int, item: str) -> Exception:
    from azure.cli.core.azclierror import InvalidArgumentValueError

    return InvalidArgumentValueError(
        f'--query without --max-items needs every {item}, and there are more than {most:,}.',
        recommendation=f'Use --max-items to apply it to a part, --stream to apply it to each {item}, or --count-by to '
        'count events.',
    )


def _decoded(event: Event) -> dict[str, Any]:
    """The event as az prints it: its numbers as the service wrote them."""
    fields: dict[str, Any] = loads(event.line)
    return fields


class _Taken(NamedTuple):
    """Events that pass, and the one read last.

    `deleted` is how many events conditions left out because the instance is deleted, `deleted_before` how many of those
    come before each event that passes.
    """

    events: list[Event]
    deleted_before: list[int]
    deleted: int
    reached: Event | None


def _first(reading: Reading, count: int) -> _Taken:
    """So many events, or all that there are."""
    events: list[Event] = []
    deleted_before: list[int] = []
    deleted, reached = 0, None
    with reading.session.progress() as progress:
        for batch in reading.batches():
            passing, gone = reading.passing(batch), list(map(reading.order, reading.deleted(batch)))
            events += passing
            deleted_before += [deleted + bisect(gone, reading.order(event)) for event in passing]
            deleted += len(gone)
            reached = batch[-1] if batch else reached
            if len(events) >= count:
                break
            progress.show(max(len(events) / count, reading.fraction(reached)), len(batch))
    return _Taken(events[:count], deleted_before[:count], deleted, reached)
