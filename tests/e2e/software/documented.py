"""What docs/viewers.md gives to paste, as a user of a proxy pastes it."""

from __future__ import annotations

from tests.conftest import ROOT
from tests.docs.pages import Page
from tests.e2e.proxies import Proxy

_VIEWERS = Page(ROOT / 'docs' / 'viewers.md')


def pasted(language: str, running: Proxy) -> list[str]:
    """The blocks in this language, with the port and the secret of this proxy."""
    codes = [block.code for block in _VIEWERS.blocks if block.language == language]
    return [code.replace('PORT', running.port).replace('SECRET', running.secret) for code in codes]
