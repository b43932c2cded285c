"""Examples survive PowerShell and cmd.exe, and POSIX formats never have Windows line ends. Not tried on Windows.

An az.cmd gets its words from PowerShell unquoted where they hold no blank, and cmd.exe then reads them once more.
"""

from __future__ import annotations

import io
import re

import pytest

from azext_dicomtoken._command_line import command_line
from azext_dicomtoken._formats import FORMATS
from azext_dicomtoken._stdout import write_stdout
from tests.az.test_imports import ROOT
from tests.docs.commands import command_lines
from tests.security.conftest import TOKEN

PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md')), ROOT / 'azext_dicomtoken' / '_help.py']
LINES = sorted({line for page in PAGES for line in command_lines(page.read_text('utf-8'))})
QUERY = re.compile(r"""--query[ =]("[^"]*"|'[^']*'|[^ "']+)""")
QUERIES = sorted({query for line in LINES for query in QUERY.findall(line)})
POSIX = [name for name in FORMATS if name not in ('json', 'powershell', 'windows-cmd')]


def survives(query: str) -> bool:
    """Whether sh, PowerShell and cmd.exe read a query alike, the last two one after the other, too."""
    if not query.startswith('"'):
        return re.fullmatch(r'[\w.-]+', query) is not None
    inside = query[1:-1]
    return not re.search(r'[`$%!\\"]', inside) and (' ' in inside or not re.search('[|&<>^()]', inside))


@pytest.mark.parametrize('query', QUERIES)
def test_query_of_an_example_survives_every_shell(query: str) -> None:
    assert survives(query)


@pytest.mark.parametrize(
    ('query', 'does'),
    [
        ('objectId', True),
        ('"[a,b]"', True),
        ('"[a,b] | join(\' \', @)"', True),
        ("'[a]'", False),
        ('[a]', False),
        ('"[?a==`1`]"', False),
        ('"a|b"', False),
        ('"[?a>b]"', False),
        ('"$a"', False),
        ('"%A%"', False),
    ],
)
def test_survival_is_told(query: str, does: bool) -> None:
    assert survives(query) is does


def test_examples_were_found() -> None:
    assert len(LINES) > 30 and len(QUERIES) > 5


@pytest.mark.parametrize('token_format', POSIX)
def test_format_for_posix_has_line_feeds_on_windows(token_format: str) -> None:
    render = FORMATS[token_format].render
    assert render is not None
    buffer = io.BytesIO()
    windows = io.TextIOWrapper(buffer, encoding='cp1252', newline='\r\n')
    write_stdout(render(TOKEN, 1, 'X') + '\n', stream=windows)
    assert buffer.getvalue().endswith(b'\n') and b'\r' not in buffer.getvalue()


@pytest.mark.parametrize('value', ['a b', 'a"b', 'C:\\a b\\', "a'b", '$a', ''])
def test_command_to_paste_is_quoted_for_windows(value: str) -> None:
    quoted = command_line([('--x', value)], windows=True)
    assert quoted.startswith('az dicom changefeed --x ') and "'" not in quoted.replace("a'b", '')
