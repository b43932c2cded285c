"""A message in docs/troubleshooting.md is one that the code has."""

from __future__ import annotations

import ast
import re

import pytest

from tests.conftest import ROOT
from tests.docs.pages import TROUBLESHOOTING

# Messages of az and of Microsoft Entra ID; and what is filled in.
_OF_OTHERS = re.compile(r"'dicom' is misspelled|Please run 'az login'|AADSTS")
_FILLED_IN = re.compile(r'…|\b\d+\b|msal_token_cache\.json|AZURE_CLI_DISABLE_CONNECTION_VERIFICATION| by process')

MESSAGES = [
    message
    for row in TROUBLESHOOTING.rows()
    for message in re.findall('`([^`]+)`', row[0])
    if ' ' in message and not _OF_OTHERS.match(message)
]


@pytest.fixture(scope='module')
def texts() -> str:
    """The text of every string in both packages, f-strings in their parts."""
    files = [path for package in ('azext_dicomtoken', 'dicomfeed') for path in (ROOT / package).rglob('*.py')]
    trees = [ast.parse(path.read_text('utf-8')) for path in files if 'vendored_sdks' not in path.parts]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return '\n\n'.join(str(node.value) for node in nodes if isinstance(node, ast.Constant))


@pytest.mark.parametrize('message', MESSAGES)
def test_message_is_one_of_the_code(message: str, texts: str) -> None:
    parts = [part.strip() for part in _FILLED_IN.split(message)]
    assert [part for part in parts if part.strip('.') and part not in texts] == []


def test_messages_were_found() -> None:
    assert len(MESSAGES) > 20
