"""Dates, times and ranges of DICOM: what a text names, and which values a range holds."""

from __future__ import annotations

import pytest

from dicomfeed.spans import is_same_time, parse_range, parse_span

SECOND = 1_000_000
DAY = 86_400 * SECOND


@pytest.mark.parametrize(
    ('text', 'vr', 'length'),
    [
        ('2024', 'DA', 366 * DAY),
        ('202402', 'DA', 29 * DAY),
        ('20240229', 'DA', DAY),
        ('2024.02.29', 'DA', DAY),
        ('10', 'TM', 3_600 * SECOND),
        ('1015', 'TM', 60 * SECOND),
        ('10:15:30', 'TM', SECOND),
        ('101530.5', 'TM', SECOND // 10),
        ('20240229101530.123456', 'DT', 1),
        ('2024022910-0500', 'DT', 3_600 * SECOND),
    ],
)
def test_text_names_a_span_as_long_as_its_precision(text: str, vr: str, length: int) -> None:
    span = parse_span(text, vr)
    assert span is not None and span.last - span.first + 1 == length


@pytest.mark.parametrize(
    ('text', 'vr'),
    [
        ('20241301', 'DA'),
        ('24', 'TM'),
        ('1060', 'TM'),
        ('2024-02-29', 'DA'),
        ('20240229+1500', 'DT'),
    ],
)
def test_text_that_names_no_time_is_none(text: str, vr: str) -> None:
    assert parse_span(text, vr) is None


@pytest.mark.parametrize(
    ('text', 'vr', 'value', 'is_held'),
    [
        ('2024-', 'DA', '20240101', True),
        ('2024-', 'DA', '20231231', False),
        ('-2023', 'DA', '20231231', True),
        ('-2023', 'DA', '20240101', False),
        ('202401-202402', 'DA', '20240229', True),
        ('202401-202402', 'DA', '20240301', False),
        ('10-11', 'TM', '115959.999999', True),
        ('10-11', 'TM', '12', False),
        ('2023-2024', 'DT', '20241231', True),
        ('2024022910+0000-', 'DT', '2024022909-0100', True),
        ('2024022910+0000-', 'DT', '2024022910+0100', False),
    ],
)
def test_range_holds_both_ends_at_their_precision(text: str, vr: str, value: str, is_held: bool) -> None:
    found, span = parse_range(text, vr), parse_span(value, vr)
    assert found is not None and span is not None and found.holds(span) is is_held


@pytest.mark.parametrize(('text', 'vr'), [('2024', 'DA'), ('2024-2023', 'DA'), ('-', 'DA'), ('2023-0500', 'DT')])
def test_text_that_is_no_range_is_none(text: str, vr: str) -> None:
    assert parse_range(text, vr) is None


@pytest.mark.parametrize(
    ('other', 'is_same'), [('2024022909-0100', True), ('2024022910+0100', False), ('2024022910', False)]
)
def test_times_with_two_offsets_are_compared_as_times(other: str, is_same: bool) -> None:
    value, found = parse_span('2024022910+0000', 'DT'), parse_span(other, 'DT')
    assert value is not None and found is not None and is_same_time(value, found) is is_same
