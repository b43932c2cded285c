"""What the tab key offers of Azure: through argcomplete's protocol, by the real az."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machine import Machine
from tests.e2e.tab_key import pressed_after
from tests.emulator.cloud import Emulator

CHANGEFEED = 'az dicom changefeed '


@pytest.fixture(scope='module')
def emulator() -> Iterator[Emulator]:
    """Two workspaces, one of which has two services."""
    with Emulator() as running:
        running.add_service('contoso', 'research')
        running.add_service('fabrikam', 'archive')
        yield running


@pytest.fixture(scope='module')
def logins_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('logins')


def offered(machine: Machine, line: str) -> list[str]:
    settings = ' '.join(f'{name}={shlex.quote(value)}' for name, value in pressed_after(line).items())
    machine.shell(f'{settings} python -m azure.cli 8>offered 9>/dev/null')
    return (machine.folder / 'offered').read_text('utf-8').split()


@pytest.mark.parametrize(
    ('line', 'names'),
    [
        ('--workspace-name ', ['contoso', 'fabrikam']),
        ('--workspace-name fa', ['fabrikam']),
        ('-g imaging --workspace-name ', ['contoso', 'fabrikam']),
        ('--dicom-service-name ', ['archive', 'imaging', 'research']),
        ('--workspace-name Contoso --dicom-service-name ', ['imaging', 'research']),
        ('--workspace-name none --dicom-service-name ', []),
        ('-g none --workspace-name ', []),
    ],
)
def test_names_are_those_of_the_subscription(line: str, names: list[str], machine: Machine) -> None:
    assert offered(machine, CHANGEFEED + line) == names


@pytest.mark.parametrize('command', ['token issue', 'token show-claims', 'check-access', 'proxy'])
def test_every_command_offers_them(command: str, machine: Machine) -> None:
    line = f'az dicom {command} --workspace-name fabrikam --dicom-service-name '
    assert offered(machine, line) == ['archive']


def test_nothing_is_offered_without_a_sign_in(machine: Machine) -> None:
    machine.az('logout')
    assert offered(machine, CHANGEFEED + '--workspace-name ') == []
