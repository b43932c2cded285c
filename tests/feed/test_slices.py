"""JSON text as slices of itself."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfeed.slices import decode, items, members

every = settings(max_examples=200)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
SEPARATORS = st.sampled_from([(',', ':'), (', ', ' : '), ('\n,\t', ':\r\n')])


@every
@given(st.dictionaries(st.sampled_from('abcdef'), VALUES), SEPARATORS, st.booleans())
def test_members_are_slices_of_an_object(
    value: dict[str, object], separators: tuple[str, str], ascii_only: bool
) -> None:
    def text(part: object) -> bytes:
        return json.dumps(part, separators=separators, ensure_ascii=ascii_only).encode()

    assert members(text(value)) == {name: text(part) for name, part in value.items()}


@every
@given(st.lists(VALUES, max_size=5), SEPARATORS)
def test_items_are_slices_of_an_array(value: list[object], separators: tuple[str, str]) -> None:
    text = json.dumps(value, separators=separators).encode()
    assert items(b' ' + text + b'\n') == [json.dumps(part, separators=separators).encode() for part in value]


@pytest.mark.parametrize(
    'number', [b'1.50', b'-0.0', b'1E2', b'18446744073709551615', b'9' * 10_000, b'0.' + b'1' * 10_000, b'1e999999999']
)
def test_numbers_stay_as_they_are_written(number: bytes) -> None:
    assert members(b'{"a":' + number + b'}') == {'a': number}
    assert items(b'[' + number + b']') == [number]
    assert decode(b'[' + number + b']') == [number.decode()]


BROKEN = {
    'nothing': b'',
    'open': b'{"a":1',
    'comma at the end': b'{"a":1,}',
    'comma at the start': b'{,"a":1}',
    'no comma': b'{"a":1 "b":2}',
    'no colon': b'{"a" 1}',
    'name of another kind': b'{1:1}',
    'more after it': b'{"a":1}{}',
    'NaN': b'{"a":NaN}',
    'nested without end': b'{"a":' + b'[' * 200_000,
    'twice': b'{"a":1,"b":2,"a":1}',
    'twice, escaped': b'{"a":1,"\\u0061":1}',
}


@pytest.mark.parametrize('data', BROKEN.values(), ids=BROKEN)
def test_what_is_no_object_is_refused(data: bytes) -> None:
    for read in (members, decode):
        with pytest.raises(ValueError) as refused:
            read(data)
        assert refused.value.__context__ is None  # the decoder's own error holds the text


@pytest.mark.parametrize('data', [b'', b'{}', b'[1,]', b'[1 2]', b'[', b'[1', b'[]]', b'[NaN]'])
def test_what_is_no_array_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        items(data)


def test_members_with_some_names_are_these_alone() -> None:
    text = b'{"a":1,"b":2,"a":3,"c":4}'
    assert members(text, {'b', 'c', 'd'}) == {'b': b'2', 'c': b'4'}
    with pytest.raises(ValueError):
        members(text, {'a'})
    with pytest.raises(ValueError):
        members(b'{"a":1 "b":2}', {'b'})


def test_name_that_occurs_twice_further_in_is_refused_where_it_is_decoded() -> None:
    assert list(members(b'{"a":{"b":1,"b":2}}')) == ['a']
    with pytest.raises(ValueError):
        decode(b'{"a":{"b":1,"b":2}}')
