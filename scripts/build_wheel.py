"""Build the wheel: the same bytes from the same sources, whoever builds it, and nothing left in the checkout.

usage: python scripts/build_wheel.py FOLDER

Prints the path of the wheel. Uses the setuptools of `scripts/requirements.txt`, which `make` puts into the folder
`build` of the environment; without it, the environment's own. The files are dated as SOURCE_DATE_EPOCH says, or else as
the last commit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ('azext_dicomtoken', 'dicomfeed')
FILES = ('setup.py', 'setup.cfg', 'README.md', 'HISTORY.rst', 'LICENSE', 'MANIFEST.in', 'scripts/vendor.py')
READABLE_METADATA = ('2.1', '2.2')
LONG_AGO = '1577836800'  # 2020; a zip file cannot say anything before 1980


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    print(build(Path(arguments[0])))
    return 0


def build(folder: Path, *, root: Path = ROOT) -> Path:
    """Build into the folder, in the place of an older wheel, and return the wheel's path."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='dicomtoken-build-') as name:
        sources = Path(name)
        copy_sources(sources, root=root)
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', 'setup.py', '-q', 'bdist_wheel'],
            cwd=sources,
            text=True,
            env=_environment(),
            umask=0o022,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        (built,) = (sources / 'dist').iterdir()
        _check_metadata(built)
        return Path(shutil.copy(built, folder / built.name))


def copy_sources(target: Path, *, root: Path = ROOT) -> None:
    """Without the modes of the checkout, which depend on who cloned it and would be in the wheel."""
    kept = os.umask(0o022)
    try:
        for name in PACKAGES:
            shutil.copytree(
                root / name,
                target / name,
                copy_function=shutil.copyfile,
                ignore=shutil.ignore_patterns('__pycache__', '.*'),
            )
        (target / 'scripts').mkdir()
        for name in FILES:
            shutil.copyfile(root / name, target / name)
    finally:
        os.umask(kept)


def _environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    return {'SOURCE_DATE_EPOCH': _date_of_last_commit(), **inherited, 'PYTHONPATH': os.path.join(sys.prefix, 'build')}


def _date_of_last_commit() -> str:
    try:
        shown = subprocess.run(
            ['git', '-C', str(ROOT), 'log', '-1', '--format=%ct'], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return LONG_AGO
    return shown.stdout.strip() or LONG_AGO


def _check_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
        version = archive.read(name).decode().partition('Metadata-Version: ')[2].split('\n')[0]
    if version not in READABLE_METADATA:
        raise SystemExit(
            f'The wheel has metadata {version}, which az before 2.88 cannot read: see scripts/requirements.txt.'
        )


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
