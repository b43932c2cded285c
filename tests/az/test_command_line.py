"""A command as text: what a shell makes of it again."""

from __future__ import annotations

import shlex

from azext_dicomtoken._command_line import command_line


def test_value_that_looks_like_an_option_is_one_word() -> None:
    assert command_line([('--a', ['-x', 'y'])], windows=False) == 'az dicom changefeed --a=-x --a=y'


def test_command_is_quoted_for_the_shell_of_the_platform() -> None:
    options = [('--partition-name', ['a b', "c'd"]), ('--stream', True), ('--follow', False), ('--tail', None)]
    assert shlex.split(command_line(options, windows=False))[3:] == ['--partition-name', 'a b', "c'd", '--stream']
    assert command_line(options, windows=True).endswith('--partition-name "a b" c\'d --stream')
