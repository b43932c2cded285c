"""What the tab key offers without Azure: through argcomplete's protocol, by the real az. No request is made for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.machine import TIMEOUT_SECONDS
from tests.e2e.tab_key import pressed_after


def offered(line: str, folder: Path) -> set[str]:
    """What argcomplete writes to descriptor 8 for a line with the cursor at its end."""
    received = folder / 'offered'
    with received.open('w') as file:

        def as_descriptor_8() -> None:
            os.dup2(file.fileno(), 8)
            os.dup2(2, 9)  # its own debug output

        subprocess.run(
            [sys.executable, '-m', 'azure.cli'],
            check=False,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            cwd=folder,
            preexec_fn=as_descriptor_8,
            pass_fds=(8, 9),
            env={
                **os.environ,
                **pressed_after(line),
                'HTTPS_PROXY': 'http://127.0.0.1:1',
            },
        )
    return {word.strip() for word in received.read_text().split('\n') if word}


@pytest.mark.parametrize(
    ('line', 'words'),
    [
        ('az dicom changefeed --act', {'--action'}),
        ('az dicom changefeed --action ', {'Create', 'Update', 'Delete'}),
        ('az dicom changefeed --count-by ', {'hour', 'day', 'study'}),
        (
            'az dicom token issue --format ',
            {'json', 'token', 'header', 'curl-config', 'env', 'env-no-export', 'fish', 'powershell', 'windows-cmd'},
        ),
        ('az dicom token show-claims --token-file tok', {'token.txt'}),
        ('az dicom changefeed --checkpoint fold', {'folder/'}),
        ('az dicom ch', {'changefeed', 'check-access'}),
    ],
    ids=['option', 'action', 'buckets', 'format', 'file', 'folder', 'command'],
)
def test_tab_offers(line: str, words: set[str], tmp_path: Path) -> None:
    (tmp_path / 'token.txt').touch()
    (tmp_path / 'folder').mkdir()
    found = offered(line, tmp_path)
    assert found == words
