"""Rows of stable studies: as a list, as lines, as a table; what is said beside them, and how a run continues.

Which rows they are is tested in `tests/feed`.
"""

from __future__ import annotations

import gzip
import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from azure.cli.core.azclierror import InvalidArgumentValueError

from azext_dicomtoken._signals import Interrupted, Interruption
from azext_dicomtoken.changefeed.lines import LineError
from azext_dicomtoken.changefeed.results import result_of
from azext_dicomtoken.changefeed.stream import stream
from dicomfeed.errors import CheckpointMismatch, RequestError
from tests.az.changefeed.conftest import FakeCli, OpenSession
from tests.emulator import trouble
from tests.emulator.event_json import DEFAULT_PARTITION, Instance
from tests.emulator.writers import Row
from tests.feed.world import World, after

LONG_AGO = 2_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'studies.jsonl'


def arrive(world: World, *studies: str, instances: int = 2, partition: str = DEFAULT_PARTITION) -> None:
    """Studies come in, one right after the other."""
    for study in studies:
        for number in range(instances):
            world.store.create(Instance(partition, study, f'{study}.1', f'{study}.1.{world.store.next_sequence}'))
            world.pass_time(1.0 + number)


def uids(rows: list[dict[str, Any]]) -> list[str]:
    return [row['studyInstanceUid'] for row in rows]


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def run(open_session: OpenSession, **options: Any) -> Any:
    session = open_session(stable_after='10m', **options)
    stream(session, Interruption())
    return session


# As a list


