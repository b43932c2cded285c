"""The checkpoint and the output file of a run: found, locked, refused, opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import BinaryIO, cast

from knack.log import get_logger

from azext_dicomtoken._output import is_stream, open_stream
from azext_dicomtoken._stdout import Stdout
from azext_dicomtoken.changefeed.options import Options
from azext_dicomtoken.changefeed.readings import BySequence
from azext_dicomtoken.changefeed.session import Session
from dicomfeed.checkpoint import Checkpoint, CheckpointWriter, Question, load_checkpoint, lock_checkpoint
from dicomfeed.delivery import open_output
from dicomfeed.errors import OutputError, OutputExists
from dicomfeed.sinks import Sink, StreamSink
from dicomfeed.summary import SUMMARY_FORMAT

logger = get_logger(__name__)

_LARGEST_SUMMARY_BYTES = 2**20


@contextmanager
def held_checkpoint(session: Session) -> Iterator[Checkpoint | None]:
    """The checkpoint as it stands, None where there is none yet; nobody else works with it inside this context."""
    path = session.options.checkpoint
    if not path:
        yield None
        return
    with lock_checkpoint(path):
        yield load_checkpoint(path, _question_of(session))


def writer_of(reading: BySequence, checkpoint: Checkpoint | None) -> CheckpointWriter | None:
    """What keeps the checkpoint of a run up to date, None for a run without one; begins a new one where it begins."""
    path = reading.session.options.checkpoint
    if not path:
        return None
    if checkpoint is None:
        checkpoint = Checkpoint(
            _question_of(reading.session).kept(), sequence=reading.began_after, last=reading.anchor, since=reading.since
        )
    return CheckpointWriter(path, checkpoint)


def refuse_unfit_files(options: Options) -> None:
    """Refuse a file in the way of the summary before anything is sent; what is in the way of events: `opened_sink`."""
    if options.checkpoint and options.output_file and is_stream(options.output_file):
        raise OutputError('A checkpoint needs an output file that can be truncated, not a device or a pipe.')
    path = options.summary_file
    if path and os.path.lexists(path) and not is_stream(path) and not _is_summary(path):
        raise OutputExists(
            'The file that --summary-file names exists already, and is not a summary.', path=os.path.abspath(path)
        )


def opened_sink(options: Options, checkpoint: Checkpoint | None, stack: ExitStack, *, stdout: Stdout) -> Sink:
    """Where the lines will go, locked and not changed yet; closed with the stack."""
    path = options.output_file
    if path and is_stream(path):
        return _stream_sink(path, stack)
    if not path:
        stdout.require_open()
        return StreamSink(cast(BinaryIO, stdout))
    sink, is_begun_anew = open_output(
        path, overwrite=options.overwrite, committed=checkpoint.output if checkpoint is not None else None
    )
    stack.callback(sink.close)
    if is_begun_anew:
        logger.warning('The output file that the checkpoint names is gone. A new one starts with the next event.')
    return sink


def _is_summary(path: str) -> bool:
    import json

    try:
        with open(path, 'rb') as file:
            content = json.loads(file.read(_LARGEST_SUMMARY_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get('format') == SUMMARY_FORMAT


def _stream_sink(path: str, stack: ExitStack) -> Sink:
    try:
        stream = open(open_stream(path), 'wb')  # pylint: disable=consider-using-with
    except OSError as error:
        raise OutputError(
            f'The output cannot be written: {error.strerror}.', path=os.path.abspath(path), errno=error.errno
        ) from error
    stack.callback(_close_quietly, stream)
    return StreamSink(stream, compress=path.endswith('.gz'), is_stdout=False)


def _close_quietly(stream: BinaryIO) -> None:
    with suppress(OSError):  # what could not be written has been said when it was to be written
        stream.close()


def _question_of(session: Session) -> Question:
    """What a checkpoint of this run is made for."""
    options = session.options
    return Question(
        str(session.service.url),
        session.filters.as_dict(),
        options.include_metadata,
        fields=None if options.fields is None else options.fields.canonical(),
        conditions=options.conditions,
        stable_after=options.stable_after,
        level=options.level if options.stable_after else '',
        form=options.form,
    )
