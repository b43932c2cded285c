"""What the shells make of what `_formats` writes; the shells themselves are asked where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from azext_dicomtoken._formats import (
    FORMATS,
    UnfitValue,
    check_windows_cmd,
    format_curl_config,
    format_header,
    quote_posix,
    quote_powershell,
)
from tests.az.conftest import Az
from tests.az.identity_endpoint import IdentityEndpoint

HOSTILE = {
    'jwt': 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln-_',
    'single quote': "it's 'quoted''",
    'double quote': 'say "x" "',
    'dollar': '$HOME ${PATH} $(touch hacked) $$ (touch hacked)',
    'backtick': '`touch hacked`',
    'newline': 'first\nsecond\n',
    'carriage return': 'first\r\nsecond',
    'backslash': "a\\b\\\\c\\n\\'\\",
    'non-ascii': 'Ä€漢🩻',
    'glob and blanks': ' * ? [a] ~ # ! % & | ; < > ',
    'leading dash': '-n -e',
}
SHELLS = {
    ('env', 'bash'): 'eval "$(cat "$1")"; printf %s "$X"',
    ('env', 'dash'): 'eval "$(cat "$1")"; printf %s "$X"',
    ('env-no-export', 'bash'): 'eval "$(cat "$1")"; printf %s "$X"',
    ('fish', 'fish'): 'cat $argv[1] | source; printf %s $X',
}
pair = pytest.mark.parametrize(('token_format', 'shell'), SHELLS, ids=[' in '.join(key) for key in SHELLS])
hostile = pytest.mark.parametrize('value', HOSTILE.values(), ids=HOSTILE)


def read_back(token_format: str, shell: str, text: str, *, folder: Path, also: str = '') -> bytes:
    """What the variable holds after a shell has read the text."""
    if not shutil.which(shell):
        without = pytest.fail if os.environ.get('CI') else pytest.skip
        without(f'{shell} is needed for this test')
    (folder / 'text').write_text(text, 'utf-8', newline='')
    script = SHELLS[token_format, shell] + also
    name = [] if shell == 'fish' else [shell]
    return subprocess.run(
        [shell, '-c', script, *name, 'text'], cwd=folder, check=True, capture_output=True, timeout=20
    ).stdout


@pair
@hostile
def test_format_survives_its_shell(token_format: str, shell: str, value: str, tmp_path: Path) -> None:
    render = FORMATS[token_format].render
    assert render is not None
    assert read_back(token_format, shell, render(value, 1, 'X') + '\n', folder=tmp_path) == value.encode()
    assert not (tmp_path / 'hacked').exists()


@pair
def test_format_survives_its_shell_when_the_command_writes_it(
    token_format: str, shell: str, az: Az, identity: IdentityEndpoint, tmp_path: Path
) -> None:
    identity.token = ''.join(HOSTILE.values())
    outcome = az('dicom', 'token', 'issue', '--format', token_format, '--variable-name', 'X')
    assert read_back(token_format, shell, outcome.stdout, folder=tmp_path) == identity.token.encode()


@pair
def test_format_sets_the_expiry(token_format: str, shell: str, tmp_path: Path) -> None:
    render = FORMATS[token_format].render
    assert render is not None
    text = render('token', 1700000000, 'X')
    assert read_back(token_format, shell, text, folder=tmp_path, also='; printf %s $X_EXPIRES_ON') == b'token1700000000'


def test_env_exports(tmp_path: Path) -> None:
    render = FORMATS['env'].render
    assert render is not None
    text = render('exported', 1, 'X')
    assert read_back('env', 'dash', text, folder=tmp_path, also='; sh -c \'printf %s "$X"\'') == b'exportedexported'


@pytest.mark.parametrize('name', [name for name, entry in FORMATS.items() if entry.sets_variables])
@pytest.mark.parametrize('value', ['nul\0', 'bell\0\a'], ids=['nul', 'bell'])
def test_variables_refuse_what_no_variable_holds(name: str, value: str) -> None:
    render = FORMATS[name].render
    assert render is not None
    with pytest.raises(UnfitValue):
        render(value, 1, 'X')


@pytest.mark.parametrize('name', ['token', 'header', 'curl-config', 'windows-cmd'])
@pytest.mark.parametrize(
    'value', ['a\nb', 'a\r', 'a\x85b', 'a\u2028b', '\x1b[2J'], ids=['LF', 'CR', 'NEL', 'LS', 'escape']
)
def test_one_line_formats_refuse_control_characters(name: str, value: str) -> None:
    render = FORMATS[name].render
    assert render is not None
    with pytest.raises(UnfitValue):
        render(value, 1, 'X')


def test_posix_leaves_an_ordinary_token_bare() -> None:
    assert quote_posix(HOSTILE['jwt']) == HOSTILE['jwt']


# PowerShell and cmd.exe: by their documented rules (about_Quoting_Rules, set /?); not tried in the shells themselves.


@pytest.mark.parametrize(
    ('value', 'quoted'),
    [
        ("it's", "'it''s'"),
        ('\u2018x\u2019\u201a\u201b', "'\u2018\u2018x\u2019\u2019\u201a\u201a\u201b\u201b'"),
        ('$x `n "y"', '\'$x `n "y"\''),
    ],
    ids=['single quote', 'typographic quotes', 'literal'],
)
def test_powershell_quotes_as_documented(value: str, quoted: str) -> None:
    assert quote_powershell(value) == quoted


@pytest.mark.parametrize('value', ['100%', 'say "x"', 'wow!'], ids=['percent', 'double quote', 'exclamation mark'])
def test_windows_cmd_refuses_what_it_cannot_quote(value: str) -> None:
    with pytest.raises(UnfitValue):
        check_windows_cmd(value)


def test_windows_cmd_sets_inside_quotes() -> None:
    render = FORMATS['windows-cmd'].render
    assert render is not None
    assert render('a&b^c|d', 7, 'X') == 'set "X=a&b^c|d"\nset "X_EXPIRES_ON=7"'


def test_header_is_a_header() -> None:
    assert format_header('abc', 1, '') == 'Authorization: Bearer abc'


def test_curl_config_escapes_for_curl() -> None:
    assert format_curl_config('a"b\\c', 1, '') == 'header = "Authorization: Bearer a\\"b\\\\c"'


def test_every_format_is_in_the_help(az: Az) -> None:
    shown = ' '.join(az('dicom', 'token', 'issue', '-h').stdout.split())
    assert [name for name, entry in FORMATS.items() if f'{name} {entry.help}' not in shown] == []
