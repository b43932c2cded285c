"""The token in a file or on standard input, in whatever form and encoding it was written there.

The forms are those of `_formats` and of az's own output; the encodings are UTF-8 and UTF-16, which `>` in Windows
PowerShell makes of everything.
"""

from __future__ import annotations

import codecs
import re
import sys
from typing import TextIO

from azure.cli.core.azclierror import FileOperationError

from azext_dicomtoken._claims import NotAToken, decode_unverified

_MOST_BYTES = 2**21
_MARKS = {codecs.BOM_UTF8: 'utf-8-sig', codecs.BOM_UTF16_LE: 'utf-16', codecs.BOM_UTF16_BE: 'utf-16'}
# Three parts of base64, the first of which begins with '{'.
_TOKEN = r'(?<![\w.-])e[w-z0-9_-][\w-]*\.[\w-]+\.[\w-]*(?![\w.-])'


def read_token(path: str, *, stdin: TextIO | None = None) -> str:
    """The token in a file, or with `-` on standard input; the whole text where nothing in it is one.

    :raises FileOperationError: where there is no text to read.
    """
    text = _decoded(_read(path, stdin or sys.stdin))
    return next(filter(_is_token, re.findall(_TOKEN, text, re.ASCII)), text.strip())


def _read(path: str, stdin: TextIO | None) -> bytes:
    """The bytes; of a file without end its beginning."""
    try:
        if path != '-':
            with open(path, 'rb') as file:
                return file.read(_MOST_BYTES)
        if stdin is None:
            raise FileOperationError('Standard input is closed.', recommendation='Name a file, or pipe the token in.')
        if not hasattr(stdin, 'buffer'):  # az runs inside another program
            return stdin.read(_MOST_BYTES).encode('utf-8')
        return stdin.buffer.read(_MOST_BYTES)
    except OSError as error:
        raise FileOperationError(
            f'The file could not be read: {error.strerror}.', recommendation='Check its name and permissions.'
        ) from error


def _decoded(data: bytes) -> str:
    """The text, by its byte order mark; without one, NUL in every other place is UTF-16."""
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    if encoding is None and b'\0' in data[:2]:
        encoding = 'utf-16-be' if data.startswith(b'\0') else 'utf-16-le'
    try:
        return data.decode(encoding or 'utf-8')
    except UnicodeDecodeError as error:
        raise FileOperationError(
            'The file could not be read: it is not text.', recommendation='Name a file that holds a token.'
        ) from error


def _is_token(text: str) -> bool:
    try:
        decode_unverified(text)
    except NotAToken:
        return False
    return True
