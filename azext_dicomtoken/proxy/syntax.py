"""Strict HTTP/1.1: the syntax of heads, of framing and of chunks, as tables and pure functions over raw bytes.

Nothing here reads a socket or raises: each function returns a value. Not owned: what may pass (`rules.py`).

The sources are RFC 9110 and RFC 9112; where they let a recipient choose, the stricter way is taken, so that no other
parser can read a message differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Fields = Sequence[tuple[bytes, bytes]]
"""Names as they were written and values without blanks around them, in order."""

LARGEST_HEAD_BYTES = 32 * 1024
MOST_FIELDS = 100
_LARGEST_TRAILER_BYTES = 8 * 1024

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Origin form only, so that no request names another host; no fragment.
_REQUEST_LINE = re.compile(TOKEN + rb' /[!"$-~]* HTTP/1\.[01]')
_STATUS_LINE = re.compile(rb'HTTP/1\.[01] [1-5][0-9]{2}(?: [\t -~]*)?')
_FIELD = re.compile(rb'(' + TOKEN + rb'):([\t -~]*)')
_LENGTH = re.compile(rb'[0-9]{1,18}')
_CHUNK_SIZE = re.compile(rb'[0-9A-Fa-f]{1,15}\r\n')
_LONGEST_CHUNK_LINE = 17
_BARE = re.compile(rb'(?<!\r)\n|\r(?=[^\n])|\0')

_ONCE_IN_A_REQUEST = (b'origin', b'expect', b'authorization', b'content-length', b'transfer-encoding')
_ONCE_IN_A_RESPONSE = (b'content-length', b'transfer-encoding')
# To name one of these as hop-by-hop is an attempt to have it dropped on the way.
_NEVER_HOP_BY_HOP = frozenset({b'host', b'content-length', b'transfer-encoding', b'authorization'})


@dataclass(frozen=True)
class Request:
    """The head of a request that kept the syntax. `is_http10`: the client knows no chunks."""

    method: bytes
    target: bytes = field(repr=False)
    fields: Fields = field(repr=False)
    is_http10: bool = False


@dataclass(frozen=True)
class Response:
    """The head of an answer of the service that kept the syntax."""

    status: int
    reason: bytes
    fields: Fields = field(repr=False)
    is_http10: bool = False


@dataclass(frozen=True)
class Answer:
    """What the proxy answers by itself.

    :ivar text: one sentence about the rule; nothing of the request.
    :ivar origin: the allowed origin that asked, for which the answer is readable.
    """

    status: int
    text: str = ''
    fields: Fields = ()
    origin: bytes | None = None


HEAD_TOO_LARGE = Answer(431, 'The head of the request is too large.')


def values_of(fields: Fields, name: bytes) -> list[bytes]:
    """The values of a header, whatever the letter case of its name."""
    return [value for found, value in fields if found.lower() == name]


def has_bare_control(received: bytes | bytearray) -> bool:
    """Whether there is a line feed without its carriage return, the reverse, or a NUL."""
    return _BARE.search(received) is not None


def refuse_request_head(head: bytes) -> Answer | None:
    """The rule of syntax that the raw head of a request breaks, or None.

    :param head: everything up to and with the empty line.
    """
    first, *lines = head[:-4].split(b'\r\n')
    if len(head) > LARGEST_HEAD_BYTES or len(lines) > MOST_FIELDS:
        return HEAD_TOO_LARGE
    fault = _request_fault(first, lines)
    return Answer(400, fault) if fault else None


def refuse_response_head(head: bytes) -> Answer | None:
    """The same for the raw head of an answer of the service: whatever it breaks is 502."""
    first, *lines = head[:-4].split(b'\r\n')
    fields = _split_fields(lines)
    fault: str | None
    if len(head) > LARGEST_HEAD_BYTES or len(lines) > MOST_FIELDS:
        fault = 'its head is too large'
    elif not _STATUS_LINE.fullmatch(first) or first[9:12] == b'101':
        fault = 'its status line is not valid'
    elif fields is None:
        fault = 'a header is folded, or holds a character that no header may hold'
    else:
        fault = _framing_fault(fields, is_http10=first[7:8] == b'0', once=_ONCE_IN_A_RESPONSE)
        if _NEVER_HOP_BY_HOP & named_by_connection(fields):
            fault = 'Connection names a header that belongs to the message'
    return bad_answer(fault) if fault else None


def bad_answer(fault: str) -> Answer:
    """502 for an answer of the service that broke a rule."""
    return Answer(502, f'The answer of the service is not valid HTTP: {fault.rstrip(".")}.')


def named_by_connection(fields: Fields) -> set[bytes]:
    """The names in `Connection`, in lower case."""
    return {name.strip().lower() for value in values_of(fields, b'connection') for name in value.split(b',')}


class ChunkSyntax:
    """Watches the raw bytes of a chunked body: sizes without extensions, exact line ends, a bounded trailer.

    h11, which decodes the same bytes, takes extensions and blanks after a size.
    """

    def __init__(self) -> None:
        self._is_finished = False
        self._left = 0
        self._line = bytearray()
        self._trailer_bytes = 0
        self._end_line = self._end_size

    @property
    def finished(self) -> bool:
        """Whether the end of the body was seen."""
        return self._is_finished

    def take(self, data: bytes | memoryview) -> int | None:
        """How many of the bytes belong to the body; None when they break the syntax."""
        data = bytes(data)
        at = 0
        while at < len(data) and not self._is_finished:
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            end = data.find(b'\n', at)
            stop = len(data) if end < 0 else end + 1
            self._line += data[at:stop]
            at = stop
            if not self._is_bounded() or end >= 0 and not self._end_line(self._take_line()):
                return None
        return at

    def _take_line(self) -> bytes:
        line = bytes(self._line)
        self._line.clear()
        return line

    def _is_bounded(self) -> bool:
        if self._end_line == self._end_trailer_line:
            return self._trailer_bytes + len(self._line) <= _LARGEST_TRAILER_BYTES
        return len(self._line) <= _LONGEST_CHUNK_LINE

    def _end_size(self, line: bytes) -> bool:
        if not _CHUNK_SIZE.fullmatch(line):
            return False
        self._left = int(line, 16)
        self._end_line = self._end_data if self._left else self._end_trailer_line
        return True

    def _end_data(self, line: bytes) -> bool:
        self._end_line = self._end_size
        return line == b'\r\n'

    def _end_trailer_line(self, line: bytes) -> bool:
        self._trailer_bytes += len(line)
        self._is_finished = line == b'\r\n'
        return self._is_finished or line.endswith(b'\r\n') and _FIELD.fullmatch(line[:-2]) is not None


def _split_fields(lines: Iterable[bytes]) -> list[tuple[bytes, bytes]] | None:
    matches = [_FIELD.fullmatch(line) for line in lines]
    if not all(matches):
        return None
    return [(match[1], match[2].strip(b' \t')) for match in matches if match]


def _framing_fault(fields: Fields, *, is_http10: bool, once: Sequence[bytes]) -> str | None:
    """What makes it unclear where a message ends, or which of two values counts."""
    if any(len(values_of(fields, name)) > 1 for name in once):
        return 'A header that counts once is there twice.'
    lengths, codings = values_of(fields, b'content-length'), values_of(fields, b'transfer-encoding')
    if any(not _LENGTH.fullmatch(length) for length in lengths):
        return 'A length is digits.'
    if any(coding.lower() != b'chunked' for coding in codings):
        return 'The only transfer coding is chunked.'
    if codings and (lengths or is_http10):
        return 'A chunked message has no length, and is not of HTTP/1.0.'
    return None


def _request_fault(first: bytes, lines: list[bytes]) -> str | None:
    fields = _split_fields(lines)
    if not _REQUEST_LINE.fullmatch(first):
        return 'The request line is not valid, or not in origin form.'
    if fields is None:
        return 'A header is folded, or holds a character that no header may hold.'
    if len(values_of(fields, b'host')) != 1:
        return 'A request has one Host header.'
    if _NEVER_HOP_BY_HOP & named_by_connection(fields):
        return 'Connection names a header that belongs to the message.'
    if first.split(b' ')[0] in (b'GET', b'HEAD') and _says_body(fields):
        return 'What only reads has no body.'
    return _framing_fault(fields, is_http10=first.endswith(b'0'), once=_ONCE_IN_A_REQUEST)


def _says_body(fields: Fields) -> bool:
    """Some servers pass over the body of a GET, and take it for the next request."""
    lengths = values_of(fields, b'content-length')
    return bool(values_of(fields, b'transfer-encoding')) or any(length.strip(b'0') for length in lengths)
