"""An empty value, as of a variable that a script forgot to set, is refused: it must not mean another identity, nor
standard output where a file was meant."""

from __future__ import annotations

import pytest

from tests.az.conftest import Az
from tests.az.identity_endpoint import IdentityEndpoint

SHARED = ['service-url', 'workspace-name', 'dicom-service-name', 'resource-group', 'resource', 'tenant']
COMMANDS = {
    'token issue': [*SHARED, 'output-file', 'min-validity', 'variable-name'],
    'token show-claims': [*SHARED, 'token-file'],
    'check-access': SHARED,
    'changefeed': [*SHARED, 'output-file', 'checkpoint', 'summary-file'],
}


BLANK = {
    'url': ('--service-url', 'http://127.0.0.1:8080\r', '--resource', ' api://own\r\n'),
    'names': ('--workspace-name', 'contoso\r', '--dicom-service-name', '\timaging', '--resource', 'api://own\r'),
    'duration': ('--min-validity', '5m\r', '--resource', 'api://own'),
}


@pytest.mark.parametrize('name', BLANK)
def test_n15_blanks_around_a_value_mean_nothing(name: str, az: Az, identity: IdentityEndpoint) -> None:
    outcome = az('dicom', 'token', 'issue', *BLANK[name])
    assert (outcome.code, identity.resources) == (0, ['api://own']), outcome.stderr


def test_n15_blanks_alone_are_an_empty_value(az: Az) -> None:
    assert 'The value of --tenant is empty.' in az('dicom', 'token', 'issue', '--tenant', ' \r').stderr


def test_n15_configured_value_with_a_carriage_return_stays_configured(
    az: Az, identity: IdentityEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('AZURE_DEFAULTS_DICOM_SERVICE_URL', 'https://evil.example\r')
    outcome = az('dicom', 'check-access', '--resource', 'api://own')
    assert (outcome.code, identity.resources) == (1, []) and 'AZURE_DEFAULTS_DICOM_SERVICE_URL' in outcome.stderr


@pytest.mark.parametrize(
    ('command', 'option'), [(command, option) for command, options in COMMANDS.items() for option in options]
)
def test_empty_value_is_refused(command: str, option: str, az: Az, identity: IdentityEndpoint) -> None:
    outcome = az('dicom', *command.split(), f'--{option}', '')
    assert (outcome.code, outcome.stdout, identity.resources) == (1, '', [])
    assert outcome.stderr.startswith(f'ERROR: The value of --{option} is empty.\n')
