"""Rules over several flows in an audit: the flows they may need are kept, joined when all captures are read.

Strategy: beside the aggregate of each sensor stands a keeper of judged rows, `KEPT` of them at most; a run with more is
joined as far as they reach, since what two sensors show once they show again. When all is read the rows become
`rules.sights`, and each finding refers to rows of theirs, which are its samples and evidence like any other's. Live
sensors make sights and findings of their rows by the same functions (`monitor.live.minutes`).

A flow may be in many pairs, as three sensors on one way make of one connection. It counts once under a rule, as it does
where the rule looks at it alone: in the first finding that it takes part in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import pyarrow as pa

from monitor.aggregate import SAMPLES, Aggregate, Finding, Part, sample_key
from monitor.learned import Learned
from monitor.replay import Replay
from monitor.sums import QUARTER
from parsers import SERVICES
from rules.catalogue import sort_key
from rules.correlate import correlate, wanted
from rules.facts import Site
from rules.observation import Answered, Observation, Tls
from rules.registry import Rule
from rules.sights import Joined, Sight, Sights, Spoken
from rules.transports import TRANSPORTS, UDP
from rules.verdict import Hit, Verdict, finding_id

KEPT: Final = 100_000
"""Rows of one sensor that may take part in a finding over several flows: about 200 MB of them, and some seconds."""

_SPOKEN: Final = ("join.minutes", "join.records.source", "join.records.destination", "join.allocates")
"""Columns of lists that say what a flow showed in which minute: the fields of `Spoken`."""

Key = tuple[Any, ...]
"""End, start, protocol, source and destination of a flow."""


class _Sink(Protocol):
    def rows(self, batch: Any, replay: Replay) -> None: ...


class Kept:
    """The sink of one sensor: hands rows on, and keeps those that may be joined."""

    def __init__(self, sink: _Sink, site: Site) -> None:
        self._sink = sink
        self._site = site
        self._wanted: list[bool] = []  # by number
        self._left = KEPT
        self._batches: list[Any] = []

    def rows(self, batch: Any, replay: Replay) -> None:
        self._sink.rows(batch, replay)
        for number in range(len(self._wanted), len(replay.verdicts)):
            self._wanted.append(wanted(self._site, replay.verdicts[number], replay.observations[number]))
        if self._left:
            chosen = batch.filter(pa.array(self._wanted).take(batch["observation"])).slice(0, self._left)
            self._left -= chosen.num_rows
            if chosen.num_rows:
                self._batches.append(chosen)

    @property
    def table(self) -> Any:
        """All of them, None without any."""
        return pa.Table.from_batches(self._batches).combine_chunks() if self._batches else None


@dataclass(frozen=True, slots=True)
class Together:
    """What a run's flows show together. findings: with the sensor of their first flow. marked: of each sensor, where
    the verdict of a flow that takes part now stands: the same, and the rules that it takes part in."""

    findings: list[tuple[Learned, Finding]]
    marked: list[dict[Key, int]]


def together(site: Site, kept: Sequence[tuple[Learned, Kept]]) -> Together:
    tables = [each.table for _, each in kept]
    sights = [
        sight
        for number, ((learned, _), table) in enumerate(zip(kept, tables, strict=True))
        if table is not None
        for sight in sights_of(site, number, learned, table)
    ]
    told = list(correlate(Sights(site, tuple(sights))))
    beside: dict[tuple[int, int], set[tuple[str, str]]] = {}
    for rule, severity, joined in told:
        for sight in joined.sights:
            beside.setdefault((sight.sensor, sight.ref), set()).add((rule.id, severity))
    rows: dict[tuple[int, int], Any] = {}
    marked: list[dict[Key, int]] = [{} for _ in kept]
    places: dict[tuple[int, int, frozenset[tuple[str, str]]], int] = {}  # flows that were alike stay so
    for (sensor, ref), rules in beside.items():
        row = tables[sensor].slice(ref, 1)
        alike = (sensor, row["observation"][0].as_py(), frozenset(rules))
        if alike not in places:
            places[alike] = _beside(kept[sensor][0], alike[1], rules)
        marked[sensor][key_of(row)] = places[alike]
        rows[sensor, ref] = _at(row, places[alike])
    found: dict[str, tuple[Learned, Finding]] = {}
    counted: set[tuple[str, int, int]] = set()  # rule, sensor, row
    for rule, severity, joined in told:
        fresh = [
            (place, sight)
            for place, sight in enumerate(joined.sights)
            if (rule.id, sight.sensor, sight.ref) not in counted
        ]
        if not fresh:
            continue
        first = joined.sights[0]
        learned, row = kept[first.sensor][0], rows[first.sensor, first.ref]
        verdict = learned.verdicts[row["observation"][0].as_py()]
        finding = finding_of(site, rule, severity, joined, verdict)
        _, finding = found.setdefault(finding.id, (learned, finding))
        for place, sight in fresh:
            counted.add((rule.id, sight.sensor, sight.ref))
            add(finding, sight)
            row = rows[sight.sensor, sight.ref]
            finding.samples.append(((joined.later(place), *sample_key(row)), row, kept[sight.sensor][0]))
            finding.ends.update((("source", sight.source_ip), ("destination", sight.destination_ip)))
    for _, finding in found.values():
        finding.samples.sort(key=lambda sample: (sample[0], sample[2].sensor.label))
        del finding.samples[SAMPLES:]
    return Together(list(found.values()), marked)


def _beside(learned: Learned, place: int, rules: set[tuple[str, str]]) -> int:
    """Where the verdict stands that is this one and names these rules as well."""
    verdict = learned.verdicts[place]
    known = {hit.rule: hit.severity for hit in verdict.hits}
    everything = sorted({**dict(rules), **known}.items(), key=lambda pair: sort_key(*pair))
    changed = replace(verdict, rules=tuple(rule for rule, _ in everything))
    learned.verdicts.append(changed)
    learned.protocols.append(learned.protocols[place])
    learned.observations.append(learned.observations[place])
    return len(learned.verdicts) - 1


def mark(aggregate: Aggregate, marked: Mapping[Key, int]) -> None:
    """Let samples of what one flow shows say what they take part in, too. marked: of this sensor."""
    for group in aggregate.groups.values() if marked else ():
        group.samples = [
            (key, row if (place := marked.get(key_of(row))) is None else _at(row, place)) for key, row in group.samples
        ]


def _at(row: Any, place: int) -> Any:
    """A row whose verdict stands there."""
    column = row.column_names.index("observation")
    return row.set_column(column, "observation", pa.array([place], pa.uint32()))


def key_of(row: Any) -> Key:
    """What a flow of one sensor is known by. row: a table of one row, with the core's columns."""
    times = (row[name].cast(pa.int64())[0].as_py() for name in ("event.end", "event.start"))
    ends = (row[name][0].as_py() or 0 for name in ("source.ip", "source.port", "destination.ip", "destination.port"))
    return (*times, row["network.transport"][0].as_py(), *ends)


