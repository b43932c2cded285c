"""One event and its line, and how a page of them is read from the service's bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfeed.events import LAST_SEQUENCE, decode_event, decode_page, field
from tests.emulator.event_json import EventShape
from tests.feed.world import World

every = settings(derandomize=True, database=None, deadline=None, max_examples=300)

EVENT = (
    b'{"sequence":42,"partitionName":"Microsoft.Default","studyInstanceUid":"1.2.3","seriesInstanceUid":"1.2.3.1",'
    b'"sopInstanceUid":"1.2.3.1.7","action":"Create","timestamp":"2024-05-01T10:20:30.1234567+00:00",'
    b'"state":"Current"}'
)


def event_with(extra: bytes) -> bytes:
    """The event with more properties."""
    return EVENT[:-1] + b',' + extra + b'}'


KEPT = {
    'seven digits': EVENT,
    '64-bit integers': event_with(b'"metadata":{"00000001":{"Value":[18446744073709551615,-9223372036854775808]}}'),
    'decimals': event_with(b'"metadata":{"00000002":{"Value":[1.0,1.10,0.1000000000000000055,1E2,-0.0]}}'),
    'unknown properties': event_with(b'"newProperty":{"a":[null,true,{}]}'),
    'not ASCII': event_with('"metadata":{"00100010":{"vr":"PN","Value":[{"Ideographic":"山田^太郎"}]}}'.encode()),
    'line separators': event_with('"text":"a\u2028b\u2029c\u0085d"'.encode()),
    'escapes': event_with(rb'"text":"\u0041\/\\\"\n\r\t\ud83d\ude00"'),
    'lone surrogate': event_with(rb'"text":"\ud800"'),
    'NUL escape': event_with(rb'"text":"\u0000"'),
    'blanks inside': EVENT.replace(b',', b' ,\t '),
    'repeated property': event_with(b'"extra":1,"extra":2'),
}


@pytest.mark.parametrize('entry', KEPT.values(), ids=KEPT)
def test_decode_page_keeps_an_event_to_the_letter(entry: bytes) -> None:
    first, second = decode_page(b'[' + entry + b',' + entry + b']')
    assert first.line == second.line == entry
    assert first.fields == json.loads(entry)
    assert (first.sequence, first.timestamp) == (42, '2024-05-01T10:20:30.1234567+00:00')


@pytest.mark.parametrize(
    'body',
    [
        b'[' + EVENT + b']',
        b' \r\n\t[ ' + EVENT + b' ] \n',
        b'\xef\xbb\xbf[' + EVENT + b']',
    ],
    ids=['bare', 'blanks around', 'byte order mark'],
)
def test_decode_page_leaves_out_what_is_around_an_event(body: bytes) -> None:
    assert [event.line for event in decode_page(body)] == [EVENT]


@pytest.mark.parametrize('body', [b'[]', b'[ ]', b' [\r\n]\n', b'\xef\xbb\xbf[]'])
def test_decode_page_of_nothing_is_empty(body: bytes) -> None:
    assert decode_page(body) == []


@pytest.mark.parametrize('separator', [b',', b' ,', b', ', b'\r\n,\r\n', b',\n'], ids=repr)
def test_decode_page_takes_blanks_between_events(separator: bytes) -> None:
    assert len(decode_page(b'[' + separator.join([EVENT] * 3) + b']')) == 3


def test_line_breaks_inside_an_event_become_blanks() -> None:
    event = decode_event(EVENT.replace(b',', b',\r\n'))
    assert event.line == EVENT.replace(b',', b',  ')
    assert event.fields == json.loads(EVENT)


@pytest.mark.parametrize(
    'shape',
    [
        EventShape(pascal_names=True),
        EventShape(lower_enums=True),
        EventShape(partition_name=False),
        EventShape(extra={'futureProperty': [1, {'deep': None}]}),
    ],
    ids=['pascal names', 'lower-case values', 'no partition', 'more properties'],
)
def test_spellings_of_other_servers_are_read(shape: EventShape) -> None:
    world = World()
    world.store.shape = shape
    world.create_now(3)
    events = world.client().by_sequence(after=0, limit=3).events
    assert [event.sequence for event in events] == [1, 2, 3]
    assert [event.identity[2][0] for event in events] == [event.instance.study for event in world.store.events()]


@pytest.mark.parametrize('name', ['sopInstanceUid', 'SopInstanceUid', 'SOPINSTANCEUID'])
def test_field_is_found_in_any_letter_case(name: str) -> None:
    assert field({'other': 1, name: '1.2'}, 'sopInstanceUid') == '1.2'


def test_field_prefers_the_exact_name() -> None:
    assert field({'State': 'Deleted', 'state': 'Current'}, 'state') == 'Current'
    assert field({}, 'state') is None


@pytest.mark.parametrize('timestamp', [b'2024-05-01T10:20:30.1234567+00:00', b'2024-05-01T12:20:30.1234567+02:00'])
def test_identity_does_not_depend_on_how_the_moment_is_written(timestamp: bytes) -> None:
    entry = EVENT.replace(b'2024-05-01T10:20:30.1234567+00:00', timestamp)
    assert decode_event(entry).identity == (42, '2024-05-01T10:20:30.1234567Z', ('1.2.3', '1.2.3.1', '1.2.3.1.7'))


def test_identity_survives_a_later_change_of_the_instance() -> None:
    world = World()
    sequence = world.store.create()
    created = world.client().latest()
    world.store.delete(world.store.event(sequence).instance.study)
    now = world.client().by_sequence(after=sequence - 1, limit=1).events[0]
    assert created is not None and created.identity == now.identity and created.line != now.line


MALFORMED = {
    'nothing': b'',
    'blanks': b'  \n',
    'object': EVENT,
    'null': b'null',
    'text': b'"["',
    'HTML': b'<html></html>',
    'numbers': b'[1]',
    'list in list': b'[[' + EVENT + b']]',
    'null inside': b'[null]',
    'not closed': b'[' + EVENT,
    'half an event': b'[' + EVENT[:60],
    'comma at the end': b'[' + EVENT + b',]',
    'comma first': b'[,' + EVENT + b']',
    'two commas': b'[' + EVENT + b',,' + EVENT + b']',
    'no comma': b'[' + EVENT + EVENT + b']',
    'trailing garbage': b'[' + EVENT + b']x',
    'second list': b'[][]',
    'NUL after the end': b'[]\0',
    'comment': b'[/**/]',
    'blank that is none': b'[' + EVENT + b'\xc2\xa0]',
    'byte order mark inside': b'[\xef\xbb\xbf' + EVENT + b']',
    'nested lists': b'[' * 100_000,
    'nested objects': b'[' + b'{"a":' * 100_000,
    'UTF-16': ('[' + EVENT.decode() + ']').encode('utf-16'),
}
MALFORMED_VALUES = {
    'NaN': b'NaN',
    'Infinity': b'-Infinity',
    'thousands of digits': b'9' * 5_000,
    'leading zero': b'01',
    'nested': b'[' * 100_000 + b']' * 100_000,
    'invalid UTF-8': b'"\xff"',
    'overlong UTF-8': b'"\xc0\xaf"',
    'surrogate as UTF-8': b'"\xed\xa0\x80"',
    'line break in a string': b'"a\nb"',
    'bad escape': rb'"\q"',
    'single quotes': b"'a'",
}


@pytest.mark.parametrize('body', MALFORMED.values(), ids=MALFORMED)
def test_malformed_page_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        decode_page(body)


@pytest.mark.parametrize('value', MALFORMED_VALUES.values(), ids=MALFORMED_VALUES)
def test_malformed_value_anywhere_is_a_value_error(value: bytes) -> None:
    with pytest.raises(ValueError):
        decode_page(b'[' + EVENT + b',' + event_with(b'"x":' + value) + b']')


@pytest.mark.parametrize(
    'sequence',
    [
        b'null',
        b'0',
        b'-1',
        b'1.0',
        b'1e3',
        b'"42"',
        b'true',
        b'[42]',
        b'9223372036854775808',
    ],
)
def test_event_without_a_sequence_number_is_a_value_error(sequence: bytes) -> None:
    with pytest.raises(ValueError, match='sequence number'):
        decode_event(EVENT.replace(b'42', sequence, 1))


@pytest.mark.parametrize('timestamp', [b'null', b'0', b'""', b'"now"', b'"2024-05-01"', b'"2024-05-01T10:20:30"'])
def test_event_without_a_timestamp_is_a_value_error(timestamp: bytes) -> None:
    with pytest.raises(ValueError, match='timestamp'):
        decode_event(EVENT.replace(b'"2024-05-01T10:20:30.1234567+00:00"', timestamp))


def test_greatest_sequence_number_is_read() -> None:
    assert decode_event(EVENT.replace(b'42', str(LAST_SEQUENCE).encode())).sequence == LAST_SEQUENCE


@pytest.mark.parametrize('body', [b'', b'null', b'[]', b'[' + EVENT + b']', EVENT + EVENT, EVENT + b','])
def test_decode_event_takes_one_event_and_nothing_else(body: bytes) -> None:
    with pytest.raises(ValueError):
        decode_event(body)


def expect_events_or_a_value_error(body: bytes) -> None:
    """Whatever the bytes: ValueError, or lines that say the same as the page."""
    try:
        events = decode_page(body)
    except ValueError:
        return
    assert [event.fields for event in events] == json.loads(body.decode('utf-8-sig'))
    assert not any(byte in event.line for event in events for byte in (b'\n', b'\r'))


@every
@given(st.binary(max_size=60) | st.text(alphabet='[]{}":, \t\r\n\\u0919eE+-.sequncNaTZ', max_size=60).map(str.encode))
def test_any_bytes_are_events_or_a_value_error(body: bytes) -> None:
    expect_events_or_a_value_error(body)


@every
@given(
    st.integers(0, 2 * len(EVENT) + 2),
    st.integers(0, 5),
    st.binary(max_size=4)
    | st.sampled_from(
        [b',', b']', b'}', b'{', b'"', b'\r\n', b'\xe2\x80\xa8', b'0', b'NaN', b'\\', b'\xef\xbb\xbf', b'null', EVENT]
    ),
)
def test_mutated_page_is_events_or_a_value_error(position: int, length: int, put_in: bytes) -> None:
    page = b'[' + EVENT + b',' + EVENT + b']'
    expect_events_or_a_value_error(page[:position] + put_in + page[position + length :])
