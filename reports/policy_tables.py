"""The policy list as tables for people who keep it elsewhere: CSV for a spreadsheet, Markdown for a wiki.

Strategy: one line for each row and rule, with the words of `policy list --format json`; pure functions over that
dictionary. Cells are made harmless here, since rows of a site and their reasons are anybody's text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from reports.visible import csv_cell, visible

_PATH_COLUMNS: Final = (
    "id",
    "applies",
    "position",
    "source",
    "destination",
    "transport",
    "ports",
    "service",
    "initiator",
    "why",
)
_RULE_COLUMNS: Final = ("id", "state", "severity", "positions", "why")
_CSV_COLUMNS: Final = ("kind", *_PATH_COLUMNS, "state", "severity")


def policy_csv(listing: dict[str, Any]) -> str:
    """One table, `kind` tells paths from rules; lists joined by `;`, as in `flows --format csv`."""
    lines = [",".join(_CSV_COLUMNS)]
    for kind, entries in (("path", listing["paths"]), ("rule", listing["rules"])):
        for entry in entries:
            values = {"kind": kind, "position": entry.get("positions", ""), **entry}
            lines.append(",".join(csv_cell(_text(values.get(name, ""), ";")) for name in _CSV_COLUMNS))
    return "\n".join(lines) + "\n"


def policy_markdown(listing: dict[str, Any]) -> str:
    """Two tables: the paths that apply and do not, then the rules."""
    lines = ["## Paths", "", *_markdown(_PATH_COLUMNS, listing["paths"])]
    lines += ["", "## Rules", "", *_markdown(_RULE_COLUMNS, listing["rules"])]
    return "\n".join(lines) + "\n"


def _markdown(columns: Sequence[str], entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for entry in entries:
        cells = (_escaped(_text(entry[name], ", ")) for name in columns)
        yield f"| {' | '.join(cells)} |"


def _text(value: Any, between: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return between.join(str(item).replace(";", "\\;") if between == ";" else str(item) for item in value)
    return visible("" if value is None else str(value))


def _escaped(text: str) -> str:
    """Nothing that Markdown or the HTML inside it would obey."""
    for char in "\\`*_[]<>|&~#!":
        text = text.replace(char, "\\" + char)
    return text
