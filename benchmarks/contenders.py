"""The command lines that read the same pages: ours, and what a user would use instead.

All of them take the proxy and the CA from the environment, and the token that `az dicom token issue` gives.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.process import Command
from tests.emulator.identities import HOME_TENANT, READER_APPLICATION

AUDIENCE = 'https://dicom.healthcareapis.azure.com'
AZ: Command = (sys.executable, '-m', 'azure.cli')
# what az is signed in with, before any measurement
LOGIN: Command = (
    'login',
    '--service-principal',
    '--username',
    READER_APPLICATION.client_id,
    '--password',
    str(READER_APPLICATION.secret),
    '--tenant',
    HOME_TENANT.id,
)
TOKEN: Command = (*AZ, 'dicom', 'token', 'issue', '--format', 'header')
CHANGEFEED: Command = (*AZ, 'dicom', 'changefeed')
JQ: Command = ('jq', '--compact-output', '.[]')
_PAGE = 100


def page_urls(service_url: str, *, last_sequence: int, metadata: bool) -> list[str]:
    """The pages that hold all events, as the service takes them at most."""
    return [
        f'{service_url}/v1/changefeed?offset={offset}&limit={_PAGE}&includeMetadata={str(metadata).lower()}'
        for offset in range(0, last_sequence, _PAGE)
    ]


def changefeed(service_url: str, *options: str, metadata: bool = False) -> Command:
    """Ours, with everything that it does by default: eight pages in flight, each event checked and in order."""
    return (
        *CHANGEFEED,
        '--stream',
        '--service-url',
        service_url,
        *options,
        *(['--include-metadata'] if metadata else []),
    )


def curl_in_parallel(urls: Sequence[str], folder: Path, *, header: Path) -> Command:
    """`curl -Z`, eight connections kept alive, a file a page: parses nothing and keeps no order."""
    return (*_curl(urls, folder, header=header, is_to_files=True), '--parallel', '--parallel-max', '8')


def curl_one_by_one(urls: Sequence[str], folder: Path, *, header: Path) -> Command:
    """curl with one connection, page after page to standard output."""
    return _curl(urls, folder, header=header, is_to_files=False)


def requests_loop(urls: Sequence[str], folder: Path, *, header: Path) -> Command:
    """A loop with one `requests.Session`, each page to standard output."""
    listed = folder / 'urls'
    listed.write_text('\n'.join(urls))
    return sys.executable, str(Path(__file__).with_name('requests_loop.py')), str(listed), str(header)


def az_rest(url: str) -> Command:
    """What a user has without the extension: a process a page."""
    return *AZ, 'rest', '--method', 'get', '--url', url, '--resource', AUDIENCE


def _curl(urls: Sequence[str], folder: Path, *, header: Path, is_to_files: bool) -> Command:
    config = folder / 'curl-config'
    config.write_text(
        ''.join(
            f'url = "{url}"\n' + (f'output = "{folder / f"{number}.json"}"\n' if is_to_files else '')
            for number, url in enumerate(urls)
        )
    )
    return (
        'curl',
        '--silent',
        '--show-error',
        '--fail',
        '--http1.1',
        '--header',
        f'@{header}',
        '--config',
        str(config),
    )
