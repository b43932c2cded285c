"""Make what a release consists of: the wheel, its SHA-256 and an index of extensions that names both.

usage: python -m scripts.release FOLDER [URL]

Builds the wheel twice, in different folders, and goes on only when they are the same byte for byte. URL is where the
wheel will be downloaded from, without its name; without a URL the index names a file beside it. The index has the
format of az's own: it can be served as it is, or its entry be taken into another.
"""

from __future__ import annotations

import email
import hashlib
import json
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from scripts.build_wheel import build


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    print(*release(Path(arguments[0]), *arguments[1:]), sep='\n')
    return 0


def release(folder: Path, url: str = '') -> list[Path]:
    """Write the files into the folder, and return their paths."""
    wheel = build(folder)
    with tempfile.TemporaryDirectory(prefix='dicomtoken-again-') as again:
        if build(Path(again)).read_bytes() != wheel.read_bytes():
            wheel.unlink()
            raise SystemExit('Two builds of the same sources differ.')
    checksum = wheel.with_name(wheel.name + '.sha256')
    checksum.write_text(f'{sha256(wheel)}  {wheel.name}\n', 'utf-8')
    index = wheel.with_name('index.json')
    index.write_text(json.dumps(extension_index(wheel, url=url), indent=4) + '\n', 'utf-8')
    return [wheel, checksum, index]


def extension_index(*wheels: Path, url: str) -> dict[str, Any]:
    """Return an index of extensions that holds versions of this one."""
    entries = [_entry(wheel, url=url) for wheel in wheels]
    return {'extensions': {'dicomtoken': entries}, 'formatVersion': '1'}


def sha256(wheel: Path) -> str:
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def _entry(wheel: Path, *, url: str) -> dict[str, Any]:
    return {
        'downloadUrl': f'{url.rstrip("/")}/{wheel.name}' if url else wheel.name,
        'filename': wheel.name,
        'metadata': _metadata(wheel),
        'sha256Digest': sha256(wheel),
    }


def _metadata(wheel: Path) -> dict[str, Any]:
    """What az reads of the wheel before it has it."""
    with zipfile.ZipFile(wheel) as archive:
        (about,) = (name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
        headers = email.message_from_bytes(archive.read(about))
        of_az = json.loads(archive.read('azext_dicomtoken/azext_metadata.json'))
    return {
        **of_az,
        'classifiers': headers.get_all('Classifier'),
        'license': headers['License'],
        'metadata_version': headers['Metadata-Version'],
        'name': headers['Name'],
        'requires_python': headers['Requires-Python'],
        'summary': headers['Summary'],
        'version': headers['Version'],
    }


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
