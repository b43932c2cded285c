"""Draws what a terminal shows: commands of the extension, run by the real az in an emulated cloud, as an SVG.

Owned: which commands README shows, and how a terminal becomes a picture. It has a background of its own, so it is
readable on light and on dark pages, and needs no font, script or address but what it holds.
Not owned: the cloud (`tests/emulator`).
"""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from html import escape
from pathlib import Path

from scripts.build_wheel import build
from tests.e2e.logins import SignIn
from tests.e2e.machine import Machine
from tests.emulator import ticks
from tests.emulator.cloud import Emulator
from tests.emulator.sample import sample_feed

_COLUMNS = 100
_ROWS = 50
_COMMANDS = (
    (
        'without-a-role',
        'az dicom check-access -o table --resource-group imaging \\\n'
        '  --workspace-name contoso --dicom-service-name imaging',
    ),
    ('user', 'az dicom changefeed --since 10h --count-by hour -o table'),
)
"""A kind of login of `tests/e2e/logins.py`, and what it types."""
_CHARACTER_WIDTH = 8.4
_LINE_HEIGHT = 18
_MARGIN = 16
_TYPED = ' class="typed"'
_STYLE = (
    'text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; '
    'fill: #d0d7de; white-space: pre } .typed { fill: #ffffff; font-weight: 600 }'
)


def main(path: Path) -> None:
    """Write the picture."""
    typed: list[tuple[str, bool]] = []
    with tempfile.TemporaryDirectory() as folder:
        with Emulator() as emulator:
            emulator.service.store.load(sample_feed(3000, end_ticks=ticks.now()))
            for login, command in _COMMANDS:
                machine = _signed_in(Path(folder), emulator, login)
                typed += [(line, True) for line in f'$ {command}'.splitlines()]
                typed += [(line, False) for line in _shown(command, machine)]
                typed.append(('', False))
    path.write_text(_svg(typed[:-1]), 'utf-8')


def _signed_in(folder: Path, emulator: Emulator, login: str) -> Machine:
    extensions = folder / 'extensions'
    sign_in = SignIn(emulator, extensions=extensions, originals=folder, folder=folder / f'{login}-machine')
    machine = sign_in(login)
    machine.environment['AZURE_DEFAULTS_DICOM_SERVICE_URL'] = emulator.service_url
    authorities = Path(shutil.copy(emulator.ca_file, machine.folder))
    machine.environment['REQUESTS_CA_BUNDLE'] = authorities.name  # which is shown, so it is short
    if not extensions.exists():
        machine.az('extension', 'add', '--yes', '--source', str(build(folder / 'wheel'))).check_returncode()
    return machine


def _shown(command: str, machine: Machine) -> list[str]:
    """The lines that a command leaves on a terminal, folded at its edge."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', _ROWS, _COLUMNS, 0, 0))
    bash = ('bash', '-c', command)
    with subprocess.Popen(
        bash, env=machine.environment, cwd=machine.folder, stdin=theirs, stdout=theirs, stderr=theirs
    ):
        os.close(theirs)
        text = b''.join(iter(lambda: _read(ours), b'')).decode()
    os.close(ours)
    lines = text.replace('\r', '').splitlines()
    return [line[start : start + _COLUMNS] for line in lines for start in range(0, max(1, len(line)), _COLUMNS)]


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 2**16)
    except OSError:  # Linux says so where nobody has the other end open any more
        return b''


def _svg(lines: list[tuple[str, bool]]) -> str:
    width, height = _COLUMNS * _CHARACTER_WIDTH + 2 * _MARGIN, len(lines) * _LINE_HEIGHT + 2 * _MARGIN
    texts = [
        f'<text x="{_MARGIN}" y="{_MARGIN + (number + 0.75) * _LINE_HEIGHT:g}"{_TYPED if is_typed else ""} '
        f'textLength="{len(line) * _CHARACTER_WIDTH:g}" lengthAdjust="spacingAndGlyphs">{escape(line)}</text>'
        for number, (line, is_typed) in enumerate(lines)
        if line
    ]
    return '\n'.join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
            'xml:space="preserve" '
            'aria-label="A terminal with the commands and their output">',
            f'<style>{_STYLE}</style>',
            f'<rect width="{width:g}" height="{height:g}" rx="8" fill="#161b22" stroke="#8b949e"/>',
            *texts,
            '</svg>\n',
        ]
    )


if __name__ == '__main__':
    main(Path(sys.argv[1]).absolute())
