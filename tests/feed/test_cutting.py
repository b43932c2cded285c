"""Pages with metadata that are cut into lines: they say the same as by the book, and what may not be cut is not."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfeed.cutting import cut
from dicomfeed.events import Event, decode_page

every = settings(derandomize=True, database=None, deadline=None, max_examples=500)

DELETED = b'{"sequence":41,"action":"Delete","timestamp":"2024-05-01T10:20:30+00:00","state":"Deleted"}'
METADATA = (
    '{"00080005":{"vr":"CS","Value":["ISO_IR 6"]},"00100010":{"vr":"PN","Value":[{"Ideographic":"山田^太郎"}]},'
    '"00101030":{"vr":"DS","Value":[72.50]},"00720083":{"vr":"UV","Value":[18446744073709551615]}}'
).encode()


def event_with(metadata: bytes = METADATA, after: bytes = b'') -> bytes:
    return (
        b'{"sequence":42,"sopInstanceUid":"1.2","action":"Create","timestamp":"2024-05-01T10:20:30.1234567+00:00",'
        b'"state":"Current","metadata":' + metadata + after + b'}'
    )


def page_of(*events: bytes) -> bytes:
    return b'[' + b','.join(events) + b']'


def by_the_book(body: bytes) -> list[Event] | None:
    """With a blank before it, which means nothing, no page is cut."""
    return decoded(b' ' + body)


def decoded(body: bytes) -> list[Event] | None:
    try:
        return decode_page(body)
    except ValueError:
        return None


def test_page_is_cut_to_the_letter() -> None:
    pieces = cut(page_of(event_with(), DELETED, event_with()))
    assert pieces is not None and [line for _, line in pieces] == [event_with(), DELETED, event_with()]
    assert all('metadata' not in json.loads(head) for head, _ in pieces)


@pytest.mark.parametrize('after', [b'', b',"futureProperty":{"a":[1]}'], ids=['last', 'before another property'])
def test_cut_page_says_the_same_as_by_the_book(after: bytes) -> None:
    body = page_of(event_with(after=after), DELETED)
    assert cut(body) is not None
    assert decode_page(body) == by_the_book(body)


READ_BY_THE_BOOK = {
    'no metadata': page_of(DELETED),
    'empty': b'[]',
    'blanks between': b'[' + event_with() + b' ,' + event_with() + b' ]',
    'line break inside': page_of(event_with(METADATA.replace(b',', b',\n'))),
    'nested without end': page_of(event_with(b'{"a":' * 900 + b'1' + b'}' * 900)),
    'thousands of digits': page_of(event_with(b'{"a":' + b'9' * 4301 + b'}')),
    'what looks like an event inside': page_of(event_with(b'{"a":[{"b":1},{"sequence":7,"timestamp":"x"}]}')),
    'metadata of something else': page_of(DELETED[:-1] + b',"a":{"b":1,"metadata":{}}}'),
    'timestamp last': page_of(b'{"sequence":42,"metadata":{},"timestamp":"2024-05-01T10:20:30Z"}'),
    'more events than in a page': page_of(*[event_with(b'{}')] * 33_000),
    'not closed': page_of(event_with())[:-1],
    'NaN': page_of(event_with(b'{"a":NaN}')),
    'JSON5': page_of(event_with(b"{'a':0x1F,}")),
    'NUL': page_of(event_with(b'{}}\0')),
    'control character': page_of(event_with(b'{"a":"\x01"}')),
    'comma at the end': page_of(event_with())[:-1] + b',]',
}


@pytest.mark.parametrize('body', READ_BY_THE_BOOK.values(), ids=READ_BY_THE_BOOK)
def test_page_of_any_other_form_says_the_same_as_by_the_book(body: bytes) -> None:
    assert decoded(body) == by_the_book(body)


def test_python_without_sqlite_reads_by_the_book(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'sqlite3', None)
    assert cut(page_of(event_with())) is None
    assert [event.line for event in decode_page(page_of(event_with()))] == [event_with()]


@every
@given(
    st.integers(0, len(event_with()) * 2),
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
            event_with(),
            DELETED,
        ]
    ),
)
def test_mutated_page_says_the_same_as_by_the_book(position: int, length: int, put_in: bytes) -> None:
    page = page_of(event_with(), event_with())
    body = page[:position] + put_in + page[position + length :]
    assert decoded(body) == by_the_book(body)
