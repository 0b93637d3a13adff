"""More flows than one batch of the core holds: every one of them comes out, and the figures add up."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

FLOWS = 140_000  # one batch holds 131,072


def syn_flood(path: Path) -> None:
    """One SYN from each of `FLOWS` sources to one listener (RFC 791, RFC 9293)."""
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 101))
        for number in range(FLOWS):
            tcp = struct.pack("!HHIIBBHHH", 40_000, 443, number, 0, 0x50, 0x02, 4096, 0, 0)
            source, destination = 0x0B000000 + number, 0xCB00710A
            ip = struct.pack("!BBHHHBBHII", 0x45, 0, 40, number & 0xFFFF, 0x4000, 64, 6, 0, source, destination)
            out.write(struct.pack("<IIII", 1_763_798_400, number, 40, 40) + ip + tcp)


def test_every_flow_comes_out(tmp_path: Path) -> None:
    capture = tmp_path / "flood.pcap"
    syn_flood(capture)
    command = [sys.executable, "-m", "monitor.cli", "flows", "--quiet", "--format", "jsonl", str(capture)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    assert len(lines) == FLOWS
    assert len({json.loads(line)["source"]["ip"] for line in lines}) == FLOWS
