r"""How a token is written for other programs: one function a format, one table of them.

The table is what `--format` offers and what its help is written from. A value that a format cannot carry safely is
refused: a line break in a header would begin a second one.

Sources of the quoting rules: POSIX.1-2017 Shell Command Language 2.2.2; fish "Quotes"; PowerShell
about_Quoting_Rules, and its tokenizer for the typographic quotes; curl(1) -K; `set /?` of cmd.exe.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

DEFAULT_VARIABLE_NAME = 'DICOM_ACCESS_TOKEN'
_LINE_BREAKING = '[\x00-\x1f\x7f\x85\u2028\u2029]'


class UnfitValue(ValueError):
    """The value cannot be written in that format without meaning something else."""


class Format(NamedTuple):
    """One value of `--format`.

    :ivar render: token, expiry (epoch seconds) and variable name to text without the last line end; None for the
        object that az prints itself.
    :ivar help: what it is for, as half a sentence.
    :ivar sets_variables: whether `--variable-name` means something.
    """

    help: str
    render: Callable[[str, int, str], str] | None = None
    sets_variables: bool = False


def format_token(token: str, _expires_on: int, _variable_name: str) -> str:
    return _one_line(token)


def format_header(token: str, _expires_on: int, _variable_name: str) -> str:
    return f'Authorization: Bearer {_one_line(token)}'


def format_curl_config(token: str, _expires_on: int, _variable_name: str) -> str:
    quoted = re.sub(r'(["\\])', r'\\\1', _one_line(token))
    return f'header = "Authorization: Bearer {quoted}"'


def format_env(token: str, expires_on: int, variable_name: str) -> str:
    return _assignments('export {}={}', quote_posix, token, expires_on, variable_name)


def format_env_no_export(token: str, expires_on: int, variable_name: str) -> str:
    return _assignments('{}={}', quote_posix, token, expires_on, variable_name)


def format_fish(token: str, expires_on: int, variable_name: str) -> str:
    return _assignments('set -gx {} {}', quote_fish, token, expires_on, variable_name)


def format_powershell(token: str, expires_on: int, variable_name: str) -> str:
    return _assignments('$Env:{} = {}', quote_powershell, token, expires_on, variable_name)


def format_windows_cmd(token: str, expires_on: int, variable_name: str) -> str:
    return _assignments('set "{}={}"', check_windows_cmd, token, expires_on, variable_name)


def quote_posix(value: str) -> str:
    """As `shlex.quote`, whose module az has not loaded at this point."""
    if re.fullmatch(r'[\w@%+=:,./-]+', value, re.ASCII):
        return value
    return "'" + _without_nul(value).replace("'", "'\"'\"'") + "'"


def quote_fish(value: str) -> str:
    return "'" + re.sub(r"(['\\])", r'\\\1', _without_nul(value)) + "'"


def quote_powershell(value: str) -> str:
    # PowerShell takes the four typographic single quotes for the plain one.
    return "'" + re.sub("(['\u2018\u2019\u201a\u201b])", r'\1\1', _without_nul(value)) + "'"


def check_windows_cmd(value: str) -> str:
    # Inside set "…" everything is literal but these, and how to write them depends on where the line is run.
    if re.search('["%!]', value):
        raise UnfitValue('cmd.exe has no safe way to write the token.')
    return _one_line(value)


def _assignments(template: str, quote: Callable[[str], str], token: str, expires_on: int, variable_name: str) -> str:
    return '\n'.join(
        (
            template.format(variable_name, quote(token)),
            template.format(f'{variable_name}_EXPIRES_ON', quote(str(expires_on))),
        )
    )


def _one_line(value: str) -> str:
    if re.search(_LINE_BREAKING, value):
        raise UnfitValue('The token holds control characters, which this format cannot carry.')
    return value


def _without_nul(value: str) -> str:
    if '\0' in value:
        raise UnfitValue('The token holds a NUL character, which no variable can hold.')
    return value


FORMATS: dict[str, Format] = {
    'json': Format('the object with token and expiry, for --query and -o'),
    'token': Format('the bare token', format_token),
    'header': Format('a header for `curl -H @-`', format_header),
    'curl-config': Format('a configuration line for `curl -K -`', format_curl_config),
    'env': Format('exported variables for sh, bash and zsh', format_env, True),
    'env-no-export': Format('the same without export', format_env_no_export, True),
    'fish': Format('exported variables for fish', format_fish, True),
    'powershell': Format('environment variables for PowerShell', format_powershell, True),
    'windows-cmd': Format('environment variables for cmd.exe', format_windows_cmd, True),
}
