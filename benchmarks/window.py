"""What reading a window of time asks of the service: rows that it has to read only to skip them.

Fair, because the emulator counts both sides by one rule, `offset` rows a page; the other side is the loop that the
service's documentation suggests, `offset += 200` over the whole window.
"""

from __future__ import annotations

from typing import Any

import requests

from benchmarks import contenders, report
from benchmarks.bench import Bench
from benchmarks.report import Figure

EVENTS = 50_000
_PAGE = 200


def measure(bench: Bench) -> str:
    """The section about windows."""
    server = bench.server
    server.set_latency(0)
    with _session(bench) as session:
        first = (server.events - EVENTS) // 2
        start, end = (_timestamp(session, bench, offset) for offset in (first, first + EVENTS))
        server.clear_journal()
        bench.measure(contenders.changefeed(server.service_url, '--start-time', start, '--end-time', end))
        ours, delivered = server.rows_skipped, bench.delivered()
        server.clear_journal()
        paged = _page_through(session, bench, startTime=start, endTime=end)
        theirs = server.rows_skipped
    if paged != delivered:
        raise RuntimeError(f'{delivered} events instead of {paged}')
    return report.section(
        f'Rows skipped by the service for a window of {delivered:,} events',
        'As the emulator counts them.',
        [
            report.table(
                ('', 'rows skipped', 'for each event'),
                [
                    ('`az dicom changefeed --start-time … --end-time …`', f'{ours:,}', f'{ours / delivered:.2f}'),
                    (f'`offset += {_PAGE}` over the whole window', f'{theirs:,}', f'{theirs / delivered:.2f}'),
                ],
            ),
            report.figures([Figure('rows skipped for each event delivered', ours / delivered, 6)]),
        ],
    )


def _session(bench: Bench) -> requests.Session:
    session = requests.Session()
    session.proxies = {'https': bench.environment['HTTPS_PROXY']}
    session.verify = bench.environment['REQUESTS_CA_BUNDLE']
    session.headers['Authorization'] = bench.header.read_text().strip().partition(': ')[2]
    return session


def _timestamp(session: requests.Session, bench: Bench, offset: int) -> str:
    """When the event after `offset` others happened."""
    return str(_events(session, bench, offset=offset, limit=1)[0]['timestamp'])


def _page_through(session: requests.Session, bench: Bench, **window: str) -> int:
    """How many events the loop finds."""
    offset, found = 0, _PAGE
    while found == _PAGE:
        found = len(_events(session, bench, offset=offset, limit=_PAGE, **window))
        offset += found
    return offset


def _events(session: requests.Session, bench: Bench, **parameters: Any) -> list[dict[str, Any]]:
    answer = session.get(
        f'{bench.server.service_url}/v2/changefeed', timeout=60, params={**parameters, 'includeMetadata': 'false'}
    )
    answer.raise_for_status()
    return list(answer.json())
