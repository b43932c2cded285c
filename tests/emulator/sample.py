"""A believable change feed of any size: working days, quiet nights, studies, corrections, deletions, gaps.

Owned: what the made-up hospital does. Its days are counted back from the end of the feed: whatever the date, the
weekday and the hour, the end is the afternoon of a Thursday there. So the same arguments give the same feed at any end,
and what a test or an example finds in it, it finds every day. Every name and UID is invented; UIDs stand under the root
that pydicom gives away.
Not owned: states, which follow from the events (`writers.py`).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from tests.emulator import ticks
from tests.emulator.event_json import CREATE, DEFAULT_PARTITION, DELETE, UPDATE, Instance
from tests.emulator.writers import Row

_ROOT = '1.2.826.0.1.3680043.8.498'
_HOURS = (1, 1, 1, 1, 1, 2, 6, 20, 40, 50, 50, 45, 30, 40, 50, 45, 35, 20, 10, 6, 4, 3, 2, 1)
_WEEKEND = 0.15
_EVENTS_A_DAY = 4000
_EVENTS_FOR_A_BULK = 2000
_BULK = 240  # more than any page
_BESIDE_BULK = 8  # stored while the bulk delete takes its sequence numbers
_FAILOVER = 10_000  # numbers that SQL Server caches for an identity column (contract 11.7)
_HOUR = 3600 * ticks.PER_SECOND
_END_IN_THE_WEEK = 3 * ticks.PER_DAY + 16 * _HOUR  # Thursday at four: two working days lie behind it
AN_END = 638_500_000_000_000_000
"""In May 2024: long ago, so that no gap is open any more."""
_MODALITIES = (  # name, share, most series, most instances a series, seconds between two instances
    ('CR', 40, 2, 2, 1.5),
    ('US', 15, 1, 25, 0.8),
    ('CT', 20, 5, 150, 0.12),
    ('MR', 15, 7, 60, 0.2),
    ('MG', 10, 1, 4, 2.0),
)
_PATIENTS = (
    'Sample^Ada',
    'Muster^Jörg',
    'Beispiel^Zoë',
    'Exemplo^João^^Dr.',
    'Próba^Łucja',
    'Δείγμα^Άννα',
    'Yamada^Tarou=山田^太郎=やまだ^たろう',
    'Hong^Gildong=洪^吉洞=홍^길동',
)


@dataclass(frozen=True)
class _Study:
    number: int
    modality: str
    pace_seconds: float
    series_sizes: tuple[int, ...]

    @property
    def size(self) -> int:
        return sum(self.series_sizes)

    def instances(self) -> Iterator[Instance]:
        study = f'{_ROOT}.{self.number}'
        for series, size in enumerate(self.series_sizes, 1):
            for index in range(1, size + 1):
                yield Instance(DEFAULT_PARTITION, study, f'{study}.{series}', f'{study}.{series}.{index}')


@dataclass(frozen=True)
class _Job:
    """One thing that happens to a study, from `ticks` on, which are counted from the end of the feed and negative.

    `beside` is a study that is stored while a delete or an update is at work: the statement takes its sequence numbers
    row by row, and the two interleave (contract 11.6).
    """

    ticks: int
    action: str
    study: _Study
    beside: _Study | None = None

    @property
    def duration(self) -> int:
        """Upper bound, in ticks. A delete or an update is one statement with one timestamp."""
        stored = self.study if self.action == CREATE else self.beside
        return int(stored.size * stored.pace_seconds * ticks.PER_SECOND) if stored else 1


class _Step(NamedTuple):
    """What a job does to one instance."""

    ticks: int
    action: str
    study: _Study
    instance: Instance


def sample_feed(count: int, *, seed: int = 1, end_ticks: int = AN_END, metadata: bool = True) -> Iterator[Row]:
    """Exactly `count` events by ascending sequence, none with a timestamp after `end_ticks`.

    The same arguments give the same events, and another end the same ones, moved. From 2000 events on there are a bulk
    delete of more than 200 instances under one timestamp, and a gap as wide as an identity cache. `metadata` adds about
    2 kB of DICOM JSON to each event that makes a version.
    """
    return islice(_rows(count, random.Random(seed), end_ticks, metadata), count)


def _rows(count: int, chance: random.Random, end: int, metadata: bool) -> Iterator[Row]:
    sequence = 0
    jobs = _jobs(count, chance)
    for position, job in enumerate(jobs):
        sequence += _gap(chance, is_failover=position == len(jobs) // 3 and count >= _EVENTS_FOR_A_BULK)
        for step in _steps(job, chance):
            sequence += 1
            text = _metadata(step, sequence) if metadata and step.action != DELETE else None
            yield Row(sequence, end + step.ticks, step.action, step.instance, text)


def _gap(chance: random.Random, *, is_failover: bool) -> int:
    """Sequence numbers that were burned before a job."""
    if is_failover:
        return _FAILOVER
    return chance.randint(1, 4) if chance.random() < 0.05 else 0


def _steps(job: _Job, chance: random.Random) -> Iterator[_Step]:
    """The steps of a job, in the order of their sequence numbers."""
    if job.action == CREATE:
        yield from _stores(job.study, job.ticks, chance)
        return
    beside = list(_stores(job.beside, job.ticks, chance)) if job.beside else []
    turns = sorted(chance.sample(range(1, job.study.size), len(beside)), reverse=True)
    for position, instance in enumerate(job.study.instances()):
        while turns and turns[-1] == position:
            turns.pop()
            yield beside.pop(0)
        yield _Step(job.ticks, job.action, job.study, instance)


def _stores(study: _Study, begin: int, chance: random.Random) -> Iterator[_Step]:
    """An instance after the other."""
    at, pace = begin, int(study.pace_seconds * ticks.PER_SECOND)
    for instance in study.instances():
        at += int(chance.uniform(0.4, 1.0) * pace)
        # Two stores at once: the clock is read before the sequence number is taken, so the orders can differ.
        yield _Step(at - (chance.randrange(2_000_000) if chance.random() < 0.01 else 0), CREATE, study, instance)


def _jobs(count: int, chance: random.Random) -> list[_Job]:
    """What happens until the end, in order, with at least `count` events."""
    span = max(1, round(count / _EVENTS_A_DAY)) * ticks.PER_DAY
    jobs = _bulk(span) if count >= _EVENTS_FOR_A_BULK else []
    planned = sum(job.study.size + (job.beside.size if job.beside else 0) for job in jobs)
    while planned < count:
        study = _study(len(jobs) + 1, chance)
        life = [job for job in _life_of(study, chance, -_age(chance, span)) if job.ticks < 0]
        planned += study.size * len(life)
        jobs += life
    return _one_after_the_other(sorted(jobs, key=lambda job: job.ticks))


def _bulk(span: int) -> list[_Job]:
    """A large study is stored, and deleted while another one is stored."""
    large, small = _Study(0, 'CT', 0.12, (_BULK,)), _Study(1, 'CR', 0.05, (_BESIDE_BULK,))
    return [_Job(-span * 3 // 10, CREATE, large), _Job(-span * 2 // 10, DELETE, large, beside=small)]


def _one_after_the_other(jobs: list[_Job]) -> list[_Job]:
    """The jobs moved so that none begins before the one before it has ended, nor ends after the end."""
    free = jobs[0].ticks if jobs else 0
    moved = []
    for job in jobs:
        begin = max(job.ticks, free)
        moved.append(replace(job, ticks=begin))
        free = begin + job.duration
    late = max(0, free)
    return [replace(job, ticks=job.ticks - late) for job in moved]


def _life_of(study: _Study, chance: random.Random, stored: int) -> Iterator[_Job]:
    """A study is stored; a few are corrected or deleted later that day, a few of those stored again."""
    yield _Job(stored, CREATE, study)
    later = stored + int(chance.uniform(1, 8) * _HOUR)
    luck = chance.random()
    if luck < 0.01:
        yield _Job(later, DELETE, study)
    elif luck < 0.05:
        yield _Job(later, UPDATE, study)
    if luck < 0.003:
        yield _Job(later + _HOUR, CREATE, study)


def _age(chance: random.Random, span: int) -> int:
    """How long before the end a study is stored: by day rather than by night, in the week rather than at its end."""
    while True:
        age = chance.randrange(span)
        day, time_of_day = divmod(_END_IN_THE_WEEK - age, ticks.PER_DAY)
        weight = _HOURS[time_of_day // _HOUR] * (_WEEKEND if day % 7 > 4 else 1)
        if chance.random() * max(_HOURS) < weight:
            return age


def _study(number: int, chance: random.Random) -> _Study:
    modality, _, most_series, most_instances, pace = chance.choices(
        _MODALITIES, [share for _, share, *_ in _MODALITIES]
    )[0]
    sizes = tuple(chance.randint(1, most_instances) for _ in range(chance.randint(1, most_series)))
    return _Study(number, modality, pace, sizes)


def _metadata(step: _Step, sequence: int) -> str:
    """DICOM JSON with what readers stumble over: raw UTF-8, numbers that are strings, 64-bit integers, empty values."""
    study, instance = step.study, step.instance
    head, patient = _study_head(study.number, study.modality, step.action == UPDATE), study.number % 9
    number = int(instance.sop.rpartition('.')[2])
    position = number * 1.25
    return (
        f'{{{head},"00080018":{{"vr":"UI","Value":["{instance.sop}"]}},'
        f'"0020000D":{{"vr":"UI","Value":["{instance.study}"]}},'
        f'"0020000E":{{"vr":"UI","Value":["{instance.series}"]}},'
        f'"00200013":{{"vr":"IS","Value":[{number}]}},'
        f'"00200032":{{"vr":"DS","Value":[-250.0,-250.0,{position}]}},'
        f'"00201041":{{"vr":"DS","Value":["{position:.6e}  "]}},'
        f'"00189217":{{"vr":"FD","Value":[{patient}.125]}},'
        f'"00720082":{{"vr":"SV","Value":[{-(2**63) + sequence}]}},'
        f'"00720083":{{"vr":"UV","Value":[{2**64 - sequence}]}}}}'
    )


@lru_cache(maxsize=4096)
def _study_head(number: int, modality: str, is_corrected: bool) -> str:
    """What all instances of a study share: most of the text."""
    name = dict(
        zip(('Alphabetic', 'Ideographic', 'Phonetic'), _PATIENTS[number % len(_PATIENTS)].split('='), strict=False)
    )
    text = json.dumps(
        {
            '00080005': {'vr': 'CS', 'Value': ['ISO_IR 192']},
            '00080016': {'vr': 'UI', 'Value': ['1.2.840.10008.5.1.4.1.1.7']},
            '00080020': {'vr': 'DA', 'Value': ['20240501']},
            '00080030': {'vr': 'TM', 'Value': ['102030.123']},
            '00080050': {'vr': 'SH', 'Value': [f'SYN{number:08d}']},
            '00080060': {'vr': 'CS', 'Value': [modality]},
            '00080070': {'vr': 'LO', 'Value': ['Synthetic Devices']},
            '00080080': {'vr': 'LO', 'Value': ['Krankenhaus Zum Beispiel – Süd']},
            '00080090': {'vr': 'PN'},
            '00081030': {'vr': 'LO', 'Value': ['Synthetic study, no real patient']},
            '00081140': {
                'vr': 'SQ',
                'Value': [
                    {
                        '00081150': {'vr': 'UI', 'Value': ['1.2.840.10008.5.1.4.1.1.7']},
                        '00081155': {'vr': 'UI', 'Value': [f'{_ROOT}.{number}.9.{reference}']},
                    }
                    for reference in range(5)
                ],
            },
            '00100010': {'vr': 'PN', 'Value': [name]},
            '00100020': {'vr': 'LO', 'Value': [f'SYN-{number:06d}']},
            '00100030': {'vr': 'DA', 'Value': ['19700101']},
            '00100040': {'vr': 'CS', 'Value': ['O']},
            '00101010': {'vr': 'AS'},
            '00101030': {'vr': 'DS', 'Value': [72.50]},
            '00104000': {'vr': 'LT', 'Value': ['Synthetic. ' + 'Made up for tests of the change feed. ' * 9]},
            '00180060': {'vr': 'DS', 'Value': ['120.0', None]},
            '00200010': {'vr': 'SH', 'Value': [str(number)]},
            '00280009': {'vr': 'AT', 'Value': ['00181063']},
            '00400254': {'vr': 'LO', 'Value': ['corrected' if is_corrected else 'as stored']},
        },
        ensure_ascii=False,
        separators=(',', ':'),
    )
    return text[1:-1]
