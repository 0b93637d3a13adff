"""Live traffic gives what an audit of the same packets gives, however it is cut and whenever somebody looks; held
against audits of the shipped captures."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.audit import audit
from monitor.capture_arguments import CaptureArgument, SensorName
from monitor.evidence import Packet
from monitor.live.ring import KernelCounters
from monitor.live.session import LiveSession
from monitor.replay import Settings
from monitor.store.questions import Filter, listing
from monitor.store.spans import spans
from monitor.store.sqlite import reading
from monitor.sums import QUARTER
from rules.load import load
from rules.topology import Topology
from tests.house.captures import BROKEN, CLEAN, TOPOLOGY, addresses, all_packets, pcap
from tests.live.blocks import block

SECOND = 1_000_000_000


@cache
def topology() -> Topology:
    return load(TOPOLOGY)


@cache
def offline(path: str, position: str) -> dict[str, Any]:
    sensor = SensorName(position, position)
    return audit(topology(), [CaptureArgument(path, sensor, path)], Settings()).result


def session(
    record: Path, position: str, packets: Sequence[Packet], interfaces: Sequence[str] = ("eth1",)
) -> LiveSession:
    return LiveSession(
        topology(), SensorName(position, position), interfaces, str(record), started=packets[0].time - SECOND
    )


def play(live: LiveSession, packets: Sequence[Packet], cuts: Iterable[int]) -> None:
    """Feed all packets, cut into blocks at these places; a cut that is even is a tick, too."""
    places = [0, *sorted({cut for cut in cuts if 0 < cut < len(packets)}), len(packets)]
    for first, last in itertools.pairwise(places):
        live.feed(0, block(packets[first:last]))
        if last % 2 == 0:
            live.tick(packets[last - 1].time, [KernelCounters(received=last)])
    live.close(packets[-1].time + SECOND, [KernelCounters(received=len(packets))])


def stated(findings: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    names = ("flows", "packets", "bytes", "ports", "subject", "reason", "first", "last")
    return {f["id"]: {name: f[name] for name in names} for f in findings if f["position"] != "config"}


def sums(record: Path, table: str, name: str) -> dict[str, tuple[int, ...]]:
    with reading(str(record)) as connection:
        rows = connection.execute(f"SELECT {name}, sum(flows), sum(packets), sum(bytes) FROM {table} GROUP BY 1")
        return {key: tuple(counts) for key, *counts in rows if any(counts)}


def check(record: Path, path: str, position: str) -> None:
    wanted = offline(path, position)
    with reading(str(record)) as connection:
        answer = listing(connection, Filter())
        [watched] = spans(connection)
    assert stated(answer["findings"]) == stated(wanted["findings"])
    verdicts = {name: counts[0] for name, counts in sums(record, "verdict_deltas", "verdict").items()}
    totals = wanted["totals"]
    assert verdicts == {
        name.replace("_", "-"): totals[name]
        for name in ("allowed", "violation", "attempt", "out_of_scope", "undecided")
        if totals[name]
    }
    paths = {p["id"]: (p["flows"], p["bytes"]) for p in wanted["paths"] if p["flows"]}
    assert {name: (flows, octets) for name, (flows, _, octets) in sums(record, "path_deltas", "path").items()} == paths
    names = ("rule", "sources", "flows", "ports")
    assert [{n: a[n] for n in names} for a in answer["attempts"]] == [
        {n: a[n] for n in names} for a in wanted["attempts"]
    ]
    [capture] = wanted["captures"]
    assert (watched.packets, watched.octets) == (capture["packets"], capture["bytes"])
    assert watched.accounting == {name: count for name, count in capture["accounting"].items() if count}


CAPTURES = [(path, position) for captures in (CLEAN, BROKEN) for position, path in captures.items()]


@pytest.mark.parametrize(("path", "position"), CAPTURES)
@pytest.mark.parametrize("size", [4, 100_000])
def test_live_is_what_an_audit_says(tmp_path: Path, path: str, position: str, size: int) -> None:
    record = tmp_path / "record.db"
    packets = all_packets(path)
    play(session(record, position, packets), packets, range(0, len(packets), size))
    check(record, path, position)


def test_nothing_is_said_of_silence_while_the_answer_may_come(tmp_path: Path) -> None:
    """The Access Edge asks the host of revocation lists: `crl-blocked` when it never answers, not before."""
    packets = [p for p in all_packets(CLEAN["external"]) if "198.51.100.80" in addresses(p)]
    for name, rest, expected in (("answered", packets[1:], []), ("silent", [], ["crl-blocked"])):
        record = tmp_path / name
        live = session(record, "external", packets)
        live.feed(0, block(packets[:1]))
        live.tick(packets[0].time + 2 * SECOND, [KernelCounters(received=1)])
        with reading(str(record)) as connection:
            assert connection.execute("SELECT count(*) FROM finding_deltas").fetchone() == (0,)
        if rest:
            live.feed(0, block(rest))
        live.close(packets[-1].time + SECOND, [KernelCounters(received=1 + len(rest))])
        with reading(str(record)) as connection:
            found = listing(connection, Filter())["findings"]
        assert [finding["rule"] for finding in found if finding["position"] != "config"] == expected


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 800), max_size=60))
def test_live_is_what_an_audit_says_whenever_somebody_looks(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    record = tmp_path_factory.mktemp("live") / "record.db"
    path = BROKEN["internal"]
    packets = all_packets(path)
    play(session(record, "internal", packets), packets, cuts)
    check(record, path, "internal")


@pytest.mark.parametrize("position", ["internal", "external"])
def test_flows_that_go_on_for_hours_stand_where_their_packets_came(tmp_path: Path, position: str) -> None:
    """The shipped flows stretched: some last longer than a part (300 s) and longer than a quarter of an hour, and what
    they are is often known only then. No quarter is left with less than nothing."""
    record = tmp_path / "record.db"
    packets = stretched(all_packets(BROKEN[position]), 1000)
    capture = tmp_path / "stretched.pcap"
    capture.write_bytes(pcap(packets))
    play(session(record, position, packets), packets, range(0, len(packets), 4))
    check(record, str(capture), position)
    with reading(str(record)) as connection:
        for table, name in (("finding_deltas", "finding"), ("verdict_deltas", "verdict"), ("path_deltas", "path")):
            sums = f"sum(flows), sum(packets), sum(bytes) FROM {table} GROUP BY {name}, first / {QUARTER}"
            rows = connection.execute(f"SELECT {sums}").fetchall()
            assert len(rows) > 10 or name == "path"
            assert all(count >= 0 for row in rows for count in row)


@pytest.mark.parametrize(("bound", "value"), [("FOLLOWED", 0), ("FOLLOWED", 2), ("SPREAD", 0), ("SPREAD", 2)])
def test_what_cannot_be_remembered_is_right_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(f"monitor.live.corrections.{bound}", value)
    record = tmp_path / "record.db"
    packets = stretched(all_packets(BROKEN["external"]), 1000)
    capture = tmp_path / "stretched.pcap"
    capture.write_bytes(pcap(packets))
    play(session(record, "external", packets), packets, range(0, len(packets), 20))
    check(record, str(capture), "external")


def stretched(packets: Sequence[Packet], factor: int) -> list[Packet]:
    start = packets[0].time
    return [replace(packet, time=start + (packet.time - start) * factor // 1000 * 1000) for packet in packets]


def test_a_full_table_of_observations_begins_a_new_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows are cut in two there, and no packet is lost or counted twice."""
    monkeypatch.setattr("monitor.live.session.FULL", 40)
    record = tmp_path / "record.db"
    packets = all_packets(BROKEN["internal"])
    play(session(record, "internal", packets), packets, range(0, len(packets), 20))
    wanted = offline(BROKEN["internal"], "internal")
    counts = sums(record, "verdict_deltas", "verdict").values()
    assert sum(packets_ for _, packets_, _ in counts) == wanted["captures"][0]["accounting"]["in_flows"]
    assert sum(flows for flows, _, _ in counts) > wanted["totals"]["flows"]
    with reading(str(record)) as connection:
        [watched] = spans(connection)
    assert watched.packets == len(packets)
    assert watched.accounting == {"in_flows": len(packets)}


