"""Take each numbered rule of the reader out in turn, and see that a test fails each time.

usage: python scripts/plants.py [RULE ...]

A rule whose absence no test notices is a rule that the next change may lose. Works on a copy of the tree. Exits with 1
when a plant was not caught, or does not fit the code any more.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ('tests/feed/test_schedules.py', 'tests/feed/test_delivery.py', 'tests/feed/test_model.py')


@dataclass(frozen=True)
class Plant:
    """A rule taken out: `found` in the file becomes `planted`."""

    rule: str
    what: str
    file: str
    found: str
    planted: str


PLANTS = (
    Plant(
        '1',
        'a prefetched page is taken as it is',
        'dicomfeed/sequences.py',
        'found, left = contents(self._scan(first - 1, last, self._feed.page), above=still_open[-1].above)',
        'found, left = [event for event in events if first <= event.sequence <= last], still_open',
    ),
    Plant(
        '1',
        'settled by the local clock alone',
        'dicomfeed/client.py',
        'min(local_ticks, asked_by_server)',
        'local_ticks',
    ),
    Plant(
        '1',
        'a watched hole closes without another look',
        'dicomfeed/holes.py',
        'hole.asked_monotonic >= since + settle_seconds',
        'hole.asked_monotonic >= since + settle_seconds - 65',
    ),
    Plant(
        '2',
        'an open hole is passed',
        'dicomfeed/sequences.py',
        'if still_open and at_hole is AtHole.STOP:',
        'if still_open and at_hole is None:',
    ),
    Plant('2', 'holes are watched one by one', 'dicomfeed/sequences.py', 'self._watch_ahead(newest.sequence)', 'pass'),
    Plant(
        '3',
        'a jump looks at no time before and after',
        'dicomfeed/sequences.py',
        'margin = unsettled_ticks(self._settle_seconds)',
        'margin = 0',
    ),
    Plant(
        '3',
        'a jump takes the first event by time',
        'dicomfeed/sequences.py',
        'lowest = event if lowest is None or event.sequence < lowest.sequence else lowest',
        'lowest = lowest or event',
    ),
    Plant(
        '4',
        'a start at a time has no slack',
        'dicomfeed/starts.py',
        'moment - unsettled_ticks(settle_seconds)',
        'moment',
    ),
    Plant(
        '5',
        'now is the newest event',
        'dicomfeed/starts.py',
        'return newest.sequence if reader.open_hole is None else reader.open_hole.first - 1',
        'return newest.sequence',
    ),
    Plant(
        '6',
        'the last event is not asked for again',
        'dicomfeed/sequences.py',
        'if not found or found[0].identity != self.last:',
        'if not found:',
    ),
    Plant(
        '7',
        'a full page ends a sub-window',
        'dicomfeed/windows.py',
        'while len(page.events) == query.limit:',
        'while len(page.events) > query.limit:',
    ),
    Plant(
        '7',
        'a cut inside a group of ties',
        'dicomfeed/windows.py',
        'return max(events[0].ticks, start + 1), CUT_ROWS',
        'return events[0].ticks, CUT_ROWS',
    ),
    Plant(
        '8',
        'the unsettled end is read like the rest',
        'dicomfeed/windows.py',
        'return min(self._end, page.asked_ticks - unsettled_ticks(self._settle_seconds))',
        'return self._end',
    ),
    Plant('9', 'a resumed file is not cut', 'dicomfeed/sink.py', 'os.ftruncate(descriptor, committed.length)', 'pass'),
    Plant(
        '9',
        'a gzip member goes on over a commit',
        'dicomfeed/sink.py',
        'self._buffer.write(self._compressor.flush())\n            self._compressor = zlib.compressobj(wbits=_GZIP)',
        'self._buffer.write(self._compressor.flush(zlib.Z_SYNC_FLUSH))',
    ),
    Plant('10', 'no lock', 'dicomfeed/lock.py', '_lock(self._descriptor)\n', 'pass\n'),
    Plant(
        '11',
        'the checkpoint moves over delivered events only',
        'dicomfeed/delivery.py',
        'if self._checkpoint is not None:\n            self._checkpoint.deal_with()',
        'if self._checkpoint is not None and delivered:\n            self._checkpoint.deal_with()',
    ),
    Plant(
        '12',
        'an outage is taken for poison',
        'dicomfeed/metadata.py',
        'if self._blobs_are_down() or self._well_read is None:\n                    return None',
        'pass',
    ),
)


def main(rules: list[str]) -> int:
    plants = [plant for plant in PLANTS if not rules or plant.rule in rules]
    caught = [_is_caught(plant) for plant in plants]
    print(f'{sum(caught)} of {len(caught)} plants were caught.')
    return 0 if all(caught) else 1


def _is_caught(plant: Plant) -> bool:
    with tempfile.TemporaryDirectory(prefix='plant-') as folder:
        tree = Path(folder) / 'tree'
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns('.git', '.venv*', '__pycache__', '.hypothesis'))
        file = tree / plant.file
        text = file.read_text('utf-8')
        if text.count(plant.found) != 1:
            print(f'rule {plant.rule}: {plant.what}: DOES NOT FIT {plant.file}')
            return False
        file.write_text(text.replace(plant.found, plant.planted), 'utf-8')
        failure = _first_failure(tree)
    print(f'rule {plant.rule}: {plant.what}: {failure or "NOT CAUGHT"}', flush=True)
    return failure is not None


def _first_failure(tree: Path) -> str | None:
    """The test that fails first, or None. A run that takes five minutes has failed, too: it reads for ever."""
    try:
        pytest = [sys.executable, '-m', 'pytest', '-x', '-q', '--no-header', '-p', 'no:cacheprovider']
        run = subprocess.run([*pytest, *TESTS], cwd=tree, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        return 'reads for ever'
    found = re.search(r'^(?:FAILED|ERROR) \S+::(\S+)', run.stdout, re.MULTILINE)
    return found[1] if found else None


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
