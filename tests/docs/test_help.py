"""Each example of the help texts runs as it is written there, in a folder of its own.

Those that stand in README.md or in docs/, too, run there.
"""

from __future__ import annotations

import shutil
import signal

import pytest

from tests.docs.commands import EXAMPLES
from tests.docs.conftest import Stop
from tests.docs.pages import BLOCKS
from tests.e2e.machine import Machine

_OTHERS = [text for _, text in EXAMPLES if not any(text in block.code for block in BLOCKS if block.is_run)]
_FOLLOWING = [text for text in _OTHERS if '--follow' in text]
_RUN = [text for text in _OTHERS if '--follow' not in text and 'Invoke-Expression' not in text]


@pytest.mark.parametrize('text', _RUN)
def test_example_runs(text: str, machine: Machine) -> None:
    for program in ('curl', 'jq'):
        if program in text and not shutil.which(program):
            pytest.skip(f'needs {program}')
    done = machine.shell(text)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('text', _FOLLOWING)
def test_example_that_follows_ends_with_0_when_stopped(text: str, stop: Stop) -> None:
    assert stop(text, signal.SIGINT) == 0
