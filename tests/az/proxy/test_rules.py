"""Each rule of the proxy, and what somebody would try to get round it."""

from __future__ import annotations

import pytest

from azext_dicomtoken.proxy import rules
from azext_dicomtoken.proxy.rules import Passage, Policy
from azext_dicomtoken.proxy.syntax import Answer, Request

SECRET = '0123456789abcdef0123456789abcdef'
PORT = 8123
PAGE = 'http://localhost:3000'
POLICY = Policy(PORT, SECRET)
OPEN = Policy(PORT, SECRET, groups=frozenset(rules.GROUPS), origins=frozenset({PAGE}))


def request(method: str = 'GET', target: str = f'/{SECRET}/v2/studies', **fields: str) -> Request:
    given_fields = {'Host': f'127.0.0.1:{PORT}', **{name.replace('_', '-'): value for name, value in fields.items()}}
    pairs = [(name.encode(), value.encode()) for name, value in given_fields.items()]
    return Request(method.encode(), target.encode(), pairs)


def status(request: Request, policy: Policy = POLICY) -> int | None:
    """The status of the refusal, or None where the request may pass."""
    verdict = rules.judge(request, policy)
    return verdict.status if isinstance(verdict, Answer) else None


def passage(request: Request, policy: Policy = POLICY) -> Passage:
    verdict = rules.judge(request, policy)
    assert isinstance(verdict, Passage), verdict
    return verdict


@pytest.mark.parametrize('host', [f'127.0.0.1:{PORT}', f'localhost:{PORT}', '127.0.0.1', 'LOCALHOST'])
def test_own_host_passes(host: str) -> None:
    assert status(request(Host=host)) is None


@pytest.mark.parametrize(
    'host',
    [
        *('evil.example', f'evil.example:{PORT}', f'127.0.0.1.evil.example:{PORT}', 'localhost.', '127.1', '0.0.0.0'),
        *(
            'localhost:80',
            f'localhost:{PORT}:{PORT}',
            f'localhost:0{PORT}',
            'localhost:',
            f'[::1]:{PORT}',
            '2130706433',
        ),
        *('', 'localhost@evil.example', 'evil.example, localhost', 'contoso.dicom.azurehealthcareapis.com'),
    ],
)
def test_foreign_host_is_misdirected_with_the_secret_too(host: str) -> None:
    assert status(request(Host=host)) == 421


def test_allowed_host_passes_bare_and_with_the_port() -> None:
    policy = Policy(PORT, SECRET, hosts=frozenset({'host.docker.internal'}))
    for host in ('host.docker.internal', f'Host.Docker.Internal:{PORT}'):
        assert status(request(Host=host), policy) is None
    assert status(request(Host='host.docker.internal:1'), policy) == 421


@pytest.mark.parametrize(
    'target',
    [
        *('/v2/studies', '/', f'/{SECRET[:-1]}/v2/studies', f'/{SECRET}0/v2/studies', f'/{SECRET.upper()}/v2/studies'),
        *(f'//{SECRET}/v2/studies', f'/%30{SECRET[1:]}/v2/studies', f'/x/{SECRET}/v2/studies', f'/v2/studies?{SECRET}'),
        *(f'/{SECRET};/v2/studies', '/0/v2/studies', f'/./{SECRET}/v2/studies', f'/?/{SECRET}/v2/studies'),
    ],
)
def test_path_without_the_secret_shows_nothing(target: str) -> None:
    assert status(request(target=target), OPEN) == 404


def test_secret_in_the_path_is_taken_off() -> None:
    passed = passage(request(target=f'/{SECRET}/v2/studies?a=%2E%2E/{SECRET}'))
    assert (passed.target, passed.is_secret_in_path) == (b'/v2/studies?a=%2E%2E/' + SECRET.encode(), True)


def test_secret_in_the_header_is_as_good() -> None:
    passed = passage(request(target='/v2/studies', Authorization=f'bearer {SECRET}'))
    assert (passed.target, passed.is_secret_in_path) == (b'/v2/studies', False)


