"""Fixtures of the emulator's own tests: a running emulator, a client in its cloud, and the real az."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import requests

from tests.e2e.machine import INHERITED, TIMEOUT_SECONDS
from tests.emulator.cloud import Emulator

RunAz = Callable[..., 'subprocess.CompletedProcess[str]']


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def client(emulator: Emulator) -> Iterator[requests.Session]:
    """A session that goes through the emulator's proxy and trusts its CA, whatever the environment says."""
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {'https': emulator.proxy_url}
        session.verify = str(emulator.ca_file)
        yield session


@pytest.fixture
def az(emulator: Emulator, tmp_path: Path) -> RunAz:
    """Run the real az with its own configuration folder; `environment` defaults to the emulator's."""

    def run(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        own = {
            'PATH': os.environ['PATH'],
            'HOME': str(tmp_path),
            'AZURE_CONFIG_DIR': str(tmp_path / 'azure'),
            'AZURE_CORE_COLLECT_TELEMETRY': 'false',
            **INHERITED,
        }
        return subprocess.run(
            [sys.executable, '-m', 'azure.cli', *arguments],
            env={**own, **(emulator.environment if environment is None else environment)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )

    return run
