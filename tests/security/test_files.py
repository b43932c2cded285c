"""Every file that a command writes is its owner's alone in every moment of its life, and no link is followed."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.az.conftest import Az
from tests.az.identity_endpoint import IdentityEndpoint
from tests.security.conftest import hostile, own_server
from tests.security.test_hostile_service import feed_with

FEED = ('dicom', 'changefeed')
FILES = ('--output-file', 'out', '--checkpoint', 'check', '--summary-file', 'summary')
WRITERS = {
    'token': (('dicom', 'token', 'issue', '--output-file', 'out'), {'out'}),
    'token again': (('dicom', 'token', 'issue', '--output-file', 'out', '--overwrite'), {'out'}),
    'feed': ((*FEED, '--output-file', 'out'), {'out'}),
    'feed again': ((*FEED, '--output-file', 'out', '--overwrite'), {'out'}),
    'compressed feed': ((*FEED, '--output-file', 'out.gz'), {'out.gz'}),
    'all files': ((*FEED, *FILES), {'out', 'check', 'check.lock', 'summary'}),
    'stream with a checkpoint': ((*FEED, '--stream', '--checkpoint', 'check'), {'check', 'check.lock'}),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, identity: IdentityEndpoint, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / 'work'
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(params=[0o000, 0o022], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    kept = os.umask(request.param)
    yield
    os.umask(kept)


@contextmanager
def watched(folder: Path) -> Iterator[dict[str, set[int]]]:
    """The modes that the files of the folder have after each line of the product's code, by name."""
    modes: dict[str, set[int]] = {}

    def look(frame: FrameType, _event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.rpartition('/')[0].endswith(('/dicomfeed', '/azext_dicomtoken')):
            return None
        for entry in os.scandir(folder):
            modes.setdefault(entry.name, set()).add(entry.stat(follow_symlinks=False).st_mode)
        return look

    former = sys.gettrace()
    sys.settrace(look)
    try:
        yield modes
    finally:
        sys.settrace(former)


def run(az: Az, folder: Path, command: tuple[str, ...]) -> dict[str, set[int]]:
    """Run it and return the modes of what it wrote."""
    with hostile(feed_with()) as (url, _), watched(folder) as modes:
        outcome = az(*command, *own_server(url))
    assert outcome.code == 0, outcome.stderr
    return modes


@pytest.mark.usefixtures('umask')
@pytest.mark.parametrize(('command', 'names'), WRITERS.values(), ids=WRITERS)
def test_file_is_private_in_every_moment(command: tuple[str, ...], names: set[str], az: Az, folder: Path) -> None:
    modes = run(az, folder, command)
    assert names <= set(modes)
    assert {mode for seen in modes.values() for mode in seen} == {stat.S_IFREG | 0o600}, modes


@pytest.mark.parametrize(('name', 'code'), [('summary', 0), ('check.lock', 1)])
def test_link_is_refused_or_replaced_and_never_followed(name: str, code: int, az: Az, folder: Path) -> None:
    with hostile(feed_with()) as (url, _):
        assert az(*FEED, *FILES, *own_server(url)).code == 0
        (folder / name).rename(folder / 'target')
        (folder / name).symlink_to('target')
        kept = (folder / 'target').read_bytes()
        outcome = az(*FEED, *FILES, *own_server(url))
    assert (outcome.code, (folder / name).is_symlink()) == (code, bool(code)), outcome.stderr
    assert (folder / 'target').read_bytes() == kept and 'Traceback' not in outcome.stderr


@pytest.mark.parametrize('name', ['out', 'check'])
def test_link_in_the_place_of_a_file_that_proves_itself_is_followed(name: str, az: Az, folder: Path) -> None:
    """The checkpoint by its digest; the output by the digest of its end, which the checkpoint holds."""
    with hostile(feed_with()) as (url, _):
        assert az(*FEED, *FILES, *own_server(url)).code == 0
        (folder / name).rename(folder / 'target')
        (folder / name).symlink_to('target')
        outcome = az(*FEED, *FILES, *own_server(url))
    assert outcome.code == 0 and (folder / name).is_symlink(), outcome.stderr


@pytest.mark.parametrize('name', ['out', 'check', 'summary'])
def test_link_to_a_foreign_file_is_refused_and_leaves_it_alone(name: str, az: Az, folder: Path) -> None:
    (folder / 'target').write_text('of somebody else')
    with hostile(feed_with()) as (url, _):
        assert az(*FEED, *FILES, *own_server(url)).code == 0
        (folder / name).unlink()
        (folder / name).symlink_to('target')
        outcome = az(*FEED, *FILES, *own_server(url))
    assert outcome.code == 1 and (folder / 'target').read_text() == 'of somebody else', outcome.stderr


@pytest.mark.parametrize('overwrite', [(), ('--overwrite',)], ids=['new', 'overwrite'])
@pytest.mark.parametrize('exists', [True, False], ids=['link', 'broken link'])
def test_token_goes_through_no_link(overwrite: tuple[str, ...], exists: bool, az: Az, folder: Path) -> None:
    target = folder / 'target'
    if exists:
        target.touch(0o644)
    (folder / 'out').symlink_to('target')
    az('dicom', 'token', 'issue', '--output-file', 'out', *overwrite)
    assert (target.read_text() == '') if exists else not target.exists()


@pytest.mark.parametrize(
    'path',
    [
        '/dev/fd/99999999999999999999',
        '/dev/fd/999999999',
        '/proc/self/fd/' + '9' * 5000,
        '/dev/full',
        '/dev/stdin/x',
        '/',
        '.',
        '~nobody-of-this-name/x',
        'x' * 300,
        'a/' * 3000,
    ],
    ids=lambda path: path[:20],
)
def test_path_that_cannot_be_written_is_a_clear_error(path: str, az: Az) -> None:
    outcome = az('dicom', 'token', 'issue', '--output-file', path)
    assert (outcome.code, outcome.stdout) == (1, '') and outcome.stderr.startswith('ERROR: The output file ')