def test_header_does_not_matter_where_the_path_is_right() -> None:
    assert status(request(Authorization='Basic eDp5')) is None


@pytest.mark.parametrize('value', ['Bearer', 'Bearer 0', SECRET, f'Basic {SECRET}', f'Bearer {SECRET}, x', ''])
def test_wrong_header_shows_nothing(value: str) -> None:
    assert status(request(target='/v2/studies', Authorization=value)) == 404


@pytest.mark.parametrize(
    'fields',
    [
        {'Origin': 'https://evil.example'},
        {'Origin': 'null'},
        {'Origin': PAGE + '/'},
        {'Origin': PAGE.upper()},
        {'Origin': 'http://localhost'},
        {'Origin': f'http://127.0.0.1:{PORT}'},
        {'Origin': ''},
        {'Origin': f'{PAGE}, https://evil.example'},
        {'Sec_Fetch_Site': 'cross-site'},
        {'Sec_Fetch_Site': 'same-site'},
        {'Sec_Fetch_Site': 'same-origin'},
        {'Sec_Fetch_Site': 'NONE'},
        {'sec_fetch_site': ''},
        {'Origin': 'https://evil.example', 'Sec_Fetch_Site': 'none'},
    ],
    ids=str,
)
def test_foreign_page_is_forbidden_with_the_secret_too(fields: dict[str, str]) -> None:
    assert status(request(**fields), OPEN) == 403


@pytest.mark.parametrize('fields', [{}, {'Sec_Fetch_Site': 'none'}, {'Origin': PAGE}], ids=str)
def test_tool_typed_address_and_allowed_page_pass(fields: dict[str, str]) -> None:
    assert status(request(**fields), OPEN) is None


def test_two_fetch_sites_are_forbidden_when_one_is_foreign() -> None:
    asked = request(Sec_Fetch_Site='none')
    assert status(Request(b'GET', asked.target, [*asked.fields, (b'sec-fetch-site', b'cross-site')])) == 403


def test_preflight_needs_no_secret_and_says_what_may_be_sent() -> None:
    asked = request('OPTIONS', '/x', Origin=PAGE, Access_Control_Request_Method='POST')
    asked = Request(asked.method, asked.target, [*asked.fields, (b'Access-Control-Request-Headers', b'Range, *, a b')])
    verdict = rules.judge(asked, OPEN)
    assert isinstance(verdict, Answer) and verdict.status == 204
    fields = dict(rules.fields_of_answer(verdict))
    assert fields[b'Access-Control-Allow-Methods'] == b'DELETE, GET, HEAD, PATCH, POST, PUT'
    assert fields[b'Access-Control-Allow-Headers'] == b'range'
    assert fields[b'Access-Control-Allow-Origin'] == PAGE.encode()
    assert fields[b'Access-Control-Allow-Private-Network'] == b'true'
    assert b'Access-Control-Allow-Credentials' not in fields and b'*' not in fields.values()


@pytest.mark.parametrize(
    'asked',
    [
        request('OPTIONS', '/x', Origin='https://evil.example', Access_Control_Request_Method='GET'),
        request('OPTIONS', '/x', Access_Control_Request_Method='GET'),
        request('OPTIONS', '/x', Origin=PAGE),
    ],
    ids=['foreign origin', 'no origin', 'no preflight'],
)
def test_what_is_no_preflight_needs_the_secret(asked: Request) -> None:
    assert status(asked, OPEN) == 404


def test_preflight_of_a_rebound_name_is_misdirected() -> None:
    assert (
        status(request('OPTIONS', Host='evil.example', Origin=PAGE, Access_Control_Request_Method='GET'), OPEN) == 421
    )


@pytest.mark.parametrize('method', ['GET', 'HEAD'])
def test_reading_is_always_allowed(method: str) -> None:
    assert status(request(method)) is None


