"""curl through the proxy: parts of files, uploads that wait for a word, uploads of gigabytes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from tests.e2e.machine import TIMEOUT_SECONDS
from tests.e2e.proxies import Proxy
from tests.emulator.cloud import Emulator

pytestmark = pytest.mark.slow

GIB = 2**30
MIB_IN_KIB = 1024
CONTENT = bytes(range(256)) * 4096


class Sink:
    """Takes uploads and counts their bytes; refuses what is longer than `most`, as soon as it sees that."""

    def __init__(self, most: int = 4 * GIB) -> None:
        self.most = most
        self.received: list[int] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.received.append(0)
        has_more = True
        while has_more and self.received[-1] <= self.most:
            message = await receive()
            self.received[-1] += len(message.get('body', b''))
            has_more = message.get('more_body', False)
        status = 200 if self.received[-1] <= self.most else 413
        await PlainTextResponse(str(self.received[-1]), status)(scope, receive, send)


@pytest.fixture
def sink(emulator: Emulator) -> Iterator[Sink]:
    emulator.service.dicomweb = sink = Sink()
    yield sink
    emulator.service.dicomweb = None


@pytest.fixture
def file(emulator: Emulator, tmp_path: Path) -> Iterator[str]:
    """The path of a file of 1 MiB that the service has."""
    folder = tmp_path / 'service'
    folder.mkdir()
    (folder / '1').write_bytes(CONTENT)
    emulator.service.dicomweb = Starlette(routes=[Mount('/v2/studies', StaticFiles(directory=folder))])
    yield '/studies/1'
    emulator.service.dicomweb = None


def curl(*arguments: str, stdin: Any = subprocess.DEVNULL) -> subprocess.CompletedProcess[bytes]:
    command = ['curl', '--silent', '--show-error', '--noproxy', '*', '--expect100-timeout', '60', *arguments]
    return subprocess.run(command, stdin=stdin, capture_output=True, timeout=TIMEOUT_SECONDS, check=True)


def status(*arguments: str, stdin: Any = subprocess.DEVNULL) -> list[int]:
    """The status, and how many bytes were sent."""
    done = curl('--output', '/dev/null', '--write-out', '%{http_code} %{size_upload}', *arguments, stdin=stdin)
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize(
    ('part', 'expected'),
    [('1000-1999', CONTENT[1000:2000]), ('1048000-', CONTENT[1048000:]), ('-500', CONTENT[-500:])],
    ids=['middle', 'rest', 'tail'],
)
def test_range_is_that_part(running: Proxy, file: str, part: str, expected: bytes) -> None:
    assert curl('--range', part, running.root + file).stdout == expected


def test_several_ranges_come_as_parts(running: Proxy, file: str) -> None:
    answer = curl('--include', '--range', '0-9,300-309', running.root + file).stdout
    assert answer.startswith(b'HTTP/1.1 206 ') and b'multipart/byteranges' in answer.partition(b'\r\n\r\n')[0]
    assert CONTENT[:10] in answer and CONTENT[300:310] in answer


def test_download_is_continued(running: Proxy, file: str, tmp_path: Path) -> None:
    (tmp_path / 'part').write_bytes(CONTENT[:12345])
    curl('--continue-at', '-', '--output', str(tmp_path / 'part'), running.root + file)
    assert (tmp_path / 'part').read_bytes() == CONTENT


@pytest.mark.parametrize('options', [(), ('--http1.0',), ('--compressed',)], ids=['1.1', '1.0', 'compressed'])
def test_file_comes_whole(running: Proxy, file: str, options: tuple[str, ...]) -> None:
    assert curl(*options, running.root + file).stdout == CONTENT


def test_head_and_what_has_not_changed_have_no_body(running: Proxy, file: str) -> None:
    head = curl('--head', running.root + file).stdout.decode()
    fields = dict(line.split(': ', 1) for line in head.lower().splitlines() if ': ' in line)
    assert head.startswith('HTTP/1.1 200 ') and fields['content-length'] == str(len(CONTENT))
    answer = curl('--include', '--header', f'If-None-Match: {fields["etag"]}', running.root + file).stdout
    assert answer.startswith(b'HTTP/1.1 304 ') and answer.endswith(b'\r\n\r\n')


def test_upload_waits_for_the_word_of_the_service(running: Proxy, sink: Sink, tmp_path: Path) -> None:
    (tmp_path / 'file').write_bytes(CONTENT)
    upload = ('--request', 'POST', '--header', 'Expect: 100-continue', '--upload-file', str(tmp_path / 'file'))
    heard = curl('--verbose', *upload, f'{running.root}/studies').stderr
    assert heard.count(b'< HTTP/1.1 100 Continue') == 1 and sink.received == [len(CONTENT)]


@pytest.mark.usefixtures('reader')
@pytest.mark.parametrize('method', ['POST', 'PUT'])
def test_upload_that_the_service_refuses_is_not_sent(running: Proxy, sink: Sink, tmp_path: Path, method: str) -> None:
    (tmp_path / 'file').write_bytes(CONTENT)
    upload = ('--request', method, '--header', 'Expect: 100-continue', '--upload-file', str(tmp_path / 'file'))
    assert status(*upload, f'{running.root}/studies') == [403, 0]
    assert sink.received == []


def test_upload_that_the_service_refuses_in_the_middle_ends(running: Proxy, sink: Sink, tmp_path: Path) -> None:
    sink.most = 2**20
    sent = status('--request', 'POST', '--header', 'Expect:', '--upload-file', big(tmp_path), f'{running.root}/studies')
    assert sent[0] == 413 and sent[1] < 2 * GIB
    assert running.status('/v2/changefeed?limit=1') == 200


@pytest.mark.parametrize('framing', ['length', 'chunks'])
def test_upload_of_2_gib_takes_no_memory(running: Proxy, sink: Sink, tmp_path: Path, framing: str) -> None:
    assert running.status('/v2/changefeed?limit=1') == 200
    before = running.peak_kib
    with open(big(tmp_path), 'rb') as content:
        source = content.name if framing == 'length' else '-'
        upload = ('--request', 'POST', '--upload-file', source, f'{running.root}/studies')
        assert status(*upload, stdin=content)[0] == 200
    assert sink.received == [2 * GIB]
    assert running.peak_kib - before < 16 * MIB_IN_KIB


def big(folder: Path) -> str:
    """A file of 2 GiB that takes no room."""
    with (folder / 'big').open('wb') as file:
        file.truncate(2 * GIB)
    return str(folder / 'big')
