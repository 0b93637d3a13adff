"""Two sensors, one conversation: the audit joins what they saw, tells it with both flows, and changes no verdict."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from scapy.utils import PcapWriter

from monitor import joins
from monitor.audit import audit
from monitor.capture_arguments import CaptureArgument, SensorName
from monitor.flows import Flows
from monitor.replay import Settings
from monitor.simulate.wire import MICRO, Tcp, fresh
from rules.load import load
from tests.house.captures import TOPOLOGY

START = 1_795_338_000 * MICRO
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")
OUT, IN = SensorName("xf-out", "external", "outside"), SensorName("xf-in", "external", "inside")
USER = ("192.0.2.25", 50112)


def capture(path: Path, source: tuple[str, int], destination: tuple[str, int], *, seed: int, at: int = 0) -> str:
    """A TCP connection without a word; the seed decides its sequence numbers."""
    wire = fresh(source, destination, MACS, START + at, 1000, random.Random(seed))
    tcp = Tcp(wire)
    tcp.open()
    tcp.close("fin")
    with PcapWriter(str(path), linktype=1) as writer:
        writer.write_header(None)
        for frame in wire.frames:
            writer.write_packet(frame.octets, sec=frame.time // MICRO, usec=frame.time % MICRO)
    return str(path)


def judge(outside: str, inside: str) -> dict[str, Any]:
    arguments = [CaptureArgument(path, sensor, path) for sensor, path in ((OUT, outside), (IN, inside))]
    return audit(load(TOPOLOGY), arguments, Settings()).result


def findings(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [finding for finding in result["findings"] if finding["position"] != "config"]


def test_a_port_that_the_firewall_changed(tmp_path: Path) -> None:
    outside = capture(tmp_path / "out.pcap", USER, ("203.0.113.10", 443), seed=1)
    inside = capture(tmp_path / "in.pcap", ("192.0.2.25", 1024), ("10.45.16.10", 443), seed=1, at=200)
    result = judge(outside, inside)
    [finding] = findings(result)
    assert (finding["rule"], finding["severity"], finding["position"]) == ("nat-port-translation", "medium", "external")
    assert (finding["flows"], finding["destination"]["component"]) == (2, "edge01.contoso.net")
    assert [sample["capture"] for sample in finding["samples"]] == [outside, inside]
    assert (result["totals"]["allowed"], result["verdict"]) == (2, "violations")
    rows = [sample["flow"]["edgewarden"] for sample in finding["samples"]]
    assert [(row["rules"], row["verdict"]) for row in rows] == [(["nat-port-translation"], "allowed")] * 2


def test_rows_name_what_they_take_part_in(tmp_path: Path) -> None:
    """Two flows that take part, and one of the same kind that does not."""
    capture(tmp_path / "out.pcap", USER, ("203.0.113.10", 443), seed=1)
    capture(tmp_path / "in.pcap", ("192.0.2.25", 1024), ("10.45.16.10", 443), seed=1, at=200)
    capture(tmp_path / "other.pcap", ("192.0.2.26", 50112), ("203.0.113.10", 443), seed=3)
    captures = [
        CaptureArgument(name, sensor, str(tmp_path / name))
        for name, sensor in (("out.pcap", OUT), ("other.pcap", OUT), ("in.pcap", IN))
    ]
    rows = Flows(captures, "jsonl", load(TOPOLOGY))
    rows.read()
    out = io.BytesIO()
    rows.write(out)
    rows.close()
    told = {
        flow["source"]["ip"] + flow["destination"]["ip"]: flow for flow in map(json.loads, out.getvalue().splitlines())
    }
    joined = {key: (flow["edgewarden"].get("rules"), flow["edgewarden"]["verdict"]) for key, flow in told.items()}
    assert joined == {
        "192.0.2.25203.0.113.10": (["nat-port-translation"], "allowed"),
        "192.0.2.2510.45.16.10": (["nat-port-translation"], "allowed"),
        "192.0.2.26203.0.113.10": ([], "allowed"),
    }


def test_the_same_addresses_in_two_conversations(tmp_path: Path) -> None:
    outside = capture(tmp_path / "out.pcap", USER, ("203.0.113.10", 443), seed=1)
    inside = capture(tmp_path / "in.pcap", ("192.0.2.25", 1024), ("10.45.16.10", 443), seed=2, at=200)
    assert findings(judge(outside, inside)) == []


def test_a_translation_as_it_should_be(tmp_path: Path) -> None:
    outside = capture(tmp_path / "out.pcap", USER, ("203.0.113.10", 443), seed=1)
    inside = capture(tmp_path / "in.pcap", USER, ("10.45.16.10", 443), seed=1, at=200)
    result = judge(outside, inside)
    assert (findings(result), result["verdict"]) == ([], "no-violation-seen")


def test_what_is_kept_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joins, "KEPT", 0)
    outside = capture(tmp_path / "out.pcap", USER, ("203.0.113.10", 443), seed=1)
    inside = capture(tmp_path / "in.pcap", ("192.0.2.25", 1024), ("10.45.16.10", 443), seed=1, at=200)
    assert findings(judge(outside, inside)) == []
