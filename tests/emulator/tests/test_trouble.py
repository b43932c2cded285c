"""Scripted faults: which request meets which, and what the client gets, with and without sockets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from email.utils import parsedate_to_datetime

import pytest
import requests
import uvicorn

from tests.emulator import trouble as faults
from tests.emulator.cloud import Emulator
from tests.emulator.dicom import DicomService
from tests.emulator.journal import Journal
from tests.emulator.trouble import ConnectionCut, Fault, Hang, Request, Trouble

OPENID = 'https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration'
LIST = Request('/v1/changefeed')


@pytest.fixture
def service() -> DicomService:
    service = DicomService(verify=None, journal=Journal(), host='dicom.example')
    for _ in range(5):
        service.store.create()
    return service


@pytest.fixture
def port(service: DicomService) -> Iterator[int]:
    listener = socket.create_server(('127.0.0.1', 0))
    server = uvicorn.Server(
        uvicorn.Config(
            service,
            lifespan='off',
            log_config=None,
            http='httptools',
            ws='none',
            date_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={'sockets': [listener]}, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    listener.close()


def ask(port: int, target: str = '/v1/changefeed') -> bytes:
    """All bytes that a server sends to one request until it closes the connection."""
    with closing(socket.create_connection(('127.0.0.1', port), timeout=60)) as connection:
        connection.sendall(f'GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'.encode())
        received = b''
        while part := connection.recv(65536):
            received += part
        return received


@pytest.mark.parametrize(
    'fault, status, header, text',
    [
        (faults.throttled(7), 429, ('Retry-After', '7'), None),
        (faults.throttled(), 429, ('Retry-After', None), None),
        (faults.server_error(), 500, ('Retry-After', None), faults.SERVER_ERROR_TEXT),
        (faults.unavailable(), 503, ('Retry-After', None), faults.DATA_STORE_TEXT),
        (faults.status(424, 'key trouble'), 424, ('Content-Type', 'text/plain; charset=utf-8'), 'key trouble'),
        (faults.status(408), 408, ('Retry-After', None), ''),
        (faults.transient_400(), 400, ('Retry-After', None), faults.DATA_STORE_TEXT),
        (faults.redirect('https://evil.example/'), 302, ('Location', 'https://evil.example/'), ''),
        (faults.expired_token(), 401, ('Retry-After', None), ''),
    ],
    ids=['429 after', '429', '500', '503', '424', '408', 'transient 400', 'redirect', 'expired token'],
)
def test_fault_answers(
    service: DicomService, fault: Fault, status: int, header: tuple[str, str | None], text: str | None
) -> None:
    service.trouble.next(fault)
    response = service.respond(LIST)
    assert (response.status, response.headers.get(header[0])) == (status, header[1])
    assert text is None or response.body.decode() == text
    assert 'Date' in response.headers and service.respond(LIST).status == 200


def test_fault_expired_token_says_so(service: DicomService) -> None:
    service.trouble.next(faults.expired_token())
    assert 'error="invalid_token"' in service.respond(LIST).headers['WWW-Authenticate']


def test_fault_malformed_json(service: DicomService) -> None:
    service.trouble.next(faults.malformed_json())
    response = service.respond(LIST)
    assert response.status == 200
    with pytest.raises(ValueError):
        json.loads(response.body)


def test_fault_huge_body(service: DicomService) -> None:
    service.trouble.next(faults.huge_body(1_000_000))
    assert len(service.respond(LIST).body) == 1_000_000


def test_fault_cut_raises_without_sockets(service: DicomService) -> None:
    service.trouble.next(faults.cut())
    with pytest.raises(ConnectionCut) as cut:
        service.respond(LIST)
    assert cut.value.response is None


def test_fault_cut_body_tells_how_far(service: DicomService) -> None:
    service.trouble.next(faults.cut_body(share=0.25))
    with pytest.raises(ConnectionCut) as cut:
        service.respond(LIST)
    assert cut.value.response and 0 < cut.value.length < len(cut.value.response.body) // 3


def test_fault_hang_raises_without_sockets(service: DicomService) -> None:
    service.trouble.next(faults.hang(9))
    with pytest.raises(Hang) as hang:
        service.respond(LIST)
    assert hang.value.seconds == 9


def test_trouble_next_hits_so_many_requests(service: DicomService) -> None:
    service.trouble.next(faults.unavailable(), times=2)
    service.trouble.next(faults.throttled())
    assert [service.respond(LIST).status for _ in range(4)] == [503, 503, 429, 200]


def test_trouble_when_picks_requests(service: DicomService) -> None:
    service.trouble.when(lambda request: 'offset=3' in request.query, faults.server_error(), times=1)
    queries = ['offset=0', 'offset=3', 'offset=3']
    assert [service.respond(Request('/v1/changefeed', query)).status for query in queries] == [200, 500, 200]


def test_trouble_when_without_times_never_ends(service: DicomService) -> None:
    service.trouble.when(lambda request: request.path.endswith('latest'), faults.server_error())
    assert {service.respond(Request('/v1/changefeed/latest')).status for _ in range(9)} == {500}


def test_trouble_every_hits_one_in_each_run() -> None:
    trouble = Trouble()
    trouble.every(20, [faults.unavailable(), faults.cut()], seed=1)
    hits = [trouble.choose(LIST) is not None for _ in range(200)]
    assert [sum(hits[start : start + 20]) for start in range(0, 200, 20)] == [1] * 10


def test_trouble_clear_ends_it(service: DicomService) -> None:
    service.trouble.next(faults.unavailable())
    service.trouble.when(lambda request: True, faults.unavailable())
    service.trouble.every(1, [faults.unavailable()], seed=1)
    service.trouble.clear()
    assert service.respond(LIST).status == 200


def test_cut_over_a_socket_gives_no_byte(service: DicomService, port: int) -> None:
    service.trouble.next(faults.cut())
    assert ask(port) == b''
    assert b' 200 OK' in ask(port)


@pytest.mark.parametrize('chunked', [False, True], ids=['content length', 'chunked'])
def test_cut_body_over_a_socket_ends_in_the_middle(service: DicomService, port: int, chunked: bool) -> None:
    service.trouble.next(faults.cut_body(chunked=chunked))
    head, _, body = ask(port).partition(b'\r\n\r\n')
    assert b' 200 OK' in head and (b'content-length' in head.lower()) is not chunked
    assert body and not body.endswith(b'0\r\n\r\n') and body.count(b'"sequence"') < 5


def test_hang_over_a_socket_ends_after_its_time(service: DicomService, port: int) -> None:
    service.trouble.next(faults.hang(0.2))
    assert ask(port) == b''


def test_hang_over_a_socket_is_released(service: DicomService, port: int) -> None:
    is_asked = threading.Event()
    service.trouble.when(lambda request: is_asked.set() is None, faults.hang(3600))
    with ThreadPoolExecutor(1) as client:
        answer = client.submit(ask, port)
        assert is_asked.wait(60)
        service.trouble.release()
        assert answer.result() == b''


def test_latency_goes_by_before_an_answer(service: DicomService, port: int) -> None:
    slept: list[tuple[float, int]] = []

    async def sleep(seconds: float) -> None:
        slept.append((seconds, len(asked)))

    asked: list[Request] = []
    service.trouble.when(lambda request: asked.append(request) is not None, faults.cut())
    service.latency_seconds, service.sleep = 0.2, sleep
    assert b' 200 OK' in ask(port)
    assert (slept, len(asked)) == ([(0.2, 0)], 1)


def test_answers_over_a_socket_have_one_date_and_no_body_at_204(service: DicomService, port: int) -> None:
    service.store.restore(0)
    answer = ask(port, '/v2/changefeed/latest').lower()
    assert b' 204 ' in answer and answer.endswith(b'\r\n\r\n') and answer.count(b'\r\ndate:') == 1


@pytest.mark.parametrize(
    'fault',
    [faults.cut(), faults.cut_body(), faults.cut_body(chunked=True), faults.hang(0.1)],
    ids=['cut', 'cut body', 'cut chunked body', 'hang'],
)
def test_broken_connections_reach_the_client_through_proxy_and_tls(
    emulator: Emulator, client: requests.Session, fault: Fault
) -> None:
    emulator.service.trouble.next(fault)
    with pytest.raises(requests.RequestException):
        client.get(emulator.service_url + '/health/check', timeout=60)
    assert client.get(emulator.service_url + '/health/check', timeout=60).status_code == 200


def test_sign_in_meets_trouble_of_its_own(emulator: Emulator, client: requests.Session) -> None:
    endpoint = emulator.managed_identity_environment['IDENTITY_ENDPOINT']
    emulator.sign_in_trouble.next(faults.status(503), times=2)
    emulator.sign_in_trouble.next(faults.web_page(), times=2)
    assert [client.get(url).status_code for url in (OPENID, endpoint)] == [503, 503]
    assert all('<html>' in client.get(url).text for url in (OPENID, endpoint))
    emulator.sign_in_trouble.next(faults.cut())
    with pytest.raises(requests.ConnectionError):
        client.get(OPENID)
    assert client.get(OPENID).json()['token_endpoint'] and client.get(endpoint).status_code == 401


def test_sign_in_hangs_until_it_is_released(emulator: Emulator, client: requests.Session) -> None:
    emulator.sign_in_trouble.next(faults.hang())
    with pytest.raises(requests.Timeout):
        client.get(OPENID, timeout=0.2)
    emulator.sign_in_trouble.clear()
    assert client.get(OPENID).status_code == 200


def test_date_is_as_far_ahead_as_it_is_told(service: DicomService) -> None:
    served = [parsedate_to_datetime(service.respond(LIST).headers['Date'])]
    service.date_ahead_seconds = 7200
    served.append(parsedate_to_datetime(service.respond(LIST).headers['Date']))
    assert (served[1] - served[0]).total_seconds() // 60 == 120
