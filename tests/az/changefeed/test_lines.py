"""How an event becomes a line, and that a line is what it says it is: JSON in UTF-8, or one row of columns."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from azext_dicomtoken._invocation import Invocation
from azext_dicomtoken._stdout import Stdout
from azext_dicomtoken.changefeed.lines import LineError, Lines
from dicomfeed.events import Event, decode_page
from tests.az.changefeed.conftest import FakeCli
from tests.az.conftest import Terminal

UID = '1.2.826.0.1.3680043.8.498.12345678901234567890123456789012345678'


def event(more: str = '"action":"Create"') -> Event:
    line = f'{{"sequence":7,"timestamp":"2026-01-31T12:00:00.1234567+00:00",{more}}}'
    return decode_page(f'[{line}]'.encode())[0]


def line(cli: FakeCli, more: str, *, stdout: Stdout | None = None) -> bytes:
    lines = Lines(Invocation(cli), stdout=stdout)
    assert lines.are_own
    return lines.of([event(more)])[-1]


def terminal(encoding: str = 'utf-8') -> Stdout:
    return Stdout(Terminal(io.BytesIO(), encoding=encoding))


@pytest.mark.parametrize('output', ['json', 'tsv', 'table', 'yaml', 'none'])
def test_l12_line_is_the_service_own_whatever_is_configured(output: str) -> None:
    assert not Lines(Invocation(FakeCli(output=output)), stdout=None).are_own


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('1e400', b'1e400'),
        ('0.1234567890123456789', b'0.1234567890123456789'),
        ('12345678901234567890123', b'12345678901234567890123'),
        ('"\\ud800"', b'"\\ud800"'),
        ('"\\ud83e\\ude7b"', '"\U0001fa7b"'.encode()),
        ('"M\\u00fcller"', '"Müller"'.encode()),
        ('null', b'null'),
    ],
    ids=['large', 'precise', 'long', 'half a pair', 'whole pair', 'text', 'null'],
)
def test_l17_line_of_a_query_is_json_in_utf_8(text: str, expected: bytes) -> None:
    written = line(FakeCli(query='[a]'), f'"a":{text}')
    assert written == b'[' + expected + b']'
    json.loads(written.decode('utf-8'))


@pytest.mark.parametrize('query', ['abs(a)', 'sum([a])', 'avg([a])', 'to_number(to_string(a))'])
def test_l17_what_was_computed_is_json(query: str) -> None:
    def refuse(name: str) -> Any:
        raise AssertionError(name)

    json.loads(line(FakeCli(query=query), '"a":1e400'), parse_constant=refuse)


@pytest.mark.parametrize('query', ['floor(a)', 'ceil(a)', 'length(a)', 'length(b)', 'sort(@)'])
def test_l24_query_that_fails_names_the_event(query: str) -> None:
    with pytest.raises(LineError, match='sequence number 7'):
        line(FakeCli(query=query), '"a":1e400')


def test_l24_error_holds_no_value() -> None:
    with pytest.raises(LineError) as caught:
        line(FakeCli(query='abs(name)'), '"name":"DOE^JOHN"')
    assert 'DOE' not in str(caught.value) and 'DOE' not in str(caught.value.recommendations)


@pytest.mark.parametrize(
    ('query', 'more', 'expected'),
    [
        ('[a,b]', '"a":"x\\ty","b":"1\\r\\n2"', b'x y\t1  2'),
        ('a', '"a":"x\\ty\\nz"', b'x y z'),
        ('[a]', '"a":1e400', b'1e400'),
        ('{a: a}', '"a":"x\\ty"', b'x y'),
        ('a', '"a":"\\ud800"', b'\\ud800'),
        ('a', '"a":true', b'true'),
    ],
    ids=['columns', 'text', 'number', 'object', 'half a pair', 'bool'],
)
def test_l33_line_of_tsv_is_one_row(query: str, more: str, expected: bytes) -> None:
    assert line(FakeCli('-o', 'tsv', output='tsv', query=query), more) == expected


def test_tsv_without_a_query_is_one_row_of_all_properties() -> None:
    assert line(FakeCli('-o', 'tsv', output='tsv'), '"action":"a\\tb"').split(b'\t')[0] == b'a b'


@pytest.mark.parametrize('output', ['json', 'tsv', 'table', None])
def test_n12_control_characters_are_escaped_on_a_terminal_in_every_mode(output: str | None) -> None:
    typed = ('-o', output) if output else ()
    query = 'action' if output in ('json', 'tsv') else None
    cli = FakeCli(*typed, output=output or 'json', query=query)
    written = line(cli, '"action":"\\u001b[2J\u009b2J\u202e"', stdout=terminal()).decode()
    assert '[2J' in written and not {'\x1b', '\x9b', '\u202e'} & set(written)


def test_columns_of_tsv_stay_columns_on_a_terminal() -> None:
    written = line(FakeCli('-o', 'tsv', output='tsv', query='[a,b]'), '"a":"1","b":"2"', stdout=terminal())
    assert written == b'1\t2'


@pytest.mark.parametrize('output', ['tsv', 'table'])
def test_l13_columns_are_in_the_encoding_of_standard_output(output: str) -> None:
    stdout = Stdout(io.TextIOWrapper(io.BytesIO(), encoding='ascii'))
    written = line(FakeCli('-o', output, output=output), '"action":"Müller"', stdout=stdout)
    assert b'M\\xfcller' in written


def test_table_is_rows_of_fixed_widths() -> None:
    lines = Lines(Invocation(FakeCli('-o', 'table', output='table')), stdout=None)
    more = f'"action":"Create","state":"Current","studyInstanceUid":"{UID}","sopInstanceUid":"1.2"'
    header, first, second = lines.of([event(more), event(more.replace(UID, '1.3'))])
    assert header.index(b'Instance') == first.rindex(b'1.2') == second.rindex(b'1.2')
    assert first.split()[:4] == [b'7', b'2026-01-31T12:00:00Z', b'Create', b'Current'] and UID.encode() in first


def test_query_knows_whether_it_had_a_result() -> None:
    for query, has_result in (('[].sequence', False), ('sequence', True), ('nothing', False)):
        lines = Lines(Invocation(FakeCli(query=query)), stdout=None)
        assert (lines.has_queried, lines.has_result) == (False, False)
        lines.of([event()])
        assert (lines.has_queried, lines.has_result) == (True, has_result)


def test_query_that_failed_is_not_one_without_a_result() -> None:
    lines = Lines(Invocation(FakeCli(query='length(nothing)')), stdout=None)
    with pytest.raises(LineError):
        lines.of([event()])
    assert not lines.has_queried
