"""The loop that one writes with `requests`: page after page, one session, what came to standard output.

python requests_loop.py FILE_OF_URLS FILE_WITH_HEADER
"""

from __future__ import annotations

import sys
from pathlib import Path

import requests


def main(urls: Path, header: Path) -> None:
    name, _, value = header.read_text().strip().partition(': ')
    with requests.Session() as session:
        session.headers[name] = value
        for url in urls.read_text().splitlines():
            response = session.get(url, timeout=60)
            response.raise_for_status()
            sys.stdout.buffer.write(response.content)


if __name__ == '__main__':
    main(Path(sys.argv[1]), Path(sys.argv[2]))
