"""az dicom proxy as a person starts it: what it prints, what it refuses, how it ends, and that nothing leaks."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.az.conftest import Az
from tests.az.identity_endpoint import IdentityEndpoint
from tests.az.proxy.conftest import eventually, read_all, status_of
from tests.az.proxy.service import ScriptedService, Talk
from tests.az.test_imports import loaded_by

TOKEN = 'eyJ0.the-token.of-this-test'
SECONDS = 60


class Run:
    """The command in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def base(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Exit code, and what it said on standard error."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, said


class Starter:
    def __init__(self, command: list[str], service: ScriptedService) -> None:
        self._command = [*command, 'dicom', 'proxy', '--service-url', service.url, '--resource', 'api://private-dicom']

    @contextmanager
    def running(self, *options: str) -> Iterator[Run]:
        process = subprocess.Popen(
            [*self._command, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield Run(process)
        finally:
            process.kill()
            process.communicate(timeout=SECONDS)


@pytest.fixture
def starter(az_process: list[str], service: ScriptedService, identity: IdentityEndpoint) -> Starter:
    identity.token = TOKEN
    return Starter(az_process, service)


def get(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=SECONDS) as answer:
        return bytes(answer.read())


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=['INT', 'TERM'])
def test_proxy_prints_its_address_serves_and_ends_with_0(starter: Starter, number: signal.Signals) -> None:
    with starter.running() as run:
        base = run.base()
        assert re.fullmatch(r'http://127\.0\.0\.1:\d+/[0-9a-f]{32}', base)
        assert get(f'{base}/v2/studies') == b'[]'
        assert run.end(number) == (0, '')


def test_typed_json_is_an_object(starter: Starter) -> None:
    with starter.running('-o', 'json') as run:
        assert set(json.loads(run.base())) == {'url'}


def test_url_file_is_written_in_place_of_standard_output(starter: Starter, tmp_path: Path) -> None:
    path = tmp_path / 'proxy.url'
    with starter.running('--url-file', str(path)) as run:
        assert eventually(path.exists)
        assert get(path.read_text().strip() + '/v2/studies') == b'[]'
        run.process.send_signal(signal.SIGTERM)
        assert run.process.communicate(timeout=SECONDS) == ('', '') and not path.exists()


def test_kept_secret_and_port_give_the_same_address_again(starter: Starter, tmp_path: Path) -> None:
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    options = ('--port', str(port), '--secret-file', str(tmp_path / 'proxy.secret'))
    bases = []
    for _ in range(2):
        with starter.running(*options) as run:
            bases.append(run.base())
            get(f'{bases[-1]}/v2/studies')
            run.end()
    assert bases[0] == bases[1] == f'http://127.0.0.1:{port}/{(tmp_path / "proxy.secret").read_text().strip()}'


def test_second_signal_ends_at_once(starter: Starter, service: ScriptedService) -> None:
    """The first gives a request ten seconds; one that follows within a second is the same wish."""
    waiting = threading.Event()
    service.script = lambda talk: waiting.wait(SECONDS) and None
    with starter.running() as run:
        port = int(run.base().split(':')[2].split('/')[0])
        with socket.create_connection(('127.0.0.1', port), timeout=SECONDS) as sock:
            sock.sendall(b'GET / HTTP/1.1\r\n')
            run.process.send_signal(signal.SIGINT)
            assert eventually(lambda: _is_refused(port))
            while run.process.poll() is None:
                run.process.send_signal(signal.SIGINT)
                try:
                    run.process.wait(timeout=0.3)
                except subprocess.TimeoutExpired:
                    pass
        waiting.set()
    assert run.process.returncode == 0


def _is_refused(port: int) -> bool:
    try:
        socket.create_connection(('127.0.0.1', port), timeout=SECONDS).close()
    except ConnectionRefusedError:
        return True
    return False


def test_port_in_use_is_named(az: Az, service: ScriptedService, identity: IdentityEndpoint) -> None:
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        where = ('--service-url', service.url, '--resource', 'api://private-dicom')
        outcome = az('dicom', 'proxy', *where, '--port', str(port))
    assert outcome.code == 1 and outcome.stderr.startswith(f'ERROR: Port {port} is in use.\n') and outcome.stdout == ''


def test_signed_out_is_said_before_anything_listens(az: Az, service: ScriptedService, tmp_path: Path) -> None:
    url_file = tmp_path / 'proxy.url'
    where = ('--service-url', service.url, '--resource', 'api://private-dicom')
    outcome = az('dicom', 'proxy', *where, '--url-file', str(url_file))
    assert outcome.code == 1 and 'az login' in outcome.stderr and not url_file.exists()


REFUSED = {
    'no service': ((), 'No DICOM service'),
    'port': (('--port', '65536'), '--port is out of bounds'),
    'negative port': (('--port', '-1'), '--port is out of bounds'),
    'secret without a port': (('--secret-file', 'x'), '--secret-file requires --port'),
    'null': (('--allow-origin', 'null'), '--allow-origin is not an origin'),
    'any origin': (('--allow-origin', '*'), '--allow-origin is not an origin'),
    'origin with a slash': (('--allow-origin', 'http://localhost:3000/'), '--allow-origin is not an origin'),
    'second origin': (('--allow-origin', 'http://a', 'b'), '--allow-origin is not an origin'),
    'host with a port': (('--allow-host', 'a:80'), '--allow-host is not a host name'),
    'empty host': (('--allow-host', ''), '--allow-host is empty'),
    'short idle timeout': (('--idle-timeout', '59s'), '--idle-timeout is out of bounds'),
    'long idle timeout': (('--idle-timeout', '31d'), '--idle-timeout is out of bounds'),
    'no duration': (('--idle-timeout', 'soon'), '--idle-timeout is not a duration'),
    'query': (('--query', 'url'), '--query has no effect with az dicom proxy.\nLeave out --query.'),
    'table': (('-o', 'table'), '-o table has no effect with az dicom proxy.\nLeave out -o table.'),
    'query with a file': (('--query', 'url', '--url-file', 'x'), '--query'),
}


@pytest.mark.parametrize(('options', 'said'), REFUSED.values(), ids=REFUSED)
def test_value_is_refused_before_anything_is_sent(az: Az, options: tuple[str, ...], said: str) -> None:
    outcome = az('dicom', 'proxy', *options)
    assert outcome.code == 1 and said in outcome.stderr and outcome.stdout == ''


def test_group_is_one_of_those_that_there_are(az: Az) -> None:
    assert az('dicom', 'proxy', '--allow', 'everything').code == 2


def test_trouble_is_said_once_with_the_command_that_finds_it(
    starter: Starter, service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('AZURE_DEFAULTS_GROUP', 'imaging')  # which nobody typed, and a URL does not go with
    service.script = lambda talk: talk.reply(b'', '403 Forbidden')
    with starter.running() as run:
        base = run.base()
        for _ in range(2):
            with pytest.raises(urllib.error.HTTPError):
                get(f'{base}/v2/studies')
        _, said = run.end()
    assert said.count('ERROR') == 1 and 'status 403' in said
    assert said.splitlines()[-1] == f'az dicom check-access --service-url {service.url} --resource api://private-dicom'


def test_repeated_groups_add_up(starter: Starter) -> None:
    with starter.running('--allow', 'store', '--allow', 'delete', 'tags') as run:
        base = run.base()
        port = int(base.split(':')[2].split('/')[0])
        with socket.create_connection(('127.0.0.1', port), timeout=SECONDS) as sock:
            path = base.partition(f':{port}')[2]
            for target, method in (('/studies', 'POST'), ('/studies/1', 'DELETE'), ('/extendedquerytags', 'POST')):
                sock.sendall(
                    f'{method} {path}/v2{target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n'.encode()
                )
            sock.sendall(f'POST {path}/v2/export HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'.encode())
            answers = read_all(sock)
    assert [answers.count(b'HTTP/1.1 200 '), answers.count(b'HTTP/1.1 405 ')] == [3, 1]


@pytest.mark.parametrize('level', ['--verbose', '--debug'])
def test_log_holds_nothing_of_a_request(starter: Starter, service: ScriptedService, level: str) -> None:
    def script(talk: Talk) -> None:
        talk.reply(b'{"DOE": 1}', '401 Unauthorized', WWW_Authenticate='Bearer realm="SMITH"')

    service.script = script
    with starter.running(level) as run:
        base = run.base()
        port, secret = base.removeprefix('http://127.0.0.1:').split('/')
        with socket.create_connection(('127.0.0.1', int(port)), timeout=SECONDS) as sock:
            sock.sendall(
                f'GET /{secret}/v2/studies/1.2.840.99/series?PatientName=MILLER HTTP/1.1\r\nHost: localhost\r\n'
                'X-Header: JONES\r\nConnection: close\r\n\r\n'.encode()
            )
            answer = read_all(sock)
        code, said = run.end()
    assert status_of(answer) == 401 and code == 0 and 'GET v2 series 401, 10 bytes, ' in said
    leaked = [text for text in ('1.2.840.99', 'MILLER', 'JONES', 'SMITH', 'DOE', secret, TOKEN) if text in said]
    assert leaked == []


def test_token_and_secret_are_in_no_command_line(starter: Starter) -> None:
    with starter.running() as run:
        secret = run.base().rpartition('/')[2]
        shown = Path(f'/proc/{run.process.pid}/cmdline')
        if not shown.exists():
            pytest.skip('needs /proc')
        assert secret not in shown.read_text() and TOKEN not in shown.read_text()


def test_help_loads_neither_the_login_nor_what_serves(identity: IdentityEndpoint) -> None:
    command = ('dicom', 'proxy', '-h')
    loaded_by(*command, environment=identity.environment)  # az writes its index of commands
    loaded = loaded_by(*command, environment=identity.environment)
    assert 'azext_dicomtoken.proxy.command' in loaded
    heavy = {'msal', 'requests', 'dicomfeed', 'azext_dicomtoken._login', 'azext_dicomtoken.vendored_sdks'}
    assert not loaded & heavy


def test_configured_output_format_changes_nothing(starter: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, 'AZURE_CORE_OUTPUT', 'table')
    with starter.running() as run:
        assert run.base().startswith('http://127.0.0.1:')
