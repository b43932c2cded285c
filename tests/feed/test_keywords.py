"""The table of keywords, and looking one up."""

from __future__ import annotations

import configparser
import re

import pytest

from dicomfeed.keywords import Element, by_keyword, by_tag, similar_keywords
from scripts.keywords import TABLE, table_of

LINES = TABLE.read_text('ascii').splitlines()
VRS = set(
    'AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV'.split()
)


def test_table_has_every_keyword_and_every_repeating_group() -> None:
    repeating = [line for line in LINES if 'x' in line.split()[1]]
    assert (len(LINES) - len(repeating), len(repeating)) == (5085, 88)


def test_table_has_a_line_of_one_form_for_each_keyword() -> None:
    assert all(
        re.fullmatch(r'[A-Za-z][A-Za-z0-9]* [0-9A-Fx]{8} [A-Z]{2}(\|[A-Z]{2})*|\w+ FFFE\w{4} NONE', line)
        for line in LINES
    )
    assert {vr for line in LINES for vr in line.split()[2].split('|')} - {'NONE'} == VRS
    assert len({line.split()[0].lower() for line in LINES}) == len({line.split()[1] for line in LINES}) == len(LINES)


def test_table_is_in_the_order_of_tags() -> None:
    tags = [line.split()[1] for line in LINES]
    assert tags == sorted(tags)


def test_table_ships_with_the_package() -> None:
    settings = configparser.ConfigParser()
    settings.read(TABLE.parent.parent / 'setup.cfg', 'utf-8')
    assert TABLE.name in settings['options.package_data']['dicomfeed'].split()


def test_script_writes_the_form_of_the_table() -> None:
    rows = [('OverlayRows', '60xx0010', 'US'), ('', '00180061', 'DS'), ('PixelData', '7FE00010', 'OB or OW')]
    assert table_of([*rows, ('PatientID', '00100020', 'LO')]).splitlines() == [
        'PatientID 00100020 LO',
        'OverlayRows 60xx0010 US',
        'PixelData 7FE00010 OB|OW',
    ]


SAMPLE = {
    'CommandGroupLength': Element('CommandGroupLength', '00000000', ('UL',)),
    'patientname': Element('PatientName', '00100010', ('PN',)),
    'MODALITY': Element('Modality', '00080060', ('CS',)),
    'SmallestImagePixelValue': Element('SmallestImagePixelValue', '00280106', ('US', 'SS')),
    'RequestAttributesSequence': Element('RequestAttributesSequence', '00400275', ('SQ',)),
    'OverlayRows': Element('OverlayRows', '60xx0010', ('US',)),
    'SequenceDelimitationItem': Element('SequenceDelimitationItem', 'FFFEE0DD', ('NONE',)),
}


@pytest.mark.parametrize(('keyword', 'element'), SAMPLE.items(), ids=SAMPLE)
def test_keyword_is_found_in_any_letter_case(keyword: str, element: Element) -> None:
    assert by_keyword(keyword) == element
    assert element.repeats == (keyword == 'OverlayRows')


@pytest.mark.parametrize(
    'keyword', ['', 'Patient', 'Name', 'PatientName ', '00100010', 'PN', 'PatientName 00100010', 'ſtudyID']
)
def test_other_text_is_no_keyword(keyword: str) -> None:
    assert by_keyword(keyword) is None


@pytest.mark.parametrize('line', [LINES[0], LINES[-1], *LINES[100:5000:700]])
def test_tag_is_found(line: str) -> None:
    keyword, tag, vrs = line.split()
    assert by_tag(tag) == by_keyword(keyword) == Element(keyword, tag, tuple(vrs.split('|')))


@pytest.mark.parametrize(
    ('tag', 'keyword'), [('60000010', 'OverlayRows'), ('601E0010', 'OverlayRows'), ('002804F2', 'CoefficientCoding')]
)
def test_tag_in_a_repeating_group_is_found(tag: str, keyword: str) -> None:
    element = by_tag(tag)
    assert element is not None and element.keyword == keyword


@pytest.mark.parametrize(
    'tag',
    ['00091001', '60010010', '00180061', '60020BAD'],
    ids=['private', 'private repeating', 'no keyword', 'not in the repeating group'],
)
def test_tag_that_the_table_lacks_is_not_found(tag: str) -> None:
    assert by_tag(tag) is None


@pytest.mark.parametrize(
    ('typed', 'similar'),
    [('PatientNmae', 'PatientName'), ('modalty', 'Modality'), ('StudyInstanceUId', 'StudyInstanceUID')],
)
def test_similar_keywords_are_named(typed: str, similar: str) -> None:
    assert similar in similar_keywords(typed)


@pytest.mark.parametrize('typed', ['qqqq', 'x' * 65, 'PatientName' * 1000], ids=['unlike', 'long', 'very long'])
def test_nothing_is_similar_to_what_is_no_keyword_at_all(typed: str) -> None:
    assert similar_keywords(typed) == ()
