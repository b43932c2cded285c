"""Body of `az dicom changefeed`: one event, a list, or a stream (`_stream`)."""
from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from azext_dicomtoken._options import MAX_ITEMS, Options
from azext_dicomtoken._paging import NextToken, command_line
from azext_dicomtoken._reading import Reading, open_reading
from azext_dicomtoken._signals import Interrupted, Interruption
from dicomfeed.events import Event
from dicomfeed.prefetch import InlinePool
from dicomfeed.queries import SEQUENCE_LIMIT, TIME_LIMIT
from dicomfeed.sequences import AtHole, SequenceReader
from dicomfeed.windows import WindowReader

_GO_ON_WITHOUT = ('max_items', 'start_time', 'end_time', 'after_sequence', 'next_token')


def changefeed(cmd: Any, **given: Any) -> Any:
    options = Options.checked(given)
    interruption = Interruption()
    with interruption.raising():
        try:
            reading = open_reading(cmd, options)
            if options.is_streaming:
                from azext_dicomtoken._stream import stream
                stream(reading, interruption)
                return None
            if options.latest or options.sequence is not None:
                return _one_event(reading)
            return _list(reading)
        except Interrupted as end:
            raise SystemExit(end.exit_code) from None


def _one_event(reading: Reading) -> dict[str, Any] | None:
    """The newest event or the numbered one; None where the feed has no newest one."""
    if reading.options.sequence is not None:
        return _numbered_event(reading, reading.options.sequence)
    if reading.filters.is_empty:
        newest = reading.client.latest(include_metadata=reading.options.include_metadata)
        return newest.fields if newest else None
    return next((event.fields for event in _tail(reading, 1)), None)


def _numbered_event(reading: Reading, sequence: int) -> dict[str, Any]:
    from dicomfeed.queries import SequenceRange
    events = reading.feed.page(SequenceRange(sequence - 1, 1)).events
    if events:
        return events[0].fields
    from azure.cli.core.azclierror import ResourceNotFoundError
    raise ResourceNotFoundError(
        'No event has that sequence number.',
        recommendation='A number may be missing for ever, or appear up to a minute late. The newest event: '
                       'az dicom changefeed --latest')


def _list(reading: Reading) -> list[dict[str, Any]]:
    options = reading.options
    if options.tail:
        return [event.fields for event in _tail(reading, options.tail)]
    if options.checkpoint:
        from azext_dicomtoken._stream import list_from_checkpoint
        return list_from_checkpoint(reading, options.max_items or MAX_ITEMS)
    wanted = (options.max_items or MAX_ITEMS) + 1
    window_end = _window_end(reading) if options.is_window else None
    source = _by_sequence(reading, wanted) if window_end is None else _by_time(reading, wanted, window_end)
    events = _first(source, wanted)
    if len(events) == wanted:
        events.pop()
        _say_how_to_go_on(options, events[-1], window_end)
    return [event.fields for event in events]


def _tail(reading: Reading, count: int) -> list[Event]:
    from dicomfeed.tail import newest_events
    return newest_events(reading.feed, count, filters=reading.filters, pool=reading.pool,
                         settle_seconds=reading.options.settle_seconds)


def _window_end(reading: Reading) -> int:
    """Where the window ends: as given, or where the feed ends now."""
    options = reading.options
    if options.token and options.token.end is not None:
        return options.token.end
    return options.end if options.end is not None else reading.open_end()


def _by_sequence(reading: Reading, wanted: int) -> Iterator[Event]:
    options = reading.options
    newest = reading.feed.newest()
    after = options.token.sequence if options.token else options.after_sequence or 0
    reader = SequenceReader(reading.feed, cursor=after, pool=InlinePool(), settle_seconds=options.settle_seconds,
                            width=min(SEQUENCE_LIMIT, wanted) if reading.filters.is_empty else SEQUENCE_LIMIT)
    for events in reader.read(newest.sequence if newest else 0, at_hole=AtHole.PASS):
        yield from reading.filters.passing(events)


def _by_time(reading: Reading, wanted: int, end: int) -> Iterator[Event]:
    options, token = reading.options, reading.options.token
    reached = (token.ticks, token.sequence) if token else (options.start or 0, 0)
    reader = WindowReader(reading.feed, start=reached[0], end=end, pool=InlinePool(),
                          settle_seconds=options.settle_seconds)
    limit = min(TIME_LIMIT, wanted) if reading.filters.is_empty else TIME_LIMIT
    for events in reader.read_slowly(reached[0], limit=limit):
        yield from reading.filters.passing(event for event in events if (event.ticks, event.sequence) > reached)


def _first(events: Iterable[Event], count: int) -> list[Event]:
    from itertools import islice
    return list(islice(events, count))


def _say_how_to_go_on(options: Options, last: Event, window_end: int | None) -> None:
    """On standard error whatever --only-show-errors says: a cut result that is read as a whole one is wrong."""
    token = NextToken(last.sequence, last.ticks, window_end).encoded()
    max_items = [('--max-items', options.max_items)] if options.max_items else []
    print(f'There are more events than the {options.max_items or MAX_ITEMS} listed. Go on with:\n'
          + command_line([*options.typed(*_GO_ON_WITHOUT), *max_items, ('--next-token', token)]), file=sys.stderr)
