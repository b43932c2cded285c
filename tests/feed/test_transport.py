"""One HTTP request and its answer, over real sockets on 127.0.0.1. Waits: `test_transport_deadlines.py`."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import tracemalloc
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from dicomfeed.errors import HostUnreachable, MalformedResponse, ProxySettingWrong, RequestError, TlsFailed
from dicomfeed.transport import LARGEST_BARE_BYTES, Answer, Budget, HttpTransport, proxy_of

TOKEN = 'eyJhbGciOi.SECRET.signature'
PAGE = b'[{"sequence":1,"timestamp":"2024-05-01T10:20:30+00:00"}]'
TLS_HELLO = b'\x16'


class Server:
    """Gives each request the next answer, the last one for ever; an empty one ends the connection.

    `heads` are the requests, `connections` how many were opened.
    """

    def __init__(self, *answers: bytes, context: ssl.SSLContext | None = None) -> None:
        self.heads: list[str] = []
        self.connections = 0
        self._answers = list(answers)
        self._context = context
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f'http{"s" if self._context else ""}://localhost:{self.port}'

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)

    def _accept(self) -> None:
        try:
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
        except OSError:  # closed
            pass

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, self._wrapped(connection) as stream:
                stream.settimeout(10)
                while head := _read_head(stream):
                    self.heads.append(head)
                    answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                    stream.sendall(answer)
                    if b'Content-Length' not in answer:
                        return
        except OSError:  # the client went away, or has no trust
            pass

    def _wrapped(self, connection: socket.socket) -> socket.socket:
        return self._context.wrap_socket(connection, server_side=True) if self._context else connection


def _read_head(stream: socket.socket) -> str:
    head = b''
    while b'\r\n\r\n' not in head and not head.startswith(TLS_HELLO) and (data := stream.recv(65_536)):
        head += data
    return head.decode('latin-1')


@contextmanager
def serving(*answers: bytes, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    with closing(Server(*answers, context=context)) as server:
        yield server


def answer(body: bytes = PAGE, *, status: str = '200 OK', headers: str = '') -> bytes:
    return (f'HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n').encode() + body


def chunked(body: bytes, *, headers: str = '', end: bytes = b'0\r\n\r\n') -> bytes:
    return (
        f'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{headers}\r\n{len(body):x}\r\n'.encode()
        + body
        + b'\r\n'
        + end
    )


def get(url: str, transport: HttpTransport | None = None, *, token: str = TOKEN) -> Answer:
    transport = transport or HttpTransport(connect_timeout_seconds=5, read_timeout_seconds=5)
    return transport.get(f'{url}/v1/changefeed', parameters={'offset': '0', 'x': 'a b+c'}, token=token)


# Requests and answers


def test_request_says_what_it_must() -> None:
    with serving(answer()) as server:
        get(server.url, HttpTransport(user_agent='test/1'))
    assert server.heads[0].startswith('GET /v1/changefeed?offset=0&x=a+b%2Bc HTTP/1.1\r\n')
    headers = dict(line.split(': ', 1) for line in server.heads[0].split('\r\n')[1:] if line)
    assert (headers['Authorization'], headers['User-Agent']) == (f'Bearer {TOKEN}', 'test/1')
    assert headers['Host'] == f'localhost:{server.port}'


@pytest.mark.parametrize(
    'data',
    [
        answer(),
        chunked(PAGE),
        b'HTTP/1.1 200 OK\r\n\r\n' + PAGE,
        answer(gzip.compress(PAGE), headers='Content-Encoding: gzip\r\n'),
        chunked(gzip.compress(PAGE), headers='Content-Encoding: gzip\r\n'),
        answer(zlib.compress(PAGE), headers='Content-Encoding: deflate\r\n'),
    ],
    ids=['length', 'chunked', 'until the end', 'gzip', 'chunked gzip', 'deflate'],
)
def test_body_comes_unpacked_and_whole(data: bytes) -> None:
    with serving(data) as server:
        assert get(server.url).body == PAGE


@pytest.mark.parametrize('status', ['204 No Content', '401 Unauthorized', '429 Too Many Requests', '503 Unavailable'])
def test_every_status_is_an_answer(status: str) -> None:
    body = b'' if status.startswith('204') else b'text'
    with serving(answer(body, status=status, headers='WWW-Authenticate: Bearer\r\nRETRY-AFTER: 7\r\n')) as server:
        got = get(server.url)
    assert (got.status, got.body, got.headers['retry-after']) == (int(status[:3]), body, '7')
    assert len(server.heads) == 1


@pytest.mark.parametrize('status', ['301 Moved', '302 Found', '303 See Other', '307 Temporary', '308 Permanent'])
def test_redirect_is_never_followed(status: str) -> None:
    with serving(answer()) as elsewhere:
        with serving(answer(b'', status=status, headers=f'Location: {elsewhere.url}/v1/changefeed\r\n')) as server:
            assert get(server.url).status == int(status[:3])
    assert elsewhere.connections == 0


def test_connection_is_kept_also_between_two_addresses() -> None:
    transport = HttpTransport()
    answers = [
        answer(),
        answer(b'', status='204 No Content'),
        answer(status='503 Unavailable'),
        answer(gzip.compress(PAGE), headers='Content-Encoding: gzip\r\n'),
    ]
    with serving(*answers * 5) as server:
        for number in range(20):
            transport.get(f'{server.url}/v{number % 2 + 1}/changefeed', parameters={'offset': '0'}, token=TOKEN)
    assert (len(server.heads), server.connections) == (20, 1)


@pytest.mark.parametrize('connections', [1, 2, 8])
def test_no_more_requests_are_in_flight_than_there_are_connections(connections: int) -> None:
    transport = HttpTransport(connections=connections)
    with serving(answer()) as server:
        threads = [threading.Thread(target=lambda: [get(server.url, transport) for _ in range(5)]) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=10)
    assert len(server.heads) == 30 and 1 <= server.connections <= connections


def test_failed_request_gives_its_connection_back() -> None:
    transport = HttpTransport(connections=1)
    with serving(b'', answer()) as server:
        with pytest.raises(HostUnreachable):
            get(server.url, transport)
        assert get(server.url, transport).status == 200


def test_connection_that_the_server_let_go_is_opened_again() -> None:
    transport = HttpTransport()
    with serving(answer(headers='Connection: close\r\n')) as server:
        assert [get(server.url, transport).body for _ in range(3)] == [PAGE] * 3
    assert server.connections == 3


# Connections that break


@pytest.mark.parametrize(
    'data',
    [
        b'',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n[{"seq',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
        chunked(PAGE, end=b''),
        b'SSH-2.0-OpenSSH\r\n\r\n',
        b'HTTP/1.1 abc\r\n\r\n',
        b'HTTP/1.1 200 OK\r\nX: ' + b'x' * 70_000 + b'\r\n\r\n',
        b'HTTP/1.1 200 OK\r\n' + b'A: b\r\n' * 200 + b'\r\n',
    ],
    ids=[
        'before the answer',
        'in a chunk',
        'chunk without a size',
        'before the last chunk',
        'not HTTP',
        'no status',
        'endless header',
        'too many headers',
    ],
)
def test_connection_cut_is_unreachable(data: bytes) -> None:
    with serving(data) as server, pytest.raises(HostUnreachable, match='broke'):
        get(server.url)


def test_head_cut_in_the_middle_is_no_empty_page() -> None:
    with serving(b'HTTP/1.1 200 OK\r\nContent-') as server, pytest.raises(HostUnreachable):
        get(server.url)


def test_body_shorter_than_promised_is_no_answer() -> None:
    data = answer()[:-10].replace(b'Content-Length', b'content-length')  # the server ends the connection then
    with serving(data) as server, pytest.raises(HostUnreachable, match='broke'):
        get(server.url)


def test_refused_connection_is_unreachable() -> None:
    with serving(answer()) as server:
        pass
    with pytest.raises(HostUnreachable, match='refused'):
        get(server.url)


@pytest.mark.parametrize(
    'host', ['no-such-host.invalid', 'a..b', 'x' * 70 + '.invalid'], ids=['no such name', 'empty label', 'long label']
)
def test_name_that_does_not_resolve_is_unreachable(host: str) -> None:
    with pytest.raises(HostUnreachable) as caught:
        get(f'https://{host}')
    assert not caught.value.through_proxy


# Answers too large

BOMB = gzip.compress(b' ' * 2**26)  # 64 MB in 64 kB


@pytest.mark.parametrize(
    'data',
    [
        answer(b' ' * 2**22),
        chunked(b' ' * 2**22),
        answer(BOMB, headers='Content-Encoding: gzip\r\n'),
        chunked(BOMB, headers='Content-Encoding: gzip\r\n'),
        b'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n' + BOMB,
    ],
    ids=['huge', 'huge chunk', 'gzip bomb', 'chunked gzip bomb', 'gzip bomb without a length'],
)
def test_answer_too_large_is_refused_in_little_memory(data: bytes) -> None:
    transport = HttpTransport(largest_answer_bytes=2**20)
    with serving(data) as server:
        tracemalloc.start()
        try:
            with pytest.raises(MalformedResponse, match='larger'):
                get(server.url, transport)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 2**24


def test_answer_as_large_as_allowed_is_taken() -> None:
    with serving(answer(b' ' * 2**20)) as server:
        assert len(get(server.url, HttpTransport(largest_answer_bytes=2**20)).body) == 2**20


@pytest.mark.parametrize('body', [b'not gzip', b'x', gzip.compress(PAGE)[:5], b''], ids=['other', 'x', 'cut', 'empty'])
def test_body_that_cannot_be_unpacked_is_malformed(body: bytes) -> None:
    with serving(answer(body, headers='Content-Encoding: gzip\r\n')) as server:
        with pytest.raises(MalformedResponse, match='unpacked'):
            get(server.url)


def test_n13_answer_without_metadata_may_be_less_large() -> None:
    body = b' ' * (LARGEST_BARE_BYTES + 1)
    with serving(answer(gzip.compress(body, 1), headers='Content-Encoding: gzip\r\n')) as server:
        with pytest.raises(MalformedResponse, match='larger'):
            get(server.url)
        got = HttpTransport().get(f'{server.url}/v1/changefeed', parameters={}, token=TOKEN, is_slow=True)
    assert len(got.body) == len(body)


class ObservedCondition(threading.Condition):
    """Says when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_waited_for = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.is_waited_for.set()
        return super().wait(timeout)


