"""az in this process, signed in with a token that can be told anywhere, and services that mean no good."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.az.conftest import Az, run_az
from tests.az.identity_endpoint import SUBSCRIPTION, TENANT, IdentityEndpoint, write_login
from tests.az.test_claims import a_token
from tests.emulator.cloud import Emulator
from tests.emulator.identities import HOME_TENANT, IMAGING_SUBSCRIPTION
from tests.emulator.sample import sample_feed

TOKEN = a_token({'oid': '00000000-0000-4000-8000-0000000005ec', 'upn': 'secret-of-this-token'})

Answer = bytes | Callable[[str], bytes]


@pytest.fixture
def az() -> Az:
    return run_az


@pytest.fixture(scope='session')
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        running.service.store.load(sample_feed(300))
        yield running


@pytest.fixture
def config_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What az keeps, for this test alone."""
    folder = tmp_path / 'azure'
    folder.mkdir()
    monkeypatch.setenv('AZURE_CONFIG_DIR', str(folder))
    return folder


@pytest.fixture
def in_the_cloud(emulator: Emulator, config_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """az is signed in to the emulated cloud as the managed identity, which may read."""
    write_login(config_folder)
    profile = config_folder / 'azureProfile.json'
    profile.write_text(
        profile.read_text('utf-8').replace(SUBSCRIPTION, IMAGING_SUBSCRIPTION.id).replace(TENANT, HOME_TENANT.id),
        'utf-8',
    )
    for name, value in emulator.managed_identity_environment.items():
        monkeypatch.setenv(name, value)
    return emulator


@pytest.fixture
def identity(config_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[IdentityEndpoint]:
    """az is signed in with an identity whose endpoint hands out `TOKEN`."""
    write_login(config_folder)
    with IdentityEndpoint().serving() as endpoint:
        endpoint.token = TOKEN
        for name, value in endpoint.environment.items():
            monkeypatch.setenv(name, value)
        yield endpoint


@contextmanager
def hostile(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """The URL of a server that answers each request so, and the requests that came."""
    requests: list[str] = []
    listener = socket.create_server(('127.0.0.1', 0))
    thread = threading.Thread(target=_accept, args=(listener, answer, requests), daemon=True)
    thread.start()
    try:
        yield f'http://127.0.0.1:{listener.getsockname()[1]}', requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def own_server(url: str) -> tuple[str, ...]:
    return '--service-url', url, '--resource', 'api://own'


def holds(text: str, token: str) -> bool:
    """Whether the text says a part of the token that is secret or the caller's own, however it may be wrapped."""
    plain = re.sub(r'\s', '', text)
    return any(part in plain for part in token.split('.')[1:])


def _accept(listener: socket.socket, answer: Answer, requests: list[str]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # closed
            return
        threading.Thread(target=_serve, args=(connection, answer, requests), daemon=True).start()


def _serve(connection: socket.socket, answer: Answer, requests: list[str]) -> None:
    with connection:
        try:
            head = b''
            while b'\r\n\r\n' not in head and (data := connection.recv(65_536)):
                head += data
            if head:
                requests.append(head.decode('latin-1'))
                path = head.split(b' ', 2)[1].decode('latin-1')
                connection.sendall(answer if isinstance(answer, bytes) else answer(path))
        except OSError:  # the client has gone
            pass
