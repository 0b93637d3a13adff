"""The shipped site from end to end: an audit says what the scenario tables say, flow by flow, and nothing more.

The tables (`pcaps/expected.json`) were made from the vendor's documents, never from our output. Beside the whole
captures stand maltreated ones: a tap that begins late, ends early, loses packets or sees one direction must never turn
allowed traffic into a finding.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from monitor.audit import audit
from monitor.capture_arguments import CaptureArgument, SensorName
from monitor.cli import main
from monitor.evidence import Packet
from monitor.replay import Settings
from rules.load import load
from rules.topology import Topology
from tests.corpus import get
from tests.house.captures import BROKEN, CLEAN, PCAPS, TOPOLOGY, addresses, all_packets, pcap

EXPECTED: dict[str, Any] = json.loads((PCAPS / "expected.json").read_text(encoding="utf-8"))["captures"]


@cache
def site() -> Topology:
    return load(TOPOLOGY)


def judge(captures: dict[str, Path | str]) -> dict[str, Any]:
    """Result of an audit, one capture a position."""
    arguments = [
        CaptureArgument(f"{position}={path}", SensorName(position, position), str(path))
        for position, path in captures.items()
    ]
    return audit(site(), arguments, Settings()).result


def flow_key(row: dict[str, Any]) -> tuple[Any, ...]:
    """What an expected flow and a row of ours have in common."""
    ends = [(row[end]["ip"], row[end].get("port")) for end in ("source", "destination")]
    start = row["start"] if "start" in row else row["event"]["start"][:26].rstrip("Z") + "Z"
    return (row.get("transport") or row["network"]["transport"], *ends, start)


def rows_of(name: str, capfdbinary: pytest.CaptureFixture[bytes]) -> dict[tuple[Any, ...], dict[str, Any]]:
    capture = f"{EXPECTED[name]['sensor']}={PCAPS / name}"
    assert main(["flows", "--format", "jsonl", "--topology", TOPOLOGY, capture]) == 0
    rows = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    found = {flow_key(row): row for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize("name", EXPECTED)
def test_every_flow_is_judged_as_its_table_says(name: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    found = rows_of(name, capfdbinary)
    differing = []
    for flow in EXPECTED[name]["flows"]:
        row = found.pop(flow_key(flow))
        said = {
            "verdict": get(row, "edgewarden.verdict"),
            "path": get(row, "edgewarden.path"),
            "rules": get(row, "edgewarden.rules"),
            "rules_silenced": [r for r in get(row, "edgewarden.rules_silenced") if r != "unlisted-path"],
            "unproved": get(row, "edgewarden.unproved") or [],
            "answered": get(row, "edgewarden.answered"),
            "protocol": get(row, "network.protocol"),
            "services": get(row, "edgewarden.services"),
        }
        for what, value in said.items():
            if what in flow and flow[what] != value:
                differing.append((flow["scenario"], what, value, "expected", flow[what]))
        never = set(flow.get("never", ())) & {said["protocol"], *(said["services"] or ())}
        if never:
            differing.append((flow["scenario"], "never", never, "expected", set()))
    assert differing == []
    assert list(found) == [], "flows that no scenario made"


def test_the_audit_gives_the_expected_rules_and_paths_and_nothing_else() -> None:
    for captures, verdict in ((CLEAN, "no-violation-seen"), (BROKEN, "violations")):
        result = judge(dict(captures))
        flows = [flow for path in captures.values() for flow in EXPECTED[Path(path).name]["flows"]]
        assert result["verdict"] == verdict
        verdicts = Counter(flow["verdict"].replace("-", "_") for flow in flows)
        totals = {name: count for name, count in result["totals"].items() if name not in ("packets", "flows")}
        assert {name: count for name, count in totals.items() if count} == verdicts
        used = {path["id"]: path["flows"] for path in result["paths"] if path["flows"]}
        assert used == Counter(flow["path"] for flow in flows if flow["verdict"] == "allowed")
        for kind, wanted in (("findings", "violation"), ("attempts", "attempt")):
            given: Counter[str] = Counter()
            for each in result[kind]:
                given[each["rule"]] += each["flows"]
            assert given == Counter(rule for flow in flows if flow["verdict"] == wanted for rule in flow["rules"])


# --- clean traffic seen badly ----------------------------------------------------------------------------------------


@cache
def clean_flows(position: str) -> tuple[tuple[Packet, ...], ...]:
    """Packets of each five-tuple of a clean capture, found here from the headers: all are Ethernet and IPv4."""
    flows: dict[Any, list[Packet]] = {}
    for packet in all_packets(CLEAN[position]):
        offset = 14
        while packet.data[offset - 2 : offset] in (b"\x81\x00", b"\x88\xa8"):
            offset += 4
        head = packet.data[offset:]
        assert head[0] == 0x45
        one, other = addresses(packet)
        ports = (head[20:22], head[22:24]) if head[9] in (6, 17) else (b"", b"")
        flows.setdefault((head[9], frozenset(((one, ports[0]), (other, ports[1])))), []).append(packet)
    return tuple(map(tuple, flows.values()))


def seen(tmp_path: Path, keep: Callable[[tuple[Packet, ...]], Iterable[Packet]]) -> dict[str, Any]:
    """Audit of the clean captures of which only some packets of each flow were seen."""
    captures: dict[str, Path | str] = {}
    for position in CLEAN:
        packets = [packet for flow in clean_flows(position) for packet in keep(flow)]
        captures[position] = tmp_path / f"{position}.pcap"
        (tmp_path / f"{position}.pcap").write_bytes(pcap(sorted(packets, key=lambda packet: packet.time)))
    return judge(captures)


def assert_nothing_found(result: dict[str, Any]) -> None:
    assert [(f["rule"], f["reason"], f["samples"][0]["flow"]["source"]) for f in result["findings"]] == []
    assert result["totals"]["violation"] == 0


def test_the_clean_flows_are_all_of_them(tmp_path: Path) -> None:
    whole = seen(tmp_path, lambda flow: flow)
    assert (whole["verdict"], whole["totals"]) == ("no-violation-seen", judge(dict(CLEAN))["totals"])
    assert sum(len(clean_flows(position)) for position in CLEAN) >= 60


@pytest.mark.parametrize("count", range(1, 9))
def test_flows_cut_early_give_no_finding(tmp_path: Path, count: int) -> None:
    """Three packets are a TCP handshake, four and more break a TLS one at every place."""
    result = seen(tmp_path, lambda flow: flow[:count])
    assert_nothing_found(result)
    assert result["totals"]["flows"] >= 60


@pytest.mark.parametrize("count", range(1, 9))
def test_flows_joined_late_give_no_finding(tmp_path: Path, count: int) -> None:
    assert_nothing_found(seen(tmp_path, lambda flow: flow[count:]))


@pytest.mark.parametrize("lost", range(12))
def test_a_lost_packet_gives_no_finding(tmp_path: Path, lost: int) -> None:
    assert_nothing_found(seen(tmp_path, lambda flow: flow[:lost] + flow[lost + 1 :]))


@pytest.mark.parametrize("seed", range(8))
def test_a_tap_that_loses_a_tenth_gives_no_finding(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    assert_nothing_found(seen(tmp_path, lambda flow: [packet for packet in flow if chance.random() > 0.1]))


@pytest.mark.parametrize("opener", [True, False])
def test_one_direction_alone_gives_no_finding(tmp_path: Path, opener: bool) -> None:
    result = seen(tmp_path, lambda flow: [p for p in flow if (addresses(p) == addresses(flow[0])) is opener])
    assert_nothing_found(result)
    assert result["verdict"] == "inconclusive"
    assert result["attempts"] == []