@pytest.mark.parametrize(
    ('method', 'path', 'text'),
    [
        ('DELETE', '/v2/studies/1.2', 'To allow this, start the proxy with --allow delete.'),
        ('POST', '/v1/partitions/a/studies/$bulkUpdate', 'To allow this, start the proxy with --allow update.'),
        ('PATCH', '/v2/studies', 'This method is not allowed here.'),
        ('DELETE', '/studies/1.2', 'This method is not allowed here.'),
    ],
)
def test_refused_write_names_the_group_that_has_it(method: str, path: str, text: str) -> None:
    verdict = rules.judge(request(method, f'/{SECRET}{path}'), POLICY)
    assert isinstance(verdict, Answer) and (verdict.status, verdict.text) == (405, text)


@pytest.mark.parametrize('method', ['POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT', 'TRACE', 'get', 'PROPFIND'])
def test_other_method_is_not_allowed_and_the_answer_names_those_that_are(method: str) -> None:
    verdict = rules.judge(request(method), POLICY)
    assert isinstance(verdict, Answer)
    assert (verdict.status, dict(verdict.fields)[b'Allow']) == (405, b'GET, HEAD, OPTIONS')


def test_options_is_answered_with_the_methods_of_the_path() -> None:
    verdict = rules.judge(request('OPTIONS'), Policy(PORT, SECRET, groups=frozenset({'store'})))
    assert isinstance(verdict, Answer)
    assert (verdict.status, dict(verdict.fields)[b'Allow']) == (204, b'GET, HEAD, OPTIONS, POST, PUT')


ROUTES = [
    ('POST', '/v2/studies', 'store'),
    ('POST', '/v1/studies/', 'store'),
    ('PUT', '/v2/studies/1.2.3', 'store'),
    ('POST', '/v2/partitions/ward-1/studies', 'store'),
    ('POST', '/v2/studies/$bulkUpdate', 'update'),
    ('POST', '/v2/studies/%24bulkUpdate', 'update'),
    ('POST', '/v2/partitions/ward-1/studies/$bulkUpdate', 'update'),
    ('DELETE', '/v2/studies/1.2.3', 'delete'),
    ('DELETE', '/v2/studies/1.2/series/1.3/instances/1.4', 'delete'),
    ('DELETE', '/v2/partitions/ward-1/studies/1.2', 'delete'),
    ('POST', '/v2/extendedquerytags', 'tags'),
    ('PATCH', '/v2/extendedquerytags/00101010', 'tags'),
    ('DELETE', '/v2/extendedquerytags/00101010', 'tags'),
    ('POST', '/v2/export', 'export'),
    ('POST', '/v2/workitems', 'workitems'),
    ('PUT', '/v2/workitems/1.2/state', 'workitems'),
    ('POST', '/v2/partitions/ward-1/workitems/1.2/cancelrequest', 'workitems'),
]


@pytest.mark.parametrize(('method', 'path', 'group'), ROUTES)
def test_write_passes_with_its_group_alone(method: str, path: str, group: str) -> None:
    asked = request(method, f'/{SECRET}{path}')
    passing = {name for name in rules.GROUPS if status(asked, Policy(PORT, SECRET, groups=frozenset({name}))) is None}
    assert passing == {group}


@pytest.mark.parametrize(
    ('method', 'path'),
    [
        *(('POST', '/v2/changefeed'), ('POST', '/v2/studies/1.2/series'), ('PUT', '/v2/studies/$bulkUpdate')),
        *(
            ('DELETE', '/v2/studies'),
            ('DELETE', '/v2/studies/'),
            ('DELETE', '/v2/partitions/x'),
            ('PATCH', '/v2/studies'),
        ),
        *(
            ('POST', '/v2/Studies'),
            ('POST', '/v2/studies/' + '1' * 65),
            ('POST', '/v2/x/studies'),
            ('POST', '/v3/studies'),
        ),
        *(('DELETE', '/v2/studies/../export'), ('POST', '/v2/studies/%31'), ('DELETE', '/v2//studies/1.2')),
        *(
            ('POST', '/v2/exports'),
            ('POST', '/v2/export/1'),
            ('DELETE', '/v2/workitems/1.2'),
            ('POST', '/v2/partitions/export'),
        ),
        *(('DELETE', '/v2/partitions/../studies/1'), ('POST', '/v2/partitions/a/b/studies')),
    ],
)
def test_write_elsewhere_is_not_allowed_whatever_is_allowed(method: str, path: str) -> None:
    assert status(request(method, f'/{SECRET}{path}'), OPEN) == 405


