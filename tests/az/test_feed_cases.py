"""`az dicom changefeed` in this process: what of the feed it reads, whatever clocks, gaps and blobs do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.az.conftest import Az, Outcome
from tests.az.identity_endpoint import IdentityEndpoint
from tests.emulator.cloud import Emulator
from tests.emulator.identities import READER_APPLICATION
from tests.emulator.store import FeedStore
from tests.emulator.ticks import PER_SECOND

Read = Callable[..., Outcome]
HOUR = 3_600 * PER_SECOND


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def store(emulator: Emulator) -> FeedStore:
    return emulator.service.store


@pytest.fixture
def read(az: Az, emulator: Emulator, identity: IdentityEndpoint, monkeypatch: pytest.MonkeyPatch) -> Read:
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv('AZURE_DEFAULTS_DICOM_SERVICE_URL', emulator.service_url)
    identity.token = emulator.entra.issue(READER_APPLICATION)
    return lambda *options: az('dicom', 'changefeed', *options)


def sequences(text: str) -> list[int]:
    """The sequence numbers in a list or in lines."""
    rows: list[Any] = json.loads(text) if text.startswith('[') else [json.loads(line) for line in text.splitlines()]
    return [row['sequence'] for row in rows]


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        (('--query', '[].sequence', '-o', 'tsv'), '1\n2\n'),
        (('--query', '[].{number: sequence}', '-o', 'table'), 'Number\n--------\n1\n2\n'),
        (('--query', 'length(@)'), '2\n'),
        (('--latest', '--query', 'sequence'), '2\n'),
        (('--latest', '--query', 'nothing'), ''),
        (('--sequence', '1', '--query', 'sequence'), '1\n'),
        (('--count-by', 'study', '--query', 'sum([].events)'), '2\n'),
    ],
    ids=' '.join,
)
def test_query_is_applied_to_the_result_once(read: Read, store: FeedStore, options: tuple[str, ...], text: str) -> None:
    store.create()
    store.create()
    outcome = read(*options)
    assert (outcome.code, outcome.stdout) == (0, text)


@pytest.mark.parametrize(
    ('query', 'reason'),
    [
        ('abs([0].state)', ': abs() does not take a value of type string.'),
        ('nothing(@)', ': Unknown function: nothing().'),
        ('length(@, @)', ': Expected 1 argument for function length(), received 2.'),
    ],
    ids=['value', 'function', 'arguments'],
)
def test_query_that_fails_is_explained_without_the_value(read: Read, store: FeedStore, query: str, reason: str) -> None:
    store.create()
    outcome = read('--query', query)
    assert outcome.code == 1 and outcome.stderr.splitlines()[0] == f'ERROR: --query failed on the result{reason}'


FORMS = pytest.mark.parametrize('form', [(), ('--stream',)], ids=['list', 'stream'])


@pytest.mark.parametrize('hours', [2, -2], ids=['behind', 'ahead'])
@FORMS
def test_l14_age_counts_back_from_the_clock_of_the_service(
    read: Read, store: FeedStore, form: tuple[str, ...], hours: int
) -> None:
    local = store.clock
    store.clock = lambda: local() + hours * HOUR
    for minutes in (90, 45, 10):
        store.create(ticks=store.clock() - minutes * HOUR // 60)
    outcome = read('--since', '1h', *form, '--only-show-errors')
    assert (outcome.code, sequences(outcome.stdout)) == (0, [2, 3])
    assert f'{"behind" if hours > 0 else "ahead of"} the service' in outcome.stderr


def test_l14_clocks_that_agree_are_not_mentioned(read: Read, store: FeedStore) -> None:
    store.create()
    outcome = read('--since', '1h')
    assert (sequences(outcome.stdout), 'clock' in outcome.stderr) == ([1], False)


@pytest.mark.parametrize(
    'form',
    [(), ('--stream',), ('--count-by', 'hour'), ('--output-file', 'f')],
    ids=['list', 'stream', 'counts', 'file'],
)
def test_l15_window_from_the_future_is_empty(
    read: Read, store: FeedStore, form: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store.create()
    outcome = read('--start-time', '2199-01-01', *form)
    assert outcome.code == 0 and outcome.stdout.strip() in ('', '[]')


def test_l34_poison_that_the_filters_drop_is_not_mentioned(read: Read, store: FeedStore) -> None:
    for _ in range(12):
        store.create()
    gone = store.delete(store.event(1).instance.study)
    for sequence in range(2, 13):
        store.poison(sequence)
    outcome = read('--include-metadata', '--action', 'Delete', '--stream')
    assert (outcome.code, sequences(outcome.stdout), outcome.stderr) == (0, list(gone), '')


@pytest.mark.parametrize(
    'options',
    [
        ('--after-sequence', '4'),
        ('--after-sequence', '4', '--stream'),
        ('--tail', '5'),
        ('--tail', '5', '--stream'),
        (),
        ('--max-items', '9'),
        ('--count-by', 'hour'),
        ('--stream', '--query', 'sequence'),
    ],
    ids=' '.join,
)
def test_l4_run_past_an_open_gap_says_how_far_it_is_complete(
    read: Read, store: FeedStore, options: tuple[str, ...]
) -> None:
    for sequence in range(1, 12):
        if sequence == 8:
            writer = store.begin_create()
            writer.take_clock()
            writer.take_sequence()
        else:
            store.create()
    outcome = read(*options, '--only-show-errors')
    assert outcome.code == 0 and outcome.stderr.count('Complete through sequence number 7:') == 1


@pytest.mark.parametrize(
    'begin', [('--follow', '--until-latest', '--since', '1m'), ('--stream', '--since', 'now')], ids=' '.join
)
@pytest.mark.parametrize('new_events', [20, 60])
def test_l5_checkpoint_of_a_quiet_feed_notices_a_restore(
    read: Read, store: FeedStore, begin: tuple[str, ...], new_events: int, tmp_path: Path
) -> None:
    checkpoint = tmp_path / 'checkpoint'
    for _ in range(100):
        store.create(ticks=store.clock() - HOUR)
    assert read('--checkpoint', str(checkpoint), *begin).code == 0
    before = checkpoint.read_bytes()
    store.restore(60)
    for _ in range(new_events):
        store.create(ticks=store.clock() - HOUR // 2)
    outcome = read('--checkpoint', str(checkpoint), '--stream')
    assert (outcome.code, outcome.stdout, checkpoint.read_bytes()) == (1, '', before)
