"""Which names of files are refused before anything is sent: one for two things, a folder, a form that is not ours."""

from __future__ import annotations

import os
from itertools import combinations

from azure.cli.core.azclierror import InvalidArgumentValueError, MutuallyExclusiveArgumentError

from azext_dicomtoken._given import Given
from azext_dicomtoken._output import is_stream

FILES = ('output_file', 'summary_file', 'checkpoint')

_COMPRESSED = 'Use a name that ends in .gz, or --stream and a program that compresses what it reads.'
_COLUMNAR = 'Write .jsonl or .jsonl.gz, and convert that: DuckDB, pandas and Spark read JSON Lines.'
_FORMS = {
    '.csv': 'Name a .jsonl file and convert that, or a .tsv file for --query with -o tsv.',
    **dict.fromkeys(('.parquet', '.avro', '.orc', '.arrow', '.feather', '.xlsx'), _COLUMNAR),
    **dict.fromkeys(('.zst', '.bz2', '.xz', '.zip', '.7z', '.lz4', '.br', '.tgz'), _COMPRESSED),
}


def check_paths(given: Given) -> None:
    """Refuse what can be no output file, summary or checkpoint of one run."""
    _check_form(given['output_file'])
    _refuse_dash(given)
    paths = _conditions(given) | {name: path for name in FILES if (path := given[name])}
    locked = _lock_of(given['checkpoint'])
    for name, other in combinations(paths, 2):
        if _is_same_file(paths[name], paths[other]):
            raise MutuallyExclusiveArgumentError(
                f'{given.spelled(name)} and {given.spelled(other)} name one file.',
                recommendation='Give each a file of its own.',
            )
    for name, path in paths.items():
        if os.path.realpath(path) == locked:
            raise InvalidArgumentValueError(
                f"The value of {given.spelled(name)} is the name of the checkpoint's lock.",
                recommendation='Give it another name.',
            )
        if name in FILES:
            _check_place(given.spelled(name), os.path.realpath(path))
    if given['checkpoint'] and is_stream(given['checkpoint']):
        raise InvalidArgumentValueError(
            'The value of --checkpoint is a device or a pipe.', recommendation='Name a file, which is replaced.'
        )


def _lock_of(checkpoint: str | None) -> str | None:
    if not checkpoint:
        return None
    from dicomfeed.checkpoint import lock_path  # most runs need nothing of it

    return os.path.realpath(lock_path(checkpoint))


def _conditions(given: Given) -> dict[str, str]:
    """The file of conditions, which is read and must not be written over."""
    path = given['match_file']
    return {'match_file': path} if path and path != '-' else {}


def _check_form(output_file: str | None) -> None:
    """Refuse a name that promises what is not in the file."""
    ending = os.path.splitext(output_file or '')[1].lower()
    if ending in _FORMS:
        raise InvalidArgumentValueError(
            f'--output-file writes lines of JSON, or columns with -o tsv, and no {ending} files.',
            recommendation=_FORMS[ending],
        )


def _refuse_dash(given: Given) -> None:
    """Standard output is for events alone; a file of that name can be named `./-`."""
    for name in ('checkpoint', 'summary_file'):
        if given[name] == '-':
            raise InvalidArgumentValueError(
                f'{given.spelled(name)} cannot be standard output.', recommendation='Name a file.'
            )


def _is_same_file(path: str, other: str) -> bool:
    if os.path.realpath(path) == os.path.realpath(other):
        return True
    return os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other)


def _check_place(option: str, path: str) -> None:
    if os.path.isdir(path):
        raise InvalidArgumentValueError(f'The value of {option} is a folder.', recommendation='Name a file in it.')
    if not os.path.isdir(os.path.dirname(path)):
        raise InvalidArgumentValueError(
            f'The folder of {option} does not exist.', recommendation='Create it first, or name a file in another one.'
        )
