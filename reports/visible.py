"""Text of foreign origin (file names, wire, topology) made harmless for terminals, CSV, HTML and logs.

The same notation as the core's texts: octets that are no UTF-8 as `\\xNN`, controls, line separators and bidirectional
controls as `\\u{NNNN}`; all else is kept, so that a name stays readable in any script.
"""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""C0, DEL, C1; Arabic letter mark, LRM, RLM; line and paragraph separator, embeddings and overrides; isolates."""


def visible(text: str) -> str:
    """`text` without anything that a terminal or browser would obey. Surrogate escapes of file names become \\xNN."""
    if text.isascii() and text.isprintable():
        return text
    text = HIDDEN.sub(lambda match: f"\\u{{{ord(match.group()):04x}}}", text)
    return "".join(char if not 0xD800 <= ord(char) <= 0xDFFF else f"\\x{ord(char) & 0xFF:02x}" for char in text)


def csv_cell(cell: str) -> str:
    """One CSV cell (RFC 4180), with an apostrophe before what a spreadsheet would take for a formula."""
    if cell.startswith(("=", "+", "-", "@")):
        cell = "'" + cell
    if any(char in cell for char in ',"\n\r'):
        cell = '"' + cell.replace('"', '""') + '"'
    return cell
