"""Ticks and their texts, and what a user may type for a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfeed.times import (
    FIRST_TICK,
    LAST_TICK,
    TICKS_PER_DAY,
    TICKS_PER_SECOND,
    epoch_seconds,
    format_timestamp,
    is_timestamp,
    parse_duration,
    parse_http_date,
    parse_time,
    parse_timestamp,
    ticks_from_epoch,
    ticks_of_checked,
    utc_text,
)

NOON = parse_timestamp('2024-05-01T12:00:00Z')
HOUR = 3_600 * TICKS_PER_SECOND

TIMESTAMP_LIKE = st.from_regex(
    r'\A[0-9]{4}-[0-3][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9](:[0-6][0-9]([.,][0-9]{0,8})?)?'
    r'(Z|z|[+-][0-2][0-9]:?([0-6][0-9])?)?\Z'
)


@pytest.mark.parametrize(
    ('fraction', 'ticks'),
    [
        ('', 0),
        ('.1', 1_000_000),
        ('.12', 1_200_000),
        ('.123', 1_230_000),
        ('.1234', 1_234_000),
        ('.12345', 1_234_500),
        ('.123456', 1_234_560),
        ('.1234567', 1_234_567),
        ('.0000001', 1),
        ('.9999999', 9_999_999),
    ],
    ids=lambda value: str(value),
)
def test_parse_timestamp_keeps_every_digit_of_the_fraction(fraction: str, ticks: int) -> None:
    assert parse_timestamp(f'2024-05-01T12:00:00{fraction}+00:00') == NOON + ticks


@pytest.mark.parametrize(
    ('zone', 'hours'),
    [
        ('Z', 0),
        ('z', 0),
        ('+00:00', 0),
        ('-00:00', 0),
        ('+02:00', 2),
        ('-07:00', -7),
        ('+05:30', 5.5),
        ('-03:30', -3.5),
        ('+14:00', 14),
        ('-14:00', -14),
    ],
)
def test_parse_timestamp_takes_the_zone_into_account(zone: str, hours: float) -> None:
    assert parse_timestamp(f'2024-05-01T12:00:00{zone}') == NOON - round(hours * HOUR)


@pytest.mark.parametrize(
    'text',
    [
        '',
        'now',
        '2024-05-01',
        '2024-05-01T12:00:00',
        '2024-05-01T12:00Z',
        '2024-05-01T12:00:00.Z',
        '2024-05-01T12:00:00.12345678Z',
        '2024-05-01T12:00:00+2:00',
        '2024-05-01T12:00:00+15:00',
        '2024-05-01T12:00:00+02:60',
        '2024-05-01T24:00:00Z',
        '2024-05-01T12:60:00Z',
        '2024-05-01T12:00:60Z',
        '2024-02-30T12:00:00Z',
        '2023-02-29T12:00:00Z',
        '2024-13-01T12:00:00Z',
        '2024-00-01T12:00:00Z',
        '0000-05-01T12:00:00Z',
        '0001-01-01T00:00:00Z',
        '9999-12-31T00:00:00Z',
        '٢٠٢٤-05-01T12:00:00Z',
        '2024-05-01T12:00:00Z ',
        ' 2024-05-01T12:00:00Z',
        '2024-05-01T12:00:00Z\n',
        '20240501T120000Z',
    ],
)
def test_parse_timestamp_refuses_what_the_service_never_writes(text: str) -> None:
    with pytest.raises(ValueError):
        parse_timestamp(text)
    assert not is_timestamp(text)


@given(TIMESTAMP_LIKE | st.text(max_size=40))
def test_is_timestamp_agrees_with_parse_timestamp(text: str) -> None:
    try:
        ticks = parse_timestamp(text)
    except ValueError:
        assert not is_timestamp(text)
    else:
        assert is_timestamp(text)
        assert parse_time(text, now=0) == ticks


@given(st.integers(FIRST_TICK, LAST_TICK))
def test_parse_is_the_reverse_of_format(ticks: int) -> None:
    assert parse_time(format_timestamp(ticks), now=0) == ticks
    if TICKS_PER_DAY <= ticks < LAST_TICK - TICKS_PER_DAY:
        assert parse_timestamp(format_timestamp(ticks)) == ticks


@pytest.mark.parametrize(
    ('ticks', 'text'),
    [
        (FIRST_TICK, '0001-01-01T00:00:00.0000000Z'),
        (LAST_TICK, '9999-12-31T23:59:59.9999999Z'),
        (NOON + 1, '2024-05-01T12:00:00.0000001Z'),
    ],
    ids=['first', 'last', 'one tick'],
)
def test_format_timestamp_writes_what_the_service_takes(ticks: int, text: str) -> None:
    assert format_timestamp(ticks) == text


@pytest.mark.parametrize('ticks', [FIRST_TICK - 1, LAST_TICK + 1])
def test_format_timestamp_refuses_what_is_beyond_the_calendar(ticks: int) -> None:
    with pytest.raises(ValueError, match='outside the years'):
        format_timestamp(ticks)


@pytest.mark.parametrize(
    ('text', 'ticks'),
    [
        ('now', NOON),
        ('NOW', NOON),
        ('90s', NOON - 90 * TICKS_PER_SECOND),
        ('15m', NOON - HOUR // 4),
        ('2h', NOON - 2 * HOUR),
        ('3d', NOON - 72 * HOUR),
        ('1w', NOON - 168 * HOUR),
        ('2H', NOON - 2 * HOUR),
        ('1.5h', NOON - 3 * HOUR // 2),
        ('1h30m', NOON - 3 * HOUR // 2),
        ('0s', NOON),
        ('999999999w', FIRST_TICK),
        ('2024-05-01', NOON - 12 * HOUR),
        ('2024-05-01T12:00', NOON),
        ('2024-05-01 12:00', NOON),
        ('2024-05-01T12:00:00', NOON),
        ('2024-05-01T14:00+02:00', NOON),
        ('2024-05-01T14:00+0200', NOON),
        ('2024-05-01T14:00+02', NOON),
        ('2024-05-01 14:00 +02:00', NOON),
        ('2024-05-01T12:00:00,0000001Z', NOON + 1),
        ('2024-05-01T12:00:00.12345670000Z', NOON + 1_234_567),
        ('2024-05-01T12:00:00.123456701Z', NOON + 1_234_568),
        ('2024-05-01T12:00:00.' + '9' * 10_000, NOON + TICKS_PER_SECOND),
        (' 2024-05-01T12:00:00Z\r\n', NOON),
        (' 2h\r', NOON - 2 * HOUR),
        ('0001-01-01', FIRST_TICK),
        ('9999-12-31T23:59:59.9999999Z', LAST_TICK),
    ],
    ids=lambda value: str(value)[:40].strip(),
)
def test_parse_time_takes_what_people_type(text: str, ticks: int) -> None:
    assert parse_time(text, now=NOON) == ticks


@pytest.mark.parametrize(
    'text',
    [
        '',
        'yesterday',
        '-1h',
        '30m1h',
        '1y',
        '5',
        '1234567890s',
        '٣s',
        '2024-5-1',
        '2024-02-30',
        '2024-05-01T',
        '2024-05-01T12',
        '2024-05-01T12:00+15:00',
        '2024-05-01T12:00:00.',
        '2024-05-01T 12:00:00Z',
        '0001-01-01T00:00+00:01',
        '9999-12-31T23:59-00:01',
        '9999-12-31T23:59:59.99999999Z',
    ],
)
def test_parse_time_refuses_the_rest(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text, now=NOON)


@given(st.text(max_size=40))
def test_parse_time_raises_nothing_but_value_error(text: str) -> None:
    try:
        assert FIRST_TICK <= parse_time(text, now=NOON) <= LAST_TICK
    except ValueError:
        pass


@pytest.mark.parametrize(
    ('text', 'seconds'),
    [
        ('90s', 90),
        ('15m', 900),
        ('2h', 7_200),
        ('3d', 259_200),
        ('1w', 604_800),
        ('1.5h', 5_400),
        ('0.25s', 0.25),
        ('1h30m', 5_400),
        ('1w2d3h4m5.5s', 788_645.5),
        ('90S', 90),
        ('1H30M', 5_400),
        (' 90s\r\n', 90),
        ('0s', 0),
        ('999999999w', 999_999_999 * 604_800),
    ],
)
def test_parse_duration_reads_one_grammar(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    'text',
    [
        '',
        ' ',
        '10',
        's',
        '-1h',
        '+1h',
        '1y',
        '1 h',
        '1h 30m',
        '30m1h',
        '1h1h',
        '.5h',
        '1.h',
        '1,5h',
        '1e3s',
        '٣s',
        'nan',
        '1.1.1s',
    ],
)
def test_parse_duration_refuses_the_rest(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize('digits', [10, 10_000])
def test_parse_duration_refuses_endless_numbers(digits: int) -> None:
    for text in ('9' * digits + 's', '1.' + '9' * digits + 's'):
        with pytest.raises(ValueError):
            parse_duration(text)


@given(TIMESTAMP_LIKE)
def test_utc_text_is_the_formatted_timestamp(text: str) -> None:
    if is_timestamp(text):
        assert utc_text(text) == format_timestamp(parse_timestamp(text))


@pytest.mark.parametrize('timestamp', ['2024-05-01T12:00:00.0000001+00:00', '2024-05-01T14:00:00.0000001+02:00'])
def test_utc_text_does_not_depend_on_how_the_time_is_written(timestamp: str) -> None:
    assert utc_text(timestamp) == '2024-05-01T12:00:00.0000001Z'


@pytest.mark.parametrize(
    ('text', 'ticks'),
    [
        ('Wed, 01 May 2024 12:00:00 GMT', NOON),
        ('Wed, 01 May 2024 14:00:00 +0200', NOON),
        ('', None),
        (None, None),
        ('soon', None),
        ('Wed, 99 May 2024 12:00:00 GMT', None),
        ('Wed, 01 May 99999 12:00:00 GMT', None),
    ],
    ids=str,
)
def test_parse_http_date_reads_it_or_says_that_it_cannot(text: str | None, ticks: int | None) -> None:
    assert parse_http_date(text) == ticks


@given(st.text(max_size=40) | st.from_regex(r'\A[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{0,9} GMT\Z'))
def test_parse_http_date_raises_nothing(text: str) -> None:
    parse_http_date(text)


def test_epoch_seconds_are_the_reverse_of_ticks() -> None:
    assert epoch_seconds(ticks_from_epoch(1_714_564_800.0)) == 1_714_564_800.0
    assert ticks_from_epoch(1_714_564_800.0) == NOON


@pytest.mark.parametrize(
    'text',
    [
        '2026-01-31T12:34:56+00:00',
        '2026-01-31T12:34:56.1+00:00',
        '2026-01-31T12:34:56.0000001+00:00',
        '2026-01-31T12:34:56.1234567+00:00',
        '2024-02-29t23:59:59.9999999+00:00',
        '2026-01-31T12:34:56.1234567Z',
        '2026-01-31T12:34:56.1234567-07:00',
        '2026-01-31T12:34:56.5-00:00',
    ],
)
def test_ticks_of_a_checked_timestamp_are_those_of_parse_timestamp(text: str) -> None:
    assert is_timestamp(text) and ticks_of_checked(text) == parse_timestamp(text)


@given(st.integers(TICKS_PER_DAY, LAST_TICK - TICKS_PER_DAY), st.integers(0, 7))
def test_ticks_of_checked_are_exact(ticks: int, digits: int) -> None:
    text = f'{format_timestamp(ticks)[: 20 + digits].rstrip(".")}+00:00'
    assert ticks_of_checked(text) == parse_timestamp(text)