@pytest.mark.parametrize(
    'path',
    [
        *('/v1/changefeed', '/v2/changefeed/latest', '/v2/', '/v2', '/v2/studies/', '/v2/partitions'),
        *(
            '/v2/partitions/Microsoft.Default/studies',
            '/v2/studies/1.2/series/1.3/instances/1.4/frames/1,2%2C3/rendered',
        ),
        *('/v2/operations/0123abcd', '/v2/extendedquerytags/00101010/errors', '/v2/studies/$x', '/v2/a@b:c_d-e%24'),
    ],
)
def test_path_of_the_service_passes_unchanged(path: str) -> None:
    assert passage(request(target=f'/{SECRET}{path}?a=b/../c')).target == f'{path}?a=b/../c'.encode()


@pytest.mark.parametrize(
    'path',
    [
        *('', '/', '/v3/studies', '/v2x', '/V2/studies', '/v1.0-prerelease/changefeed', '/index.html', '/health/check'),
        *(
            '/v2/..',
            '/v2/../v1',
            '/v2/./studies',
            '/v2/.../x',
            '/v2/studies/..',
            '/v2//studies',
            '/v2/studies//',
            '//v2',
        ),
        *(
            '/v2/%2e%2e/x',
            '/v2/%2E./x',
            '/v2/..%2fx',
            '/v2/a%2Fb',
            '/v2/%5c',
            '/v2/..;/x',
            '/v2/a;b',
            '/v2/%252e',
            '/v2/%',
        ),
        *(
            '/v2/%00',
            '/v2/a%0d%0ab',
            '/v2/a\\b',
            '/v2/~x',
            '/v2/a+b',
            '/v2/%25',
            '/v2/%41',
            '/v2/studies%3Fx',
            '/v2/a|b',
        ),
    ],
)
def test_other_path_is_not_found(path: str) -> None:
    assert status(request(target=f'/{SECRET}{path}'), OPEN) == 404


@pytest.mark.parametrize(
    ('value', 'expected'), [('100-Continue', None), ('x', 417), ('100-continue, x', 417), ('', 417)]
)
def test_only_100_continue_may_be_expected(value: str, expected: int | None) -> None:
    assert status(request(Expect=value)) == expected


def test_checks_count_in_their_order() -> None:
    wrong = {'Host': 'evil.example', 'Origin': 'null', 'Expect': 'x'}
    seen = [status(request('POST', '/0/v9', **wrong))]
    seen.append(status(request('POST', '/0/v9', **(wrong := wrong | {'Host': 'localhost'}))))
    seen.append(status(request('POST', f'/{SECRET}/v9', **wrong)))
    seen.append(status(request('POST', f'/{SECRET}/v9', **(wrong := wrong | {'Origin': PAGE})), OPEN))
    seen.append(status(request('GET', f'/{SECRET}/v9', **wrong), OPEN))
    seen.append(status(request('GET', f'/{SECRET}/v2', **wrong), OPEN))
    assert seen == [421, 404, 403, 405, 404, 417]


