r"""Text with wildcards: `*` for any text, `?` for one character, and `\*`, `\?`, `\\` for these characters themselves.

A text is searched for one piece between two `*` after the other, and never again for an earlier one. (A regular
expression for `*a*a*a*b` would try every way to share the text out among them.)
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r'\\[*?\\]|.', re.DOTALL)
_MANY = '*'
_ONE = '?'


def fold(text: str) -> str:
    """The text as it compares when case is ignored: Unicode's full case folding, so `ß` is `ss`."""
    return text.casefold()


def folded_forms(text: str) -> tuple[str, ...]:
    """The texts to match to ignore case: the folded one, and where a character folds to several (`ß`, `İ`), that with
    such characters as they are, for a `?` to stand for."""
    folded = fold(text)
    if len(folded) == len(text):
        return (folded,)
    return folded, ''.join(fold(character) if len(fold(character)) == 1 else character for character in text)


class Wildcards:
    """A pattern for a whole text. To ignore case, match each of the text's `folded_forms`."""

    def __init__(self, pattern: str, *, ignore_case: bool = False) -> None:
        tokens = _TOKEN.findall(pattern)
        pieces: list[list[str | None]] = [[]]
        for token in tokens:
            if token == _MANY:
                pieces.append([])
            elif token == _ONE:
                pieces[-1].append(None)
            else:
                pieces[-1].extend(fold(token[-1]) if ignore_case else token[-1])
        self._pieces = [_Piece(piece) for piece in pieces]

    def __repr__(self) -> str:
        return 'Wildcards(…)'  # the pattern may be a patient's name

    @property
    def canonical(self) -> str:
        """One way to write the pattern: equal for patterns that match the same texts."""
        written = _MANY.join(piece.canonical for piece in self._pieces)
        return re.sub(r'\\.|[*?]+', _ordered, written, flags=re.DOTALL)

    def match(self, text: str) -> bool:
        """Whether the whole text matches. Takes time in proportion to the text, times the longest piece with a `?`."""
        first, *others = self._pieces
        if not first.is_at(text, 0):
            return False
        if not others:
            return len(text) == first.length
        position = first.length
        *middle, last = others
        for piece in middle:
            found = piece.find(text, position)
            if found < 0:
                return False
            position = found + piece.length
        return len(text) - last.length >= position and last.is_at(text, len(text) - last.length)


class _Piece:
    """What stands between two `*`: characters, and None for a `?`."""

    def __init__(self, characters: list[str | None]) -> None:
        self.length = len(characters)
        self.literal = ''.join(item or '' for item in characters) if None not in characters else None
        self.canonical = ''.join(_ONE if item is None else re.sub(r'[*?\\]', r'\\\g<0>', item) for item in characters)
        expression = ''.join('.' if item is None else re.escape(item) for item in characters)
        self._expression = re.compile(expression, re.DOTALL) if self.literal is None else None

    def is_at(self, text: str, position: int) -> bool:
        """Whether the text goes on with the piece there."""
        if self._expression is None:
            return text.startswith(self.literal or '', position)
        return self._expression.match(text, position) is not None

    def find(self, text: str, position: int) -> int:
        """The first place from there on where the piece is; -1 where it is nowhere."""
        if self._expression is None:
            return text.find(self.literal or '', position)
        match = self._expression.search(text, position)
        return match.start() if match else -1


def _ordered(match: re.Match[str]) -> str:
    """Wildcards beside each other in one order: `*?`, `?*` and `?**` all mean at least one character."""
    run = match[0]
    return _ONE * run.count(_ONE) + _MANY if _MANY in run and not run.startswith('\\') else run
