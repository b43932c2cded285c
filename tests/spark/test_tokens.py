"""Where tokens come from: the file, and azure-identity with credentials that behave as its own do."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.identity import CredentialUnavailableError

from dicomfeed.errors import SignInUnavailable
from dicomfeed.spark.options import parse_options
from dicomfeed.spark.tokens import AzureIdentity, NoToken, TokenFile, token_source
from tests.emulator.cloud import Emulator
from tests.emulator.identities import READER_APPLICATION

URL = 'https://contoso-imaging.dicom.azurehealthcareapis.com'
NOW = 1_700_000_000.0
TOKEN = AccessToken('secret', int(NOW) + 3_600)


class Credential:
    """Answers in turn, with a token or an exception."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str | None]] = []

    def get_token(self, scope: str, *, claims: str | None = None) -> AccessToken:
        self.asked.append((scope, claims))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def source(*answers: Any, times: Iterable[float] = repeat(NOW)) -> tuple[AzureIdentity, list[Credential]]:
    made: list[Credential] = []

    def make() -> Credential:
        made.append(Credential([*answers]))
        return made[-1]

    now = iter(times)
    return AzureIdentity(make, 'https://dicom.example', advice='Sign in.', now=lambda: next(now)), made


def test_identity_is_asked_for_the_audience_and_a_challenge_is_passed_on() -> None:
    tokens, made = source(TOKEN, TOKEN)
    assert tokens.get_token() == tokens.get_token(claims='{"a":1}') == TOKEN
    scope = 'https://dicom.example/.default'
    assert [credential.asked for credential in made] == [[(scope, None), (scope, '{"a":1}')]]


def test_forced_renewal_is_of_a_credential_that_knows_no_token() -> None:
    tokens, made = source(TOKEN)
    tokens.get_token()
    tokens.get_token(force_refresh=True)
    assert len(made) == 2


@pytest.mark.parametrize(
    ('error', 'expected', 'sentence'),
    [
        (ClientAuthenticationError('AADSTS7000215: secret-text'), NoToken, r'\(AADSTS7000215\)\. Sign in\.'),
        (CredentialUnavailableError('secret-text'), NoToken, r'got no token on this node\. Sign in\.'),
        (ClientAuthenticationError('secret-text'), SignInUnavailable, r'got no token on this node\. Sign in\.'),
        (ClientAuthenticationError('AADSTS90033: secret-text'), SignInUnavailable, r'\(AADSTS90033\)'),
        (ServiceRequestError('secret-text'), SignInUnavailable, 'not reached'),
    ],
    ids=['refused', 'none there', 'no code', 'trouble of Entra', 'no connection'],
)
def test_failure_says_nothing_of_what_was_said(error: Exception, expected: type[Exception], sentence: str) -> None:
    tokens, _ = source(error)
    with pytest.raises(expected, match=sentence) as raised:
        tokens.get_token()
    assert 'secret-text' not in str(raised.value)


def test_token_is_kept_until_it_is_due() -> None:
    later = AccessToken('later', int(NOW) + 4_000)
    tokens, made = source(AccessToken('first', int(NOW) + 301), later, times=[NOW, NOW + 2, NOW + 3])
    assert [tokens.get_token().token for _ in range(4)] == ['first', 'first', 'later', 'later']
    assert len(made) == 1 and len(made[0].asked) == 2


def test_kept_token_lasts_while_the_sign_in_is_away() -> None:
    first, away = AccessToken('first', int(NOW) + 400), ServiceRequestError('away')
    tokens, _ = source(first, away, away, times=[NOW + 200, NOW + 401])
    assert [tokens.get_token().token for _ in range(2)] == ['first', 'first']
    with pytest.raises(SignInUnavailable) as raised:
        tokens.get_token()
    assert raised.value.is_reached


def test_tasks_of_a_process_share_a_source() -> None:
    options = parse_options({'serviceUrl': URL, 'credential': 'tokenFile', 'tokenFile': '/tokens/dicom'})
    assert token_source(options) is token_source(replace(options, range_size=100))
    assert token_source(options) is not token_source(replace(options, token_file='/tokens/other'))


def test_token_file_that_is_written_anew_is_read_again(emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / 'token'
    path.write_text('')
    text = emulator.entra.issue(READER_APPLICATION)
    tokens = TokenFile(str(path), sleep=lambda seconds: path.write_text(text) and None)
    assert tokens.get_token().token == text


def test_token_file_that_is_lost_later_may_come_back(emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / 'token'
    path.write_text(emulator.entra.issue(READER_APPLICATION))
    tokens = TokenFile(str(path), sleep=lambda seconds: None)
    tokens.get_token()
    path.write_text('half')
    with pytest.raises(SignInUnavailable, match='does not hold an access token') as raised:
        tokens.get_token()
    assert raised.value.is_reached


def test_token_file_is_read_each_time_and_says_when_it_expires(emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / 'token'
    tokens = TokenFile(str(path))
    for _ in range(2):
        text = emulator.entra.issue(READER_APPLICATION)
        path.write_text(f'{text}\n')
        found = tokens.get_token()
        assert (found.token, found.expires_on > 0) == (text, True)
        assert text not in repr(found)


@pytest.mark.parametrize(
    ('write', 'sentence'),
    [
        (lambda path: None, 'cannot be read on this node'),
        (lambda path: path.write_text(''), 'does not hold an access token'),
        (lambda path: path.write_text('secret'), 'does not hold an access token'),
        (lambda path: path.write_text('a.secret.c'), 'does not hold an access token'),
        (lambda path: path.write_bytes(b'\xff\xfe'), 'does not hold an access token'),
        (lambda path: path.write_bytes(b'a.%s.c' % b64encode(b'{"exp": 1%s}' % (b'0' * 400))), 'does not hold'),
        (lambda path: path.write_bytes(b'a.%s.c' % b64encode(b'[' * 30_000)), 'does not hold'),
    ],
    ids=['missing', 'empty', 'opaque', 'no JSON', 'no text', 'endless expiry', 'nested without end'],
)
def test_token_file_without_a_token_is_refused(write: Callable[[Path], object], sentence: str, tmp_path: Path) -> None:
    write(tmp_path / 'secret')
    with pytest.raises(NoToken, match=sentence) as raised:
        TokenFile(str(tmp_path / 'secret'), sleep=lambda seconds: None).get_token()
    assert 'secret' not in str(raised.value)
