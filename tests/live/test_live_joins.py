"""Rules over several flows, live: sensors that share a record find what an audit of the same packets finds, when it is
found and who is killed meanwhile aside."""

from __future__ import annotations

import datetime
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from monitor.live.session import LiveSession
from monitor.scope import read_scope
from monitor.settings.config import EvidenceSettings
from monitor.simulate import msturn
from monitor.simulate.exchange import Turn, source
from monitor.simulate.relay import Relay
from monitor.store.sights import Showing, insert, next_shown, pack
from monitor.store.spans import spans
from monitor.store.sqlite import open_record, reading
from parsers import VERSION
from rules.facts import Site
from rules.sights import Sight, Spoken
from rules.verdict import End
from tests.house.captures import ROOT
from tests.live.conversations import IN, INNER, OUT, SECOND, START, Live, Seen, audited, connection, datagrams, tls
from tests.live.test_live_session import topology

USER = ("192.0.2.25", 50112)
ACCESS = [("203.0.113.10", 443), ("203.0.113.11", 443)]
AV = ("203.0.113.30", 3478)


def translated(at: float, seed: int, inside: tuple[str, int] = ("10.45.16.10", 443), **other: int) -> Seen:
    """A connection on both sides of the external firewall, a fifth of a second apart."""
    client = ("192.0.2.25", other.get("port", 50112))
    return {
        OUT: connection(USER, ACCESS[0], at, seed),
        IN: connection(client, inside, at + 0.2, other.get("inner_seed", seed)),
    }


def merged(*seen: Seen) -> Seen:
    return {sensor: [packet for one in seen for packet in one.get(sensor, [])] for sensor in (OUT, IN, INNER)}


def snat(at: float) -> Seen:
    return {
        OUT: connection(USER, ACCESS[0], at, 3),
        IN: connection(("10.45.16.99", 50112), ("10.45.16.10", 443), at + 0.2, 3),
    }


def forwarded(at: float, seed: int = 4) -> Seen:
    flow = (USER, ("192.168.10.95", 4443))
    return {IN: connection(*flow, at, 4), INNER: connection(*flow, at + 0.01, seed)}


def passed(at: float, inner: tuple[Turn, ...]) -> Seen:
    outer = tls("webext.contoso.com")
    return {
        OUT: connection(USER, ("203.0.113.40", 443), at, 5, outer),
        INNER: connection(("172.25.33.40", 40010), ("192.168.10.95", 4443), at + 0.1, 6, inner),
    }


def allocations(at: float, count: int, *, go_on: bool = False) -> Seen:
    """Of one source, from a port each, all in half a minute."""
    found: Seen = {OUT: []}
    for number in range(count):
        ask = msturn.message(msturn.ALLOCATE, bytes.fromhex("2112a442") + random.Random(number).randbytes(12), [])
        client, moment = ("192.0.2.66", 20000 + number), at + number * 30 / count
        relay = Relay(random.Random(number), client, AV, datetime.datetime.fromtimestamp(START // SECOND, datetime.UTC))
        turns = relay.dialogue(media=False, framed=False) if go_on else [source(ask)]
        found[OUT] += datagrams(client, AV, moment, turns)
    return found


def sign_ins(at: float, count: int) -> Seen:
    found: Seen = {OUT: []}
    for number in range(count):
        found[OUT] += connection(("192.0.2.66", 30000 + number), ACCESS[0], at + number * 30 / count, number, tls())
    return found


def members(at: float, apart: float, *other: str) -> Seen:
    """Both members of the Edge pool show a certificate."""
    return {
        OUT: [
            *connection(USER, ACCESS[0], at, 1, tls()),
            *connection(("192.0.2.26", 50000), ACCESS[1], at + apart, 2, tls("sip.contoso.com", *other)),
        ]
    }


def past_the_director(quiet: int, burst: int) -> Seen:
    """Minutes with a few connections to the Director and beyond, then one with more."""
    found: Seen = {INNER: []}
    legs = ((("172.25.33.10", 1), ("192.168.10.50", 5061)), (("192.168.10.50", 1), ("192.168.10.90", 5061)))
    for minute, count in enumerate([*[quiet] * 4, burst]):
        for number in range(count):
            for (address, _), to in legs:
                at = minute * 60 + 5 + number * 40 / count
                found[INNER] += connection((address, 2000 + 100 * minute + number), to, at, 1000 * minute + number)
    return found


CASES: dict[str, tuple[Callable[[], Seen], set[str]]] = {
    "a port changed": (lambda: translated(20, 1, port=1024), {"nat-port-translation"}),
    "a port changed while a minute ended": (lambda: translated(59.9, 1, port=1024), {"nat-port-translation"}),
    "as it should be": (lambda: translated(59.9, 1), set()),
    "two conversations": (lambda: translated(59.9, 1, port=1024, inner_seed=2), set()),
    "the source changed": (lambda: snat(59.95), {"nat-inbound-source-changed"}),
    "through both firewalls": (lambda: forwarded(119.995), {"edge-as-router"}),
    "at both firewalls, not the same": (lambda: forwarded(119.995, 5), set()),
    "TLS passed through": (lambda: passed(59.95, tls("webext.contoso.com")), {"reverse-proxy-tls-passthrough"}),
    "TLS of its own": (lambda: passed(59.95, tls("webext.contoso.com", "fe.contoso.net")), set()),
    "31 allocations in a minute": (lambda: allocations(10, 31), {"turn-unauthenticated-flood"}),
    "30 allocations in a minute": (lambda: allocations(10, 30), set()),
    "40 allocations in two minutes": (lambda: allocations(45, 40), set()),
    "31 allocations that go on": (lambda: allocations(10, 31, go_on=True), set()),
    "61 sign-ins in a minute": (lambda: sign_ins(10, 61), {"signin-rate-abuse"}),
    "60 sign-ins in a minute": (lambda: sign_ins(10, 60), set()),
    "61 sign-ins, minute after minute": (
        lambda: merged(sign_ins(10, 61), sign_ins(70, 70), sign_ins(130, 5)),
        {"signin-rate-abuse"},
    ),
    "two certificates": (lambda: members(10, 20, "x.contoso.com"), {"cert-differs-in-pool"}),
    "two certificates, minutes apart": (lambda: members(10, 400, "x.contoso.com"), {"cert-differs-in-pool"}),
    "one certificate": (lambda: members(10, 20), set()),
    "past the Director": (lambda: past_the_director(3, 40), {"director-dos-past-director"}),
    "not many past the Director": (lambda: past_the_director(3, 12), set()),
}
OVER_SEVERAL = {rule for _, rules in CASES.values() for rule in rules}


@pytest.mark.parametrize("name", CASES)
def test_live_is_what_an_audit_says(tmp_path: Path, name: str) -> None:
    made, rules = CASES[name]
    seen = {sensor: packets for sensor, packets in merged(made()).items() if packets}
    wanted = audited(tmp_path, topology(), seen)
    assert {rule for rule, *_ in wanted.values()} & OVER_SEVERAL == rules
    live = Live(tmp_path / "record.db", topology(), seen)
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