STOPPED = (
    *(
        'Host',
        'Authorization',
        'Proxy-Authorization',
        'Proxy-Connection',
        'Cookie',
        'Origin',
        'Referer',
        'Sec-Fetch-Site',
    ),
    *(
        'Sec-CH-UA',
        'Access-Control-Request-Method',
        'Forwarded',
        'X-Forwarded-For',
        'X-Forwarded-Host',
        'X-Real-IP',
        'Via',
    ),
    *('X-HTTP-Method', 'X-HTTP-Method-Override', 'X-Method-Override', 'x_http_method_override', 'X-Original-URL'),
    *('Connection', 'Keep-Alive', 'TE', 'Trailer', 'Transfer-Encoding', 'Upgrade', 'HTTP2-Settings', 'X_Forwarded_For'),
    *('Content-Length', 'Content_Length', 'Expect', 'REFERER'),
)


def test_headers_about_the_client_stop_here() -> None:
    fields = [(name.encode(), b'x') for name in STOPPED]
    kept = [
        (b'Accept', b'*/*'),
        (b'Range', b'bytes=0-1'),
        (b'If-None-Match', b'"a"'),
        (b'msdicom-request-original', b'1'),
    ]
    assert rules.fields_for_service(Request(b'GET', b'/', [*fields, *kept])) == kept


def test_header_that_connection_names_stops_here() -> None:
    fields = [(b'Connection', b'close, X-Hop'), (b'X-Hop', b'1'), (b'X_Hop', b'2'), (b'X-Next', b'3')]
    assert rules.fields_for_service(Request(b'GET', b'/', fields)) == [(b'X-Next', b'3')]


def test_answer_keeps_its_headers_but_for_those_about_the_browser() -> None:
    stopped = (
        *(
            'Set-Cookie',
            'Alt-Svc',
            'Strict-Transport-Security',
            'Clear-Site-Data',
            'Access-Control-Allow-Origin',
            'NEL',
        ),
        *('X-Content-Type-Options', 'Referrer-Policy', 'Content-Security-Policy', 'Connection', 'Report-To'),
        *('Cross-Origin-Resource-Policy', 'Access-Control-Allow-Credentials', 'Service-Worker-Allowed'),
    )
    fields = [*((name.encode(), b'evil') for name in stopped), (b'ETag', b'"a"'), (b'Cache-Control', b'max-age=1')]
    shown = rules.fields_for_client(fields, origin=None)
    assert b'evil' not in dict(shown).values()
    assert dict(shown)[b'ETag'] == b'"a"' and dict(shown)[b'Cache-Control'] == b'max-age=1'


def test_every_answer_says_that_it_is_no_page() -> None:
    for fields in (rules.fields_for_client([], origin=None), rules.fields_of_answer(Answer(404, 'x'))):
        shown = dict(fields)
        assert shown[b'Content-Security-Policy'] == b"sandbox; default-src 'none'; frame-ancestors 'none'"
        assert (shown[b'X-Content-Type-Options'], shown[b'Referrer-Policy']) == (b'nosniff', b'no-referrer')
        assert shown[b'Cache-Control'] == b'no-store'


def test_allowed_page_may_read_the_answer_and_its_headers() -> None:
    shown = rules.fields_for_client([(b'ETag', b'"a"'), (b'Vary', b'Accept')], origin=PAGE.encode())
    assert (b'Access-Control-Allow-Origin', PAGE.encode()) in shown and (b'Vary', b'Origin') in shown
    assert b'etag' in dict(shown)[b'Access-Control-Expose-Headers'].split(b', ')
    assert not any(b'credentials' in name.lower() or value == b'*' for name, value in shown)


def test_no_page_may_read_an_answer_without_an_allowed_origin() -> None:
    assert not any(name.startswith(b'Access-Control') for name, _ in rules.fields_for_client([], origin=None))


@pytest.mark.parametrize(
    ('asked', 'expected'),
    [
        (request(target='/0/v2', Origin=PAGE), 404),
        (request(target=f'/{SECRET}/v9', Origin=PAGE), 404),
        (request('PATCH', Origin=PAGE), 405),
        (request(Origin=PAGE, Expect='x'), 417),
        (request('OPTIONS', Origin=PAGE), 204),
    ],
    ids=['secret', 'path', 'method', 'expectation', 'options'],
)
def test_answer_of_ours_is_readable_for_an_allowed_page(asked: Request, expected: int) -> None:
    verdict = rules.judge(asked, OPEN)
    assert isinstance(verdict, Answer) and (verdict.status, verdict.origin) == (expected, PAGE.encode())


