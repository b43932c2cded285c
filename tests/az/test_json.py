"""Numbers that a double does not hold are written as they came, and what is written is JSON."""

from __future__ import annotations

import json
from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azext_dicomtoken._json import dumps, escape, loads

NUMBERS = ['1e400', '-1E+400', '0.1234567890123456789', '12345678901234567890', '1.0E5', '0.10', '1.5', '-7']


@pytest.mark.parametrize('number', NUMBERS)
def test_l17_number_that_is_returned_is_written_as_it_came(number: str) -> None:
    value = loads(f'{{"a": [{number}]}}')
    assert dumps(value) == f'{{"a": [{number}]}}'
    assert dumps(jmespath.search('a[0]', value)) == number
    assert str(value['a'][0]) == number or number in ('-7', '1.5')


@pytest.mark.parametrize(
    ('query', 'expected'),
    [
        ('sum(@)', '"Infinity"'),
        ('abs([0])', '"Infinity"'),
        ('max(@)', '1e400'),
        ('type([0])', '"number"'),
        ('[?@ > `5`]', '[1e400]'),
    ],
)
def test_l17_number_that_was_computed_is_json(query: str, expected: str) -> None:
    assert dumps(jmespath.search(query, loads('[1e400, 2.5]'))) == expected


NUMBERS_AND_TEXTS = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.recursive(st.none() | st.booleans() | NUMBERS_AND_TEXTS, st.lists))
def test_everything_else_is_as_json_has_it(value: Any) -> None:
    assert json.loads(dumps(value)) == value


@given(st.text(alphabet=st.characters(codec=None)))
def test_escaped_text_says_the_same(text: str) -> None:
    assert json.loads(f'"{escape(text)}"') == text