def test_n13_answers_in_flight_share_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    budget, changed = Budget(100), ObservedCondition()
    monkeypatch.setattr(budget, '_changed', changed)
    second_done = threading.Event()

    def second() -> None:
        with budget.receiving() as take:
            take(40)
            take(40)
        second_done.set()

    with budget.receiving() as take:
        take(50)
        thread = threading.Thread(target=second, daemon=True)
        thread.start()
        assert changed.is_waited_for.wait(timeout=30)
        take(500)  # the first one never waits
        assert not second_done.is_set()
    assert second_done.wait(timeout=30)
    thread.join(timeout=30)


def test_n13_failed_answer_gives_its_bytes_back() -> None:
    budget = Budget(10)
    for _ in range(3):
        with suppress(LookupError), budget.receiving() as take:
            take(9)
            raise LookupError
    with budget.receiving() as first, budget.receiving() as second:
        second(5)
        first(5)


def test_n13_many_bombs_at_a_time_take_the_memory_of_few() -> None:
    packed = answer(gzip.compress(b' ' * 2**24, 1), headers='Content-Encoding: gzip\r\n')
    transport = HttpTransport(largest_answer_bytes=2**24, bytes_in_flight=2**23)
    with serving(packed) as server:
        tracemalloc.start()
        try:
            with ThreadPoolExecutor(8) as pool:
                sizes = list(pool.map(lambda _: len(get(server.url, transport).body), range(8)))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert sizes == [2**24] * 8 and peak < 5 * 2**24


