"""What --include-field, --match and --match-file ask for, and what to do where one of their values is refused.

Owned: reading the file of conditions, and the advice. No message names a value: what az prints of an error goes to its
telemetry, and a value may name a patient. Not owned: the grammar of fields and conditions (`dicomfeed`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from azure.cli.core.azclierror import InvalidArgumentValueError

from azext_dicomtoken._given import Given
from azext_dicomtoken._input import opened_input
from azext_dicomtoken.changefeed.resume import SAME_CONDITIONS

if TYPE_CHECKING:
    from dicomfeed.attributes import Fields
    from dicomfeed.conditions import Condition, Conditions
    from dicomfeed.tags import FieldRefused

_DATE = 'Write 20240501, 202405*, or a range such as 20240501-20240531, 20240501- or -20240531.'
_TIME = 'Write 1030, 10*, or a range such as 0800-1200, 0800- or -1200.'
_FIELD = 'Name a keyword (PatientID), a tag (00100020) or a path (Sequence.Field). Separate several by blanks.'
_ADVICE = {
    'NOT_A_FIELD': _FIELD,
    'ALL': 'Use --include-metadata for all attributes.',
    'UNKNOWN_KEYWORD': 'Check the spelling, or name the attribute by its tag, such as 00100020.',
    'REPEATING_GROUP': 'Name it by its tag, such as 60000010.',
    'NOT_STORED': 'Name an attribute that an instance has in its metadata, such as SOPClassUID for the kind of image.',
    'BULK': 'Read binary values with DICOMweb (WADO-RS).',
    'COMPUTED': 'Name an attribute of the instance: Modality in place of ModalitiesInStudy.',
    'NOT_A_SEQUENCE': 'Write Sequence.Field, with the name of a sequence before each point.',
    'SEQUENCE': 'Name a field in it: Sequence.Field=VALUE.',
    'TOO_DEEP': 'Name a field further up.',
    'TOO_LONG': 'Write a shorter one, with wildcards where they are possible.',
    'NO_EQUALS_SIGN': f'Write FIELD=VALUE, such as Modality=CT; also for {SAME_CONDITIONS} in a printed command.',
    'NO_VALUE': 'Give it a value. FIELD=* keeps the events whose instance has any.',
    'NOT_A_NUMBER': 'Write a decimal such as 1.5, without wildcards and ranges.',
    'NOT_A_UID': 'Write digits and dots, and * or ? for some of them: 1.2.840.10008.5.1.4.1.1.2 is CT Image Storage.',
    'SEVERAL_VALUES': 'Write a condition for each of them, such as Modality=CT Modality=MR.',
    'NOT_A_DATE': _DATE,
    'NOT_A_TIME': _TIME,
    'NOT_A_DATE_TIME': f'{_DATE} A time may follow the date.',
    'NOT_A_NAME': 'Write the groups of a name as ALPHABETIC=IDEOGRAPHIC=PHONETIC.',
    'NOT_UTF8': 'Save the file as UTF-8.',
    'TOO_MANY': 'Use fewer conditions, with wildcards where they are possible.',
}
_LINE_BREAK = {
    'Field': 'Give each field as a value of its own, separated by blanks.',
    'Condition': 'Give each condition as a value of its own, or a file of them with --match-file.',
    'Line': 'Write one condition per line, and end lines with LF or CRLF.',
}


def fields_of(given: Given) -> Fields | None:
    """The attributes to add to each event; None where none were named."""
    if given['include_field'] is None:
        return None
    from dicomfeed.attributes import parse_fields
    from dicomfeed.tags import FieldRefused

    try:
        return parse_fields(given['include_field'])
    except FieldRefused as error:
        raise _refused(error, given.spelled('include_field')) from None


def conditions_of(given: Given) -> Conditions | None:
    """What an instance has to meet, typed and from the file together; None where there are no conditions.

    :raises FileOperationError: where the file cannot be read.
    """
    typed, path = given['match'], given['match_file']
    if typed is None and path is None:
        return None
    from dicomfeed.conditions import Conditions, parse_conditions
    from dicomfeed.tags import FieldRefused

    option = 'match'
    try:
        conditions = parse_conditions(typed or ())
        option = 'match_file'
        conditions += _conditions_in(path)
    except FieldRefused as error:
        raise _refused(error, given.spelled(option)) from None
    if not conditions:
        raise InvalidArgumentValueError(
            f'The file that {given.spelled("match_file")} names has no conditions.',
            recommendation='Write one FIELD=VALUE per line, or leave the option out.',
        )
    return Conditions(tuple(conditions))


def _conditions_in(path: str | None) -> list[Condition]:
    from dicomfeed.conditions import read_conditions

    if path is None:
        return []
    with opened_input(path) as file:
        return read_conditions(file)


def _refused(error: FieldRefused, option: str) -> InvalidArgumentValueError:
    place = f'{error.kind} {error.position}' if error.position else 'The file'
    similar = f' Similar keywords: {", ".join(error.similar)}.' if error.similar else ''
    advice = _LINE_BREAK[error.kind] if error.reason.name == 'LINE_BREAK' else _ADVICE[error.reason.name]
    return InvalidArgumentValueError(
        f'{place} of {option} cannot be used: {error.reason.value}.', recommendation=advice + similar
    )
