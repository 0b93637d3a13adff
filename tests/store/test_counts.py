"""What a record answers is what the audits said, each capture once: held against the audits' own output."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from monitor.store.sqlite import reading
from tests.house.captures import BROKEN, CLEAN, TOPOLOGY, all_packets, pcap
from tests.store.conftest import Ask, Audit, both

SUMMED = ("flows", "packets", "bytes")


def by_id(findings: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {finding["id"]: finding for finding in findings}


def test_a_record_of_one_audit_answers_with_its_findings(audit: Audit, ask: Ask) -> None:
    status, result, err = audit(*both(BROKEN))
    assert (status, err) == (1, "")
    asked, answer, _ = ask()
    assert asked == 0
    assert len(result["findings"]) > 10
    assert answer == {"schema": 1, "findings": result["findings"], "attempts": result["attempts"]}


def test_a_store_changes_no_other_output(audit: Audit, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    _, with_store, _ = audit(*both(BROKEN))
    main(["audit", "--topology", TOPOLOGY, "--format", "json", *both(BROKEN)])
    assert json.loads(capfdbinary.readouterr().out) == with_store


def test_two_audits_add_up_to_the_audit_of_both(audit: Audit, ask: Ask) -> None:
    """Captures of different times and sensors, so that no flow is in two of them."""
    for captures in (BROKEN, CLEAN):
        for argument in both(captures):
            audit(argument)
    _, answer, _ = ask()
    _, result, _ = audit("--to", "2027-01-01", *both(BROKEN), *both(CLEAN))
    # Members of a pool that show another certificate later are seen only by who sees both times.
    rule = "cert-differs-in-pool"
    alone = [finding for finding in result["findings"] if finding["rule"] != rule]
    assert len(alone) == len(result["findings"]) - 1
    told = [sample["flow"]["edgewarden"]["rules"] for finding in alone for sample in finding["samples"]]
    taking_part = [rules for rules in told if rule in rules]
    assert taking_part, "samples of other findings name it, too"
    for rules in taking_part:
        rules.remove(rule)
    assert answer["findings"] == alone
    assert answer["attempts"] == result["attempts"]


def test_the_same_capture_counts_once(audit: Audit, ask: Ask, tmp_path: Path) -> None:
    audit(*both(BROKEN))
    _, before, _ = ask()
    copy = tmp_path / "copy of the same.pcapng"
    shutil.copy(BROKEN["external"], copy)
    status, result, err = audit(f"external={copy}")
    assert status == 1
    assert result["findings"]
    assert "recorded before" in err
    assert str(copy) in err
    assert ask()[1] == before


def test_the_same_capture_twice_in_one_audit_counts_once(audit: Audit, ask: Ask, tmp_path: Path) -> None:
    copy = tmp_path / "copy.pcapng"
    shutil.copy(BROKEN["external"], copy)
    _, _, err = audit(f"external={BROKEN['external']}", f"external={copy}")
    assert str(copy) in err
    alone = audit(f"external={BROKEN['external']}", store=f"sqlite:///{tmp_path / 'other.db'}")[1]
    assert ask()[1]["findings"] == alone["findings"]


def test_of_known_and_new_captures_the_new_ones_are_added(audit: Audit, ask: Ask) -> None:
    audit(f"external={BROKEN['external']}")
    _, result, err = audit(*both(BROKEN))
    assert BROKEN["external"] in err
    assert BROKEN["internal"] not in err
    _, answer, _ = ask()
    assert answer["findings"] == result["findings"]
    assert answer["attempts"] == result["attempts"]


def test_a_known_capture_with_a_pipe_is_not_recorded_by_half(audit: Audit, ask: Ask, tmp_path: Path) -> None:
    """A pipe cannot be judged a second time without the capture that is known."""
    audit(f"external={BROKEN['external']}")
    _, before, _ = ask()
    read, write = os.pipe()
    try:
        small = pcap(all_packets(BROKEN["internal"])[:40])
        assert len(small) < 60_000  # fits a pipe
        os.write(write, small)
        os.close(write)
        status, result, err = audit(f"external={BROKEN['external']}", f"internal=/dev/fd/{read}")
    finally:
        os.close(read)
    assert status == 2
    assert len(result["captures"]) == 2
    assert "audit it alone" in err
    assert ask()[1] == before


def test_one_file_of_two_sensors_counts_for_both(audit: Audit, ask: Ask) -> None:
    capture = BROKEN["external"]
    audit(f"external={capture}")
    _, result, err = audit(f"internal={capture}")
    assert err == ""
    positions = {finding["position"] for finding in ask()[1]["findings"]}
    assert positions == {"external", "internal"} | {finding["position"] for finding in result["findings"]}


def test_an_interface_counts_once(audit: Audit, ask: Ask) -> None:
    """The file has one interface: without #0 it is the same packets."""
    audit(f"external={BROKEN['external']}#0")
    _, before, _ = ask()
    assert "recorded before" in audit(f"external={BROKEN['external']}")[2]
    assert "recorded before" in audit(f"external={BROKEN['external']}#0")[2]
    assert ask()[1] == before


def test_a_sensor_that_was_renamed_counts_once(audit: Audit, ask: Ask, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed.yaml"
    text = Path(TOPOLOGY).read_text(encoding="utf-8")
    renamed.write_text(text + "\nsensors: [{name: outer, position: external}]\n", encoding="utf-8")
    _, first, _ = audit(f"external={BROKEN['external']}")
    _, second, err = audit(f"outer={BROKEN['external']}", topology=str(renamed))
    assert [f["id"] for f in second["findings"]] == [f["id"] for f in first["findings"]]
    assert "recorded before" in err
    assert ask()[1]["findings"] == first["findings"]


def test_parts_of_a_capture_by_time(audit: Audit, ask: Ask) -> None:
    """Two stretches that do not meet count both; one that overlaps what was counted does not."""
    capture = f"external={BROKEN['external']}"
    middle = "2026-11-22T09:01:30"
    _, first, _ = audit("--to", middle, capture)
    _, second, err = audit("--from", middle, capture)
    assert err == ""
    answer = ask()[1]
    sums = {name: sum(f[name] for part in (first, second) for f in part["findings"]) for name in SUMMED}
    assert {name: sum(f[name] for f in answer["findings"]) for name in SUMMED} == sums
    _, _, err = audit(capture)
    assert "recorded before" in err
    assert ask()[1] == answer


def test_evidence_stands_in_the_record(audit: Audit, ask: Ask, tmp_path: Path) -> None:
    _, result, _ = audit("--evidence", str(tmp_path / "cut"), f"internal={BROKEN['internal']}")
    known = by_id(ask()[1]["findings"])
    for finding in result["findings"]:
        for evidence in finding["evidence"]:
            [kept] = known[finding["id"]]["evidence"]
            assert kept == {**evidence, "path": str(tmp_path / "cut" / evidence["path"])}
            assert Path(kept["path"]).exists()


def test_a_clean_site_has_an_empty_answer(audit: Audit, ask: Ask) -> None:
    assert audit(*both(CLEAN))[0] == 0
    assert ask()[1] == {"schema": 1, "findings": [], "attempts": []}


def test_captures_that_cannot_be_read_are_not_recorded(audit: Audit, path: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no capture at all, but long enough to be looked at")
    status, _, _ = audit(f"external={tmp_path / 'notes.txt'}")
    assert status == 2
    audit(f"external={tmp_path / 'notes.txt'}", f"external={CLEAN['external']}")
    with reading(str(path)) as connection:
        assert connection.execute("SELECT count(*) FROM captures").fetchone() == (1,)
