"""Put the code of others that the wheel carries into place: h11, which reads HTTP for `az dicom proxy`.

usage: python scripts/vendor.py [FOLDER]

az does not ship h11, and what a wheel requires, `az extension add` downloads again beside it: so the wheel carries it.
None of its code is in the repository. The release is fetched with pip, from whatever index pip is configured for, and
checked against the SHA-256 below. What is unpacked is checked against another one, so that a changed copy never gets
into a wheel, and an unchanged one is not fetched again.

To update: set VERSION and WHEEL_SHA256, run this script, and set TREE_SHA256 to what it says.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

NAME = 'h11'
VERSION = '0.16.0'
WHEEL_SHA256 = '63cf8bbe7522de3bf65932fda1d9c2772064ffb3dae62d55932da54b31cb6c86'
TREE_SHA256 = '553017d072dc7920c992e13f0fea7d902d0658049e147db6bc3f168596aaa54a'

PACKAGES = ('azext_dicomtoken.vendored_sdks', 'azext_dicomtoken.vendored_sdks.h11')
FOLDER = Path(__file__).resolve().parent.parent / 'azext_dicomtoken' / 'vendored_sdks'

_OWN_INIT = f'"""Code of others, unchanged but for its imports; fetched by scripts/vendor.py. {NAME} {VERSION}."""\n'
_LICENCE = f'{NAME}-{VERSION}.dist-info/licenses/LICENSE.txt'
_SECONDS = 300

Fetch = Callable[[Path], Path]


class VendorError(Exception):
    """The code could not be fetched, or is not what was expected."""


def main(arguments: list[str]) -> int:
    try:
        provide(Path(arguments[0]) if arguments else FOLDER)
    except VendorError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def fetch(folder: Path) -> Path:
    """Have pip download the wheel into the folder; its path."""
    try:
        done = subprocess.run(
            [
                *(sys.executable, '-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps'),
                *('--only-binary', ':all:', '--dest', str(folder), f'{NAME}=={VERSION}'),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise VendorError(f'{NAME} {VERSION} could not be fetched: pip did not run or did not end.') from error
    wheels = list(folder.glob('*.whl'))
    if done.returncode or len(wheels) != 1:
        said = ' '.join((done.stderr.strip().splitlines() or ['no reason given'])[-1].split())
        raise VendorError(f'{NAME} {VERSION} could not be fetched with pip: {said}')
    return wheels[0]


def provide(folder: Path = FOLDER, *, fetch: Fetch = fetch) -> None:
    """See to it that the folder holds the pinned release and nothing else.

    :raises VendorError: where it cannot be fetched, or is another one; the folder is then as it was.
    """
    if tree_sha256(_read_tree(folder)) == TREE_SHA256:
        return
    with tempfile.TemporaryDirectory(prefix='vendor-') as name:
        tree = _unpack(fetch(Path(name)))
    found = tree_sha256(tree)
    if found != TREE_SHA256:
        raise VendorError(f'{NAME} {VERSION} unpacks to other files than were pinned: {found}')
    shutil.rmtree(folder, ignore_errors=True)
    for path, data in tree.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def tree_sha256(tree: Mapping[str, bytes]) -> str:
    """One digest over names and contents."""
    lines = (f'{hashlib.sha256(data).hexdigest()}  {path}\n' for path, data in sorted(tree.items()))
    return hashlib.sha256(''.join(lines).encode()).hexdigest()


def _read_tree(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob('*') if path.is_file() and '__pycache__' not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _unpack(wheel: Path) -> dict[str, bytes]:
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != WHEEL_SHA256:
        raise VendorError(f'The wheel of {NAME} {VERSION} has another SHA-256 than was pinned; nothing was unpacked.')
    with zipfile.ZipFile(wheel) as archive:
        tree = {name: archive.read(name) for name in archive.namelist() if name.startswith(f'{NAME}/')}
        tree[f'{NAME}/LICENSE.txt'] = archive.read(_LICENCE)
    # The only imports that name the package; all others are relative.
    tree[f'{NAME}/__init__.py'] = tree[f'{NAME}/__init__.py'].replace(b'from h11.', b'from .')
    return {'__init__.py': _OWN_INIT.encode(), **tree}


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
