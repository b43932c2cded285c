"""How results look: as a table, one function for each command; and what of them is escaped in which format.

az imports this file for the commands' names, so it loads nothing until a result is printed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from azext_dicomtoken._stdout import Escape, Stdout

_GAP = 2
_TITLE_PADDING = 2  # tabulate, which az prints tables with, makes a column so much wider than its title
_SHORTEST_BAR = 8
_LONGEST_BAR = 60
_UID_LENGTH = 64
_SHORTEST_UID = 9
_EVENT_COLUMNS = {
    'Sequence': 'sequence',
    'Timestamp': 'timestamp',
    'Action': 'action',
    'State': 'state',
    'Study': 'studyInstanceUid',
    'Instance': 'sopInstanceUid',
}
_READABLE_UID = 20
_DEFAULT_PARTITION = 'Microsoft.Default'
_SPACES = str.maketrans('\t\r\n', '   ')
_GIVE_WAY = (('First', 'Last'), ('Created', 'Updated', 'Deleted'))


def printed(obj: Any, formatter: Any, *, output: str, stdout: Stdout) -> tuple[str, Escape]:
    """What az prints of a result in an output format, and how characters are escaped that are not to be printed.

    :param obj: knack's item, which holds the result and its table.
    """
    from copy import copy

    from azext_dicomtoken import _json, _output
    from azext_dicomtoken._stdout import backslash

    obj = copy(obj)
    if output in ('json', 'jsonc'):
        obj.result = _json.hold_numbers(obj.result)
        text = _json.restore_numbers(formatter(obj))
        return (_output.escape_json_controls(text) if stdout.is_terminal else text), _json.escape
    if output == 'tsv':
        obj.result = spaced_rows(obj.result)
    if output in ('yaml', 'yamlc'):
        obj.result = _json.hold_numbers(obj.result)
        text, fits = formatter(obj), _fits(stdout)
        if not fits(text):
            text = _quoted_yaml(obj.result, fits)
        return _json.restore_numbers(_output.escape_json_controls(text) if stdout.is_terminal else text), backslash
    if stdout.is_terminal:
        obj.result = _output.map_texts(_output.escape_controls, obj.result)
    return formatter(obj), backslash


def spaced_rows(result: Any) -> Any:
    """The rows of a result with spaces for what would end a column or a row; a text alone is one's own to lay out."""
    return result if isinstance(result, str) else spaced(result)


def spaced(value: Any) -> Any:
    """The value with a space for each TAB, CR and LF in its texts."""
    from azext_dicomtoken._output import map_texts

    return map_texts(lambda text: text.translate(_SPACES), value)


def _fits(stdout: Stdout) -> Callable[[str], bool]:
    """Whether a text can be printed as it is: in the encoding, and to a terminal."""
    from azext_dicomtoken._output import escape_json_controls

    def fits(text: str) -> bool:
        try:
            text.encode(stdout.encoding)
        except UnicodeEncodeError:
            return False
        return not stdout.is_terminal or escape_json_controls(text) == text

    return fits


def _quoted_yaml(result: Any, fits: Callable[[str], bool]) -> str:
    """As knack does it, with double quotes around what does not fit: only there YAML has escapes."""
    import yaml  # type: ignore[import-untyped]

    class Dumper(yaml.SafeDumper):  # pylint: disable=too-many-ancestors
        """knack's, with representers of its own."""

    def represent(dumper: Any, text: str) -> Any:
        return dumper.represent_scalar('tag:yaml.org,2002:str', text, style=None if fits(text) else '"')

    Dumper.add_representer(str, represent)
    Dumper.add_multi_representer(dict, yaml.SafeDumper.represent_dict)
    return str(yaml.dump(result, Dumper=Dumper, default_flow_style=False, allow_unicode=True))


def access_table(rows: list[dict[str, str]], *, columns: int | None = None) -> list[dict[str, str]]:
    """One row a step.

    :param columns: width of the terminal, which details are folded to; what failed is then not told here, as the error
        and what fixes it are printed below the table. None for complete ones.
    """
    table = [
        {'Step': row['step'], 'Verdict': row['verdict'], 'Detail': ' '.join(row['detail'].split())} for row in rows
    ]
    if columns is None:
        return table
    taken = sum(_column_width(table, title) + _GAP for title in ('Step', 'Verdict'))
    return [
        {**row, 'Detail': 'see below' if row['Verdict'] == 'failed' else _folded(row['Detail'], columns - taken)}
        for row in table
    ]