# TLS


@pytest.fixture(scope='module')
def authority() -> trustme.CA:
    return trustme.CA()


def context_for(authority: trustme.CA, host: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(tmp_path / 'ca.pem')
    return str(tmp_path / 'ca.pem')


def test_certificate_of_an_unknown_authority_is_refused(authority: trustme.CA) -> None:
    with serving(answer(), context=context_for(authority, 'localhost')) as server, pytest.raises(TlsFailed):
        get(server.url)
    assert server.heads == []


@pytest.mark.parametrize('name', ['REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'])
def test_authority_that_the_environment_names_is_trusted(
    authority: trustme.CA, ca_file: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, ca_file)
    transport = HttpTransport()
    with serving(answer(), context=context_for(authority, 'localhost')) as server:
        assert [get(server.url, transport).body for _ in range(3)] == [PAGE] * 3
    assert server.connections == 1


def test_certificate_for_another_name_is_refused(
    authority: trustme.CA, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('REQUESTS_CA_BUNDLE', ca_file)
    with serving(answer(), context=context_for(authority, 'other.example')) as server, pytest.raises(TlsFailed):
        get(server.url)
    assert server.heads == []


def test_n4_authorities_are_those_of_requests_unless_its_variables_name_others(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / 'ca.pem'))
    monkeypatch.setenv('SSL_CERT_FILE', str(tmp_path / 'ca.pem'))  # which the sign-in of az does not read either
    with serving(answer(), context=context_for(authority, 'localhost')) as server, pytest.raises(TlsFailed):
        get(server.url)


def test_authority_file_that_is_missing_is_no_reason_to_trust(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('REQUESTS_CA_BUNDLE', str(tmp_path / 'missing.pem'))
    with serving(answer(), context=context_for(authority, 'localhost')) as server, pytest.raises(TlsFailed):
        get(server.url)


def test_server_without_tls_fails_as_tls() -> None:
    with serving(answer()) as server, pytest.raises(TlsFailed):
        get(f'https://localhost:{server.port}')


# Proxies and netrc


def test_request_goes_through_the_proxy_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer()) as proxy:
        monkeypatch.setenv('HTTP_PROXY', f'http://127.0.0.1:{proxy.port}')
        monkeypatch.setenv('http_proxy', f'http://127.0.0.1:{proxy.port}')
        assert get('http://service.example').body == PAGE
    assert proxy.heads[0].startswith('GET http://service.example/v1/changefeed?')


@pytest.mark.parametrize(
    ('refusal', 'status'),
    [
        (answer(b'', status='403 Forbidden'), 403),
        (answer(b'', status='407 Proxy Authentication Required'), 407),
        (answer(b'', status='502'), 502),
        (b'', None),
    ],
    ids=['403', '407', '502', 'cut'],
)
def test_n5_proxy_that_refuses_is_unreachable(
    refusal: bytes, status: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(refusal) as proxy:
        monkeypatch.setenv('HTTPS_PROXY', f'http://user:{TOKEN}@127.0.0.1:{proxy.port}')
        with pytest.raises(HostUnreachable) as caught:
            get('https://service.example')
    assert (caught.value.through_proxy, caught.value.proxy_status) == (True, status)
    assert TOKEN not in f'{caught.value}{caught.value!r}{caught.value.url}'
    assert proxy.heads[0].startswith('CONNECT service.example:443 ')
    assert 'Bearer' not in proxy.heads[0]


def test_n5_proxy_that_wants_a_password_in_the_clear_is_told_from_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer(b'', status='407 Proxy Authentication Required')) as proxy:
        monkeypatch.setenv('HTTP_PROXY', f'http://127.0.0.1:{proxy.port}')
        monkeypatch.setenv('http_proxy', f'http://127.0.0.1:{proxy.port}')
        with pytest.raises(HostUnreachable) as caught:
            get('http://service.example')
    assert caught.value.proxy_status == 407


def test_proxy_that_is_gone_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer()) as gone:
        port = gone.port
    monkeypatch.setenv('HTTPS_PROXY', f'http://127.0.0.1:{port}')
    with pytest.raises(HostUnreachable) as caught:
        get('https://service.example')
    assert (caught.value.through_proxy, caught.value.proxy_status) == (True, None)


