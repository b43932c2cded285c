"""az in this process, signed out or signed in with a managed identity of our making."""
from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.az.identity_endpoint import IdentityEndpoint, write_login


@dataclass(frozen=True)
class Outcome:
    code: int
    stdout: str
    stderr: str

    @property
    def result(self) -> Any:
        return json.loads(self.stdout)


Az = Callable[..., Outcome]


@pytest.fixture
def az() -> Az:
    """Run a command in this process: ten milliseconds where a process takes four hundred."""
    return run_az


def run_az(*arguments: str, stdin: str = '') -> Outcome:
    from azure.cli.core import get_default_cli
    stdout, stderr = _stream(), _stream()
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
    import sys
    kept = sys.stdin
    sys.stdin = io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = kept


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding='utf-8', newline='', write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode('utf-8')
