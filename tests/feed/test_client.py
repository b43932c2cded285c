"""What an answer means, asking again, the gate, and one renewal of the token after a 401."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from dicomfeed.client import (
    FIRST_ANSWER_PATIENCE_SECONDS,
    LONGEST_OBEYED_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    ONE_SHOT_PATIENCE_SECONDS,
    FeedClient,
)
from dicomfeed.errors import (
    BadRequest,
    FeedError,
    Forbidden,
    HostUnreachable,
    HtmlResponse,
    MalformedResponse,
    NotFound,
    Redirected,
    RequestError,
    ServiceError,
    ServiceTrouble,
    SignInUnavailable,
    TlsFailed,
    Unauthorized,
)
from dicomfeed.queries import Page, Query, SequenceRange, TimeSlice
from dicomfeed.times import LAST_TICK, epoch_seconds
from dicomfeed.transport import Answer
from tests.emulator import trouble
from tests.emulator.ticks import http_date
from tests.emulator.trouble import Fault, Response
from tests.feed.world import URL, Ended, World, after

SECRET = 'eyJhbGciOi.SECRET.signature'
UID = '1.2.840.99999.1'


@pytest.fixture
def world() -> World:
    world = World()
    world.create_now(3)
    return world


@dataclass(frozen=True)
class Issued:
    expires_on: float
    token: str = field(default=SECRET, repr=False)


class Issuer:
    """Issues tokens for an hour, each with its number, and notes how it was asked."""

    def __init__(self, world: World) -> None:
        self.asked: list[tuple[str | None, bool]] = []
        self._world = world

    def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> Issued:
        self.asked.append((claims, force_refresh))
        return Issued(epoch_seconds(self._world.clock.now()) + 3_600.0, f'{SECRET}{len(self.asked)}')


class Scripted:
    """A transport that does what the next line of a script says; the last line for ever. A second goes by each time."""

    def __init__(self, world: World, *script: Answer | RequestError) -> None:
        self.asked = 0
        self._world = world
        self._script = list(script)

    def get(self, url: str, *, parameters: Mapping[str, str], token: str, is_slow: bool = False) -> Answer:
        self.asked += 1
        self._world.pass_time(1.0)
        line = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(line, RequestError):
            raise line
        return line


EMPTY = Answer(200, {}, b'[]')


def scripted(world: World, *script: Answer | RequestError, patience_seconds: float | None = 300.0) -> FeedClient:
    return FeedClient(
        URL,
        world,
        transport=Scripted(world, *script),
        clock=world.clock,
        jitter=lambda: 1.0,
        patience_seconds=patience_seconds,
        on_retry=world.retries.append,
    )


def read(client: FeedClient, query: Query, *, include_metadata: bool = False) -> Page:
    return client.read(query, include_metadata=include_metadata, patience_seconds=client.patience_seconds)


def ask(client: FeedClient) -> list[int]:
    return [event.sequence for event in read(client, SequenceRange(0)).events]


# What a status means


@pytest.mark.parametrize(
    ('status', 'text', 'error'),
    [
        (301, '', Redirected),
        (302, '', Redirected),
        (304, '', Redirected),
        (307, '', Redirected),
        (308, '', Redirected),
        (400, "The value of 'offset' is not valid.", BadRequest),
        (400, "Invalid value for 'Limit'.", BadRequest),
        (400, "'StartTime': ", BadRequest),
        (400, "'EndTime' …", BadRequest),
        (400, "'includeMetadata'", BadRequest),
        (400, 'startTime must be before', BadRequest),
        (400, 'The query string holds …', BadRequest),
        (400, '{"error":{"code":"UnsupportedApiVersion"}}', BadRequest),
        (403, 'Authorization failed.', Forbidden),
        (404, '', NotFound),
        (405, '', ServiceError),
        (406, '', ServiceError),
        (407, '', ServiceError),
        (409, '', ServiceError),
        (410, '', ServiceError),
        (201, '', ServiceError),
        (206, '[]', ServiceError),
    ],
    ids=str,
)
def test_lasting_status_ends_it_at_once(world: World, status: int, text: str, error: type[ServiceError]) -> None:
    world.service.trouble.next(trouble.status(status, text))
    with pytest.raises(ServiceError) as caught:
        ask(world.client())
    assert (type(caught.value), caught.value.status, caught.value.text) == (error, status, text)
    assert len(world.journal.requests) == 1


@pytest.mark.parametrize(
    'fault',
    [
        trouble.status(408),
        trouble.status(424),
        trouble.status(429),
        trouble.server_error(),
        trouble.status(502),
        trouble.unavailable(),
        trouble.status(504),
        trouble.status(599),
        trouble.transient_400(),
        trouble.status(400),
        trouble.cut(),
        trouble.malformed_json(),
        trouble.huge_body(1_000),
        trouble.status(200),
        trouble.status(204),
        trouble.status(200, '[{"sequence":1}]'),
        trouble.status(200, '[{"sequence":777,"timestamp":"2024-05-01T10:20:30Z"}]'),
    ],
    ids=[
        '408',
        '424',
        '429',
        '500',
        '502',
        '503',
        '504',
        '599',
        'transient 400',
        'empty 400',
        'cut',
        'cut JSON',
        'huge',
        'empty 200',
        '204 for a page',
        'no timestamp',
        'another page',
    ],
)
def test_trouble_that_passes_is_waited_out(world: World, fault: Fault) -> None:
    world.service.trouble.next(fault, times=2)
    assert ask(world.client()) == [1, 2, 3]
    assert [retry.failures for retry in world.retries] == [1, 2]


@pytest.mark.parametrize(
    ('fault', 'error'),
    [
        (trouble.unavailable(), ServiceTrouble),
        (trouble.transient_400(), ServiceTrouble),
        (trouble.throttled(), ServiceTrouble),
        (trouble.cut(), HostUnreachable),
        (trouble.malformed_json(), MalformedResponse),
    ],
    ids=['503', '400', '429', 'cut', 'malformed'],
)
def test_trouble_that_stays_is_never_the_end_of_the_feed(world: World, fault: Fault, error: type[FeedError]) -> None:
    client = world.client()
    ask(client)
    world.service.trouble.when(lambda request: True, fault)
    with pytest.raises(error):
        ask(client)


def test_newest_event_of_an_empty_feed_is_none() -> None:
    assert World().client().latest() is None


@pytest.mark.parametrize(
    'fault',
    [trouble.status(204), trouble.status(200), trouble.status(200, 'null'), trouble.status(200, ' null\r\n')],
    ids=['204', 'nothing', 'null', 'null with blanks'],
)
def test_empty_feed_has_no_newest_event_in_any_form(world: World, fault: Fault) -> None:
    world.service.trouble.next(fault)
    assert world.client().latest() is None


HTML = [
    trouble.status(200, '<html>Sign in to the network</html>'),
    trouble.status(200, '\ufeff\r\n <!DOCTYPE html><html></html>'),
    trouble.status(200, '<?xml version="1.0"?><html xmlns="x"/>', {'Content-Type': 'application/json'}),
    trouble.status(200, 'Sign in', {'Content-Type': 'text/html; charset=utf-16'}),
]


@pytest.mark.parametrize('fault', HTML, ids=['plain', 'mark and blanks', 'XHTML', 'by its type'])
@pytest.mark.parametrize('newest', [True, False], ids=['newest', 'page'])
def test_n9_html_at_first_ends_a_one_shot_run_at_once(world: World, fault: Fault, newest: bool) -> None:
    world.service.trouble.when(lambda request: True, fault)
    client = world.client()
    with pytest.raises(HtmlResponse, match='HTML'):
        client.latest() if newest else ask(client)
    assert (len(world.journal.requests), world.retries) == (1, [])


def test_n9_html_after_a_page_is_trouble(world: World) -> None:
    client = world.client()
    ask(client)
    world.service.trouble.next(HTML[0], times=5)
    assert ask(client) == [1, 2, 3]
    assert {type(retry.reason) for retry in world.retries} == {HtmlResponse}


def test_n9_html_is_trouble_to_a_run_that_follows(world: World) -> None:
    world.service.trouble.next(HTML[0], times=5)
    assert ask(world.client(patience_seconds=None)) == [1, 2, 3]


@pytest.mark.parametrize('patience_seconds', [300.0, None], ids=['one shot', 'follow'])
@pytest.mark.parametrize(('status', 'is_retried'), [(403, False), (407, False), (502, True), (504, True), (None, True)])
def test_n5_refusal_of_the_proxy_is_not_waited_out(
    world: World, patience_seconds: float | None, status: int | None, is_retried: bool
) -> None:
    world.end = 1_000.0
    refusal = HostUnreachable('', url=URL, through_proxy=True, proxy_status=status)
    with pytest.raises(Ended if is_retried and patience_seconds is None else HostUnreachable):
        ask(scripted(world, refusal, patience_seconds=patience_seconds))
    assert bool(world.retries) is is_retried


def test_newest_event_is_by_sequence_or_by_time(world: World) -> None:
    world.store.create(ticks=after(-10.0))
    sequences = [event.sequence for event in (world.client().latest(), world.client().latest(by_time=True)) if event]
    assert sequences == [4, 3]


def test_metadata_is_always_said(world: World) -> None:
    client = world.client()
    for include_metadata in (False, True):
        client.latest(include_metadata=include_metadata)
        read(client, SequenceRange(0), include_metadata=include_metadata)
        read(client, TimeSlice(0, LAST_TICK), include_metadata=include_metadata)
    said = ['includeMetadata=true' in request.query for request in world.journal.requests]
    assert said == [False] * 3 + [True] * 3
    assert all('includeMetadata=' in request.query for request in world.journal.requests)


def test_error_carries_what_the_support_asks_for(world: World) -> None:
    world.service.trouble.next(trouble.status(403, 'No.', {'X-MS-Request-Id': 'abc-1', 'Retry-After': '7'}))
    with pytest.raises(Forbidden) as caught:
        ask(world.client())
    assert (caught.value.request_id, caught.value.retry_after) == ('abc-1', 7.0)
    assert caught.value.url == f'{URL}/v1/changefeed'


def test_words_of_the_service_are_cut(world: World) -> None:
    world.service.trouble.next(trouble.status(404, 'ü' * 100_000))
    with pytest.raises(NotFound) as caught:
        ask(world.client())
    assert caught.value.text == 'ü' * 2_000


# Patience


@pytest.mark.parametrize(
    'script',
    [
        (EMPTY, Answer(503, {}, b'')),
        (EMPTY, HostUnreachable('', url=URL)),
        (EMPTY, TlsFailed('', url=URL)),
        (Answer(503, {}, b''),),
    ],
    ids=['trouble', 'unreachable', 'TLS', 'trouble from the first answer on'],
)
def test_one_shot_run_asks_for_five_minutes(world: World, script: tuple[Answer | RequestError, ...]) -> None:
    client = scripted(world, *script)
    with pytest.raises(FeedError):
        while True:
            began = world.elapsed
            ask(client)
    assert world.elapsed - began == pytest.approx(ONE_SHOT_PATIENCE_SECONDS, abs=1.1)


@pytest.mark.parametrize('patience_seconds', [300.0, 5.0])
def test_host_that_never_answered_gets_less(world: World, patience_seconds: float) -> None:
    with pytest.raises(HostUnreachable):
        ask(scripted(world, HostUnreachable('', url=URL), patience_seconds=patience_seconds))
    assert world.elapsed == pytest.approx(min(FIRST_ANSWER_PATIENCE_SECONDS, patience_seconds), abs=1.1)


@pytest.mark.parametrize('patience_seconds', [300.0, None], ids=['one shot', 'follow'])
def test_distrust_at_the_first_answer_ends_it_at_once(world: World, patience_seconds: float | None) -> None:
    with pytest.raises(TlsFailed):
        ask(scripted(world, TlsFailed('', url=URL), patience_seconds=patience_seconds))
    assert world.retries == []


def test_no_patience_asks_once(world: World) -> None:
    client = scripted(world, EMPTY, Answer(503, {}, b''), patience_seconds=0)
    ask(client)
    with pytest.raises(ServiceTrouble):
        ask(client)
    assert world.retries == []


@pytest.mark.parametrize(
    'line',
    [Answer(503, {}, b''), HostUnreachable('', url=URL), MalformedResponse('', url=URL)],
    ids=['trouble', 'unreachable', 'malformed'],
)
def test_follow_asks_for_ever(world: World, line: Answer | RequestError) -> None:
    world.end = 7 * 86_400.0
    with pytest.raises(Ended):
        ask(scripted(world, line, patience_seconds=None))
    assert len(world.retries) > 7 * 86_400 / (LONGEST_PAUSE_SECONDS + 1)


@pytest.mark.parametrize('jitter', [0.0, 1.0])
def test_pauses_double_up_to_a_minute(world: World, jitter: float) -> None:
    transport = Scripted(world, Answer(503, {}, b''))
    client = FeedClient(
        URL,
        world,
        transport=transport,
        clock=world.clock,
        jitter=lambda: jitter,
        on_retry=world.retries.append,
        patience_seconds=600.0,
    )
    with pytest.raises(ServiceTrouble):
        ask(client)
    longest = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert [retry.pause_seconds for retry in world.retries[:9]] == [pause * (1 + jitter) / 2 for pause in longest]


# Retry-After and the gate


@pytest.mark.parametrize(
    ('retry_after', 'seconds'),
    [
        ('30', 30.0),
        (' 30 ', 30.0),
        (lambda: http_date(after(90.0)), 90.0),
        ('soon', 0.375),
        ('', 0.375),
        ('-5', 0.375),
        ('1.5', 0.375),
        ('٣', 0.375),
        ('9' * 5_000, 0.375),
        ('Wed, 99 May 2024 12:00:00 GMT', 0.375),
        ('0', 0.375),
        ('Wed, 01 May 2024 12:00:00 GMT', 0.375),
    ],
    ids=[
        'number',
        'blanks',
        'date',
        'word',
        'empty',
        'negative',
        'fraction',
        'other digits',
        'many digits',
        'no date',
        'zero',
        'past',
    ],
)
def test_retry_after_is_obeyed_where_it_can_be_read(
    world: World, retry_after: str | Callable[[], str], seconds: float
) -> None:
    text = retry_after if isinstance(retry_after, str) else retry_after()
    world.service.trouble.next(trouble.throttled(text))
    ask(world.client())
    assert [retry.pause_seconds for retry in world.retries] == [seconds]
    assert world.elapsed == pytest.approx(0.08 + seconds)


def test_retry_after_as_a_date_counts_from_the_date_of_the_answer(world: World) -> None:
    world.local_clock_ahead_seconds = -3_600.0
    world.service.trouble.next(trouble.throttled(http_date(after(60.0))))
    ask(world.client())
    assert world.retries[0].pause_seconds == 60.0


def test_retry_after_beyond_patience_ends_a_one_shot_run_at_once(world: World) -> None:
    world.service.trouble.next(trouble.throttled(31_536_000))
    with pytest.raises(ServiceTrouble) as caught:
        ask(world.client())
    assert caught.value.retry_after == 31_536_000
    assert world.elapsed < 1


def test_follow_obeys_a_retry_after_of_a_year_for_an_hour(world: World) -> None:
    world.service.trouble.next(trouble.throttled(31_536_000))
    assert ask(world.client(patience_seconds=None)) == [1, 2, 3]
    assert world.elapsed == pytest.approx(LONGEST_OBEYED_PAUSE_SECONDS, abs=1)
    assert world.retries[0].pause_seconds == LONGEST_OBEYED_PAUSE_SECONDS


def test_retry_after_of_zero_is_no_reason_to_storm(world: World) -> None:
    world.service.trouble.when(lambda request: True, trouble.throttled(0))
    with pytest.raises(ServiceTrouble):
        ask(world.client())
    assert len(world.journal.requests) < 20


def test_gate_holds_back_every_worker(world: World) -> None:
    # While the first worker's request is throttled, the second one asks for the first time.
    client = world.client()
    asked: list[float] = []

    def second_worker() -> None:
        ask(client)
        asked.append(world.elapsed)

    world.service.trouble.next(trouble.throttled(30))
    world.at(5.0, second_worker)
    ask(client)
    assert len(world.journal.requests) == 3
    assert asked[0] >= 30.0


# Tokens


def client_of(world: World, issuer: Issuer, *, patience_seconds: float | None = 300.0) -> FeedClient:
    return FeedClient(
        URL,
        issuer,
        transport=world,
        clock=world.clock,
        jitter=lambda: 0.5,
        on_retry=world.retries.append,
        patience_seconds=patience_seconds,
    )


def tokens_sent(world: World) -> list[str]:
    return [request.headers['authorization'].removeprefix(f'Bearer {SECRET}') for request in world.journal.requests]


def challenge(text: str) -> Fault:
    response = Response(401, {'WWW-Authenticate': text})
    return lambda answer: response


@pytest.mark.parametrize(
    ('header', 'claims'),
    [
        ('', None),
        ('Bearer realm="x", error="invalid_token", error_description="The token expired."', None),
        (
            'Bearer realm="x", error="insufficient_claims", claims="{}"'.format(
                base64.b64encode(b'{"access_token":{"nbf":{"value":"1"}}}').decode()
            ),
            '{"access_token":{"nbf":{"value":"1"}}}',
        ),
        (
            'Bearer claims="{}"'.format(base64.urlsafe_b64encode('{"a":{"b":"ÿ?>"}}'.encode()).decode().rstrip('=')),
            '{"a":{"b":"ÿ?>"}}',
        ),
        ('Bearer claims="/w=="', None),
        ('Bearer claims="A"', None),
        *(
            (f'Bearer claims="{base64.b64encode(text).decode()}"', None)
            for text in (b'{', b'[1]', b'{"access_token":null}', b'[' * 20_000)
        ),
    ],
    ids=[
        'none',
        'expired',
        'challenge',
        'URL-safe without padding',
        'not UTF-8',
        'not base64',
        'not JSON',
        'list',
        'null',
        'deep',
    ],
)
def test_refused_token_is_renewed_once_with_the_claims_of_the_challenge(
    world: World, header: str, claims: str | None
) -> None:
    issuer = Issuer(world)
    world.service.trouble.next(challenge(header))
    assert ask(client_of(world, issuer)) == [1, 2, 3]
    assert issuer.asked == [(None, False), (claims, True)]
    assert tokens_sent(world) == ['1', '2']
    assert world.retries == []


def test_renewed_token_that_is_refused_ends_it(world: World) -> None:
    world.service.trouble.when(lambda request: True, trouble.expired_token())
    issuer = Issuer(world)
    with pytest.raises(Unauthorized) as caught:
        ask(client_of(world, issuer))
    assert len(issuer.asked) == len(world.journal.requests) == 2
    assert caught.value.challenge is not None and 'invalid_token' in caught.value.challenge


def test_trouble_after_a_renewal_is_waited_out(world: World) -> None:
    world.service.trouble.next(trouble.expired_token())
    world.service.trouble.next(trouble.unavailable())
    assert ask(client_of(world, Issuer(world))) == [1, 2, 3]
    assert tokens_sent(world) == ['1', '2', '2']


def test_token_is_renewed_before_it_expires(world: World) -> None:
    client = client_of(world, Issuer(world))
    for _ in range(3):
        ask(client)
        world.pass_time(1_800.0)
    assert tokens_sent(world) == ['1', '1', '2']


@pytest.mark.parametrize('at_renewal', [False, True], ids=['first token', 'renewal'])
@pytest.mark.parametrize('patience_seconds', [300.0, None], ids=['one shot', 'follow'])
def test_lost_sign_in_ends_it(world: World, at_renewal: bool, patience_seconds: float | None) -> None:
    class LostSignIn(Exception):
        pass

    class Source(Issuer):
        def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> Issued:
            if force_refresh or not at_renewal:
                raise LostSignIn
            return super().get_token(claims=claims, force_refresh=force_refresh)

    world.service.trouble.next(trouble.expired_token())
    client = FeedClient(URL, Source(world), transport=world, clock=world.clock, patience_seconds=patience_seconds)
    with pytest.raises(LostSignIn):
        ask(client)
    assert len(world.journal.requests) == (1 if at_renewal else 0)


def test_many_workers_share_one_renewal() -> None:
    world = World(latency_seconds=0.0)
    world.create_now(3)
    issuer = Issuer(world)
    client = client_of(world, issuer)
    world.service.trouble.when(lambda request: request.headers['authorization'].endswith('1'), trouble.expired_token())
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: ask(client), range(40))) == [[1, 2, 3]] * 40
    assert issuer.asked == [(None, False), (None, True)]


# The service's clock


@pytest.mark.parametrize('ahead', [-7_200.0, -125.0, 125.0, 7_200.0], ids=str)
def test_l14_clocks_that_differ_are_reported_once(world: World, ahead: float) -> None:
    world.local_clock_ahead_seconds = ahead
    told: list[float] = []
    client = FeedClient(URL, world, transport=world, clock=world.clock, on_clock_difference=told.append)
    for _ in range(3):
        ask(client)
    assert told == [pytest.approx(ahead, abs=2.0)]


@pytest.mark.parametrize('ahead', [-115.0, 0.0, 115.0], ids=str)
def test_l14_clocks_that_nearly_agree_are_not_mentioned(world: World, ahead: float) -> None:
    world.local_clock_ahead_seconds = ahead
    told: list[float] = []
    ask(FeedClient(URL, world, transport=world, clock=world.clock, on_clock_difference=told.append))
    assert told == []


def test_l14_time_of_the_service_goes_on_whatever_is_done_to_the_local_clock(world: World) -> None:
    world.local_clock_ahead_seconds = 7_200.0
    client = world.client()
    assert client.service_now() == pytest.approx(after(0), abs=after(2) - after(0))
    assert len(world.journal.requests) == 1
    world.local_clock_ahead_seconds = -86_400.0
    world.pass_time(100.0)
    assert client.service_now() == pytest.approx(after(100), abs=after(2) - after(0))
    assert len(world.journal.requests) == 1


def test_l14_local_clock_serves_where_there_is_no_date(world: World) -> None:
    client = scripted(world, Answer(200, {}, b'null'))
    assert client.service_now() == world.clock.now()


def test_poll_tells_the_service_time_when_it_asked(world: World) -> None:
    client = world.client()
    world.local_clock_ahead_seconds = 86_400.0
    world.pass_time(100.5)
    polls = [client.poll()]
    world.service.date_ahead_seconds = 600  # a machine that slept: the monotonic clock stood still
    polls.append(client.poll())
    assert [poll.newest and poll.newest.sequence for poll in polls] == [3, 3]
    ahead = [poll.service_ticks - after(seconds) for poll, seconds in zip(polls, (100.5, 700.5), strict=True)]
    assert all(-after(1) + after(0) <= ticks <= 0 for ticks in ahead)


def test_poll_takes_the_local_time_where_there_is_no_date(world: World) -> None:
    client, asked = scripted(world, Answer(200, {}, b'null')), world.clock.now()
    assert client.poll() == (None, asked)


def test_l14_clock_is_not_that_of_an_error(world: World) -> None:
    told: list[float] = []
    gateway = Answer(503, {'date': 'Thu, 01 Jan 2026 00:00:00 GMT'}, b'')
    transport = Scripted(world, gateway, Answer(200, {'date': http_date(after(2))}, b'[]'))
    ask(FeedClient(URL, world, transport=transport, clock=world.clock, on_clock_difference=told.append))
    assert told == []


# The sign-in service in trouble


class Unavailable(Issuer):
    """An issuer that is in trouble from one second to another."""

    def __init__(self, world: World, begin: float, end: float, *, is_reached: bool = True) -> None:
        super().__init__(world)
        self._between = (begin, end)
        self._is_reached = is_reached

    def get_token(self, *, claims: str | None = None, force_refresh: bool = False) -> Issued:
        self._world.pass_time(1.0)
        if self._between[0] <= self._world.elapsed < self._between[1]:
            raise SignInUnavailable('The sign-in service is in trouble.', is_reached=self._is_reached)
        return super().get_token(claims=claims, force_refresh=force_refresh)


def test_n2_trouble_at_the_first_token_is_waited_out(world: World) -> None:
    assert ask(client_of(world, Unavailable(world, 0.0, 200.0))) == [1, 2, 3]
    assert {type(retry.reason) for retry in world.retries} == {SignInUnavailable}


@pytest.mark.parametrize(('is_reached', 'seconds'), [(True, 300.0), (False, 15.0)], ids=['trouble', 'never reached'])
def test_n1_one_shot_run_gives_the_sign_in_up(world: World, is_reached: bool, seconds: float) -> None:
    with pytest.raises(SignInUnavailable):
        ask(client_of(world, Unavailable(world, 0.0, 9_999.0, is_reached=is_reached)))
    assert world.elapsed == pytest.approx(seconds, abs=1.1)


def test_n1_run_that_follows_never_gives_the_sign_in_up(world: World) -> None:
    client = client_of(world, Unavailable(world, 0.0, 86_400.0, is_reached=False), patience_seconds=None)
    assert ask(client) == [1, 2, 3]


def test_n1_sign_in_that_gave_a_token_once_gets_five_minutes(world: World) -> None:
    client = client_of(world, Unavailable(world, 100.0, 4_000.0, is_reached=False))
    ask(client)
    world.pass_time(3_800.0)
    assert ask(client) == [1, 2, 3]


def test_n1_renewal_after_a_401_is_waited_out(world: World) -> None:
    world.service.trouble.when(lambda request: request.headers['authorization'].endswith('1'), trouble.expired_token())
    client = client_of(world, Unavailable(world, 1.02, 100.0))
    assert ask(client) == [1, 2, 3]
    assert tokens_sent(world)[-1] == '2'


# What no error says


def every_failure() -> Iterator[tuple[str, Fault]]:
    body = f'{SECRET} {UID}'
    for status in (302, 400, 401, 403, 404, 410, 429, 500):
        yield str(status), trouble.status(status, body, {'WWW-Authenticate': body, 'Location': body})
    yield 'parameter', trouble.status(400, f'offset {body}')
    yield 'not JSON', trouble.status(200, body)
    yield 'wrong JSON', trouble.status(200, f'[{{"sequence":"{body}"}}]')
    yield 'wrong event', trouble.status(200, f'{{"studyInstanceUid":"{body}"}}')
    yield 'cut', trouble.cut()


@pytest.mark.parametrize('fault', [fault for _, fault in every_failure()], ids=[name for name, _ in every_failure()])
def test_no_error_text_holds_a_token_or_a_uid(world: World, fault: Fault) -> None:
    world.service.trouble.when(lambda request: True, fault)
    client = client_of(world, Issuer(world))
    with pytest.raises(FeedError) as caught:
        ask(client)
    said = ''.join(f'{error}{error!r}' for error in (caught.value, *(retry.reason for retry in world.retries)))
    said += repr(client) + repr(world.retries)
    assert SECRET not in said and UID not in said
    assert caught.value.__context__ is None or caught.value.__suppress_context__
