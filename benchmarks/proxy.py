"""What `az dicom proxy` costs: the same requests through it and straight to the server, by curl.

Fair, because both sides of a comparison take turns, ask the same server (`bulk.py`) over TLS, and keep their
connections alive alike. The rate without a limit is compared with a plain copy from TLS to TCP, the least that any such
program does.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import bulk, contenders, report
from benchmarks.process import Command, run
from benchmarks.report import Figure
from tests.az.identity_endpoint import IdentityEndpoint, write_login
from tests.conftest import install_extension

_TURNS = 3
_MIB = 2**20
_LATENCY = 'latency=0.02'
_GIGABIT = 'rate=125000000'
_CLIENTS = 50


def measure() -> str:
    """The section about the proxy."""
    with tempfile.TemporaryDirectory(prefix='benchmarks-') as name, ExitStack() as stack:
        folder = Path(name)
        server_port = stack.enter_context(bulk.serving(folder / 'ca.pem'))
        copy_port = stack.enter_context(bulk.copying(folder / 'ca.pem', server_port))
        proxy = stack.enter_context(_proxy(folder, server_port))
        paths = _Paths(folder, f'https://127.0.0.1:{server_port}', proxy.base, f'http://127.0.0.1:{copy_port}')
        return _section(paths, proxy)


@dataclass(frozen=True)
class _Paths:
    """The ways to the same server."""

    folder: Path
    direct: str
    proxy: str
    copy: str

    def seconds(self, base: str, query: str, *options: str, times: int = 1) -> float:
        """The time that curl takes for one request, or for so many over kept connections."""
        return run(self.curl(base, query, *options, times=times), environment=_PLAIN, output=self._output).wall_seconds

    def median_milliseconds(self, base: str, *, times: int) -> float:
        """Of one request over a kept connection; the first one, which connects, is not among them."""
        self.seconds(base, 'bytes=2', '--write-out', r'%{stderr}%{time_total}\n', times=times)
        errors = self._output.with_name(self._output.name + '.errors')
        return 1000 * median(float(line) for line in errors.read_text().split()[1:])

    def curl(self, base: str, query: str, *options: str, times: int = 1) -> Command:
        config = self.folder / 'curl-config'
        config.write_text(f'url = "{base}/v2/studies?{query}"\noutput = "/dev/null"\n' * times)
        checks = ('--silent', '--show-error', '--fail', '--http1.1', '--cacert', str(self.folder / 'ca.pem'))
        return ('curl', *checks, *options, '--config', str(config))

    @property
    def _output(self) -> Path:
        return self.folder / 'output'


_PLAIN = {name: value for name, value in os.environ.items() if not name.lower().endswith('_proxy')}


@dataclass(frozen=True)
class _Proxy:
    base: str
    process_id: int

    def peak_mib(self) -> float:
        """Its largest resident set until now."""
        status = Path(f'/proc/{self.process_id}/status').read_text()
        return int(re.findall(r'VmHWM:\s+(\d+) kB', status)[0]) / 1024


@contextmanager
def _proxy(folder: Path, server_port: int) -> Iterator[_Proxy]:
    """As a person starts it, with a managed identity."""
    config = folder / 'azure'
    config.mkdir()
    write_login(config)
    install_extension(folder / 'extensions')
    service = ('--service-url', f'https://127.0.0.1:{server_port}', '--resource', 'api://benchmark')
    with IdentityEndpoint().serving() as endpoint:
        environment = {
            **_PLAIN,
            **endpoint.environment,
            'AZURE_CONFIG_DIR': str(config),
            'AZURE_EXTENSION_DIR': str(folder / 'extensions'),
            'AZURE_CORE_COLLECT_TELEMETRY': 'false',
            'REQUESTS_CA_BUNDLE': str(folder / 'ca.pem'),
        }
        command = (*contenders.AZ, 'dicom', 'proxy', *service, '--allow', 'store')
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield _Proxy(process.stdout.readline().strip(), process.pid)
            finally:
                process.send_signal(signal.SIGTERM)


def _section(paths: _Paths, proxy: _Proxy) -> str:
    memory = _memory(paths, proxy)  # first, because a peak never falls
    small = _both(paths, lambda base: paths.seconds(base, _LATENCY, times=300))
    limited = _both(paths, lambda base: paths.seconds(base, f'bytes={300_000_000}&{_GIGABIT}'))
    through, copied = _in_turns(
        lambda: paths.seconds(paths.proxy, f'bytes={512 * _MIB}'),
        lambda: paths.seconds(paths.copy, f'bytes={512 * _MIB}', '--header', 'Connection: close'),
    )
    one = _both(paths, lambda base: paths.median_milliseconds(base, times=1000))
    parallel = ('--parallel', '--parallel-immediate', '--parallel-max', str(_CLIENTS))
    many = _both(paths, lambda base: paths.seconds(base, _LATENCY, *parallel, times=20 * _CLIENTS))
    rows = [
        ('300 small requests, 20 ms of latency, s', *small),
        ('300 MB at 1 Gbit/s, s', *limited),
        ('one request over a kept connection, median, ms', *one),
        (f'{20 * _CLIENTS} small requests of {_CLIENTS} clients at once, 20 ms of latency, s', *many),
    ]
    return report.section(
        '`az dicom proxy`',
        f'Medians of {_TURNS} turns; server, proxy and curl share the machine.',
        [
            report.table(
                ('', 'through the proxy', 'directly'), [(name, f'{a:.2f}', f'{b:.2f}') for name, a, b in rows]
            ),
            report.table(
                ('512 MiB without a limit', 'MiB/s'),
                [
                    ('through the proxy', f'{512 / through:.0f}'),
                    ('through a plain copy from TLS to TCP', f'{512 / copied:.0f}'),
                ],
            ),
            report.table(('peak memory of the proxy after', 'MiB'), [(name, f'{mib:.1f}') for name, mib in memory]),
            report.figures(
                [
                    Figure('300 small requests, as a multiple of direct ones', small[0] / small[1], 1.1),
                    Figure('300 MB at 1 Gbit/s, as a multiple of direct', limited[0] / limited[1], 1.1),
                    Figure('rate without a limit, of the plain copy', copied / through, 0.6, at_most=False),
                    Figure('added to a request over a kept connection', one[0] - one[1], 1, unit=' ms'),
                    Figure(
                        'peak memory after 1 GiB down and up, more than after 100 MB',
                        memory[-1][1] - memory[0][1],
                        10,
                        unit=' MiB',
                    ),
                ]
            ),
        ],
    )


def _both(paths: _Paths, seconds: Callable[[str], float]) -> tuple[float, float]:
    return _in_turns(lambda: seconds(paths.proxy), lambda: seconds(paths.direct))


def _in_turns(one: Callable[[], float], other: Callable[[], float]) -> tuple[float, float]:
    turns = [(one(), other()) for _ in range(_TURNS)]
    return median(first for first, _ in turns), median(second for _, second in turns)


def _memory(paths: _Paths, proxy: _Proxy) -> list[tuple[str, float]]:
    found = []
    paths.seconds(paths.proxy, 'bytes=100000000')
    found.append(('100 MB', proxy.peak_mib()))
    paths.seconds(paths.proxy, f'bytes={1024 * _MIB}')
    found.append(('1 GiB', proxy.peak_mib()))
    sparse = paths.folder / 'sparse'
    with sparse.open('wb') as file:
        file.truncate(1024 * _MIB)
    paths.seconds(paths.proxy, 'bytes=2', '--request', 'POST', '--upload-file', str(sparse))
    found.append(('1 GiB stored, too', proxy.peak_mib()))
    return found
