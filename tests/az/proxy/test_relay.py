"""What passes: everything that the service offers, unchanged, in both directions."""

from __future__ import annotations

import gzip
import hashlib
import threading

import pytest

from azext_dicomtoken.proxy.wire import Limits
from tests.az.proxy.conftest import PAGE, SECRET, Proxy, Start, eventually, read_all, read_until, status_of
from tests.az.proxy.service import ScriptedService, Talk

MULTIPART = b'--b\r\nContent-Type: application/dicom\r\n\r\n\x00\xff\r\n\r\n--b--'


def test_request_passes_with_its_query_and_the_token(proxy: Proxy, service: ScriptedService) -> None:
    answer = proxy.ask('/studies?PatientName=D%C3%B6e^*&limit=1', 'Accept: application/dicom+json', 'Cookie: a=b')
    assert status_of(answer) == 200 and answer.endswith(b'\r\n\r\n[]')
    (talk,) = service.talks
    assert talk.line == 'GET /v2/studies?PatientName=D%C3%B6e^*&limit=1 HTTP/1.1'
    assert talk.fields == [
        ('host', f'127.0.0.1:{service.port}'),
        ('accept', 'application/dicom+json'),
        ('authorization', 'Bearer token-1'),
    ]


def test_secret_and_token_are_in_no_answer(proxy: Proxy) -> None:
    answer = proxy.ask()
    assert SECRET.encode() not in answer and b'token-1' not in answer


def test_secret_of_a_header_is_replaced_by_the_token(proxy: Proxy, service: ScriptedService) -> None:
    lines = (f'Authorization: Bearer {SECRET}', 'Connection: close')
    assert status_of(proxy.say(proxy.head('GET /v2/changefeed HTTP/1.1', *lines))) == 200
    assert service.talks[0].header('authorization') == 'Bearer token-1'
    assert SECRET not in str(service.talks[0].fields)


@pytest.mark.parametrize('method', ['POST', 'PUT', 'PATCH', 'DELETE'])
def test_write_passes_with_its_body(proxy: Proxy, service: ScriptedService, method: str) -> None:
    path = {'PATCH': '/extendedquerytags/00101010', 'DELETE': '/studies/1.2'}.get(method, '/studies/1.2')
    proxy.ask(path, 'Content-Type: multipart/related; boundary=b', method=method, body=MULTIPART)
    (talk,) = service.talks
    assert (talk.method, talk.body, talk.header('content-length')) == (method, MULTIPART, str(len(MULTIPART)))


def test_chunks_pass_in_both_directions(proxy: Proxy, service: ScriptedService) -> None:
    def script(talk: Talk) -> None:
        body = talk.read_body()
        talk.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
        talk.send(b'%x\r\n%b\r\n0\r\nTrailer: dropped\r\n\r\n' % (len(body), body))

    service.script = script
    request = proxy.get('/studies', 'Transfer-Encoding: chunked', 'Connection: close', method='POST')
    answer = proxy.say(request + b'2\r\nhe\r\n3\r\nllo\r\n0\r\nX: dropped\r\n\r\n')
    assert service.talks[0].header('transfer-encoding') == 'chunked' and service.talks[0].body == b'hello'
    assert b'dropped' not in answer
    assert _joined(answer.partition(b'\r\n\r\n')[2]) == b'abchello'


def _joined(chunks: bytes) -> bytes:
    payload = b''
    while chunks:
        size, _, chunks = chunks.partition(b'\r\n')
        payload, chunks = payload + chunks[: int(size, 16)], chunks[int(size, 16) + 2 :]
    return payload


