"""What a wanted value means for each value representation: the table of the interface, each row from both sides."""

from __future__ import annotations

from typing import Any

import pytest

from dicomfeed.matching import canonical, matcher_of, problem_of
from dicomfeed.tags import Reason
from dicomfeed.wildcards import Wildcards

YAMADA = {'Alphabetic': 'Yamada^Tarou', 'Ideographic': '山田^太郎', 'Phonetic': 'やまだ^たろう'}
JOHN = {'Alphabetic': 'Doe^John^^Dr^'}


def matches(vr: str, wanted: str, value: Any) -> bool:
    matches_value = matcher_of([wanted], vr)
    return matches_value is not None and matches_value(value)


# VR, wanted value, values that match, values that do not
TABLE: dict[str, tuple[str, str, list[Any], list[Any]]] = {
    'text: whole value': ('LO', 'Chest', ['Chest', ' Chest  '], ['Chest CT', 'chest', 'Ches', '', None, True]),
    'text: any text': ('LO', '*CT*', ['CT', 'Chest CT plain', 'CT\nHEAD'], ['C T', 'ct', None]),
    'text: one character': ('SH', 'A?C', ['ABC', 'A C', 'A山C'], ['AC', 'ABBC']),
    'text: literal star': ('LO', r'1\*', ['1*'], ['1', '12', r'1\*']),
    'text: literal question mark': ('LO', r'why\?', ['why?'], ['whyx', r'why\?']),
    'text: literal backslash': ('LT', r'C:\\*', ['C:\\', 'C:\\data'], ['C:', 'C:/data']),
    'text: other backslash': ('LT', r'a\b', ['a\\b'], ['ab']),
    'text: lines': ('UT', 'a*d', ['a\r\nb\nc d'], ['a\r\nb']),
    'text: number that was written as one': ('LO', '007', ['007'], ['7']),
    'text: comma': ('LO', 'Head, neck', ['Head, neck'], ['Head']),
    'AE': ('AE', 'STORE', ['STORE', 'STORE '], ['store']),
    'text: literal wildcards in one value': ('CS', r'a\*\?', ['A*?'], ['AB', r'A\*\?']),
    'AS': ('AS', '0??Y', ['034Y'], ['034M', '104Y']),
    'AS: without zeros': ('AS', '4Y', ['004Y', '4Y', '04Y'], ['004M', '040Y', '4']),
    'AS: no age': ('AS', 'Y', ['Y'], ['000Y']),
    'ST': ('ST', 'a', ['a'], ['A']),
    'UC': ('UC', 'a*', ['abc'], ['Abc']),
    'UR': ('UR', 'https://*', ['https://a/b'], ['http://a/b']),
    'UI': ('UI', '1.2.840.*', ['1.2.840.1', '1.2.840.1\0'], ['1.2.841.1', '1.2.840']),
    'AT': ('AT', '0010001?', ['00100010'], ['00100020']),
    'CS: any letter case': ('CS', 'ct', ['CT', 'ct'], ['CR', 'CT1']),
    'CS: wildcards': ('CS', 'deriv*', ['DERIVED'], ['ORIGINAL']),
    'PN: any letter case': ('PN', 'doe^john^^dr', [JOHN, {'Alphabetic': 'DOE^JOHN^^DR'}], [YAMADA, {}, None]),
    'PN: carets at the end': ('PN', 'Yamada^Tarou^^', [YAMADA, {'Alphabetic': 'Yamada^Tarou^^^'}], [JOHN]),
    'PN: wildcards': ('PN', 'DOE^JOHN*', [JOHN, {'Alphabetic': 'doe^johnny'}], [{'Alphabetic': 'Doe^Jo'}]),
    'PN: any component at the end': (
        'PN',
        'DOE^JOHN^*',
        [JOHN, {'Alphabetic': 'Doe^John'}, {'Alphabetic': 'Doe^John^A'}],
        [{'Alphabetic': 'Doe^Johnny'}],
    ),
    'PN: any component at the end, twice': (
        'PN',
        'DOE^JOHN^**',
        [JOHN, {'Alphabetic': 'Doe^John'}],
        [{'Alphabetic': 'Doe^Johnny'}],
    ),
    'PN: literal star after a caret': ('PN', r'doe^\*', [{'Alphabetic': 'Doe^*'}], [JOHN, {'Alphabetic': 'Doe'}]),
    'PN: any group': ('PN', '山田*', [YAMADA], [JOHN, {'Alphabetic': '山'}]),
    'PN: literal star': ('PN', r'doe\*', [{'Alphabetic': 'Doe*'}], [JOHN]),
    'PN: full case folding': ('PN', 'STRAUSS^*', [{'Alphabetic': 'Strauß^Anna'}], [{'Alphabetic': 'Straus^Anna'}]),
    'PN: one character that folds to two': (
        'PN',
        'STRAU?^*',
        [{'Alphabetic': 'Strauß^Anna'}, {'Alphabetic': 'Straus^Anna'}],
        [{'Alphabetic': 'Strau^Anna'}],
    ),
    'CS: one character that folds to two': ('CS', '?A', ['İa', 'ia'], ['a']),
    'PN: group by group': ('PN', 'YAMADA*=山田^太郎', [YAMADA], [{'Ideographic': '山田^太郎'}, JOHN]),
    'PN: empty group is any': ('PN', '==やまだ*', [YAMADA, {'Phonetic': 'やまだ'}], [JOHN]),
    'PN: first group alone': ('PN', '山田*=', [{'Alphabetic': '山田'}], [YAMADA]),
    'PN: written as text': ('PN', '=山田*', ['Yamada=山田^太郎'], ['山田', '山田=Yamada']),
    'DA: exact': ('DA', '20240501', ['20240501', '20240501 '], ['20240502', '202405']),
    'DA: wildcards': ('DA', '202405*', ['20240501', '20240531', '202405'], ['20240601']),
    'DA: range': ('DA', '20240501-20240531', ['20240501', '20240531'], ['20240430', '20240601', 'May', '']),
    'DA: from': ('DA', '20240501-', ['20240501', '99991231'], ['20240430']),
    'DA: until': ('DA', '-20240501', ['20240501', '00010101'], ['20240502', '00000101']),
    'DA: precision of a month': ('DA', '202402-202403', ['20240201', '20240331'], ['20240131', '20240401']),
    'DA: precision of a year': ('DA', '2023-2024', ['20230101', '20241231'], ['20221231', '20250101']),
    'DA: no end in sight': ('DA', '20240101-99991231', ['20240101', '99991231'], ['20231231']),
    'DA: old form': ('DA', '20240501-20240531', ['2024.05.01'], ['2024.06.01']),
    'TM: exact': ('TM', '1030', ['1030'], ['103000', '1031']),
    'TM: wildcards': ('TM', '10*', ['10', '103059.5'], ['0910']),
    'TM: precision of a minute': ('TM', '1000-1030', ['100000', '103059.999999', '10', '10:15'], ['103100', '0959']),
    'TM: precision of an hour': ('TM', '09-10', ['090000', '105959.9'], ['085959', '110000']),
    'TM: precision of a fraction': ('TM', '10-100000.5', ['100000', '100000.59'], ['100000.6']),
    'TM: leap second': ('TM', '-2359', ['235960', '2359'], []),
    'DT: exact': ('DT', '20240501103000', ['20240501103000'], ['2024050110300', '20240501103000+0000']),
    'DT: wildcards': ('DT', '20240501*+0200', ['202405011030+0200'], ['202405011030+0100']),
    'DT: range': ('DT', '2024050110-2024050111', ['202405011000', '20240501115959.9'], ['202405011200', '20240501']),
    'DT: range of years': ('DT', '2023-2024', ['2023', '20241231235959.999999'], ['2022', '2025']),
    'DT: exact with another offset': (
        'DT',
        '202405011200+0000',
        ['202405011200+0000', '202405011400+0200', '202405010700-0500'],
        ['202405011200+0200', '202405011200'],
    ),
    'DT: hyphen of an offset': ('DT', '2024-0500', ['2024-0500'], ['0500', '20240601', '2024']),
    'DT: range with offsets': (
        'DT',
        '202405011200+0000-202405011300+0000',
        ['202405011400+0200', '202405011500+0200', '202405011230', '202405010800-0500'],
        ['202405011200+0200', '202405011330+0000', '202405010659-0500', '202405011501+0200'],
    ),
    'DT: range from an offset': ('DT', '2024-0500-', ['202401010500+0000'], ['202401010459+0000']),
    'DT: range until an offset': ('DT', '-2024-0500', ['202501010459+0000'], ['202501010500+0000']),
    'DT: range without an offset': ('DT', '20240501-20240501', ['202405012330-0500'], ['202405020030+0900']),
    'IS': ('IS', '7', ['7', '+7', ' 007 ', '7.0'], ['8', '70', '-7', 'seven', '']),
    'DS': ('DS', '1.50', ['1.5', '1.500', '15e-1', '0.15E+1'], ['1.51', '15', '1.5.0']),
    'DS: beyond double precision': ('DS', '0.1000000000000000055', ['0.10000000000000000550'], ['0.1']),
    'DS: zero': ('DS', '0', ['-0.0', '0e5', '.0'], ['0.1', '.', '-', 'e']),
    'UV': ('UV', '18446744073709551615', ['18446744073709551615'], ['18446744073709551616', '1.8446744073709552e19']),
    'SV': ('SV', '-9223372036854775808', ['-9223372036854775808'], ['9223372036854775808']),
    'US': ('US', '512', ['512'], ['513']),
    'SS': ('SS', '-1', ['-1'], ['1']),
    'UL': ('UL', '1e3', ['1000'], ['1001']),
    'SL': ('SL', '+5', ['5'], ['-5']),
    'FL': ('FL', '0.1', ['0.1', '1E-1'], ['NaN', '0.10000000149011612']),
    'FD': ('FD', '-2.5', ['-2.5'], ['-2.50000000000000001']),
}


