"""What sensors watched, as a report tells it: gaps with their reasons, losses, taps that show half; and that a day seen
live is reported like the same packets in an audit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from monitor.cli import main
from monitor.store.entry import Deltas, LiveRun, Span
from monitor.store.sqlite import open_record
from reports.schemas import schema
from tests.house.captures import BROKEN, CLEAN, TOPOLOGY, all_packets
from tests.live.test_live_session import play, session, stated
from tests.report.records import DIGEST, POLICY, at, attempt, count, entry, finding, record, report, watched

PUBLISHED = jsonschema.Draft202012Validator(schema("report"))
LIVE = {"sensors": [["outer", "external"], ["second", "external"]]}


def run(path: Path, sensor: str, *deltas: Deltas, **scope: Any) -> int:
    """A live session at `external` that begins with its first span."""
    assert deltas[0].span is not None
    opened = open_record(str(path), writing=True)
    number = opened.begin(
        LiveRun("0.1.0", "Contoso", DIGEST, POLICY, sensor, "external", None, ("eth1",), (), json.dumps(scope)),
        deltas[0].span.first,
    )
    for delta in deltas:
        opened.append(number, delta)
    opened.close()
    return number


def span(first: str, last: str, **more: Any) -> Span:
    return Span(at(first), at(last), **more)


def test_a_sensor_that_was_killed_leaves_a_gap_and_a_named_loss(tmp_path: Path) -> None:
    """Killed at noon with 3 packets unrecorded, back at one, stopped at ten in the evening. 21 of 24 hours; of 2,010
    packets 5 were dropped by the kernel, 2 by the card, 3 interrupted."""
    path = tmp_path / "record.db"
    morning = span("2026-11-24T00:00:00", "2026-11-24T12:00:00", packets=1000, octets=9000, kernel=5)
    number = run(path, "outer", Deltas(span=morning), sensors=[["outer", "external"]])
    opened = open_record(str(path), writing=True)
    assert opened.interrupt(number, at("2026-11-24T00:00:00"), 1003) == 3
    opened.close()
    evening = span("2026-11-24T13:00:00", "2026-11-24T22:00:00", packets=1000, octets=9000, nic=2, closed=True)
    run(path, "outer", Deltas(span=evening), sensors=[["outer", "external"]])
    made = report(path, "2026-11-24")
    PUBLISHED.validate(made)
    [sensor] = made["coverage"]["sensors"]
    assert sensor["share"] == 21 / 24
    assert [(gap["from"][11:19], gap["to"][11:19], gap["why"]) for gap in sensor["gaps"]] == [
        ("12:00:00", "13:00:00", "the sensor was killed or its machine failed"),
        ("22:00:00", "00:00:00", None),
    ]
    assert sensor["lost"] == {"queue": 0, "interrupted": 3, "kernel": 5, "nic": 2}
    assert sensor["loss"] == 10 / 2010
    assert made["verdict"] == "inconclusive"
    assert "watched 87.5 % of the time" in made["why"]
    assert "outer lost 0.50% of its packets" in made["why"]


@pytest.mark.parametrize(
    ("ends", "until"),
    [
        ({"outer": ("11:59:55", True)}, "11:59:55"),  # ended in order: there is nothing to wait for
        ({"outer": ("11:59:58", False), "second": ("11:59:51", False)}, "11:59:51"),  # what both have recorded
        ({"outer": ("11:59:58", False), "second": ("11:00:00", False)}, "11:59:58"),  # the second was killed
        ({"outer": ("11:00:00", True)}, "11:59:30"),  # half a minute ago somebody would have recorded
    ],
)
def test_an_unfinished_period_ends_where_sensors_have_recorded(
    tmp_path: Path, ends: dict[str, tuple[str, bool]], until: str
) -> None:
    path = tmp_path / "record.db"
    for sensor, (end, closed) in ends.items():
        watched = span("2026-11-24T10:00:00", f"2026-11-24T{end}", packets=100, octets=900, closed=closed)
        run(path, sensor, Deltas(span=watched), sensors=[[sensor, "external"]])
    made = report(path, "2026-11-24", now="2026-11-24T12:00:00")
    assert made["period"]["until"] == f"2026-11-24T{until}.000000Z"
    assert made["totals"]["packets"] == 100 * len(ends)


def test_each_declared_live_sensor_must_have_watched(tmp_path: Path) -> None:
    """One ran all day, the other until noon; a capture of the afternoon makes it good."""
    path = tmp_path / "record.db"
    run(path, "outer", Deltas(span=span("2026-11-24T00:00:00", "2026-11-25T00:00:00", packets=10)), **LIVE)
    run(path, "second", Deltas(span=span("2026-11-24T00:00:00", "2026-11-24T12:00:00", packets=10)), **LIVE)
    made = report(path, "2026-11-24")
    assert made["coverage"]["positions"] == [{"position": "external", "share": 0.5}]
    assert made["verdict"] == "inconclusive"
    record(tmp_path, entry([watched("2026-11-24T12:00:00", "2026-11-25T00:00:00")], **LIVE))
    made = report(path, "2026-11-24")
    assert made["coverage"]["positions"] == [{"position": "external", "share": 1.0}]
    assert made["verdict"] == "no-violation-seen"


def test_a_declared_sensor_that_never_ran_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    run(path, "outer", Deltas(span=span("2026-11-24T00:00:00", "2026-11-25T00:00:00", packets=10)), **LIVE)
    made = report(path, "2026-11-24")
    assert [(sensor["sensor"], sensor["share"]) for sensor in made["coverage"]["sensors"]] == [
        ("outer", 1.0),
        ("second", 0.0),
    ]
    assert made["why"] == "position external was not watched"


def test_what_the_site_requires_goes_before_what_it_declares(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    declared = [["outer", "external"], ["inner", "internal"]]
    day = span("2026-11-24T00:00:00", "2026-11-25T00:00:00", packets=10)
    run(path, "outer", Deltas(span=day), sensors=declared, require=["external"])
    made = report(path, "2026-11-24")
    assert made["coverage"]["positions"] == [{"position": "external", "share": 1.0}]
    assert made["verdict"] == "no-violation-seen"
    assert {sensor["sensor"]: sensor["share"] for sensor in made["coverage"]["sensors"]} == {"outer": 1.0, "inner": 0.0}


def test_no_attempt_is_concluded_from_half_of_the_traffic(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    day = span("2026-11-24T00:00:00", "2026-11-25T00:00:00", packets=10, one_way=True)
    seen = [count("attempt", "2026-11-24T08:00:00", 4), count("undecided", "2026-11-24T08:00:00", 1)]
    run(path, "outer", Deltas(attempts=(attempt("2026-11-24T08:00:00", "192.0.2.1"),), verdicts=tuple(seen), span=day))
    made = report(path, "2026-11-24")
    assert (made["attempts"], made["totals"]["attempt"], made["totals"]["undecided"]) == ([], 0, 5)
    assert (made["verdict"], made["why"]) == ("inconclusive", "the tap at outer shows one direction only")


def test_a_cable_that_carries_nothing_proves_nothing(tmp_path: Path) -> None:
    """The sensor ran all day and heard only 7 frames that are not IP: contract 3, "no IP packet"."""
    path = tmp_path / "record.db"
    day = span("2026-11-24T00:00:00", "2026-11-25T00:00:00", packets=7, accounting={"non_ip": 7})
    run(path, "outer", Deltas(span=day))
    made = report(path, "2026-11-24")
    assert (made["verdict"], made["why"]) == ("inconclusive", "no IP packet was seen at position external")


def test_a_window_counts_the_quarter_in_which_it_begins(tmp_path: Path) -> None:
    """Seen at 08:21; whoever asks about 08:20 to 09:00 must hear of it, and what else is counted."""
    path = tmp_path / "record.db"
    day = span("2026-11-24T00:00:00", "2026-11-25T00:00:00", packets=20)
    run(path, "outer", Deltas(findings=(finding(1, "2026-11-24T08:21:00"),), span=day))
    made = report(path, "2026-11-24T08:20..2026-11-24T09:00")
    assert made["verdict"] == "violations"
    assert made["why"].endswith("here 2026-11-24T08:15:00.000000Z to 2026-11-24T09:00:00.000000Z")


def test_what_was_taken_back_is_in_no_report(tmp_path: Path) -> None:
    """A flow counted at 08:07 turns out to be none at 08:14; the finding of 09:00 stays."""
    path = tmp_path / "record.db"
    first, back = finding(1, "2026-11-24T08:07:00"), finding(1, "2026-11-24T08:14:00", flows=-1)
    day = span("2026-11-24T00:00:00", "2026-11-25T00:00:00", packets=20)
    later = Deltas(findings=(back, finding(2, "2026-11-24T09:00:00")))
    run(path, "outer", Deltas(findings=(first,), span=day), later)
    for period in ("2026-11-24", "2026-11-24T08:00..2026-11-24T09:01", "2026-11-24T08:10..2026-11-24T09:01"):
        assert [f["id"] for f in report(path, period)["findings"]] == [f"{2:016x}"], period


@pytest.mark.parametrize("position", ["external", "internal"])
def test_a_day_seen_live_is_reported_like_its_audit(
    tmp_path: Path, position: str, capfd: pytest.CaptureFixture[str]
) -> None:
    live, offline = tmp_path / "live.db", tmp_path / "offline.db"
    captures = [CLEAN[position], BROKEN[position]]
    for capture in captures:
        packets = all_packets(capture)
        play(session(live, position, packets), packets, range(0, len(packets), 50))
    named = [f"{position}={capture}" for capture in captures]
    main(["audit", "-q", "--store", f"sqlite:///{offline}", "--topology", TOPOLOGY, *named])
    capfd.readouterr()
    seen, told = report(live, "2026-11-22"), report(offline, "2026-11-22")
    assert stated(seen["findings"]) == stated(told["findings"])
    assert len(seen["findings"]) > 5
    for part in ("totals", "severities", "verdict", "attempts"):
        assert _timeless(seen[part]) == _timeless(told[part]), part
    assert _timeless(seen["paths"]) == _timeless(told["paths"])
    for part in ("min_share", "max_loss"):
        assert seen["coverage"][part] == told["coverage"][part]
    assert seen["coverage"]["observable"] == told["coverage"]["observable"]
    [sensor] = seen["coverage"]["sensors"]
    [capture] = told["coverage"]["sensors"]
    for part in ("packets", "bytes", "accounting", "lost", "loss"):
        assert sensor[part] == capture[part], part


def _timeless(part: Any) -> Any:
    """Without first and last: what was taken back of a live flow leaves its quarter of an hour wider."""
    if isinstance(part, Sequence) and not isinstance(part, str):
        return [{key: value for key, value in one.items() if key not in ("first", "last")} for one in part]
    return part
