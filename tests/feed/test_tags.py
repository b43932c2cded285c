"""FIELD as users type it, and what is refused because no metadata can have it."""

from __future__ import annotations

import pytest

from dicomfeed.tags import DEEPEST, NamedField, Problem, Reason, parse_field

TAKEN = {
    'keyword': ('PatientID', ('00100020',)),
    'keyword in another case': ('patientid', ('00100020',)),
    'blanks around': (' PatientID\t', ('00100020',)),
    'tag': ('00100020', ('00100020',)),
    'tag with a comma': ('0010,0020', ('00100020',)),
    'tag in parentheses': ('(0010,0020)', ('00100020',)),
    'tag as pydicom prints it': ('(0010, 0020)', ('00100020',)),
    'lower-case digits': ('0008103e', ('0008103E',)),
    'private': ('0009,1001', ('00091001',)),
    'private creator': ('00090010', ('00090010',)),
    'repeating group': ('6002,0010', ('60020010',)),
    'unknown to the dictionary': ('00100BAD', ('00100BAD',)),
    'binary or not': ('RedPaletteColorLookupTableDescriptor', ('00281101',)),
    'sequence': ('RequestAttributesSequence', ('00400275',)),
    'in a sequence': ('RequestAttributesSequence.StudyInstanceUID', ('00400275', '0020000D')),
    'mixed': ('(0040,0275).00400008.CodeValue', ('00400275', '00400008', '00080100')),
    'in a private sequence': ('00091010.00091011', ('00091010', '00091011')),
    'a reference has it': ('ReferencedStudySequence.RetrieveURL', ('00081110', '00081190')),
}


@pytest.mark.parametrize(('text', 'path'), TAKEN.values(), ids=TAKEN)
def test_field_is_a_path_of_tags(text: str, path: tuple[str, ...]) -> None:
    named = parse_field(text)
    assert isinstance(named, NamedField) and named.path == path


@pytest.mark.parametrize(
    ('text', 'vrs'),
    [('PatientName', ('PN',)), ('SmallestImagePixelValue', ('US', 'SS')), ('LUTData', ('US',)), ('00091001', ())],
    ids=['one', 'two', 'without the binary one', 'unknown'],
)
def test_field_has_the_vrs_of_the_dictionary(text: str, vrs: tuple[str, ...]) -> None:
    named = parse_field(text)
    assert isinstance(named, NamedField) and named.vrs == vrs


REFUSED = {
    'nothing': ('', Reason.NOT_A_FIELD),
    'blank': ('  ', Reason.NOT_A_FIELD),
    'point at the end': ('Modality.', Reason.NOT_A_FIELD),
    'half a tag': ('0010', Reason.NOT_A_FIELD),
    'one parenthesis': ('(0010,0020', Reason.NOT_A_FIELD),
    'other digits': ('００１０００２０', Reason.NOT_A_FIELD),
    'line break': ('Modality\nPatientID', Reason.NOT_A_FIELD),
    'all': ('All', Reason.ALL),
    'unknown keyword': ('Modalitty', Reason.UNKNOWN_KEYWORD),
    'repeating group by keyword': ('OverlayRows', Reason.REPEATING_GROUP),
    'command group': ('00000002', Reason.NOT_STORED),
    'file meta information': ('TransferSyntaxUID', Reason.NOT_STORED),
    'item': ('FFFEE000', Reason.NOT_STORED),
    'group length': ('00100000', Reason.NOT_STORED),
    'in a sequence of the command group': ('RequestAttributesSequence.00000002', Reason.NOT_STORED),
    'pixels': ('PixelData', Reason.BULK),
    'overlay': ('60003000', Reason.BULK),
    'binary in a sequence': ('IconImageSequence.PixelData', Reason.BULK),
    'modalities in a study': ('ModalitiesInStudy', Reason.COMPUTED),
    'SOP classes in a study': ('SOPClassesInStudy', Reason.COMPUTED),
    'number of instances': ('NumberOfStudyRelatedInstances', Reason.COMPUTED),
    'URL': ('0008,1190', Reason.COMPUTED),
    'in what is no sequence': ('Modality.PatientID', Reason.NOT_A_SEQUENCE),
    'too deep': ('.'.join(['00091010'] * (DEEPEST + 1)), Reason.TOO_DEEP),
    'too long': ('x' * 100_000, Reason.TOO_LONG),
}


@pytest.mark.parametrize(('text', 'reason'), REFUSED.values(), ids=REFUSED)
def test_field_that_cannot_exist_is_refused(text: str, reason: Reason) -> None:
    problem = parse_field(text)
    assert isinstance(problem, Problem) and problem.reason is reason


def test_unknown_keyword_comes_with_similar_ones() -> None:
    problem = parse_field('RequestAttributesSequence.Modalitty')
    assert isinstance(problem, Problem) and 'Modality' in problem.similar


def test_every_number_of_a_search_is_refused() -> None:
    names = [
        *(f'NumberOfPatientRelated{what}' for what in ('Studies', 'Series', 'Instances')),
        *(f'NumberOfStudyRelated{what}' for what in ('Series', 'Instances')),
        'NumberOfSeriesRelatedInstances',
    ]
    assert {parse_field(name) for name in names} == {Problem(Reason.COMPUTED)}