@pytest.mark.parametrize(('vr', 'wanted', 'those', 'others'), TABLE.values(), ids=TABLE)
def test_value_matches_by_its_vr(vr: str, wanted: str, those: list[Any], others: list[Any]) -> None:
    assert problem_of(wanted, (vr,)) is None
    assert [value for value in those if not matches(vr, wanted, value)] == []
    assert [value for value in others if matches(vr, wanted, value)] == []


VALUE_OF = {
    **dict.fromkeys(('AE', 'AS', 'AT', 'CS', 'LO', 'LT', 'SH', 'ST', 'UC', 'UI', 'UR', 'UT'), 'A'),
    **dict.fromkeys(('DA', 'TM', 'DT', 'IS', 'DS', 'US', 'SS', 'UL', 'SL', 'FD', 'SV', 'UV'), '1'),
    'FL': 'NaN',
    'PN': {'Phonetic': 'a'},
}


@pytest.mark.parametrize(('vr', 'value'), VALUE_OF.items(), ids=VALUE_OF)
def test_star_alone_matches_any_value(vr: str, value: Any) -> None:
    assert problem_of('*', (vr,)) is None
    assert matches(vr, '*', value) and matches(vr, '**', value)
    assert not any(matches(vr, '*', nothing) for nothing in (None, '', ' ', {}, {'Alphabetic': '^^'}))


