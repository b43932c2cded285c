"""Tokens: their claims, and what verification refuses."""

from __future__ import annotations

import json

import jwt
import pytest

from tests.emulator.entra import DICOM_AUDIENCE, Entra
from tests.emulator.identities import (
    FOREIGN_TENANT,
    HOME_TENANT,
    MANAGED_IDENTITY,
    READER_APPLICATION,
    READER_USER,
    Principal,
)
from tests.emulator.journal import Journal
from tests.emulator.tokens import TokenRejected


@pytest.fixture
def entra() -> Entra:
    return Entra(Journal())


def test_application_token_names_its_service_principal(entra: Entra) -> None:
    claims = entra.verify(entra.issue(READER_APPLICATION), audiences=[DICOM_AUDIENCE])
    assert claims['oid'] == READER_APPLICATION.object_ids[HOME_TENANT.id]
    assert claims['iss'] == f'https://sts.windows.net/{HOME_TENANT.id}/'
    assert claims['idtyp'] == 'app'
    assert 'scp' not in claims


def test_user_token_carries_name_and_scope(entra: Entra) -> None:
    claims = entra.verify(entra.issue(READER_USER), audiences=[DICOM_AUDIENCE])
    assert (claims['upn'], claims['scp']) == (READER_USER.username, 'Dicom.ReadWrite')


def test_lifetime_holds_for_tokens_issued_from_now_on(entra: Entra) -> None:
    entra.token_lifetime_seconds = 120
    claims = entra.verify(entra.issue(MANAGED_IDENTITY), audiences=[DICOM_AUDIENCE])
    assert int(str(claims['exp'])) - int(str(claims['iat'])) == 120 + 300  # Entra's `iat` lies five minutes back


@pytest.mark.parametrize(
    ('claims', 'words'),
    [
        pytest.param({'aud': DICOM_AUDIENCE + '/'}, 'audience', id='other-spelling-of-the-audience'),
        pytest.param({'exp': 1}, 'expired', id='expired'),
        pytest.param({'nbf': 2**40}, 'not valid before', id='not-yet-valid'),
        pytest.param({'tid': FOREIGN_TENANT.id}, 'issuer', id='foreign-tenant'),
    ],
)
def test_verify_refuses(entra: Entra, claims: dict[str, object], words: str) -> None:
    good: dict[str, object] = {'aud': DICOM_AUDIENCE, 'nbf': 1, 'exp': 2**40, 'tid': HOME_TENANT.id, 'uti': 'x'}
    token = entra.tokens.sign({**good, **claims})
    with pytest.raises(TokenRejected, match=words):
        entra.verify(token, audiences=[DICOM_AUDIENCE], tenant=HOME_TENANT)


def test_verify_refuses_a_changed_token(entra: Entra) -> None:
    head, _, signature = entra.issue(READER_USER).split('.')
    _, other_body, _ = entra.issue(READER_APPLICATION).split('.')
    with pytest.raises(TokenRejected, match='signature'):
        entra.verify(f'{head}.{other_body}.{signature}', audiences=[DICOM_AUDIENCE])


@pytest.mark.parametrize('token', ['', 'x', 'a.b.c'])
def test_verify_refuses_what_is_no_token(entra: Entra, token: str) -> None:
    with pytest.raises(TokenRejected, match='malformed'):
        entra.verify(token, audiences=[DICOM_AUDIENCE])


@pytest.mark.parametrize('principal', [READER_USER, READER_APPLICATION], ids=['user', 'application'])
def test_revoked_token_meets_a_claims_challenge_and_a_new_one_passes(entra: Entra, principal: Principal) -> None:
    token = entra.issue(principal)
    entra.revoke(principal)
    with pytest.raises(TokenRejected) as caught:
        entra.verify(token, audiences=[DICOM_AUDIENCE])
    assert 'nbf' in json.loads(caught.value.claims_challenge or '')['access_token']
    entra.verify(entra.issue(principal), audiences=[DICOM_AUDIENCE])


def test_published_key_verifies_a_token(entra: Entra) -> None:
    key = jwt.PyJWKSet.from_dict(entra.tokens.key_set()).keys[0]
    jwt.decode(entra.issue(READER_USER), key, algorithms=['RS256'], audience=DICOM_AUDIENCE)
