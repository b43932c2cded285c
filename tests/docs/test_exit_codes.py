"""The exit codes are those of docs/reference.md."""

from __future__ import annotations

import re
import signal

import pytest

from tests.docs.conftest import Stop
from tests.docs.pages import REFERENCE
from tests.e2e.machine import Machine
from tests.emulator import trouble
from tests.emulator.cloud import Emulator
from tests.emulator.trouble import Request


@pytest.mark.parametrize(
    ('code', 'command'),
    [
        (0, 'changefeed --start-time 2026-01-31 --end-time 2026-02-01'),
        (0, 'changefeed --stream | head -n 1'),
        (1, 'changefeed --max-items 0'),
        (2, 'changefeed --offset 1'),
        (3, 'changefeed --sequence 999999999'),
        (3, 'token issue --resource-group imaging --workspace-name contoso --dicom-service-name none'),
    ],
)
def test_exit_code_is_that_of_the_readme(code: int, command: str, machine: Machine) -> None:
    assert code in _exit_codes()
    assert machine.shell(f'az dicom {command}').returncode == code


@pytest.mark.parametrize(('code', 'number'), [(130, signal.SIGINT), (143, signal.SIGTERM)], ids=['INT', 'TERM'])
def test_exit_code_of_a_run_cut_short_is_that_of_the_readme(
    code: int, number: signal.Signals, stop: Stop, emulator: Emulator
) -> None:
    assert code in _exit_codes()
    emulator.service.trouble.when(_is_further_page, trouble.hang())
    try:
        assert stop('az dicom changefeed --stream', number) == code
    finally:
        emulator.service.trouble.clear()


def _is_further_page(request: Request) -> bool:
    return re.search('offset=[1-9]', request.query) is not None


def test_exit_codes_of_the_readme_are_all_tried() -> None:
    assert _exit_codes() == {0, 1, 2, 3, 130, 143}


def _exit_codes() -> set[int]:
    return {int(code) for row in REFERENCE.rows_below('| exit code |') for code in row[0].split(', ')}
