"""What to do about a file that cannot be used, for the file, its owner and the system's reason.

Owned: the advice, which is printed and goes nowhere else, so it may name the file. Not owned: the message, which az
sends to its telemetry (`dicomfeed.errors`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import Any

from azext_dicomtoken._account import quoted
from azext_dicomtoken._advice import Advice, Command
from azext_dicomtoken._output import escape_controls
from dicomfeed import errors
from dicomfeed.checkpoint import lock_path


def file_advice(error: errors.FileError, files: Sequence[str]) -> Advice:
    """Sentences and commands, the file first.

    :param files: all that the run works with: whoever may not use one of them can seldom use the others.
    """
    by_reason = _BY_REASON.get(error.errno or 0)
    by_kind = next(advice for kind in type(error).__mro__ if (advice := _BY_KIND.get(kind)))
    named = [f'The file: {escape_controls(error.path)}'] if error.path else []
    return [*named, *(by_reason(error, files) if by_reason else by_kind(error))]


def _permission(error: errors.FileError, files: Sequence[str]) -> Advice:
    if os.name == 'nt':
        return ['Check who may read and write it.']
    foreign = _of_others([*files, *([lock_path(error.path)] if isinstance(error, errors.CheckpointError) else [])])
    if not foreign:
        return ['Check the permissions of the file and of its folder.']
    owners = ', '.join(sorted({_name_of(os.stat(path).st_uid) for path in foreign}))
    paths = ' '.join(quoted(path) for path in foreign)
    return [
        f'The owner is {owners}, as after a run with sudo. To take over the files of the run:',
        Command(f'sudo chown {quoted(_name_of(os.geteuid()))} {paths}'),
    ]


def _of_others(paths: Sequence[str]) -> list[str]:
    """Those that are there and belong to somebody else."""
    found = dict.fromkeys(os.path.abspath(path) for path in paths if os.path.isfile(path))
    return [path for path in found if os.stat(path).st_uid != os.geteuid()]


def _name_of(user_id: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)


def _no_space(_error: errors.FileError, _files: Sequence[str]) -> Advice:
    return ['Free some space there, then run the same command again.']


def _mounted(_error: errors.FileError, _files: Sequence[str]) -> Advice:
    return ['It is a mount, which cannot be replaced. Mount its folder, not the file.']


def _damaged(_error: errors.FileError) -> Advice:
    return [
        'Restore a copy of the checkpoint. Or continue with a new checkpoint and a new output file, after the '
        'sequence number N in the last whole line of the old output: --after-sequence N --checkpoint NEW_FILE',
        'With --stable-after, studies that are not reported yet began before N. Start a day (or that duration, if it '
        'is longer) before lastTimestamp of the last row instead: --since TIME --checkpoint NEW_FILE. Rows after TIME '
        'come again.',
    ]


def _exists(error: errors.OutputExists) -> Advice:
    if error.recorded_path:
        return [
            f'The checkpoint names: {escape_controls(error.recorded_path)}',
            'Name that file, or one that does not exist yet.',
        ]
    return ['Choose another name. Without --checkpoint, --overwrite replaces an output file.']


def _changed(_error: errors.FileError) -> Advice:
    return [
        'Nothing was committed to the checkpoint after that. Put the file back. Or remove it: the next run '
        'starts a new one where the checkpoint is. To rotate, rename the file between runs.',
    ]


def _says(*sentences: str) -> Callable[[Any], list[str]]:
    return lambda error: list(sentences)


_BY_REASON = {
    errno.EACCES: _permission,
    errno.EPERM: _permission,
    errno.ENOSPC: _no_space,
    errno.EDQUOT: _no_space,
    errno.EBUSY: _mounted,
}

# From a class of the reader to the advice; the nearest ancestor counts.
_BY_KIND: dict[type, Callable[[Any], list[str]]] = {
    errors.FileError: _says('Check the file, its folder and their permissions.'),
    errors.CheckpointError: _says('Choose another file for --checkpoint, in a folder where you can create files.'),
    errors.CheckpointDamaged: _damaged,
    errors.NotACheckpoint: _says('Choose another file for --checkpoint, or restore a copy of the checkpoint there.'),
    errors.CheckpointMismatch: _says(
        'Give the options that the checkpoint was made with, or another file for --checkpoint.'
    ),
    errors.CheckpointLocked: _says('Wait until the other process has ended, or choose another file for --checkpoint.'),
    errors.OutputError: _says('Check the folder, its permissions and the free space, or choose another --output-file.'),
    errors.OutputExists: _exists,
    errors.OutputChanged: _changed,
    errors.OutputLocked: _says('Wait until the other process has ended, or choose another --output-file.'),
}
