"""One event and its line, and how a page of them is read from the service's bytes, split or by the book."""

from __future__ import annotations

import json
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfeed.events import LAST_SEQUENCE, Event, decode_event, decode_page, field, split
from dicomfeed.queries import SequenceRange
from tests.emulator.event_json import EventShape
from tests.feed.world import World

every = settings(max_examples=300)

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


@pytest.mark.parametrize('text', KEPT.values(), ids=KEPT)
def test_decode_page_keeps_an_event_to_the_letter(text: bytes) -> None:
    first, second = decode_page(b'[' + text + b',' + text + b']')
    assert first.line == second.line == text
    assert first.decode() == json.loads(text)
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
    assert event.decode() == json.loads(EVENT)


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
    events = world.feed().page(SequenceRange(0, 3)).events
    assert [event.sequence for event in events] == [1, 2, 3]
    assert [event.identity[2][0] for event in events] == [event.instance.study for event in world.store.events()]


@pytest.mark.parametrize('name', ['sopInstanceUid', 'SopInstanceUid', 'SOPINSTANCEUID'])
def test_field_is_found_in_any_letter_case(name: str) -> None:
    assert field({'other': 1, name: '1.2'}, 'sopInstanceUid') == '1.2'


def test_field_prefers_the_exact_name() -> None:
    assert field({'State': 'Deleted', 'state': 'Current'}, 'state') == 'Current'
    assert field({}, 'state') is None


@pytest.mark.parametrize('timestamp', [b'2024-05-01T10:20:30.1234567+00:00', b'2024-05-01T12:20:30.1234567+02:00'])
def test_identity_does_not_depend_on_how_the_time_is_written(timestamp: bytes) -> None:
    text = EVENT.replace(b'2024-05-01T10:20:30.1234567+00:00', timestamp)
    assert decode_event(text).identity == (42, '2024-05-01T10:20:30.1234567Z', ('1.2.3', '1.2.3.1', '1.2.3.1.7'))


def test_identity_survives_a_later_change_of_the_instance() -> None:
    world = World()
    sequence = world.store.create()
    created = world.client().latest()
    world.store.delete(world.store.event(sequence).instance.study)
    now = world.feed().page(SequenceRange(sequence - 1, 1)).events[0]
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
    assert [event.decode() for event in events] == json.loads(body.decode('utf-8-sig'))
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


# What filters and counts ask an event


NAMED = ('Microsoft.Default', '1.2.3', '1.2.3.1', '1.2.3.1.7')


@pytest.mark.parametrize(
    ('text', 'names'),
    [
        (EVENT, NAMED),
        (KEPT['64-bit integers'], None),  # a page with metadata is split and not decoded
        (KEPT['escapes'], NAMED),
        (KEPT['line separators'], None),
        (EVENT.replace(b'studyInstanceUid', b'StudyInstanceUid'), None),
        (EVENT.replace(b'"partitionName":"Microsoft.Default",', b''), None),
        (EVENT.replace(b'"1.2.3"', b'["1.2.3"]'), None),
    ],
    ids=['plain', 'metadata', 'escapes', 'not-ascii', 'letter-case', 'without-partition', 'no-text'],
)
def test_names_are_kept_where_they_can_be(text: bytes, names: object) -> None:
    body = b'[' + text + b']'
    assert [event.names for event in decode_page(body, keep_names=True)] == [names]
    assert [event.names for event in decode_page(body)] == [None]


@pytest.mark.parametrize('text', KEPT.values(), ids=KEPT)
def test_properties_are_all_but_the_metadata(text: bytes) -> None:
    (event,) = decode_page(b'[' + text + b']')
    expected = {name: value for name, value in json.loads(text).items() if name != 'metadata'}
    assert (event.decode_properties(), event.action) == (expected, 'Create')


