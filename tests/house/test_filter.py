"""`audit --filter` judges exactly the packets that tcpdump writes for the same expression, and counts the others."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from tests.house.captures import BROKEN, TOPOLOGY


def audited(path: Path | str, target: Path, *options: str) -> dict[str, Any]:
    words = ["audit", "--topology", TOPOLOGY, "--output", str(target), "--format", "json", *options]
    assert main([*words, f"external={path}"]) in (0, 1)
    result: dict[str, Any] = json.loads(target.read_text())
    return result


def findings(result: dict[str, Any]) -> list[list[Any]]:
    """Without what names files and frames."""
    kept = ("id", "rule", "flows", "packets", "bytes", "first", "last", "reason")
    return [[finding[key] for key in kept] for finding in result["findings"]]


@pytest.mark.parametrize("expression", ["tcp port 5061", "udp or icmp", "not net 10.0.0.0/8 and greater 100"])
def test_as_tcpdump(tmp_path: Path, expression: str) -> None:
    assert shutil.which("tcpdump"), "tcpdump is what this is compared with (apt-get install tcpdump)"
    whole, part = BROKEN["external"], tmp_path / "part.pcap"
    subprocess.run(["tcpdump", "-r", whole, "-w", str(part), expression], check=True, capture_output=True)
    ours, theirs = audited(whole, tmp_path / "ours", "--filter", expression), audited(part, tmp_path / "theirs")
    [capture], [written] = ours["captures"], theirs["captures"]
    assert written["packets"] > 0
    assert capture["accounting"]["filtered"] == capture["packets"] - written["packets"] > 0
    assert capture["packets"] == sum(capture["accounting"].values())
    assert {**ours["totals"], "packets": 0} == {**theirs["totals"], "packets": 0}
    assert ours["paths"] == theirs["paths"]
    assert findings(ours) == findings(theirs)


@pytest.mark.parametrize("expression", ["ether host 02:00:00:00:00:01", "inbound"])
def test_a_link_type_for_which_the_expression_means_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], expression: str
) -> None:
    """A raw IP packet has no Ethernet address, and does not say which way it went, as one of a cooked capture does."""
    raw = tmp_path / "raw.pcap"
    words = ["editcap", "-F", "pcap", "-T", "rawip", "-C", "14", BROKEN["external"], str(raw)]
    subprocess.run(words, check=True, capture_output=True)
    assert main(["audit", "--topology", TOPOLOGY, "--filter", expression, f"external={raw}"]) == 3
    assert "for which the filter has no meaning" in capfd.readouterr().err
