"""What a client gets that breaks a rule: the status, the end of the connection, and nothing reaches the service."""

from __future__ import annotations

import pytest

from tests.az.proxy.conftest import PAGE, SECRET, Proxy, Start, read_all, read_until, status_of
from tests.az.proxy.service import ScriptedService

SMUGGLED = f'GET /{SECRET}/v2/changefeed HTTP/1.1\r\nHost: localhost\r\n\r\n'

BROKEN = {
    'length beside chunked': (
        f'POST {{base}}/studies HTTP/1.1|Content-Length: 5|Transfer-Encoding: chunked||{SMUGGLED}',
        400,
    ),
    'two lengths': (f'POST {{base}}/studies HTTP/1.1|Content-Length: 0|Content-Length: 70||{SMUGGLED}', 400),
    'list of lengths': ('POST {base}/studies HTTP/1.1|Content-Length: 5, 5||hello', 400),
    'chunked, then identity': ('POST {base}/studies HTTP/1.1|Transfer-Encoding: chunked, identity||0||', 400),
    'blank before the colon': ('POST {base}/studies HTTP/1.1|Transfer-Encoding : chunked||0||', 400),
    'chunked, http/1.0': ('POST {base}/studies HTTP/1.0|Transfer-Encoding: chunked||0||', 400),
    'folded': ('POST {base}/studies HTTP/1.1|Transfer-Encoding:| chunked||0||', 400),
    'bare LF in a head': ('GET {base}/studies HTTP/1.1|A: b\nTransfer-Encoding: chunked||', 400),
    'bare LF ends the head': ('GET {base}/studies HTTP/1.1\nHost: localhost\n\n', 400),
    'bare CR in a head': ('GET {base}/studies HTTP/1.1|A: b\rX: y||', 400),
    'NUL in a head': ('GET {base}/studies HTTP/1.1|A: b\0||', 400),
    'absolute form': ('GET http://127.0.0.1{base}/studies HTTP/1.1||', 400),
    'absolute form of another host': ('GET http://evil.example/v2/studies HTTP/1.1||', 400),
    'connect': ('CONNECT evil.example:443 HTTP/1.1||', 400),
    'http/0.9': ('GET {base}/studies\r\n\r\n', 400),
    'http/2': ('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400),
    'tls': ('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n', 400),
    'empty line first': ('\r\nGET {base}/studies HTTP/1.1||', 400),
    'connection: content-length': (
        'POST {base}/studies HTTP/1.1|Connection: content-length|Content-Length: 5||hello',
        400,
    ),
    'two hosts': ('GET {base}/studies HTTP/1.1|Host: evil.example||', 400),
    'head too large': ('GET {base}/studies HTTP/1.1|A: ' + 'x' * 40000 + '||', 431),
    'head without end': ('GET {base}/studies HTTP/1.1|A: ' + 'x' * 70000, 431),
    'too many headers': (
        'GET {base}/studies HTTP/1.1|' + '|'.join(f'A{number}: b' for number in range(101)) + '||',
        431,
    ),
}


@pytest.mark.parametrize(('raw', 'status'), BROKEN.values(), ids=BROKEN)
def test_broken_request_is_refused_and_ends_the_connection(
    proxy: Proxy, service: ScriptedService, raw: str, status: int
) -> None:
    text = raw.replace('|', '\r\n').replace(' HTTP/1.1\r\n', f' HTTP/1.1\r\nHost: localhost:{proxy.port}\r\n', 1)
    answer = proxy.say(text.replace('{base}', proxy.base).encode('latin-1'))
    assert status_of(answer) == status and answer.count(b'HTTP/1.1 ') == 1
    assert b'Connection: close' in answer and SECRET.encode() not in answer
    assert service.talks == []


BAD_CHUNKS = {
    'extension': b'5;a=b\r\nhello\r\n0\r\n\r\n',
    'bare LF': b'5\nhello\r\n0\r\n\r\n',
    'more than said': b'5\r\nhelloworld\r\n0\r\n\r\n',
    'size is signed': b'-1\r\n\r\n',
    'endless trailer': b'0\r\n' + b'A: b\r\n' * 3000,
}


@pytest.mark.parametrize('chunks', BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_bad_chunk_ends_both_connections(proxy: Proxy, service: ScriptedService, chunks: bytes) -> None:
    answer = proxy.say(proxy.get('/studies', 'Transfer-Encoding: chunked', method='POST') + chunks + SMUGGLED.encode())
    assert status_of(answer) == 400 and b'Connection: close' in answer and answer.count(b'HTTP/1.1 ') == 1
    assert [talk.method for talk in service.talks] in ([], ['POST'])
    assert not any(talk.body and talk.rest for talk in service.talks)


def test_requests_one_after_the_other_stay_apart(proxy: Proxy, service: ScriptedService) -> None:
    first = proxy.get('/studies', 'Transfer-Encoding: chunked', method='POST') + b'5\r\nhello\r\n0\r\nX: y\r\n\r\n'
    second = proxy.get('/studies/1', 'Content-Length: 3', method='POST') + b'GET'
    third = proxy.get('/changefeed', 'Connection: close')
    answers = proxy.say(first + second + third)
    assert answers.count(b'HTTP/1.1 200') == 3
    assert [(talk.method, talk.target, talk.body) for talk in service.talks] == [
        ('POST', '/v2/studies', b'hello'),
        ('POST', '/v2/studies/1', b'GET'),
        ('GET', '/v2/changefeed', b''),
    ]


def test_another_user_without_the_secret_gets_nothing(proxy: Proxy, service: ScriptedService) -> None:
    for path in ('/', '/v2/studies', '/favicon.ico', '/' + '0' * 32 + '/v2/studies'):
        answer = proxy.say(proxy.head(f'GET {path} HTTP/1.1', 'Connection: close'))
        assert status_of(answer) == 404
    assert service.talks == []


def test_rebound_name_is_misdirected(proxy: Proxy, service: ScriptedService) -> None:
    answer = proxy.say(f'GET {proxy.base}/studies HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n'.encode())
    assert status_of(answer) == 421 and service.talks == []


def test_foreign_page_gets_no_word_of_cors(proxy: Proxy, service: ScriptedService) -> None:
    answer = proxy.ask('/studies', 'Origin: https://evil.example')
    assert status_of(answer) == 403 and b'Access-Control' not in answer and service.talks == []


def test_refused_upload_is_answered_before_it_is_sent(start: Start, service: ScriptedService) -> None:
    proxy = start()
    with proxy.connect() as sock:
        sock.sendall(proxy.get('/studies', 'Content-Length: 2147483648', 'Expect: 100-continue', method='POST'))
        answer = read_all(sock)
    assert status_of(answer) == 405 and b'Allow: GET, HEAD, OPTIONS\r\n' in answer and b' 100 ' not in answer


def test_client_that_sends_its_refused_body_sees_the_answer(start: Start) -> None:
    """Without lingering, a close with unread bytes is a reset, which takes the answer away."""
    proxy = start()
    with proxy.connect() as sock:
        sock.sendall(proxy.get('/studies', 'Content-Length: 1000000', method='POST') + b'x' * 1_000_000)
        answer = read_all(sock)
    assert status_of(answer) == 405 and not answer.endswith(b'<reset>')


def test_connection_goes_on_after_a_refusal_without_a_body(proxy: Proxy, service: ScriptedService) -> None:
    answers = proxy.say(proxy.get('/../x') + proxy.get('/studies', 'Connection: close'))
    assert answers.startswith(b'HTTP/1.1 404 ') and answers.count(b'HTTP/1.1 200 ') == 1


def test_options_is_answered_here(proxy: Proxy, service: ScriptedService) -> None:
    answer = proxy.ask('/studies', method='OPTIONS')
    assert status_of(answer) == 204 and b'Content-Length' not in answer and service.talks == []
    assert b'Allow: GET, HEAD, OPTIONS, POST, PUT\r\n' in answer


def test_preflight_is_answered_without_a_secret(proxy: Proxy, service: ScriptedService) -> None:
    lines = (f'Origin: {PAGE}', 'Access-Control-Request-Method: GET', 'Connection: close')
    answer = proxy.say(proxy.head('OPTIONS /anything HTTP/1.1', *lines))
    assert status_of(answer) == 204 and f'Access-Control-Allow-Origin: {PAGE}'.encode() in answer
    assert service.talks == []


def test_answer_to_head_has_no_body(proxy: Proxy) -> None:
    with proxy.connect() as sock:
        sock.sendall(proxy.get('/../x', method='HEAD') + proxy.get('/studies'))
        assert read_until(sock, b'[]').count(b'This is not') == 0


def test_every_answer_of_ours_says_that_it_is_no_page(proxy: Proxy) -> None:
    for raw in (b'x\r\n\r\n', proxy.head('GET / HTTP/1.1', 'Connection: close')):
        answer = proxy.say(raw)
        assert b"Content-Security-Policy: sandbox; default-src 'none'; frame-ancestors 'none'\r\n" in answer
        assert b'X-Content-Type-Options: nosniff\r\n' in answer and b'Cache-Control: no-store\r\n' in answer
