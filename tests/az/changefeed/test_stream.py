"""Events as they come: lines, --query for each of them, the summary, and what is said when a run ends early."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from azure.cli.core import get_default_cli
from knack.events import EVENT_INVOKER_FILTER_RESULT

from azext_dicomtoken._invocation import Invocation
from azext_dicomtoken._signals import Interrupted, Interruption
from azext_dicomtoken.changefeed.stream import _lines_of, stream
from dicomfeed.errors import RequestError
from dicomfeed.events import decode_page
from tests.az.changefeed.conftest import FakeCli, OpenSession
from tests.emulator import trouble
from tests.feed.world import World


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'feed.jsonl'


def lines(path: Path) -> list[int]:
    return [json.loads(line)['sequence'] for line in path.read_bytes().splitlines()]


def test_every_event_is_a_line(open_session: OpenSession, world: World, path: Path) -> None:
    world.create_now(150)
    session = open_session(output_file=str(path))
    stream(session, Interruption())
    assert lines(path) == list(range(1, 151))
    assert (session.summary.events, session.summary.complete_through) == (150, 150)


def test_checkpoint_continues_in_the_same_file(
    open_session: OpenSession, world: World, path: Path, tmp_path: Path
) -> None:
    options = {'output_file': str(path), 'checkpoint': str(tmp_path / 'checkpoint')}
    for _ in range(2):
        world.create_now(5)
        stream(open_session(**options), Interruption())
    assert lines(path) == list(range(1, 11))


def test_summary_is_written_as_json(open_session: OpenSession, world: World, path: Path, tmp_path: Path) -> None:
    world.create_now(5)
    stream(open_session(output_file=str(path), summary_file=str(tmp_path / 'summary')), Interruption())
    summary = json.loads((tmp_path / 'summary').read_text())
    assert (summary['events'], summary['lastSequence']) == (5, 5)


class _InterruptedAfter(Interruption):
    """A signal comes at the end of a write."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self._writes = writes

    def held_back(self) -> Any:
        self._writes -= 1
        if self._writes < 0:
            self._writes = 1_000
            raise Interrupted(2)
        return super().held_back()


def test_interrupted_stream_says_how_to_continue(
    open_session: OpenSession, world: World, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.create_now(250)
    with pytest.raises(Interrupted):
        stream(open_session(output_file=str(path)), _InterruptedAfter(2))
    written = lines(path)
    assert written and f'--after-sequence {written[-1]} --output-file ANOTHER_FILE' in capsys.readouterr().err


def test_stream_that_an_error_ends_says_how_to_continue(
    open_session: OpenSession, world: World, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.create_now(250)
    world.service.trouble.when(lambda request: 'offset=200' in request.query, trouble.cut())
    with pytest.raises(RequestError):
        stream(open_session(output_file=str(path)), Interruption())
    assert 'The reading ended early. Go on with:\n' in capsys.readouterr().err and lines(path)[-1] == 200


class FakeOutputs(FakeCli):
    """With knack's formatters, and a --query where there is one."""

    def __init__(self, *arguments: str, output: str, query: Any = None) -> None:
        super().__init__(*arguments, output=output)
        self.output = get_default_cli().output
        self.invocation.data['query_active'] = query is not None
        self._event_handlers = {EVENT_INVOKER_FILTER_RESULT: [query] if query else []}


def written(cli: FakeOutputs, fields: Any) -> bytes | None:
    line = json.dumps({'sequence': 1, 'timestamp': '2026-01-31T12:00:00Z', **fields}).encode()
    lines_of = _lines_of(Invocation(cli))
    return lines_of(decode_page(b'[' + line + b']'))[0] if lines_of else None


def action(_cli: Any, event_data: dict[str, Any]) -> None:
    event_data['result'] = event_data['result']['action']


@pytest.mark.parametrize(
    ('arguments', 'output', 'query', 'line'),
    [
        ((), 'json', None, None),
        ((), 'tsv', None, None),
        ((), 'tsv', action, b'"Cr\\n\xc3\xa9"'),
        (('-o', 'tsv'), 'tsv', action, b'Cr \xc3\xa9'),
    ],
    ids=['as it came', 'configured tsv', 'query beside configured tsv', 'query and typed tsv'],
)
def test_line_is_what_was_typed(arguments: Any, output: str, query: Any, line: bytes | None) -> None:
    cli = FakeOutputs(*arguments, output=output, query=query)
    assert written(cli, {'action': 'Cr\né'}) == line