def test_star_among_values_matches_any_value() -> None:
    matches_value = matcher_of(['1', '*'], 'IS')
    assert matches_value is not None and matches_value('2') and not matches_value(None)


@pytest.mark.parametrize('vr', ['SQ', 'OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN', 'XX', ''])
def test_vr_without_comparable_values_matches_nothing(vr: str) -> None:
    assert matcher_of(['*', 'a'], vr) is None


NEVER = {
    'empty': ('LO', '', Reason.NO_VALUE),
    'empty number': ('IS', '', Reason.NO_VALUE),
    'carets alone': ('PN', '^^', Reason.NO_VALUE),
    'equals signs alone': ('PN', '==', Reason.NO_VALUE),
    'four groups': ('PN', 'a=b=c=d', Reason.NOT_A_NAME),
    'word': ('IS', 'seven', Reason.NOT_A_NUMBER),
    'wildcard in a number': ('DS', '1*', Reason.NOT_A_NUMBER),
    'range of numbers': ('US', '1-5', Reason.NOT_A_NUMBER),
    'hexadecimal': ('US', '0x10', Reason.NOT_A_NUMBER),
    'comma': ('DS', '1,5', Reason.NOT_A_NUMBER),
    'NaN': ('FL', 'NaN', Reason.NOT_A_NUMBER),
    'other digits': ('IS', '７', Reason.NOT_A_NUMBER),
    'name of a UID': ('UI', 'CTImageStorage', Reason.NOT_A_UID),
    'other digits in a UID': ('UI', '1.２', Reason.NOT_A_UID),
    'several values': ('CS', r'ORIGINAL\PRIMARY', Reason.SEVERAL_VALUES),
    'list of codes': ('CS', 'CT,MR', Reason.SEVERAL_VALUES),
    'several values with a wildcard': ('LO', r'a\*\*\\b', Reason.SEVERAL_VALUES),
    'month': ('DA', '202405', Reason.NOT_A_DATE),
    'year': ('DA', '2024', Reason.NOT_A_DATE),
    'date with hyphens': ('DA', '2024-05-01', Reason.NOT_A_DATE),
    'date with hyphens and wildcards': ('DA', '2024-05-*', Reason.NOT_A_DATE),
    'date with slashes': ('DA', '05/01/2024', Reason.NOT_A_DATE),
    'from later to earlier': ('DA', '20240531-20240501', Reason.NOT_A_DATE),
    'thirteenth month': ('DA', '20241301-', Reason.NOT_A_DATE),
    'hyphen': ('DA', '-', Reason.NOT_A_DATE),
    'time of day in a date': ('DA', '20240501T10-', Reason.NOT_A_DATE),
    'range of a range': ('TM', '10-11-12', Reason.NOT_A_TIME),
    'hour 24': ('TM', '24-', Reason.NOT_A_TIME),
    'over midnight': ('TM', '22-02', Reason.NOT_A_TIME),
    'time as text': ('TM', 'noon', Reason.NOT_A_TIME),
    'ISO date and time': ('DT', '2024-05-01T10:00', Reason.NOT_A_DATE_TIME),
    'offset without a time': ('DT', '-0500', Reason.NOT_A_DATE_TIME),
    'offsets turn it round': ('DT', '2024050110-0500-2024050112+0000', Reason.NOT_A_DATE_TIME),
}