def test_list_has_a_row_for_each_study_that_is_stable(
    open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    arrive(world, '1.1', '1.2')
    world.pass_time(LONG_AGO)
    arrive(world, '1.3')
    rows = result_of(open_session(stable_after='10m'))
    assert [(row['studyInstanceUid'], row['instances']) for row in rows] == [('1.1', 2), ('1.2', 2)]
    assert capsys.readouterr().err == (
        'Not reported, because more events can still join: 1 study with events since 2026-01-31T12:33:26.0000000Z.\n'
    )


@pytest.mark.parametrize(
    'options',
    [{}, {'start_time': '2026-01-31'}, {'end_time': 'now'}, {'after_sequence': 0}, {'start_time': '2h'}],
    ids=str,
)
def test_list_takes_every_start_and_end(options: Any, open_session: OpenSession, world: World) -> None:
    arrive(world, '1.1', '1.2')
    world.pass_time(LONG_AGO)
    assert uids(result_of(open_session(stable_after='10m', **options))) == ['1.1', '1.2']


def test_window_counts_only_its_own_events(open_session: OpenSession, world: World) -> None:
    arrive(world, '1.1')  # at 0 and 1 s
    world.pass_time(LONG_AGO)
    (row,) = result_of(open_session(stable_after='10m', start_time='2026-01-31T12:00:01Z'))
    assert (row['events'], row['firstTimestamp']) == (1, '2026-01-31T12:00:01.0000000Z')


@pytest.mark.parametrize(
    ('filters', 'expected'),
    [({'study_instance_uid': ('1.2',)}, ['1.2']), ({'action': ('Delete',)}, []), ({'partition_name': ('x',)}, [])],
    ids=str,
)
def test_only_events_that_pass_the_filters_count(
    filters: Any, expected: list[str], open_session: OpenSession, world: World
) -> None:
    arrive(world, '1.1', '1.2')
    world.pass_time(LONG_AGO)
    assert uids(result_of(open_session(stable_after='10m', filters=filters))) == expected


def test_list_says_how_many_events_conditions_cannot_see(
    open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        world.store.create(metadata='{"00080060":{"vr":"CS","Value":["CT"]}}')
    gone = world.store.event(1).instance
    world.store.delete(gone.study, gone.series, gone.sop)
    world.pass_time(LONG_AGO)
    (row,) = result_of(open_session(stable_after='10m', match=['Modality=CT']))
    assert row['events'] == 1
    assert '2 events were left out because the instance is deleted' in capsys.readouterr().err


def test_list_of_series_has_a_row_for_each(open_session: OpenSession, world: World) -> None:
    arrive(world, '1.1', '1.2')
    world.pass_time(LONG_AGO)
    rows = result_of(open_session(stable_after='10m', level='series'))
    assert [row['seriesInstanceUid'] for row in rows] == ['1.1.1', '1.2.1']


def test_cut_list_says_what_to_do(open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    arrive(world, '1.1', '1.2', '1.3')
    world.pass_time(LONG_AGO)
    assert uids(result_of(open_session(stable_after='10m', max_items=2))) == ['1.1', '1.2']
    assert capsys.readouterr().err == (
        'There are more studies than the 2 listed. Raise --max-items, or use --stream to get all of them.\n'
    )


@pytest.mark.parametrize(('studies', 'is_whole'), [(10_000, True), (10_001, False)])
def test_list_with_query_is_whole_or_an_error(
    studies: int, is_whole: bool, open_session: OpenSession, world: World, cli: FakeCli
) -> None:
    instances = (Instance(DEFAULT_PARTITION, f'1.{number}', '1', '1') for number in range(1, studies + 1))
    world.store.load(Row(number, after(0), 'Create', instance, None) for number, instance in enumerate(instances, 1))
    world.pass_time(LONG_AGO)
    cli.search('length(@)')
    if is_whole:
        assert result_of(open_session(stable_after='10m')) == studies
        return
    with pytest.raises(InvalidArgumentValueError, match='needs every row, and there are more than 10,000'):
        result_of(open_session(stable_after='10m'))


def test_open_gap_is_no_reason_to_call_rows_incomplete(
    open_session: OpenSession, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    arrive(world, '1.1')
    world.pass_time(LONG_AGO)
    world.writer()
    arrive(world, '1.2')
    assert uids(result_of(open_session(stable_after='10m'))) == ['1.1']
    assert 'Complete through' not in capsys.readouterr().err


# As lines


def test_every_row_is_a_line(open_session: OpenSession, world: World, path: Path, tmp_path: Path) -> None:
    arrive(world, '1.1', '1.2')
    world.pass_time(LONG_AGO)
    arrive(world, '1.3')
    session = run(open_session, output_file=str(path), summary_file=str(tmp_path / 'summary'))
    assert written(path) == result_of(open_session(stable_after='10m'))
    summary = json.loads((tmp_path / 'summary').read_text())
    assert {name: summary[name] for name in ('events', 'rows', 'open', 'late')} == {
        'events': 6,
        'rows': 2,
        'open': 1,
        'late': 0,
    }
    assert session.summary.complete_through == 4  # below the study that is open


def test_summary_of_events_has_no_rows(open_session: OpenSession, world: World, tmp_path: Path) -> None:
    arrive(world, '1.1')
    files = {'output_file': str(tmp_path / 'feed'), 'summary_file': str(tmp_path / 'summary')}
    stream(open_session(**files), Interruption())
    assert not {'rows', 'open', 'late'} & set(json.loads((tmp_path / 'summary').read_text()))


def test_name_that_ends_in_gz_compresses(open_session: OpenSession, world: World, tmp_path: Path) -> None:
    arrive(world, '1.1')
    world.pass_time(LONG_AGO)
    run(open_session, output_file=str(tmp_path / 'studies.jsonl.gz'))
    assert json.loads(gzip.decompress((tmp_path / 'studies.jsonl.gz').read_bytes()))['studyInstanceUid'] == '1.1'


def test_window_is_written_like_a_list(open_session: OpenSession, world: World, path: Path) -> None:
    arrive(world, '1.1')
    world.pass_time(LONG_AGO)
    arrive(world, '1.2')
    run(open_session, output_file=str(path), start_time='2026-01-31', end_time='2026-01-31T12:30:00Z')
    assert uids(written(path)) == ['1.1']


def test_file_says_in_words_how_many_studies_it_has(
    open_session: OpenSession, world: World, cli: FakeCli, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.only_show_errors = False
    arrive(world, '1.1', '1.2')
    world.pass_time(LONG_AGO)
    run(open_session, output_file=str(path))
    assert capsys.readouterr().err == f'2 studies written to {path}; complete through 4.\n'


def test_query_is_applied_to_each_row(open_session: OpenSession, world: World, cli: FakeCli, path: Path) -> None:
    arrive(world, '1.1', '1.2')
    world.pass_time(LONG_AGO)
    cli.search('[studyInstanceUid,events]')
    run(open_session, output_file=str(path))
    assert path.read_text() == '["1.1",2]\n["1.2",2]\n'


def test_query_that_fails_names_the_row_and_commits_no_more(
    open_session: OpenSession, world: World, cli: FakeCli, path: Path, tmp_path: Path
) -> None:
    files = {'output_file': str(path), 'checkpoint': str(tmp_path / 'checkpoint')}
    arrive(world, '1.1', '1.2')
    world.pass_time(LONG_AGO)
    cli.search("studyInstanceUid == '1.2' && length(@.nothing) || events")
    for _ in range(2):  # the checkpoint has not moved over it
        with pytest.raises(LineError, match='row whose last event has sequence number 4: length.. does not take'):
            run(open_session, **files, summary_file=str(tmp_path / 'summary'))
    assert path.read_text() == '' and not (tmp_path / 'summary').exists()


def test_query_that_fails_leaves_in_the_file_what_the_summary_counts(
    open_session: OpenSession, world: World, cli: FakeCli, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.only_show_errors = False
    arrive(world, '1.1')
    world.pass_time(LONG_AGO)
    arrive(world, *['1.2'] * 50)  # more than a page later, so that the first row is closed by another batch
    world.pass_time(LONG_AGO)
    cli.search("studyInstanceUid == '1.2' && length(@.nothing) || events")
    with pytest.raises(LineError):
        run(open_session, output_file=str(path))
    assert path.read_text() == '2\n' and f'1 study written to {path}.\n' in capsys.readouterr().err


def test_query_without_any_result_is_explained(
    open_session: OpenSession, world: World, cli: FakeCli, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.only_show_errors = False
    arrive(world, '1.1')
    world.pass_time(LONG_AGO)
    cli.search('[].events')
    run(open_session, output_file=str(path))
    assert '--query applies to each row, not to a list.' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('level', 'header', 'first'),
    [
        ('study', 'Study Series Instances First Last Partition', '1.1 1 2 2026-01-31T12:00:00Z 2026-01-31T12:00:01Z'),
        ('series', 'Study Series Instances First Last Partition', '1.1 1.1.1 2 2026-01-31T12:00:00Z'),
    ],
)
def test_table_is_printed_row_by_row(
    level: str, header: str, first: str, open_session: OpenSession, world: World, cli: FakeCli
) -> None:
    cli.data['dicom_arguments'] = ('-o', 'table')
    cli.invocation.data['output'] = 'table'
    cli.out_file = io.StringIO()
    arrive(world, '1.1')
    arrive(world, '1.2', partition='research')
    world.pass_time(LONG_AGO)
    with redirect_stdout(cli.out_file):
        run(open_session, stream=True, level=level)
    titles, default, other = cli.out_file.getvalue().splitlines()
    assert titles.split() == header.split()
    assert ' '.join(default.split()).startswith(first) and other.endswith('research')


def test_run_that_an_error_ends_says_how_to_start_again_and_nothing_of_open_studies(
    open_session: OpenSession, world: World, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrive(world, '1.1', instances=20)
    world.create_now(250)
    world.service.trouble.when(lambda request: 'offset=200' in request.query, trouble.cut())
    with pytest.raises(RequestError):
        run(open_session, output_file=str(path))
    assert capsys.readouterr().err == (
        'The run ended early. Run the same command with another --output-file to start again. A run with '
        '--checkpoint would continue.\n'
    )


class _EndedAfter(Interruption):
    """Ends a run at one of its writes."""

    def __init__(self, writes: int, end: BaseException) -> None:
        super().__init__()
        self._writes, self._end = writes, end

    def held_back(self) -> Any:
        self._writes -= 1
        if self._writes < 0:
            self._writes = 1_000
            raise self._end
        return super().held_back()


def test_run_that_is_interrupted_says_how_to_continue(
    open_session: OpenSession, world: World, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrive(world, '1.1', '1.2')
    with pytest.raises(Interrupted):
        stream(open_session(stable_after='10m', output_file=str(path)), _EndedAfter(2, Interrupted(2)))
    assert capsys.readouterr().err == (
        'Interrupted. Run the same command with another --output-file to start again. A run with --checkpoint would '
        'continue.\n'
    )


def test_reader_of_the_pipe_that_has_read_enough_is_told_nothing(
    open_session: OpenSession, world: World, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrive(world, '1.1', '1.2')
    with pytest.raises(BrokenPipeError):
        stream(open_session(stable_after='10m', output_file=str(path)), _EndedAfter(2, BrokenPipeError()))
    assert capsys.readouterr().err == ''


# Runs that continue


def test_runs_with_a_checkpoint_report_each_arrival_once(
    open_session: OpenSession, world: World, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {'output_file': str(path), 'checkpoint': str(tmp_path / 'checkpoint')}
    for study in ('1.1', '1.2', '1.1'):
        arrive(world, study)
        run(open_session, **files)
        world.pass_time(LONG_AGO)
        run(open_session, **files)
    assert [(row['studyInstanceUid'], row['events']) for row in written(path)] == [('1.1', 2), ('1.2', 2), ('1.1', 2)]
    assert 'Not reported' not in capsys.readouterr().err


@pytest.mark.parametrize(
    'changed', [{'stable_after': '11m'}, {'level': 'series'}, {'stable_after': None}], ids=['time', 'level', 'events']
)
def test_checkpoint_of_other_rows_is_refused(
    changed: Any, open_session: OpenSession, world: World, path: Path, tmp_path: Path
) -> None:
    options = {'output_file': str(path), 'checkpoint': str(tmp_path / 'checkpoint')}
    arrive(world, '1.1')
    run(open_session, **options)
    with pytest.raises(CheckpointMismatch, match='--stable-after and --level'):
        stream(open_session(**{'stable_after': '10m', **options, **changed}), Interruption())


def test_checkpoint_is_not_written_where_nothing_happens(
    open_session: OpenSession, world: World, path: Path, tmp_path: Path
) -> None:
    checkpoint = tmp_path / 'checkpoint'
    options = {'output_file': str(path), 'checkpoint': str(checkpoint)}
    arrive(world, '1.1')
    world.pass_time(LONG_AGO)
    run(open_session, **options)
    before = checkpoint.read_bytes()
    world.pass_time(LONG_AGO)
    run(open_session, **options)
    assert checkpoint.read_bytes() == before and len(written(path)) == 1


def test_checkpoint_names_no_open_study(open_session: OpenSession, world: World, path: Path, tmp_path: Path) -> None:
    arrive(world, '1.2.77777')
    world.pass_time(500.0)
    arrive(world, '1.1')
    run(open_session, output_file=str(path), checkpoint=str(tmp_path / 'checkpoint'))
    content = json.loads((tmp_path / 'checkpoint').read_text())
    assert len(content['open']) == 1 and content['sequence'] == 0 and '77777' not in json.dumps(content)
