"""Whatever is fed to them, the readers of URLs, tokens and answers say what it is, or that it is nothing: no traceback.

Times, events and checkpoints: `tests/feed`.
"""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.cli.core.azclierror import AzureResponseError, InvalidArgumentValueError
from hypothesis import given, settings
from hypothesis import strategies as st

from azext_dicomtoken._advice import Access, unauthorized
from azext_dicomtoken._arm import ArmService, _names_in, _service_of
from azext_dicomtoken._claims import NotAToken, decode_unverified, describe
from azext_dicomtoken._format import changefeed_table, claims_table
from azext_dicomtoken._given import seconds_of
from azext_dicomtoken._service import Service
from azext_dicomtoken.changefeed.resume import NextToken
from dicomfeed.errors import Unauthorized
from dicomfeed.queries import TimeSlice
from dicomfeed.trust import Verdict, cloud_named, judge, parse_origin
from tests.az.test_claims import a_token

CLOUD = cloud_named('AzureCloud')
SUFFIX = str(CLOUD.suffix)
DIRECTIONS = {'LRE', 'RLE', 'LRO', 'RLO', 'PDF', 'LRI', 'RLI', 'FSI', 'PDI'}
some = settings(max_examples=60)

NUMBERS = st.integers() | st.floats() | st.just(10**400)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)
PIECES = [
    'https://',
    'http://',
    'x',
    f'.{SUFFIX}',
    '/',
    '//',
    '\\',
    '@',
    ':',
    ':443',
    '?',
    '#',
    '%2f',
    '..',
    '.',
    '-',
    '[::1]',
    'evil.example',
    '/v1',
    '/v2',
    '/changefeed',
    '\n',
    '\t',
    ' ',
    '\u3002',
    '\u212a',
    '\x00',
    '0',
    '\ud800',
    'xn--',
]
URLS = st.lists(st.sampled_from(PIECES), max_size=7).map(''.join) | st.text()
CLAIMS = ('exp', 'iat', 'aud', 'oid', 'scp', 'roles', 'idtyp', 'upn', 'xms_mirid', 'appid', 'tid', 'iss', 'sub')


def encoded(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@some
@given(URLS)
def test_url_is_trusted_only_where_every_parser_reads_the_same_host(url: str) -> None:
    origin = parse_origin(url)
    if origin is None or judge(origin, '', cloud=CLOUD, is_typed=False) is not Verdict.TRUSTED:
        return
    typed = url.strip(' \t\r\n')
    for text in (typed if '://' in typed else f'https://{typed}', str(origin)):
        parts = urlsplit(text)
        host = (parts.hostname or '').removesuffix('.')
        assert (parts.scheme, host, parts.port or 443) == ('https', origin.host, 443)
        assert host.endswith('.' + SUFFIX) and not (parts.username or parts.password or parts.query or parts.fragment)
    assert parse_origin(str(origin)) == origin and str(origin).isascii()


@some
@given(
    st.text()
    | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode())
    | st.lists(VALUES, max_size=5).map(encoded)
)
def test_next_token_is_refused_or_asks_for_what_the_service_takes(text: str) -> None:
    try:
        token = NextToken.decoded(text)
    except InvalidArgumentValueError:
        return
    assert NextToken.decoded(token.encoded()) == token
    assert TimeSlice(token.ticks, token.end or token.ticks, 0, 200).parameters


@pytest.mark.parametrize(
    'content',
    [
        [1, 0, 0, None],
        [1, 2**63 - 1, 0, 0],
        [1, 2**63, 0, 0],
        [1, 1, 2**62, 0],
        [1, 1, 0, 2**62],
        [1, 1, 1e3, 0],
        [True, 1, 1, 1],
        [1, [1], 1, 1],
        [1, 1, 1],
        [1, 1, 1, 1, 1],
        {'1': 1},
        'abcd',
        None,
        7,
        [1, 1, float('inf'), None],
    ],
    ids=repr,
)
def test_next_token_of_another_content_is_borne(content: Any) -> None:
    try:
        token = NextToken.decoded(encoded(content))
    except InvalidArgumentValueError:
        return
    assert TimeSlice(token.ticks, token.end or 0, 0, 200).parameters


