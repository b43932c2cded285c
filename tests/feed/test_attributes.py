"""Selected attributes of an event, as the service wrote them; found by SQLite and by the book alike."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfeed.attributes import Fields, Selection, parse_fields, select
from dicomfeed.tags import FieldRefused, Reason

every = settings(max_examples=300)

HEAD = (
    b'{"sequence":42,"partitionName":"Microsoft.Default","filePath":"a/b.dcm","studyInstanceUid":"1.2",'
    b'"seriesInstanceUid":"1.2.1","sopInstanceUid":"1.2.1.7","action":"Create",'
    b'"timestamp":"2024-05-01T10:20:30.1234567+00:00","state":"Current"'
)
METADATA = (
    '{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},'
    '"0020000D":{"vr":"UI","Value":["1.2"]},'
    '"00100010":{"vr":"PN","Value":[{"Alphabetic":"Yamada^Tarou","Ideographic":"山田^太郎"}]},'
    '"00100040":{"vr":"CS"},'
    r'"00104000":{"vr":"LT","Value":["a\u0041\/\"00100020\":{} , \ud800"]},'
    '"00181164":{"vr":"DS","Value":[1.0,1.10,0.1000000000000000055,1E2,-0.0]},'
    '"00400275":{"vr":"SQ","Value":[{"0020000D":{"vr":"UI","Value":["1.9"]},"00400007":{"vr":"LO","Value":["Chest"]},'
    '"00400008":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["C"]},"00080104":{"vr":"LO","Value":["Code"]}}]}},'
    '{"00400009":{"vr":"SH","Value":["S"]}},null,{}]},'
    '"00720083":{"vr":"UV","Value":[18446744073709551615]}}'
).encode()
DELETED = HEAD.replace(b'Current', b'Deleted') + b'}'


def line(metadata: bytes = METADATA, *, after: bytes = b'') -> bytes:
    return HEAD + b',"metadata":' + metadata + after + b'}'


def by_the_book(lines: list[bytes], tags: Any) -> list[Selection]:
    """With a blank before the name of the metadata, which means nothing, SQLite is not asked."""
    return select([text.replace(b'"metadata":', b'"metadata" :', 1) for text in lines], tags)


def plain(selections: list[Selection]) -> list[tuple[bytes, Any]]:
    """What selections say, whatever they were made of."""
    return [(selection.line(), selection.attributes) for selection in selections]


def reduced(text: bytes, *fields: str) -> bytes:
    """The line with these fields, and a check that both ways give the same."""
    wanted = parse_fields(fields)
    (selection,) = select([text], wanted.tags)
    assert plain(by_the_book([text], wanted.tags)) == plain([selection])
    return selection.line(None if selection.attributes is None else wanted.reduce(selection.attributes))


REDUCED = {
    'one': (
        ['PatientName'],
        '{"00100010":{"vr":"PN","Value":[{"Alphabetic":"Yamada^Tarou","Ideographic":"山田^太郎"}]}}',
    ),
    'in the order of tags': (
        ['00720083', 'SpecificCharacterSet'],
        '{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00720083":{"vr":"UV","Value":[18446744073709551615]}}',
    ),
    'numbers': (['00181164'], '{"00181164":{"vr":"DS","Value":[1.0,1.10,0.1000000000000000055,1E2,-0.0]}}'),
    'escapes': (['PatientComments'], r'{"00104000":{"vr":"LT","Value":["a\u0041\/\"00100020\":{} , \ud800"]}}'),
    'empty': (['PatientSex'], '{"00100040":{"vr":"CS"}}'),
    'of the instance, not of an item': (['StudyInstanceUID'], '{"0020000D":{"vr":"UI","Value":["1.2"]}}'),
    'missing': (['PatientID'], '{}'),
    'no fields': ([], '{}'),
    'sequence': (
        ['RequestAttributesSequence'],
        '{"00400275":' + METADATA.decode().partition('"00400275":')[2].partition(',"00720083"')[0] + '}',
    ),
    'in a sequence': (
        ['RequestAttributesSequence.00400007'],
        '{"00400275":{"vr":"SQ","Value":[{"00400007":{"vr":"LO","Value":["Chest"]}},{},null,{}]}}',
    ),
    'two in a sequence': (
        ['00400275.00400009', '00400275.0020000D'],
        '{"00400275":{"vr":"SQ","Value":[{"0020000D":{"vr":"UI","Value":["1.9"]}},'
        '{"00400009":{"vr":"SH","Value":["S"]}},null,{}]}}',
    ),
    'deeper': (
        ['00400275.00400008.CodeMeaning'],
        '{"00400275":{"vr":"SQ","Value":[{"00400008":{"vr":"SQ","Value":[{"00080104":{"vr":"LO","Value":["Code"]}}]}},'
        '{},null,{}]}}',
    ),
    'sequence in a sequence': (
        ['00400275.00400008', '00400275.00400008.CodeMeaning'],
        '{"00400275":{"vr":"SQ","Value":[{"00400008":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["C"]},'
        '"00080104":{"vr":"LO","Value":["Code"]}}]}},{},null,{}]}}',
    ),
    'in no item': (['00400275.RequestedProcedureID', '00400275.00400008.CodingSchemeDesignator'], '{}'),
    'in what is written as no sequence': (['00091001.00100010'], '{}'),
}


@pytest.mark.parametrize(('fields', 'metadata'), REDUCED.values(), ids=REDUCED)
def test_metadata_are_reduced_to_the_letter(fields: list[str], metadata: str) -> None:
    assert reduced(line(), *fields) == line(metadata.encode())


@pytest.mark.parametrize(
    'element',
    [b'{"vr":"SQ"}', b'{"vr":"SQ","Value":[]}', b'{"vr":"LO","Value":[{"00091002":{}}]}', b'{"Value":[]}'],
    ids=str,
)
def test_what_is_no_sequence_of_items_has_no_fields(element: bytes) -> None:
    assert reduced(line(b'{"00091001":' + element + b'}'), '00091001.00091002') == line(b'{}')


@pytest.mark.parametrize('number', [b'9' * 10_000, b'0.' + b'3' * 10_000, b'1e999999999', b'-0'], ids=len)
def test_numbers_of_any_size_stay_as_they_are_written(number: bytes) -> None:
    metadata = b'{"00091001":{"vr":"DS","Value":[' + number + b']}}'
    assert reduced(line(metadata), '00091001') == line(metadata)


def test_line_has_known_properties_alone() -> None:
    text = HEAD + b',"futureProperty":{"name":"DOE"},"metadata":{},"more":[1]}'
    assert reduced(text) == line(b'{}')
    assert select([text], ())[0].line() == HEAD + b'}'


def test_event_without_metadata_has_none() -> None:
    assert reduced(DELETED, 'PatientID') == DELETED
    assert select([DELETED, line(b'null')], ['00100020'])[1].attributes is None


def test_names_of_other_servers_are_taken_as_they_are() -> None:
    text = b'{"Sequence":1,"Action":"Create","Metadata":{"00100020":{"vr":"LO","Value":["1"]}}}'
    assert reduced(text, 'PatientID') == text.replace(b'Metadata', b'metadata')


def test_blanks_inside_an_attribute_stay() -> None:
    text = line(b'{ "00100020" : { "vr":"LO" ,"Value":["1"] } }')
    assert reduced(text, 'PatientID') == line(b'{"00100020":{ "vr":"LO" ,"Value":["1"] }}')


BROKEN = {
    'twice': b'{"00100020":{"vr":"LO"},"00100020":{"vr":"SH"}}',
    'twice, once escaped': b'{"00100020":{"vr":"LO"},"\\u00300100020":{"vr":"SH"}}',
    'null': b'{"00100020":null}',
    'text': b'{"00100020":"1"}',
    'array': b'[]',
    'number': b'1',
    'no JSON': b'{"00100020":{"vr":LO}}',
    'JSON5': b"{'00100020':{vr:'LO'}}",
    'open': b'{"00100020":{}',
    'nested without end': b'{"00100020":' + b'[' * 100_000 + b']' * 100_000 + b'}',
}


@pytest.mark.parametrize('metadata', BROKEN.values(), ids=BROKEN)
def test_broken_metadata_raise(metadata: bytes) -> None:
    for way in (select, by_the_book):
        with pytest.raises(ValueError):
            way([line(metadata)], ['00100020'])


def test_other_attribute_may_occur_twice() -> None:
    text = line(b'{"00080060":{},"00100020":{"vr":"LO"},"00080060":{},"00080060":1}')
    assert reduced(text, 'PatientID') == line(b'{"00100020":{"vr":"LO"}}')


@pytest.mark.parametrize('after', [b',"metadata":{}', b',"Metadata":{}', b',"metadata":{"00100020":{}}'])
def test_metadata_that_occur_twice_raise(after: bytes) -> None:
    for way in (select, by_the_book):
        for text in (line(b'{}', after=after), HEAD + after + b',"metadata":{}}'):
            with pytest.raises(ValueError):
                way([text], ['00100020'])


def test_what_looks_like_metadata_further_in_is_none() -> None:
    text = HEAD + b',"a":{"b":1,"metadata":{"00100020":{"vr":"LO"}}},"c":{}}'
    assert select([text], ['00100020'])[0].attributes is None
    text = HEAD + b',"a":"\\",\\"metadata\\":{","metadata":{"00100020":{}}}'
    assert select([text], ['00100020'])[0].attributes == {'00100020': b'{}'}


def test_python_without_sqlite_selects_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = plain(select([line(), DELETED], ['00100010', '00720083']))
    monkeypatch.setitem(sys.modules, 'sqlite3', None)
    assert plain(select([line(), DELETED], ['00100010', '00720083'])) == expected


def test_more_tags_than_sqlite_takes_are_selected() -> None:
    tags = [f'{tag:08X}' for tag in range(0x00100000, 0x00100000 + 40_000)]
    assert set(select([line()], tags)[0].attributes or ()) == {'00100010', '00100040', '00104000'}


TAGS = ['00080060', '00100020', '0020000D', '00091001']
VALUES = st.one_of(
    st.none(),
    st.text(max_size=4),
    st.integers(-(2**64), 2**64),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(['"00100020":{}', '"', '\\', '},{', 'a, b: c', '\x1b', '山']),
)
ELEMENTS = st.recursive(
    st.fixed_dictionaries(
        {'vr': st.sampled_from(['LO', 'DS', 'UV'])}, optional={'Value': st.lists(VALUES, max_size=3)}
    ),
    lambda inner: st.fixed_dictionaries(
        {'vr': st.just('SQ'), 'Value': st.lists(st.none() | st.dictionaries(st.sampled_from(TAGS), inner), max_size=3)}
    ),
    max_leaves=6,
)
PATHS = st.lists(st.lists(st.sampled_from(TAGS), min_size=1, max_size=3).map(tuple), max_size=3).map(frozenset)


def picked(metadata: dict[str, Any], paths: frozenset[tuple[str, ...]]) -> dict[str, Any]:
    """The reduction as plainly as it can be said, of objects."""
    result: dict[str, Any] = {}
    for tag in sorted(metadata):
        inner = frozenset(path[1:] for path in paths if path[0] == tag)
        if () in inner:
            result[tag] = metadata[tag]
        elif inner and metadata[tag]['vr'] == 'SQ':
            items = [item and picked(item, inner) for item in metadata[tag]['Value']]
            if any(items):
                result[tag] = {'vr': 'SQ', 'Value': items}
    return result


@every
@given(
    st.dictionaries(st.sampled_from(TAGS), ELEMENTS), PATHS, st.booleans(), st.sampled_from([(',', ':'), (', ', ' : ')])
)
def test_both_ways_reduce_as_the_plain_one_does(
    metadata: dict[str, Any], paths: frozenset[tuple[str, ...]], ascii_only: bool, separators: tuple[str, str]
) -> None:
    def written(value: object) -> bytes:
        return json.dumps(value, ensure_ascii=ascii_only, separators=separators).encode()

    fields, text = Fields(paths), line(written(metadata))
    selections = select([text], fields.tags)
    assert plain(selections) == plain(by_the_book([text], fields.tags))
    metadata_text = fields.reduce(selections[0].attributes or {})
    assert json.loads(metadata_text) == picked(metadata, paths)
    if separators == (',', ':'):
        assert (
            metadata_text
            == json.dumps(picked(metadata, paths), ensure_ascii=ascii_only, separators=separators).encode()
        )


def outcome(way: Any, text: bytes) -> Any:
    try:
        return plain(way([text], ['00100010', '00100020', '00720083']))
    except ValueError:
        return ValueError


@every
@given(
    st.integers(0, len(line())),
    st.integers(0, 5),
    st.binary(max_size=3)
    | st.sampled_from(
        [
            *(b'{', b'}', b'[', b']', b',', b':', b'"', b'\\', b'\\"', b'\0', b' ', b'\n', b'0', b'-', b'NaN', b'null'),
            b',"metadata":{',
            b'"00100020":{}',
            b'"00100020":{},',
            b'"00080005":{},',
            b'},"00100020":{"vr":"LO"},"00100021":{',
            b'/**/',
            b"'",
        ]
    ),
)
def test_mutated_line_gives_the_same_both_ways(position: int, length: int, put_in: bytes) -> None:
    text = line()[:position] + put_in + line()[position + length :]
    assert outcome(select, text) == outcome(by_the_book, text)


def test_fields_that_mean_the_same_have_one_form() -> None:
    one = parse_fields(['patientid', 'RequestAttributesSequence', 'RequestAttributesSequence.CodeValue'])
    other = parse_fields(['(0040,0275)', '00100020', '00100020'])
    assert one.canonical() == other.canonical() == ['00100020', '00400275']
    assert one.tags == {'00100020', '00400275'}


@pytest.mark.parametrize(
    ('text', 'reason'),
    [('all', Reason.ALL), ('Modalty', Reason.UNKNOWN_KEYWORD), ('PixelData', Reason.BULK), ('', Reason.NOT_A_FIELD)],
)
def test_field_that_cannot_exist_is_named_by_its_position(text: str, reason: Reason) -> None:
    with pytest.raises(FieldRefused) as refused:
        parse_fields(['Modality', text])
    assert str(refused.value) == f'Field 2: {reason.value}.'
    assert (refused.value.kind, refused.value.position) == ('Field', 2)
