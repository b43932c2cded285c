"""Run the tests on several releases of az and on each Python that is at hand.

usage: python scripts/matrix.py [WORD ...]

The words choose the rows that have all of them in their names. Each row is a `make pytest` in a virtual environment of
its own, which stays. The core of az is enough for all that runs in one process; the whole of it, 800 MB a row, is for
the emulator and the tests end to end. Exits with 1 when a row failed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ('3.10', '3.11', '3.12', '3.13')
YEAR_OLD = '2.80.0'
YEAR_OLD_PYTHON = '3.12'  # of Azure Linux, and so of Cloud Shell
IN_ONE_PROCESS = 'tests/az'


@dataclass(frozen=True)
class Row:
    package: str  # CORE or CLI, as the Makefile names them
    release: str
    python: str

    @property
    def name(self) -> str:
        return f'{self.package.lower()}-{self.release}-python-{self.python}'

    @property
    def tests(self) -> str:
        return IN_ONE_PROCESS if self.package == 'CORE' else ''


def main(words: list[str]) -> int:
    interpreters = {python: find_python(python) for python in PYTHONS}
    results: dict[str, str] = {}
    for row in rows():
        python = interpreters[row.python]
        if not all(word in row.name for word in words):
            continue
        print(f'== {row.name}', flush=True)
        results[row.name] = run(row, python) if python else 'left out: this Python is not at hand'
    print(*(f'{name:32} {result}' for name, result in results.items()), sep='\n')
    return 1 if 'FAILED' in results.values() else 0


def rows() -> Iterator[Row]:
    metadata = json.loads((ROOT / 'azext_dicomtoken' / 'azext_metadata.json').read_text('utf-8'))
    (pinned,) = re.findall('azure-cli==(.*)', (ROOT / 'tests' / 'e2e' / 'requirements.txt').read_text('utf-8'))
    for python in PYTHONS:
        yield Row('CORE', metadata['azext.minCliCoreVersion'], python)
        yield Row('CORE', pinned, python)
    for python in PYTHONS:
        yield Row('CLI', pinned, python)
    yield Row('CLI', YEAR_OLD, YEAR_OLD_PYTHON)


def find_python(version: str) -> str | None:
    """Also among those of pyenv, whose command of that name does nothing unless it is told to."""
    folder = Path(os.environ.get('PYENV_ROOT', Path.home() / '.pyenv')) / 'versions'
    candidates = [shutil.which(f'python{version}'), *map(str, sorted(folder.glob(f'{version}.*/bin/python')))]
    return next((path for path in candidates if path and runs(path, version)), None)


def runs(path: str, version: str) -> bool:
    program = 'import sys, venv; print("%d.%d" % sys.version_info[:2])'
    done = subprocess.run([path, '-c', program], capture_output=True, text=True, check=False)
    return done.stdout.strip() == version


def run(row: Row, python: str) -> str:
    done = subprocess.run(
        [
            'make',
            '--no-print-directory',
            'pytest',
            f'VENV=.venv-{row.name}',
            f'PYTHON={python}',
            f'{row.package}={row.release}',
            f'ARGS={row.tests}',
        ],
        cwd=ROOT,
        check=False,
    )
    return 'FAILED' if done.returncode else 'passed'


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
