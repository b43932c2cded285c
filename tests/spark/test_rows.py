"""Events as Arrow batches, without Spark: how large one is, and texts that Arrow does not take as they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dicomfeed.events import decode_page
from dicomfeed.spark.rows import batches


def page(*events: dict[str, Any]) -> bytes:
    """As other servers write it; the service's own form is in `test_batch.py`."""
    return json.dumps([{'sequence': 1, 'timestamp': '2024-05-01T10:20:30Z', **event} for event in events]).encode()


def row_of(body: bytes) -> dict[str, Any]:
    (batch,) = batches([decode_page(body)])
    (row,) = batch.to_pylist()
    return row


def test_batch_ends_with_its_size_or_its_number_of_rows() -> None:
    large = decode_page(page({'metadata': {'00104000': {'vr': 'LT', 'Value': ['x' * 1_000_000]}}}))
    small = decode_page(page({}))
    sizes = [batch.num_rows for batch in batches([large * 20, small * 2_500])]
    assert max(sizes) == 1_000 and sum(sizes) == 2_520
    assert all(size <= 5 for size in sizes[:4])


@pytest.mark.parametrize('name', ['action', 'partitionName', 'filePath'])
def test_half_of_a_surrogate_pair_is_shown_as_its_escape(name: str) -> None:
    row = row_of(page({name: 'a\ud800b'}))
    assert row[name] == 'a\\ud800b'
    assert json.loads(row['line'])[name] == 'a\ud800b'


def test_name_that_occurs_twice_has_the_last_value() -> None:
    metadata = '{"00100020":{"vr":"LO","Value":["1"]}}'
    body = page({'state': 'Current'}).replace(b'"state"', b'"state": "Replaced", "state"')
    row = row_of(body.replace(b'}]', f', "metadata": {metadata}}}]'.encode()))
    assert (row['state'], json.loads(row['metadata'])) == ('Current', json.loads(metadata))


@pytest.mark.parametrize('metadata', [{}, {'metadata': None}], ids=['none', 'null'])
def test_event_without_metadata_has_none(metadata: dict[str, None]) -> None:
    assert row_of(page(metadata))['metadata'] is None
