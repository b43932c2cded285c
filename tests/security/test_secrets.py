"""A token is said nowhere but where it was asked for: not in logs, telemetry, tracebacks, children, nor files."""

from __future__ import annotations

import ast
import io
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.cli.core import get_default_cli, telemetry

from azext_dicomtoken._login import IssuedToken
from azext_dicomtoken.commands import raise_az_error
from dicomfeed.credential import Credential
from dicomfeed.errors import HostUnreachable
from dicomfeed.times import Clock
from dicomfeed.transport import HttpTransport
from tests.az.conftest import Az
from tests.az.identity_endpoint import IdentityEndpoint
from tests.az.test_imports import CLI_LAYER, READER, imported_by
from tests.docs.commands import options
from tests.security.conftest import TOKEN, holds, hostile, own_server
from tests.security.test_hostile_service import ANSWERS, feed_with

ISSUE = ('dicom', 'token', 'issue')
COMMANDS = {
    'issue': (*ISSUE, '--query', 'expires_on'),
    'issue into a file': (*ISSUE, '--output-file', 'token'),
    'issue into a file that exists': (*ISSUE, '--output-file', 'present'),
    'issue into a folder that is missing': (*ISSUE, '--output-file', 'missing/token'),
    'issue for a short while': (*ISSUE, '--min-validity', '9d', '--query', 'expires_on'),
    'claims of no token': ('dicom', 'token', 'show-claims', '--token-file', 'no-token'),
    'check of nobody': ('dicom', 'check-access', *own_server('http://127.0.0.1:1')),
}
REFUSALS = ['redirect to a file', 'words with escapes', 'challenge that is no JSON', 'retry after a year']


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, identity: IdentityEndpoint, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / 'present').touch()
    (tmp_path / 'no-token').write_text(TOKEN.replace('.', '..'))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope='module')
def children() -> Iterator[list[str]]:
    """What this process starts, while a test has the list watch."""
    started = []
    is_watching = True

    def note(event: str, arguments: Any) -> None:
        if is_watching and event in ('subprocess.Popen', 'os.exec', 'os.fork', 'os.posix_spawn', 'os.system'):
            started.append(f'{event} {arguments}')

    sys.addaudithook(note)  # which nothing takes away again
    yield started
    is_watching = False


@contextmanager
def telemetry_on() -> Iterator[list[str]]:
    """What az would send: the payload, once the context is left. Nothing is sent."""
    telemetry._session.__init__()
    payloads: list[str] = []
    yield payloads
    payloads.append(telemetry._session.generate_payload())


@pytest.mark.parametrize('command', COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize('debug', [(), ('--debug',)], ids=['', 'debug'])
def test_command_says_no_token(debug: tuple[str, ...], command: tuple[str, ...], az: Az, children: list[str]) -> None:
    before = len(children)
    with telemetry_on() as payloads:
        outcome = az(*command, *debug)
        assert children[before:] == []
    assert not holds(outcome.stdout + outcome.stderr, TOKEN)
    assert 'dicom' in payloads[0] and not holds(payloads[0], TOKEN)


@pytest.mark.parametrize('name', ['an event', *REFUSALS])
@pytest.mark.parametrize(
    'how',
    [('--latest',), ('--stream',), ('--output-file', 'feed', '--checkpoint', 'check')],
    ids=['latest', 'stream', 'file'],
)
def test_reading_says_no_token_and_its_telemetry_nothing_of_a_patient(
    name: str, how: tuple[str, ...], az: Az, folder: Path, children: list[str]
) -> None:
    uid = '1.2.826.0.1.3680043.8.498.424242'
    before = len(children)
    with (
        hostile(feed_with(sopInstanceUid=uid) if name == 'an event' else ANSWERS[name]) as (url, requests),
        telemetry_on() as payloads,
    ):
        outcome = az('dicom', 'changefeed', '--debug', *own_server(url), *how)
        assert children[before:] == []
    assert holds(requests[0], TOKEN)
    written = [
        path.read_text('utf-8', 'replace') for path in folder.rglob('*') if path.is_file() and path.name != 'no-token'
    ]
    assert not any(holds(text, TOKEN) for text in (outcome.stdout, outcome.stderr, *payloads, *written))
    assert (
        not any(text in outcome.stderr.replace('\\', '') or text in payloads[0] for text in (uid, 'title'))
        or name == 'words with escapes'
        and 'title' not in payloads[0]
    )


def with_locals(error: BaseException) -> str:
    """A traceback as tools print it that show the values of variables, with the errors that led to it."""
    return ''.join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def raised_by(*command: str) -> BaseException:
    """The error of the command as az's own code has it, when the extension's handler is through with it."""
    cli = get_default_cli()
    caught: list[BaseException] = []
    original = cli.exception_handler

    def note(error: BaseException) -> int:
        caught.append(error)
        return int(original(error))

    cli.exception_handler = note
    cli.invoke(list(command), out_file=io.StringIO())
    return caught[0]


@pytest.mark.parametrize(
    'command',
    [
        (*ISSUE, '--output-file', 'present'),
        (*ISSUE, '--output-file', 'missing/token'),
        ('dicom', 'changefeed', '--latest'),
    ],
    ids=['file exists', 'folder is missing', 'redirect'],
)
def test_traceback_with_locals_shows_no_token(command: tuple[str, ...]) -> None:
    with hostile(ANSWERS['redirect to a file']) as (url, _):
        text = with_locals(raised_by(*command, *own_server(url)))
    assert 'azext_dicomtoken' in text and not holds(text, TOKEN)


def test_unexpected_error_leaves_no_token_in_its_frames() -> None:
    def body() -> None:
        token = TOKEN
        raise LookupError(len(token))

    with pytest.raises(LookupError) as caught:
        try:
            body()
        except LookupError as error:
            raise_az_error(error)
    assert 'in body' in with_locals(caught.value) and not holds(with_locals(caught.value), TOKEN)


class Tokens:
    def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> IssuedToken:
        return IssuedToken(TOKEN, 'Bearer', 2**40, 'tenant', None)


def test_reader_without_az_leaves_no_token_in_its_frames() -> None:
    token = Credential(Tokens(), clock=Clock()).token()
    with pytest.raises(HostUnreachable) as caught:
        HttpTransport().get('http://127.0.0.1:1/v1/changefeed', parameters={}, token=token)
    assert caught.value.__suppress_context__ and not holds(with_locals(caught.value), TOKEN)


def test_value_that_holds_a_token_does_not_show_it() -> None:
    issued = Tokens().get_token()
    assert not holds(f'{issued!r} {issued} {[issued]}', TOKEN)


@pytest.mark.parametrize('path', [*CLI_LAYER, *READER], ids=lambda path: path.stem)
def test_product_starts_no_process_and_sets_no_variable(path: Path) -> None:
    """What is in a child's arguments or environment, others may see."""
    tree = ast.parse(path.read_text('utf-8'))
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not calls & {
        'os.system',
        'os.popen',
        'os.execv',
        'os.execvp',
        'os.fork',
        'os.posix_spawn',
        'os.putenv',
        'os.environ.update',
        'os.environ.setdefault',
    }
    assert {call for call in calls if call.startswith('subprocess.')} <= {'subprocess.list2cmdline'}
    assert not any(
        isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == 'os.environ'
        for node in ast.walk(tree)
    )
    assert not imported_by(path) & {'multiprocessing', 'concurrent.futures.process'}


def test_no_option_takes_a_token() -> None:
    """Its value would be in the process list and in --debug."""
    named = {option for of_command in options().values() for option in of_command if 'token' in option}
    assert named == {'--token-file', '--next-token'}