@pytest.mark.parametrize('count', [0, 1, 65535, 65536, 65537, 3_000_000])
def test_body_of_any_size_is_the_same_on_both_sides(proxy: Proxy, service: ScriptedService, count: int) -> None:
    sent = (b'0123456789abcdef' * (count // 16 + 1))[:count]
    service.script = lambda talk: talk.reply(talk.read_body())
    answer = proxy.ask(method='POST', body=sent)
    assert hashlib.sha256(answer.partition(b'\r\n\r\n')[2]).digest() == hashlib.sha256(sent).digest()


def test_ranges_encodings_and_types_pass_unchanged(proxy: Proxy, service: ScriptedService) -> None:
    packed = gzip.compress(b'x' * 100)
    fields = {
        'Content-Encoding': 'gzip',
        'Content-Range': f'bytes 0-{len(packed) - 1}/99',
        'ETag': '"a"',
        'X-MS-Id': '1',
    }
    service.script = lambda talk: talk.reply(packed, '206 Partial Content', **fields)
    answer = proxy.ask('/studies/1', 'Range: bytes=0-9', 'Accept-Encoding: gzip', 'If-Match: "a"')
    head, _, body = answer.partition(b'\r\n\r\n')
    assert body == packed and all(f'{name}: {value}'.encode() in head for name, value in fields.items())
    assert [service.talks[0].header(name) for name in ('range', 'accept-encoding', 'if-match')] == [
        *('bytes=0-9', 'gzip', '"a"')
    ]


@pytest.mark.parametrize('status', ['204 No Content', '304 Not Modified'])
def test_answer_without_a_body_ends_with_its_head(proxy: Proxy, service: ScriptedService, status: str) -> None:
    service.script = lambda talk: talk.send(f'HTTP/1.1 {status}\r\nETag: "a"\r\n\r\n'.encode())
    answers = proxy.say(proxy.get() + proxy.get('/studies', 'Connection: close'))
    assert answers.count(f'HTTP/1.1 {status}'.encode()) == 2 and service.connections == 1


def test_head_says_the_length_and_sends_nothing(proxy: Proxy, service: ScriptedService) -> None:
    service.script = lambda talk: talk.send(b'HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n')
    answers = proxy.say(proxy.get(method='HEAD') + proxy.get('/studies', 'Connection: close', method='HEAD'))
    assert answers.count(b'Content-Length: 12345\r\n') == 2 and answers.endswith(b'\r\n\r\n')


@pytest.mark.parametrize('status', [400, 403, 404, 406, 409, 412, 415, 429, 500, 503])
def test_status_of_the_service_passes_with_its_headers(proxy: Proxy, service: ScriptedService, status: int) -> None:
    service.script = lambda talk: talk.reply(b'why', f'{status} Reason', Retry_After='7')
    answer = proxy.ask()
    assert answer.startswith(f'HTTP/1.1 {status} Reason\r\n'.encode()) and answer.endswith(b'why')
    assert b'Retry-After: 7\r\n' in answer and len(service.talks) == 1


def test_redirect_is_passed_on_and_never_followed(proxy: Proxy, service: ScriptedService) -> None:
    targets = iter([f'{service.url}/v2/operations/1', 'https://evil.example/x'])
    service.script = lambda talk: talk.reply(b'', '307 Temporary Redirect', Location=next(targets))
    answers = [proxy.ask(), proxy.ask()]
    assert f'Location: http://127.0.0.1:{proxy.port}/{SECRET}/v2/operations/1\r\n'.encode() in answers[0]
    assert b'Location: https://evil.example/x\r\n' in answers[1] and SECRET.encode() not in answers[1]
    assert len(service.talks) == 2


def test_redirect_keeps_the_name_that_the_client_used(proxy: Proxy, service: ScriptedService) -> None:
    service.script = lambda talk: talk.reply(b'', '202 Accepted', Location='/v2/operations/1')
    lines = f'Host: host.docker.internal\r\nAuthorization: Bearer {SECRET}\r\nConnection: close\r\n\r\n'
    answer = proxy.say(f'GET /v2/studies HTTP/1.1\r\n{lines}'.encode())
    assert f'Location: http://host.docker.internal:{proxy.port}/v2/operations/1\r\n'.encode() in answer


def test_allowed_page_may_read_the_answer(proxy: Proxy) -> None:
    answer = proxy.ask('/studies', f'Origin: {PAGE}', 'Sec-Fetch-Site: cross-site')
    assert f'Access-Control-Allow-Origin: {PAGE}\r\n'.encode() in answer and b'Vary: Origin\r\n' in answer


def test_http10_client_gets_a_body_without_chunks(proxy: Proxy, service: ScriptedService) -> None:
    service.script = lambda talk: talk.send(
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'
    )
    answer = proxy.say(f'GET {proxy.base}/studies HTTP/1.0\r\nHost: localhost\r\n\r\n'.encode())
    assert answer.endswith(b'\r\n\r\nabc') and b'Transfer-Encoding' not in answer and b'Connection: close' in answer


def test_answer_that_ends_with_its_connection_becomes_chunks(proxy: Proxy, service: ScriptedService) -> None:
    def script(talk: Talk) -> None:
        talk.send(b'HTTP/1.1 200 OK\r\n\r\nabc')
        raise EOFError

    service.script = script
    answer = proxy.ask()
    assert _joined(answer.partition(b'\r\n\r\n')[2]) == b'abc' and answer.endswith(b'0\r\n\r\n')


# ---- 100-continue and early answers ----------------------------------------------------------------------------------


def test_100_of_the_service_is_relayed_and_none_is_made_up(proxy: Proxy, service: ScriptedService) -> None:
    release = threading.Event()

    def script(talk: Talk) -> None:
        assert talk.header('expect') == '100-continue'
        release.wait(30)
        talk.send(b'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\nX: y\r\n\r\n')
        talk.reply(talk.read_body())

    service.script = script
    with proxy.connect() as sock:
        sock.sendall(
            proxy.get('/studies', 'Content-Length: 5', 'Expect: 100-continue', 'Connection: close', method='POST')
        )
        assert eventually(lambda: len(service.talks) == 1)
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(30)
        release.set()
        assert read_until(sock, b'\r\n\r\n') == b'HTTP/1.1 100 Continue\r\n\r\n'
        sock.sendall(b'hello')
        assert read_all(sock).endswith(b'hello')


def test_client_that_does_not_wait_for_the_100_gets_its_answer(proxy: Proxy, service: ScriptedService) -> None:
    def script(talk: Talk) -> None:
        body = talk.read_body()
        talk.send(b'HTTP/1.1 100 Continue\r\n\r\n')
        talk.reply(body)

    service.script = script
    answer = proxy.ask('/studies', 'Expect: 100-continue', method='POST', body=b'hello')
    assert answer.startswith(b'HTTP/1.1 200') and answer.endswith(b'hello')


def test_answer_without_a_100_saves_the_upload(proxy: Proxy, service: ScriptedService) -> None:
    service.script = lambda talk: talk.reply(b'no', '409 Conflict')
    with proxy.connect() as sock:
        sock.sendall(proxy.get('/studies', 'Content-Length: 2147483648', 'Expect: 100-continue', method='POST'))
        answer = read_all(sock)
    assert status_of(answer) == 409 and b'Connection: close' in answer


def test_early_answer_ends_an_upload(proxy: Proxy, service: ScriptedService) -> None:
    def script(talk: Talk) -> None:
        talk.receive()
        talk.reply(b'too large', '413 Payload Too Large')
        while talk.receive():
            pass

    service.script = script
    with proxy.connect() as sock:
        sock.sendall(proxy.get('/studies', 'Content-Length: 2147483648', method='POST') + b'x' * 100_000)
        answer = read_all(sock)
    assert status_of(answer) == 413 and answer.endswith(b'too large')


def test_service_that_reads_nothing_can_still_refuse_an_upload(proxy: Proxy, service: ScriptedService) -> None:
    """Its window is full by then, so nothing more can be sent to it."""
    answered = threading.Event()

    def script(talk: Talk) -> None:
        assert answered.wait(30)
        talk.reply(b'no', '507 Insufficient Storage')
        talk.receive()

    service.script = script
    with proxy.connect() as sock:
        sock.sendall(proxy.get('/studies', 'Content-Length: 2147483648', method='POST'))
        sock.settimeout(0.5)
        try:
            while True:
                sock.sendall(b'x' * 1_000_000)
        except TimeoutError:
            answered.set()
        sock.settimeout(30)
        assert status_of(read_until(sock, b'\r\n\r\n')) == 507


# ---- Connections to the service --------------------------------------------------------------------------------------


def test_connection_to_the_service_is_kept(proxy: Proxy, service: ScriptedService) -> None:
    for _ in range(3):
        proxy.ask()
    assert service.connections == 1


@pytest.mark.parametrize('method', ['GET', 'HEAD'])
def test_reading_is_asked_once_more_where_a_kept_connection_broke(
    proxy: Proxy, service: ScriptedService, method: str
) -> None:
    def script(talk: Talk) -> None:
        if len(service.talks) == 2:
            talk.break_off()
            raise EOFError
        talk.reply(b'' if method == 'HEAD' else b'[]')

    service.script = script
    proxy.ask(method=method)
    assert status_of(proxy.ask(method=method)) == 200
    assert service.connections == 2


def test_write_is_never_sent_twice(proxy: Proxy, service: ScriptedService) -> None:
    def script(talk: Talk) -> None:
        talk.read_body()
        if len(service.talks) == 2:
            talk.break_off()
            raise EOFError
        talk.reply()

    service.script = script
    proxy.ask()
    assert status_of(proxy.ask(method='POST', body=b'hello')) == 502
    assert [talk.method for talk in service.talks] == ['GET', 'POST']


def test_reading_is_not_asked_again_once_the_answer_has_begun(proxy: Proxy, service: ScriptedService) -> None:
    def script(talk: Talk) -> None:
        if len(service.talks) == 2:
            talk.send(b'HTTP/1.1 200 OK\r\nA: b')
            raise EOFError
        talk.reply()

    service.script = script
    proxy.ask()
    assert status_of(proxy.ask()) == 502 and len(service.talks) == 2


def test_body_takes_no_connection_that_was_idle_for_long(start: Start, service: ScriptedService) -> None:
    proxy = start(groups=frozenset({'store'}), limits=Limits(body_reuse_seconds=0.0))
    proxy.ask()
    proxy.ask(method='POST', body=b'hello')
    proxy.ask()
    assert service.connections == 2


def test_bytes_after_an_answer_are_answer_to_nothing(proxy: Proxy, service: ScriptedService) -> None:
    """A response that is smuggled behind another one must not become the next client's."""
    smuggled = b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'
    service.script = lambda talk: talk.send(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]' + smuggled)
    assert [proxy.ask().partition(b'\r\n\r\n')[2] for _ in range(3)] == [b'[]'] * 3
    assert service.connections == 3
