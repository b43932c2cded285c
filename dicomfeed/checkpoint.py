"""Where a reading stands, in a file: the cursor, how the reading began, and how much of the output file counts.

Owned: the file's format, what makes it unfit for a run, its lock, its replacement by rename, and which event it stands
at. Not owned: when it is written (`delivery.py`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from dicomfeed import files
from dicomfeed.errors import CheckpointDamaged, CheckpointError, CheckpointLocked, CheckpointMismatch, NotACheckpoint
from dicomfeed.events import LAST_SEQUENCE, Event, Identity
from dicomfeed.times import FIRST_TICK, Ticks, format_timestamp, parse_time

if TYPE_CHECKING:
    from dicomfeed.conditions import Conditions
    from dicomfeed.stable import OpenRow, Snapshot

FORMAT = 1
_BEGINNING = b'{\n  "format": '
_LARGEST_BYTES = 2**26
"""More than the filters of a command line, which has two million bytes on most systems, and a million open studies."""
_SALT_BYTES = 16
_LONGEST_NAME = 143  # bytes, in the file systems that bear the least (eCryptfs)


class Output(NamedTuple):
    """How much of an output file counts.

    :ivar path: absolute.
    :ivar length: bytes; what stands after them is not valid.
    :ivar digest: SHA-256 of the last bytes of those, to tell that the file is still the same without holding anything
        of a patient.
    """

    path: str
    length: int
    digest: str

    @classmethod
    def empty(cls, path: str) -> Output:
        """A file of which nothing counts yet."""
        return cls(os.path.abspath(path), 0, sha256(b''))


@dataclass(frozen=True)
class Match:
    """Conditions on attributes, as a checkpoint keeps them: their values may name a patient.

    :ivar fields: which attributes there are conditions on, tags with points between.
    :ivar salt: hexadecimal digits.
    :ivar digest: of the conditions, with that salt (`Conditions.condition_digest`).
    """

    fields: list[str]
    salt: str
    digest: str

    @classmethod
    def of(cls, conditions: Conditions, *, salt: str | None = None) -> Match:
        """With a new salt, or that of another one, to compare with that. Takes a twentieth of a second."""
        salt = os.urandom(_SALT_BYTES).hex() if salt is None else salt
        return cls(conditions.paths, salt, conditions.condition_digest(bytes.fromhex(salt)))


@dataclass(frozen=True)
class Question:
    """What a checkpoint was made for; another run must ask the same.

    :ivar service_url: scheme and host of the service.
    :ivar filters: wanted values by property.
    :ivar stable_after: after how long a study is stable; None where the lines are events.
    :ivar level: of what the lines are then.
    :ivar form: what tells one form of line from another; empty for the service's own.
    :ivar fields: attributes that are added, tags with points between (`Fields.canonical`); None: none.
    :ivar conditions: on attributes, as a run asks; None: none.
    :ivar match: the same, as a checkpoint keeps them.
    """

    service_url: str
    filters: dict[str, list[str]] = field(default_factory=dict)
    include_metadata: bool = False
    stable_after: Ticks | None = None
    level: str = ''
    form: str = ''
    fields: list[str] | None = None
    match: Match | None = None
    conditions: Conditions | None = field(default=None, compare=False, repr=False)

    def kept(self) -> Question:
        """The question as a checkpoint keeps it: without the values of conditions."""
        return self if self.conditions is None else replace(self, match=Match.of(self.conditions), conditions=None)


@dataclass(frozen=True)
class Checkpoint:
    """Where a reading stands.

    :ivar sequence: everything up to this sequence number has been dealt with and is final.
    :ivar last: identity of the event read last; before the first one, of the newest that existed at the beginning.
    :ivar since: events with a timestamp before this are left out; the first start as an absolute time.
    :ivar mark: as in `Snapshot`; used where the lines are studies, as `open` is.
    :ivar open: as in `Snapshot`. Then everything up to the event read last has been read, and `sequence` is lower.
    """

    question: Question
    sequence: int = 0
    last: Identity | None = None
    since: Ticks | None = None
    output: Output | None = None
    mark: Ticks = FIRST_TICK
    open: tuple[OpenRow, ...] = ()

    @property
    def snapshot(self) -> Snapshot:
        """From where the grouping of studies goes on."""
        from dicomfeed.stable import Snapshot  # only a run that groups events needs it

        return Snapshot(cursor=self.sequence, last=self.last, mark=self.mark, open=self.open)


class CheckpointWriter:
    """The checkpoint of a run, kept up to date. The run holds the lock on it (`lock_checkpoint`)."""

    def __init__(self, path: str, checkpoint: Checkpoint) -> None:
        self._path = os.path.realpath(path)
        self._saved: Checkpoint | None = None
        self._taken: Event | Snapshot | None = None
        self.checkpoint = checkpoint
        """As it was saved last, or as it was at the beginning."""

    def take(self, event: Event) -> None:
        """Everything through this event is final and has been dealt with: written, or found not to be wanted."""
        self._taken = event

    def take_snapshot(self, snapshot: Snapshot) -> None:
        """The same for events that are grouped: the rows that were handed out before the snapshot are written."""
        self._taken = snapshot

    def save(self, output: Output | None) -> None:
        """Say in the file what has been dealt with, and how much of the output counts. Raises CheckpointError."""
        checkpoint = replace(self.checkpoint, output=output)
        taken = self._taken
        if isinstance(taken, Event):
            checkpoint = replace(checkpoint, sequence=taken.sequence, last=taken.identity)
        elif taken is not None:
            checkpoint = replace(checkpoint, sequence=taken.cursor, last=taken.last, mark=taken.mark, open=taken.open)
        if checkpoint != self._saved:
            save_checkpoint(self._path, checkpoint)
        self.checkpoint = self._saved = checkpoint


@contextmanager
def lock_checkpoint(path: str) -> Iterator[None]:
    """Nobody else works with the checkpoint inside this context, under whatever link to it.

    It is replaced by rename, so what is locked is a file of its own beside it. That one stays as long as there is a
    checkpoint. Raises CheckpointLocked, with the holder's process ID, and CheckpointError where the checkpoint is a
    device, a pipe or a folder, and where there can be no such file or no lock.
    """
    lock, behind_link = lock_path(path), os.path.realpath(path)
    with _checkpoint_errors(path, 'The lock of the checkpoint cannot be used'):
        _refuse_irregular(path)
        descriptor = files.lock(lock)
    try:
        yield
    finally:
        files.unlock(lock, descriptor, remove=not os.path.lexists(behind_link))


def lock_path(path: str) -> str:
    """The file that is locked while a run works with the checkpoint: beside the file behind a link."""
    folder, name = os.path.split(os.path.realpath(path))
    if len(os.fsencode(f'{name}.lock')) > _LONGEST_NAME:
        name = f'.{sha256(os.fsencode(name))[:16]}'
    return os.path.join(folder, f'{name}.lock')


def load_checkpoint(path: str, question: Question) -> Checkpoint | None:
    """The checkpoint in the file, or None where there is no file.

    Raises CheckpointDamaged, CheckpointMismatch where it was made for another question or by a newer version, and
    CheckpointError where it cannot be read. The file is never changed.
    """
    with _checkpoint_errors(path, 'The checkpoint cannot be read'):
        _refuse_irregular(path)
        try:
            with open(path, 'rb') as file:
                data = file.read(_LARGEST_BYTES + 1)
        except FileNotFoundError:
            return None
        checkpoint = _decoded(data)
        _refuse_other_question(checkpoint.question, question)
        return checkpoint


def save_checkpoint(path: str, checkpoint: Checkpoint) -> None:
    """Write the file anew beside the old one, behind a link to it, and rename it over.

    Raises CheckpointError; then the old one stands, unless only the folder could not be synced.
    """
    with _checkpoint_errors(path, 'The checkpoint cannot be written'):
        data = _encoded(checkpoint)
        if len(data) > _LARGEST_BYTES:
            raise CheckpointError('The checkpoint would be too large: too many filter values or open studies.')
        files.replace_with(os.path.realpath(path), data)


def _refuse_irregular(path: str) -> None:
    if not files.is_regular(path):
        raise CheckpointError('The checkpoint is a folder, a device or a pipe.')


@contextmanager
def _checkpoint_errors(path: str, what_failed: str) -> Iterator[None]:
    """What goes wrong inside comes out as a CheckpointError that knows the file."""
    try:
        yield
    except CheckpointError as error:
        error.path = os.path.abspath(path)
        raise
    except files.FileLocked as error:
        named = f' by process {error.process_id}' if error.process_id else ''
        raise CheckpointLocked(
            f'The checkpoint is in use{named}.', path=os.path.abspath(path), process_id=error.process_id
        ) from None
    except OSError as error:
        raise CheckpointError(
            f'{what_failed}: {error.strerror or error}.', path=os.path.abspath(path), errno=error.errno
        ) from error


def _encoded(checkpoint: Checkpoint) -> bytes:
    question, output = checkpoint.question, checkpoint.output
    content: dict[str, Any] = {
        'format': FORMAT,
        'service': question.service_url,
        'filters': question.filters,
        'includeMetadata': question.include_metadata,
        'stableAfter': question.stable_after,
        'level': question.level,
        'form': question.form,
        'includeField': question.fields,
        'match': None
        if question.match is None
        else {'fields': question.match.fields, 'salt': question.match.salt, 'digest': question.match.digest},
        'since': None if checkpoint.since is None else format_timestamp(checkpoint.since),
        'sequence': checkpoint.sequence,
        'last': None
        if checkpoint.last is None
        else {'sequence': checkpoint.last[0], 'timestamp': checkpoint.last[1], 'instance': list(checkpoint.last[2])},
        'output': None if output is None else {'path': output.path, 'length': output.length, 'digest': output.digest},
        'mark': format_timestamp(checkpoint.mark),
        'open': [f'{row.digest:016x} {format_timestamp(row.first)}' for row in checkpoint.open],
    }
    content['digest'] = _digest_of(content)
    return (json.dumps(content, indent=2) + '\n').encode()


def _decoded(data: bytes) -> Checkpoint:
    try:
        content = json.loads(data) if len(data) <= _LARGEST_BYTES else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get('format'), int):
        if any(byte not in (0, expected) for byte, expected in zip(data, _BEGINNING, strict=False)):  # 0: after a crash
            raise NotACheckpoint('The file is not a checkpoint.')
        raise CheckpointDamaged('The checkpoint is incomplete.')
    if content['format'] > FORMAT:
        raise CheckpointMismatch('The checkpoint was made by a newer version.')
    digest = content.pop('digest', None)
    if content['format'] != FORMAT or digest != _digest_of(content):
        raise CheckpointDamaged('The checkpoint was damaged or edited.')
    try:
        return _from_content(content)
    except (KeyError, TypeError, ValueError):
        raise CheckpointDamaged('The checkpoint is incomplete.') from None


def _from_content(content: dict[str, Any]) -> Checkpoint:
    last, output = content['last'], content['output']
    return Checkpoint(
        question=_question_from(content),
        sequence=min(int(content['sequence']), LAST_SEQUENCE),
        last=None if last is None else (last['sequence'], last['timestamp'], tuple(last['instance'])),
        since=None if content['since'] is None else parse_time(content['since'], now=0),
        output=None if output is None else Output(output['path'], output['length'], output['digest']),
        mark=parse_time(content['mark'], now=0) if 'mark' in content else FIRST_TICK,
        open=tuple(map(_open_row, content.get('open', ()))),
    )


def _question_from(content: dict[str, Any]) -> Question:
    match = content.get('match')
    return Question(
        content['service'],
        content['filters'],
        content['includeMetadata'],
        stable_after=content.get('stableAfter'),
        level=content.get('level', ''),
        form=content.get('form', ''),
        fields=content.get('includeField'),
        match=None if match is None else Match(match['fields'], match['salt'], match['digest']),
    )


def _open_row(text: str) -> OpenRow:
    from dicomfeed.stable import OpenRow  # only a run that groups events needs it

    digest, first = text.split()
    return OpenRow(int(digest, 16), parse_time(first, now=0))


def _digest_of(content: dict[str, Any]) -> str:
    """Tells a whole checkpoint from one that was truncated or edited; no protection against intent."""
    return sha256(json.dumps(content, sort_keys=True).encode())


def _refuse_other_question(made_for: Question, asked: Question) -> None:
    if made_for.service_url.lower() != asked.service_url.lower():
        raise CheckpointMismatch('The checkpoint was made for another service.')
    if made_for.filters != asked.filters:
        raise CheckpointMismatch('The checkpoint was made with other filters.')
    if not _is_same_match(made_for.match, asked.conditions):
        raise CheckpointMismatch('The checkpoint was made with other conditions (--match, --match-file).')
    if made_for.fields != asked.fields:
        raise CheckpointMismatch('The checkpoint was made with other values of --include-field.')
    if made_for.include_metadata != asked.include_metadata:
        raise CheckpointMismatch('The checkpoint was made with another choice of --include-metadata.')
    if (made_for.stable_after, made_for.level) != (asked.stable_after, asked.level):
        raise CheckpointMismatch('The checkpoint was made with another choice of --stable-after and --level.')
    if made_for.form != asked.form:
        raise CheckpointMismatch('The checkpoint was made for another form of line (--query, -o).')


def _is_same_match(made_for: Match | None, asked: Conditions | None) -> bool:
    if made_for is None or asked is None:
        return made_for is None and asked is None
    return Match.of(asked, salt=made_for.salt) == made_for


def sha256(data: bytes) -> str:
    """The digest of some bytes, in hexadecimal digits."""
    import hashlib  # only runs with a checkpoint or a file need it

    return hashlib.sha256(data).hexdigest()
