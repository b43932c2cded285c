"""README.md and docs/*.md as tests see them: code blocks, tables, links, what they write of the commands.

Judges nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

_BLOCK = re.compile(
    r'^(?:<!-- (?P<mark>[^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$', re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A fenced block; `mark` is the HTML comment right before it: `not run: REASON`, `stopped`, or nothing.

    A block that is `stopped` is one command that would go on for ever. `place` is page and line.
    """

    language: str
    mark: str
    code: str
    place: str

    @property
    def is_run(self) -> bool:
        return not self.mark.startswith('not run: ')


class Page:
    """One file of Markdown."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.relative_to(ROOT).as_posix()
        self.text = path.read_text(encoding='utf-8')
        self.prose = _BLOCK.sub('', self.text)
        self.blocks = [
            Block(
                match['language'],
                match['mark'] or '',
                match['code'],
                f'{self.name}-{self.text.count(chr(10), 0, match.start("code"))}',
            )
            for match in _BLOCK.finditer(self.text)
        ]

    def spans(self) -> list[str]:
        """What stands in `code` outside of blocks."""
        return re.findall(r'`([^`\n]+)`', self.prose.replace('\\|', '|'))

    def anchors(self) -> set[str]:
        """Where links into the page may lead, by GitHub's rule."""
        titles = re.findall(r'^#+ (.*)$', self.prose, re.MULTILINE)
        return {re.sub(r'[^\w -]', '', title.lower()).replace(' ', '-') for title in titles}

    def links(self) -> list[str]:
        """The targets of its links that are no addresses."""
        return [target for target in re.findall(r'\]\(([^)\s]+)\)', self.prose) if '://' not in target]

    def rows_below(self, header: str) -> list[list[str]]:
        """The cells of the table whose first line begins with this text."""
        lines = self.text[self.text.index(header) :].splitlines()[2:]
        end = next((number for number, line in enumerate(lines) if not line.startswith('|')), len(lines))
        return [_cells(line) for line in lines[:end]]

    def rows(self) -> list[list[str]]:
        """The cells of every table, headers and rules included."""
        return [_cells(line) for line in self.prose.splitlines() if line.startswith('|')]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip('|').split('|')]


README = Page(ROOT / 'README.md')
REFERENCE = Page(ROOT / 'docs' / 'reference.md')
TROUBLESHOOTING = Page(ROOT / 'docs' / 'troubleshooting.md')
USING_THE_TOKEN = Page(ROOT / 'docs' / 'using-the-token.md')

PAGES = [README, *(Page(path) for path in sorted((ROOT / 'docs').glob('*.md')))]

BLOCKS = [block for page in PAGES for block in page.blocks]
