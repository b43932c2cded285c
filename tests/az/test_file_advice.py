"""What is advised about a file that cannot be used, by the system's reason and by what went wrong."""

from __future__ import annotations

import errno
import getpass
import os
from pathlib import Path

import pytest

from azext_dicomtoken._errors import to_az_error
from azext_dicomtoken._file_advice import file_advice
from dicomfeed import errors


def advised(error: errors.FileError, *files: str) -> str:
    return '\n'.join(file_advice(error, files))


def of_root_or_another(path: Path) -> tuple[Path, str]:
    """A file of another user, and who that is."""
    if os.geteuid() != 0:
        return Path('/etc/passwd'), 'root'
    path.touch()
    os.chown(path, 54_321, -1)
    return path, '54321'


@pytest.mark.skipif(os.name == 'nt', reason='owners are of POSIX')
def test_n26_file_of_another_user_is_named_with_its_owner_and_the_remedy(tmp_path: Path) -> None:
    foreign, owner = of_root_or_another(tmp_path / 'a name')
    (tmp_path / 'mine').touch()
    error = errors.CheckpointError('No.', path=str(foreign), errno=errno.EACCES)
    advice = advised(error, str(foreign), str(tmp_path / 'mine'), str(tmp_path / 'missing'))
    assert f'The file: {foreign}' in advice and f'The owner is {owner}' in advice
    quoted = f"'{foreign}'" if ' ' in str(foreign) else str(foreign)
    assert advice.endswith(f'\nsudo chown {getpass.getuser()} {quoted}')


def test_n26_own_file_needs_no_other_owner(tmp_path: Path) -> None:
    error = errors.OutputError('No.', path=str(tmp_path / 'f'), errno=errno.EACCES)
    assert 'chown' not in advised(error, str(tmp_path / 'f')) and str(tmp_path / 'f') in advised(error)


@pytest.mark.parametrize(
    ('error', 'says'),
    [
        (errors.CheckpointError('No.', path='/p', errno=errno.EBUSY), 'Mount its folder'),
        (errors.CheckpointError('No.', path='/p', errno=errno.ENOSPC), 'Free some space'),
        (errors.CheckpointDamaged('No.', path='/p'), '--after-sequence N'),
        (errors.CheckpointDamaged('No.', path='/p'), 'With --stable-after, studies that are not reported yet began'),
        (errors.OutputChanged('No.', path='/p'), 'rename the file between runs'),
        (errors.OutputExists('No.', path='/p', recorded_path='/recorded'), '/recorded'),
        (errors.OutputLocked('No.', path='/p', process_id=7), 'Wait until the other process'),
    ],
    ids=[
        'n25 mount',
        'n11 full disk',
        'n24 damaged',
        'n24 damaged with studies',
        'l26 changed',
        'l28 recorded path',
        'l10 locked',
    ],
)
def test_advice_names_the_file_and_what_to_do(error: errors.FileError, says: str) -> None:
    advice = advised(error)
    assert advice.startswith('The file: /p\n') and says in advice


def test_path_is_advice_and_no_part_of_the_message() -> None:
    error = to_az_error(errors.OutputError('No.', path='/data/DOE^JANE\x1b[2J'))
    assert 'DOE' not in error.error_msg  # type: ignore[attr-defined]
    assert error.recommendations[0] == 'The file: /data/DOE^JANE\\x1b[2J'  # type: ignore[attr-defined]
