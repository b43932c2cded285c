"""az in this process, signed out or signed in with a managed identity of our making."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.az.identity_endpoint import IdentityEndpoint, write_login
from tests.e2e.logins import SignIn
from tests.emulator.cloud import Emulator
from tests.emulator.sample import sample_feed


@dataclass(frozen=True)
class Outcome:
    code: int
    stdout: str
    stderr: str

    @property
    def result(self) -> Any:
        return json.loads(self.stdout)


Az = Callable[..., Outcome]

# As tests/conftest.py lays it out.
EXTENSIONS = Path(os.environ['AZURE_EXTENSION_DIR'])

# The core can be installed alone, and that is enough for all that runs in this process.
WHOLE_AZ = find_spec('azure.cli.__main__') is not None
if not WHOLE_AZ:
    _NO_COMMANDS = ModuleType('azure.cli.command_modules')  # the core warns of a missing one
    _NO_COMMANDS.__path__ = []
    sys.modules[_NO_COMMANDS.__name__] = _NO_COMMANDS


@pytest.fixture
def az() -> Az:
    """Run a command in this process: ten milliseconds where a process takes four hundred."""
    return run_az


@pytest.fixture(scope='session')
def az_process() -> list[str]:
    """What runs az as a process, and has commands that are not ours."""
    if not WHOLE_AZ:
        pytest.skip('needs the package azure-cli, and only its core is here')
    return [sys.executable, '-m', 'azure.cli']


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def run_az(*arguments: str, stdin: str = '', to_terminal: bool = False) -> Outcome:
    from azure.cli.core import get_default_cli

    stdout, stderr = _stream(Terminal if to_terminal else io.TextIOWrapper), _stream()
    with ExitStack() as stack:
        stack.enter_context(_bare_loggers())
        stack.enter_context(redirect_stdout(stdout))
        stack.enter_context(redirect_stderr(stderr))
        stack.enter_context(_redirect_stdin(stdin))
        try:
            code = get_default_cli().invoke(list(arguments), out_file=stdout)
        except SystemExit as end:
            code = int(end.code or 0)
    return Outcome(code, _text(stdout), _text(stderr))


@pytest.fixture(scope='module')
def emulator() -> Iterator[Emulator]:
    """A cloud of the module's own, with a few events."""
    with Emulator() as running:
        running.service.store.load(sample_feed(10))
        yield running


@pytest.fixture(scope='module')
def logins_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('logins')


@pytest.fixture
def sign_in(emulator: Emulator, logins_folder: Path, tmp_path: Path) -> SignIn:
    """Machines with the real az, signed in to the emulator of the test's module."""
    return SignIn(emulator, extensions=EXTENSIONS, originals=logins_folder, folder=tmp_path)


@pytest.fixture
def config_folder() -> Path:
    return Path(os.environ['AZURE_CONFIG_DIR'])


@pytest.fixture
def identity(config_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[IdentityEndpoint]:
    """az is signed in with a managed identity, whose endpoint this is."""
    write_login(config_folder)
    with IdentityEndpoint().serving() as endpoint:
        for name, value in endpoint.environment.items():
            monkeypatch.setenv(name, value)
        yield endpoint
    (config_folder / 'azureProfile.json').unlink()


@contextmanager
def _bare_loggers() -> Iterator[None]:
    """knack sets up logging only where the root logger has no handlers, and pytest gave it some."""
    loggers = [logging.getLogger(name) for name in (None, 'cli', 'azure')]
    kept = [(logger, logger.handlers[:], logger.level) for logger in loggers]
    for logger in loggers:
        logger.handlers[:] = []
    try:
        yield
    finally:
        for logger, handlers, level in kept:
            logger.handlers[:] = handlers
            logger.setLevel(level)


@contextmanager
def _redirect_stdin(text: str) -> Iterator[None]:
    kept = sys.stdin
    sys.stdin = io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = kept


def _stream(kind: type[io.TextIOWrapper] = io.TextIOWrapper) -> io.TextIOWrapper:
    return kind(io.BytesIO(), encoding='utf-8', newline='', write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode('utf-8')