@pytest.mark.parametrize(('vr', 'wanted', 'reason'), NEVER.values(), ids=NEVER)
def test_value_that_can_never_match_is_a_problem(vr: str, wanted: str, reason: Reason) -> None:
    assert problem_of(wanted, (vr,)) is reason


def test_value_is_a_problem_only_where_no_vr_of_the_attribute_takes_it() -> None:
    assert problem_of('abc', ('US', 'SS')) is Reason.NOT_A_NUMBER
    assert problem_of('abc', ('US', 'LO')) is None
    assert problem_of('abc', ()) is None


def test_value_with_a_problem_matches_nothing_of_an_unexpected_vr() -> None:
    assert not any(matches(vr, '1-', value) for vr, value in [('IS', '1'), ('DA', '20240501'), ('TM', '10')])
    assert not matches('PN', 'a=b=c=d', {'Alphabetic': 'a', 'Ideographic': 'b', 'Phonetic': 'c'})


SAME = {
    'number': ('DS', '1.50', '15e-1'),
    'CS': ('CS', 'ct', 'CT'),
    'age': ('AS', '45Y', '045Y'),
    'name': ('PN', 'DOE^John^^', 'doe^john'),
    'name by groups': ('PN', 'a=b=', 'A=B'),
    'name by the first group': ('PN', 'a==', 'a='),
    'wildcards': ('LO', 'a**?', 'a?*'),
    'any': ('IS', '*', '***'),
}
OTHER = {
    'text': ('LO', 'a', 'A'),
    'number': ('DS', '1', '10'),
    'sign': ('DS', '1', '-1'),
    'name by the first group': ('PN', 'a', 'a='),
    'star': ('LO', r'\*', '*'),
    'range': ('DA', '2024-', '-2024'),
}


@pytest.mark.parametrize(('vr', 'one', 'other'), SAME.values(), ids=SAME)
def test_values_that_mean_the_same_have_one_form(vr: str, one: str, other: str) -> None:
    assert canonical(one, (vr,)) == canonical(other, (vr,))


@pytest.mark.parametrize('text', ['Straße', 'a=b', '\ud800'])
def test_text_without_wildcards_has_the_form_of_a_pattern(text: str) -> None:
    assert canonical(text, ('LO',)) == Wildcards(text).canonical
    assert canonical(text, ('CS',)) == Wildcards(text, ignore_case=True).canonical


@pytest.mark.parametrize(('vr', 'one', 'other'), OTHER.values(), ids=OTHER)
def test_values_that_mean_something_else_have_another_form(vr: str, one: str, other: str) -> None:
    assert canonical(one, (vr,)) != canonical(other, (vr,))


HUGE = {
    'digits': ('DS', '1', '1' * 1_000_000),
    'zeros': ('DS', '1', '0' * 1_000_000 + 'x'),
    'exponent': ('DS', '1', '1e' + '9' * 1_000_000),
    'far exponent': ('DS', '1', '1e999999999999999999'),
    'text': ('LO', '*a*a*a*b', 'a' * 1_000_000),
    'name': ('PN', '*^*^*^b', '^' * 1_000_000),
    'groups': ('PN', 'a=b', '=' * 1_000_000),
    'date': ('DA', '2024-', '2024' + '0' * 1_000_000),
    'old date': ('DA', '2024-', '.' * 1_000_000),
    'time': ('TM', '10-', '100000.' + '0' * 1_000_000),
    'date and time': ('DT', '2024-', '2024' + '-' * 1_000_000),
}


@pytest.mark.parametrize(('vr', 'wanted', 'value'), HUGE.values(), ids=HUGE)
def test_huge_value_is_compared(vr: str, wanted: str, value: str) -> None:
    assert not matches(vr, wanted, value)


def test_thousands_of_values_are_one_look_up() -> None:
    matches_value = matcher_of([f'PID-{number}' for number in range(50_000)], 'LO')
    assert matches_value is not None
    assert sum(matches_value(f'PID-{number}') for number in range(40_000, 60_000)) == 10_000
