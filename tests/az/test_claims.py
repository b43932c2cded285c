"""What is made of a token's claims, and what of things that are no token."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from azext_dicomtoken._claims import NotAToken, decode_unverified, describe, utc_text

AUDIENCE = 'https://dicom.healthcareapis.azure.com'


def a_token(payload: Any) -> str:
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return 'e30.' + urlsafe_b64encode(text).decode().rstrip('=') + '.c2ln'


def described(**claims: Any) -> dict[str, Any]:
    return describe(claims, expected_audience=AUDIENCE, now=1000)


@pytest.mark.parametrize('length', range(4))
def test_claims_are_decoded_whatever_the_padding(length: int) -> None:
    assert decode_unverified(a_token({'a': 'x' * length})) == {'a': 'x' * length}


@pytest.mark.parametrize(
    'text',
    [
        '',
        'opaque',
        'a.b',
        'a.b.c.d.e',
        'a.###.c',
        a_token(b'[1]'),
        a_token(b'{'),
        a_token(b'\xff'),
        'a..c',
        a_token(b'[' * 100_000),
        a_token(b'{"a":' + b'9' * 10_000 + b'}'),
        'a.\u00e9.c',
    ],
    ids=[
        'empty',
        'opaque',
        'two parts',
        'encrypted',
        'not base64',
        'list',
        'cut',
        'not UTF-8',
        'no claims',
        'deep',
        'long number',
        'not ASCII',
    ],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(NotAToken):
        decode_unverified(text)


@pytest.mark.parametrize(
    ('claims', 'kind'),
    [
        ({'idtyp': 'user', 'scp': 'x'}, 'user'),
        ({'scp': 'x', 'oid': 'o', 'sub': 's'}, 'user'),
        ({'idtyp': 'app'}, 'servicePrincipal'),
        ({'oid': 'o', 'sub': 'o'}, 'servicePrincipal'),
        ({'idtyp': 'app', 'xms_mirid': '/subscriptions/s/x/y'}, 'managedIdentity'),
        ({}, None),
        ({'oid': 'o'}, None),
    ],
    ids=['user', 'user without idtyp', 'app', 'app without idtyp', 'managed identity', 'nothing', 'undecided'],
)
def test_principal_type_is_told_as_far_as_claims_tell(claims: dict[str, Any], kind: str | None) -> None:
    assert described(**claims)['principalType'] == kind


@pytest.mark.parametrize(
    ('claims', 'name'),
    [
        ({'upn': 'a@b', 'app_displayname': 'app'}, 'a@b'),
        ({'unique_name': 'a@b'}, 'a@b'),
        ({'app_displayname': 'app'}, 'app'),
        ({'xms_mirid': '/subscriptions/s/userAssignedIdentities/id'}, 'id'),
        ({}, None),
    ],
    ids=['upn', 'unique name', 'app', 'managed identity', 'none'],
)
def test_principal_name_is_the_telling_one(claims: dict[str, Any], name: str | None) -> None:
    assert described(**claims)['principalName'] == name


@pytest.mark.parametrize(
    ('audience', 'matches'),
    [
        (AUDIENCE, True),
        (AUDIENCE + '/', True),
        ([AUDIENCE], True),
        ('https://management.azure.com', False),
        (None, False),
    ],
    ids=['same', 'with slash', 'list', 'other', 'none'],
)
def test_audience_is_compared(audience: Any, matches: bool) -> None:
    assert described(aud=audience)['audienceMatches'] is matches


def test_audience_is_not_compared_with_the_unknown() -> None:
    assert describe({'aud': AUDIENCE}, expected_audience=None, now=0)['audienceMatches'] is None


def test_facts_have_their_names() -> None:
    claims = {
        'oid': 'o',
        'appid': 'a',
        'tid': 't',
        'scp': 'one two',
        'roles': ['r'],
        'iat': 0,
        'exp': 1100,
        'iss': 'i',
        'aud': AUDIENCE,
        'other': 1,
    }
    facts = described(**claims)
    assert facts == {
        'objectId': 'o',
        'principalType': 'user',
        'principalName': None,
        'appId': 'a',
        'tenantId': 't',
        'audience': AUDIENCE,
        'expectedAudience': AUDIENCE,
        'audienceMatches': True,
        'scopes': ['one', 'two'],
        'roles': ['r'],
        'issuedOn': '1970-01-01T00:00:00Z',
        'expiresOn': '1970-01-01T00:18:20Z',
        'expiresIn': 100,
        'issuer': 'i',
        'claims': claims,
    }


@pytest.mark.parametrize('value', [None, 'x', [], 1e30, float('nan'), -1e30], ids=repr)
def test_time_that_is_none_is_left_open(value: Any) -> None:
    assert utc_text(value) is None and described(exp=value)['expiresIn'] is None
