"""The checkpoint and the output file: locked, refused, opened."""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from azext_dicomtoken._stdout import Stdout
from azext_dicomtoken.changefeed.options import Options
from azext_dicomtoken.changefeed.outputs import held_checkpoint, opened_sink, refuse_unfit_files
from dicomfeed.checkpoint import Checkpoint, Output, Question, save_checkpoint
from dicomfeed.errors import CheckpointLocked, CheckpointMismatch, OutputError, OutputExists
from dicomfeed.sinks import StreamSink
from tests.az.changefeed.conftest import OpenSession
from tests.feed.world import URL

STDOUT = Stdout(io.StringIO())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'there').write_text('something')
    return tmp_path


def test_checkpoint_is_held_by_one_run(open_session: OpenSession) -> None:
    session = open_session(stream=True, checkpoint='checkpoint')
    with held_checkpoint(session) as checkpoint:
        assert checkpoint is None
        with pytest.raises(CheckpointLocked), held_checkpoint(session):
            pass


def test_checkpoint_of_another_question_is_refused(open_session: OpenSession) -> None:
    session = open_session(stream=True, checkpoint='checkpoint')
    save_checkpoint('checkpoint', Checkpoint(Question(URL), sequence=3))
    with held_checkpoint(session) as checkpoint:
        assert checkpoint is not None and checkpoint.sequence == 3
    other = open_session(stream=True, checkpoint='checkpoint', filters={'action': ('Create',)})
    with pytest.raises(CheckpointMismatch), held_checkpoint(other):
        pass


@pytest.mark.parametrize(
    ('options', 'error'),
    [
        ({'output_file': 'new'}, None),
        ({'stream': True, 'summary_file': 'new'}, None),
        ({'stream': True, 'summary_file': 'summary'}, None),
        ({'stream': True, 'summary_file': 'there'}, OutputExists),
        ({'output_file': '/dev/null'}, None),
        ({'output_file': '/dev/null', 'checkpoint': 'checkpoint'}, OutputError),
    ],
    ids=str,
)
def test_file_that_is_no_summary_of_ours_is_refused(options: Any, error: Any, folder: Path) -> None:
    (folder / 'summary').write_text('{"format": "dicom-changefeed-summary/1"}')
    if error is None:
        refuse_unfit_files(Options(**options))
        return
    with pytest.raises(error):
        refuse_unfit_files(Options(**options))


@pytest.mark.parametrize(
    ('options', 'recorded', 'error'),
    [
        ({'output_file': 'new'}, None, None),
        ({'output_file': 'there'}, None, OutputExists),
        ({'output_file': 'there', 'overwrite': True}, None, None),
        ({'output_file': 'there', 'checkpoint': 'checkpoint'}, 'another', OutputError),
    ],
    ids=str,
)
def test_output_is_opened_and_not_changed_before_the_service_has_answered(
    options: Any, recorded: str | None, error: Any, folder: Path
) -> None:
    committed = Output(str(folder / recorded), 3, 'digest') if recorded else None
    checkpoint = Checkpoint(Question('https://x'), output=committed) if committed else None
    with ExitStack() as stack:
        if error is None:
            opened_sink(Options(**options), checkpoint, stack, stdout=STDOUT)
        else:
            with pytest.raises(error):
                opened_sink(Options(**options), checkpoint, stack, stdout=STDOUT)
    assert sorted(path.name for path in folder.iterdir()) == ['there']
    assert (folder / 'there').read_text() == 'something'


def test_output_goes_to_standard_output_without_a_file() -> None:
    with ExitStack() as stack:
        assert isinstance(opened_sink(Options(stream=True), None, stack, stdout=STDOUT), StreamSink)


def test_device_that_cannot_be_opened_is_an_error(folder: Path) -> None:
    (folder / 'pipe').symlink_to('/dev/full')
    with ExitStack() as stack, pytest.raises(OutputError):
        sink = opened_sink(Options(output_file='pipe'), None, stack, stdout=STDOUT)
        sink.write([b'{}'])
        sink.commit()
