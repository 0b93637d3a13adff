"""What `audit --suggest` draws from a run: findings that only lack a row, and addresses that nobody declared.

Strategy: findings are there already; addresses are counted from the same batches, beside the sums, as a verdict says
nothing of single addresses. An address counts once it has sent something, so that a scan of empty networks suggests
none of them. An end of a finding that has no name is suggested by its addresses while they are few. Bounded: what comes
after the first thousands is counted and left out.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from monitor.aggregate import Finding
from monitor.learned import Learned
from monitor.sums import Sums
from monitor.times import iso
from reports.visible import visible
from rules import names
from rules.components import PortRange
from rules.registry import registered
from rules.suggestions import Seen, Stranger, Unlisted, suggestions
from rules.topology import Topology
from rules.transports import TRANSPORTS, transport_number
from rules.verdict import VIOLATION, End, Hit, Verdict, finding_id

PLACES: Final = 10_000
"""Addresses and networks remembered, 2 MB; a file names the busiest two hundred of each kind."""

HOSTS: Final = 256
"""Hosts of a network that are told apart."""

FEW: Final = 8
"""Addresses that an entry names one by one; a zone or role says more than was seen, and stands for more than these."""

ENDS: Final = 100_000
"""Addresses remembered over the ends of all findings, 15 MB; an end whose addresses found no room counts as one of
many."""

SPANS: Final = 16
"""Runs of ports that an entry lists; with more of them it names the range from the lowest to the highest."""

_PERIMETER: Final = (names.PERIMETER_EXT, names.PERIMETER_INT)


@dataclass(slots=True)
class _Place:
    sums: Sums = field(default_factory=Sums)
    positions: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)

    def seen(self) -> Seen:
        return _seen(self.sums, self.positions)


class Strangers:
    """Addresses that nobody declared; takes batches of several sensors' threads."""

    def __init__(self, topology: Topology) -> None:
        self._broadcast = {str(prefix.network.broadcast_address) for prefix in topology.zones}
        self._lock = threading.Lock()
        self.neighbours: dict[str, _Place] = {}
        self.networks: dict[str, _Place] = {}
        self.ends: dict[tuple[str, str], set[str]] = {}  # addresses by (finding without its subject, "source")
        self._left = ENDS

    def rows(self, batch: Any, learned: Learned) -> None:
        self._nameless(batch, learned)
        for end in ("source", "destination"):
            numbers = [n for n in pc.unique(batch["observation"]).to_pylist() if _stranger(_end(learned, n, end))]
            if not numbers:
                continue
            chosen = pc.and_(
                pc.is_in(batch["observation"], value_set=pa.array(numbers, pa.uint32())),
                pc.greater(batch[f"{end}.packets"], 0),
            )
            table = pa.table(
                {
                    "observation": batch["observation"],
                    "address": batch[f"{end}.ip"].cast(pa.string()),
                    "start": batch["event.start"].cast(pa.int64()),
                    "end": batch["event.end"].cast(pa.int64()),
                }
            ).filter(chosen)
            grouped = table.group_by(["observation", "address"], use_threads=False).aggregate(
                [("start", "count"), ("start", "min"), ("end", "max")]
            )
            columns = [grouped[name].to_pylist() for name in ("observation", "address", "start_count")]
            columns += [grouped[name].to_pylist() for name in ("start_min", "end_max")]
            with self._lock:
                for number, address, flows, first, last in zip(*columns, strict=True):
                    self._count(_end(learned, number, end).zone, address, learned, (flows, 0, 0, first, last))

    def _nameless(self, batch: Any, learned: Learned) -> None:
        """Remember the addresses of ends that findings can only call by zone or role."""
        numbers = pc.unique(batch["observation"]).to_pylist()
        for end in ("source", "destination"):
            found = {number: _found(learned, number) for number in numbers if not _end(learned, number, end).component}
            hot = [number for number, ids in found.items() if ids]
            if not hot:
                continue
            table = pa.table({"number": batch["observation"], "address": batch[f"{end}.ip"].cast(pa.string())})
            table = table.filter(pc.is_in(table["number"], value_set=pa.array(hot, pa.uint32())))
            seen = table.group_by(["number", "address"], use_threads=False).aggregate([])
            with self._lock:
                for number, address in zip(seen["number"].to_pylist(), seen["address"].to_pylist(), strict=True):
                    for id in found[number]:
                        self._remember(self.ends.setdefault((id, end), set()), address)

    def _remember(self, addresses: set[str], address: str) -> None:
        if address not in addresses and len(addresses) < HOSTS and self._left > 0:
            addresses.add(address)
            self._left -= 1

    def _count(self, zone: str, address: str, learned: Learned, sums: tuple[int, int, int, int, int]) -> None:
        places, place = self.neighbours, address
        if zone == names.UNDECLARED:
            length = 24 if ip_address(address).version == 4 else 64
            places, place = self.networks, str(ip_network(f"{address}/{length}", strict=False))
        elif address in self._broadcast:
            return
        if place not in places and len(places) >= PLACES:
            return
        found = places.setdefault(place, _Place())
        found.sums.add(*sums)
        found.positions.add(learned.sensor.position or "")
        if len(found.hosts) < HOSTS:
            found.hosts.add(address)


