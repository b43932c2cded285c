"""Body of `az dicom changefeed`: one event, a list, or a stream (`_stream`)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from azext_dicomtoken._checkpoints import held_checkpoint
from azext_dicomtoken._errors import explained
from azext_dicomtoken._options import MAX_ITEMS, Options
from azext_dicomtoken._output import print_whole
from azext_dicomtoken._paging import NextToken
from azext_dicomtoken._reading import Reading, open_reading
from azext_dicomtoken._signals import Interrupted, Interruption
from dicomfeed.events import Event
from dicomfeed.prefetch import InlinePool
from dicomfeed.queries import SEQUENCE_LIMIT, TIME_LIMIT
from dicomfeed.sequences import AtGap, SequenceReader
from dicomfeed.windows import WindowReader

_GO_ON_WITHOUT = ('start_time', 'end_time', 'after_sequence', 'next_token')


def changefeed(cmd: Any, **kwargs: Any) -> Any:
    print_whole(cmd)
    options = Options.checked(kwargs)
    interruption = Interruption()
    with interruption.raising():
        try:
            reading = open_reading(cmd, options)
            with explained(reading.access, files=options.files):
                return _read(reading, interruption)
        except Interrupted as end:
            raise SystemExit(0 if options.ends_by_signal else end.exit_code) from None


def _read(reading: Reading, interruption: Interruption) -> Any:
    options = reading.options
    if options.is_streaming:
        from azext_dicomtoken._stream import stream

        stream(reading, interruption)
        return None
    if options.count_by:
        return _counts(reading, options.count_by)
    if options.latest or options.sequence is not None:
        return _one_event(reading)
    return _list(reading)


def _counts(reading: Reading, by: str) -> list[dict[str, Any]]:
    """One row a bucket, over the whole of what was asked."""
    from azext_dicomtoken._runs import Sequences, Window
    from dicomfeed.counts import Counts

    run = (Window if reading.options.is_window else Sequences)(reading, None)
    counts = Counts(by)
    for events in run.batches():
        for event in reading.filters.passing(events):
            counts.add(event)
    run.conclude()
    return counts.rows()


def _one_event(reading: Reading) -> dict[str, Any] | None:
    """The newest event or the numbered one; None where the feed has no newest one."""
    if reading.options.sequence is not None:
        return _numbered_event(reading, reading.options.sequence)
    if reading.filters.is_empty:
        newest = reading.client.latest(include_metadata=reading.options.include_metadata)
        return newest.decode() if newest else None
    return next((event.decode() for event in _tail(reading, 1)), None)


def _numbered_event(reading: Reading, sequence: int) -> dict[str, Any]:
    from dicomfeed.queries import SequenceRange

    events = reading.feed.page(SequenceRange(sequence - 1, 1)).events
    if events:
        return events[0].decode()
    from azure.cli.core.azclierror import ResourceNotFoundError

    raise ResourceNotFoundError(
        'No event has that sequence number.',
        recommendation='A number may be missing for ever, or appear up to a minute late. The newest event: '
        'az dicom changefeed --latest',
    )


def _list(reading: Reading) -> list[dict[str, Any]]:
    options = reading.options
    if options.tail:
        return [event.decode() for event in _tail(reading, options.tail)]
    if options.checkpoint:
        return _list_from_checkpoint(reading, options.max_items or MAX_ITEMS)
    wanted = (options.max_items or MAX_ITEMS) + 1
    window_end = reading.window_end() if options.is_window else None
    source = _by_sequence(reading, wanted) if window_end is None else _by_time(reading, wanted, window_end)
    events = _first(source, wanted)
    if len(events) == wanted:
        events.pop()
        _say_how_to_go_on(reading, events[-1], window_end)
    return [event.decode() for event in events]


def _list_from_checkpoint(reading: Reading, max_items: int) -> list[dict[str, Any]]:
    """The events after the checkpoint, which moves once az has printed them: at least once, never lost."""
    from knack.events import EVENT_CLI_SUCCESSFUL_EXECUTE

    from azext_dicomtoken._runs import Sequences

    holding = ExitStack()
    run = Sequences(reading, holding.enter_context(held_checkpoint(reading)))
    checkpoint = run.checkpoint
    assert checkpoint is not None
    listed: list[Event] = []
    for events in filter(None, run.batches()):
        passing = [event for event in reading.filters.passing(events) if run.wanted is None or run.wanted(event)]
        room = max_items - len(listed)
        listed += passing[:room]
        checkpoint.take(listed[-1] if len(passing) > room else events[-1])
        if len(passing) > room:
            print(
                f'There are more events than the {max_items} listed. Run the same command again to go on.',
                file=sys.stderr,
            )
            break

    def save(_cli_ctx: Any, **_: Any) -> None:
        sys.stdout.flush()
        checkpoint.save(checkpoint.checkpoint.output)
        holding.close()

    reading.cmd.cli_ctx.register_event(EVENT_CLI_SUCCESSFUL_EXECUTE, save)
    return [event.decode() for event in listed]


def _tail(reading: Reading, count: int) -> list[Event]:
    from dicomfeed.starts import newest_events

    return newest_events(
        reading.feed, count, filters=reading.filters, pool=reading.pool, settle_seconds=reading.options.settle_seconds
    )


def _by_sequence(reading: Reading, wanted: int) -> Iterator[Event]:
    options = reading.options
    newest = reading.feed.newest()
    after = options.token.sequence if options.token else options.after_sequence or 0
    reader = SequenceReader(
        reading.feed,
        cursor=after,
        pool=InlinePool(),
        settle_seconds=options.settle_seconds,
        width=min(SEQUENCE_LIMIT, wanted) if reading.filters.is_empty else SEQUENCE_LIMIT,
    )
    for events in reader.read(newest.sequence if newest else 0, at_gap=AtGap.PASS):
        yield from reading.filters.passing(events)


def _by_time(reading: Reading, wanted: int, end: int) -> Iterator[Event]:
    reached = reading.options.window_start
    reader = WindowReader(
        reading.feed, start=reached[0], end=end, pool=InlinePool(), settle_seconds=reading.options.settle_seconds
    )
    limit = min(TIME_LIMIT, wanted) if reading.filters.is_empty else TIME_LIMIT
    for events in reader.read_slowly(reached[0], limit=limit):
        yield from reading.filters.passing(event for event in events if (event.ticks, event.sequence) > reached)


def _first(events: Iterable[Event], count: int) -> list[Event]:
    from itertools import islice

    return list(islice(events, count))


def _say_how_to_go_on(reading: Reading, last: Event, window_end: int | None) -> None:
    """On standard error whatever --only-show-errors says: a cut result that is read as a whole one is wrong."""
    token = NextToken(last.sequence, last.ticks, window_end).encoded()
    print(
        f'There are more events than the {reading.options.max_items or MAX_ITEMS} listed. Go on with:\n'
        + reading.command_line([('--next-token', token)], without=_GO_ON_WITHOUT),
        file=sys.stderr,
    )
