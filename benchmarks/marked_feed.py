"""A feed in which one event of a hundred is marked, scattered or in a row, with metadata of a chosen size.

A marked event has another partition, study or modality than the rest. Used by `attributes.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.emulator import ticks
from tests.emulator.event_json import CREATE, Instance
from tests.emulator.writers import Row

ONE_IN = 100
SCATTERED_STUDY = '1.3'


def marked_feed(events: int, *, metadata_bytes: int, end_ticks: int) -> Iterator[Row]:
    """So many creates, a tenth of a second apart. Every hundredth is a CT and belongs to the study `SCATTERED_STUDY`.

    As many follow each other in the middle of the feed and are in the partition `row`.
    """
    in_row = range(events // 2 + 1, events // 2 + 1 + events // ONE_IN)
    for sequence in range(1, events + 1):
        is_scattered = sequence % ONE_IN == 0
        study = SCATTERED_STUDY if is_scattered else f'1.2.{sequence}'
        instance = Instance('row' if sequence in in_row else 'rest', study, f'{study}.1', f'{study}.1.{sequence}')
        at = end_ticks - (events - sequence) * ticks.PER_SECOND // 10
        yield Row(sequence, at, CREATE, instance, _metadata('CT' if is_scattered else 'MR', metadata_bytes))


def _metadata(modality: str, size: int) -> str:
    """So many bytes of DICOM JSON, as that of a scanner: many short attributes."""
    attributes = {
        '00080060': {'vr': 'CS', 'Value': [modality]},
        '00100010': {'vr': 'PN', 'Value': [{'Alphabetic': 'Sample^Ada'}]},
        '00100020': {'vr': 'LO', 'Value': ['SYN-000001']},
    }
    for number in range(size // 50):
        attributes[f'0018{0x1000 + number:04X}'] = {'vr': 'LO', 'Value': [f'value {number:06d}']}
    return json.dumps(attributes, separators=(',', ':'))