@pytest.mark.parametrize('proxy', ['http://', 'ftp://x', '://', 'http://x:port', 'http://[x'])
def test_n6_setting_that_is_no_url_of_a_proxy_is_wrong(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HTTPS_PROXY', proxy)
    with pytest.raises(ProxySettingWrong):
        get('https://service.example')


def test_n21_proxy_that_is_asked_by_tls_and_speaks_none_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer(b'', status='400 Bad Request')) as proxy:
        monkeypatch.setenv('HTTPS_PROXY', f'https://127.0.0.1:{proxy.port}')
        with pytest.raises(ProxySettingWrong, match='does not speak TLS'):
            get('https://service.example')


@pytest.mark.parametrize('name', ['http_proxy', 'HTTP_PROXY', 'ALL_PROXY', 'all_proxy', 'HTTPS_PROXY'])
@pytest.mark.parametrize('host', ['localhost', '127.0.0.1'])
def test_t2_loopback_is_asked_directly_whatever_the_environment_says(
    host: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(answer()) as server, serving(answer(b'', status='502')) as proxy:
        monkeypatch.setenv(name, f'http://127.0.0.1:{proxy.port}')
        assert get(f'http://{host}:{server.port}').body == PAGE
    assert proxy.heads == []


@pytest.mark.parametrize(
    ('url', 'proxy'),
    [
        ('http://[::1]:8080/v1/changefeed', None),
        ('https://LOCALHOST./x', None),
        ('https://127.9.9.9', None),
        ('https://127.1', None),
        ('https://localhost.example', 'http://proxy.example:3128'),
        ('https://service.example/v1/changefeed', 'http://proxy.example:3128'),
        ('https://excepted.example', None),
    ],
)
def test_t2_proxy_is_told_by_the_host(url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ALL_PROXY', 'http://proxy.example:3128')
    monkeypatch.setenv('NO_PROXY', 'excepted.example')
    assert proxy_of(url) == proxy


def test_netrc_does_not_replace_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / '.netrc').write_text('default login somebody password something\n')
    monkeypatch.setenv('NETRC', str(tmp_path / '.netrc'))
    monkeypatch.setenv('HOME', str(tmp_path))
    with serving(answer()) as server:
        get(server.url)
    assert f'Authorization: Bearer {TOKEN}\r\n' in server.heads[0]
    assert 'Basic' not in server.heads[0]


# Tokens


@pytest.mark.parametrize(
    'token',
    [f'{TOKEN}\n', f'{TOKEN}\r\nX: y', f'{TOKEN}€', f'{TOKEN} ', ''],
    ids=['line feed', 'header', 'euro', 'blank', 'empty'],
)
def test_token_that_cannot_stand_in_a_header_is_refused_without_being_said(token: str) -> None:
    with serving(answer()) as server, pytest.raises(RequestError) as caught:
        get(server.url, token=token)
    assert TOKEN not in f'{caught.value}{caught.value!r}'
    assert caught.value.__context__ is None
    assert server.heads == []
