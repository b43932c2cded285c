"""What a strict reading of HTTP/1.1 refuses, and what it must not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azext_dicomtoken.proxy import syntax
from azext_dicomtoken.proxy.syntax import ChunkSyntax

PORT = 8123
PAGE = 'http://localhost:3000'


def head(first: str = 'GET /v2/studies HTTP/1.1', *lines: str, host: str | None = f'127.0.0.1:{PORT}') -> bytes:
    hosts = [f'Host: {host}'] if host else []
    return '\r\n'.join([first, *hosts, *lines, '', '']).encode('latin-1')


GOOD_HEADS = {
    'plain': head(),
    'http/1.0': head('GET /v2 HTTP/1.0'),
    'query of a browser': head('GET /v2/studies?PatientName=^DOE|"x"{}`\\ HTTP/1.1'),
    'blanks around a value': head('GET / HTTP/1.1', 'Accept: \t a/b \t'),
    'empty value': head('GET / HTTP/1.1', 'Accept:'),
    'get with an empty body': head('GET / HTTP/1.1', 'Content-Length: 00'),
    'length': head('POST / HTTP/1.1', 'Content-Length: 10'),
    'chunked': head('POST / HTTP/1.1', 'Transfer-Encoding: Chunked'),
    'as many headers as may be': head('GET / HTTP/1.1', *[f'A{number}: 1' for number in range(99)]),
}


@pytest.mark.parametrize('raw', GOOD_HEADS.values(), ids=GOOD_HEADS)
def test_request_head_of_good_syntax_passes(raw: bytes) -> None:
    assert syntax.refuse_request_head(raw) is None


BAD_HEADS = {
    'http/2.0': head('GET / HTTP/2.0'),
    'http/0.9': b'GET /\r\n\r\n',
    'http/1.2': head('GET / HTTP/1.2'),
    'lower-case protocol': head('GET / http/1.1'),
    'two blanks': head('GET  / HTTP/1.1'),
    'blank in the target': head('GET /a b HTTP/1.1'),
    'blank at the end': head('GET / HTTP/1.1 '),
    'absolute form': head('GET http://127.0.0.1/v2 HTTP/1.1'),
    'authority form': head('CONNECT example.org:443 HTTP/1.1'),
    'asterisk form': head('OPTIONS * HTTP/1.1'),
    'fragment': head('GET /v2#x HTTP/1.1'),
    'target above 127': head('GET /v2/\xe9 HTTP/1.1'),
    'empty line first': b'\r\n' + head(),
    'no host': head(host=None),
    'no host, http/1.0': head('GET / HTTP/1.0', host=None),
    'two hosts': head('GET / HTTP/1.1', 'Host: evil.example'),
    'two hosts in other cases': head('GET / HTTP/1.1', 'hOST: evil.example'),
    'two origins': head('GET / HTTP/1.1', f'Origin: {PAGE}', 'Origin: null'),
    'two expects': head('POST / HTTP/1.1', 'Expect: 100-continue', 'Expect: 100-continue'),
    'two authorizations': head('GET / HTTP/1.1', 'Authorization: Bearer a', 'Authorization: Bearer b'),
    'two lengths': head('POST / HTTP/1.1', 'Content-Length: 5', 'Content-Length: 6'),
    'two equal lengths': head('POST / HTTP/1.1', 'Content-Length: 5', 'Content-Length: 5'),
    'list of lengths': head('POST / HTTP/1.1', 'Content-Length: 5, 5'),
    'signed length': head('POST / HTTP/1.1', 'Content-Length: +5'),
    'negative length': head('POST / HTTP/1.1', 'Content-Length: -5'),
    'hexadecimal length': head('POST / HTTP/1.1', 'Content-Length: 0x5'),
    'empty length': head('POST / HTTP/1.1', 'Content-Length:'),
    'endless length': head('POST / HTTP/1.1', 'Content-Length: ' + '9' * 30),
    'length beside chunked': head('POST / HTTP/1.1', 'Content-Length: 5', 'Transfer-Encoding: chunked'),
    'chunked twice': head('POST / HTTP/1.1', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'),
    'gzip, chunked': head('POST / HTTP/1.1', 'Transfer-Encoding: gzip, chunked'),
    'identity': head('POST / HTTP/1.1', 'Transfer-Encoding: identity'),
    'xchunked': head('POST / HTTP/1.1', 'Transfer-Encoding: xchunked'),
    'chunked after a vertical tab': head('POST / HTTP/1.1', 'Transfer-Encoding: \x0bchunked'),
    'chunked, http/1.0': head('POST / HTTP/1.0', 'Transfer-Encoding: chunked'),
    'blank before the colon': head('POST / HTTP/1.1', 'Transfer-Encoding : chunked'),
    'folded': head('GET / HTTP/1.1', 'Accept: a', ' b'),
    'folded with a tab': head('GET / HTTP/1.1', 'Accept: a', '\tTransfer-Encoding: chunked'),
    'folded first line': head('GET / HTTP/1.1\r\n x'),
    'bare LF': head('GET / HTTP/1.1', 'Accept: a\nTransfer-Encoding: chunked'),
    'bare CR': head('GET / HTTP/1.1', 'Accept: a\rTransfer-Encoding: chunked'),
    'NUL': head('GET / HTTP/1.1', 'Accept: a\0b'),
    'value above 127': head('GET / HTTP/1.1', 'Accept: \xe9'),
    'name above 127': head('GET / HTTP/1.1', 'Acc\xe9pt: a'),
    'no colon': head('GET / HTTP/1.1', 'Accept'),
    'empty name': head('GET / HTTP/1.1', ': a'),
    'get with a body': head('GET / HTTP/1.1', 'Content-Length: 5'),
    'head with chunks': head('HEAD / HTTP/1.1', 'Transfer-Encoding: chunked'),
    'connection: host': head('GET / HTTP/1.1', 'Connection: close, Host'),
    'connection: content-length': head('POST / HTTP/1.1', 'Connection: content-length', 'Content-Length: 5'),
    'connection: transfer-encoding': head('POST / HTTP/1.1', 'Connection: Transfer-Encoding'),
    'connection: authorization': head('GET / HTTP/1.1', 'Connection: close', 'Connection: authorization'),
}


@pytest.mark.parametrize('raw', BAD_HEADS.values(), ids=BAD_HEADS)
def test_request_head_of_bad_syntax_is_refused(raw: bytes) -> None:
    refusal = syntax.refuse_request_head(raw)
    assert refusal is not None and refusal.status == 400


LARGE_HEADS = {
    'too long': head('GET / HTTP/1.1', 'A: ' + 'x' * syntax.LARGEST_HEAD_BYTES),
    'too many headers': head('GET / HTTP/1.1', *[f'A{number}: 1' for number in range(100)]),
}


@pytest.mark.parametrize('raw', LARGE_HEADS.values(), ids=LARGE_HEADS)
def test_large_request_head_is_refused(raw: bytes) -> None:
    refusal = syntax.refuse_request_head(raw)
    assert refusal is not None and refusal.status == 431


@pytest.mark.parametrize(
    ('received', 'found'),
    [(b'GET / HTTP/1.1\n', True), (b'a\r\rb', True), (b'a\0', True), (b'a\r\nb\r', False), (b'a\r\n\r\n', False)],
)
def test_bare_control_is_found_before_the_head_is_whole(received: bytes, found: bool) -> None:
    assert syntax.has_bare_control(received) is found


def response(first: str = 'HTTP/1.1 200 OK', *lines: str) -> bytes:
    return '\r\n'.join([first, *lines, '', '']).encode('latin-1')


GOOD_ANSWERS = {
    'plain': response(),
    'without a reason': response('HTTP/1.1 200'),
    '100': response('HTTP/1.1 100 Continue'),
    'http/1.0': response('HTTP/1.0 200 OK'),
}
BAD_ANSWERS = {
    '101': response('HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket'),
    'no status': response('HTTP/1.1 OK'),
    'four digits': response('HTTP/1.1 2000 OK'),
    'http/2': response('HTTP/2 200 OK'),
    'folded': response('HTTP/1.1 200 OK', 'A: b', ' c'),
    'bare LF': response('HTTP/1.1 200 OK', 'A: b\nSet-Cookie: c'),
    'bare CR': response('HTTP/1.1 200 OK', 'A: b\rSet-Cookie: c'),
    'two lengths': response('HTTP/1.1 200 OK', 'Content-Length: 1', 'Content-Length: 1'),
    'length beside chunked': response('HTTP/1.1 200 OK', 'Content-Length: 1', 'Transfer-Encoding: chunked'),
    'chunked, http/1.0': response('HTTP/1.0 200 OK', 'Transfer-Encoding: chunked'),
    'blank before the colon': response('HTTP/1.1 200 OK', 'Content-Length : 1'),
    'connection: content-length': response('HTTP/1.1 200 OK', 'Connection: content-length', 'Content-Length: 1'),
    'value above 127': response('HTTP/1.1 200 OK', 'A: \xe9'),
    'too long': response('HTTP/1.1 200 OK', 'A: ' + 'x' * syntax.LARGEST_HEAD_BYTES),
    'too many headers': response('HTTP/1.1 200 OK', *[f'A{number}: 1' for number in range(101)]),
}


@pytest.mark.parametrize('raw', GOOD_ANSWERS.values(), ids=GOOD_ANSWERS)
def test_answer_of_good_syntax_passes(raw: bytes) -> None:
    assert syntax.refuse_response_head(raw) is None


@pytest.mark.parametrize('raw', BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_answer_of_bad_syntax_is_a_bad_gateway(raw: bytes) -> None:
    refusal = syntax.refuse_response_head(raw)
    assert refusal is not None and refusal.status == 502


BAD_CHUNKS = {
    'extension': b'5;a=b\r\nhello\r\n0\r\n\r\n',
    'empty extension': b'5;\r\nhello\r\n0\r\n\r\n',
    'blank after the size': b'5 \r\nhello\r\n0\r\n\r\n',
    'blank before the size': b' 5\r\nhello\r\n0\r\n\r\n',
    'sign': b'+5\r\nhello\r\n0\r\n\r\n',
    '0x': b'0x5\r\nhello\r\n0\r\n\r\n',
    'underscore': b'1_0\r\nhello\r\n',
    'no size': b'\r\nhello\r\n0\r\n\r\n',
    'bare LF after the size': b'5\nhello\r\n0\r\n\r\n',
    'bare CR after the size': b'5\rhello\r\n0\r\n\r\n',
    'bare LF after the data': b'5\r\nhello\n0\r\n\r\n',
    'more data than said': b'5\r\nhelloo\r\n0\r\n\r\n',
    'less data than said': b'6\r\nhello\r\n0\r\n\r\n',
    'endless size': b'1' * 40,
    'size of more than 60 bits': b'FFFFFFFFFFFFFFFF\r\n',
    'trailer without a colon': b'0\r\nabc\r\n\r\n',
    'folded trailer': b'0\r\na: b\r\n c\r\n\r\n',
    'trailer ends with a bare LF': b'0\r\n\n',
    'endless trailer': b'0\r\n' + b'a: b\r\n' * 2000,
    'endless line in a trailer': b'0\r\na: ' + b'b' * 9000,
}


@pytest.mark.parametrize('raw', BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_bad_chunk_is_refused(raw: bytes) -> None:
    assert ChunkSyntax().take(raw) is None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.binary(max_size=9), st.integers(1, 9))
def test_chunks_end_at_the_same_byte_however_they_arrive(parts: list[bytes], after: bytes, step: int) -> None:
    body = b''.join(b'%x\r\n%b\r\n' % (len(part), part) for part in parts) + b'0\r\nA: b\r\n\r\n'
    watch, used = ChunkSyntax(), 0
    received = body + after
    for at in range(0, len(received), step):
        taken = watch.take(received[at : at + step])
        assert taken is not None
        used += taken
    assert watch.finished and used == len(body)