def test_figures_in_words(tmp_path: Path) -> None:
    packets = all_packets(BROKEN["external"])
    live = session(tmp_path / "record.db", "external", packets)
    play(live, packets, range(0, len(packets), 50))
    wanted = offline(BROKEN["external"], "external")
    findings = len(stated(wanted["findings"]))
    assert live.figures == f"{len(packets):,} packets, {wanted['totals']['flows']} flows, {findings} findings"


def test_a_flow_is_spoken_of_once_it_has_settled(tmp_path: Path) -> None:
    """Looked at all the time, hardly a finding is recorded that is taken back: most handshakes take milliseconds."""
    record = tmp_path / "record.db"
    packets = all_packets(BROKEN["internal"])
    live = session(record, "internal", packets)
    for first in range(0, len(packets), 5):
        taken = packets[first : first + 5]
        live.feed(0, block(taken))
        live.tick(taken[-1].time, [KernelCounters()])
    live.tick(packets[-1].time + 3 * SECOND, [KernelCounters()])
    with reading(str(record)) as connection:
        [taken_back] = connection.execute("SELECT count(*) FROM finding_deltas WHERE flows < 0").fetchone()
        before = stated(listing(connection, Filter())["findings"])
    assert before.keys() == stated(offline(BROKEN["internal"], "internal")["findings"]).keys()
    assert taken_back <= 2, "of the flow or two that take longer"
    live.close(packets[-1].time + 4 * SECOND, [KernelCounters(len(packets))])
    check(record, BROKEN["internal"], "internal")


@pytest.mark.parametrize("size", [5, 60])
def test_two_interfaces_of_a_tap_one_for_each_direction(tmp_path: Path, size: int) -> None:
    record = tmp_path / "record.db"
    path = BROKEN["internal"]
    packets = all_packets(path)
    live = session(record, "internal", packets, ("in", "out"))
    for first in range(0, len(packets), size):
        taken = packets[first : first + size]
        for ring in (0, 1):
            mine = [packet for packet in taken if addresses(packet)[0].startswith("192.168.") == bool(ring)]
            if mine:
                live.feed(ring, block(mine))
        live.tick(taken[-1].time + SECOND, [KernelCounters(), KernelCounters()])
    live.close(packets[-1].time + 2 * SECOND, [KernelCounters(), KernelCounters()])
    check(record, path, "internal")
