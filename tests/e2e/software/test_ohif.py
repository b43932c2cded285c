"""OHIF in a real browser draws a study through the proxy, and a page of another origin is refused.

`make viewer` runs it. It leaves the picture for the docs in build/ohif.png.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest

from tests.conftest import ROOT
from tests.e2e.logins import SignIn
from tests.e2e.processes import wait_until
from tests.e2e.proxies import Proxy, proxy
from tests.e2e.software.chromium import Page, chromium
from tests.e2e.software.documented import pasted
from tests.e2e.software.ohif import Viewer, ohif
from tests.e2e.software.samples import CT, Sample
from tests.emulator.cloud import Emulator
from tests.emulator.orthanc import Orthanc

pytestmark = pytest.mark.viewer

# The middle of the viewport, with as many pixels as the image has, in shades of grey; null where there is none yet.
_DRAWN = """(() => {
  const canvas = document.querySelector('canvas.cornerstone-canvas');
  if (!canvas || !canvas.height) return null;
  const [width, height, side] = [canvas.width, canvas.height, Math.min(canvas.width, canvas.height)];
  const copy = Object.assign(document.createElement('canvas'), {width: SIDE, height: SIDE});
  const context = copy.getContext('2d');
  context.drawImage(canvas, (width - side) / 2, (height - side) / 2, side, side, 0, 0, SIDE, SIDE);
  return [...context.getImageData(0, 0, SIDE, SIDE).data].filter((_, at) => at % 4 === 0);
})()"""
# Both cover the image when the viewer is opened for the first time.
_CLICK = """(text => [...document.querySelectorAll('button')].filter(button => button.innerText.trim() === text)
  .map(button => button.click()).length)"""


@pytest.fixture
def viewer() -> Iterator[Viewer]:
    if 'OHIF' not in os.environ:
        pytest.skip('needs the viewer that `make viewer` downloads')
    with ohif(Path(os.environ['OHIF'])) as serving:
        yield serving


@pytest.fixture
def running(sign_in: SignIn, emulator: Emulator, viewer: Viewer) -> Iterator[Proxy]:
    """A proxy for the viewer, by one of its two names."""
    with proxy(sign_in('secret'), emulator, '--allow-origin', viewer.origin('localhost'), '--verbose') as listening:
        yield listening


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with chromium(tmp_path / 'profile') as opened:
        yield opened


def test_study_is_drawn_for_an_allowed_origin_and_another_reads_nothing(
    page: Page, viewer: Viewer, running: Proxy, archive: Orthanc, emulator: Emulator
) -> None:
    archive.ask('POST', '/instances', CT.content)
    (viewer.settings,) = pasted('js', running)
    page.open(study(viewer, 'localhost'))
    wait_until(lambda: likeness(page, CT) > 0.95, pause_seconds=0.5)
    for text in ('Skip all', 'Confirm and hide'):
        page.wait_for(f"{_CLICK}('{text}')")
    page.wait_for('!/Skip all|Confirm and hide/.test(document.body.innerText)')
    keep(page.picture())

    emulator.journal.clear()
    page.open(study(viewer, '127.0.0.1'))
    page.wait_for("location.hostname === '127.0.0.1' && document.body.innerText.includes('something went wrong')")
    assert page.evaluate(f"fetch('{running.root}/studies').catch(() => 'refused')") == 'refused'
    assert likeness(page, CT) == 0 and emulator.journal.requests == []
    assert set(re.findall(r'GET (.*?),', running.end())) == {
        *('v2 studies 200', 'v2 series 200', 'v2 metadata 200', 'v2 frames 200'),
        '- 403',
    }


def study(viewer: Viewer, name: str) -> str:
    """Where the viewer opens it, by a name of this machine."""
    return f'{viewer.origin(name)}/viewer?StudyInstanceUIDs={CT.ids[0]}'


def likeness(page: Page, sample: Sample) -> float:
    """The correlation of what is drawn with the pixels of the sample, which is square: 1 for the same image."""
    pixels = sample.dataset.pixel_array
    drawn = page.evaluate(_DRAWN.replace('SIDE', str(len(pixels))))
    if not drawn or len(set(drawn)) == 1:
        return 0.0
    return float(numpy.corrcoef(drawn, pixels.ravel())[0, 1])


def keep(picture: bytes) -> None:
    """For the docs."""
    (ROOT / 'build').mkdir(exist_ok=True)
    (ROOT / 'build' / 'ohif.png').write_bytes(picture)
