"""Rules over several flows, live: sensors that share a record find what an audit of the same packets finds, when it is
found and who is killed meanwhile aside."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from monitor.audit import audit
from monitor.live.session import LiveSession
from monitor.replay import Settings
from monitor.scope import read_scope
from monitor.settings.config import EvidenceSettings
from monitor.simulate.exchange import source
from monitor.store.entry import entry_of
from monitor.store.questions import Filter, listing
from monitor.store.sights import Showing, insert, next_shown, pack
from monitor.store.spans import spans
from monitor.store.sqlite import open_record, reading
from parsers import VERSION
from rules.catalogue import catalogue
from rules.facts import Site
from rules.sights import Sight, Spoken
from rules.verdict import End
from tests.house.captures import ROOT
from tests.live.conversations import IN, INNER, OUT, SECOND, START, Live, Seen, audited, captured, connection, tls
from tests.live.joined_traffic import ACCESS, CASES, USER, translated
from tests.live.test_live_session import topology
from tests.policy.variants import site

OVER_SEVERAL = {entry.rule.id for entry in catalogue() if entry.rule is not None and entry.rule.join}


def test_every_rule_over_several_flows_has_a_case() -> None:
    assert {rule for case in CASES.values() for rule in case.rules} == OVER_SEVERAL


@pytest.mark.parametrize("name", CASES)
def test_live_is_what_an_audit_says(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    seen, at = case.seen(), site(case.site)
    wanted = audited(tmp_path, at, seen)
    assert {rule for rule, *_ in wanted.values()} & OVER_SEVERAL == case.rules
    for rule, flows_ in case.flows.items():
        assert [flows for name_, _, _, flows, *_ in wanted.values() if name_ == rule] == [str(flows_)]
    live = Live(tmp_path / "record.db", at, seen)
    last = max(packet.time for packets in seen.values() for packet in packets) - START
    live.until(last // 1_000_000_000 + 90)
    assert live.found() == wanted, "told while they run"
    live.close()
    assert live.found() == wanted


def test_the_flows_of_both_sensors_are_samples_and_evidence(tmp_path: Path) -> None:
    evidence = EvidenceSettings(str(tmp_path / "evidence"), 256 << 20, 16, 8, 90, 262_144, "full", "full", "full")
    live = Live(tmp_path / "record.db", topology(), translated(59.9, 1, port=1024), evidence=evidence)
    live.until(150)
    live.close()
    [finding] = [one for one in live.listing() if one["rule"] == "nat-port-translation"]
    assert [sample["flow"]["observer"]["name"] for sample in finding["samples"]] == ["xf-out", "xf-in"]
    [slice_] = finding["evidence"]
    assert slice_["packets"] == 12, "six of each leg: SYN, SYN-ACK, ACK, and three to close"
    assert Path(slice_["path"]).is_file()


def test_what_should_not_be_together_is_shown_together(tmp_path: Path) -> None:
    """The first flow of the second pool comes after twenty of the first; in an audit each sample says all its rules."""
    second = replace(OUT, name="xf-out-2")
    flows_ = [((f"198.51.100.{10 + n}", 41000), ("203.0.113.10", 5061), 20 + n) for n in range(10)]
    flows_.append((("203.0.113.11", 41000), ("198.51.100.10", 5061), 40))
    at = site("two-pools")
    seen = {
        sensor: [
            packet
            for number, (*ends, time) in enumerate(flows_)
            for packet in connection(*ends, time + late, number, tls())
        ]
        for sensor, late in ((OUT, 0), (second, 0.001))
    }
    outcome = audit(at, captured(tmp_path, seen), Settings(), split=True)
    record = open_record(str(tmp_path / "audited.db"), writing=True)
    record.add(entry_of(outcome, (None, None), {}), START)
    with reading(str(record.path)) as connection_:
        recorded = listing(connection_, Filter())["findings"]
    live = Live(tmp_path / "record.db", at, seen)
    live.until(150)
    live.close()
    for findings in (outcome.result["findings"], recorded):
        [finding] = [one for one in findings if one["rule"] == "federation-disabled-5061"]
        assert [sample["flow"]["edgewarden"]["rules"] for sample in finding["samples"]] == 2 * [
            [
                "edge-egress-unlisted",
                "edge-multiple-federation-routes",
                "federation-disabled-5061",
            ]  # high, medium, medium
        ]
    for findings in (outcome.result["findings"], recorded, live.listing()):
        [finding] = [one for one in findings if one["rule"] == "edge-multiple-federation-routes"]
        assert finding["flows"] == 22
        assert len(finding["samples"]) == 8
        shown = {sample["flow"]["source"]["ip"] for sample in finding["samples"]}
        assert {"198.51.100.10", "203.0.113.11"} <= shown, "the first of each pool"


def test_a_flow_that_goes_on_counts_once(tmp_path: Path) -> None:
    """Long after the finding it shows what it is, and is looked at together with others again; its packets count."""
    late = [source(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 600)]
    seen = {
        OUT: connection(USER, ACCESS[0], 20, 1, [*tls()[:1], *late]),
        IN: connection((USER[0], 1024), ("10.45.16.10", 443), 20.1, 1, late),
    }
    live = Live(tmp_path / "record.db", topology(), seen)
    live.until(800)
    wanted = audited(tmp_path, topology(), seen)
    assert [flows for rule, _, _, flows, *_ in wanted.values() if rule == "nat-port-translation"] == ["2"]
    assert live.found() == wanted, "with the packets that came since"


def killed(record: Path, seconds: float, *sensors: str) -> None:
    """Sessions that were killed at that time."""
    command = [sys.executable, "-m", "tests.live.joins_to_kill", str(record), str(seconds), *sensors]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        process.send_signal(signal.SIGKILL)


def flows(record: Path) -> dict[str, int]:
    """Of the finding, by sensor."""
    with reading(str(record)) as connection:
        rows = connection.execute(
            "SELECT sensor, sum(flows) FROM finding_deltas JOIN findings ON findings.id = finding "
            "WHERE rule = 'nat-port-translation' GROUP BY sensor"
        )
        return dict(rows.fetchall())


BOTH = {"xf-out": 1, "xf-in": 1}


@pytest.mark.parametrize(("seconds", "before"), [(45, {}), (80, BOTH)])
def test_all_are_killed_before_or_after_they_counted(tmp_path: Path, seconds: float, before: dict[str, int]) -> None:
    """Whoever comes next counts what was recorded, and nothing twice; be it a week later."""
    record = tmp_path / "record.db"
    killed(record, seconds, "xf-out", "xf-in")
    assert flows(record) == before
    for later in (100, 7 * 86_400):
        live = Live(record, topology(), {OUT: [], IN: []}, START + later * SECOND)
        live.until(later + 150)
        assert flows(record) == BOTH
        live.close()
        assert flows(record) == BOTH


def test_a_sensor_that_lives_counts_for_one_that_was_killed(tmp_path: Path) -> None:
    record = tmp_path / "record.db"
    live = Live(record, topology(), {IN: translated(20, 1, port=1024)[IN]})
    live.until(45)
    killed(record, 45, "xf-out")
    live.until(80)
    assert flows(record) == BOTH


def test_who_does_not_record_is_waited_for_and_not_for_ever(tmp_path: Path) -> None:
    record = tmp_path / "record.db"
    live = Live(record, topology(), translated(20, 1, port=1024))
    live.until(50)
    slow = live.sessions.pop(OUT)
    live.until(100)
    assert flows(record) == {}, "it lives, and its minute is not recorded"
    live.until(125)
    assert flows(record) == {"xf-in": 1}
    live.sessions[OUT] = slow
    live.until(200)
    assert flows(record) == BOTH


def test_other_designs_and_the_record_after_minutes(tmp_path: Path) -> None:
    """Sensors of another topology are not joined with, and what sensors show one another does not stay."""
    record = tmp_path / "record.db"
    other = replace(topology(), organization="Fabrikam")
    seen = translated(20, 1, port=1024)
    theirs, ours = Live(record, other, {OUT: seen[OUT]}), Live(record, topology(), {IN: seen[IN]})
    for moment in range(0, 900, 10):
        theirs.until(moment)
        ours.until(moment)
    assert flows(record) == {}
    with reading(str(record)) as connection_:
        [left] = connection_.execute("SELECT count(*) FROM sights WHERE NOT kept").fetchone()
        [kept] = connection_.execute("SELECT count(*) FROM sights WHERE kept").fetchone()
    assert (left, kept) == (0, 2), "each Edge service that answered is remembered for a day"


def test_a_flood_hides_no_conversation_and_what_is_not_looked_at_has_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan by ever new addresses, which nobody answers, before and while a port is changed."""
    monkeypatch.setattr("monitor.live.own_flows.SHOWN", 40)
    scan = [
        packet
        for number in range(300)
        for packet in connection((f"198.18.{number // 250}.{number % 250 + 1}", 4000), ACCESS[0], 5 + number / 10, 7)[
            :1
        ]
    ]
    seen = translated(20, 1, port=1024)
    seen[OUT] += scan
    live = Live(tmp_path / "record.db", topology(), seen)
    live.until(90)
    assert flows(live.record) == BOTH
    with reading(str(live.record)) as connection_:
        watched = {one.sensor: one.quality.get("unjoined", 0) for one in spans(connection_)}
    # all but half of 40, and the SYN of the connection, which was let in once it was answered
    assert watched["xf-in"] == 0
    assert 280 <= watched["xf-out"] <= 281


