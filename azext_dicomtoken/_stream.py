"""Events as they come: to standard output or to a file, with a checkpoint, for ever or to the end."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from knack.log import get_logger

from azext_dicomtoken._checkpoints import held_checkpoint, opened_sink, refuse_unfit_files
from azext_dicomtoken._progress import Progress
from azext_dicomtoken._reading import Reading
from azext_dicomtoken._runs import Run, Sequences, Tail, Window
from azext_dicomtoken._signals import Interrupted, Interruption
from azext_dicomtoken._validators import spelled
from dicomfeed.checkpoint import Checkpoint
from dicomfeed.delivery import Delivery
from dicomfeed.errors import FileError, RequestError, ServiceError
from dicomfeed.events import Event
from dicomfeed.sinks import Sink

logger = get_logger(__name__)

# What another run that goes on says in its own words, or has in its --next-token.
_GO_ON_WITHOUT = (
    'output_file',
    'overwrite',
    'summary_file',
    'start_time',
    'end_time',
    'after_sequence',
    'next_token',
    'tail',
)

# Where metadata are decoded, for a filter or --query, each page makes tens of thousands of objects, which hold no
# cycles and are gone with the page.
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


def stream(reading: Reading, interruption: Interruption) -> None:
    """Deliver what was asked for. Raises Interrupted where a signal ended it, after saying how to go on."""
    options = reading.options
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    with ExitStack() as stack:
        checkpoint = stack.enter_context(held_checkpoint(reading))
        refuse_unfit_files(options)
        sink = opened_sink(options, checkpoint, stack)
        _say_where_it_stands(reading, checkpoint)
        progress = stack.enter_context(Progress(reading.cmd.cli_ctx, wanted=bool(options.output_file)))
        kind = Window if options.is_window else Tail if options.tail and not options.follow else Sequences
        run = kind(reading, checkpoint)
        try:
            _deliver(run, sink, interruption, progress)
        except Interrupted:
            if not options.ends_by_signal:
                _say_how_to_go_on('Interrupted.', reading, run)
            raise
        except (RequestError, ServiceError):
            if reading.summary.events_read:
                _say_how_to_go_on('The reading ended early.', reading, run)
            raise


def _say_where_it_stands(reading: Reading, checkpoint: Checkpoint | None) -> None:
    """That a start which was typed is ignored, once there is a checkpoint."""
    typed = [name for name in ('start_time', 'after_sequence') if getattr(reading.options, name) is not None]
    if checkpoint is None or not typed or reading.cmd.cli_ctx.only_show_errors:
        return
    print(
        f'--{spelled(typed[0])} is ignored: the run continues after sequence number {checkpoint.sequence}, '
        'where the checkpoint stands.',
        file=sys.stderr,
    )


def _deliver(run: Run, sink: Sink, interruption: Interruption, progress: Progress) -> None:
    reading = run.reading
    batches = run.batches()
    delivery = Delivery(
        sink,
        filters=reading.filters,
        summary=reading.summary,
        clock=reading.client.clock,
        wanted=run.wanted,
        checkpoint=run.checkpoint,
        lines_of=_lines_of(reading),
        uninterrupted=interruption.held_back,
        on_batch=lambda events: progress.show(f'{reading.summary.events} events ', run.fraction(events)),
    )
    run.reached = lambda: delivery.reached
    with _summed_up(run, delivery):
        delivery.run(batches)


@contextmanager
def _summed_up(run: Run, delivery: Delivery) -> Iterator[None]:
    """Sum up what happens inside, however it ends.

    But where a file failed, nobody can say how much of it stands; and before the service has answered, there is nothing
    to say, and the summary of an earlier run stays.
    """
    reading, is_sure = run.reading, True
    began = reading.client.clock.monotonic()
    try:
        yield
    except FileError:
        is_sure = False
        raise
    finally:
        if is_sure and delivery.has_begun:
            reading.summary.seconds = reading.client.clock.monotonic() - began
            run.conclude()
            _report(reading)


def _lines_of(reading: Reading) -> Callable[[list[Event]], list[bytes]] | None:
    """How events become lines where it is not the service's own bytes: --query, -o tsv."""
    cli_ctx = reading.cmd.cli_ctx
    invocation = cli_ctx.invocation.data
    if not invocation.get('query_active') and invocation.get('output') != 'tsv':
        return None
    import json

    from knack.util import CommandResultItem

    queried = _query_of(cli_ctx)
    to_tsv = cli_ctx.output.get_formatter('tsv')

    def lines_of(events: list[Event]) -> list[bytes]:
        return [line_of(queried(event.decode())).encode('utf-8', 'surrogatepass') for event in events]

    def line_of(result: Any) -> str:
        if invocation.get('output') == 'tsv':
            # as the one row of a result, or a list would be a row for each element
            return str(to_tsv(CommandResultItem([result]))).rstrip('\n').replace('\n', ' ')
        return json.dumps(result, ensure_ascii=False, separators=(',', ':'))

    return lines_of


def _query_of(cli_ctx: Any) -> Callable[[Any], Any]:
    """What --query does to one result.

    knack applies it to the one result of a command, by a handler that takes itself off the list when it is called, and
    offers no other way to the expression.
    """
    from knack.events import EVENT_INVOKER_FILTER_RESULT

    handlers = list(cli_ctx._event_handlers[EVENT_INVOKER_FILTER_RESULT])  # pylint: disable=protected-access

    def queried(result: Any) -> Any:
        data = {'result': result}
        for handler in handlers:
            handler(cli_ctx, event_data=data)
        return data['result']

    return queried


def _say_how_to_go_on(what_happened: str, reading: Reading, run: Run) -> None:
    options = reading.options
    if options.checkpoint:
        print(f'{what_happened} Run the same command again to go on.', file=sys.stderr)
        return
    where_to = [('--output-file', 'ANOTHER_FILE')] if options.output_file else []
    print(
        f'{what_happened} Go on with:\n' + reading.command_line([*run.go_on(), *where_to], without=_GO_ON_WITHOUT),
        file=sys.stderr,
    )


def _report(reading: Reading) -> None:
    """The summary: in words with an output file, as JSON in the file that was asked for."""
    import json

    options, summary = reading.options, reading.summary
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
