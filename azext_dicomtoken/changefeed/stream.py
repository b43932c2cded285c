"""Events as they come: to standard output or to a file, with a checkpoint, for ever or to the end."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from knack.log import get_logger

from azext_dicomtoken._invocation import Invocation
from azext_dicomtoken._signals import Interrupted, Interruption
from azext_dicomtoken._validators import option_name
from azext_dicomtoken.changefeed.outputs import held_checkpoint, opened_sink, refuse_unfit_files, writer_of
from azext_dicomtoken.changefeed.progress import Progress
from azext_dicomtoken.changefeed.readings import BySequence, Reading, reading_of
from azext_dicomtoken.changefeed.resume import say_stream_ended
from azext_dicomtoken.changefeed.session import Session
from dicomfeed.checkpoint import Checkpoint, CheckpointWriter
from dicomfeed.delivery import Delivery
from dicomfeed.errors import FileError, RequestError, ServiceError
from dicomfeed.events import Event
from dicomfeed.sinks import Sink

logger = get_logger(__name__)

# Where metadata are decoded, for a filter or --query, each page makes tens of thousands of objects, which hold no
# cycles and are gone with the page.
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


def stream(session: Session, interruption: Interruption) -> None:
    """Deliver what was asked for. Raises Interrupted where a signal ended it, after saying how to continue."""
    options = session.options
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    with ExitStack() as stack:
        checkpoint = stack.enter_context(held_checkpoint(session))
        refuse_unfit_files(options)
        sink = opened_sink(options, checkpoint, stack)
        _say_where_it_stands(session, checkpoint)
        progress = stack.enter_context(Progress(session.invocation.cli_ctx, wanted=bool(options.output_file)))
        reading = reading_of(session, checkpoint=checkpoint)
        run = _Run(reading, writer_of(reading, checkpoint) if isinstance(reading, BySequence) else None)
        try:
            run.deliver(sink, interruption, progress)
        except Interrupted:
            if not options.ends_by_signal:
                run.say_how_to_continue('Interrupted.')
            raise
        except (RequestError, ServiceError):
            if session.summary.events_read:
                run.say_how_to_continue('The reading ended early.')
            raise


def _say_where_it_stands(session: Session, checkpoint: Checkpoint | None) -> None:
    """Say that a start which was typed is ignored, once there is a checkpoint."""
    typed = [name for name in ('start_time', 'after_sequence') if name in session.options.typed]
    if checkpoint is None or not typed or session.invocation.cli_ctx.only_show_errors:
        return
    print(
        f'{option_name(typed[0], session.invocation)} is ignored: the run continues after sequence number '
        f'{checkpoint.sequence}, where the checkpoint stands.',
        file=sys.stderr,
    )


class _Run:
    """One reading on its way to a sink. How far it got is one value: the last event that delivery has handled."""

    def __init__(self, reading: Reading, writer: CheckpointWriter | None) -> None:
        self._reading = reading
        self._session = reading.session
        self._writer = writer
        self._delivery: Delivery | None = None

    @property
    def reached(self) -> Event | None:
        return self._delivery.reached if self._delivery else None

    def deliver(self, sink: Sink, interruption: Interruption, progress: Progress) -> None:
        """Read to the end, whatever that is."""
        session, reading = self._session, self._reading
        batches = reading.batches()
        self._delivery = Delivery(
            sink,
            filters=session.filters,
            summary=session.summary,
            clock=session.client.clock,
            wanted=reading.wanted,
            checkpoint=self._writer,
            lines_of=_lines_of(session.invocation),
            uninterrupted=interruption.held_back,
            on_batch=lambda events: progress.show(
                f'{session.summary.events} events ', reading.fraction(events[-1] if events else self.reached)
            ),
        )
        with self._summed_up():
            self._delivery.run(batches)

    def say_how_to_continue(self, what_happened: str) -> None:
        session = self._session
        position = self._reading.position(self.reached)
        say_stream_ended(what_happened, session.invocation, session.options, position)

    @contextmanager
    def _summed_up(self) -> Iterator[None]:
        """Sum up what happens inside, however it ends.

        But where a file failed, nobody can say how much of it stands; and before the service has answered, there is
        nothing to say, and the summary of an earlier run stays.
        """
        session, is_sure = self._session, True
        began = session.client.clock.monotonic()
        try:
            yield
        except FileError:
            is_sure = False
            raise
        finally:
            if is_sure and self._delivery and self._delivery.has_begun:
                session.summary.seconds = session.client.clock.monotonic() - began
                self._reading.conclude(self.reached)
                _report(session)


def _lines_of(invocation: Invocation) -> Callable[[list[Event]], list[bytes]] | None:
    """How events become lines where it is not the service's own bytes: --query, -o tsv."""
    is_tsv = invocation.typed_output == 'tsv'  # a configured format is for what az prints itself
    if not invocation.has_query and not is_tsv:
        return None
    import json

    from knack.util import CommandResultItem

    queried = invocation.query()
    to_tsv = invocation.cli_ctx.output.get_formatter('tsv')

    def lines_of(events: list[Event]) -> list[bytes]:
        return [line_of(queried(event.decode())).encode('utf-8', 'surrogatepass') for event in events]

    def line_of(result: Any) -> str:
        if is_tsv:
            # as the one row of a result, or a list would be a row for each element
            return str(to_tsv(CommandResultItem([result]))).rstrip('\n').replace('\n', ' ')
        return json.dumps(result, ensure_ascii=False, separators=(',', ':'))

    return lines_of


def _report(session: Session) -> None:
    """The summary: in words with an output file, as JSON in the file that was asked for."""
    import json

    options, summary = session.options, session.summary
    if options.output_file:
        complete = summary.complete_through
        logger.warning(
            '%d events%s%s, %d gaps, %d retries, %.1f seconds, %.0f events a second.',
            summary.events,
            '' if summary.first_sequence is None else f', sequence {summary.first_sequence} to {summary.last_sequence}',
            f', complete through {complete}'
            if complete is not None
            else f', settled through {summary.settled_through}'
            if summary.settled_through
            else '',
            summary.gaps,
            summary.retries,
            summary.seconds,
            summary.events / max(summary.seconds, 0.001),
        )
    if options.summary_file:
        from azext_dicomtoken._output import write_private_file

        write_private_file(options.summary_file, json.dumps(summary.as_dict(), indent=2) + '\n', overwrite=True)
