"""`flows` end to end: formats that agree, order, filters, statuses, and no crash on anything."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest
import zstandard

from monitor import capture_files, flows
from monitor.cli import main
from monitor.order import Sorter
from reports.schemas import schema
from tests.corpus import ABSENT, corpus_captures
from tests.house.captures import BROKEN, CLEAN, PCAPS, TOPOLOGY, all_packets, pcap, without

VALIDATOR = jsonschema.Draft202012Validator(schema("flows"))  # making one costs more than a row

Run = Callable[..., tuple[int, bytes, str]]


@pytest.fixture(autouse=True)
def no_topology(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEWARDEN_TOPOLOGY", raising=False)


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    def call(*arguments: str) -> tuple[int, bytes, str]:
        status = main(["flows", *arguments])
        out, err = capfdbinary.readouterr()
        return status, out, err.decode()

    return call


def rows(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def judged(position: str) -> list[str]:
    return ["--topology", TOPOLOGY, f"{position}={BROKEN[position]}"]


def test_every_row_is_valid_and_every_verdict_expected(run: Run) -> None:
    document = json.loads((PCAPS / "expected.json").read_text(encoding="utf-8"))
    for name, capture in document["captures"].items():
        _, out, _ = run("--format", "jsonl", "--topology", TOPOLOGY, f"{capture['sensor']}={PCAPS / name}")
        found = {}
        for row in rows(out):
            VALIDATOR.validate(row)
            found[_key(row, row["event"]["start"])] = row
        assert len(found) == len(capture["flows"])
        for flow in capture["flows"]:
            row = found[_key({**flow, "network": flow}, flow["start"])]
            said = row["edgewarden"]
            assert said["verdict"] == flow["verdict"], flow["scenario"]
            assert said.get("path") == flow["path"], flow["scenario"]
            assert said["rules"] == flow["rules"], flow["scenario"]
            if "services" in flow:
                assert said["services"] == flow["services"], flow["scenario"]
                assert row["network"].get("protocol") == flow["protocol"], flow["scenario"]
            assert not set(flow.get("never", ())) & {*said["services"], row["network"].get("protocol")}


def _key(row: dict[str, Any], start: str) -> tuple[Any, ...]:
    ends = [(row[end]["ip"], row[end].get("port")) for end in ("source", "destination")]
    return (row["network"]["transport"], *ends, start)


def test_csv_and_parquet_say_what_json_says(run: Run, tmp_path: Path) -> None:
    lines = rows(run("--format", "jsonl", *judged("external"))[1])
    table = list(csv.DictReader(io.StringIO(run("--format", "csv", *judged("external"))[1].decode(), newline="")))
    target = tmp_path / "flows.parquet"
    run("--format", "parquet", "--output", str(target), *judged("external"))
    columns = pq.read_table(target).to_pylist()
    assert len(lines) == len(table) == len(columns) > 20
    for line, cells, values in zip(lines, table, columns, strict=True):
        for name, cell in cells.items():
            value: Any = line
            for part in name.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            stored = values[name]
            if value is None:
                assert cell == ""
                assert stored is None
            elif isinstance(value, bool):
                assert cell == str(value).lower()
                assert stored is value
            elif isinstance(value, list):
                assert cell == ";".join(value)
                assert stored == value
            elif name.endswith((".start", ".end", ".not_before", ".not_after")):
                assert cell == value
                assert stored.isoformat()[:19] == value[:19]
            else:
                assert cell.removeprefix("'") == str(value)
                assert stored == value


def test_the_table_has_a_line_for_each_flow(run: Run) -> None:
    _, out, _ = run(*judged("internal"))
    lines = out.decode().splitlines()
    assert lines[0].startswith("START")
    assert len(lines) == 1 + len(rows(run("--format", "jsonl", *judged("internal"))[1]))
    assert any("violation director-bypass-sip" in line for line in lines)
    assert any("172.25.33.10:" in line for line in lines)


def test_order_is_end_then_start_or_start_then_end(run: Run) -> None:
    captures = [f"{position}={path}" for position, path in {**CLEAN}.items()]
    for option, first, second in (((), "end", "start"), (("--sort", "start"), "start", "end")):
        made = rows(run("--format", "jsonl", "--topology", TOPOLOGY, *option, *captures)[1])
        keys = [(row["event"][first], row["event"][second]) for row in made]
        assert keys == sorted(keys)
        assert {row["observer"]["name"] for row in made} == {"external", "internal"}


def test_spilled_rows_are_the_same_rows(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run("--format", "jsonl", *judged("external"))[1]
    monkeypatch.setattr(flows, "Sorter", lambda by_start: Sorter(by_start=by_start, budget=1))
    monkeypatch.setattr(capture_files, "BLOCK", 2000)
    assert run("--format", "jsonl", *judged("external"))[1] == whole


@pytest.mark.parametrize("verdict", ["violation", "attempt", "allowed", "undecided", "out-of-scope"])
def test_verdict_picks(run: Run, verdict: str) -> None:
    every = rows(run("--format", "jsonl", *judged("external"))[1])
    picked = rows(run("--format", "jsonl", "--verdict", verdict, *judged("external"))[1])
    assert picked == [row for row in every if row["edgewarden"]["verdict"] == verdict]


def test_verdict_needs_a_topology(run: Run) -> None:
    status, out, err = run("--verdict", "violation", CLEAN["external"])
    assert (status, out) == (2, b"")
    assert "needs a topology" in err


def test_the_topology_of_the_environment_is_used_and_that_of_the_folder_is_not(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PCAPS)
    [row, *_] = rows(run("--format", "jsonl", CLEAN["external"])[1])
    assert "verdict" not in row["edgewarden"]
    monkeypatch.setenv("EDGEWARDEN_TOPOLOGY", TOPOLOGY)
    [row, *_] = rows(run("--format", "jsonl", f"external={CLEAN['external']}")[1])
    assert row["edgewarden"]["verdict"] == "allowed"


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_packed_captures_give_the_same_rows(run: Run, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    packed = tmp_path / "packed"
    packed.write_bytes(pack(Path(CLEAN["external"]).read_bytes()))
    plain = rows(run("--format", "jsonl", CLEAN["external"])[1])
    made = rows(run("--format", "jsonl", str(packed))[1])
    assert [without(row, "capture") for row in made] == [without(row, "capture") for row in plain]


def test_one_interface_of_a_capture(run: Run) -> None:
    """The clean captures have one interface, number 0."""
    every = rows(run("--format", "jsonl", CLEAN["external"])[1])
    assert rows(run("--format", "jsonl", f"{CLEAN['external']}#0")[1]) == every
    status, out, err = run("--format", "jsonl", f"{CLEAN['external']}#1")
    assert (status, out) == (2, b"")
    assert "has no interface 1: it describes 1, numbered from 0" in err


def test_statuses(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.pcap").write_bytes(pcap([]))
    (tmp_path / "text").write_text("words, words, words and more words")
    assert run(CLEAN["external"])[0] == 0
    assert run(str(tmp_path / "empty.pcap"))[0] == 3
    assert run(str(tmp_path / "text"))[0] == 2
    status, out, err = run("--format", "jsonl", str(tmp_path / "missing"), CLEAN["external"])
    assert status == 2
    assert len(rows(out)) == 45
    assert "missing: cannot be read" in err


def test_frame_numbers_count_packet_blocks(run: Run) -> None:
    first = rows(run("--format", "jsonl", "--sort", "start", CLEAN["external"])[1])[0]
    assert first["edgewarden"]["frame"] == 1
    assert len(all_packets(CLEAN["external"])) > 800


@pytest.mark.skipif(not corpus_captures(), reason=ABSENT)
def test_real_captures_give_valid_rows_and_add_up(run: Run) -> None:
    for path in corpus_captures():
        status, out, err = run("--format", "jsonl", str(path))
        assert status in (0, 3), (path.name, err)
        for row in rows(out):
            problem = next(iter(VALIDATOR.iter_errors(row)), None)
            assert problem is None, (path.name, problem.message, row)
