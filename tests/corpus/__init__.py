"""Real captures with ground truth, where they are at hand, and our facts of a capture.

The corpus is test material only and no part of the repository: `EDGEWARDEN_CAPTURES` names its folder, default
`../shared/captures` beside the checkout. Its absence is the one permitted skip, and is printed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from monitor.flows import classify

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("EDGEWARDEN_CAPTURES", ROOT.parent / "shared" / "captures"))


def corpus_captures() -> list[Path]:
    """The captures of the corpus in name order; empty without one."""
    if not FOLDER.is_dir():
        return []
    return sorted(path for path in FOLDER.iterdir() if path.suffix in (".pcap", ".pcapng", ".cap"))


@dataclass(frozen=True)
class Facts:
    """Rows as `edgewarden flows --format jsonl` prints them, and the capture's accounting."""

    rows: list[dict[str, Any]]
    accounting: dict[str, int]
    packets: int


@cache
def facts_of(capture: Path) -> Facts:
    """Our facts of one capture."""
    return classify_file(capture)


def classify_file(capture: Path) -> Facts:
    result = classify([str(capture)])
    info = result.captures[0]
    return Facts(result.rows, info["accounting"], info["packets"])
