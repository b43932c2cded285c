"""JSON as the service writes it: a number that a double does not hold keeps its text, and what is written is JSON.

Python's own `json` rounds such a number or makes it `Infinity`, which is no JSON, and hands out halves of surrogate
pairs that no encoding takes.
"""

from __future__ import annotations

import json
import math
import os
import re
from typing import Any

_MARK = f'n{os.urandom(16).hex()}'  # no text holds it, so a text that begins with it is one of ours


class _Written(float):
    """A number that counts as the nearest double, and is written as it came."""

    __slots__ = ('text',)
    text: str

    def __new__(cls, text: str) -> _Written:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


_Written.__name__ = 'float'  # by which JMESPath tells the types of what its functions are given


def loads(text: str | bytes) -> Any:
    """What the text says, its numbers ready to be written as they came."""
    return json.loads(text, parse_float=_number)


def dumps(value: Any, **settings: Any) -> str:
    """The value as JSON, `settings` as for `json.dumps`. What was computed and is no number in JSON becomes a text."""
    return restore_numbers(json.dumps(hold_numbers(value), ensure_ascii=False, **settings))


def hold_numbers(value: Any) -> Any:
    """The value with texts in the place of the numbers that `json` would change; `restore_numbers` undoes it."""
    if isinstance(value, dict):
        return {name: hold_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [hold_numbers(item) for item in value]
    if isinstance(value, _Written):
        return f'{_MARK}{value.text}'
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    return value


def restore_numbers(text: str) -> str:
    """JSON or YAML that was made of what `hold_numbers` returned, with the numbers in it as they came."""
    return re.sub(f'"?{_MARK}([-+.0-9eE]*)"?', r'\1', text) if _MARK in text else text


def escape(characters: str) -> str:
    """The characters as JSON escapes them: `\\u00fc`, two escapes for what lies beyond 16 bits."""
    return ''.join(f'\\u{ord(unit):04x}' for character in characters for unit in _units(character))


def _number(text: str) -> float:
    number = float(text)
    return number if repr(number) == text else _Written(text)


def _units(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return character
    return chr(0xD800 + (code - 0x10000 >> 10)) + chr(0xDC00 + (code - 0x10000 & 0x3FF))
