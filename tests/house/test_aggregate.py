"""Sums, samples and limits of an audit, from hand-made batches and verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from monitor import aggregate as module
from monitor.aggregate import OTHER, SAMPLES, SUBJECTS, Aggregate, attempts, findings
from monitor.capture_arguments import SensorName
from monitor.judged import final_verdict
from monitor.sums import Ports
from rules.verdict import ATTEMPT, UNDECIDED, VIOLATION, End, Hit, Verdict, finding_id
from tests.house.batches import START, batch

EDGE = End("perimeter-int", "edge-int", "edge01.contoso.net")
FE = End("internal", "fe", "fe01.contoso.net")
INTERNET = End("external", "ext-client", None)

SECOND = 1_000_000_000
INSIDE = SensorName("internal", "internal")


@dataclass
class Run:
    """What an aggregate and its readers need of a replay."""

    verdicts: list[Verdict]
    protocols: list[int]
    sensor: SensorName = INSIDE
    one_way: bool = False


def hit(rule: str, subject: str | None = None, port: str = "5061") -> Hit:
    return Hit(rule, "critical", f"reason of {rule}", None, subject, port, "tls")


def verdict(kind: str, *hits: Hit, source: End = EDGE, destination: End = FE) -> Verdict:
    return Verdict(kind, None, tuple(h.rule for h in hits), (), (), "because", source, destination, hits)


def run(verdicts: list[Verdict], *batches: Any, **more: Any) -> tuple[Run, Aggregate]:
    made = Run(verdicts, [6] * len(verdicts), **more)
    total = Aggregate()
    for one in batches:
        total.rows(one, made)  # type: ignore[arg-type]
    return made, total


def found(*runs: tuple[Run, Aggregate]) -> list[module.Finding]:
    return findings(runs)  # type: ignore[arg-type]


def tried(*runs: tuple[Run, Aggregate]) -> list[module.Attempts]:
    return attempts(runs)  # type: ignore[arg-type]


def test_sums_are_over_all_batches() -> None:
    given = verdict(VIOLATION, hit("director-bypass-sip"))
    one = batch({"source.packets": 3, "destination.packets": 4, "source.bytes": 100, "destination.bytes": 50})
    two = batch(
        {"source.packets": 1, "destination.packets": 0, "source.bytes": 7, "destination.bytes": 0},
        {"event.start": START - SECOND, "event.end": START + 9 * SECOND, "destination.port": 5062},
    )
    [finding] = found(run([given], one, two))
    assert (finding.sums.flows, finding.sums.packets, finding.sums.octets) == (3, 7 + 1 + 11, 150 + 7 + 3900)
    assert (finding.sums.first, finding.sums.last) == (START - SECOND, START + 9 * SECOND)
    assert finding.ports.summary() == {"min": 443, "max": 5062, "distinct": 2}


def test_the_fingerprint_is_that_of_the_documented_fields() -> None:
    [finding] = found(run([verdict(VIOLATION, hit("director-bypass-sip"))], batch({})))
    assert finding.id == finding_id("director-bypass-sip", "internal", EDGE, FE, "tcp", "5061", "tls", "")


def test_every_rule_of_a_flow_gives_a_finding_and_the_sensors_position_tells_them_apart() -> None:
    given = verdict(VIOLATION, hit("sip-cleartext"), hit("sip-udp"))
    inside = run([given], batch({}))
    outside = run([given], batch({}), sensor=SensorName("external", "external"))
    assert sorted((f.hit.rule, f.position, f.sums.flows) for f in found(inside, outside)) == [
        ("sip-cleartext", "external", 1),
        ("sip-cleartext", "internal", 1),
        ("sip-udp", "external", 1),
        ("sip-udp", "internal", 1),
    ]


def test_samples_are_the_earliest_flows_whatever_the_batches() -> None:
    given = verdict(VIOLATION, hit("director-bypass-sip"))
    rows = [{"event.start": START + n * SECOND, "source.port": 1000 + n} for n in range(40)]
    shuffled = rows[1::3] + rows[2::3] + rows[::3]
    for size in (1, 7, 40):
        pieces = [batch(*shuffled[start : start + size]) for start in range(0, 40, size)]
        [finding] = found(run([given], *pieces))
        ports = [row["source.port"][0].as_py() for _, row, _ in finding.samples]
        assert ports == list(range(1000, 1000 + SAMPLES))
        assert finding.sums.flows == 40


def test_subjects_stay_apart_up_to_a_hundred_and_the_rest_is_other() -> None:
    given = verdict(VIOLATION, hit("xmpp-partner-not-configured", "edgewarden.xmpp.to"))
    rows = [{"event.start": START + n, "edgewarden.xmpp.to": f"d{n:03}.example"} for n in range(SUBJECTS + 23)]
    made = found(run([given], batch(*reversed(rows))))
    subjects = {finding.subject: finding.sums.flows for finding in made}
    assert len(made) == SUBJECTS + 1
    assert subjects.pop(OTHER) == 23
    assert set(subjects) == {f"d{n:03}.example" for n in range(SUBJECTS)}  # the first seen


def test_one_sensor_keeps_a_bounded_number_of_subjects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SUBJECTS_PER_SENSOR", 5)
    given = verdict(VIOLATION, hit("xmpp-partner-not-configured", "edgewarden.xmpp.to"))
    made = run([given], *(batch({"edgewarden.xmpp.to": f"d{n}"}) for n in range(50)))
    assert len(made[1].groups) == 6
    assert sum(finding.sums.flows for finding in found(made)) == 50


def test_a_rule_without_a_subject_beside_one_with_it() -> None:
    given = verdict(VIOLATION, hit("xmpp-partner-not-configured", "edgewarden.xmpp.to"), hit("xmpp-wrong-ip"))
    made = found(run([given], batch({"edgewarden.xmpp.to": "a"}, {"edgewarden.xmpp.to": "b"}, {})))
    assert sorted((f.hit.rule, f.subject, f.sums.flows) for f in made) == [
        ("xmpp-partner-not-configured", "", 1),
        ("xmpp-partner-not-configured", "a", 1),
        ("xmpp-partner-not-configured", "b", 1),
        ("xmpp-wrong-ip", "", 3),
    ]


def test_attempts_are_counted_by_rule_with_their_sources() -> None:
    given = verdict(ATTEMPT, hit("external-to-internal-direct"), source=INTERNET)
    scan = [{"source.ip": f"198.51.100.{n % 5}", "destination.port": 20 + n} for n in range(30)]
    ping = {"network.transport": 1, "source.port": None, "destination.port": None}
    made = run([given], batch(*scan[:11]), batch(*scan[11:], ping))
    [summary] = tried(made)
    assert (summary.rule, summary.position, summary.sums.flows, len(summary.sources)) == (
        "external-to-internal-direct",
        "internal",
        31,
        6,
    )
    assert summary.ports.summary() == {"min": 20, "max": 49, "distinct": 30}
    assert found(made) == []


def test_a_one_way_tap_has_no_attempts() -> None:
    given = verdict(ATTEMPT, hit("external-to-internal-direct"), source=INTERNET)
    assert tried(run([given], batch({}), one_way=True)) == []
    assert final_verdict(given, one_way=True) == UNDECIDED
    assert final_verdict(given, one_way=False) == ATTEMPT
    assert final_verdict(verdict(VIOLATION), one_way=True) == VIOLATION


def test_a_one_way_tap_has_no_findings_about_silence() -> None:
    silent = replace(hit("crl-blocked"), of_silence=True)
    alone, beside = verdict(VIOLATION, silent), verdict(VIOLATION, silent, hit("edge-egress-unlisted"))
    assert final_verdict(alone, one_way=True) == UNDECIDED
    assert final_verdict(beside, one_way=True) == VIOLATION
    assert [each.hit.rule for each in found(run([beside], batch({}), one_way=True))] == ["edge-egress-unlisted"]
    assert found(run([alone], batch({}), one_way=True)) == []
    assert len(found(run([beside], batch({})))) == 2


def test_source_addresses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOURCES", 7)
    given = verdict(ATTEMPT, hit("external-to-internal-direct"), source=INTERNET)
    [summary] = tried(run([given], batch(*({"source.ip": f"10.0.0.{n}"} for n in range(50)))))
    assert (len(summary.sources), summary.sums.flows) == (7, 50)


def test_no_ports_at_all() -> None:
    assert Ports().summary() == {"min": None, "max": None, "distinct": 0}
    ports = Ports()
    for port in (0, 65535, 65535, None):
        ports.add(port)
    assert ports.summary() == {"min": 0, "max": 65535, "distinct": 2}


def test_flows_of_other_verdicts_are_counted_and_nothing_else() -> None:
    given = [verdict("allowed"), verdict("out-of-scope")]
    made = run(given, batch({"observation": 0}, {"observation": 1}, {"observation": 1}))
    assert {number: sums.flows for number, sums in made[1].by_observation.items()} == {(0, 0): 1, (1, 0): 2}
    assert made[1].groups == {}


def test_a_finding_names_the_ports_that_were_seen() -> None:
    """Judged by class of ports, told by port: two classes below 1024 are one finding."""
    first = Hit("r", "high", "it opened a port of TCP 1-52 there", None, None, "system", "", "a port of TCP 1-52")
    other = Hit("r", "high", "it opened TCP 445 there", None, None, "system", "", "TCP 445")
    run = Run([verdict(VIOLATION, first), verdict(VIOLATION, other)], [6, 6])
    aggregate = Aggregate()
    aggregate.rows(batch({"destination.port": 22}, {"destination.port": 445, "observation": 1}), run)
    found = findings([(run, aggregate)])
    assert [finding.reason for finding in found] == ["it opened TCP 22, 445 there"]


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        ([], ""),
        ([443], "443"),
        ([9, 1, 4, 2], "1, 2, 4, 9"),
        (range(1, 6), "1-5"),
        ([1, 2, 3, 4, 65535], "1-65535 (5 ports)"),
    ],
)
def test_ports_in_a_sentence(seen: Iterable[int], text: str) -> None:
    ports = Ports()
    for port in seen:
        ports.add(port)
    assert str(ports) == text
