"""What az knows of a run, told apart: typed, configured, or neither."""

from __future__ import annotations

from typing import Any

import pytest
from azure.cli.core import get_default_cli
from knack.events import EVENT_INVOKER_FILTER_RESULT
from knack.validators import DefaultStr

from azext_dicomtoken._invocation import Invocation, is_typed, keep_arguments
from tests.az.conftest import Az


class FakeCli:
    """As much of az as tells the format of its output and the subscription."""

    def __init__(self, *arguments: str, output: str = 'tsv', **data: Any) -> None:
        self.data: dict[str, Any] = data
        self.invocation = type('', (), {'data': {'output': output}})
        keep_arguments(self, arguments)


@pytest.mark.parametrize(
    'typed',
    [('-o', 'tsv'), ('-otsv',), ('-o=tsv',), ('-fo', 'tsv'), ('-fotsv',), ('--output', 'tsv'), ('--ou=tsv',)],
    ids=' '.join,
)
def test_typed_output_is_seen_however_it_is_spelled(typed: tuple[str, ...]) -> None:
    assert Invocation(FakeCli('dicom', 'changefeed', *typed)).typed_output == 'tsv'


@pytest.mark.parametrize(
    'typed',
    [
        (),
        ('--output-file', 'o'),
        ('--overwrite',),
        ('--output-file=-o',),
        ('-f',),
        ('-t', 'contoso'),
        ('-tcontoso',),
        ('--only-show-errors',),
    ],
    ids=' '.join,
)
def test_other_options_are_no_typed_output(typed: tuple[str, ...]) -> None:
    assert Invocation(FakeCli('dicom', 'changefeed', *typed)).typed_output is None


def test_output_format_is_known_however_it_was_chosen() -> None:
    assert Invocation(FakeCli(output='table')).output == 'table'


@pytest.mark.parametrize(
    ('subscription', 'typed'),
    [(DefaultStr('configured'), None), ('typed', 'typed'), (None, None)],
    ids=['configured', 'typed', 'none'],
)
def test_configured_subscription_is_not_a_typed_one(subscription: str | None, typed: str | None) -> None:
    invocation = Invocation(FakeCli(subscription_id=subscription))
    assert invocation.subscription == subscription
    assert invocation.typed_subscription == typed


@pytest.mark.parametrize(
    ('value', 'expected'),
    [('x', True), (True, True), (['x'], True), (DefaultStr('x'), False), (None, False), ('', False)],
)
def test_value_is_typed_unless_az_marks_it_or_it_is_none(value: Any, expected: bool) -> None:
    assert is_typed(value) is expected


def test_transport_bears_the_name_of_az() -> None:
    assert Invocation(FakeCli()).transport()._headers['User-Agent'].startswith('AZURECLI/')


@pytest.mark.usefixtures('identity')
def test_configured_output_does_not_count_as_typed(az: Az, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('AZURE_CORE_OUTPUT', 'table')
    assert az('dicom', 'token', 'issue', '--format', 'header').stdout.startswith('Authorization: ')
    refused = az('dicom', 'token', 'issue', '--format', 'header', '-o', 'table')
    assert (refused.code, refused.stdout) == (1, '')


def test_query_is_applied_to_any_number_of_results() -> None:
    cli = get_default_cli()

    def first_letter(_cli: Any, event_data: dict[str, Any]) -> None:
        event_data['result'] = event_data['result'][0]

    cli.register_event(EVENT_INVOKER_FILTER_RESULT, first_letter)
    queried = Invocation(cli).query()
    assert [queried('one'), queried('two')] == ['o', 't']
