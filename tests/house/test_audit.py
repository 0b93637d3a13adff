"""Audits of the shipped captures, whole and maltreated: verdicts from the scenario tables, statuses as documented."""

from __future__ import annotations

import collections
import gzip
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import zstandard

from monitor import capture_files, replay
from monitor.cli import main
from reports.schemas import schema
from tests.house.captures import (
    BROKEN,
    CLEAN,
    PCAPS,
    TOPOLOGY,
    addresses,
    all_packets,
    first_packets,
    kept,
    pcap,
    ports,
)

VALIDATOR = jsonschema.Draft202012Validator(schema("audit"))

Run = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def audit(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run `audit --format json`: status, result (validated), what stood on standard error."""

    def run(*arguments: str, topology: str = TOPOLOGY) -> tuple[int, dict[str, Any], str]:
        status = main(["audit", "--topology", topology, "--format", "json", *arguments])
        out, err = capfdbinary.readouterr()
        result = json.loads(out) if out else {}
        if result:
            VALIDATOR.validate(result)
            for capture in result["captures"]:
                assert capture["packets"] == sum(capture["accounting"].values())
            totals = result["totals"]
            assert totals["packets"] == sum(capture["packets"] for capture in result["captures"])
            parts = ("allowed", "violation", "attempt", "out_of_scope", "undecided")
            assert totals["flows"] == sum(totals[name] for name in parts)
        return status, result, err.decode()

    return run


def expected(*names: str) -> list[dict[str, Any]]:
    document = json.loads((PCAPS / "expected.json").read_text(encoding="utf-8"))
    return [flow for name in names for flow in document["captures"][name]["flows"]]


def both(captures: dict[str, str]) -> list[str]:
    return [f"{position}={path}" for position, path in captures.items()]


def test_clean_captures_use_the_expected_paths_and_nothing_else(audit: Run) -> None:
    status, result, _ = audit(*both(CLEAN))
    flows = expected("clean-external.pcapng", "clean-internal.pcapng")
    assert (status, result["verdict"]) == (0, "no-violation-seen")
    assert (result["findings"], result["attempts"]) == ([], [])
    used = {path["id"]: path["flows"] for path in result["paths"] if path["flows"]}
    assert used == collections.Counter(flow["path"] for flow in flows if flow["verdict"] == "allowed")


def test_violations_are_exactly_the_expected_ones(audit: Run) -> None:
    status, result, _ = audit(*both(BROKEN))
    flows = expected("violations-external.pcapng", "violations-internal.pcapng")
    assert (status, result["verdict"]) == (1, "violations")
    wanted = collections.Counter(rule for flow in flows if flow["verdict"] == "violation" for rule in flow["rules"])
    found: collections.Counter[str] = collections.Counter()
    for finding in result["findings"]:
        found[finding["rule"]] += finding["flows"]
        assert len(finding["samples"]) == min(finding["flows"], 8)
        assert finding["reason"]
        for sample in finding["samples"]:
            assert finding["rule"] in sample["flow"]["edgewarden"]["rules"]
            assert sample["frame"] <= sample["last_frame"]
    assert found == wanted
    tried = collections.Counter(rule for flow in flows if flow["verdict"] == "attempt" for rule in flow["rules"])
    assert {(a["rule"]): a["flows"] for a in _summed(result["attempts"])} == dict(tried)


def _summed(attempts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    sums: collections.Counter[str] = collections.Counter()
    for attempt in attempts:
        sums[attempt["rule"]] += attempt["flows"]
    return [{"rule": rule, "flows": flows} for rule, flows in sums.items()]


def test_findings_come_gravest_first(audit: Run) -> None:
    order = ("critical", "high", "medium", "low", "info")
    _, result, _ = audit(*both(BROKEN))
    severities = [order.index(finding["severity"]) for finding in result["findings"]]
    assert severities == sorted(severities)


def test_clean_flows_cut_after_three_packets_give_no_finding(audit: Run, tmp_path: Path) -> None:
    arguments = []
    for position, path in CLEAN.items():
        cut = tmp_path / f"{position}.pcap"
        cut.write_bytes(first_packets(path, 3))
        arguments.append(f"{position}={cut}")
    status, result, _ = audit(*arguments)
    assert (status, result["findings"], result["attempts"]) == (0, [], [])
    assert result["totals"]["flows"] >= 60


@pytest.mark.parametrize(("fail_on", "status"), [("critical", 1), ("high", 1), ("low", 1), ("info", 1), ("never", 0)])
def test_fail_on(audit: Run, fail_on: str, status: int) -> None:
    """The captures hold critical findings."""
    assert audit("--fail-on", fail_on, *both(BROKEN))[0] == status


def test_low_findings_alone_do_not_fail_on_high(audit: Run, tmp_path: Path) -> None:
    """Of the violations only the Edge's name lookups inside, which are `low`."""
    only = tmp_path / "dns.pcap"
    lookups = [flow for flow in expected("violations-internal.pcapng") if flow["rules"] == ["edge-internal-dns"]]
    ends = {frozenset((flow["source"]["ip"], flow["destination"]["ip"])) for flow in lookups}
    udp, dns = 17, 53
    only.write_bytes(
        pcap(
            packet
            for packet in all_packets(BROKEN["internal"])
            if frozenset(addresses(packet)) in ends and packet.data[23] == udp and dns in ports(packet)
        )
    )
    status, result, _ = audit("--fail-on", "high", f"internal={only}")
    assert [finding["severity"] for finding in result["findings"]] == ["low"]
    assert (status, result["verdict"]) == (0, "violations")
    assert audit(f"internal={only}")[0] == 1


def test_capture_figures_are_of_the_bytes_as_stored(audit: Run, tmp_path: Path) -> None:
    stored = gzip.compress(Path(CLEAN["external"]).read_bytes())
    packed = tmp_path / "outside.pcapng.gz"
    packed.write_bytes(stored)
    _, result, _ = audit(f"external={packed}")
    [capture] = result["captures"]
    assert capture["sha256"] == hashlib.sha256(stored).hexdigest()
    assert capture["size"] == len(stored)
    assert (capture["complete"], capture["sensor"], capture["position"], capture["side"]) == (
        True,
        "external",
        "external",
        None,
    )


def test_an_input_that_cannot_be_read_is_told_and_the_rest_is_judged(audit: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are notes, long enough to be looked at\n" * 10)
    (tmp_path / "nothing.pcap").write_bytes(b"")
    for bad, why in (
        (tmp_path / "missing.pcap", "No such file"),
        (tmp_path / "notes.txt", "is no capture"),
        (tmp_path / "nothing.pcap", "is no capture: it holds no bytes"),
    ):
        status, result, err = audit(*both(BROKEN), f"external={bad}")
        assert status == 2
        assert str(bad) in err
        assert why in err
        assert result["verdict"] == "violations"
        assert len(result["captures"]) == 2


def test_a_folder_is_walked_and_other_files_are_counted(audit: Run, tmp_path: Path) -> None:
    shutil.copy(CLEAN["external"], tmp_path / "a.pcapng")
    (tmp_path / "readme.txt").write_text("no capture")
    status, result, err = audit(f"external={tmp_path}")
    assert status == 0
    assert len(result["captures"]) == 1
    assert "skipped 1 file" in err


def test_an_empty_capture_is_inconclusive(audit: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.pcap").write_bytes(pcap([]))
    status, result, _ = audit(f"external={CLEAN['external']}", f"internal={tmp_path / 'empty.pcap'}")
    assert (status, result["verdict"]) == (3, "inconclusive")
    assert "no IP packet was seen at position internal" in result["why"]


def test_violations_go_before_inconclusive(audit: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.pcap").write_bytes(pcap([]))
    status, result, _ = audit(f"internal={BROKEN['internal']}", f"external={tmp_path / 'empty.pcap'}")
    assert (status, result["verdict"]) == (1, "violations")


def test_a_required_position_without_a_capture_is_inconclusive(audit: Run, tmp_path: Path) -> None:
    text = Path(TOPOLOGY).read_text(encoding="utf-8")
    assert "coverage: {" in text
    site = tmp_path / "site.yaml"
    site.write_text(text.replace("coverage: {", "coverage: {require: [external, internal], ", 1), encoding="utf-8")
    status, result, _ = audit(f"external={CLEAN['external']}", topology=str(site))
    assert (status, result["verdict"]) == (3, "inconclusive")


def test_a_cut_tail_is_incomplete_and_nothing_more(audit: Run, tmp_path: Path) -> None:
    data = Path(CLEAN["external"]).read_bytes()
    (tmp_path / "cut.pcapng").write_bytes(data[:-7])
    (tmp_path / "cut.gz").write_bytes(gzip.compress(data)[:-3])
    (tmp_path / "cut.zst").write_bytes(zstandard.compress(data)[:-3])
    for name in ("cut.pcapng", "cut.gz", "cut.zst"):
        status, result, _ = audit(f"external={tmp_path / name}")
        assert (name, status, result["captures"][0]["complete"]) == (name, 0, False)


def test_a_capture_broken_in_the_middle_is_inconclusive(audit: Run, tmp_path: Path) -> None:
    data = pcap(all_packets(CLEAN["external"]))
    broken = tmp_path / "broken.pcap"
    middle = 24
    for _ in range(200):
        middle += 16 + int.from_bytes(data[middle + 8 : middle + 12], "little")
    broken.write_bytes(data[:middle] + b"\xff" * 64 + data[middle + 64 :])
    status, result, err = audit(f"external={broken}")
    assert (status, result["verdict"]) == (3, "inconclusive")
    [capture] = result["captures"]
    assert not capture["complete"]
    assert capture["packets"] >= 200
    assert capture["sha256"] == hashlib.sha256(broken.read_bytes()).hexdigest()
    assert str(middle) in err


def test_a_capture_that_shrinks_while_it_is_read_is_inconclusive(
    audit: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shrinks.pcap"
    data = pcap(all_packets(CLEAN["external"]))
    path.write_bytes(data)
    monkeypatch.setattr(capture_files, "BLOCK", 4096)
    read = capture_files.CaptureReader.read

    def read_and_shrink(reader: capture_files.CaptureReader) -> bytes:
        block = read(reader)
        if reader.size > 20_000:
            os.truncate(path, 20_000)
        return block

    monkeypatch.setattr(replay.CaptureReader, "read", read_and_shrink)
    status, result, err = audit(f"external={path}")
    assert (status, result["verdict"]) == (3, "inconclusive")
    assert not result["captures"][0]["complete"]
    assert "shrank" in err


def test_a_one_way_tap_concludes_no_attempts(audit: Run, tmp_path: Path) -> None:
    """Only what comes from outside: every answer is missing, so every flow would look like an attempt."""
    seen = tmp_path / "one-way.pcap"
    data = [
        packet
        for path in (CLEAN["external"], BROKEN["external"])
        for packet in all_packets(path)
        if not addresses(packet)[0].startswith(("203.0.113.", "10.45.16."))
    ]
    seen.write_bytes(pcap(sorted(data, key=lambda packet: packet.time)))
    status, result, _ = audit("--fail-on", "never", f"external={seen}")
    assert (status, result["attempts"], result["totals"]["attempt"]) == (3, [], 0)
    assert result["verdict"] == "inconclusive" or result["findings"]


def test_a_site_without_an_internal_firewall_is_judged(audit: Run, tmp_path: Path) -> None:
    """What an internal sensor cannot show is not said to be clean; what it sees is judged as on any other site."""
    text = Path(TOPOLOGY).read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.strip().startswith("internal: {addresses:"))
    site = tmp_path / "one-firewall.yaml"
    site.write_text(text.replace(line + "\n", "", 1), encoding="utf-8")
    status, result, _ = audit(f"external={CLEAN['external']}", topology=str(site))
    assert (status, result["verdict"]) == (0, "no-violation-seen")
    unseen = {entry["rule"]: entry["why"] for entry in result["coverage"]["not_observable"]}
    inner = "no sensor at the inner perimeter network (this site has no internal firewall)"
    assert unseen["director-bypass-sip"] == inner
    captures = []
    for position, path in BROKEN.items():  # but for what its firewall does there
        rest = (packet for packet in all_packets(path) if "172.25.33.1" not in addresses(packet))
        captures.append(f"{position}={tmp_path / position}.pcap")
        (tmp_path / f"{position}.pcap").write_bytes(pcap(rest))
    two, one = audit(*captures)[1], audit(*captures, topology=str(site))[1]
    assert [f["rule"] for f in one["findings"]] == [f["rule"] for f in two["findings"]]
    assert one["totals"] == two["totals"]


def test_from_is_inclusive_and_to_exclusive(audit: Run) -> None:
    whole = audit(f"external={CLEAN['external']}")[1]["captures"][0]
    times = [packet.time for packet in all_packets(CLEAN["external"])]
    middle = times[len(times) // 2]
    text = f"{middle // 1_000_000_000}"
    moment = (
        subprocess.run(
            ["date", "-u", "-d", f"@{text}", "+%Y-%m-%dT%H:%M:%S"], capture_output=True, text=True, check=True
        ).stdout.strip()
        + f".{middle % 1_000_000_000:09d}"
    )
    early = audit("--to", moment, f"external={CLEAN['external']}")[1]["captures"][0]
    late = audit("--from", moment, f"external={CLEAN['external']}")[1]["captures"][0]
    before = sum(time < middle for time in times)
    assert early["packets"] == late["packets"] == whole["packets"] == len(times)
    assert early["accounting"]["filtered"] == len(times) - before
    assert late["accounting"]["filtered"] == before


def test_evidence_names_finding_and_rule_and_is_read_by_others(audit: Run, tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    _, result, _ = audit("--evidence", str(folder), f"internal={BROKEN['internal']}")
    assert result["findings"]
    names = set()
    read_by_tshark: set[tuple[str, str]] = set()
    for finding in result["findings"]:
        [evidence] = finding["evidence"]
        path = folder / evidence["path"]
        names.add(evidence["path"])
        data = path.read_bytes()
        assert hashlib.sha256(data).hexdigest() == evidence["sha256"]
        assert finding["id"].encode() in data[:1000]
        assert finding["rule"].encode() in data[:1000]
        assert 0 < evidence["packets"] <= 16 * len(finding["samples"])
        kind = (finding["transport"], finding["service"])
        if kind in read_by_tshark:
            continue
        read_by_tshark.add(kind)  # one of each: a start of tshark takes half a second, and cutting knows no rule
        shown = " || ".join(f"({sample['display_filter']})" for sample in finding["samples"])
        tshark = subprocess.run(
            ["tshark", "-r", str(path), "-Y", shown, "-T", "fields", "-e", "frame.number"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert len(tshark.stdout.splitlines()) == evidence["packets"]
    assert set(os.listdir(folder)) == names


def test_evidence_of_what_can_be_read_once_only_is_refused(audit: Run, tmp_path: Path) -> None:
    status, result, err = audit("--evidence", str(tmp_path / "e"), "external=-")
    assert (status, result) == (2, {})
    assert "second time" in err


def test_two_runs_and_any_chunking_give_the_same_bytes(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = set()
    for block in (4 * 1024 * 1024, 4 * 1024 * 1024, 977):
        monkeypatch.setattr(capture_files, "BLOCK", block)
        main(["audit", "--format", "json", "--topology", TOPOLOGY, *both(CLEAN), *both(BROKEN)])
        outputs.add(capfdbinary.readouterr().out)
    assert len(outputs) == 1


def test_rotated_files_give_what_the_whole_gives(audit: Run, tmp_path: Path) -> None:
    packets = sorted(
        [*all_packets(CLEAN["external"]), *all_packets(BROKEN["external"])], key=lambda packet: packet.time
    )
    step = len(packets) // 39
    for number in range(0, len(packets), step):
        (tmp_path / f"{number:05}.pcap").write_bytes(pcap(packets[number : number + step]))
    _, split, _ = audit(f"external={tmp_path}")
    _, whole, _ = audit(*(f"external={path}" for path in (CLEAN["external"], BROKEN["external"])))
    assert len(split["captures"]) >= 39
    for name in ("totals", "paths", "attempts", "verdict"):
        assert split[name] == whole[name]
    assert [(f["id"], f["flows"], f["packets"]) for f in split["findings"]] == [
        (f["id"], f["flows"], f["packets"]) for f in whole["findings"]
    ]


def test_an_html_report_is_left_beside_the_result(audit: Run, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    _, result, _ = audit("--report", str(page), *both(BROKEN))
    text = page.read_text(encoding="utf-8")
    assert result["findings"][0]["id"] in text
    assert "<script" not in text


def test_other_traffic_is_out_of_scope(audit: Run) -> None:
    status, result, _ = audit(f"external={PCAPS / 'lookalikes.pcap'}")
    assert result["findings"] == []
    assert result["totals"]["out_of_scope"] == result["totals"]["flows"] > 0
    assert status == 0


def test_packets_of_one_pair_can_be_kept(tmp_path: Path) -> None:
    """What the cutting in these tests keeps is what it says."""
    data = kept(CLEAN["internal"], lambda source, destination: "172.25.33.10" in (source, destination))
    assert 24 < len(data) < len(pcap(all_packets(CLEAN["internal"])))
