"""Real captures with ground truth, where they are at hand, and what our program says of a capture.

The corpus is test material only and no part of the repository: `EDGEWARDEN_CAPTURES` names its folder, default
`../shared/captures` beside the checkout. Its absence is the one permitted skip, and is printed.

Captures are read in process, along the same way as `edgewarden flows --format jsonl` takes: a process for each of some
hundred captures would spend its time on imports.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from monitor.capture_arguments import CaptureArgument, SensorName
from monitor.flows import Flows

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("EDGEWARDEN_CAPTURES") or ROOT.parent / "shared" / "captures")
SHIPPED = sorted((ROOT / "pcaps").glob("*.pcap*"))
ABSENT = f"no corpus of real captures at {FOLDER} (EDGEWARDEN_CAPTURES names its folder)"


def corpus_captures() -> list[Path]:
    """The captures of the corpus in name order; empty without one."""
    if not FOLDER.is_dir():
        return []
    return sorted(path for path in FOLDER.iterdir() if path.suffix in (".pcap", ".pcapng", ".cap"))


@dataclass(frozen=True)
class Facts:
    """Rows as `edgewarden flows --format jsonl` prints them, and what became of the packets."""

    rows: list[dict[str, Any]]
    packets: int
    accounting: dict[str, int]
    mistakes: list[str]
    broken: list[str]


@cache
def facts_of(capture: Path) -> Facts:
    """Our facts of one capture, which must not be changed by who gets them."""
    return read(capture)


def read(capture: Path) -> Facts:
    """Run one capture through; a file that is no capture has no rows and a mistake."""
    flows = Flows([CaptureArgument(str(capture), SensorName(), str(capture))], "jsonl", None)
    out = io.BytesIO()
    try:
        flows.read()
        flows.write(out)
    finally:
        flows.close()
    (replay,) = flows.replays
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    figures = replay.captures[0] if replay.captures else None
    return Facts(
        rows,
        figures.packets if figures else 0,
        dict(figures.accounting) if figures else {},
        list(replay.mistakes),
        list(replay.broken),
    )


def get(row: dict[str, Any], name: str) -> Any:
    """The value under a dotted name, None where a part is missing."""
    value: Any = row
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return value
