"""`python -m tests.emulator`: the emulated cloud for a person at a shell, or for a script.

Owned: the command line and what is printed.
Not owned: the cloud (`cloud.py`).
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.emulator import ticks
from tests.emulator.cloud import Emulator
from tests.emulator.identities import HOME_TENANT, READER_APPLICATION, ROLELESS_APPLICATION, ServicePrincipal
from tests.emulator.orthanc import Orthanc, orthanc
from tests.emulator.sample import sample_feed

_ENDINGS = {signal.SIGINT, signal.SIGTERM}


def main() -> None:
    """Serve until Ctrl-C or SIGTERM, and then end with status 0."""
    arguments = _parser().parse_args()
    # Blocked before the server's thread begins, which inherits the mask, so that `sigwait` gets them.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)
    with ExitStack() as stack:
        emulator = stack.enter_context(Emulator(port=arguments.port, latency_seconds=arguments.latency / 1000))
        emulator.service.store.load(sample_feed(arguments.events, end_ticks=ticks.now(), metadata=arguments.metadata))
        if arguments.orthanc:
            emulator.service.dicomweb = images = stack.enter_context(orthanc(emulator.directory / 'orthanc'))
            print(_images(images))
        exports = _exports({**emulator.environment, 'DICOM_SERVICE_URL': emulator.service_url})
        print(_welcome(emulator, exports), flush=True)
        if arguments.env_file:
            _write_whole(arguments.env_file, exports)
        signal.sigwait(_ENDINGS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='python -m tests.emulator', description='A local Azure on 127.0.0.1.')
    parser.add_argument('--port', type=int, default=0, help='port to listen on (default: a free one)')
    parser.add_argument('--events', type=int, default=1000, metavar='N', help='size of the sample feed (1000)')
    parser.add_argument(
        '--include-metadata',
        dest='metadata',
        action='store_true',
        default=True,
        help='sample events have DICOM metadata (the default)',
    )
    parser.add_argument('--no-metadata', dest='metadata', action='store_false', help='they have next to none: faster')
    parser.add_argument('--latency', type=float, default=0, metavar='MS', help='added to every answer of the feed')
    parser.add_argument(
        '--orthanc', action='store_true', help="images, in an Orthanc that is started too (Debian's orthanc-dicomweb)"
    )
    parser.add_argument(
        '--env-file', type=Path, metavar='PATH', help='write the export lines there once the emulator is ready'
    )
    return parser


def _exports(environment: Mapping[str, str]) -> str:
    return ''.join(f'export {name}={shlex.quote(value)}\n' for name, value in environment.items())


def _write_whole(path: Path, text: str) -> None:
    """A script that waits for the file never sees half of it."""
    unfinished = path.with_name(path.name + '.unfinished')
    unfinished.write_text(text)
    os.replace(unfinished, path)


def _welcome(emulator: Emulator, exports: str) -> str:
    return f"""\
# An emulated Azure listens on {emulator.base_url}. Paste this into a shell in the project's folder:

{exports}export AZURE_CONFIG_DIR="$(mktemp -d)" PATH="$PWD/.venv/bin:$PATH"

az extension add --yes --source dist/*.whl    # after: make build
az config set defaults.dicom_service_url="$DICOM_SERVICE_URL" --only-show-errors
{_login(READER_APPLICATION)}
# A service principal without any role:
# {_login(ROLELESS_APPLICATION)}
# A user with the reader role: az login --use-device-code

az dicom changefeed --tail 5 -o table
az dicom token issue --format header | curl --header @- "$DICOM_SERVICE_URL/v2/changefeed?limit=2"

curl --data '{{"count": 3}}' {emulator.base_url}/_emulator/store    # three new instances
curl {emulator.base_url}/_emulator/journal
"""


def _images(images: Orthanc) -> str:
    return f"""\
# Images are in {images.url}. To store one there: curl --data-binary @FILE {images.url}/instances
"""


def _login(principal: ServicePrincipal) -> str:
    return (
        f'az login --service-principal --username {principal.client_id} '
        f'--password {principal.secret} --tenant {HOME_TENANT.id}'
    )


if __name__ == '__main__':
    main()
