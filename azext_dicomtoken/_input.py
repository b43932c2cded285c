"""What a command reads: a file, or standard input under the name `-`."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, TextIO

from azure.cli.core.azclierror import FileOperationError


@contextmanager
def opened_input(path: str, *, stdin: TextIO | None = None) -> Iterator[BinaryIO]:
    """The bytes of a file, or with `-` of standard input.

    :raises FileOperationError: where there is nothing to read, inside the context too.
    """
    try:
        if path == '-':
            yield _bytes_of(stdin or sys.stdin)
            return
        with open(path, 'rb') as file:
            yield file
    except OSError as error:
        raise FileOperationError(
            f'The file could not be read: {error.strerror}.', recommendation='Check its name and permissions.'
        ) from error


def _bytes_of(stdin: TextIO | None) -> BinaryIO:
    if stdin is None:
        raise FileOperationError('Standard input is closed.', recommendation='Name a file, or pipe the text in.')
    if not hasattr(stdin, 'buffer'):  # az runs inside another program
        return io.BytesIO(stdin.read().encode('utf-8'))
    return stdin.buffer
