"""A record of a capture of several days answers about each of them as an audit of that day alone does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor import aggregate as module
from monitor.store.sqlite import reading
from monitor.sums import QUARTER, Ports
from monitor.times import parse_time
from tests.house.captures import BROKEN, all_packets, pcap
from tests.store.conftest import Audit

HOUR = 3600 * 10**9
DAY = 24 * HOUR
DAYS = 3
MIDNIGHT = parse_time("2026-11-22")


@pytest.fixture
def long_capture(tmp_path: Path) -> str:
    """The shipped capture of some minutes on each of three days."""
    packets = all_packets(BROKEN["internal"])
    path = tmp_path / "days.pcap"
    path.write_bytes(pcap(replace(packet, time=packet.time + day * DAY) for day in range(DAYS) for packet in packets))
    return str(path)


def sums(path: Path, first: int, to: int) -> dict[str, tuple[int, ...]]:
    """By finding, what of a record belongs to a time."""
    with reading(str(path)) as connection:
        rows = connection.execute(
            "SELECT finding, sum(flows), sum(packets), sum(bytes) FROM finding_deltas "
            "WHERE first >= ? AND first < ? GROUP BY finding",
            (first, to),
        )
        return {finding: tuple(counts) for finding, *counts in rows}


def stated(result: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {f["id"]: (f["flows"], f["packets"], f["bytes"]) for f in result["findings"] if f["position"] != "config"}


def test_each_day_is_exact(audit: Audit, path: Path, long_capture: str) -> None:
    _, whole, _ = audit(f"internal={long_capture}")
    days = [sums(path, MIDNIGHT + day * DAY, MIDNIGHT + (day + 1) * DAY) for day in range(DAYS)]
    alone = [
        audit(
            "--from",
            f"2026-11-{22 + day}",
            "--to",
            f"2026-11-{23 + day}",
            f"internal={long_capture}",
            store="sqlite:///",
        )[1]
        for day in range(DAYS)
    ]
    assert days == [stated(result) for result in alone]
    assert len(days[0]) > 5
    added = {f: tuple(map(sum, zip(*(day[f] for day in days if f in day), strict=True))) for f in stated(whole)}
    assert added == stated(whole)


def test_there_is_one_delta_for_each_quarter_of_an_hour(audit: Audit, path: Path, long_capture: str) -> None:
    audit(f"internal={long_capture}")
    with reading(str(path)) as connection:
        keys = connection.execute(f"SELECT verdict, first / {QUARTER} FROM verdict_deltas").fetchall()
        assert len(set(keys)) == len(keys)
        assert len({quarter for _, quarter in keys}) >= DAYS


def test_beyond_the_bound_longer_spells_are_told_apart_and_the_whole_stays_exact(
    audit: Audit, path: Path, long_capture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit(f"internal={long_capture}")
    exact = sums(path, 0, 2**62)
    monkeypatch.setattr(module, "CELLS", 150)
    other = path.parent / "coarse.db"
    _, result, err = audit(f"internal={long_capture}", store=f"sqlite:///{other}")
    assert "hours instead of quarters" in err
    assert sums(other, 0, 2**62) == exact == stated(result)
    rows = []
    for record in (path, other):
        with reading(str(record)) as connection:
            rows.append(connection.execute("SELECT count(*) FROM finding_deltas").fetchone()[0])
    assert rows[1] < rows[0]


def test_counted_ports_can_be_taken_back() -> None:
    """Three flows to 5061, 5062, 5063; the one to 5062 turns out to be another thing."""
    ports = Ports()
    for port in (5061, 5062, 5063):
        ports.count(port, 7)
    taken = Ports()
    taken.count(5062, -7)
    assert ports.ranges() == "5061-5063*7"
    assert taken.ranges() == "5062*-7"
    read = Ports.of(ports.ranges())
    read.update(Ports.of(taken.ranges()))
    assert read.summary() == {"min": 5061, "max": 5063, "distinct": 2}
    assert str(read) == "5061, 5063"
    read.update(Ports.of("80,443"))  # of an audit, which takes nothing back
    assert read.ranges() == "80,443,5061*7,5063*7"
    assert read.summary()["distinct"] == 4
