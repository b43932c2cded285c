"""How results look: as a table, one function for each command; and what of them is escaped in which format.

az imports this file for the commands' names, so it loads nothing until a result is printed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azext_dicomtoken._stdout import Escape, Stdout

_GAP = 2
_TITLE_PADDING = 2  # tabulate, which az prints tables with, makes a column so much wider than its title
_SHORTEST_BAR = 8
_LONGEST_BAR = 60
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


def access_table(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """One row a step; what fixes a failure is printed below the table."""
    from textwrap import shorten

    return [
        {'Step': row['step'], 'Verdict': row['verdict'], 'Detail': shorten(row['detail'], 160, placeholder=' …')}
        for row in rows
    ]


def changefeed_table(result: Any) -> list[dict[str, str]]:
    """One row an event, whatever letter case the service gave the names; or one row a count, with a bar."""
    if isinstance(result, list) and result and 'firstTimestamp' in result[0]:
        return counts_table(result)
    from azext_dicomtoken._output import escape_controls
    from dicomfeed.events import field

    columns = {
        'Sequence': 'sequence',
        'Timestamp': 'timestamp',
        'Action': 'action',
        'State': 'state',
        'Study': 'studyInstanceUid',
        'Series': 'seriesInstanceUid',
        'Instance': 'sopInstanceUid',
    }
    events = result if isinstance(result, list) else [result]
    return [
        {title: escape_controls(str(field(event, name) or '')) for title, name in columns.items()} for event in events
    ]


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
    return sum(max(len(title) + _TITLE_PADDING, *(len(row[title]) for row in table)) + _GAP for title in table[0])


def _bar(events: int, most: int, longest: int) -> str:
    """As long as the share of the fullest row; one event is seen as well."""
    return '#' * max(int(events > 0), round(events / max(1, most) * longest))
