"""docs/spark.md as a test: its blocks run, and its table of options is the source's."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from dicomfeed.spark import options
from dicomfeed.spark.rows import SCHEMA
from tests.conftest import ROOT
from tests.emulator.sample import sample_feed
from tests.spark.conftest import UNCLOSED

pytestmark = UNCLOSED

TEXT = (ROOT / 'docs' / 'spark.md').read_text('utf-8')
BLOCKS = re.findall(r'^```python\n(.*?)^```$', TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope='module')
def sample(emulator: Any) -> int:
    return int(emulator.service.store.load(sample_feed(300)))


def names_of(table: str) -> list[str]:
    rows = TEXT.partition(f'| {table} |')[2].partition('\n\n')[0]
    return [name for row in re.findall(r'^\| (`.*?) \|', rows, re.MULTILINE) for name in re.findall(r'`(\w+)`', row)]


@pytest.mark.parametrize('code', BLOCKS, ids=['batch', 'stream'])
def test_block_runs_with_the_default_credential(
    code: str, spark: Any, sample: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = os.getcwd()
    os.chdir(tmp_path)
    try:
        exec(code.replace("'feed", f"'{tmp_path}/feed"), {'spark': spark})
    finally:
        os.chdir(folder)
    if 'readStream' in code:
        assert spark.read.parquet(f'{tmp_path}/feed').count() == sample
    else:
        assert '|Create|' in capfd.readouterr().out


def test_every_option_and_every_column_is_described() -> None:
    assert sorted(names_of('option')) == sorted(options.NAMES)
    assert names_of('column') == SCHEMA.names
