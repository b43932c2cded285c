"""CONTRIBUTING draws the tree and says where changes go: what it names is there, and no module is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / 'CONTRIBUTING.md').read_text('utf-8')
PACKAGE = ROOT / 'azext_dicomtoken'


def section(title: str) -> str:
    return TEXT.partition(f'## {title}\n')[2].partition('\n## ')[0]


def drawn() -> set[str]:
    """Modules of the CLI layer by their path in the package, as the indentation says it."""
    found, folder = set(), ''
    for line in section('The tree').partition('dicomfeed/')[0].splitlines():
        names = line[:25]
        if re.match(r'  \w+/', names):
            folder = names.strip()
        prefix = folder if line.startswith('    ') else ''
        found |= {prefix + name for name in re.findall(r'\w+\.py', names)}
    return found


def test_every_module_of_the_cli_layer_is_drawn() -> None:
    paths = {path.relative_to(PACKAGE) for path in PACKAGE.rglob('*.py') if 'vendored_sdks' not in path.parts}
    assert drawn() == {str(path) for path in paths if path.parent == Path() or path.name != '__init__.py'}


@pytest.mark.parametrize('name', sorted(set(re.findall(r'`((?:\w+/)*\w+\.py)`', section('The tree')))))
def test_file_that_is_named_is_there(name: str) -> None:
    assert (PACKAGE / name).is_file() or (ROOT / name).is_file()
