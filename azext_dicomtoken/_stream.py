"""Events as they come: to standard output or to a file, with a checkpoint, for ever or to the end."""
from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from azext_dicomtoken._options import Options
from azext_dicomtoken._paging import command_line
from azext_dicomtoken._progress import Progress
from azext_dicomtoken._reading import Reading
from azext_dicomtoken._signals import Interrupted, Interruption
from dicomfeed import checkpoint as checkpoints, files
from dicomfeed.checkpoint import Checkpoint, Question
from dicomfeed.delivery import CheckpointWriter, Delivery, open_output
from dicomfeed.errors import OutputError
from dicomfeed.events import Event
from dicomfeed.lock import FileLock
from dicomfeed.sequences import AtHole, SequenceReader
from dicomfeed.sink import Sink, StreamSink
from dicomfeed.starts import sequence_before, sequence_before_tail, sequence_now
from dicomfeed.times import format_timestamp
from dicomfeed.windows import WindowReader
from knack.log import get_logger

logger = get_logger(__name__)


def stream(reading: Reading, interruption: Interruption) -> None:
    """Deliver what was asked for. Ends with SystemExit where a signal cut it short."""
    with _checkpoint_of(reading) as checkpoint, Progress(reading) as progress:
        if reading.options.is_window:
            _Run(reading, interruption, progress).window()
        else:
            _Run(reading, interruption, progress).sequences(checkpoint)


def list_from_checkpoint(reading: Reading, max_items: int) -> list[dict[str, Any]]:
    """The events after the checkpoint, which moves when az has printed them."""
    raise NotImplementedError
