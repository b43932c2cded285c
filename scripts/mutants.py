"""Take each numbered rule of the reader out in turn, and see that a test fails each time.

usage: python scripts/mutants.py [RULE ...]

A rule whose absence no test notices is a rule that the next change may lose. Works on a copy of the tree. Exits with 1
when a mutant was not caught, or does not fit the code any more.
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
_NAMES = (
    'queries metadata poison sequences windows schedules delivery sinks checkpoint files conditions two_reads '
    'two_reads_model stable stable_runs model'
)
TESTS = tuple(f'tests/feed/test_{name}.py' for name in _NAMES.split())
OPTIONS = ('tests/az/changefeed/test_options.py',)


@dataclass(frozen=True)
class Mutant:
    """A rule taken out: `found` in the file becomes `mutated`. `tests`: one of them has to notice."""

    rule: str
    what: str
    file: str
    found: str
    mutated: str
    tests: tuple[str, ...] = TESTS
    python: Path = Path(sys.executable)


MUTANTS = (
    Mutant(
        '1',
        'a prefetched page is taken as it is',
        'dicomfeed/sequences.py',
        'found, left = contents(self._scan(first - 1, last), above=still_open[-1].above)',
        'found, left = [event for event in events if first <= event.sequence <= last], still_open',
    ),
    Mutant(
        '1',
        'settled by the local clock alone',
        'dicomfeed/client.py',
        'min(asked_ticks, asked_by_server)',
        'asked_ticks',
    ),
    Mutant(
        '1',
        'a watched gap closes without another look',
        'dicomfeed/gaps.py',
        'gap.asked_monotonic >= since + settle_seconds',
        'gap.asked_monotonic >= since + settle_seconds - 65',
    ),
    Mutant(
        '2',
        'an open gap is passed',
        'dicomfeed/sequences.py',
        'if still_open and at_gap is AtGap.STOP:',
        'if still_open and at_gap is None:',
    ),
    Mutant('2', 'gaps are watched one by one', 'dicomfeed/sequences.py', 'self._watch_ahead(newest.sequence)', 'pass'),
    Mutant(
        '3',
        'a jump looks at no time before and after',
        'dicomfeed/sequences.py',
        'margin = settle_margin(self._settle_seconds)',
        'margin = 0',
    ),
    Mutant(
        '3',
        'a jump takes the first event by time',
        'dicomfeed/sequences.py',
        'lowest = event if lowest is None or event.sequence < lowest.sequence else lowest',
        'lowest = lowest or event',
    ),
    Mutant(
        '4',
        'a start at a time has no slack',
        'dicomfeed/starts.py',
        'start_time - settle_margin(settle_seconds)',
        'start_time',
    ),
    Mutant(
        '5',
        'now is the newest event',
        'dicomfeed/starts.py',
        'return newest.sequence if reader.open_gap is None else reader.open_gap.first - 1',
        'return newest.sequence',
    ),
    Mutant(
        '6',
        'the last event is not asked for again',
        'dicomfeed/sequences.py',
        'if not found or found[0].identity != self.last:',
        'if not found:',
    ),
    Mutant(
        '6',
        'the cursor is not compared',
        'dicomfeed/sequences.py',
        'max(self.cursor, self.last[0] if self.last else 0)',
        '(self.last[0] if self.last else 0)',
    ),
    Mutant(
        '6',
        'a restore in mid-run is not looked for',
        'dicomfeed/sequences.py',
        'if any(event.ticks > began for event in events):',
        'if not events:',
    ),
    Mutant(
        '6',
        'an end that has gone is an end',
        'dicomfeed/sequences.py',
        'if self.open_gap is None and self.cursor < through:',
        'if self.open_gap is None and self.cursor > through:',
    ),
    Mutant(
        '7',
        'rows from outside the window are taken',
        'dicomfeed/queries.py',
        'all(self.start <= ticks < self.end for ticks, _ in rows)',
        'True',
    ),
    Mutant(
        '7', 'rows in any order are taken', 'dicomfeed/queries.py', 'all(map(tuple.__lt__, rows, rows[1:]))', 'True'
    ),
    Mutant(
        '7',
        'an event twice is taken',
        'dicomfeed/queries.py',
        'len({sequence for _, sequence in rows}) == len(rows)',
        'True',
    ),
    Mutant(
        '7',
        'a page that comes again is taken',
        'dicomfeed/windows.py',
        'self._feed.refuse_repetition(is_new=(events[0].ticks, events[0].sequence) > last)',
        'pass',
    ),
    Mutant(
        '7',
        'a full page ends a sub-window',
        'dicomfeed/windows.py',
        'while len(page.events) == query.limit:',
        'while len(page.events) > query.limit:',
    ),
    Mutant(
        '7',
        'a split inside a group of ties',
        'dicomfeed/windows.py',
        'return max(events[0].ticks, start + 1), rows',
        'return events[0].ticks, rows',
    ),
    Mutant(
        '8',
        'the unsettled end is read like the rest',
        'dicomfeed/windows.py',
        'return min(self._end, page.asked_ticks - settle_margin(self._settle_seconds))',
        'return self._end',
    ),
    Mutant('9', 'a resumed file is not truncated', 'dicomfeed/sinks.py', 'os.ftruncate(descriptor, length)', 'pass'),
    Mutant(
        '9',
        'a gzip member goes on over a commit',
        'dicomfeed/sinks.py',
        'self._buffer.write(self._compressor.flush())\n            self._compressor = zlib.compressobj(wbits=_GZIP)',
        'self._buffer.write(self._compressor.flush(zlib.Z_SYNC_FLUSH))',
    ),
    Mutant(
        '9',
        'no look whether the name still leads to the file',
        'dicomfeed/sinks.py',
        'if not files.leads_to(self._path, self._begun):',
        'if False:',
    ),
    Mutant(
        '9',
        'no look at the length of the file',
        'dicomfeed/sinks.py',
        'if os.fstat(self._begun).st_size != self._length:',
        'if False:',
    ),
    Mutant(
        '9',
        'no look at the end of the file',
        'dicomfeed/sinks.py',
        'if files.read_before(self._begun, self._length, _DIGEST_BYTES) != self._end:',
        'if False:',
    ),
    Mutant(
        '9', 'a short write is taken for a whole one', 'dicomfeed/files.py', 'rest = rest[taken:]', 'rest = rest[:0]'
    ),
    Mutant(
        '9',
        'the output begins before the service has answered',
        'dicomfeed/delivery.py',
        'try:\n            for events in batches:',
        'try:\n            self._begin()\n            for events in batches:',
    ),
    Mutant(
        '9',
        'any file matches where nothing was committed',
        'dicomfeed/sinks.py',
        'is_same = _is_continued(held, committed) if committed.length else _is_without_lines(held)',
        'is_same = _is_continued(held, committed)',
    ),
    Mutant(
        '9',
        'the file is there before the checkpoint names it',
        'dicomfeed/delivery.py',
        'self._checkpoint.save(self._sink.output)\n            try:\n                self._sink.begin()',
        'try:\n                self._sink.begin()\n                self._checkpoint.save(self._sink.output)',
    ),
    Mutant('10', 'no lock on the checkpoint', 'dicomfeed/files.py', '_lock(descriptor)\n            if', 'if'),
    Mutant(
        '10',
        'no lock on the output',
        'dicomfeed/files.py',
        '_lock(descriptor)\n        except OSError as error:\n            if',
        'pass\n        except OSError as error:\n            if',
    ),
    Mutant(
        '10',
        'a lock whose file was taken away',
        'dicomfeed/files.py',
        'if leads_to(path, descriptor):  # else',
        'if True:  # else',
    ),
    Mutant(
        '10',
        'the lock is beside the link',
        'dicomfeed/checkpoint.py',
        'os.path.split(os.path.realpath(path))',
        'os.path.split(os.path.abspath(path))',
    ),
    Mutant(
        '11',
        'the checkpoint moves over delivered events only',
        'dicomfeed/delivery.py',
        'if events and self._checkpoint is not None:',
        'if delivered and self._checkpoint is not None:',
    ),
    Mutant(
        '12',
        'an outage is taken for poison',
        'dicomfeed/poison.py',
        'if self._neighbour_reads_well(sequence):',
        'if sequence:',
    ),
    Mutant(
        '12',
        'one failure is poison',
        'dicomfeed/poison.py',
        'if began - since >= POISON_SECONDS:',
        'if began or since:',
    ),
    Mutant(
        '12',
        'no neighbour is looked for',
        'dicomfeed/poison.py',
        'self._neighbours = self._near(self._missing[sequence])',
        'self._neighbours = iter(())',
    ),
    Mutant(
        '12',
        'a time-out ends the run',
        'dicomfeed/poison.py',
        'except MAY_PASS as error:\n                self',
        'except MAY_PASS[1:] as error:\n                self',
    ),
    Mutant(
        '12',
        'a sign-in in trouble ends the run',
        'dicomfeed/poison.py',
        'except MAY_PASS as error:\n                self',
        'except MAY_PASS[:-1] as error:\n                self',
    ),
    Mutant(
        '12',
        'events that nobody wants are tested',
        'dicomfeed/feed.py',
        'wanted = self._wanted(events)\n',
        'wanted = events\n',
    ),
    Mutant(
        '12',
        'metadata are read before they can be delivered',
        'dicomfeed/feed.py',
        'self._metadata.page(query) if self._reads_at_once() else None',
        'self._metadata.page(query) if self._choice.needs_metadata else None',
    ),
    Mutant(
        '12',
        'the second read may be of another event',
        'dicomfeed/poison.py',
        'if any(event.identity != known[event.sequence].identity for event in found):',
        'if not known:',
    ),
    Mutant(
        '12',
        'a neighbour that breaks is an outage',
        'dicomfeed/poison.py',
        'if self._reads.neighbour_fails() and not self._another_reads_well():',
        'if self._reads.neighbour_fails():',
    ),
    Mutant(
        'attributes',
        'the first line with later metadata',
        'dicomfeed/poison.py',
        'found = [event for event in page.events if event.sequence in known]',
        'found = [event._replace(line=known[event.sequence].line[:-1] + event.line[event.head or -1 :], head=0)'
        ' for event in page.events if event.sequence in known]',
    ),
    Mutant(
        'attributes',
        'rows that are new in the second read are taken',
        'dicomfeed/metadata.py',
        'attempt.found.update(found)',
        'attempt.found.update(found)\n'
        '            there = by_sequence(events)\n'
        '            page = self._reads.read(query)\n'
        '            events += [event for event in page.events if event.sequence not in there] if page else []',
    ),
    Mutant(
        'attributes',
        'the cursor is ahead of the second read',
        'dicomfeed/sequences.py',
        'if events:\n                    yield events',
        'if events:\n                    self._advance(events[-1])\n                    yield events',
    ),
    Mutant(
        'attributes',
        'the verdict does not count',
        'dicomfeed/filters.py',
        'if event.verdict in _PASS',
        'if event',
    ),
    Mutant(
        'attributes',
        'only the values of a repeated option that came last',
        'azext_dicomtoken/_params.py',
        'setattr(namespace, self.dest, [*earlier, *(',
        'setattr(namespace, self.dest, [*(',
        tests=OPTIONS,
    ),
    Mutant(
        'attributes',
        'conditions of one sequence are met in two items',
        'dicomfeed/conditions.py',
        'any(map(self._is_met_by, values))',
        'all(any(isinstance(item, dict) and wanted.match(item.get(tag)) for item in values)'
        ' for tag, wanted in self.within.items())',
    ),
    Mutant(
        '13',
        'the cursor moves past an open study',
        'dicomfeed/stable.py',
        'sequences = [item.sequence for item in self._waiting] + [row.first_sequence for row in rows]',
        'sequences = [item.sequence for item in self._waiting]',
    ),
    Mutant(
        '13',
        'the cursor moves past an event that waits',
        'dicomfeed/stable.py',
        'sequences = [item.sequence for item in self._waiting] + [row.first_sequence for row in rows]',
        'sequences = [row.first_sequence for row in rows]',
    ),
    Mutant(
        '13',
        'the local clock decides',
        'dicomfeed/client.py',
        '_newest_of(answer), _asked_by_server(answer, self.clock.monotonic() - asked_monotonic, asked_ticks)',
        '_newest_of(answer), self.clock.now()',
    ),
    Mutant(
        '13',
        'a poll that fails moves the mark',
        'dicomfeed/stable.py',
        'self._poll_limit = min(service_ticks - self._settle_margin, self._end)',
        'self._poll_limit = self.mark = min(service_ticks - self._settle_margin, self._end)',
    ),
    Mutant(
        '13',
        'a poll that stops at an open gap is complete',
        'dicomfeed/sequences.py',
        'if self.has_reached(newest):\n                yield []',
        'yield []',
    ),
    Mutant(
        '13',
        'a run that ends before an open gap is complete',
        'azext_dicomtoken/changefeed/readings.py',
        'if reader.has_reached(self._newest):\n            yield []',
        'yield []',
    ),
    Mutant(
        '13',
        'only complete polls move the mark',
        'dicomfeed/stable.py',
        'return rows + self._move_mark(min(self._newest - self._settle_margin, self._poll_limit))',
        'return rows',
    ),
    Mutant(
        '13',
        'no margin',
        'dicomfeed/stable.py',
        'self._settle_margin = settle_margin\n',
        'self._settle_margin = 0\n',
    ),
    Mutant(
        '13',
        'a later event ends a row without the margin',
        'dicomfeed/stable.py',
        'return rows + self._move_mark(min(self._newest - self._settle_margin, self._poll_limit))',
        'return rows + self._move_mark(min(self._newest, self._poll_limit))',
    ),
    Mutant(
        '13',
        'events are grouped in the order of sequence numbers',
        'dicomfeed/stable.py',
        'if self._waiting and item < self._waiting[-1]:',
        'if not self:',
    ),
    Mutant(
        '13',
        'a save before the events that were read are there again',
        'dicomfeed/stable.py',
        'if self._resumed is not None:\n            return self._resumed',
        'if False:\n            return self._resumed',
    ),
    Mutant(
        '13',
        'the mark moves before the events that were read are there again',
        'dicomfeed/stable.py',
        'if self._resumed is not None:\n            return []',
        'if False:\n            return []',
    ),
    Mutant(
        '13',
        'the anchor is the event at the cursor',
        'dicomfeed/sequences.py',
        'if self.last is None or event.sequence >= self.last[0]:',
        'if True:',
    ),
    Mutant(
        '13',
        'gaps that were closed are watched again',
        'dicomfeed/sequences.py',
        'if gap.last > self._closed_through',
        'if gap.last > 0',
    ),
    Mutant(
        '13',
        'a poll without the newest event is complete',
        'dicomfeed/sequences.py',
        'return self.open_gap is None and (newest is None or self.cursor >= newest.sequence)',
        'return self.open_gap is None',
    ),
    Mutant(
        '13',
        'rows that are made again get out of the order of time',
        'dicomfeed/stable.py',
        '(self._row_begun_by(item) or rows[0]).add(item)',
        '(self._row_begun_by(item) or rows[-1]).add(item)',
    ),
    Mutant(
        '13',
        'no cut after a day',
        'dicomfeed/stable.py',
        'self._longest = max(TICKS_PER_DAY, stable_after)',
        'self._longest = LAST_TICK',
    ),
    Mutant(
        '13',
        'what was reported is reported again',
        'dicomfeed/stable.py',
        'return item.ticks <= self.mark and item.ticks < self._firsts.get(_digest_of(item.key), LAST_TICK)',
        'return False',
    ),
    Mutant(
        '13',
        'the end of a window closes rows',
        'dicomfeed/stable.py',
        'min(service_ticks - self._settle_margin, self._end)',
        'service_ticks - self._settle_margin',
    ),
    Mutant(
        '13',
        'the snapshot is not saved with the rows',
        'dicomfeed/delivery.py',
        'self._has_moved = self._has_moved or bool(rows)',
        'self._has_moved = self._has_moved',
    ),
)


def spark_mutant(what: str, file: str, found: str, mutated: str, *, test: str = 'test_prefix.py') -> Mutant:
    """One of the source of Spark, whose tests have an environment of their own."""
    python = ROOT / '.venv-spark' / 'bin' / 'python'
    return Mutant('spark', what, f'dicomfeed/{file}', found, mutated, (f'tests/spark/{test}',), python)


SPARK_MUTANTS = (
    spark_mutant(
        'an end passes an open gap',
        'sequences.py',
        'yield from self.read(newest.sequence, at_gap=AtGap.STOP)',
        'yield from self.read(newest.sequence, at_gap=AtGap.PASS)',
    ),
    spark_mutant(
        'the initial offset moves',
        'spark/stream.py',
        '    return Offset(options.after_sequence or 0, start_time=options.start_time)',
        '    _ASKED.append(0)\n    return Offset(len(_ASKED), start_time=options.start_time)\n\n\n_ASKED = []',
    ),
    spark_mutant(
        'a filter narrows the plan',
        'spark/batch.py',
        '    def partitions(self) -> list[InputPartition]:',
        '    def pushFilters(self, filters):\n        for one in filters:\n'
        '            if type(one).__name__ == "LessThanOrEqual" and one.attribute == ("sequence",):\n'
        '                object.__setattr__(self._options, "until_sequence", one.value)\n            yield one\n\n'
        '    def partitions(self) -> list[InputPartition]:',
        test='test_batch.py',
    ),
    spark_mutant(
        'the beginning at a time is not stored',
        'spark/prefix.py',
        'beginning=Beginning(self._first, start.start_time) if start.is_initial else None',
        'beginning=None',
    ),
    spark_mutant(
        'the start of a later run counts',
        'spark/stream.py',
        'start_time = end.beginning.start_time if end.beginning else end.start_time',
        'start_time = begin.start_time',
    ),
    spark_mutant(
        'what a batch holds grows with the metadata',
        'spark/rows.py',
        ' or length >= _MOST_BYTES',
        '',
        test='test_rows.py',
    ),
    spark_mutant(
        'what is not settled is taken for settled',
        'sequences.py',
        'bound = self._feed.client.earlier_now() - settle_margin(self._settle_seconds)',
        'bound = self._feed.client.earlier_now()',
    ),
    spark_mutant('a restart does not catch up', 'spark/prefix.py', 'if not is_known:', 'if is_known is None:'),
    spark_mutant(
        'tasks do not look for a restore',
        'spark/ranges.py',
        '        refuse_other_event(feed, self.anchor)\n        if',
        '        if',
    ),
    spark_mutant(
        'a replay is not compared',
        'spark/ranges.py',
        'if self.expected not in (None, seen.after(self.after)):',
        'if not seen:',
    ),
    spark_mutant(
        'every call asks the service',
        'spark/prefix.py',
        'if self._clock.monotonic() < self._next_poll:',
        'if not self._interval_seconds:',
    ),
    spark_mutant(
        'a batch has one event too many',
        'spark/prefix.py',
        'last = self._event_from(begin + most_events)',
        'last = self._event_from(begin + most_events + 1)',
    ),
)


def main(rules: list[str]) -> int:
    mutants = [mutant for mutant in (*MUTANTS, *SPARK_MUTANTS) if not rules or mutant.rule in rules]
    caught = [_is_caught(mutant) for mutant in mutants]
    print(f'{sum(caught)} of {len(caught)} mutants were caught.')
    return 0 if all(caught) else 1


def _is_caught(mutant: Mutant) -> bool:
    with tempfile.TemporaryDirectory(prefix='mutant-') as folder:
        tree = Path(folder) / 'tree'
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns('.git', '.venv*', '__pycache__', '.hypothesis'))
        file = tree / mutant.file
        text = file.read_text('utf-8')
        if text.count(mutant.found) != 1:
            print(f'rule {mutant.rule}: {mutant.what}: DOES NOT FIT {mutant.file}')
            return False
        file.write_text(text.replace(mutant.found, mutant.mutated), 'utf-8')
        failure = _first_failure(tree, mutant)
    print(f'rule {mutant.rule}: {mutant.what}: {failure or "NOT CAUGHT"}', flush=True)
    return failure is not None


def _first_failure(tree: Path, mutant: Mutant) -> str | None:
    """The test that fails first, or None. A run that takes five minutes has failed, too: it reads for ever."""
    try:
        pytest = [mutant.python, '-m', 'pytest', '-x', '-q', '--no-header', '-p', 'no:cacheprovider']
        run = subprocess.run(
            [*pytest, *mutant.tests], cwd=tree, capture_output=True, text=True, timeout=300, check=False
        )
    except subprocess.TimeoutExpired:
        return 'reads for ever'
    found = re.search(r'^(?:FAILED|ERROR) \S+::(\S+)', run.stdout, re.MULTILINE)
    return found[1] if found else None


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
