"""The line between the two packages, and what a start costs in modules."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from azext_dicomtoken.changefeed import vocabulary
from dicomfeed.counts import BY_DAY, BY_HOUR, BY_STUDY
from dicomfeed.filters import Filters
from dicomfeed.gaps import SETTLE_SECONDS
from dicomfeed.times import parse_duration
from dicomfeed.transport import CONNECTIONS
from tests.az.identity_endpoint import IdentityEndpoint

ROOT = Path(__file__).resolve().parents[2]
CLI_LAYER = sorted(
    path
    for path in (ROOT / 'azext_dicomtoken').rglob('*.py')
    if 'vendored_sdks' not in path.parts  # not ours
)
READER = sorted((ROOT / 'dicomfeed').rglob('*.py'))


def imported_by(path: Path) -> set[str]:
    """Full names of the modules that a file imports, at any depth of it."""
    nodes = list(ast.walk(ast.parse(path.read_text('utf-8'))))
    plain = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    return plain | {node.module or '' for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}


def tops(names: set[str]) -> set[str]:
    return {name.partition('.')[0] for name in names}


@pytest.mark.parametrize('path', READER, ids=lambda path: path.stem)
def test_reader_imports_the_standard_library_and_requests(path: Path) -> None:
    foreign = tops(imported_by(path)) - set(sys.stdlib_module_names)
    assert foreign <= {'dicomfeed', 'requests', 'urllib3'}  # urllib3 comes with requests


def test_only_the_transport_of_the_reader_knows_http() -> None:
    http = {'requests', 'urllib3', 'http', 'socket', 'ssl'}
    knowing = {path.name: tops(imported_by(path)) & http for path in READER}
    assert [name for name, modules in knowing.items() if modules] == ['transport.py']


@pytest.mark.parametrize('path', CLI_LAYER, ids=lambda path: path.stem)
def test_cli_layer_imports_what_az_ships(path: Path) -> None:
    foreign = tops(imported_by(path)) - set(sys.stdlib_module_names)
    ships = {'argcomplete', 'azure', 'jmespath', 'knack', 'requests', 'urllib3', 'yaml'}
    assert foreign <= {'azext_dicomtoken', 'dicomfeed', *ships}


def test_only_the_login_touches_the_profile() -> None:
    assert [path.name for path in CLI_LAYER if 'azure.cli.core._profile' in imported_by(path)] == ['_login.py']


def loaded_by(*arguments: str, environment: dict[str, str]) -> set[str]:
    """Names of the modules that a process has loaded when the command has ended."""
    script = (
        'import json, sys\nfrom azure.cli.core import get_default_cli\n'
        'try: get_default_cli().invoke(sys.argv[1:], out_file=open("/dev/null", "w"))\n'
        'except SystemExit: pass\n'
        'print("MODULES" + json.dumps(sorted(sys.modules)))'
    )
    done = subprocess.run(
        [sys.executable, '-c', script, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(json.loads(done.stdout.partition('MODULES')[2]))


@pytest.mark.usefixtures('az_process')
def test_issue_loads_only_what_az_and_its_login_load(identity: IdentityEndpoint) -> None:
    core = loaded_by('account', 'get-access-token', environment=identity.environment)
    any_extension = loaded_by('dicom', '-h', environment=identity.environment)
    issue = loaded_by('dicom', 'token', 'issue', environment=identity.environment)
    assert 'msal' in issue
    assert {name for name in issue if name.startswith('dicomfeed')} == {'dicomfeed', 'dicomfeed.trust'}
    # The tag for secrets is az's own, and get-access-token has none.
    more = issue - core - any_extension - {'azure.cli.core.commands.sensitive'}
    assert {name.partition('.')[0] for name in more} == {'azext_dicomtoken', 'dicomfeed'}


@pytest.mark.parametrize(
    'command', [('token', 'issue'), ('token', 'show-claims'), ('check-access',), ('changefeed',)], ids=' '.join
)
def test_help_loads_neither_the_login_nor_the_reader(command: tuple[str, ...], identity: IdentityEndpoint) -> None:
    words = ('dicom', *command, '-h')
    loaded_by(*words, environment=identity.environment)  # az writes its index of commands
    loaded = loaded_by(*words, environment=identity.environment)
    assert not loaded & {'msal', 'requests', 'azext_dicomtoken._login'}
    assert [name for name in loaded if name.partition('.')[0] == 'dicomfeed'] == []


def test_vocabulary_is_that_of_the_reader() -> None:
    assert (*vocabulary.FILTERS, 'conditions') == Filters._fields
    assert vocabulary.BUCKETS == (BY_HOUR, BY_DAY, BY_STUDY)
    assert parse_duration(vocabulary.SETTLE) == SETTLE_SECONDS
    assert vocabulary.CONCURRENCY == CONNECTIONS
