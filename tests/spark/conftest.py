"""An emulated cloud that Spark's processes reach as az does, and one session of Spark for each file.

Without pyspark, as in the environment of the other tests, there is nothing to collect here.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.emulator.cloud import Emulator
from tests.emulator.dicom import DicomService
from tests.emulator.identities import HOME_TENANT, READER_APPLICATION

collect_ignore_glob = [] if find_spec('pyspark') else ['test_*.py']
ADMITS = bool(find_spec('pyspark')) and find_spec('pyspark.sql.streaming.datasource') is not None
"""Whether this Spark bounds batches and says where a query stands: from 4.2 on."""
MASTER = os.environ.get('SPARK_TEST_MASTER', 'local[2]')

UNCLOSED = pytest.mark.filterwarnings(
    'ignore:unclosed <socket:ResourceWarning', 'ignore:.*socket:pytest.PytestUnraisableExceptionWarning'
)
"""pyspark 4.1 leaves the sockets of `collect` to the garbage collector."""


@pytest.fixture(scope='session')
def emulator() -> Iterator[Emulator]:
    """One for all files: Java keeps the environment of its first start, and hands it on to the workers."""
    with Emulator() as running:
        yield running


@pytest.fixture(scope='session')
def token_file(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('token') / 'token'
    path.write_text(emulator.entra.issue(READER_APPLICATION))
    return path


@pytest.fixture(scope='session')
def az_folder(token_file: Path) -> Path:
    """With an `az` that is signed in, as far as azure-identity asks it; the real one is not in this environment."""
    answer = {'accessToken': token_file.read_text(), 'expires_on': time.time() + 3_600, 'tokenType': 'Bearer'}
    az = token_file.with_name('az')
    az.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    az.chmod(0o700)
    return az.parent


@pytest.fixture(scope='session')
def spark_environment(emulator: Emulator, az_folder: Path) -> dict[str, str]:
    """What a driver needs so that its workers find this checkout, this Python and the cloud."""
    signed_in = {
        'AZURE_TENANT_ID': HOME_TENANT.id,
        'AZURE_CLIENT_ID': READER_APPLICATION.client_id,
        'AZURE_CLIENT_SECRET': READER_APPLICATION.secret,
    }
    python = {'PYSPARK_PYTHON': sys.executable, 'PYTHONPATH': str(ROOT)}
    return {**emulator.environment, **signed_in, **python, 'PATH': f'{az_folder}{os.pathsep}{os.environ["PATH"]}'}


@pytest.fixture(scope='module')
def spark(spark_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    os.environ.update(spark_environment)
    from pyspark.sql import SparkSession

    from dicomfeed.spark import DicomChangeFeed

    folder = tmp_path_factory.mktemp('spark')
    (folder / 'events').mkdir()
    session = (
        SparkSession.builder.master(MASTER)
        .config('spark.driver.memory', '1g')
        .config('spark.executor.memory', '1g')
        .config('spark.ui.enabled', 'false')
        .config('spark.ui.showConsoleProgress', 'false')
        .config('spark.sql.shuffle.partitions', '2')
        .config('spark.sql.session.timeZone', 'UTC')
        .config('spark.sql.python.filterPushdown.enabled', 'true')
        .config('spark.sql.warehouse.dir', str(folder / 'warehouse'))
        .config('spark.local.dir', str(folder / 'local'))
        .config('spark.eventLog.enabled', 'true')
        .config('spark.eventLog.dir', str(folder / 'events'))
        .getOrCreate()
    )
    session.sparkContext.setLogLevel('ERROR')
    session.dataSource.register(DicomChangeFeed)
    yield session
    session.stop()


@pytest.fixture
def new_service(emulator: Emulator, request: pytest.FixtureRequest) -> Iterator[Callable[[], DicomService]]:
    """Deploys a service of the test's own, which is empty."""
    made: list[DicomService] = []

    def make() -> DicomService:
        number = len(emulator.services)
        made.append(emulator.add_service('contoso', f'spark{number}'))
        return made[-1]

    yield make
    for service in made:
        service.trouble.clear()


@pytest.fixture
def options(token_file: Path) -> Callable[..., dict[str, str]]:
    """The options that lead to a service, and more of them by name."""

    def of(service: DicomService, **more: object) -> dict[str, str]:
        given = {'serviceUrl': f'https://{service.host}', 'credential': 'tokenFile', 'tokenFile': token_file}
        return {name: str(value) for name, value in {**given, **more}.items()}

    return of