def _folded(text: str, width: int) -> str:
    """The text in lines, of which only those that hold one long word are longer."""
    from textwrap import wrap

    return '\n'.join(wrap(text, max(_TITLE_PADDING, width), break_on_hyphens=False, break_long_words=False))


def fitting(table: Callable[..., list[dict[str, str]]], loader: Any) -> Callable[[Any], list[dict[str, str]]]:
    """The table of a result, as wide as the terminal that it is printed to."""

    def fitted(result: Any) -> list[dict[str, str]]:
        from azext_dicomtoken._invocation import Invocation

        return table(result, columns=Invocation(loader.cli_ctx).terminal_columns)

    return fitted


def changefeed_table(result: Any, *, columns: int | None = None) -> list[dict[str, str]]:
    """One row an event, a study, or a count with a bar.

    :param columns: width of the terminal, which UIDs are shortened to; None for complete ones.
    """
    if isinstance(result, list) and result and 'stable' in result[0]:
        return studies_table(result, columns=columns)
    if isinstance(result, list) and result and 'firstTimestamp' in result[0]:
        return counts_table(result, columns=columns)
    rows = [_event_row(event) for event in (result if isinstance(result, list) else [result])]
    return _fitted(rows, EVENTS, columns=columns)


def studies_table(result: list[dict[str, Any]], *, columns: int | None = None) -> list[dict[str, str]]:
    """One row a study or series, with its partition where any row has another than the default."""
    rows = [_study_row(row) for row in result]
    if not any(row['Partition'] for row in rows):
        rows = [{title: text for title, text in row.items() if title != 'Partition'} for row in rows]
    return _fitted(rows, SERIES if 'seriesInstanceUid' in result[0] else STUDIES, columns=columns)


