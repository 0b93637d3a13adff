"""A capture cut by a snap length of 96, as many taps do, still shows what most of its flows are: what is allowed whole
stays allowed where a hello, a request or the head of a frame was kept, and nothing is accused for what was cut away."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from tests.house.captures import CLEAN, TOPOLOGY, all_packets, pcap

SNAP_LENGTH = 96

# XMPP's stream header and the greetings of pseudo-TLS are longer than what is left of their packets.
TOLD_BY_MORE = [["pseudo-tls"], ["xmpp"], ["xmpp", "tls"]]


def flows(position: str, path: str, capfdbinary: pytest.CaptureFixture[bytes]) -> dict[int, dict[str, Any]]:
    """The flows of a capture by the number of their first packet."""
    assert main(["flows", "--quiet", "--format", "jsonl", "--topology", TOPOLOGY, f"{position}={path}"]) == 0
    rows = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    return {row["edgewarden"]["frame"]: row["edgewarden"] for row in rows}


def shortened(position: str, folder: Path) -> str:
    path = folder / "short.pcap"
    path.write_bytes(pcap(replace(packet, data=packet.data[:SNAP_LENGTH]) for packet in all_packets(CLEAN[position])))
    return str(path)


@pytest.mark.parametrize("position", CLEAN)
def test_what_is_allowed_whole_is_allowed_cut(
    position: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    whole = flows(position, CLEAN[position], capfdbinary)
    cut = flows(position, shortened(position, tmp_path), capfdbinary)
    assert cut.keys() == whole.keys()
    assert sum(row["snaplen_cut"] for row in cut.values()) >= 20
    for frame, row in cut.items():
        before = whole[frame]
        if before["services"] in TOLD_BY_MORE:
            assert row["verdict"] == "undecided"
        else:
            assert (row["verdict"], row.get("path")) == (before["verdict"], before.get("path")), before
        assert row["rules"] == before["rules"]


def test_whether_the_client_had_a_certificate_is_not_known_of_a_cut_handshake(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    rows = flows("external", shortened("external", tmp_path), capfdbinary).values()
    federation = [row for row in rows if row.get("path") == "ext-access-federation-in"]
    assert federation
    for row in federation:
        assert (row["verdict"], row["unproved"]) == ("allowed", ["mutual"])