@some
@given(
    st.text()
    | st.binary().map(lambda data: 'e30.' + base64.urlsafe_b64encode(data).decode() + '.c2ln')
    | st.dictionaries(st.sampled_from(CLAIMS) | st.text(), VALUES).map(lambda claims: a_token(claims))
)
def test_token_file_is_described_or_refused(text: str) -> None:
    try:
        claims = decode_unverified(text)
    except NotAToken:
        return
    facts = describe(claims, expected_audience='a', now=0)
    assert all(is_harmless(cell) for row in claims_table(facts) for cell in row.values())
    assert Access(Service(None, 'a'), claims).login_command().startswith('az login')
    assert unauthorized(Unauthorized('', status=401, url='https://x.example/v1'), Access(Service(None, 'a'), claims))


@some
@given(st.dictionaries(st.sampled_from(CLAIMS), VALUES | st.text(alphabet='a0-;$`|&\n" ', min_size=1)))
def test_claims_bring_nothing_into_a_command_that_a_shell_would_read(claims: dict[str, Any]) -> None:
    access = Access(Service('https://a-b.' + SUFFIX, 'a'), claims)
    for command in (access.login_command(), str(access.role_command())):
        expected = command.replace('"$(az dicom token show-claims --query objectId -o tsv)"', '')
        assert not set(expected.replace('"DICOM Data Reader"', '')) & set(';$`|&\n"\'()<>\\')


@some
@given(
    VALUES
    | st.fixed_dictionaries(
        {
            'properties': VALUES
            | st.fixed_dictionaries(
                {
                    'serviceUrl': URLS | VALUES,
                    'authenticationConfiguration': VALUES
                    | st.fixed_dictionaries({'audiences': VALUES | st.lists(st.text())}),
                }
            )
        }
    )
)
def test_answer_of_arm_is_texts_or_refused(body: Any) -> None:
    try:
        service = _service_of(body, 'id')
    except AzureResponseError:
        return
    assert isinstance(service, ArmService)
    assert all(text.isascii() and text.isprintable() and ' ' not in text for text in (service.url, *service.audiences))
    parse_origin(service.url)


LISTED = VALUES | st.fixed_dictionaries({'name': VALUES | st.from_regex('[a/$ ]{3,9}')})


@some
@given(VALUES | st.fixed_dictionaries({'value': VALUES | st.lists(LISTED)}))
def test_names_that_arm_lists_are_names_that_a_shell_can_be_offered(body: Any) -> None:
    assert all(re.fullmatch(r'[A-Za-z0-9_-]+', name) for pair in _names_in(body) for name in pair)


def test_names_that_arm_lists_are_found() -> None:
    resources = [{'name': 'contoso/imaging'}, {'name': 'a/b/c'}, {'name': '$(id)/x'}, {}, 'text']
    assert _names_in({'value': resources}) == [('contoso', 'imaging')]


@some
@given(st.text() | st.from_regex(r'([0-9]{0,12}\.?[0-9]{0,12}[smhdwyW]?){1,6}', fullmatch=True))
def test_duration_is_seconds_or_refused(text: str) -> None:
    try:
        seconds = seconds_of(text, '--settle')
    except InvalidArgumentValueError:
        return
    assert 0 <= seconds < 1e16 and text.strip().isascii()


@some
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(['sequence', 'Timestamp', 'action', 'STATE', 'sopInstanceUid', 'x']), VALUES, min_size=1
        ),
        min_size=1,
    )
)
def test_table_of_events_is_printable_whatever_they_hold(events: list[dict[str, Any]]) -> None:
    assert all(is_harmless(cell) for row in changefeed_table(events) for cell in row.values())


def is_harmless(text: str) -> bool:
    """Whether a terminal only prints it: no control characters, no marks that turn the direction of writing."""
    return not any(unicodedata.category(char) == 'Cc' or unicodedata.bidirectional(char) in DIRECTIONS for char in text)
