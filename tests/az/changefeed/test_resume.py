"""How a run that ended continues: in one place, for lists and streams."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from knack.validators import DefaultStr

from azext_dicomtoken._command_line import service_command
from azext_dicomtoken.changefeed.resume import (
    NextToken,
    say_list_was_cut,
    say_stream_ended,
)
from azext_dicomtoken.changefeed.session import Session
from tests.az.changefeed.conftest import FakeCli, OpenSession

BY_SEQUENCE = NextToken(7, 12)
BY_TIME = NextToken(7, 12, 99)
SEQUENCES = st.integers(0, 2**63 - 1)
TICKS = st.integers(0, 3_155_378_975_999_999_999)


@given(SEQUENCES, TICKS, st.none() | TICKS)
def test_token_says_what_it_was_made_of(sequence: int, ticks: int, end: int | None) -> None:
    token = NextToken(sequence, ticks, end)
    assert NextToken.decoded(token.encoded()) == token


def ended(session: Session, position: NextToken | None) -> None:
    say_stream_ended('Interrupted.', session.invocation, session.options, position)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The words of the command that standard error names."""
    return shlex.split(capsys.readouterr().err.splitlines()[1])[3:]


@pytest.mark.parametrize(
    ('options', 'position', 'start'),
    [
        ({'stream': True, 'after_sequence': 2}, BY_SEQUENCE, ['--after-sequence', '7']),
        ({'follow': True, 'tail': 2}, BY_SEQUENCE, ['--after-sequence', '7']),
        ({'stream': True, 'start_time': '1d', 'end_time': 'now'}, BY_TIME, ['--next-token', BY_TIME.encoded()]),
        ({'stream': True, 'tail': 2}, None, ['--tail', '2']),
    ],
    ids=['by sequence', 'follow', 'by time', 'tail'],
)
def test_stream_continues_after_its_position(
    options: Any, position: NextToken | None, start: list[str], open_session: OpenSession, capsys: Any
) -> None:
    ended(open_session(**options), position)
    words = said(capsys)
    assert [word for word in words if word not in ('--stream', '--follow')] == start


@pytest.mark.parametrize('position', [BY_SEQUENCE, BY_TIME], ids=['by sequence', 'by time'])
def test_list_continues_with_its_token(position: NextToken, open_session: OpenSession, capsys: Any) -> None:
    session = open_session(max_items=3)
    say_list_was_cut(session.invocation, session.options, position)
    assert said(capsys) == ['--max-items', '3', '--next-token', position.encoded()]


def test_file_continues_in_another_file(open_session: OpenSession, capsys: Any, tmp_path: Any) -> None:
    path = str(tmp_path / 'feed')
    ended(open_session(output_file=path, overwrite=True), BY_SEQUENCE)
    assert said(capsys) == ['--after-sequence', '7', '--output-file', 'ANOTHER_FILE']


@pytest.mark.parametrize('summary', [{}, {'summary_file': 'x'}], ids=['alone', 'with a summary'])
def test_checkpoint_continues_with_the_same_command(
    summary: Any, open_session: OpenSession, capsys: Any, tmp_path: Any
) -> None:
    session = open_session(stream=True, checkpoint=str(tmp_path / 'checkpoint'), **summary)
    ended(session, BY_SEQUENCE)
    assert capsys.readouterr().err == 'Interrupted. Run the same command again to continue.\n'


def test_command_has_what_was_typed_and_nothing_that_was_configured(
    open_session: OpenSession, cli: FakeCli, capsys: Any
) -> None:
    cli.data.update(subscription_id=DefaultStr('configured'), dicom_arguments=('-o', 'tsv'))
    cli.invocation.data['output'] = 'tsv'
    session = open_session(
        stream=True, service_url=DefaultStr('https://x'), filters={'action': ('Create', 'Delete')}, settle='30s'
    )
    ended(session, BY_SEQUENCE)
    assert sorted(said(capsys)) == sorted(
        ['--action', 'Create', 'Delete', '--stream', '--settle', '30s', '--after-sequence', '7', '-o', 'tsv']
    )


def test_l18_command_has_every_typed_option(open_session: OpenSession, cli: FakeCli, capsys: Any) -> None:
    cli.data['dicom_arguments'] = ('--max-items', '2', '--query', "[].{s: 'a b'}", '-o', 'table', '--only-show-errors')
    cli.invocation.data['output'] = 'table'
    session = open_session(max_items=2, start_time='1d', include_metadata=True)
    say_list_was_cut(session.invocation, session.options, BY_TIME)
    assert said(capsys) == [
        *('--max-items', '2', '--include-metadata', '--next-token', BY_TIME.encoded()),
        *('--query', "[].{s: 'a b'}", '-o', 'table', '--only-show-errors'),
    ]


def test_command_names_neither_conditions_nor_what_is_in_their_file(open_session: OpenSession, capsys: Any) -> None:
    session = open_session(stream=True, match=['PatientName=Secret^Patient'], include_field=['Modality'])
    ended(session, BY_SEQUENCE)
    text = capsys.readouterr().err
    assert text.startswith('Interrupted. Continue with the same --match:\n')
    assert shlex.split(text.splitlines()[1])[3:] == [
        *('--stream', '--include-field', 'Modality', '--match', 'SAME_CONDITIONS', '--after-sequence', '7')
    ]


@pytest.mark.parametrize(
    ('typed', 'needed'),
    [
        ({'match_file': '-'}, ' the same standard input'),
        ({'match': ['SAME_CONDITIONS'], 'match_file': '-'}, ' the same --match and standard input'),
        ({'match_file': 'conditions'}, ''),
    ],
    ids=str,
)
def test_command_says_what_it_needs_again(typed: Any, needed: str, open_session: OpenSession, capsys: Any) -> None:
    session = open_session(stream=True)
    say_list_was_cut(session.invocation, replace(session.options, typed=typed), BY_TIME)
    assert capsys.readouterr().err.startswith(f'There are more events than the 100 listed. Continue with{needed}:\n')


def test_l19_other_command_is_for_the_typed_service(open_session: OpenSession, cli: FakeCli) -> None:
    cli.data['subscription_id'] = 'production'
    session = open_session(service_url='https://a', resource='api://b', stream=True)
    assert service_command(session.invocation, session.options.typed, 'check-access') == (
        'az dicom check-access --service-url https://a --resource api://b --subscription production'
    )
    configured = open_session(service_url=DefaultStr('https://a'), stream=True)
    assert '--service-url' not in service_command(configured.invocation, configured.options.typed, 'check-access')


def test_l22_standard_output_continues_there(open_session: OpenSession, capsys: Any) -> None:
    ended(open_session(output_file='-'), BY_SEQUENCE)
    assert said(capsys) == ['--output-file', '-', '--after-sequence', '7']
