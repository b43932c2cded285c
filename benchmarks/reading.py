"""How long reading everything takes, beside the tools that a user has without the extension.

Fair, because all read the very same pages from one server, over TLS, through one proxy, with one token, in turn. From
az's time that of `az dicom token issue` is taken off: the others need it too, for the token that they are given. What
is left of az's start-up, its own imports and the question for the newest event, counts as reading. az also checks each
event and puts them in order, which the others leave to their user.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from benchmarks import contenders, report
from benchmarks.bench import Bench, Measured
from benchmarks.process import Command
from benchmarks.report import Figure

LATENCY_SECONDS = 0.05
_TURNS = 3
_AZ_REST_PAGES = 20


@dataclass(frozen=True)
class _Turn:
    startup: Measured
    ours: Measured
    curl: Measured

    @property
    def our_seconds(self) -> float:
        return self.ours.wall_seconds - self.startup.wall_seconds


def measure(bench: Bench, *, metadata: bool) -> str:
    """The section about all events with or without metadata."""
    server = bench.server
    urls = contenders.page_urls(server.service_url, last_sequence=server.last_sequence, metadata=metadata)
    pages = bench.folder / 'pages'
    pages.mkdir(exist_ok=True)
    server.set_latency(LATENCY_SECONDS)
    turns = [
        _turn(bench, contenders.curl_in_parallel(urls, pages, header=bench.header), metadata=metadata)
        for _ in range(_TURNS)
    ]
    one_by_one = bench.measure(contenders.curl_one_by_one(urls, bench.folder, header=bench.header))
    loop = bench.measure(contenders.requests_loop(urls, bench.folder, header=bench.header))
    rest = bench.measure_all((contenders.az_rest(url),) for url in urls[:_AZ_REST_PAGES])
    return report.section(
        f'Reading {server.events:,} events {"with" if metadata else "without"} metadata',
        f'{len(urls)} pages, {1000 * LATENCY_SECONDS:.0f} ms of latency each.',
        [
            _seconds(turns, one_by_one, loop, rest, len(urls) / _AZ_REST_PAGES),
            report.figures(_figures(turns, one_by_one, loop)),
        ],
    )


def _turn(bench: Bench, curl: Command, *, metadata: bool) -> _Turn:
    startup = bench.measure(contenders.TOKEN)
    ours = bench.measure(contenders.changefeed(bench.server.service_url, metadata=metadata))
    bench.expect(bench.server.events)
    return _Turn(startup, ours, bench.measure(curl))


def _seconds(turns: list[_Turn], one_by_one: Measured, loop: Measured, rest: Measured, rest_factor: float) -> str:
    def row(name: str, seconds: float, *measured: Measured) -> tuple[str, ...]:
        return (name, f'{seconds:.2f}', str(len(measured)), report.percent(max(one.server_share for one in measured)))

    return report.table(
        ('contender', 'seconds', 'runs', 'server, of a core'),
        [
            row(
                '`az dicom changefeed --stream`, start-up taken off',
                median(turn.our_seconds for turn in turns),
                *(turn.ours for turn in turns),
            ),
            row(
                'start-up: `az dicom token issue`',
                median(turn.startup.wall_seconds for turn in turns),
                *(turn.startup for turn in turns),
            ),
            row(
                '`curl --parallel --parallel-max 8`',
                median(turn.curl.wall_seconds for turn in turns),
                *(turn.curl for turn in turns),
            ),
            row('`curl`, one connection', one_by_one.wall_seconds, one_by_one),
            row('`requests.Session`, one connection', loop.wall_seconds, loop),
            row(f'`az rest` a page, extrapolated from {_AZ_REST_PAGES} pages', rest.wall_seconds * rest_factor, rest),
        ],
    )


def _figures(turns: list[_Turn], one_by_one: Measured, loop: Measured) -> list[Figure]:
    ours = median(turn.our_seconds for turn in turns)
    busiest = max(turn.ours.server_share for turn in turns)
    return [
        Figure(
            "time, as a multiple of parallel `curl`'s",
            median(turn.our_seconds / turn.curl.wall_seconds for turn in turns),
            1.15,
            max(busiest, *(turn.curl.server_share for turn in turns)),
        ),
        Figure(
            'faster than `curl` on one connection, times',
            one_by_one.wall_seconds / ours,
            6,
            max(busiest, one_by_one.server_share),
            at_most=False,
        ),
        Figure(
            'faster than the `requests` loop, times',
            loop.wall_seconds / ours,
            6,
            max(busiest, loop.server_share),
            at_most=False,
        ),
    ]
