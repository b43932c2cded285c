"""What az keeps by itself, its log file switched on: no token, no secret, no UID. Telemetry: `tests/security`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.logins import SignIn
from tests.emulator.cloud import Emulator
from tests.emulator.identities import READER_APPLICATION

CACHES = ('msal_token_cache.json', 'service_principal_entries.json')
COMMANDS = [
    ('token', 'issue'),
    ('token', 'issue', '--output-file', 'missing/token'),
    ('changefeed', '--latest', '--service-url', 'https://contoso-imaging.dicom.azurehealthcareapis.com'),
]


@pytest.mark.parametrize('command', COMMANDS, ids=' '.join)
def test_nothing_that_az_keeps_holds_a_token_but_its_caches(
    command: tuple[str, ...], sign_in: SignIn, emulator: Emulator
) -> None:
    machine = sign_in('secret')
    machine.environment['AZURE_LOGGING_ENABLE_LOG_FILE'] = 'true'
    assert 'Traceback' not in machine.az('dicom', *command).stderr
    cached, kept = files_in(machine.folder / 'azure')
    assert 'dicom' in kept['az.log']
    tokens = [part for text in cached.values() for part in text.replace('"', '.').split('.') if part.startswith('eyJ')]
    assert tokens
    newest = emulator.service.store.events()[-1].instance
    for secret in (*tokens, str(READER_APPLICATION.secret), newest.sop):
        assert [name for name, text in kept.items() if secret in text] == []


def files_in(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The texts of az's caches of secrets, and of all other files, by name."""
    texts = {path.name: path.read_text('utf-8', 'replace') for path in folder.rglob('*') if path.is_file()}
    return (
        {name: text for name, text in texts.items() if name in CACHES},
        {name: text for name, text in texts.items() if name not in CACHES},
    )
