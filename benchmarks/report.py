"""Sections of Markdown: what was measured, what it is compared with, whether the aim is reached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

BUSIEST_SERVER = 0.7
"""A ratio counts only if the server used less than this share of a core: else it is the server that was measured."""


@dataclass(frozen=True)
class Figure:
    """One figure with its aim, `at_most` or else at least. `server_share` is the busiest the server was in it."""

    name: str
    value: float
    aim: float
    server_share: float | None = None
    unit: str = ''
    at_most: bool = True

    @property
    def row(self) -> tuple[str, ...]:
        return (
            self.name,
            f'{self.value:.2f}{self.unit}',
            f'{"≤" if self.at_most else "≥"} {self.aim:g}{self.unit}',
            '' if self.server_share is None else percent(self.server_share),
            self._verdict,
        )

    @property
    def _verdict(self) -> str:
        if self.server_share is not None and self.server_share >= BUSIEST_SERVER:
            return 'does not count'
        return 'reached' if (self.value <= self.aim) is self.at_most or self.value == self.aim else 'missed'


def section(title: str, text: str, tables: Sequence[str]) -> str:
    return '\n\n'.join((f'## {title}', text, *tables)) + '\n'


def figures(rows: Iterable[Figure]) -> str:
    return table(('figure', 'measured', 'aim', 'busiest server, of a core', ''), (row.row for row in rows))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return '\n'.join('| ' + ' | '.join(cells) + ' |' for cells in (head, ['---'] * len(head), *rows))


def percent(share: float) -> str:
    return f'{100 * share:.0f} %'
