"""The tab key: what argcomplete's protocol wants in the environment of az, which then answers on descriptor 8."""

from __future__ import annotations


def pressed_after(line: str) -> dict[str, str]:
    """The variables for a line with the cursor at its end."""
    return {
        '_ARGCOMPLETE': '1',
        '_ARGCOMPLETE_IFS': '\n',
        '_ARGCOMPLETE_SUPPRESS_SPACE': '1',
        'COMP_LINE': line,
        'COMP_POINT': str(len(line)),
        'COMP_TYPE': '9',
    }
