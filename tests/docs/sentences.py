"""The sentences in the code of both packages that a person can come to read: messages, advice, details.

Judges nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.conftest import ROOT

_FILES = [
    path
    for package in ('azext_dicomtoken', 'dicomfeed')
    for path in sorted((ROOT / package).rglob('*.py'))
    if 'vendored_sdks' not in path.parts
]
_SENTENCE = re.compile(r'[A-Z{-].* .*[.:]$|.*[.?] [A-Z].*', re.DOTALL)


def sentences() -> dict[str, str]:
    """Each by its file and line; `{}` for what is filled in."""
    return {
        f'{path.relative_to(ROOT)}:{line}': text
        for path in _FILES
        for line, text in _texts(ast.parse(path.read_text('utf-8')))
        if _SENTENCE.match(text)
    }


def _texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every text that is not a docstring; the parts of an f-string as one."""
    parts = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            filled = (str(part.value) if isinstance(part, ast.Constant) else '{}' for part in node.values)
            yield node.lineno, ''.join(filled)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (parts | alone):
            yield node.lineno, node.value
