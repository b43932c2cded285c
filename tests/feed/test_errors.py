"""The tree of exceptions: what its drawing says is what the classes are."""

from __future__ import annotations

import re

import pytest

from dicomfeed import errors

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type)]


def drawn_parents() -> dict[str, str | None]:
    """Each class in the drawing with the one above it."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or '').splitlines():
        match = re.fullmatch(r'    ([│ ├└─]*)([A-Z]\w+)(  .*)?', line)
        if match:
            depth = len(match[1]) // 4
            parents[match[2]] = path[depth - 1] if depth else None
            path[depth:] = [match[2]]
    return parents


def test_drawing_is_the_tree() -> None:
    assert drawn_parents() == {
        kind.__name__: None if kind is errors.FeedError else kind.__base__.__name__  # type: ignore[union-attr]
        for kind in CLASSES
    }


@pytest.mark.parametrize('kind', CLASSES, ids=lambda kind: kind.__name__)
def test_one_root_catches_every_error(kind: type) -> None:
    assert issubclass(kind, errors.FeedError)