def test_a_flow_that_goes_on_keeps_none_of_its_time_in_memory(tmp_path: Path) -> None:
    """It is in a finding, and silent: what is known of it must not hold the rows of all that came with it."""
    seen = translated(20.1, 1, port=1024)
    seen[OUT] = seen[OUT][:3]  # it does not end
    for number in range(50):
        seen[OUT] += connection(("192.0.2.30", 40000 + number), ACCESS[0], 20.1, 100 + number)
    seen[OUT] += connection(("192.0.2.31", 40000), ACCESS[0], 290, 7)
    live = Live(tmp_path / "record.db", topology(), seen)
    live.until(310)
    [flow] = live.sessions[OUT]._own.counted()
    assert flow.batch.num_rows == 1, "of the 51 that came in one batch"
    assert flow.batch["source.ip"][flow.row].as_py() == USER[0]


def test_a_sensor_says_what_it_can_see_beside_the_others(tmp_path: Path) -> None:
    record = tmp_path / "record.db"

    def missing(*runs: int) -> list[set[str]]:
        with reading(str(record)) as connection:
            texts = [connection.execute("SELECT scope FROM runs WHERE id = ?", (run,)).fetchone()[0] for run in runs]
        scopes = [read_scope(text) for text in texts]
        return [
            {entry["why"] for entry in scope.not_observable if entry["rule"] == "edge-as-router"} for scope in scopes
        ]

    nothing: Seen = {OUT: []}
    Live(record, topology(), nothing)
    Live(record, topology(), {INNER: []})
    LiveSession(topology(), OUT, ["eth1"], str(record), beside=("external", "internal"))
    assert missing(1, 2, 3) == [{"no sensor at the internal firewall"}, set(), set()]


