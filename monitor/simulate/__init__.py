"""Made-to-measure captures: every path of a topology, and every rule broken, with the verdicts that must come out.

Who speaks, what is said and what must be concluded stands in `scenarios/*.yaml`, in the words of the field; this
package casts the roles on a topology, lets real TLS endpoints and hand-made messages speak, and writes captures. It
is run as a process of its own (`python -m monitor.simulate`), the only one that imports scapy. `run` starts it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


class SimulationFailed(Exception):
    """The process ended without a result; str() is its last words. `mistake`: the operator's (status 2), not ours."""

    def __init__(self, words: str, *, mistake: bool) -> None:
        super().__init__(words)
        self.mistake = mistake


def run(topology: Path, out_dir: Path, *, violations: bool) -> dict[str, Any]:
    """Simulate a topology file into a folder, in a process of its own.

    The result: {"folder", "captures": [{"name", "sensor", "kind", "frames", "octets", "flows"}], "skipped":
    [{"scenario", "why"}]}. Raises SimulationFailed.
    """
    command = [sys.executable, "-m", "monitor.simulate", "--topology", str(topology), "--out", str(out_dir)]
    done = subprocess.run(  # noqa: S603 — our own interpreter and module, no shell
        [*command, "--violations"] if violations else command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SimulationFailed(done.stderr.strip() or f"exit status {done.returncode}", mistake=done.returncode == 2)
    result: dict[str, Any] = json.loads(done.stdout)
    return result
