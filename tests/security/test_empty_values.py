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


@pytest.mark.parametrize(
    ('command', 'option'), [(command, option) for command, options in COMMANDS.items() for option in options]
)
def test_empty_value_is_refused(command: str, option: str, az: Az, identity: IdentityEndpoint) -> None:
    outcome = az('dicom', *command.split(), f'--{option}', '')
    assert (outcome.code, outcome.stdout, identity.resources) == (1, '', [])
    assert outcome.stderr.startswith(f'ERROR: The value of --{option} is empty.\n')
