"""The port: what is let through, what is refused, and what the journal says of it."""

from __future__ import annotations

import contextlib
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.emulator.cloud import Emulator

OPENID = 'https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration'


def test_known_host_is_answered_over_tls_with_a_date(client: requests.Session) -> None:
    answer = client.get(OPENID)
    assert answer.status_code == 200
    assert answer.headers['date'].endswith('GMT')


def test_unknown_host_is_refused_and_noted(emulator: Emulator, client: requests.Session) -> None:
    with pytest.raises(requests.exceptions.ProxyError, match='403'):
        client.get('https://example.com/')
    assert emulator.journal.refused_hosts == ['example.com']
    assert emulator.journal.hosts == {'example.com'}


@pytest.mark.parametrize('status', [407, 403, 502, 504])
def test_proxy_refuses_a_host_with_the_status_that_it_is_told(
    status: int, emulator: Emulator, client: requests.Session
) -> None:
    emulator.proxy_refusals['login.microsoftonline.com'] = status
    with pytest.raises(requests.exceptions.ProxyError, match=f'Tunnel connection failed: {status}'):
        client.get(OPENID)
    assert client.get('https://management.azure.com/').status_code == 400
    emulator.proxy_refusals.clear()
    assert client.get(OPENID).status_code == 200


def test_other_port_of_a_known_host_is_refused(emulator: Emulator, client: requests.Session) -> None:
    with pytest.raises(requests.exceptions.ProxyError, match='403'):
        client.get('https://management.azure.com:8443/')
    assert emulator.journal.refused_hosts == ['management.azure.com:8443']


def test_certificate_is_for_the_host_and_not_trusted_without_the_ca(client: requests.Session) -> None:
    client.verify = True
    with pytest.raises(requests.exceptions.SSLError):
        client.get(OPENID)


def test_request_that_ends_the_handshake_is_not_lost(emulator: Emulator) -> None:
    with socket.create_connection(('127.0.0.1', emulator.port), timeout=60) as plain:
        plain.sendall(b'CONNECT management.azure.com:443 HTTP/1.1\r\n\r\n')
        assert b' 200 ' in plain.recv(1024)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = ssl.create_default_context(cafile=str(emulator.ca_file)).wrap_bio(
            incoming, outgoing, server_hostname='management.azure.com'
        )
        _handshake_until_finished(tls, incoming, outgoing, plain)
        tls.write(b'GET /tenants HTTP/1.1\r\nHost: management.azure.com\r\n\r\n')
        plain.sendall(outgoing.read())  # the client's Finished and its request in one segment
        assert b'MissingApiVersionParameter' in _read_until(tls, incoming, plain, b'}')


def test_connection_is_kept_alive_and_shared_by_many_requests(emulator: Emulator, client: requests.Session) -> None:
    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda _: client.get(OPENID).status_code, range(40)))
    assert statuses == [200] * 40
    assert len(emulator.journal.requests) == 40


def test_journal_shows_the_request(emulator: Emulator, client: requests.Session) -> None:
    answer = client.get(OPENID + '?x=1', headers={'X-Probe': 'here'})
    (request,) = emulator.journal.requests
    assert (request.host, request.method, request.query, request.status) == (
        'login.microsoftonline.com',
        'GET',
        'x=1',
        200,
    )
    assert request.headers['x-probe'] == 'here'
    assert request.body_size == len(answer.content)


def test_stop_does_not_wait_for_open_connections(emulator: Emulator) -> None:
    with socket.create_connection(('127.0.0.1', emulator.port), timeout=60) as idle:
        emulator.stop()
        assert not emulator.is_serving
        with contextlib.suppress(ConnectionResetError):
            assert idle.recv(1) == b''


def _handshake_until_finished(
    tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, plain: socket.socket
) -> None:
    while True:
        try:
            tls.do_handshake()
            return
        except ssl.SSLWantReadError:
            plain.sendall(outgoing.read())
            incoming.write(plain.recv(65536))


def _read_until(tls: ssl.SSLObject, incoming: ssl.MemoryBIO, plain: socket.socket, end: bytes) -> bytes:
    answer = b''
    while not answer.endswith(end):
        try:
            answer += tls.read()
        except ssl.SSLWantReadError:
            incoming.write(plain.recv(65536))
    return answer
