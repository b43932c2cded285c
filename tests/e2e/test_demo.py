"""`make demo` in a copy of the checkout: it ends well, the killed export is whole, and the missing role is granted."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.e2e.machine import PATH, TIMEOUT_SECONDS

pytestmark = pytest.mark.slow


def test_demo_shows_what_it_promises(tmp_path: Path) -> None:
    checkout = tmp_path / 'dicomtoken'
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns('.*', 'build', 'dist', '__pycache__'))
    demo = subprocess.run(
        [checkout / 'scripts' / 'demo.sh'],
        env={'PATH': PATH, 'HOME': str(tmp_path), 'AZ': shutil.which('az', path=PATH) or '', 'PYTHON': sys.executable},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout
    lines = demo.stdout.splitlines()
    assert {line.split()[1] for line in lines if line.startswith('feed  ')} == {'failed', 'passed'}
    events = [int(line) for line in lines if line.strip().isdigit()]
    assert 500 <= events[0] < 3000 and events[1:] == [3000, 3000, 3000]
