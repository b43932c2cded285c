"""Who leaves in the middle is seen to leave on the other side, and nothing that was cut short looks whole."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from azext_dicomtoken.proxy.wire import Limits
from tests.az.proxy.conftest import SECRET, Proxy, Start, eventually, read_all, read_until, status_of
from tests.az.proxy.service import ScriptedService, Talk

CUT = {
    'length': b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf',
    'chunks': b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
    'in a chunk': b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhalf',
    'bad chunk': b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0;a=b\r\n\r\n',
    'until the end': b'HTTP/1.1 200 OK\r\n\r\nhalf',
}


def ending_with(half: bytes, end: str) -> object:
    def script(talk: Talk) -> None:
        talk.send(half)
        getattr(talk, end)()
        raise EOFError

    return script


@pytest.mark.parametrize('end', ['break_off', 'vanish'])
@pytest.mark.parametrize('half', CUT.values(), ids=CUT)
def test_answer_that_was_cut_is_cut(proxy: Proxy, service: ScriptedService, half: bytes, end: str) -> None:
    service.script = ending_with(half, end)  # type: ignore[assignment]
    answer = proxy.ask()
    assert status_of(answer) in (200, 502)  # a reset can overtake what was sent before it
    if status_of(answer) == 200:
        assert b'Content-Length: 10' in answer or not answer.endswith(b'0\r\n\r\n')
        assert eventually(lambda: [exchange.is_whole for exchange in proxy.exchanges] == [False])


def test_answer_that_was_cut_is_a_reset_where_its_end_is_that_of_the_connection(
    proxy: Proxy, service: ScriptedService
) -> None:
    service.script = ending_with(CUT['until the end'], 'vanish')  # type: ignore[assignment]
    answer = proxy.say(f'GET {proxy.base}/studies HTTP/1.0\r\nHost: localhost\r\n\r\n'.encode())
    assert answer.endswith(b'<reset>')


BAD_ANSWERS = {
    'folded': b'HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n',
    'bare LF': b'HTTP/1.1 200 OK\nContent-Length: 0\n\n',
    'bare LF in a value': b'HTTP/1.1 200 OK\r\nA: b\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n',
    'two lengths': b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello',
    'length beside chunked': b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'chunked, http/1.0': b'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'switch': b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n',
    'no http': b'SSH-2.0-OpenSSH_9.2\r\n\r\n',
    'too large': b'HTTP/1.1 200 OK\r\nA: ' + b'x' * 40000 + b'\r\n\r\n',
    'without end': b'HTTP/1.1 200 OK\r\nA: ' + b'x' * 70000,
    'interim without end': b'HTTP/1.1 102 Processing\r\n\r\n' * 100,
    'nothing': b'',
    'half a head': b'HTTP/1.1 200 OK\r\nA: b',
}


@pytest.mark.parametrize('raw', BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_answer_that_breaks_a_rule_is_a_bad_gateway(proxy: Proxy, service: ScriptedService, raw: bytes) -> None:
    def script(talk: Talk) -> None:
        talk.send(raw)
        raise EOFError

    service.script = script
    answer = proxy.ask()
    assert status_of(answer) == 502 and answer.count(b'HTTP/1.1 ') == 1 and b'Set-Cookie' not in answer


def test_service_that_leaves_during_an_upload_is_a_bad_gateway(proxy: Proxy, service: ScriptedService) -> None:
    def script(talk: Talk) -> None:
        talk.receive()
        talk.break_off()
        raise EOFError

    service.script = script
    with proxy.connect() as sock:
        sock.sendall(proxy.get('/studies', 'Content-Length: 1000000', method='POST') + b'x' * 1000)
        assert status_of(read_all(sock)) == 502


@pytest.mark.parametrize('framing', ['Content-Length: 100', 'Transfer-Encoding: chunked'])
def test_client_that_leaves_during_an_upload_cuts_it_short(
    proxy: Proxy, service: ScriptedService, framing: str
) -> None:
    cut = threading.Event()

    def script(talk: Talk) -> None:
        try:
            talk.read_body()
        except EOFError:
            cut.set()
            raise

    service.script = script
    with proxy.connect() as sock:
        sock.sendall(proxy.get('/studies', framing, method='POST') + b'5\r\nhello\r\n')
        assert eventually(lambda: len(service.talks) == 1)
    assert cut.wait(30)


@pytest.mark.parametrize('how', ['closes', 'resets'])
def test_client_that_leaves_while_the_service_thinks_ends_the_request(
    proxy: Proxy, service: ScriptedService, how: str
) -> None:
    ended = threading.Event()

    def script(talk: Talk) -> None:
        if not talk.receive():
            ended.set()
        raise EOFError

    service.script = script
    with proxy.connect() as sock:
        sock.sendall(proxy.get())
        assert eventually(lambda: len(service.talks) == 1)
        if how == 'resets':
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    assert ended.wait(30)


def test_client_that_leaves_during_an_answer_ends_it(proxy: Proxy, service: ScriptedService) -> None:
    ended = threading.Event()

    def script(talk: Talk) -> None:
        talk.send(b'HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n')
        try:
            while True:
                talk.send(b'x' * 100_000)
        except OSError:
            ended.set()
            raise

    service.script = script
    with proxy.connect() as sock:
        sock.sendall(proxy.get())
        read_until(sock, b'xxx')
    assert ended.wait(30)


# ---- Bounds ----------------------------------------------------------------------------------------------------------

SHORT = {'groups': frozenset({'store'})}


def test_empty_connection_is_closed_in_silence(start: Start) -> None:
    assert start(limits=Limits(idle_seconds=0.1)).say(b'') == b''


def test_idle_connection_is_closed_in_silence(start: Start, service: ScriptedService) -> None:
    limits, answer = Limits(), service.script

    def script(talk: Talk) -> None:
        object.__setattr__(limits, 'idle_seconds', 0.1)  # the request has come, however long that took
        answer(talk)

    service.script = script
    with start(limits=limits).connect() as sock:
        sock.sendall(f'GET /{SECRET}/v2/studies HTTP/1.1\r\nHost: localhost\r\n\r\n'.encode())
        assert read_all(sock).count(b'HTTP/1.1 ') == 1


def test_head_that_comes_byte_by_byte_is_late(start: Start) -> None:
    proxy = start(limits=Limits(head_seconds=0.3))
    stop = threading.Event()
    with proxy.connect() as sock:

        def trickle() -> None:
            for byte in proxy.get('/studies', 'A: ' + 'x' * 10000):
                if stop.wait(0.02):
                    return
                try:
                    sock.sendall(bytes([byte]))
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        answer = read_until(sock, b'\r\n\r\n')
        stop.set()
        thread.join(30)
    assert status_of(answer) == 408 and b'Connection: close' in answer


def test_body_that_does_not_come_is_late(start: Start, service: ScriptedService) -> None:
    proxy = start(limits=Limits(piece_seconds=0.3), **SHORT)
    answer = proxy.say(proxy.get('/studies', 'Content-Length: 10', method='POST') + b'half')
    assert status_of(answer) == 408


def test_client_that_waits_for_a_100_waits_as_long_as_for_an_answer(start: Start, service: ScriptedService) -> None:
    service.script = lambda talk: talk.receive()
    proxy = start(limits=Limits(piece_seconds=60.0, answer_seconds=0.3), **SHORT)
    answer = proxy.say(proxy.get('/studies', 'Content-Length: 10', 'Expect: 100-continue', method='POST'))
    assert status_of(answer) == 504


def test_service_that_does_not_answer_is_late(start: Start, service: ScriptedService) -> None:
    service.script = lambda talk: talk.receive()
    assert status_of(start(limits=Limits(answer_seconds=0.3)).ask()) == 504


def test_service_that_stops_in_the_middle_of_its_head_is_late(start: Start, service: ScriptedService) -> None:
    def script(talk: Talk) -> None:
        talk.send(b'HTTP/1.1 200 OK\r\n')
        talk.receive()

    service.script = script
    assert status_of(start(limits=Limits(piece_seconds=0.3)).ask()) == 504


def test_service_that_stops_in_the_middle_of_its_body_is_cut(start: Start, service: ScriptedService) -> None:
    def script(talk: Talk) -> None:
        talk.send(CUT['length'])
        talk.receive()

    service.script = script
    answer = start(limits=Limits(piece_seconds=0.3)).ask()
    assert status_of(answer) == 200 and answer.endswith(b'\r\n\r\nhalf')


def test_service_that_takes_nothing_is_late(start: Start, service: ScriptedService) -> None:
    forever = threading.Event()
    service.script = lambda talk: None if forever.wait(30) else None
    proxy = start(limits=Limits(piece_seconds=0.5), **SHORT)
    with proxy.connect() as sock:
        sock.sendall(proxy.get('/studies', 'Content-Length: 2147483648', method='POST'))
        sock.settimeout(10)
        try:
            while True:
                sock.sendall(b'x' * 1_000_000)
        except OSError:
            pass
        answer = read_all(sock)
    forever.set()
    assert answer in (b'', b'<reset>') or status_of(answer) == 504
    assert eventually(lambda: [exchange.status for exchange in proxy.exchanges] == [504])


def test_client_that_reads_nothing_is_disconnected(start: Start, service: ScriptedService) -> None:
    ended = threading.Event()

    def script(talk: Talk) -> None:
        try:
            talk.send(b'HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n')
            while True:
                talk.send(b'x' * 100_000)
        except OSError:
            ended.set()
            raise

    service.script = script
    proxy = start(limits=Limits(piece_seconds=0.3))
    with proxy.connect() as sock:
        sock.sendall(proxy.get())
        assert ended.wait(30)


def test_more_connections_than_there_may_be_are_told_so(start: Start, service: ScriptedService) -> None:
    proxy = start(limits=Limits(connections=2))
    held = [proxy.connect() for _ in range(2)]
    for sock in held:
        sock.sendall(proxy.get())
        read_until(sock, b'[]')
    assert status_of(proxy.say(proxy.get())) == 503
    held[0].close()
    assert eventually(lambda: status_of(proxy.ask()) == 200)
    held[1].close()


def test_fifty_clients_at_once_get_their_own_answers(proxy: Proxy, service: ScriptedService) -> None:
    together = threading.Barrier(50)

    def script(talk: Talk) -> None:
        together.wait(30)
        talk.reply(talk.target.encode())

    service.script = script
    answers: dict[int, bytes] = {}
    threads = [
        threading.Thread(target=lambda number=number: answers.update({number: proxy.ask(f'/studies/{number}')}))
        for number in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(answers[number].endswith(f'\r\n\r\n/v2/studies/{number}'.encode()) for number in range(50))


# ---- The end ---------------------------------------------------------------------------------------------------------


def test_request_in_flight_is_answered_at_the_end_and_no_other_is_taken(start: Start, service: ScriptedService) -> None:
    release = threading.Event()

    def script(talk: Talk) -> None:
        release.wait(30)
        talk.reply(b'late')

    service.script = script
    proxy = start()
    with proxy.connect() as busy, proxy.connect() as idle:
        busy.sendall(proxy.get())
        assert eventually(lambda: len(service.talks) == 1)
        ending = threading.Thread(target=proxy.server.end)
        ending.start()
        assert idle.recv(1) == b''
        release.set()
        assert read_all(busy).endswith(b'late')
        ending.join(30)
    with pytest.raises(ConnectionRefusedError):
        proxy.connect()


def test_request_in_flight_gets_its_time_and_no_more(start: Start, service: ScriptedService) -> None:
    service.script = lambda talk: talk.receive()
    proxy = start(limits=Limits(end_seconds=0.2))
    with proxy.connect() as sock:
        sock.sendall(proxy.get())
        assert eventually(lambda: len(service.talks) == 1)
        proxy.server.end()
        proxy.server.close()
        assert read_all(sock) in (b'', b'<reset>')


def test_proxy_ends_when_it_was_idle_for_long(start: Start) -> None:
    proxy = start(idle_timeout_seconds=0.0)
    proxy.server.serve()  # returns at once


def test_refused_requests_do_not_keep_the_proxy_alive(start: Start, service: ScriptedService) -> None:
    proxy = start()
    before = proxy.server.idle_since
    proxy.say(proxy.head('GET / HTTP/1.1', 'Connection: close'))
    assert proxy.server.idle_since == before
    proxy.ask()
    assert proxy.server.idle_since > before
