"""Isolation for every test: no configuration, login, proxy or certificate setting of the machine gets in.

It stands before any import of azure, which reads these variables once. The extension is laid out as az would have
installed it, with links in the place of copies.
"""

from __future__ import annotations

import atexit
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

_FOLDER = tempfile.TemporaryDirectory(prefix='dicomtoken-tests-')
atexit.register(_FOLDER.cleanup)


def install_extension(extensions: Path) -> None:
    """Lay the extension out in a folder that AZURE_EXTENSION_DIR names."""
    installed = extensions / 'dicomtoken'
    information = installed / 'dicomtoken-1.0.0b1.dist-info'
    information.mkdir(parents=True)
    (information / 'METADATA').write_text('Metadata-Version: 2.1\nName: dicomtoken\nVersion: 1.0.0b1\n', 'utf-8')
    for package in ('azext_dicomtoken', 'dicomfeed'):
        (installed / package).symlink_to(ROOT / package)


def _isolate(folder: Path) -> None:
    foreign = re.compile(r'AZURE_|ACC_|MSI_|IDENTITY_|.*_proxy$|.*_CA_BUNDLE$|SSL_CERT_|NETRC$', re.IGNORECASE)
    for name in [name for name in os.environ if foreign.match(name)]:
        del os.environ[name]
    (folder / 'config').mkdir()
    os.environ.update(
        {
            'AZURE_CONFIG_DIR': str(folder / 'config'),
            'AZURE_EXTENSION_DIR': str(folder / 'extensions'),
            'AZURE_CORE_COLLECT_TELEMETRY': 'false',
            'AZURE_CORE_NO_COLOR': 'true',
            'AZURE_EXTENSION_RUN_AFTER_DYNAMIC_INSTALL': 'false',
            'HOME': str(folder),
        }
    )


def _take_signals() -> None:
    """Tests send Ctrl-C to commands; where a shell started the tests in the background, all of them would ignore it."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# The same examples in every run, however slow the machine is. hypothesis takes a profile of its own where CI is set, so
# nothing is taken over from the one in force.
settings.register_profile('tests', settings.get_profile('default'), derandomize=True, database=None, deadline=None)
settings.load_profile('tests')

_take_signals()
_isolate(Path(_FOLDER.name))
install_extension(Path(_FOLDER.name) / 'extensions')


@pytest.fixture(autouse=True)
def _az_forgets_the_login() -> Iterator[None]:
    """az keeps the login that it read for as long as the process lives, and a parser of another test reads it too."""
    yield
    if session := sys.modules.get('azure.cli.core._session'):
        session.ACCOUNT.filename, session.ACCOUNT.data = None, {}