def test_nothing_of_a_sight_is_lost_on_its_way_to_the_others(tmp_path: Path) -> None:
    """A field that is new and not written would be known to audits alone."""
    live = Live(tmp_path / "record.db", topology(), translated(20, 1))
    site = Site(topology())
    values: dict[str, Any] = {}
    for number, field in enumerate(fields(Sight)):
        plain: dict[str, Any] = {"bool": True, "int": number, "str": f"text {number}"}
        values[field.name] = plain.get(str(field.type).removesuffix(" | None"))
    values |= {
        "sensor": 1,
        "position": "external",
        "side": "outside",
        "source": site.endpoints.at("192.0.2.25"),
        "destination": site.endpoints.at("203.0.113.10"),
        "ends": (End("external", None, None), End("perimeter-ext", "edge-ext-access", "edge01.contoso.net")),
        "services": frozenset({"tls", "http"}),
        "spoken": (Spoken(29_922_300, 1, 2, 3),),
        "isn": (None, 7),
    }
    assert [name for name, value in values.items() if value is None] == []
    sight = Sight(**values)
    record = open_record(str(live.record), writing=True)
    with record.transaction() as connection_:
        insert(connection_, 1, [Showing(START, False, START + SECOND, pack([sight], behind_lb=True))])
    shown = next_shown(record.connection, 0, site, VERSION)
    assert shown is not None
    assert (list(shown.sights), shown.sensor, shown.kept) == ([sight], "xf-out", False)