@pytest.mark.parametrize(
    ('action', 'text'),
    [
        (b'"Create"', 'Create'),
        (b'"import"', 'import'),
        ('"Löschung"'.encode(), 'Löschung'),
        (rb'"L\u00f6schung \u5c71"', 'Löschung 山'),
        ('"Löschung \\u5c71"'.encode(), 'Löschung 山'),
        (b'null', None),
        (b'7', None),
        (b'["Create"]', None),
    ],
)
def test_action_is_the_text_that_the_service_wrote(action: bytes, text: str | None) -> None:
    assert decode_event(EVENT.replace(b'"Create"', action)).action == text


def test_action_is_not_misread_from_another_property() -> None:
    text = EVENT.replace(b'"1.2.3"', rb'"\",\"action\":\"Delete"').replace(b'"action"', b'"Action"')
    assert decode_event(text).action == 'Create'


def test_metadata_are_not_among_the_properties_whatever_the_letter_case() -> None:
    assert 'Metadata' not in decode_event(event_with(b'"Metadata":{"a":1}')).decode_properties()


# Pages with metadata, as the service writes them


DELETED = b'{"sequence":41,"action":"Delete","timestamp":"2024-05-01T10:20:30+00:00","state":"Deleted"}'
METADATA = (
    '{"00080005":{"vr":"CS","Value":["ISO_IR 6"]},"00100010":{"vr":"PN","Value":[{"Ideographic":"山田^太郎"}]},'
    '"00101030":{"vr":"DS","Value":[72.50]},"00720083":{"vr":"UV","Value":[18446744073709551615]}}'
).encode()


def metadata_event(metadata: bytes = METADATA, *, before: bytes = b'', after: bytes = b'') -> bytes:
    return (
        b'{"sequence":42,"sopInstanceUid":"1.2","action":"Create","timestamp":"2024-05-01T10:20:30.1234567+00:00",'
        b'"state":"Current"' + before + b',"metadata":' + metadata + after + b'}'
    )


def said(events: list[Event] | None) -> object:
    """What events say, by every way of asking them; None where there are none."""
    return events and [(*event[:4], event.identity, event.decode_properties()) for event in events]


def page_of(*events: bytes) -> bytes:
    return b'[' + b','.join(events) + b']'


def by_the_book(body: bytes) -> list[Event] | None:
    """With a blank before it, which means nothing, no page is split."""
    return decoded(b' ' + body)


def decoded(body: bytes) -> list[Event] | None:
    try:
        return decode_page(body)
    except ValueError:
        return None


def test_split_page_is_the_page_to_the_letter() -> None:
    pieces = split(page_of(metadata_event(), DELETED, metadata_event()))
    assert pieces is not None and [line for _, line in pieces] == [metadata_event(), DELETED, metadata_event()]
    assert all('metadata' not in json.loads(head) for head, _ in pieces)


@pytest.mark.parametrize('name', ['partitionName', 'patientName'])
def test_split_page_says_the_same_as_by_the_book(name: str) -> None:
    body = page_of(metadata_event(before=f',"{name}":"山田"'.encode()), DELETED)
    assert split(body) is not None
    assert said(decode_page(body)) == said(by_the_book(body))


