"""A service that means no good can end a command, with a clear error; nothing more."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from azure.cli.core.azclierror import AzCLIError

from azext_dicomtoken._arm import _get as ask_resource_manager
from azext_dicomtoken._arm import _service_of as service_of
from dicomfeed.transport import HttpTransport
from tests.az.conftest import Az, Outcome
from tests.az.identity_endpoint import IdentityEndpoint
from tests.security.conftest import TOKEN, Answer, holds, hostile, own_server

pytestmark = pytest.mark.usefixtures('identity')

ESCAPES = '\x1b[2J\x1b]0;title\x07\x9b31m\u202e\r'
CONTROLS = set('\x1b\x07\x9b\u202e\r')
YEAR = str(365 * 86_400)
EVENT: dict[str, Any] = {
    'sequence': 1,
    'timestamp': '2026-01-31T09:30:00Z',
    'action': 'Create',
    'state': 'Current',
    'studyInstanceUid': '1.2',
    'seriesInstanceUid': '1.3',
    'sopInstanceUid': '1.4',
}


def answer(status: str = '200 OK', body: bytes = b'', **headers: str) -> bytes:
    lines = [
        f'HTTP/1.1 {status}',
        f'Content-Length: {len(body)}',
        'Connection: close',
        *(f'{name.replace("_", "-")}: {value}' for name, value in headers.items()),
    ]
    return '\r\n'.join(lines).encode('latin-1') + b'\r\n\r\n' + body


def bomb(levels: int) -> bytes:
    data = bytes(2**20)
    for _ in range(levels):
        data = gzip.compress(data)
    return data


def challenge(claims: bytes) -> bytes:
    return answer('401 Unauthorized', WWW_Authenticate=f'Bearer claims="{base64.b64encode(claims).decode()}"')


ANSWERS = {
    'nothing': b'',
    'no HTTP': b'220 mail.example ESMTP\r\n',
    'endless head line': b'HTTP/1.1 200 OK\r\nX: ' + b'x' * 200_000,
    'many headers': b'HTTP/1.1 200 OK\r\n' + b'X: x\r\n' * 500 + b'\r\n',
    'negative length': b'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}',
    'chunk of letters': b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n',
    'cut chunk': b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{}\r\n',
    'odd status': b'HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n',
    'a million brackets': answer(body=b'[' * 1_000_000),
    'a million braces': answer(body=b'{"a":' * 1_000_000),
    'long number': answer(body=b'{"sequence":' + b'9' * 100_000 + b'}'),
    'not UTF-8': answer(body=b'\xff\xfe{}'),
    'not JSON': answer(body=ESCAPES.encode()),
    'infinity': answer(body=b'{"sequence":Infinity}'),
    'other type': answer(body=b'["x"]'),
    'no gzip': answer(body=b'x', Content_Encoding='gzip'),
    'gzip bomb': answer(body=bomb(1), Content_Encoding='gzip'),
    'gzip in gzip': answer(body=bomb(2), Content_Encoding='gzip, gzip'),
    'many encodings': answer(body=b'x', Content_Encoding=', '.join(['gzip'] * 50)),
    'redirect to a file': answer('302 Found', Location='file:///etc/passwd'),
    'redirect in a circle': answer('307 Temporary Redirect', Location='/v1/changefeed/latest'),
    'retry after a year': answer('429 Too Many Requests', Retry_After=YEAR),
    'retry after too many digits': answer('503 Unavailable', Retry_After='9' * 5_000),
    'retry on an odd date': answer('503 Unavailable', Retry_After='Fri, 99 Feb 99999 99:99:99 GMT', Date='x'),
    'words with escapes': answer('400 Bad Request', f'offset {ESCAPES}'.encode(), x_ms_request_id='\x1b[2J'),
    'many words': answer('400 Bad Request', b'offset' * 1_000_000),
    'challenge that is no JSON': challenge(b'{'),
    'challenge that is a list': challenge(b'[1]'),
    'challenge that is deep': challenge(b'[' * 20_000),
    'challenge with a number': challenge(b'{"access_token":1}'),
    'challenge with escapes': answer(
        '401 Unauthorized',
        WWW_Authenticate=('Bearer authorization_uri="https://x/\x1b[2J", resource_id="api://\x1b]0;x\x07;id"'),
    ),
}


def check(outcome: Outcome, *, code: int = 1) -> None:
    """It ended with a clear error that a terminal can bear."""
    assert outcome.code == code, outcome.stderr
    assert outcome.stderr.startswith(('ERROR: ', 'WARNING: ', 'The service says: ', 'Request ID: ')), outcome.stderr
    assert 'ERROR: ' in outcome.stderr and 'Traceback' not in outcome.stderr and 'open an issue' not in outcome.stderr
    both = outcome.stdout + outcome.stderr
    assert not set(both) & CONTROLS and not holds(both, TOKEN)
    assert len(both) < 10_000


@pytest.mark.parametrize('hostile_answer', ANSWERS.values(), ids=ANSWERS)
def test_answer_ends_the_command_with_a_clear_error(hostile_answer: bytes, az: Az) -> None:
    with hostile(hostile_answer) as (url, requests):
        check(az('dicom', 'check-access', *own_server(url)))
    assert 1 <= len(requests) <= 2  # nothing is waited for, and asked again


@pytest.mark.parametrize(
    'name',
    [
        'redirect to a file',
        'redirect in a circle',
        'retry after a year',
        'words with escapes',
        'challenge that is no JSON',
    ],
)
@pytest.mark.parametrize('options', [(), ('--stream',), ('--count-by', 'hour'), ('--since', '1d')], ids=' '.join)
def test_answer_ends_reading_at_once(name: str, options: tuple[str, ...], az: Az) -> None:
    with hostile(ANSWERS[name]) as (url, requests):
        check(az('dicom', 'changefeed', *own_server(url), *options))
    assert 1 <= len(requests) <= 2


@pytest.mark.parametrize('hostile_answer', ANSWERS.values(), ids=ANSWERS)
def test_resource_manager_can_at_worst_end_the_command(
    hostile_answer: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with hostile(hostile_answer) as (url, requests), pytest.raises(AzCLIError) as caught:
        service_of(
            ask_resource_manager(HttpTransport(largest_answer_bytes=2**20), f'{url}/subscriptions/s', TOKEN), 'id'
        )
    assert caught.value.recommendations and not holds(str(caught.value), TOKEN)
    assert len(requests) == 1 and not set(capsys.readouterr().err) & CONTROLS


@pytest.mark.parametrize('code', [301, 302, 303, 307, 308])
def test_redirect_takes_no_token_anywhere(code: int, az: Az) -> None:
    with hostile(answer(body=json.dumps(EVENT).encode())) as (elsewhere, requests_elsewhere):
        redirect = answer(f'{code} Elsewhere', Location=f'{elsewhere}/v1/changefeed/latest')
        with hostile(redirect) as (url, requests):
            check(az('dicom', 'changefeed', '--latest', *own_server(url)))
    assert (len(requests), requests_elsewhere) == (1, [])


def feed_with(**values: Any) -> Answer:
    """A feed of one event with these values."""
    event = {**EVENT, **values}

    def answer_to(path: str) -> bytes:
        return answer(body=json.dumps(event if '/latest' in path else [event]).encode())

    return answer_to


@pytest.mark.parametrize('name', ['action', 'state', 'studyInstanceUid', 'seriesInstanceUid', 'sopInstanceUid'])
@pytest.mark.parametrize('options', [(), ('--latest',), ('--count-by', 'study')], ids=' '.join)
def test_table_shows_a_terminal_no_escapes(name: str, options: tuple[str, ...], az: Az) -> None:
    with hostile(feed_with(**{name: f'1.2{ESCAPES}'})) as (url, _):
        outcome = az('dicom', 'changefeed', '-o', 'table', *own_server(url), *options)
    assert outcome.code == 0 and '1.2' in outcome.stdout
    assert not set(outcome.stdout + outcome.stderr) & CONTROLS


BARE_TEXTS = ['-o tsv', '-o tsv --query [].sopInstanceUid', '-o table --query [].{uid:sopInstanceUid}']


@pytest.mark.parametrize('options', BARE_TEXTS)
def test_bare_texts_show_a_terminal_no_escapes(options: str, az: Az) -> None:
    with hostile(feed_with(sopInstanceUid=f'1.2{ESCAPES}')) as (url, _):
        outcome = az('dicom', 'changefeed', *options.split(), *own_server(url), to_terminal=True)
    assert outcome.code == 0 and '1.2\\x1b[2J' in outcome.stdout
    assert not set(outcome.stdout + outcome.stderr) & CONTROLS


def test_bare_texts_go_through_a_pipe_as_they_are(az: Az) -> None:
    with hostile(feed_with(sopInstanceUid='1.2\x9b')) as (url, _):
        outcome = az('dicom', 'changefeed', '-o', 'tsv', '--query', '[].sopInstanceUid', *own_server(url))
    assert outcome.stdout.strip('\r\n') == '1.2\x9b'


@pytest.mark.parametrize(
    'value', [None, 1e300, [[1]], {'a': 1}, 'x' * 100_000], ids=['null', 'number', 'list', 'object', 'long']
)
@pytest.mark.parametrize(
    'options',
    [
        ('-o', 'table'),
        ('--count-by', 'study', '-o', 'table'),
        ('--action', 'Create', '--study-instance-uid', '1.2'),
        ('--stream',),
    ],
    ids=' '.join,
)
def test_value_of_another_type_is_borne(value: Any, options: tuple[str, ...], az: Az) -> None:
    with hostile(feed_with(action=value, studyInstanceUid=value)) as (url, _):
        outcome = az('dicom', 'changefeed', *own_server(url), *options)
    assert (outcome.code, outcome.stderr) == (0, '')


def test_token_goes_once_to_each_request_and_nowhere_into_the_url(az: Az, identity: IdentityEndpoint) -> None:
    with hostile(feed_with()) as (url, requests):
        assert az('dicom', 'changefeed', *own_server(url)).code == 0
    for request in requests:
        line, *headers = request.splitlines()
        assert not holds(line, identity.token)
        assert [header.partition(':')[0] for header in headers if holds(header, identity.token)] == ['Authorization']