def suggestion_text(found: Iterable[Finding], strangers: Strangers) -> str:
    """The file, of the findings of a run and the addresses it saw."""
    neighbours = [
        Stranger(address, "an address of the perimeter that is nobody's", place.seen())
        for address, place in strangers.neighbours.items()
    ]
    networks = [
        Stranger(network, f"a private network in no zone, {_hosts(place)}", place.seen())
        for network, place in strangers.networks.items()
    ]
    return suggestions(_unlisted(found, strangers), neighbours, networks)


def _unlisted(found: Iterable[Finding], strangers: Strangers) -> list[Unlisted]:
    """One entry for all findings that the same local path would allow."""
    alike: dict[tuple[Any, ...], list[Finding]] = {}
    for finding in found:
        if not _misses_a_row(finding.hit) or transport_number(finding.transport) is None:
            continue
        verdict = finding.verdict
        service = finding.hit.service if finding.hit.service != "unknown" else ""
        key = (_selector(verdict.source), _selector(verdict.destination), finding.transport, _ports(finding), service)
        alike.setdefault(key, []).append(finding)
    made = []
    for key, same in alike.items():
        sums = Sums()
        for finding in same:
            sums.update(finding.sums)
        first = min(same, key=lambda finding: names.SEVERITIES.index(finding.hit.severity))
        source, sources = _narrow(key[0], "source", same, strangers)
        destination, destinations = _narrow(key[1], "destination", same, strangers)
        made.append(
            Unlisted(
                f"suggested-{first.id}",
                source,
                destination,
                *key[2:],
                breadth=tuple(f"{way} {count}" for way, count in (("from", sources), ("to", destinations)) if count),
                found_by=f"{first.hit.severity} {first.hit.rule}",
                reason=visible(first.reason),
                seen=_seen(sums, {finding.position for finding in same}),
                stays=tuple(dict.fromkeys(rule for finding in same for rule in _staying(finding.verdict))),
            )
        )
    return made


def _narrow(selector: str, end: str, same: Sequence[Finding], strangers: Strangers) -> tuple[tuple[str, ...], str]:
    """What an entry has at this end, and how many addresses that stands for where these are too many to name."""
    if any((finding.verdict.source if end == "source" else finding.verdict.destination).component for finding in same):
        return (selector,), ""
    kept = [strangers.ends.get((_id(f.hit, f.position, f.verdict, f.transport), end), set()) for f in same]
    found = set().union(*kept)
    if found and all(kept) and len(found) <= FEW:
        return tuple(sorted(found, key=lambda text: (ip_address(text).version, int(ip_address(text))))), ""
    count = f"{len(found):,}" if found and all(len(each) < HOSTS for each in kept) else f"{HOSTS} or more"
    return (selector,), f"{count} addresses of {selector}"


def _found(learned: Learned, number: int) -> list[str]:
    """The findings, without their subjects, that flows of the observation belong to and a local path would answer."""
    verdict = learned.verdicts[number]
    if verdict.verdict != VIOLATION:
        return []
    position, transport = learned.sensor.position or "", TRANSPORTS[learned.protocols[number]]
    return [_id(hit, position, verdict, transport) for hit in verdict.hits if _misses_a_row(hit)]


def _misses_a_row(hit: Hit) -> bool:
    return _only_misses_a_row(hit.rule)


def _only_misses_a_row(id: str) -> bool:
    rule = registered().get(id)
    return rule is not None and rule.only_misses_a_row


def _staying(verdict: Verdict) -> list[str]:
    """Rules that hold on the flow whichever row permits it, else those that come out from behind the one it answers."""
    held = [hit.rule for hit in verdict.hits if hit.severity != "info" and not _misses_a_row(hit)]
    return held or [id for id in verdict.rules_silenced if not _only_misses_a_row(id)]


def _id(hit: Hit, position: str, verdict: Verdict, transport: str) -> str:
    ends = (verdict.source, verdict.destination)
    return finding_id(hit.rule, position, *ends, transport, hit.port_or_class, hit.service)


def _ports(finding: Finding) -> tuple[PortRange, ...]:
    spans = [span.partition("-") for span in finding.ports.ranges().split(",") if span]
    found = tuple(PortRange(int(first), int(last or first)) for first, _, last in spans)
    return found if len(found) <= SPANS else (PortRange(found[0].first, found[-1].last),)


def _selector(end: End) -> str:
    return end.component or end.role or end.zone


def _end(learned: Learned, number: int, end: str) -> End:
    verdict = learned.verdicts[number]
    return verdict.source if end == "source" else verdict.destination


def _stranger(end: End) -> bool:
    return end.zone == names.UNDECLARED or (end.zone in _PERIMETER and end.role is None and end.component is None)


def _hosts(place: _Place) -> str:
    count = len(place.hosts)
    return "1 host" if count == 1 else f"{count} hosts" if count < HOSTS else f"{HOSTS} hosts or more"


def _seen(sums: Sums, positions: Iterable[str]) -> Seen:
    assert sums.first is not None
    assert sums.last is not None
    return Seen(sums.flows, iso(sums.first)[:19] + "Z", iso(sums.last)[:19] + "Z", tuple(sorted(positions)))