OTHER_FORMS = {
    'no metadata': page_of(DELETED),
    'another property after': page_of(metadata_event(after=b',"futureProperty":{"a":[1]}')),
    'repeated property after': page_of(metadata_event(after=b',"action":"Delete","x":{}')),
    'repeated metadata': page_of(metadata_event(after=b',"metadata":{}')),
    'metadata that is null': page_of(metadata_event(b'null'), metadata_event()),
    'closed before the metadata': page_of(metadata_event(before=b'}')),
    'object before the metadata': page_of(metadata_event(before=b',"a":{"b":1}')),
    'empty': b'[]',
    'blanks between': b'[' + metadata_event() + b' ,' + metadata_event() + b' ]',
    'line break inside': page_of(metadata_event(METADATA.replace(b',', b',\n'))),
    'nested without end': page_of(metadata_event(b'{"a":' * 900 + b'1' + b'}' * 900)),
    'thousands of digits': page_of(metadata_event(b'{"a":' + b'9' * 4301 + b'}')),
    'what looks like an event inside': page_of(metadata_event(b'{"a":[{"b":1},{"sequence":7,"timestamp":"x"}]}')),
    'metadata of something else': page_of(DELETED[:-1] + b',"a":{"b":1,"metadata":{}}}'),
    'timestamp last': page_of(b'{"sequence":42,"metadata":{},"timestamp":"2024-05-01T10:20:30Z"}'),
    'more events than in a page': page_of(*[metadata_event(b'{}')] * 33_000),
    'not closed': page_of(metadata_event())[:-1],
    'NaN': page_of(metadata_event(b'{"a":NaN}')),
    'JSON5': page_of(metadata_event(b"{'a':0x1F,}")),
    'NUL': page_of(metadata_event(b'{}}\0')),
    'control character': page_of(metadata_event(b'{"a":"\x01"}')),
    'list for a key': page_of(metadata_event(b'{"a":{["b"]:1}}')),
    'object for a key': page_of(metadata_event(b'{"a":{{"b":"c"}:1}}')),
    'object for a later key': page_of(metadata_event(b'{"a":1,{"b":["c"],"d":"e"}:1}')),
    'list for a key, blanks after it': page_of(metadata_event(b'{"a":{["b"] \t :1}}')),
    'list for a key, tab after it': page_of(metadata_event(b'{["b"]\t:1}')),
    'what looks like such a key in a text': page_of(metadata_event(b'{"a":"[x]: y"}')),
    'comma at the end': page_of(metadata_event())[:-1] + b',]',
}


@pytest.mark.parametrize('body', OTHER_FORMS.values(), ids=OTHER_FORMS)
def test_page_of_any_other_form_says_the_same_as_by_the_book(body: bytes) -> None:
    assert said(decoded(body)) == said(by_the_book(body))


def test_python_without_sqlite_reads_by_the_book(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'sqlite3', None)
    assert split(page_of(metadata_event())) is None
    assert [event.line for event in decode_page(page_of(metadata_event()))] == [metadata_event()]


@every
@given(
    st.integers(0, len(metadata_event()) * 2),
    st.integers(0, 5),
    st.binary(max_size=4)
    | st.sampled_from(
        [
            b',',
            b']',
            b'}',
            b'{',
            b'"',
            b'\\',
            b'\\"',
            b'\0',
            b'0',
            b'-',
            b'null',
            b',{"sequence":',
            b',"metadata":{',
            b'"},{"sequence":',
            metadata_event(),
            DELETED,
        ]
    ),
)
def test_mutated_page_says_the_same_as_by_the_book(position: int, length: int, put_in: bytes) -> None:
    page = page_of(metadata_event(), metadata_event())
    body = page[:position] + put_in + page[position + length :]
    assert said(decoded(body)) == said(by_the_book(body))


# No further than the limit


@pytest.mark.parametrize('event', [EVENT, metadata_event()], ids=['by the book', 'split'])
@pytest.mark.parametrize(('size', 'is_page'), [(3, True), (4, False)])
def test_n13_page_has_no_more_events_than_were_asked_for(event: bytes, size: int, is_page: bool) -> None:
    body = b'[' + b','.join([event] * size) + b']'
    if is_page:
        assert len(decode_page(body, limit=3)) == size
    else:
        with pytest.raises(ValueError):
            decode_page(body, limit=3)


@pytest.mark.parametrize('event', [EVENT, metadata_event()], ids=['by the book', 'split'])
def test_n13_nothing_beyond_the_limit_is_decoded(event: bytes) -> None:
    body = b'[' + b','.join([event] * 50_000) + b']'
    tracemalloc.start()
    try:
        with pytest.raises(ValueError):
            decode_page(body, limit=100)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(body)  # as text and as bytes, and no events
