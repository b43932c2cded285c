"""README.md as tests see it: its code blocks, its tables, what it writes of the commands. Judges nothing."""
from __future__ import annotations

import re
from dataclasses import dataclass

from tests.conftest import ROOT

TEXT = (ROOT / 'README.md').read_text(encoding='utf-8')

_BLOCK = re.compile(r'^(?:<!-- (?P<mark>[^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$',
                    re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block; `mark` is the HTML comment right before it: `not run: REASON`, `stopped`, or nothing.

    A block that is `stopped` is one command that would go on for ever.
    """

    language: str
    mark: str
    code: str
    line: int

    @property
    def is_run(self) -> bool:
        return not self.mark.startswith('not run: ')


def _blocks() -> list[Block]:
    return [Block(match['language'], match['mark'] or '', match['code'], TEXT.count('\n', 0, match.start('code')))
            for match in _BLOCK.finditer(TEXT)]


BLOCKS = _blocks()


def spans() -> list[str]:
    """What stands in `code` outside of blocks."""
    prose = _BLOCK.sub('', TEXT).replace('\\|', '|')
    return re.findall(r'`([^`\n]+)`', prose)


def rows_below(header: str) -> list[list[str]]:
    """The cells of the table whose first line begins with this text."""
    lines = TEXT[TEXT.index(header):].splitlines()[2:]
    end = next(number for number, line in enumerate(lines) if not line.startswith('|'))
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines[:end]]
