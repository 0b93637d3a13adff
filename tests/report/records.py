"""Small records made by hand: what an audit would add, with round numbers at times that are easy to reckon with."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from monitor.calendar.periods import parse_period, zone_named
from monitor.reporting import Asked, report_of
from monitor.store.entry import AttemptDelta, Capture, Count, Entry, FindingDelta, Sample
from monitor.store.sqlite import open_record, reading
from monitor.sums import Ports, Sums
from reports.moments import EPOCH, SECOND
from tests.house.results import FLOW

DIGEST = "sha256:" + "0" * 64
POLICY = json.dumps({"version": "1", "digest": "sha256:" + "1" * 64})


def at(text: str) -> int:
    """Nanoseconds of a time in ISO 8601, UTC unless it says otherwise."""
    moment = datetime.fromisoformat(text if "+" in text or text.endswith("Z") else text + "Z")
    return int((moment - EPOCH).total_seconds()) * SECOND


def sums(first: str, last: str | None = None, *, flows: int = 1, packets: int = 10, octets: int = 1000) -> Sums:
    return Sums(flows, packets, octets, at(first), at(last or first))


def watched(
    first: str, last: str, position: str = "external", *, sensor: str | None = None, packets: int = 1000, **lost: int
) -> Capture:
    """A capture; lost: packets by names of the accounting."""
    accounting = {"in_flows": packets - sum(lost.values()), **lost}
    return Capture(
        sha256=f"{position} {sensor} {first}",
        sensor=sensor or position,
        position=position,
        side=None,
        interface=None,
        path="made-by-hand.pcap",
        size=1,
        window=(None, None),
        complete=True,
        first=at(first),
        last=at(last),
        packets=packets,
        octets=packets * 100,
        accounting=json.dumps(accounting),
        quality=json.dumps({"snaplen_cut": 1}),
    )


def finding(
    number: int,
    first: str,
    last: str | None = None,
    *,
    severity: str = "high",
    position: str = "external",
    subject: str = "",
    reason: str = "a sentence",
    flows: int = 1,
) -> FindingDelta:
    wording = {
        "rule": "unlisted-path",
        "severity": severity,
        "position": position,
        "source": {"zone": "external", "role": None, "component": None},
        "destination": {"zone": "perimeter-ext", "role": "edge-access", "component": "edge01.contoso.net"},
        "transport": "tcp",
        "service": "rdp",
        "subject": subject,
        "reason": reason,
        "at_port": "",
        "nearest_path": None,
        "controls": {"nist-800-53": ["AC-4", "SC-7"]},
    }
    ports = Ports()
    ports.add(3389)
    sample = {"capture": "made-by-hand.pcap", "frame": 1, "last_frame": 2, "display_filter": "ip", "flow": FLOW}
    return FindingDelta(
        finding=f"{number:016x}",
        rule="unlisted-path",
        position=position,
        source=None,
        destination="edge01.contoso.net",
        subject=subject,
        sensor=position,
        wording=json.dumps(wording),
        sums=sums(first, last, flows=flows, packets=10 * flows, octets=1000 * flows),
        ports=ports,
        samples=(Sample(at(first), at(last or first), json.dumps([at(first), number]), json.dumps(sample)),),
        instead=("f" * 16, json.dumps(wording)),
    )


def attempt(first: str, *addresses: str, flows: int = 1) -> AttemptDelta:
    made = AttemptDelta("sip-udp", "high", "external", "external", None, "edge01.contoso.net", sums(first, flows=flows))
    made.addresses = set(addresses)
    made.ports.add(5060)
    return made


def count(name: str, first: str, flows: int, position: str = "external") -> Count:
    return Count(name, position, position, sums(first, flows=flows, octets=100 * flows))


def entry(
    captures: Sequence[Capture],
    findings: Sequence[FindingDelta] = (),
    attempts: Sequence[AttemptDelta] = (),
    verdicts: Sequence[Count] = (),
    used: Sequence[Count] = (),
    config: Sequence[str] = (),
    **scope: Any,
) -> Entry:
    """scope: members of `reports.source.Scope`."""
    return Entry(
        version="0.1.0",
        organization="Contoso",
        topology=DIGEST,
        policy=POLICY,
        verdict="inconclusive",
        why="made by hand",
        captures=tuple(captures),
        findings=tuple(findings),
        attempts=tuple(attempts),
        verdicts=tuple(verdicts),
        paths=tuple(used),
        config=tuple(config),
        evidence=(),
        scope=json.dumps(scope),
    )


def record(folder: Path, *entries: Entry) -> Path:
    """A record of these."""
    path = folder / "record.db"
    opened = open_record(str(path), writing=True)
    for one in entries:
        assert opened.add(one, 0) == []
    opened.close()
    return path


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    with reading(str(path)) as connection:
        yield connection


def report(path: Path, period: str, *, zone: str = "UTC", now: str = "2027-06-01T00:00:00") -> dict[str, Any]:
    """The figures of a period, as they would be at `now`."""
    place: tzinfo = zone_named(zone)
    with connected(path) as connection:
        moment = datetime.fromisoformat(now + "Z")
        return report_of(connection, Asked(parse_period(period, place), place, zone), moment)
