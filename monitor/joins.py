"""Rules over several flows in an audit: the flows they may need are kept, joined when all captures are read.

Strategy: beside the aggregate of each sensor stands a keeper of judged rows, `KEPT` of them at most; a run with more is
joined as far as they reach, since what two sensors show once they show again. When all is read the rows become
`rules.sights`, and each finding refers to rows of theirs, which are its samples and evidence like any other's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from monitor.aggregate import SAMPLES, Aggregate, Finding, Part, sample_key
from monitor.learned import Learned
from monitor.replay import Replay
from monitor.sums import QUARTER
from parsers import SERVICES
from rules import names
from rules.correlate import correlate
from rules.facts import Site
from rules.observation import Answered, Observation, Tls
from rules.sights import Sight, Sights
from rules.transports import TRANSPORTS, UDP
from rules.verdict import OUT_OF_SCOPE, Hit, Verdict, finding_id

KEPT: Final = 100_000
"""Rows of one sensor that may take part in a finding over several flows: about 200 MB of them, and some seconds."""


class Kept:
    """The sink of one sensor: hands rows to the aggregate, and keeps those that may be joined."""

    def __init__(self, aggregate: Aggregate) -> None:
        self._aggregate = aggregate
        self._wanted: list[bool] = []  # by number
        self._left = KEPT
        self._batches: list[Any] = []

    def rows(self, batch: Any, replay: Replay) -> None:
        self._aggregate.rows(batch, replay)
        self._wanted.extend(_wanted(verdict) for verdict in replay.verdicts[len(self._wanted) :])
        if self._left:
            chosen = batch.filter(pa.array(self._wanted).take(batch["observation"])).slice(0, self._left)
            self._left -= chosen.num_rows
            if chosen.num_rows:
                self._batches.append(chosen)

    @property
    def table(self) -> Any:
        """All of them, None without any."""
        return pa.Table.from_batches(self._batches).combine_chunks() if self._batches else None


def _wanted(verdict: Verdict) -> bool:
    """Judged flows; and from Director to Front End, where what should have ended at the Director goes on."""
    behind = (verdict.source.role, verdict.destination.role) == (names.DIRECTOR, names.FE)
    return verdict.verdict != OUT_OF_SCOPE or behind


def joined_findings(site: Site, kept: Sequence[tuple[Learned, Kept]]) -> list[tuple[Learned, Finding]]:
    """(sensor of its first flow, finding) of each rule over several flows."""
    tables = [each.table for _, each in kept]
    sights = [
        sight
        for number, ((learned, _), table) in enumerate(zip(kept, tables, strict=True))
        if table is not None
        for sight in _sights(site, number, learned, table)
    ]
    found: dict[str, tuple[Learned, Finding]] = {}
    for rule, severity, joined in correlate(Sights(site, tuple(sights))):
        first = joined.sights[0]
        learned, table = kept[first.sensor][0], tables[first.sensor]
        verdict = learned.verdicts[table["observation"][first.ref].as_py()]
        port = site.port_or_class(first.destination, first.transport, site.ports.representative(first.port))
        service = SERVICES[table["network.protocol"][first.ref].as_py() or 0]
        hit = Hit(rule.id, severity, joined.reason, None, None, port, service)
        transport = TRANSPORTS[first.transport]
        key = finding_id(rule.id, first.position, verdict.source, verdict.destination, transport, port, service)
        _, finding = found.setdefault(key, (learned, Finding(key, first.position, transport, "", hit, verdict)))
        for sight in joined.sights:
            _add(finding, kept[sight.sensor][0], tables[sight.sensor].slice(sight.ref, 1), sight)
    for _, finding in found.values():
        finding.samples.sort(key=lambda sample: (sample[0], sample[2].sensor.label))
        del finding.samples[SAMPLES:]
    return list(found.values())


def _add(finding: Finding, learned: Learned, row: Any, sight: Sight) -> None:
    """A flow that takes part."""
    octets = row["source.bytes"][0].as_py() + row["destination.bytes"][0].as_py()
    packets = sight.source_packets + sight.destination_packets
    part = finding.quarters.setdefault(sight.start // QUARTER, Part(finding.hit, finding.verdict))
    for sums, ports in ((finding.sums, finding.ports), (part.sums, part.ports)):
        sums.add(1, packets, octets, sight.start, row["event.end"].cast(pa.int64())[0].as_py())
        ports.add(sight.port or None)
    finding.samples.append((sample_key(row), row, learned))
    finding.ends.update((end, row[f"{end}.ip"][0].as_py()) for end in ("source", "destination"))


def _sights(site: Site, number: int, learned: Learned, table: Any) -> Iterator[Sight]:
    """The kept rows of one sensor as plain values, their places as `ref`."""
    columns = {
        name: table[name].to_pylist()
        for name in (
            *("observation", "source.ip", "destination.ip", "source.port", "destination.port"),
            *("source.packets", "destination.packets", "edgewarden.stun.method", "edgewarden.stun.transaction_id"),
            *("edgewarden.sip.call_id", "tls.server.hash.sha256", "join.isn.source", "join.isn.destination"),
            *("join.client_random", "join.first_payload"),
        )
    }
    starts = table["event.start"].cast(pa.int64()).to_pylist()
    sensor = learned.sensor
    for ref, values in enumerate(zip(*columns.values(), strict=True)):
        row: dict[str, Any] = dict(zip(columns, values, strict=True))
        place = row["observation"]
        seen, verdict = learned.observations[place], learned.verdicts[place]
        isn = (row["join.isn.source"], row["join.isn.destination"])
        yield Sight(
            ref=ref,
            sensor=number,
            position=sensor.position or "",
            side=sensor.side,
            behind_lb=sensor.behind_lb,
            start=starts[ref],
            transport=seen.transport,
            source=site.endpoints[seen.source],
            destination=site.endpoints[seen.destination],
            ends=(verdict.source, verdict.destination),
            source_ip=row["source.ip"],
            destination_ip=row["destination.ip"],
            source_port=row["source.port"] or 0,
            port=row["destination.port"] or 0,
            source_packets=row["source.packets"],
            destination_packets=row["destination.packets"],
            answered=seen.answered == Answered.YES,
            refused=seen.answered == Answered.REFUSED,
            services=_services(seen),
            established=bool(seen.tls & Tls.ESTABLISHED),
            hello=bool(seen.tls & Tls.CLIENT_HELLO),
            allocate_alone=_allocate_alone(seen, row),
            path=verdict.path,
            certificate=row["tls.server.hash.sha256"] or "",
            isn=isn if None not in isn else None,
            client_random=row["join.client_random"],
            transaction=row["edgewarden.stun.transaction_id"] if seen.transport == UDP else None,
            call=row["edgewarden.sip.call_id"],
            first_payload=row["join.first_payload"],
        )


def _services(seen: Observation) -> frozenset[str]:
    return frozenset(name for number, name in enumerate(SERVICES) if seen.services >> number & 1)


def _allocate_alone(seen: Observation, row: dict[str, Any]) -> bool:
    """One datagram with an Allocate, and nothing after the challenge."""
    return seen.transport == UDP and row["edgewarden.stun.method"] == "allocate" and row["source.packets"] == 1
