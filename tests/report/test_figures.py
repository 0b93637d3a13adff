"""The figures of a period, reckoned by hand from small records: what counts where, and what may be said of it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.calendar.periods import zone_named
from reports.schemas import schema
from tests.house.results import finding as published
from tests.report.records import attempt, count, entry, finding, record, report, watched

PUBLISHED = jsonschema.Draft202012Validator(schema("report"))

DAY = ("2026-11-24T00:00:00", "2026-11-25T00:00:00")
PATHS = ["ext-access-client-sip", "ext-xmpp-in", "int-psom"]


def test_a_day_by_hand(tmp_path: Path) -> None:
    path = record(
        tmp_path,
        entry([watched("2026-11-23T00:00:00", "2026-11-24T00:00:00")], [finding(1, "2026-11-23T12:00:00")]),
        entry(
            [watched(*DAY, packets=2000, undecodable=1, non_ip=9)],
            [
                finding(2, "2026-11-24T08:00:00", "2026-11-24T08:05:00", severity="critical", flows=3),
                finding(2, "2026-11-24T09:00:00", "2026-11-24T09:00:10", severity="critical", flows=2),
                finding(3, "2026-11-24T10:00:00", severity="low"),
            ],
            [attempt("2026-11-24T01:00:00", "198.51.100.1", "198.51.100.2", flows=5)],
            [count("allowed", DAY[0], 40), count("violation", DAY[0], 6), count("attempt", DAY[0], 5)],
            [count("ext-access-client-sip", DAY[0], 40)],
            paths=PATHS,
            observable=["unlisted-path"],
            not_observable=[{"rule": "sip-udp", "why": "no sensor at the internal firewall"}],
        ),
    )
    made = report(path, "2026-11-24")
    PUBLISHED.validate(made)
    assert made["period"] == {
        "label": "2026-11-24",
        "from": "2026-11-24T00:00:00.000000Z",
        "to": "2026-11-25T00:00:00.000000Z",
        "until": "2026-11-25T00:00:00.000000Z",
        "zone": "UTC",
        "partial": False,
    }
    assert made["verdict"] == "violations"
    assert made["why"] == "2 findings, the gravest critical: a sentence"
    assert made["totals"] == {
        "packets": 2000,
        "flows": 51,
        "allowed": 40,
        "violation": 6,
        "attempt": 5,
        "undecided": 0,
        "out_of_scope": 0,
    }
    assert made["severities"] == {"critical": 1, "high": 0, "medium": 0, "low": 1, "info": 0}
    [grave, light] = made["findings"]
    assert (grave["id"], grave["flows"], grave["packets"]) == (f"{2:016x}", 5, 50)
    assert (grave["first"], grave["last"]) == ("2026-11-24T08:00:00.000000Z", "2026-11-24T09:00:10.000000Z")
    assert (light["id"], light["flows"]) == (f"{3:016x}", 1)
    assert made["changes"]["new"] == [grave["id"], light["id"]]
    [gone] = made["changes"]["gone"]
    assert (gone["id"], gone["last"]) == (f"{1:016x}", "2026-11-23T12:00:00.000000Z")
    assert made["changes"]["before"]["label"] == "2026-11-23"
    [tried] = made["attempts"]
    assert (tried["flows"], tried["sources"], tried["rule"]) == (5, 2, "sip-udp")
    assert [(p["id"], p["flows"], p["bytes"]) for p in made["paths"]] == [
        ("ext-access-client-sip", 40, 4000),
        ("ext-xmpp-in", 0, 0),
        ("int-psom", 0, 0),
    ]
    assert made["coverage"]["positions"] == [{"position": "external", "share": 1.0}]
    [sensor] = made["coverage"]["sensors"]
    assert (sensor["share"], sensor["gap_count"], sensor["loss"]) == (1.0, 0, 1 / 2000)
    assert sensor["accounting"] == {
        "in_flows": 1990,
        "non_ip": 9,
        "duplicate": 0,
        "fragment_incomplete": 0,
        "undecodable": 1,
        "table_full": 0,
        "filtered": 0,
    }
    assert made["coverage"]["observable"] == ["unlisted-path"]
    assert made["coverage"]["not_observable"] == [{"rule": "sip-udp", "why": "no sensor at the internal firewall"}]


@pytest.mark.parametrize(
    ("zone", "days"),
    [
        # 2026-03-28T23:30Z is Berlin's 00:30 of the 29th, whose day ends an hour early, at 22:00Z.
        ("Europe/Berlin", {"2026-03-28": 1, "2026-03-29": 4, "2026-03-30": 1}),
        # Kathmandu is at +05:45: its 29th begins at 18:15Z.
        ("Asia/Kathmandu", {"2026-03-28": 0, "2026-03-29": 4, "2026-03-30": 2}),
        # St John's is at -02:30 in summer: its 29th begins at 02:30Z.
        ("America/St_Johns", {"2026-03-28": 2, "2026-03-29": 4, "2026-03-30": 0}),
        ("UTC", {"2026-03-28": 2, "2026-03-29": 4, "2026-03-30": 0}),
    ],
)
def test_a_flow_counts_in_the_day_in_which_it_began(tmp_path: Path, zone: str, days: dict[str, int]) -> None:
    """Whatever day it ended; and the days add up to the week."""
    moments = ["28T18:20", "28T23:30", "29T10:00", "29T18:00", "29T21:59", "29T22:00"]
    if zone == "America/St_Johns":
        moments[2] = "29T02:30"  # the first instant of its 29th
    path = record(
        tmp_path,
        entry(
            [watched("2026-03-20T00:00:00", "2026-04-02T00:00:00")],
            [finding(number, f"2026-03-{moment}:00", "2026-04-01T00:00:00") for number, moment in enumerate(moments)],
            verdicts=[count("violation", f"2026-03-{moment}:00", 1) for moment in moments],
        ),
    )
    for day, flows in days.items():
        made = report(path, day, zone=zone)
        assert made["totals"]["violation"] == len(made["findings"]) == flows, day
    whole = report(path, f"{min(days)}..{max(days)}", zone=zone)
    assert whole["totals"]["flows"] == sum(days.values()) == len(moments)
    assert len(whole["findings"]) == len(moments)


def test_days_add_up_to_their_week(tmp_path: Path) -> None:
    """One finding on every day, also over midnight, with as many flows as the date says; 23 + … + 29 = 182."""
    dates = range(23, 30)
    path = record(
        tmp_path,
        entry(
            [watched("2026-11-23T00:00:00", "2026-11-30T00:00:00", packets=700)],
            [finding(1, f"2026-11-{day}T23:59:59", f"2026-11-{day + 1}T04:00:00", flows=day) for day in dates],
            verdicts=[count("violation", f"2026-11-{day}T23:59:59", day) for day in dates],
        ),
    )
    days = [report(path, f"2026-11-{day}") for day in dates]
    week = report(path, "2026-W48")
    assert [day["totals"]["flows"] for day in days] == list(dates)
    assert week["totals"]["flows"] == week["findings"][0]["flows"] == 182
    assert sum(day["findings"][0]["flows"] for day in days) == 182
    assert sum(day["totals"]["packets"] for day in days) == week["totals"]["packets"] == 700
    assert {day["coverage"]["sensors"][0]["share"] for day in days} == {1.0}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"]),
    st.lists(st.tuples(st.integers(0, 9 * 24 * 60), st.integers(1, 9)), max_size=20),
)
def test_days_add_up_whatever_the_zone(
    tmp_path_factory: pytest.TempPathFactory, zone: str, flows: list[tuple[int, int]]
) -> None:
    """Flows of any minute around a week that begins when Berlin has put its clock forward, and at whose end Lord Howe
    puts its back by half an hour; counted here by their local dates, which know nothing of periods."""
    begin = datetime(2026, 3, 28, tzinfo=UTC)
    moments = [((begin + timedelta(minutes=minute)), number) for minute, number in flows]
    path = record(
        tmp_path_factory.mktemp("record"),
        entry(
            [watched("2026-03-20T00:00:00", "2026-04-20T00:00:00")],
            [finding(7, f"{moment:%Y-%m-%dT%H:%M:%S}", flows=number) for moment, number in moments],
        ),
    )
    dates = [date(2026, 3, 30) + timedelta(days=day) for day in range(7)]
    counted = {day.isoformat(): 0 for day in dates}
    for moment, number in moments:
        day = moment.astimezone(zone_named(zone)).date().isoformat()
        if day in counted:
            counted[day] += number
    assert {day: _flows(report(path, day, zone=zone)) for day in counted} == counted
    assert _flows(report(path, "2026-W14", zone=zone)) == sum(counted.values())


def _flows(made: dict[str, Any]) -> int:
    return sum(f["flows"] for f in made["findings"])


def test_gaps_and_the_share_of_the_time(tmp_path: Path) -> None:
    """Of 24 hours 18 were watched; a file that begins within a minute of the last one leaves no gap."""
    path = record(
        tmp_path,
        entry([watched("2026-11-24T00:00:00", "2026-11-24T06:00:00")]),
        entry([watched("2026-11-24T06:00:30", "2026-11-24T12:00:00")]),
        entry([watched("2026-11-24T18:00:00", "2026-11-25T03:00:00")]),
    )
    made = report(path, "2026-11-24")
    [sensor] = made["coverage"]["sensors"]
    assert sensor["share"] == 0.75
    gap = {"from": "2026-11-24T12:00:00.000000Z", "to": "2026-11-24T18:00:00.000000Z"}
    assert sensor["gaps"] == [{**gap, "why": "no capture holds this time"}]
    assert made["verdict"] == "inconclusive"
    assert made["why"] == (
        "position external was watched 75 % of the time, less than the 95 % that policy.coverage.min_share asks for"
    )


def test_nothing_seen_is_said_of_what_was_watched(tmp_path: Path) -> None:
    """A site that asks for half of the time is content with twelve hours of a day."""
    half = watched("2026-11-24T00:00:00", "2026-11-24T12:00:00")
    path = record(tmp_path, entry([half], verdicts=[count("allowed", DAY[0], 7)], min_share=0.5))
    made = report(path, "2026-11-24")
    assert made["verdict"] == "no-violation-seen"
    assert made["why"] == ("none of the 7 judged flows seen at external (50 % of the time) violates the policy")


def test_a_required_position_that_nobody_watched(tmp_path: Path) -> None:
    path = record(tmp_path, entry([watched(*DAY)], require=["external", "internal"]))
    made = report(path, "2026-11-24")
    assert made["verdict"] == "inconclusive"
    assert made["why"] == "position internal was not watched"


def test_captures_of_two_sites_are_taken_together(tmp_path: Path) -> None:
    """Without declared live sensors a position was watched when anybody was there."""
    morning = watched("2026-11-24T00:00:00", "2026-11-24T12:00:00", sensor="a")
    evening = watched("2026-11-24T12:00:00", "2026-11-25T00:00:00", sensor="b")
    made = report(record(tmp_path, entry([morning, evening])), "2026-11-24")
    assert made["verdict"] == "no-violation-seen"
    assert [sensor["share"] for sensor in made["coverage"]["sensors"]] == [0.5, 0.5]


def test_too_many_losses(tmp_path: Path) -> None:
    """2 of 1,000 packets, where the default allows one."""
    made = report(record(tmp_path, entry([watched(*DAY, table_full=2)])), "2026-11-24")
    assert made["verdict"] == "inconclusive"
    assert made["why"] == "external lost 0.20% of its packets, more than the 0.10% that policy.coverage.max_loss allows"


def test_doubts_of_a_run_stay(tmp_path: Path) -> None:
    doubt = "the tap at external shows one direction only"
    made = report(record(tmp_path, entry([watched(*DAY)], doubts=[doubt])), "2026-11-24")
    assert (made["verdict"], made["why"]) == ("inconclusive", doubt)


def test_an_unfinished_period_is_marked_and_cut(tmp_path: Path) -> None:
    """Half a minute after noon what was before noon is watched whole; nothing is said to be gone."""
    path = record(
        tmp_path,
        entry([watched("2026-11-23T00:00:00", "2026-11-24T00:00:00")], [finding(1, "2026-11-23T12:00:00")]),
        entry([watched(DAY[0], "2026-11-24T12:00:00")]),
    )
    made = report(path, "2026-11-24", now="2026-11-24T12:00:30")
    assert made["period"]["partial"] is True
    assert made["period"]["until"] == "2026-11-24T12:00:00.000000Z"
    assert made["coverage"]["positions"] == [{"position": "external", "share": 1.0}]
    assert made["verdict"] == "no-violation-seen"
    assert "so far" in made["why"]
    assert made["changes"]["gone"] == []
    assert [f["id"] for f in report(path, "2026-11-24")["changes"]["gone"]] == [f"{1:016x}"]


def test_new_and_gone_are_said_of_positions_watched_in_both(tmp_path: Path) -> None:
    path = record(
        tmp_path,
        entry(
            [watched("2026-11-23T00:00:00", "2026-11-24T00:00:00", "internal")],
            [finding(1, "2026-11-23T12:00:00", position="internal")],
        ),
        entry([watched(*DAY)], [finding(2, "2026-11-24T12:00:00")]),
    )
    changes = report(path, "2026-11-24")["changes"]
    assert (changes["compared"], changes["new"], changes["gone"]) == ([], [], [])


def test_an_empty_record_and_one_that_says_nothing_of_the_period(tmp_path: Path) -> None:
    path = record(tmp_path, entry([watched(*DAY)], [finding(1, DAY[0])]))
    made = report(path, "2026-12")
    PUBLISHED.validate(made)
    assert (made["verdict"], made["why"]) == ("inconclusive", "nothing was watched")
    assert (made["organization"], made["findings"], made["judged"]) == ("", [], [])


def test_the_design_of_the_last_run_stands_in_the_report(tmp_path: Path) -> None:
    design = {**published(), "position": "config", "severity": "critical"}
    path = record(tmp_path, entry([watched(*DAY)], config=[json.dumps(design)]))
    made = report(path, "2026-11-24")
    assert [f["position"] for f in made["findings"]] == ["config"]
    assert made["severities"]["critical"] == 0
    assert made["verdict"] == "no-violation-seen"
    assert report(path, "2026-11-23")["findings"] == []


def test_the_far_ends_of_the_calendar(tmp_path: Path) -> None:
    path = record(tmp_path, entry([watched(*DAY)], [finding(1, DAY[0])]))
    made = report(path, "1970-01-01..9997-12-31", now="2026-12-01T00:00:00")
    PUBLISHED.validate(made)
    assert len(made["findings"]) == 1
    assert made["changes"]["before"] is None
