"""Counts as a table whose last column is a bar, sized to the terminal: the eye sees the shape of a feed."""

from __future__ import annotations

import shutil
from typing import Any

from azext_dicomtoken._output import escape_controls

_GAP = 2
_TITLE_PADDING = 2  # tabulate, which az prints tables with, makes a column so much wider than its title
_SHORTEST_BAR = 8
_LONGEST_BAR = 60
_GIVE_WAY = (('First', 'Last'), ('Created', 'Updated', 'Deleted'))


def counts_table(rows: list[dict[str, Any]], *, columns: int | None = None) -> list[dict[str, str]]:
    """The rows as text with a bar each; where the terminal is narrow the times give way to it, then the actions.

    :param columns: width of the terminal; without one, what the environment variable COLUMNS says, else 80.
    """
    available = columns or shutil.get_terminal_size().columns
    table = [
        {_title(name): '' if value is None else escape_controls(str(value)) for name, value in row.items()}
        for row in rows
    ]
    for titles in _GIVE_WAY:
        if _width(table) + _SHORTEST_BAR > available:
            table = [{title: text for title, text in row.items() if title not in titles} for row in table]
    longest = max(_SHORTEST_BAR, min(_LONGEST_BAR, available - _width(table)))
    most = max(row['events'] for row in rows)
    return [{**text, 'Bar': _bar(row['events'], most, longest)} for text, row in zip(table, rows, strict=True)]


def _title(name: str) -> str:
    return {'firstTimestamp': 'First', 'lastTimestamp': 'Last'}.get(name, name.capitalize())


def _width(table: list[dict[str, str]]) -> int:
    """Columns that the table takes before the bar."""
    return sum(max(len(title) + _TITLE_PADDING, *(len(row[title]) for row in table)) + _GAP for title in table[0])


def _bar(events: int, most: int, longest: int) -> str:
    """As long as the share of the fullest row; one event is seen as well."""
    return '#' * max(int(events > 0), round(events / max(1, most) * longest))
