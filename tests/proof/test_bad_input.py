"""Bad input: each mistake has its sentence, what can be read is judged, the exit status says which it was.

The statuses are those of the program's `--help`: 2 an input that cannot be read or is no capture, 3 one that is empty
or broken in the middle, 0 for a tail cut off in the last record. 4, our own failure, must never come of input.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import zstandard

from monitor.cli import main
from reports.schemas import schema
from tests.house.captures import BROKEN, CLEAN, TOPOLOGY, all_packets, pcap

Audit = Callable[..., tuple[int, dict[str, Any], str]]

PUBLISHED = jsonschema.Draft202012Validator(schema("audit"))
GOOD = Path(CLEAN["external"]).read_bytes()
PCAP = pcap(all_packets(CLEAN["external"]))


@pytest.fixture
def audit(capfdbinary: pytest.CaptureFixture[bytes]) -> Audit:
    def run(*captures: str, topology: str = TOPOLOGY) -> tuple[int, dict[str, Any], str]:
        status = main(["audit", "--quiet", "--topology", topology, "--format", "json", *captures])
        out, err = capfdbinary.readouterr()
        result = json.loads(out) if out else {}
        if result:
            PUBLISHED.validate(result)
            for capture in result["captures"]:
                assert capture["packets"] == sum(capture["accounting"].values())
        return status, result, err.decode()

    return run


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("capture.pcap", data)
    return file.getvalue()


WRONG: dict[str, tuple[bytes, str]] = {
    "nothing.pcap": (b"", "it holds no bytes"),
    "short.pcap": (PCAP[:11], "is no capture"),
    "picture.png": (b"\x89PNG\r\n\x1a\n" + bytes(500), "is no capture"),
    "notes.txt": (b"10:00 rang the operator\n" * 40, "is no capture"),
    "archive.zip": (zipped(PCAP), "is no capture"),
    "notes.gz": (gzip.compress(b"10:00 rang the operator\n" * 40), "is no capture"),
    "nothing.gz": (gzip.compress(b""), "is no capture"),
    "nothing.zst": (zstandard.compress(b""), "is no capture"),
    "head-only.gz": (gzip.compress(PCAP)[:5], "is no capture"),
}
"""Files that are no captures, and what must be said of them."""


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_capture_is_a_mistake_and_the_rest_is_judged(audit: Audit, tmp_path: Path, name: str) -> None:
    data, why = WRONG[name]
    bad = tmp_path / name
    bad.write_bytes(data)
    status, result, err = audit(f"external={bad}", f"external={CLEAN['external']}")
    assert (status, result["totals"]["violation"]) == (2, 0)
    [capture] = result["captures"]
    assert capture["path"] == CLEAN["external"]
    assert str(bad) in err
    assert why in err
    assert main(["flows", "--quiet", "--format", "jsonl", str(bad)]) == 2


def overwritten(data: bytes) -> bytes:
    """Compressed data of which an eighth, from the middle on, was written over."""
    middle, size = len(data) // 2, len(data) // 8
    return data[:middle] + b"\xff" * size + data[middle + size :]


PACKETS = all_packets(CLEAN["external"])
HALF = pcap(PACKETS[: len(PACKETS) // 2])
BROKEN_LATER: dict[str, bytes] = {
    "records.pcap": HALF + b"\xff" * 64 + PCAP[len(HALF) :],
    "blocks.pcapng": GOOD[:20_000] + b"\xff" * 3_000 + GOOD[23_000:],
    "stream.gz": overwritten(gzip.compress(PCAP, mtime=0)),
    "stream.zst": overwritten(zstandard.ZstdCompressor(write_checksum=True).compress(PCAP)),
    "behind.pcap": PCAP + b"\xff" * 64,
}
"""Captures damaged behind their beginning."""


@pytest.mark.parametrize("name", BROKEN_LATER)
def test_a_capture_broken_in_the_middle_is_judged_up_to_there(audit: Audit, tmp_path: Path, name: str) -> None:
    bad = tmp_path / name
    bad.write_bytes(BROKEN_LATER[name])
    status, result, err = audit(f"external={bad}")
    assert (status, result["verdict"]) == (3, "inconclusive")
    [capture] = result["captures"]
    assert not capture["complete"]
    assert capture["packets"] >= (0 if name == "stream.zst" else 100)
    assert str(bad) in err
    assert result["findings"] == []


@pytest.mark.parametrize("lost", [1, 5, 17, 40])
def test_a_tail_cut_off_changes_no_status(audit: Audit, tmp_path: Path, lost: int) -> None:
    for name, data in (("cut.pcap", PCAP), ("cut.pcapng", GOOD), ("cut.gz", gzip.compress(PCAP, mtime=0))):
        bad = tmp_path / name
        bad.write_bytes(data[:-lost])
        status, result, _ = audit(f"external={bad}")
        assert (name, status) == (name, 0)
        assert result["captures"][0]["complete"] is False


def test_an_empty_capture_is_inconclusive(audit: Audit, tmp_path: Path) -> None:
    (tmp_path / "empty.pcap").write_bytes(PCAP[:24])
    (tmp_path / "empty.pcapng").write_bytes(GOOD[: int.from_bytes(GOOD[4:8], "little")])
    for name in ("empty.pcap", "empty.pcapng"):
        status, result, _ = audit(f"external={tmp_path / name}")
        assert (status, result["verdict"]) == (3, "inconclusive")
        assert main(["flows", "--quiet", "--format", "jsonl", str(tmp_path / name)]) == 3
        assert result["captures"][0]["packets"] == 0
        assert "external" in result["why"]


def test_a_folder_is_judged_whatever_else_lies_in_it(
    audit: Audit, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    below = tmp_path / "2026" / "11"
    below.mkdir(parents=True)
    (below / "b.pcapng").write_bytes(GOOD)
    (tmp_path / "a.pcap.gz").write_bytes(gzip.compress(pcap(all_packets(BROKEN["external"]))))
    for name, (data, _) in WRONG.items():
        if name != "short.pcap":  # begins as a capture does, so its loss is told
            (tmp_path / name).write_bytes(data)
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(tmp_path / "pipe")
    status, result, _ = audit(f"external={tmp_path}")
    assert (status, result["verdict"]) == (1, "violations")
    assert sorted(Path(capture["path"]).name for capture in result["captures"]) == ["a.pcap.gz", "b.pcapng"]
    main(["audit", "--topology", TOPOLOGY, f"external={tmp_path}"])
    assert b"skipped" in capfdbinary.readouterr().err


def test_a_folder_without_captures_is_a_mistake(audit: Audit, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    status, _, err = audit(f"external={tmp_path}")
    assert status == 2
    assert "holds no capture" in err


@pytest.mark.parametrize("seed", range(40))
def test_damage_anywhere_is_never_our_failure(audit: Audit, tmp_path: Path, seed: int) -> None:
    """Octets changed, removed and doubled in all four captures at once: a result, and one of the promised statuses."""
    chance = random.Random(seed)
    arguments = []
    for number, (position, path) in enumerate([*CLEAN.items(), *BROKEN.items()]):
        data = bytearray(Path(path).read_bytes())
        for _ in range(chance.choice((1, 5, 50, 500))):
            at = chance.randrange(len(data))
            data[at] = chance.randrange(256)
        at, size = chance.randrange(len(data)), chance.randrange(2_000)
        data[at : at + size] = b"" if chance.random() < 0.5 else data[at : at + size] * 2
        bad = tmp_path / f"{number}.pcapng"
        bad.write_bytes(data)
        arguments.append(f"{position}={bad}")
    status, result, err = audit(*arguments)
    assert status in (0, 1, 2, 3), err
    assert "Traceback" not in err
    assert result["verdict"] in ("no-violation-seen", "violations", "inconclusive")
    assert status != 0 or result["verdict"] == "no-violation-seen"


TEN_FAULTS = """\
edgewarden: 7
organization: Contoso
product: lync-1999
zones:
  perimeter-ext: [10.45.16.0/33]
  perimeter-int: [172.25.33.0/24]
  internal: [172.25.33.0/24]
  moon: [10.9.0.0/16]
edge_pools:
  - fqdn: lsedge.contoso.net
    next_hop: nowhere.contoso.net
    access: {public: 203.0.113.300, fqdn: sip.contoso.com}
    webconf: {public: 203.0.113.20, fqdn: webcon.contoso.com, port: 99999}
    members: []
colour: red
colour: blue
"""


def test_all_faults_of_a_topology_come_at_once(audit: Audit, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(TEN_FAULTS, encoding="utf-8")
    status, result, err = audit(f"external={CLEAN['external']}", topology=str(site))
    assert (status, result) == (2, {})
    places = [line.split(": ")[0] for line in err.splitlines() if line.startswith(str(site))]
    lines = [int(place.split(":")[-2]) for place in places]
    assert len(places) >= 10
    assert lines == sorted(lines)
    assert {1, 3, 5, 7, 8, 11, 12, 13, 15, 16} <= set(lines)
    assert all("(" in line for line in err.splitlines() if line.startswith(str(site))), "what would be right is told"
