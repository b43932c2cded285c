"""The DICOM service: each row of the tables in section 10 of the contract that a client can see, and sections 1 to 5.

Names and ids carry the rows: E (end-to-end tests of the C# repository) and U (its unit tests); I rows are in
`test_store.py`. No sockets: `DicomService.respond` is the service.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.emulator import ticks
from tests.emulator.dicom import OWNER, READER, DicomService
from tests.emulator.event_json import DEFAULT_PARTITION, EventShape, Instance
from tests.emulator.journal import Journal
from tests.emulator.store import FeedStore
from tests.emulator.trouble import DATA_STORE_TEXT, SERVER_ERROR_TEXT, Request, Response

T1 = ticks.parse('2024-05-01T10:20:30.1234500Z')
SECOND = ticks.PER_SECOND
END_OF_TIME = '9999-12-31T23:59:59.9999999+00:00'


class Clock:
    """A server's clock that stands until it is moved."""

    def __init__(self) -> None:
        self.ticks = T1

    def __call__(self) -> int:
        return self.ticks


class Rejected(Exception):
    """What a `verify` raises."""

    def __init__(self, description: str, claims_challenge: str | None = None) -> None:
        super().__init__(description)
        self.description = description
        self.claims_challenge = claims_challenge


def verify(token: str) -> dict[str, object]:
    """Tokens in these tests are object ids; these two are bad."""
    if token == 'expired':
        raise Rejected('The token expired')
    if token == 'revoked':
        raise Rejected('revoked', '{"access_token":{"nbf":{"essential":true,"value":"1"}}}')
    return {'oid': token}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(clock: Clock) -> DicomService:
    return DicomService(verify=None, journal=Journal(), host='dicom.example', store=FeedStore(clock=clock))


@pytest.fixture
def guarded(clock: Clock) -> DicomService:
    return DicomService(
        verify=verify,
        journal=Journal(),
        host='dicom.example',
        store=FeedStore(clock=clock),
        role_assignments={'reader': {READER}, 'owner': {OWNER}},
    )


def get(service: DicomService, path: str, *, token: str | None = None, **parameters: object) -> Response:
    headers = {} if token is None else {'authorization': f'Bearer {token}'}
    return service.respond(Request(path, urlencode(parameters), headers=headers))


def events(service: DicomService, path: str, **parameters: Any) -> Any:
    response = get(service, path, **parameters)
    assert response.status == 200, response
    return json.loads(response.body)


def sequences(service: DicomService, path: str, **parameters: object) -> list[int]:
    return [event['sequence'] for event in events(service, path, **parameters)]


def instance(sop: int, partition: str = DEFAULT_PARTITION) -> Instance:
    return Instance(partition, '1.2', '1.2.1', f'1.2.1.{sop}')


