"""Stable studies on the command line: the grouping of a run, the lines of its rows, what is said of the open ones.

Owned: how `--stable-after` fits onto the readings. Not owned: the grouping itself (`dicomfeed/stable.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from azext_dicomtoken._invocation import Invocation
from azext_dicomtoken._output import plural, say
from azext_dicomtoken._stdout import Stdout
from azext_dicomtoken.changefeed.lines import LineError, LineOf, Lines
from azext_dicomtoken.changefeed.options import Options
from azext_dicomtoken.changefeed.readings import BySequence, ByTime, Reading
from dicomfeed.checkpoint import Checkpoint
from dicomfeed.gaps import settle_margin
from dicomfeed.stable import BY_SERIES, Row, Snapshot, StableStudies, json_lines
from dicomfeed.summary import Summary
from dicomfeed.times import LAST_TICK, format_timestamp


def studies_of(reading: Reading, *, checkpoint: Checkpoint | None = None) -> StableStudies | None:
    """The grouping of a reading, which goes on from the checkpoint; None where events are not grouped."""
    options = reading.session.options
    if options.stable_after is None:
        return None
    return StableStudies(
        checkpoint.snapshot if checkpoint is not None else _beginning_of(reading),
        stable_after=options.stable_after,
        settle_margin=settle_margin(options.settle_seconds),
        level=options.level,
        end=reading.end if isinstance(reading, ByTime) else LAST_TICK,
    )


def unit_of(options: Options) -> tuple[str, str]:
    """What is written, one and several of it."""
    if options.stable_after is None:
        return 'event', 'events'
    return ('series', 'series') if options.level == BY_SERIES else ('study', 'studies')


def sum_up_studies(summary: Summary, studies: StableStudies, *, has_lost_rows: bool) -> None:
    """Complete the summary. Who reads on after `complete_through` loses no study that is still open."""
    summary.open, summary.late = studies.still_open.number, studies.late
    if summary.complete_through is not None:
        summary.complete_through = None if has_lost_rows else min(summary.complete_through, studies.snapshot.cursor)


def say_what_is_open(options: Options, studies: StableStudies) -> None:
    """Say it on standard error whatever --only-show-errors says: the rows may be taken for everything there is.

    Not with a checkpoint: later runs report the rest.
    """
    number, since = studies.still_open
    if since is not None and not options.checkpoint:
        say(
            f'Not reported, because more events can still join: {plural(number, *unit_of(options))} with events since '
            f'{format_timestamp(since)}.'
        )


def say_rows_were_cut(options: Options) -> None:
    """Say it on standard error whatever --only-show-errors says: a cut list that is read as complete is wrong."""
    say(
        f'There are more {unit_of(options)[1]} than the {options.max_items} listed. Raise --max-items, or use --stream '
        'to get all of them.'
    )


class RowLines(Lines):
    """Makes the lines of one run, of rows of studies or series."""

    def __init__(self, invocation: Invocation, *, stdout: Stdout | None, level: str) -> None:
        self._level = level
        super().__init__(invocation, stdout=stdout)

    def _own_line_of(self) -> LineOf:
        return lambda row: json_lines([row])[0]

    def _content(self, item: Row) -> Any:
        return item

    def _table(self, *, columns: int | None) -> tuple[str, Callable[[Row], str]]:
        from azext_dicomtoken._format import SERIES, STUDIES, FixedTable

        table = FixedTable(SERIES if self._level == BY_SERIES else STUDIES, columns=columns)
        return table.header, table.row

    def _error(self, item: Row, error: Exception) -> LineError:
        return LineError(
            f'the row whose last event has sequence number {item["lastSequence"]}',
            error,
            recommendation='Give the function a default, such as length(partitionName || `""`).',
        )


def _beginning_of(reading: Reading) -> Snapshot:
    return Snapshot(reading.began_after, reading.anchor) if isinstance(reading, BySequence) else Snapshot()
