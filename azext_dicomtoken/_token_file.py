"""The token in a file or on standard input, in whatever form and encoding it was written there.

The forms are those of `_formats` and of az's own output; the encodings are UTF-8 and UTF-16, which `>` in Windows
PowerShell makes of everything.
"""

from __future__ import annotations

import codecs
import re
from typing import TextIO

from azure.cli.core.azclierror import FileOperationError

from azext_dicomtoken._claims import NotAToken, decode_unverified
from azext_dicomtoken._input import opened_input

_MOST_BYTES = 2**21
_MARKS = {codecs.BOM_UTF8: 'utf-8-sig', codecs.BOM_UTF16_LE: 'utf-16', codecs.BOM_UTF16_BE: 'utf-16'}
# Three parts of base64, the first of which begins with '{'.
_TOKEN = r'(?<![\w.-])e[w-z0-9_-][\w-]*\.[\w-]+\.[\w-]*(?![\w.-])'


def read_token(path: str, *, stdin: TextIO | None = None) -> str:
    """The token in a file, or with `-` on standard input; the whole text where nothing in it is one.

    :raises FileOperationError: where there is no text to read.
    """
    with opened_input(path, stdin=stdin) as file:
        text = _decoded(file.read(_MOST_BYTES))  # of a file without end its beginning
    return next(filter(_is_token, re.findall(_TOKEN, text, re.ASCII)), text.strip())


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