def finding_of(site: Site, rule: Rule, severity: str, joined: Joined, verdict: Verdict) -> Finding:
    """A finding over several flows, with none of them yet. verdict: of its first one."""
    first = joined.sights[0]
    port = site.port_or_class(first.destination, first.transport, site.ports.representative(first.port))
    hit = Hit(rule.id, severity, joined.reason, None, None, port, first.service)
    transport = TRANSPORTS[first.transport]
    ends = (verdict.source, verdict.destination)
    key = finding_id(rule.id, first.position, *ends, transport, port, first.service)
    return Finding(key, first.position, transport, "", hit, verdict)


def add(finding: Finding, sight: Sight) -> None:
    """A flow that takes part."""
    packets = sight.source_packets + sight.destination_packets
    part = finding.quarters.setdefault(sight.start // QUARTER, Part(finding.hit, finding.verdict))
    for sums, ports in ((finding.sums, finding.ports), (part.sums, part.ports)):
        sums.add(1, packets, sight.octets, sight.start, sight.last)
        ports.add(sight.port or None)


def sights_of(site: Site, number: int, learned: Learned, table: Any) -> Iterator[Sight]:
    """Rows of one sensor as plain values, their places as `ref`."""
    columns = {
        name: table[name].to_pylist()
        for name in (
            *("observation", "source.ip", "destination.ip", "source.port", "destination.port", "network.protocol"),
            *("source.packets", "destination.packets", "source.bytes", "destination.bytes"),
            *("edgewarden.stun.transaction_id", "tls.server.hash.sha256", *_SPOKEN),
            *("join.isn.source", "join.isn.destination", "join.client_random", "join.first_payload"),
        )
    }
    starts, ends = (table[name].cast(pa.int64()).to_pylist() for name in ("event.start", "event.end"))
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
            source=site.endpoints[seen.source].called(verdict.source.role),
            destination=site.endpoints[seen.destination].called(verdict.destination.role),
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
            spoken=_spoken(row),
            path=verdict.path,
            certificate=row["tls.server.hash.sha256"] or "",
            isn=isn if isn != (None, None) else None,
            client_random=row["join.client_random"],
            transaction=row["edgewarden.stun.transaction_id"] if seen.transport == UDP else None,
            first_payload=row["join.first_payload"],
            service=SERVICES[row["network.protocol"] or 0],
            octets=row["source.bytes"] + row["destination.bytes"],
            last=ends[ref],
        )


def _services(seen: Observation) -> frozenset[str]:
    return frozenset(name for number, name in enumerate(SERVICES) if seen.services >> number & 1)


def _spoken(row: dict[str, Any]) -> tuple[Spoken, ...]:
    return tuple(Spoken(*counts) for counts in zip(*(row[name] for name in _SPOKEN), strict=True))