def store_three(service: DicomService) -> None:
    for number in range(3):
        service.store.create(instance(number), ticks=T1 + number * SECOND // 3)


def round_trip(instant: int) -> str:
    """As .NET's round-trip format: 7 digits and a numeric zone."""
    return ticks.timestamp_text(instant - instant % SECOND)[:19] + f'.{instant % SECOND:07d}+00:00'


# 10.1


def test_e1_latest_after_the_first(service: DicomService) -> None:
    service.store.create(instance(1))
    latest = events(service, '/v1/changefeed/latest')
    assert (latest['sequence'], latest['action'], latest['state']) == (1, 'Create', 'Current')
    assert [latest[f'{level}InstanceUid'] for level in ('study', 'series', 'sop')] == list(instance(1)[1:])


def test_e2_v1_list_without_a_query_has_ten(service: DicomService) -> None:
    for number in range(12):
        service.store.create(instance(number))
    assert sequences(service, '/v1/changefeed') == list(range(1, 11))


def test_e3_v1_list_from_an_offset_has_metadata(service: DicomService) -> None:
    service.store.burn(5)
    for number in range(10):
        service.store.create(instance(number))
    listed = events(service, '/v1/changefeed', offset=5)
    assert [event['sopInstanceUid'] for event in listed] == [f'1.2.1.{number}' for number in range(10)]
    assert all('00080018' in event['metadata'] for event in listed)


@pytest.mark.parametrize(
    'window, page, expected',
    [
        ({'startTime': round_trip(T1), 'endTime': END_OF_TIME}, {'offset': 0, 'limit': 10}, [1, 2, 3]),
        ({'endTime': round_trip(T1)}, {'offset': 0, 'limit': 100}, []),
        ({'startTime': round_trip(T1 + SECOND // 3)}, {'offset': 2, 'limit': 100}, []),
        ({'startTime': round_trip(T1 + SECOND * 2 // 3 + 10_000)}, {}, []),
        *(
            ({'startTime': round_trip(T1), 'endTime': END_OF_TIME}, {'offset': offset, 'limit': 1}, expected)
            for offset, expected in enumerate([[1], [2], [3], []])
        ),
        *(
            (
                {'startTime': round_trip(T1), 'endTime': round_trip(T1 + SECOND * 2 // 3)},
                {'offset': offset, 'limit': 1},
                expected,
            )
            for offset, expected in enumerate([[1], [2], []])
        ),
    ],
    ids=['E4', 'E5', 'E6', 'E7', 'E8-0', 'E8-1', 'E8-2', 'E8-3', 'E9-0', 'E9-1', 'E9-2'],
)
def test_v2_windows(service: DicomService, window: dict[str, str], page: dict[str, int], expected: list[int]) -> None:
    store_three(service)
    assert sequences(service, '/v2/changefeed', **window, **page) == expected


def test_e10_search_loop_finds_the_first(service: DicomService) -> None:
    for _ in range(450):
        service.store.create()
    start, found, offset = ticks.timestamp_text(T1 - 300 * SECOND), [], 0
    while page := sequences(service, '/v2/changefeed', startTime=start, limit=200, offset=offset):
        found += page
        offset += 200
    assert found == list(range(1, 451))


def test_e11_v2_latest_through_store_delete_store(service: DicomService) -> None:
    seen = []
    for step in (
        lambda: service.store.create(instance(1)),
        lambda: service.store.delete('1.2'),
        lambda: service.store.create(instance(1)),
    ):
        step()
        latest = events(service, '/v2/changefeed/latest')
        seen.append((latest['action'], latest['state'], 'metadata' in latest))
    assert seen == [('Create', 'Current', True), ('Delete', 'Deleted', False), ('Create', 'Current', True)]


def test_e12_states_after_restore(service: DicomService) -> None:
    service.store.create(instance(1))
    service.store.delete('1.2')
    service.store.create(instance(1))
    listed = events(service, '/v2/changefeed', startTime=round_trip(T1))
    assert [event['state'] for event in listed] == ['Replaced', 'Replaced', 'Current']
    assert all('metadata' in event for event in listed)


def test_e13_metadata_off(service: DicomService) -> None:
    service.store.create(instance(1))
    assert 'metadata' not in events(service, '/v2/changefeed/latest', includeMetadata='False')
    [listed] = events(service, '/v2/changefeed', startTime=round_trip(T1), includeMetadata='False')
    assert listed['state'] == 'Current' and 'metadata' not in listed


@pytest.mark.parametrize('external_storage', [False, True])
def test_e14_file_path(service: DicomService, external_storage: bool) -> None:
    service.store.external_storage = external_storage
    service.store.create(instance(1))
    for event in (events(service, '/v2/changefeed/latest'), events(service, '/v2/changefeed')[0]):
        path = event.get('filePath')
        assert bool(path) is external_storage
        assert path is None or re.fullmatch(r'DICOM/Microsoft\.Default/\d+_\d+\.dcm', path)


VALID = '2023-04-26T11:23:40.9025193-07:00'
LATER = '2023-04-26T11:24:40.9025193-07:00'
NO_ZONE = '2023-04-26T11:23:40.9025193'


@pytest.mark.parametrize(
    'start, end',
    [
        ('foo', VALID),
        (VALID, 'bar'),
        (NO_ZONE, VALID),
        (VALID, NO_ZONE),
        (VALID, VALID),
        (LATER, VALID),
    ],
    ids=[
        'E15 bad start',
        'E15 bad end',
        'E15 start without zone',
        'E15 end without zone',
        'E15 equal',
        'E15 start after end',
    ],
)
def test_bad_times(service: DicomService, start: str, end: str) -> None:
    assert get(service, '/v2/changefeed', startTime=start, endTime=end).status == 400


@pytest.mark.parametrize(
    'limit, offset, metadata',
    [
        ('-1', '0', 'true'),
        ('0', '0', 'true'),
        ('blah', '0', 'true'),
        ('1', '-1', 'true'),
        ('1', '92233720368547758070', 'true'),
        ('1', 'blah', 'true'),
        ('1', '0', '0'),
        ('1', '0', 'true-ish'),
        ('1', '0', 'boolean'),
    ],
    ids=lambda value: f'E16 {value}',
)
def test_bad_parameters(service: DicomService, limit: str, offset: str, metadata: str) -> None:
    response = get(service, '/v2/changefeed', limit=limit, offset=offset, includeMetadata=metadata)
    assert (response.status, response.headers['Content-Type']) == (400, 'text/plain; charset=utf-8')


@pytest.mark.parametrize(
    'path, query',
    [
        ('/v1/changefeed', {'limit': 101}),
        ('/v2/changefeed', {'limit': 201}),
        ('/v2/changefeed/latest', {'includeMetadata': 'asdf'}),
    ],
    ids=['E17', 'E18', 'E19'],
)
def test_limits(service: DicomService, path: str, query: dict[str, Any]) -> None:
    assert get(service, path, **query).status == 400


# 10.2


def test_e20_reader_gets_latest(guarded: DicomService) -> None:
    guarded.store.create(instance(1))
    assert get(guarded, '/v2/changefeed/latest', token='reader').status == 200
    assert get(guarded, '/v2/changefeed/latest', token='owner').status == 200


def test_e21_no_token(guarded: DicomService) -> None:
    response = get(guarded, '/v2/changefeed')
    audience = 'https://dicom.healthcareapis.azure.com'
    assert (response.status, response.body) == (401, b'')
    assert response.headers['WWW-Authenticate'] == (
        'Bearer authorization_uri="https://login.microsoftonline.com/common", '
        f'resource_id="{audience}", realm="{audience}"'
    )


def test_e22_partition(service: DicomService) -> None:
    service.store.create(instance(1))
    service.store.create(instance(2, 'north'))
    latest = events(service, '/v2/changefeed/latest', includemetadata='false')
    assert (latest['partitionName'], latest['sopInstanceUid']) == ('north', '1.2.1.2')
    [listed] = events(service, '/v2/changefeed', offset=latest['sequence'] - 1, includemetadata='false')
    assert listed['state'] == 'Current' and 'metadata' not in listed


def test_e23_v2_list_without_a_query(service: DicomService) -> None:
    assert get(service, '/v2/changefeed').body == b'[]'


def test_e25_health_check(guarded: DicomService) -> None:
    assert get(guarded, '/health/check').status == 200


# 10.4


def test_u1_v1_defaults(service: DicomService) -> None:
    for _ in range(120):
        service.store.create()
    listed = events(service, '/v1/changefeed')
    assert len(listed) == 10 and listed[0]['sequence'] == 1 and 'metadata' in listed[0]


def test_u1_v2_defaults(service: DicomService) -> None:
    service.store.create(ticks=0)
    for _ in range(120):
        service.store.create(ticks=T1)
    listed = events(service, '/v2/changefeed')
    assert len(listed) == 100 and listed[0]['sequence'] == 1 and 'metadata' in listed[0]


@pytest.mark.parametrize('path', ['/v1/changefeed', '/v2/changefeed'], ids=['U1 v1', 'U1 v2'])
def test_large_offsets_pass(service: DicomService, path: str) -> None:
    service.store.create()
    assert events(service, path, offset=2**31 + 5) == []


@pytest.mark.parametrize(
    'window, expected',
    [
        ({'startTime': round_trip(T1 + SECOND // 3)}, [2, 3]),
        ({'endTime': round_trip(T1 + SECOND // 3)}, [1]),
        ({'startTime': ' ', 'endTime': ''}, [1, 2, 3]),
    ],
    ids=['U1 no end', 'U1 no start', 'U1 blank'],
)
def test_missing_bounds(service: DicomService, window: dict[str, str], expected: list[int]) -> None:
    store_three(service)
    assert sequences(service, '/v2/changefeed', **window) == expected


@pytest.mark.parametrize(
    'version, expected',
    [('1.0-prerelease', 2), ('1-PreRelease', 2), ('1', 2), ('1.0', 2), ('2', 1), ('2.0', 1)],
    ids=lambda value: f'U2 {value}',
)
def test_latest_by_version(service: DicomService, version: str, expected: int) -> None:
    service.store.create(ticks=T1 + SECOND)
    service.store.create(ticks=T1)
    assert events(service, f'/v{version}/changefeed/latest')['sequence'] == expected


def test_u3_metadata_reads(service: DicomService) -> None:
    service.store.create(instance(1), metadata='{"old":1}')
    service.store.update('1.2', metadata='{"new":2}')
    service.store.create(Instance(DEFAULT_PARTITION, '9', '9.1', '9.1.1'))
    service.store.delete('9')
    events(service, '/v1/changefeed', includeMetadata='false')
    assert service.store.blob_reads == 0
    listed = events(service, '/v1/changefeed')
    assert [event.get('metadata') for event in listed] == [{'new': 2}, {'new': 2}, None, None]
    assert service.store.blob_reads == 2


U4 = ticks.parse('2023-04-26T18:23:40Z')


@pytest.mark.parametrize(
    'text, fraction',
    [
        ('2023-04-26T11:23:40.9025193-07:00', 9_025_193),
        ('2023-04-26T11:23:40.902519-07:0', 9_025_190),
        ('2023-04-26T11:23:40.90251-07', 9_025_100),
        ('2023-04-27T01:23:40.9025+7:00', 9_025_000),
        ('2023-04-27T01:23:40.902+7:0', 9_020_000),
        ('2023-04-27T01:23:40.90+7', 9_000_000),
        ('2023-04-26T18:23:40.9Z', 9_000_000),
        ('2023-04-26T18:23:40Z', 0),
        ('Wed, 26 Apr 2023 18:23:40 GMT', 0),
        ('2023-04-26T18:23:40.90251935Z', 9_025_194),
    ],
    ids=lambda value: f'U4 {value}',
)
def test_times_accepted(text: str, fraction: int, service: DicomService) -> None:
    expected = U4 + fraction
    service.store.create(ticks=expected - 1)
    service.store.create(ticks=expected)
    assert sequences(service, '/v2/changefeed', startTime=text) == [2]


@pytest.mark.parametrize(
    'text, message',
    [
        ('foo', ''),
        ('bar', ''),
        ('2023-04-26T11:23:40X', ''),
        ('2023-04-26T11:23:40+101:00', ''),
        ('2023-04-26T11:23:40 07:00', ''),
        ('2023-02-30T00:00:00Z', ''),
        ('Thu, 26 Apr 2023 18:23:40 GMT', ''),
        ('0001-01-01T00:00:00+01:00', ''),
        (NO_ZONE, 'zone'),
        ('4/26/2023 5:38:06 PM', 'zone'),
        ('2023-04-26', 'zone'),
    ],
    ids=lambda value: f'U4 {value}',
)
def test_times_rejected(text: str, message: str, service: DicomService) -> None:
    response = get(service, '/v2/changefeed', endTime=text)
    assert response.status == 400 and "'EndTime'" in response.body.decode()
    assert ('zone' in response.body.decode()) is bool(message)


def test_u4_bare_plus_is_a_blank(service: DicomService) -> None:
    response = service.respond(Request('/v2/changefeed', 'startTime=2024-05-01T10:20:30+00:00'))
    assert response.status == 400
    assert service.respond(Request('/v2/changefeed', 'startTime=2024-05-01T10:20:30%2B00:00')).status == 200


@pytest.mark.parametrize(
    'path, query, key',
    [
        ('/v1/changefeed', 'limit=101', 'limit'),
        ('/v1/changefeed', 'offset=-1', 'offset'),
        ('/v2/changefeed', 'limit=201', 'Limit'),
        ('/v2/changefeed', 'offset=-1', 'Offset'),
        ('/v2/changefeed', 'startTime=x', 'StartTime'),
        ('/v1/changefeed', 'includemetadata=0', 'includeMetadata'),
        ('/v1/changefeed', 'offset=', 'offset'),
        ('/v1/changefeed', 'limit=', 'limit'),
        ('/v1/changefeed', 'includeMetadata=', 'includeMetadata'),
        ('/v1/changefeed', 'limit=x&offset=y', 'offset'),
    ],
    ids=lambda value: f'U5 {value}',
)
def test_message_names_the_parameter(service: DicomService, path: str, query: str, key: str) -> None:
    body = service.respond(Request(path, query)).body.decode()
    assert re.findall(r"'(\w+)'", body)[0] == key


def test_u5_brackets_are_escaped(service: DicomService) -> None:
    body = service.respond(Request('/v1/changefeed', 'limit=a%3E')).body.decode()
    assert 'a&gt;' in body


@pytest.mark.parametrize(
    'status, text', [(500, SERVER_ERROR_TEXT), (503, DATA_STORE_TEXT)], ids=['U6 missing blob', 'U6 broken blob']
)
def test_poisoned_page(service: DicomService, status: int, text: str) -> None:
    service.store.create()
    service.store.poison(1, status=status)
    response = get(service, '/v1/changefeed')
    assert (response.status, response.body.decode(), 'Retry-After' in response.headers) == (status, text, False)
    assert get(service, '/v1/changefeed', includeMetadata='false').status == 200


@pytest.mark.parametrize('query', ['a=<', 'a=%3C', 'a=%3c', '%3C=1'], ids=lambda query: f'U7 {query}')
def test_angle_bracket_comes_before_everything(guarded: DicomService, query: str) -> None:
    assert guarded.respond(Request('/v2/changefeed', query)).status == 400


def test_u8_skipped_sequences_leave_a_page_empty(service: DicomService) -> None:
    service.store.burn(25)
    service.store.create()
    assert [sequences(service, '/v1/changefeed', offset=offset) for offset in (0, 10, 20)] == [[], [], [26]]


# Sections 1 to 5


@pytest.mark.parametrize(
    'path, status',
    [
        ('/v1/changefeed', 200),
        ('/V2/ChangeFeed/', 200),
        ('/v1.0-prerelease/changefeed', 200),
        ('/v2.0/changefeed', 200),
        ('/v3/changefeed', 400),
        ('/v2.1/changefeed', 400),
        ('/v1-beta/changefeed/latest', 400),
        ('/vfoo/changefeed', 404),
        ('/changefeed', 404),
        ('/v2/partitions/north/changefeed', 404),
        ('/v2/changefeed/first', 404),
        ('/', 404),
    ],
)
def test_routes(service: DicomService, path: str, status: int) -> None:
    response = get(service, path)
    assert response.status == status
    assert status != 404 or response.body == b''


def test_unsupported_version_is_json_without_a_token(guarded: DicomService) -> None:
    response = get(guarded, '/v3/changefeed')
    assert json.loads(response.body)['error']['code'] == 'UnsupportedApiVersion'
    assert response.headers['api-supported-versions'] == '1.0-prerelease, 1, 2'


def test_other_verbs(service: DicomService) -> None:
    assert service.respond(Request('/v2/changefeed', method='POST')).status == 405


@pytest.mark.parametrize('version', ['1', '2'])
def test_empty_latest_is_204(service: DicomService, version: str) -> None:
    response = get(service, f'/v{version}/changefeed/latest')
    assert (response.status, response.body) == (204, b'')


def test_headers_of_every_answer(service: DicomService, clock: Clock) -> None:
    clock.ticks = ticks.parse('2024-05-01T10:20:30.999Z')
    for path in ('/v1/changefeed', '/v1/changefeed/latest', '/nowhere'):
        headers = get(service, path).headers
        assert headers['Date'] == 'Wed, 01 May 2024 10:20:30 GMT'
        assert headers['X-Content-Type-Options'] == 'nosniff'
    assert get(service, '/v1/changefeed').headers['Content-Type'] == 'application/json; charset=utf-8'


def test_any_accept_gets_json(service: DicomService) -> None:
    assert service.respond(Request('/v1/changefeed', headers={'accept': 'text/html'})).status == 200


def test_entry_to_the_letter(service: DicomService) -> None:
    service.store.external_storage = True
    service.store.create(instance(7), metadata='{"00100010":{"vr":"PN","Value":[{"Alphabetic":"Jörg"}]}}')
    assert get(service, '/v1/changefeed').body.decode() == (
        '[{"sequence":1,"partitionName":"Microsoft.Default","filePath":"DICOM/Microsoft.Default/1_1.dcm",'
        '"studyInstanceUid":"1.2","seriesInstanceUid":"1.2.1","sopInstanceUid":"1.2.1.7","action":"Create",'
        '"timestamp":"2024-05-01T10:20:30.12345+00:00","state":"Current",'
        '"metadata":{"00100010":{"vr":"PN","Value":[{"Alphabetic":"Jörg"}]}}}]'
    )


@pytest.mark.parametrize('fraction, text', [(0, ':30+00:00'), (1, ':30.0000001+00:00'), (5_000_000, ':30.5+00:00')])
def test_fraction_is_trimmed(service: DicomService, fraction: int, text: str) -> None:
    service.store.create(ticks=ticks.parse('2024-05-01T10:20:30Z') + fraction)
    assert events(service, '/v1/changefeed')[0]['timestamp'].endswith(text)


def test_other_spellings_also_with_metadata(service: DicomService) -> None:
    service.store.shape = EventShape(pascal_names=True, lower_enums=True, extra={'unknown': {'a': [1]}})
    service.store.create(instance(1))
    event = events(service, '/v2/changefeed/latest')
    assert (event['Sequence'], event['Action'], event['unknown']) == (1, 'create', {'a': [1]})
    assert 'Metadata' in event


def test_names_are_case_insensitive_and_the_first_value_wins(service: DicomService) -> None:
    for _ in range(5):
        service.store.create()
    response = service.respond(Request('/v1/changefeed', 'LIMIT=2&limit=4&nonsense=1&startTime=foo'))
    assert len(json.loads(response.body)) == 2


def test_integers_with_a_plus_and_blanks(service: DicomService) -> None:
    assert service.respond(Request('/v1/changefeed', f'offset={quote(" +3 ")}')).status == 200


def test_offset_beyond_64_bits_is_the_databases_failure(service: DicomService) -> None:
    response = get(service, '/v1/changefeed', offset=2**63 - 5)
    assert (response.status, response.body.decode()) == (503, DATA_STORE_TEXT)
    assert get(service, '/v2/changefeed', offset=2**63 - 1).body == b'[]'


def test_end_before_start_names_the_start(service: DicomService) -> None:
    body = get(service, '/v2/changefeed', startTime=LATER, endTime=VALID).body.decode()
    assert 'startTime' in body


@pytest.mark.parametrize(
    'token, error',
    [
        ('expired', ', error="invalid_token", error_description="The token expired"'),
        ('revoked', ', error="insufficient_claims", claims="'),
    ],
)
def test_bad_token_is_challenged(guarded: DicomService, token: str, error: str) -> None:
    response = get(guarded, '/v1/changefeed', token=token)
    assert response.status == 401 and error in response.headers['WWW-Authenticate']


def test_claims_challenge_is_base64_of_the_claims(guarded: DicomService) -> None:
    header = get(guarded, '/v1/changefeed', token='revoked').headers['WWW-Authenticate']
    claims = json.loads(base64.b64decode(header.split('claims="')[1].rstrip('"')))
    assert claims['access_token']['nbf']['essential'] is True


@pytest.mark.parametrize(
    'query, token, status',
    [
        ('limit=x&a=<', None, 400),
        ('limit=x', None, 401),
        ('limit=x', 'stranger', 400),
        ('', 'stranger', 403),
        ('', 'reader', 200),
    ],
    ids=['bracket', 'no token', 'parameter', 'role', 'all well'],
)
def test_order_of_checks(guarded: DicomService, query: str, token: str | None, status: int) -> None:
    headers = {} if token is None else {'authorization': f'bearer {token}'}
    assert guarded.respond(Request('/v2/changefeed', query, headers=headers)).status == status


def test_role_is_felt_after_some_requests(guarded: DicomService) -> None:
    guarded.grant('late', after_requests=2)
    assert [get(guarded, '/v1/changefeed', token='late').status for _ in range(4)] == [403, 403, 200, 200]
    guarded.revoke('late')
    assert get(guarded, '/v1/changefeed', token='late').status == 403


def test_role_is_felt_after_some_time(guarded: DicomService, clock: Clock) -> None:
    guarded.grant('late', after_seconds=300)
    assert get(guarded, '/v1/changefeed', token='late').status == 403
    clock.ticks += 300 * SECOND
    assert get(guarded, '/v1/changefeed', token='late').status == 200


def test_errors_of_verify_are_not_swallowed(clock: Clock) -> None:
    def broken(token: str) -> dict[str, object]:
        raise KeyError(token)

    service = DicomService(verify=broken, journal=Journal(), host='dicom.example')
    with pytest.raises(KeyError):
        get(service, '/v1/changefeed', token='x')


def test_journal_has_each_request_once_and_the_skipped_rows(clock: Clock) -> None:
    journal = Journal()
    service = DicomService(verify=None, journal=journal, host='dicom.example')
    for _ in range(30):
        service.store.create()
    for offset in (0, 10, 25, 99):
        get(service, '/v2/changefeed', offset=offset, limit=10)
    assert journal.rows_skipped == 10 + 25 + 30
    assert [(request.host, request.status) for request in journal.requests] == [('dicom.example', 200)] * 4
