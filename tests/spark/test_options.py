"""What a user may set, without Spark. What Spark shows of a refusal: `test_batch.py`."""

from __future__ import annotations

import pytest

from dicomfeed.spark.options import NAMES, OptionRefused, Options, absolute_time, parse_options
from dicomfeed.times import parse_timestamp

URL = 'https://contoso-imaging.dicom.azurehealthcareapis.com'
GOVERNMENT = 'https://contoso-imaging.dicom.azurehealthcareapis.us'


def parsed(**given: str) -> Options:
    return parse_options({'serviceUrl': URL, **given})


def test_defaults_need_no_more_than_the_service() -> None:
    assert parsed() == Options(URL, 'https://dicom.healthcareapis.azure.com', named=frozenset({'serviceUrl'}))


def test_names_and_choices_are_read_in_any_letter_case_as_spark_hands_them_over() -> None:
    given = {'TOKENFILE': ' /tokens/dicom ', 'credential': 'TokenFile', 'includemetadata': 'TRUE', 'rangesize': '250'}
    found = parsed(**given)
    assert (found.token_file, found.credential) == ('/tokens/dicom', 'tokenFile')
    assert (found.include_metadata, found.range_size) == (True, 250)


@pytest.mark.parametrize(
    ('given', 'sentence'),
    [
        ({'serviceUrl': 'http://contoso-imaging.dicom.azurehealthcareapis.com'}, 'over https only'),
        ({'serviceUrl': f'{URL}/?a=b'}, 'missing or not a URL'),
        ({'serviceUrl': GOVERNMENT}, 'does not lead to a DICOM service of the cloud'),
        ({'serviceUrl': GOVERNMENT, 'cloud': 'AzureUSGovernment'}, 'set resource'),
        ({'serviceUrl': 'https://dicom.hospital.example'}, 'set resource to the audience'),
        (
            {'serviceUrl': 'https://dicom.hospital.example', 'resource': 'https://management.azure.com'},
            "an audience of Microsoft's own services",
        ),
        ({'resource': 'api://a api://b'}, 'without blanks'),
        ({'tokenFile': '/token'}, 'require each other'),
        ({'settleSeconds': '-1'}, 'from 0 to 3600'),
        ({'requestsInFlightPerTask': '33'}, 'from 1 to 32'),
        ({'maxEventsPerTrigger': 'many'}, 'a whole number'),
        ({'includeMetadata': 'yes'}, 'true or false'),
        ({'endTime': '2024-13-01'}, 'a time is'),
        ({'afterSequence': '50', 'untilSequence': '10'}, 'exchange them'),
        ({'startTime': '2024-05-02', 'endTime': '2024-05-01T23:00:00Z'}, 'exchange them'),
        ({'startTime': '1h', 'endTime': '2h'}, 'exchange them'),
        ({'includeMetadata': 'true', 'includeFields': 'PatientID'}, 'exclude each other'),
        ({'includeFields': 'PatientName,PixelData'}, 'Field 2: metadata have no binary attributes'),
    ],
)
def test_wrong_option_is_refused_in_a_sentence_without_its_value(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(OptionRefused, match=sentence) as refusal:
        parsed(**given)
    assert not [value for value in given.values() if value in str(refusal.value) and len(value) > 4]


@pytest.mark.parametrize(
    'given',
    [
        {'afterSequence': '50', 'untilSequence': '50'},
        {'startTime': '2h', 'endTime': '1h'},
        {'startTime': '2024-05-01', 'endTime': '2024-05-01'},
        {'startTime': '3d', 'endTime': '2024-05-01'},
        {'includeMetadata': 'false', 'includeFields': 'PatientID'},
    ],
    ids=repr,
)
def test_options_that_may_mean_something_are_taken(given: dict[str, str]) -> None:
    assert parsed(**given).named == {'serviceUrl', *given}


@pytest.mark.parametrize(
    ('given', 'audience'),
    [
        ({'serviceUrl': GOVERNMENT, 'cloud': 'AzureUSGovernment', 'resource': 'api://dicom'}, 'api://dicom'),
        ({'serviceUrl': 'https://dicom.hospital.example', 'resource': 'api://private'}, 'api://private'),
        ({'serviceUrl': 'http://127.0.0.1:8080', 'resource': 'api://private'}, 'api://private'),
    ],
    ids=['another cloud', 'a server of their own', 'this machine'],
)
def test_other_hosts_get_a_token_for_their_own_audience(given: dict[str, str], audience: str) -> None:
    assert parsed(**given).audience == audience


@pytest.mark.parametrize(
    ('text', 'is_absolute'),
    [('2026-01-31T09:30:00Z', True), ('2026-01-31', True), ('now', False), ('3d', False), ('1h30m', False)],
)
def test_age_and_now_are_no_absolute_times(text: str, is_absolute: bool) -> None:
    assert (absolute_time(text) is not None) is is_absolute
    assert absolute_time('2026-01-31') == parse_timestamp('2026-01-31T00:00:00Z')


def test_every_name_is_an_option() -> None:
    refused = []
    for name in NAMES:
        try:
            parsed(**{name: '1'})
        except OptionRefused as refusal:
            refused.append(str(refusal))
    assert not [sentence for sentence in refused if 'There is no option' in sentence]
