"""Where tokens come from: the file, and azure-identity with credentials that behave as its own do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

from dicomfeed.errors import SignInUnavailable
from dicomfeed.spark.tokens import AzureIdentity, NoToken, TokenFile
from tests.emulator.cloud import Emulator
from tests.emulator.identities import READER_APPLICATION

TOKEN = AccessToken('secret', 1_800_000_000)


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


def source(*answers: Any) -> tuple[AzureIdentity, list[Credential]]:
    made: list[Credential] = []

    def make() -> Credential:
        made.append(Credential([*answers]))
        return made[-1]

    return AzureIdentity(make, 'https://dicom.example', advice='Sign in.'), made


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
        (ClientAuthenticationError('AADSTS7000215: secret-text'), NoToken, r'\(AADSTS7000215\)'),
        (ClientAuthenticationError('secret-text'), NoToken, r'got no token on this node\. Sign in\.'),
        (ServiceRequestError('secret-text'), SignInUnavailable, 'not reached'),
    ],
    ids=['refused', 'no code', 'no connection'],
)
def test_failure_says_nothing_of_what_was_said(error: Exception, expected: type[Exception], sentence: str) -> None:
    tokens, _ = source(error)
    with pytest.raises(expected, match=sentence) as raised:
        tokens.get_token()
    assert 'secret-text' not in str(raised.value)


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
    ],
    ids=['missing', 'empty', 'opaque', 'no JSON', 'no text'],
)
def test_token_file_without_a_token_is_refused(write: Callable[[Path], object], sentence: str, tmp_path: Path) -> None:
    write(tmp_path / 'secret')
    with pytest.raises(NoToken, match=sentence) as raised:
        TokenFile(str(tmp_path / 'secret')).get_token()
    assert 'secret' not in str(raised.value)
