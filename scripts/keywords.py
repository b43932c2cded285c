"""Write the table of DICOM keywords, dicomfeed/keywords.txt, from the data dictionary of the standard (PS3.6).

usage: python scripts/keywords.py [FILE]

The dictionary is the one in pydicom, which is made from the standard's own files: `pip install pydicom==3.0.2`. Only
this script needs it. An element without a keyword has no line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

TABLE = Path(__file__).resolve().parent.parent / 'dicomfeed' / 'keywords.txt'

Row = tuple[str, str, str]
"""Keyword, tag as eight hexadecimal digits (`x` for any digit), VR as the standard writes it (`US or SS`)."""


def main(arguments: list[str]) -> int:
    if len(arguments) > 1:
        print(__doc__, file=sys.stderr)
        return 2
    table = Path(arguments[0]) if arguments else TABLE
    text = table_of(dictionary())
    table.write_bytes(text.encode('ascii'))
    print(f'{text.count(chr(10))} lines written to {table}')
    return 0


def dictionary() -> list[Row]:
    """Every element of the standard, repeating groups included."""
    from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary

    elements = [(values[4], f'{tag:08X}', values[0]) for tag, values in DicomDictionary.items()]
    repeating = [(values[4], tag.upper().replace('X', 'x'), values[0]) for tag, values in RepeatersDictionary.items()]
    return elements + repeating


def table_of(rows: Iterable[Row]) -> str:
    """A line `Keyword TAG VR` for each row with a keyword, in the order of tags; several VRs as `US|SS`."""
    lines = sorted((tag, keyword, vr.replace(' or ', '|')) for keyword, tag, vr in rows if keyword)
    return ''.join(f'{keyword} {tag} {vr}\n' for tag, keyword, vr in lines)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