class TableForm(NamedTuple):
    """The columns of a table.

    :ivar cells: what a row shows of an item, by title.
    :ivar widths: of the columns whose rows nobody knows yet, in their order.
    :ivar uids: those that are shortened to the width of a terminal.
    :ivar gives_way: what a narrow terminal does not show.
    """

    cells: Callable[[Any], dict[str, str]]
    widths: dict[str, int]
    uids: tuple[str, ...]
    gives_way: str | None = None

    def uid_width(self, widths: dict[str, int], columns: int) -> int:
        """What is left for each UID beside the columns of those widths."""
        taken = sum(width + _GAP for title, width in widths.items() if title not in self.uids)
        return max(_SHORTEST_UID, (columns - taken - _GAP * (len(self.uids) - 1)) // len(self.uids))

    def titles(self, widths: dict[str, int], columns: int | None) -> list[str]:
        """The columns that are shown."""
        is_narrow = columns is not None and self.uid_width(widths, columns) < _READABLE_UID
        return [title for title in widths if not is_narrow or title != self.gives_way]


class FixedTable:
    """A table row by row: columns of fixed widths, because nobody knows the rows that are still to come.

    :param columns: width of the terminal, which UIDs are shortened to; None for complete ones.
    """

    def __init__(self, form: TableForm, *, columns: int | None = None) -> None:
        self._form = form
        self._widths = {title: form.widths[title] for title in form.titles(form.widths, columns)}
        if columns is not None:
            self._widths.update(dict.fromkeys(form.uids, form.uid_width(self._widths, columns)))

    @property
    def header(self) -> str:
        return self._line({title: title for title in self._widths})

    def row(self, item: Any) -> str:
        cells = self._form.cells(item)
        cells.update({title: _shortened(cells[title], self._widths[title]) for title in self._form.uids})
        return self._line(cells)

    def _line(self, cells: dict[str, str]) -> str:
        return (' ' * _GAP).join(cells[title].ljust(width) for title, width in self._widths.items()).rstrip()


def _event_row(event: Any) -> dict[str, str]:
    """What a table shows of an event, whatever letter case the service gave the names."""
    from azext_dicomtoken._output import escape_controls
    from dicomfeed.events import field

    cells = {title: escape_controls(str(field(event, name) or '')) for title, name in _EVENT_COLUMNS.items()}
    return {**cells, 'Timestamp': _to_the_second(cells['Timestamp'])}


def _study_row(row: dict[str, Any]) -> dict[str, str]:
    """What a table shows of a study, or of a series, whose UID is in the place of how many there are."""
    from azext_dicomtoken._output import escape_controls

    partition = row['partitionName']
    cells = {
        'Study': row['studyInstanceUid'],
        'Series': row['seriesInstanceUid'] if 'seriesInstanceUid' in row else row['series'],
        'Instances': row['instances'],
        'First': _to_the_second(row['firstTimestamp']),
        'Last': _to_the_second(row['lastTimestamp']),
        'Partition': '' if partition in (None, _DEFAULT_PARTITION) else partition,
    }
    return {title: escape_controls(str(value)) for title, value in cells.items()}


def _fitted(rows: list[dict[str, str]], form: TableForm, *, columns: int | None) -> list[dict[str, str]]:
    """The rows as wide as the terminal."""
    if columns is None or not rows:
        return rows
    widths = {title: _column_width(rows, title) for title in rows[0]}
    widths = {title: widths[title] for title in form.titles(widths, columns)}
    widths.update(dict.fromkeys(form.uids, form.uid_width(widths, columns)))
    return [{title: _shortened(row[title], width) for title, width in widths.items()} for row in rows]


def _to_the_second(timestamp: str) -> str:
    from dicomfeed.times import utc_text

    try:
        return f'{utc_text(timestamp)[: len("2026-01-31T09:30:00")]}Z'
    except ValueError:
        return timestamp


def _shortened(uid: str, width: int) -> str:
    """Without its middle, as both ends tell studies apart."""
    if len(uid) <= width:
        return uid
    end = (width - 1) // 2
    return f'{uid[: width - 1 - end]}…{uid[-end:]}'


def claims_table(claims: dict[str, Any]) -> list[dict[str, str]]:
    """One row a fact, because a token's facts do not fit beside each other on a terminal."""
    from azext_dicomtoken._output import escape_controls

    return [
        {'Claim': name, 'Value': escape_controls(_cell(value))}
        for name, value in claims.items()
        if name != 'claims' and value not in (None, [])
    ]


def _cell(value: Any) -> str:
    return ' '.join(map(str, value)) if isinstance(value, list) else str(value)


def counts_table(rows: list[dict[str, Any]], *, columns: int | None = None) -> list[dict[str, str]]:
    """The rows as text with a bar each; where the terminal is narrow the times give way to it, then the actions.

    :param columns: width of the terminal; without one, what the environment variable COLUMNS says, else 80.
    """
    import shutil

    from azext_dicomtoken._output import escape_controls

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
    return sum(_column_width(table, title) + _GAP for title in table[0])


def _column_width(table: list[dict[str, str]], title: str) -> int:
    return max(len(title) + _TITLE_PADDING, *(len(row[title]) for row in table))


def _bar(events: int, most: int, longest: int) -> str:
    """As long as the share of the fullest row; one event is seen as well."""
    return '#' * max(int(events > 0), round(events / max(1, most) * longest))


_STUDY_WIDTHS = {'Instances': 9, 'First': 20, 'Last': 20, 'Partition': 9}  # the last one is as long as it needs to be
EVENTS = TableForm(
    _event_row,
    {'Sequence': 10, 'Timestamp': 20, 'Action': 6, 'State': 8, 'Study': _UID_LENGTH, 'Instance': _UID_LENGTH},
    uids=('Study', 'Instance'),
)
STUDIES = TableForm(_study_row, {'Study': _UID_LENGTH, 'Series': 6, **_STUDY_WIDTHS}, ('Study',), gives_way='First')
SERIES = TableForm(
    _study_row, {'Study': _UID_LENGTH, 'Series': _UID_LENGTH, **_STUDY_WIDTHS}, ('Study', 'Series'), gives_way='First'
)
