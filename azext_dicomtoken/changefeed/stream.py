"""Events as they come: to standard output or to a file, with a checkpoint, for ever or to the end."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from azext_dicomtoken._output import is_stream, plural
from azext_dicomtoken._signals import Interrupted, Interruption
from azext_dicomtoken._stdout import not_written
from azext_dicomtoken.changefeed.lines import LineError, Lines
from azext_dicomtoken.changefeed.outputs import held_checkpoint, opened_sink, refuse_unfit_files, writer_of
from azext_dicomtoken.changefeed.progress import Progress
from azext_dicomtoken.changefeed.readings import BySequence, Reading, reading_of
from azext_dicomtoken.changefeed.resume import say_start_was_ignored, say_stream_ended
from azext_dicomtoken.changefeed.session import Session
from azext_dicomtoken.changefeed.studies import RowLines, say_what_is_open, studies_of, sum_up_studies, unit_of
from dicomfeed.checkpoint import CheckpointWriter
from dicomfeed.delivery import Delivery
from dicomfeed.errors import FileError, OutputError, RequestError, ServiceError
from dicomfeed.events import Event
from dicomfeed.sinks import Sink
from dicomfeed.stable import StableStudies
from dicomfeed.summary import Summary

# Where metadata are decoded, for a filter or --query, each page makes tens of thousands of objects, which hold no
# cycles and are gone with the page.
_OBJECTS_BETWEEN_COLLECTIONS = 50_000
_WITHOUT_METADATA = ('event without metadata', 'events without metadata')


def stream(session: Session, interruption: Interruption) -> None:
    """Deliver what was asked for. Raises Interrupted where a signal ended it, after saying how to continue."""
    options = session.options
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    with ExitStack() as stack:
        checkpoint = stack.enter_context(held_checkpoint(session))
        refuse_unfit_files(options)
        sink = opened_sink(options, checkpoint, stack, stdout=session.invocation.stdout)
        if checkpoint is not None:
            say_start_was_ignored(session.invocation, options, checkpoint.sequence)
        progress = stack.enter_context(session.progress(wanted=_is_in_a_file(session)))
        reading = reading_of(session, checkpoint=checkpoint)
        writer = writer_of(reading, checkpoint) if isinstance(reading, BySequence) else None
        run = _Run(reading, writer, studies_of(reading, checkpoint=checkpoint))
        try:
            run.deliver(sink, interruption, progress)
        except Interrupted:
            if not options.ends_by_signal:
                run.say_how_to_continue('Interrupted.')
            raise
        except (RequestError, ServiceError):
            if session.summary.events_read:
                run.say_how_to_continue('The run ended early.')
            raise
        except OutputError as error:
            if options.writes_stdout and isinstance(error.__cause__, OSError):
                raise not_written(error.__cause__) from error
            raise
        finally:
            run.say_what_query_does()


def _is_in_a_file(session: Session) -> bool:
    """Whether the events go to a file, and not to the terminal or through a pipe to what may write there."""
    path = session.options.output_file
    return not is_stream(path) if path else session.invocation.stdout.is_file


class _Run:
    """One reading on its way to a sink. How far it got is one value: the last event that delivery has handled."""

    def __init__(self, reading: Reading, writer: CheckpointWriter | None, studies: StableStudies | None) -> None:
        self._reading = reading
        self._session = reading.session
        self._writer = writer
        self._studies = studies
        self._delivery: Delivery | None = None
        options, invocation = reading.session.options, reading.session.invocation
        stdout = None if options.output_file else invocation.stdout
        self._lines = (
            Lines(invocation, stdout=stdout)
            if studies is None
            else RowLines(invocation, stdout=stdout, level=options.level)
        )

    @property
    def reached(self) -> Event | None:
        return self._delivery.reached if self._delivery else None

    def deliver(self, sink: Sink, interruption: Interruption, progress: Progress) -> None:
        """Read to the end, whatever that is."""
        session, reading = self._session, self._reading
        batches = reading.batches(None if self._studies is None else self._studies.begin_poll)
        self._delivery = Delivery(
            sink,
            filters=session.filters,
            summary=session.summary,
            clock=session.client.clock,
            wanted=reading.wanted,
            checkpoint=self._writer,
            studies=self._studies,
            lines_of=self._lines.of if self._lines.are_own else None,
            uninterrupted=interruption.held_back,
        )
        with self._summed_up():
            self._run(self._shown(batches, progress))

    def _run(self, batches: Iterator[list[Event]]) -> None:
        """Deliver; where --query fails on an event, what comes before it in its batch as well."""
        assert self._delivery is not None
        last: list[Event] = []
        try:
            self._delivery.run(_kept(batches, last))
        except LineError as error:
            if error.event is not None:
                self._delivery.run([last[: last.index(error.event)]])
            raise

    def _shown(self, batches: Iterator[list[Event]], progress: Progress) -> Iterator[list[Event]]:
        """The batches, while a person who watches sees how far they are delivered, and that there is no more for now.

        The first batch may be empty for another reason: it says that the service has answered.
        """
        is_told = not self._session.options.ends_by_signal
        for number, events in enumerate(batches):
            if number and not events and not is_told:
                is_told = True
                awaited = 'new events' if self._studies is None else 'studies to be stable'
                progress.say_instead(f'Waiting for {awaited}. Press Ctrl-C to end.')
            yield events
            progress.show(self._reading.fraction(self.reached), len(events))

    def say_what_query_does(self) -> None:
        """Say what --query is applied to, where it came to nothing for every event."""
        if self._lines.has_queried and not self._lines.has_result:
            item, example = ('event', 'sequence,action') if self._studies is None else ('row', 'studyInstanceUid')
            self._session.invocation.inform(
                f'No {item} had a result: with --stream, --output-file and --follow, --query applies to each {item}, '
                f'not to a list. Example: --query "[{example}]"'
            )

    def say_how_to_continue(self, what_happened: str) -> None:
        session = self._session
        position = self._reading.position(self.reached) if self._studies is None else None
        say_stream_ended(what_happened, session.invocation, session.options, position)

    @contextmanager
    def _summed_up(self) -> Iterator[None]:
        """Sum up what happens inside, however it ends.

        But where a file failed, or rows come again, nobody can say how much of it stands; and before the service has
        answered, there is nothing to say, and the summary of an earlier run stays.
        """
        session, is_sure, is_cut = self._session, True, not self._session.options.ends_by_signal
        began = session.client.clock.monotonic()
        try:
            yield
            is_cut = False
        except FileError:
            is_sure = False
            raise
        finally:
            delivery = self._delivery
            if is_sure and delivery and delivery.has_begun and not delivery.has_rows_to_repeat:
                session.summary.seconds = session.client.clock.monotonic() - began
                self._reading.conclude(self.reached)
                if self._studies is not None:
                    sum_up_studies(session.summary, self._studies, has_lost_rows=delivery.has_lost_rows)
                    if not is_cut:  # else they are not reported for another reason
                        say_what_is_open(session.options, self._studies)
                _report(session)


def _kept(batches: Iterator[list[Event]], last: list[Event]) -> Iterator[list[Event]]:
    """The batches, of which `last` always holds the one that was handed out last."""
    for batch in batches:
        last[:] = batch
        yield batch


def _report(session: Session) -> None:
    """The summary: in words with an output file, as JSON in the file that was asked for."""
    import json

    options, summary = session.options, session.summary
    if options.output_file:
        words = in_words(
            summary, options.output_file, unit=unit_of(options), has_conditions=options.conditions is not None
        )
        session.invocation.inform(words)
    if options.summary_file:
        from azext_dicomtoken._output import write_private_file

        write_private_file(options.summary_file, json.dumps(summary.as_dict(), indent=2) + '\n', overwrite=True)


def in_words(
    summary: Summary, path: str, *, unit: tuple[str, str] = ('event', 'events'), has_conditions: bool = False
) -> str:
    """How many events are where, how far that is complete, and what was out of the ordinary.

    What cannot be read is written without metadata, or left out where conditions cannot be tested.
    """
    unreadable = ('unreadable event', 'unreadable events') if has_conditions else _WITHOUT_METADATA
    complete = '' if summary.complete_through is None else f'; complete through {summary.complete_through}'
    extraordinary = [
        plural(number, *words)
        for number, words in (
            (summary.gaps, ('gap', 'gaps')),
            (summary.retries, ('retry', 'retries')),
            (len(summary.unreadable), unreadable),
            (summary.late, ('late event', 'late events')),
        )
        if number
    ]
    more = f' {", ".join(extraordinary)}.' if extraordinary else ''
    return f'{plural(summary.written, *unit)} written to {path}{complete}.{more}'