def test_answer_to_a_foreign_host_is_readable_for_nobody() -> None:
    verdict = rules.judge(request(Host='evil.example', Origin=PAGE), OPEN)
    assert isinstance(verdict, Answer) and (verdict.status, verdict.origin) == (421, None)


SERVICE = 'https://ws-dicom.dicom.azurehealthcareapis.com'
BASE = b'http://127.0.0.1:8123/SECRET'


@pytest.mark.parametrize(
    ('location', 'local'),
    [
        (f'{SERVICE}/v2/operations/1?a=b', '/v2/operations/1?a=b'),
        (SERVICE, '/'),
        (f'{SERVICE}?a', '/?a'),
        (f'{SERVICE.upper()}/v2', '/v2'),
        (f'{SERVICE}:443/v2', '/v2'),
        ('/v2/operations/1', '/v2/operations/1'),
    ],
)
def test_redirect_to_the_service_leads_to_the_proxy(location: str, local: str) -> None:
    changed = rules.local_location(location.encode(), service_origin=SERVICE, base=BASE)
    assert changed == BASE + local.encode()


@pytest.mark.parametrize(
    'location',
    [
        *(
            'https://evil.example/v2',
            '//evil.example/',
            '/\\evil.example/',
            'operations/1',
            f'{SERVICE}.evil.example/v2',
        ),
        *(
            f'{SERVICE}@evil.example/',
            f'{SERVICE}:8443/v2',
            SERVICE.replace('https', 'http') + '/v2',
            'javascript:x',
            '',
        ),
        *(f'{SERVICE}\\@evil.example/', f'https://user@{SERVICE[8:]}/v2'),
    ],
)
def test_other_redirect_stays_as_it_is_without_the_secret(location: str) -> None:
    assert rules.local_location(location.encode(), service_origin=SERVICE, base=BASE) == location.encode()


@pytest.mark.parametrize('text', [PAGE, 'https://viewer.hospital.example', 'http://[::1]:3000', 'app://obsidian.md'])
def test_origin_as_browsers_write_it(text: str) -> None:
    assert rules.is_origin(text)


@pytest.mark.parametrize(
    'text',
    [
        *('null', '*', 'localhost:3000', f'{PAGE}/', 'HTTP://localhost', 'http://Localhost', 'http://a b', 'http://'),
        *(
            'http://localhost:80',
            'https://a.example:443',
            'http://a:0',
            'http://u@a',
            'http://a/p',
            'file://x',
            'http://*',
        ),
    ],
)
def test_other_text_is_no_origin(text: str) -> None:
    assert not rules.is_origin(text)


@pytest.mark.parametrize(
    ('text', 'is_name'),
    [('host.docker.internal', True), ('10.0.2.2', True), ('a:80', False), ('*', False), ('', False), ('a/b', False)],
)
def test_host_name_has_no_port(text: str, is_name: bool) -> None:
    assert rules.is_host_name(text) is is_name


@pytest.mark.parametrize(
    ('target', 'kind'),
    [
        ('/v2/studies/1.2/metadata?PatientName=DOE', 'v2 metadata'),
        ('/v2/studies/1.2/series/1.3/instances/1.4/frames/1', 'v2 frames'),
        ('/v1/changefeed/latest', 'v1 changefeed'),
        ('/v2/DOE', 'v2 other'),
    ],
)
def test_log_shows_the_kind_alone(target: str, kind: str) -> None:
    assert rules.kind_of(target.encode()) == kind


def test_secrets_are_not_shown_with_the_values() -> None:
    assert SECRET not in repr(POLICY) + repr(request()) + repr(passage(request()))
