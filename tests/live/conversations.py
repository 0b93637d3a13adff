"""Conversations as several sensors saw them: packets of each, made by the same hands as those of `simulate`; and what
an audit and live sessions say of them."""

from __future__ import annotations

import datetime
import random
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from monitor.audit import audit
from monitor.capture_arguments import CaptureArgument, SensorName
from monitor.evidence import Packet
from monitor.live.ring import KernelCounters
from monitor.live.session import LiveSession
from monitor.replay import Settings
from monitor.settings.config import EvidenceSettings
from monitor.simulate.credentials import Name, Vault
from monitor.simulate.exchange import Speaker, Turn
from monitor.simulate.tls import Wish, connect
from monitor.simulate.wire import MICRO, Tcp, Wire, fresh, udp
from monitor.store.questions import Filter, listing
from monitor.store.sqlite import reading
from rules.topology import Topology
from tests.house.captures import pcap
from tests.live.blocks import block

SECOND = 1_000_000_000
START = 1_795_338_000 * SECOND  # a minute begins
OUT, IN = SensorName("xf-out", "external", "outside"), SensorName("xf-in", "external", "inside")
INNER = SensorName("if", "internal", "outside")

Seen = dict[SensorName, list[Packet]]
Address = tuple[str, int]


def packets(wire: Wire) -> list[Packet]:
    return [Packet(frame.time * 1000, 1, len(frame.octets), frame.octets) for frame in wire.frames]


def begun(source: Address, destination: Address, at: float, seed: int) -> Wire:
    """at: seconds from START. The seed decides the sequence numbers."""
    start = START // 1000 + round(at * MICRO)
    macs = ("02:00:00:00:00:01", "02:00:00:00:00:02")
    return fresh(source, destination, macs, start, 1000, random.Random(seed))


def connection(source: Address, destination: Address, at: float, seed: int, turns: Sequence[Turn] = ()) -> list[Packet]:
    wire = begun(source, destination, at, seed)
    tcp = Tcp(wire)
    tcp.open()
    for turn in turns:
        tcp.say(turn)
    tcp.close("fin")
    return packets(wire)


def refused(source: Address, destination: Address, at: float, seed: int) -> list[Packet]:
    wire = begun(source, destination, at, seed)
    Tcp(wire).refused()
    return packets(wire)


def datagrams(source: Address, destination: Address, at: float, turns: Sequence[Turn]) -> list[Packet]:
    wire = begun(source, destination, at, 1)
    udp(wire, turns)
    return packets(wire)


@cache
def _vault() -> Vault:
    return Vault("Contoso", datetime.datetime.fromtimestamp(START // SECOND, datetime.UTC))


@cache
def tls(name: str = "sip.contoso.com", *also: str, messages: int = 0) -> tuple[Turn, ...]:
    """A whole TLS connection; another certificate for each set of further names. messages: of its opener, each in a
    record of its own."""
    credential = _vault().credential(Name(name, (name, *also), public=True))
    return tuple(connect(_vault(), Wish(credential, name=name), [(Speaker.SOURCE, bytes(600))] * messages).turns)


def stated(findings: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    names = ("rule", "severity", "position", "flows", "packets", "bytes", "first", "last", "reason")
    names += ("source", "destination")
    return {f["id"]: tuple(str(f[name]) for name in names) for f in findings if f["position"] != "config"}


def captured(folder: Path, seen: Seen) -> list[CaptureArgument]:
    """A capture of each sensor."""
    arguments = []
    for sensor, its in seen.items():
        path = folder / f"{sensor.name}.pcap"
        path.write_bytes(pcap(sorted(its, key=lambda packet: packet.time)))
        arguments.append(CaptureArgument(str(path), sensor, str(path)))
    return arguments


def audited(folder: Path, topology: Topology, seen: Seen) -> dict[str, tuple[Any, ...]]:
    return stated(audit(topology, captured(folder, seen), Settings()).result["findings"])


class Live:
    """Sessions of several sensors that share a record; time goes on when they are told."""

    def __init__(
        self,
        record: Path,
        topology: Topology,
        seen: Seen,
        began: int = START - SECOND,
        evidence: EvidenceSettings | None = None,
    ) -> None:
        self.record, self.topology, self.now, self.evidence = record, topology, began, evidence
        self.left = {sensor: sorted(its, key=lambda packet: packet.time) for sensor, its in seen.items()}
        self.fed = dict.fromkeys(seen, 0)
        self.sessions = {sensor: self.begin(sensor) for sensor in seen}

    def begin(self, sensor: SensorName) -> LiveSession:
        return LiveSession(self.topology, sensor, ["eth1"], str(self.record), evidence=self.evidence, started=self.now)

    def until(self, seconds: float, step: int = SECOND) -> None:
        """Seconds from START."""
        while self.now < START + seconds * SECOND:
            self.now += step
            for sensor, session in self.sessions.items():
                due = [packet for packet in self.left[sensor] if packet.time <= self.now]
                if due:
                    session.feed(0, block(due))
                    self.left[sensor] = self.left[sensor][len(due) :]
                    self.fed[sensor] += len(due)
                session.tick(self.now, [KernelCounters(self.fed[sensor])])
                assert session.trouble is None

    def close(self) -> None:
        for sensor, session in self.sessions.items():
            session.close(self.now, [KernelCounters(self.fed[sensor])])

    def listing(self) -> list[dict[str, Any]]:
        with reading(str(self.record)) as connection:
            found: list[dict[str, Any]] = listing(connection, Filter())["findings"]
        return found

    def found(self) -> dict[str, tuple[Any, ...]]:
        return stated(self.listing())

    def rules(self) -> set[str]:
        return {rule for rule, *_ in self.found().values()}
