"""A real browser: pages of other origins get nothing out of the proxy, with the secret or without it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from azext_dicomtoken.proxy.rules import GROUPS
from tests.az.proxy.conftest import SECRET, Proxy, Start
from tests.az.proxy.pages import SECONDS, Browser, Pages
from tests.az.proxy.service import ScriptedService, Talk

pytestmark = pytest.mark.slow

PIXEL = (
    b'GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00'
    b',\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;'
)


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    if not shutil.which('chromium'):
        pytest.skip('needs chromium')
    return Browser(tmp_path / 'profile')


@pytest.fixture
def pages() -> Iterator[Pages]:
    with Pages().serving() as serving:
        yield serving


def outcomes(browser: Browser, pages: Pages, origin: str, attempts: dict[str, str]) -> dict[str, str]:
    pages.offer(attempts)
    with browser.opened(f'{origin}/'):
        return pages.reports.get(timeout=SECONDS)


def attempts_on(base: str) -> dict[str, str]:
    """Everything that makes a browser send a request without a click."""
    studies, image = f"'{base}/v2/studies'", f"'{base}/v2/studies/1/rendered'"
    return {
        'fetch': f'asked({studies})',
        'fetch without cors': f"asked({studies}, {{mode: 'no-cors'}})",
        'fetch with cookies': f"asked({studies}, {{credentials: 'include'}})",
        'fetch with a header': f"asked({studies}, {{headers: {{Authorization: 'Bearer {SECRET}'}}}})",
        'post without cors': f"asked({studies}, {{method: 'POST', mode: 'no-cors', body: 'x'}})",
        'delete': f"asked('{base}/v2/studies/1', {{method: 'DELETE'}})",
        'img': f"element('img', {{src: {image}}})",
        'img with cors': f"element('img', {{src: {image}, crossOrigin: 'anonymous'}})",
        'script': f"element('script', {{src: {studies}}})",
        'stylesheet': f"element('link', {{rel: 'stylesheet', href: {studies}}})",
        'frame': f"element('iframe', {{src: {image}}})",
        'form': f"(() => {{ const frame = element('iframe', {{name: 'target'}}); const form = Object.assign("
        f"document.createElement('form'), {{action: {studies}, method: 'POST', target: 'target'}});"
        ' document.body.append(form); form.submit(); return frame; })()',
        'websocket': f"waited(new WebSocket({studies}.replace('http', 'ws')), 'open', 'error')",
        'events': f"waited(new EventSource({studies}), 'open', 'error')",
        'beacon': f"navigator.sendBeacon({studies}, 'x') && 'sent'",
    }


def with_an_image(service: ScriptedService) -> None:
    def script(talk: Talk) -> None:
        talk.read_body()
        talk.reply(PIXEL, Content_Type='image/gif')

    service.script = script


@pytest.mark.parametrize('secret', [SECRET, 'wrong', ''], ids=['secret', 'wrong secret', 'no secret'])
@pytest.mark.parametrize('name', ['evil.example', 'localhost'])
def test_page_of_another_origin_reaches_nothing(
    browser: Browser, pages: Pages, start: Start, service: ScriptedService, name: str, secret: str
) -> None:
    with_an_image(service)
    proxy = start(groups=frozenset(GROUPS), origins=frozenset({'http://localhost:1'}))
    base = f'http://127.0.0.1:{proxy.port}/{secret}'.rstrip('/')
    seen = outcomes(browser, pages, f'http://{name}:{pages.port}', attempts_on(base))
    assert service.talks == []
    readable = {key: value for key, value in seen.items() if value.startswith(('cors', 'basic'))}
    assert readable == {} and seen['img'] == seen['img with cors'] == seen['script'] == 'failed'
    assert seen['websocket'] == seen['events'] == 'failed'
    assert {exchange.status for exchange in proxy.exchanges} <= {403, 404}


@pytest.fixture
def allowed(pages: Pages, start: Start) -> Proxy:
    return start(groups=frozenset({'delete'}), origins=frozenset({f'http://localhost:{pages.port}'}))


def test_page_of_an_allowed_origin_reads_with_the_secret_alone(
    browser: Browser, pages: Pages, allowed: Proxy, service: ScriptedService
) -> None:
    service.script = lambda talk: talk.reply(b'[]', ETag='"a"')
    base = f'http://127.0.0.1:{allowed.port}'
    seen = outcomes(
        browser,
        pages,
        f'http://localhost:{pages.port}',
        {
            'reads': f"asked('{base}/{SECRET}/v2/studies', {{headers: {{Range: 'bytes=0-1'}}}})",
            'header': f"fetch('{base}/{SECRET}/v2/studies').then(answer => answer.headers.get('etag'))",
            'secret in a header': f"asked('{base}/v2/studies', {{headers: {{Authorization: 'Bearer {SECRET}'}}}})",
            'deletes': f"asked('{base}/{SECRET}/v2/studies/1', {{method: 'DELETE'}})",
            'wrong secret': f"asked('{base}/0/v2/studies')",
            'not allowed': f"asked('{base}/{SECRET}/v2/studies', {{method: 'PUT'}})",
            'img': f"element('img', {{src: '{base}/{SECRET}/v2/studies/1/rendered'}})",
        },
    )
    assert seen == {
        'reads': 'cors 200 []',
        'header': '"a"',
        'secret in a header': 'cors 200 []',
        'deletes': 'cors 200 []',
        'wrong secret': 'cors 404 There is nothing here.\n',
        'not allowed': 'failed',  # by the browser, after the preflight
        'img': 'failed',
    }
    assert [talk.line.split(' ')[0] for talk in service.talks] == ['GET', 'GET', 'GET', 'DELETE']
    assert not any(talk.header('origin') or talk.header('referer') for talk in service.talks)


def test_other_pages_of_the_allowed_host_are_other_origins(
    browser: Browser, pages: Pages, allowed: Proxy, service: ScriptedService
) -> None:
    url = f'http://127.0.0.1:{allowed.port}/{SECRET}/v2/studies'
    seen = outcomes(browser, pages, f'http://127.0.0.1:{pages.port}', {'fetch': f"asked('{url}')"})
    assert seen == {'fetch': 'failed'} and service.talks == []


def test_page_that_rebinds_its_name_is_misdirected(browser: Browser, proxy: Proxy, service: ScriptedService) -> None:
    for path in ('/', proxy.base + '/studies'):
        assert 'Host does not name this proxy.' in browser.dom(f'http://evil.example:{proxy.port}{path}')
    assert service.talks == []


def test_image_that_is_a_page_runs_nothing(browser: Browser, proxy: Proxy, service: ScriptedService) -> None:
    """Stored as an image by whoever may store, opened by whoever knows the secret: it would be of this origin."""
    base = f'http://127.0.0.1:{proxy.port}{proxy.base}'
    page = (
        f"<p id=a>still</p><img src='{base}/x'><script>document.all.a.textContent = 'changed';"
        f"fetch('{base}/studies/stolen')</script><svg onload=\"fetch('{base}/studies/stolen')\"></svg>"
    ).encode()
    service.script = lambda talk: talk.reply(page, Content_Type='text/html')
    dom = browser.dom(f'{base}/studies/1/rendered')
    assert 'still' in dom and '>changed<' not in dom
    assert [talk.target for talk in service.talks] == ['/v2/studies/1/rendered']


def test_frame_of_the_proxy_shows_nothing(
    browser: Browser, pages: Pages, allowed: Proxy, service: ScriptedService
) -> None:
    service.script = lambda talk: talk.reply(
        b'<script>parent.postMessage("in", "*")</script>', Content_Type='text/html'
    )
    url = f'http://127.0.0.1:{allowed.port}/{SECRET}/v2/studies/1/rendered'
    attempt = (
        "new Promise(done => { addEventListener('message', () => done('in')); setTimeout(() => done('out'), 1500);"
        f" element('iframe', {{src: '{url}'}}) }})"
    )
    assert outcomes(browser, pages, f'http://localhost:{pages.port}', {'frame': attempt}) == {'frame': 'out'}
    assert service.talks == []
