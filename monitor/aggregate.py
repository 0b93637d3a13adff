"""Judged flows of one sensor, added up by column: totals, paths, findings, attempts, and a few rows as samples.

Strategy: every number is a sum over groups that Arrow forms (observation, destination port, subject), so Python's work
follows the number of groups and not of flows. Verdicts are not final while the run goes on (a tap may turn out to show
one direction only, and then no attempt is concluded from it), so groups are kept per observation and read at the end.

All keeping is bounded: observations by the core, ports by a bitmap, subjects by `SUBJECTS`, source addresses by
`SOURCES`, samples by `SAMPLES` a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from monitor.learned import Learned
from rules.transports import TRANSPORTS
from rules.verdict import ATTEMPT, VIOLATION, Hit, Verdict, finding_id

SAMPLES: Final = 8
"""Flows shown with a finding: enough to see a pattern, few enough to read."""

SUBJECTS: Final = 100
"""Distinct subjects (domains, certificates) of one rule; the rest is `OTHER`. A hostile peer could name millions."""

SUBJECTS_PER_SENSOR: Final = 1000
"""Kept while one sensor runs; which hundred are shown is decided over all sensors, the first seen first."""

SOURCES: Final = 1_000_000
"""Distinct source addresses counted over the attempts of one sensor: about 100 MB. A spoofed scan has more; the count
then stays at what was seen up to there."""

PORTS_NAMED: Final = 4
"""Ports that a sentence lists; with more of them it names the lowest, the highest and how many."""

OTHER: Final = "other"

_SAMPLE_KEY: Final = (
    "event.start",
    "event.end",
    "network.transport",
    "source.ip",
    "source.port",
    "destination.ip",
    "destination.port",
)


class Ports:
    """Which of the 65,536 ports were seen."""

    def __init__(self) -> None:
        self._bits = 0

    def add(self, port: int | None) -> None:
        if port is not None:
            self._bits |= 1 << port

    def update(self, other: Ports) -> None:
        self._bits |= other._bits

    def summary(self) -> dict[str, int | None]:
        if not self._bits:
            return {"min": None, "max": None, "distinct": 0}
        lowest = (self._bits & -self._bits).bit_length() - 1
        return {"min": lowest, "max": self._bits.bit_length() - 1, "distinct": self._bits.bit_count()}

    def ranges(self) -> str:
        """ "389,1024-1031": all of them, for `Ports.of`."""
        found, rest, start = [], self._bits, 0
        while rest:
            skipped = (rest & -rest).bit_length() - 1
            start, rest = start + skipped, rest >> skipped
            run = (~rest & rest + 1).bit_length() - 1
            found.append(str(start) if run == 1 else f"{start}-{start + run - 1}")
            start, rest = start + run, rest >> run
        return ",".join(found)

    @classmethod
    def of(cls, ranges: str) -> Ports:
        made = cls()
        for part in filter(None, ranges.split(",")):
            lowest, _, highest = part.partition("-")
            first, last = int(lowest), int(highest or lowest)
            made._bits |= (1 << last + 1) - (1 << first)
        return made

    def __str__(self) -> str:
        """ "389, 445"; more than `PORTS_NAMED` as "1-1023" when there is none missing, else "22-8443 (514 ports)"."""
        count = self._bits.bit_count()
        if count <= PORTS_NAMED:
            return ", ".join(str(port) for port in range(self._bits.bit_length()) if self._bits >> port & 1)
        ports = self.summary()
        lowest, highest = ports["min"] or 0, ports["max"] or 0
        return f"{lowest}-{highest}" + ("" if highest - lowest + 1 == count else f" ({count} ports)")


@dataclass(slots=True)
class Sums:
    """Flows, packets, octets, and when the first and the last was."""

    flows: int = 0
    packets: int = 0
    octets: int = 0
    first: int | None = None
    last: int | None = None

    def add(self, flows: int, packets: int, octets: int, first: int, last: int) -> None:
        self.flows += flows
        self.packets += packets
        self.octets += octets
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)

    def update(self, other: Sums) -> None:
        if other.flows and other.first is not None and other.last is not None:
            self.add(other.flows, other.packets, other.octets, other.first, other.last)


@dataclass(slots=True)
class Group:
    """Violating or attempted flows of one observation and, where its rules look at one, one subject."""

    sums: Sums = field(default_factory=Sums)
    ports: Ports = field(default_factory=Ports)
    sources: set[str] = field(default_factory=set)
    samples: list[tuple[tuple[Any, ...], Any]] = field(default_factory=list)  # (key, one-row table)


class Aggregate:
    """The sink of one sensor's replay."""

    def __init__(self) -> None:
        self.by_observation: dict[int, Sums] = {}
        self.groups: dict[tuple[int, tuple[str, ...]], Group] = {}
        self._subjects: dict[str, set[str]] = {}
        self._sources_left = SOURCES

    def rows(self, batch: Any, learned: Learned) -> None:
        table = pa.table(
            {
                "observation": batch["observation"],
                "packets": pc.add(batch["source.packets"], batch["destination.packets"]),
                "octets": pc.add(batch["source.bytes"], batch["destination.bytes"]),
                "start": batch["event.start"],
                "end": batch["event.end"],
            }
        )
        verdicts = learned.verdicts
        hot: set[int] = set()
        for number, *sums in _grouped(table, ["observation"]):
            self.by_observation.setdefault(number, Sums()).add(*sums)
            if verdicts[number].verdict in (VIOLATION, ATTEMPT):
                hot.add(number)
        if hot:
            chosen = pc.is_in(batch["observation"], value_set=pa.array(sorted(hot), pa.uint32()))
            self._marked(table.filter(chosen), pa.table(batch).filter(chosen), verdicts, hot)

    def _marked(self, sums: Any, rows: Any, verdicts: Sequence[Verdict], hot: Iterable[int]) -> None:
        """Flows on which a rule holds. sums, rows: the same flows, as numbers to add and as they came."""
        columns = sorted({column for number in hot for column in subject_columns(verdicts[number])})
        sums = sums.append_column("port", rows["destination.port"])
        for column in columns:
            sums = sums.append_column(column, rows[column].cast(pa.string()))
        for number, port, *rest in _grouped(sums, ["observation", "port", *columns]):
            values = dict(zip(columns, rest, strict=False))
            group = self._group(number, verdicts[number], values)
            group.sums.add(*rest[len(columns) :])
            group.ports.add(port)
        self._samples(rows, verdicts, columns)
        for number, address, *_ in _grouped(
            sums.append_column("address", rows["source.ip"]), ["observation", "address"]
        ):
            if verdicts[number].verdict == ATTEMPT and self._sources_left > 0:
                sources = self._sources(number)
                if address not in sources:
                    sources.add(address)
                    self._sources_left -= 1

    def _sources(self, number: int) -> set[str]:
        """Of an attempt's observation; its groups with subjects share one set, since attempts have no subject."""
        return self.groups.setdefault((number, ()), Group()).sources

    def _group(self, number: int, verdict: Verdict, values: dict[str, str | None]) -> Group:
        subject: tuple[str, ...] = ()
        if verdict.verdict == VIOLATION:
            subject = tuple(
                self._subject(hit.rule, values.get(hit.subject_column) or "") if hit.subject_column else ""
                for hit in verdict.hits
            )
            subject = subject if any(subject) else ()
        return self.groups.setdefault((number, subject), Group())

    def _subject(self, rule: str, value: str) -> str:
        if not value:
            return ""
        known = self._subjects.setdefault(rule, set())
        if value not in known:
            if len(known) >= SUBJECTS_PER_SENSOR:
                return OTHER
            known.add(value)
        return value

    def _samples(self, rows: Any, verdicts: Sequence[Verdict], columns: Sequence[str]) -> None:
        """Keep the earliest flows of each group; ties go by five-tuple, so that batches do not matter."""
        order = pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in _SAMPLE_KEY])
        numbers = rows["observation"].take(order).to_pylist()
        subjects = {column: rows[column].take(order).to_pylist() for column in columns}
        taken: dict[tuple[int, tuple[str | None, ...]], int] = {}
        for position, number in enumerate(numbers):
            if verdicts[number].verdict != VIOLATION:
                continue
            values = tuple(subjects[column][position] for column in columns)
            count = taken.get((number, values), 0)
            if count == SAMPLES:
                continue
            taken[number, values] = count + 1
            group = self._group(number, verdicts[number], dict(zip(columns, values, strict=True)))
            row = rows.take([order[position].as_py()])
            key = tuple(_comparable(row[name][0].as_py()) for name in _SAMPLE_KEY)
            group.samples.append((key, row))
            group.samples.sort(key=lambda sample: sample[0])
            del group.samples[SAMPLES:]


def subject_columns(verdict: Verdict) -> list[str]:
    """Columns that the verdict's findings are told apart by."""
    return [hit.subject_column for hit in verdict.hits if hit.subject_column]


def _grouped(table: Any, keys: list[str]) -> Iterable[tuple[Any, ...]]:
    """(key values…, flows, packets, octets, first, last) of each group, in order of first appearance."""
    made = table.group_by(keys, use_threads=False).aggregate(
        [("packets", "count"), ("packets", "sum"), ("octets", "sum"), ("start", "min"), ("end", "max")]
    )
    names = [*keys, "packets_count", "packets_sum", "octets_sum", "start_min", "end_max"]
    return zip(*(made[name].to_pylist() for name in names), strict=True)


def _comparable(value: Any) -> Any:
    return 0 if value is None else value


@dataclass(slots=True)
class Finding:
    """All violating flows of one fingerprint. `verdict`, `hit`: those of its earliest flow."""

    id: str
    position: str
    transport: str
    subject: str
    hit: Hit
    verdict: Verdict
    sums: Sums = field(default_factory=Sums)
    ports: Ports = field(default_factory=Ports)
    samples: list[tuple[tuple[Any, ...], Any, Learned]] = field(default_factory=list)

    @property
    def reason(self) -> str:
        return with_ports(self.hit.reason, self.hit.at_port, self.transport, self.ports)


def with_ports(reason: str, at_port: str, transport: str, ports: Ports) -> str:
    """The sentence with the ports that were seen: the rule, judging many flows at once, knew a class of ports."""
    named = str(ports)
    if not named or not at_port:
        return reason
    return reason.replace(at_port, f"{transport.upper()} {named}")


@dataclass(slots=True)
class Attempts:
    rule: str
    position: str
    sums: Sums = field(default_factory=Sums)
    ports: Ports = field(default_factory=Ports)
    sources: set[str] = field(default_factory=set)


def findings(
    runs: Sequence[tuple[Learned, Aggregate]], among: Sequence[tuple[Learned, Aggregate]] | None = None
) -> list[Finding]:
    """Findings over all sensors given, in no order. among: the sensors over which the subjects that stay apart are
    chosen; None: these."""
    shown = _shown_subjects(runs if among is None else among)
    found: dict[str, Finding] = {}
    for learned, aggregate in runs:
        position = learned.sensor.position or ""
        for (number, subjects), group in aggregate.groups.items():
            verdict = learned.verdicts[number]
            if verdict.verdict != VIOLATION or not group.sums.flows:
                continue
            transport = TRANSPORTS[learned.protocols[number]]
            for index, hit in enumerate(verdict.hits):
                subject = subjects[index] if subjects else ""
                if subject and subject not in shown.get(hit.rule, set()):
                    subject = OTHER
                key = finding_id(
                    hit.rule,
                    position,
                    verdict.source,
                    verdict.destination,
                    transport,
                    hit.port_or_class,
                    hit.service,
                    subject,
                )
                finding = found.get(key)
                if finding is None:
                    finding = found[key] = Finding(key, position, transport, subject, hit, verdict)
                elif (group.sums.first or 0, hit.reason) < (finding.sums.first or 0, finding.hit.reason):
                    finding.hit, finding.verdict = hit, verdict
                finding.sums.update(group.sums)
                finding.ports.update(group.ports)
                finding.samples.extend((key_, row, learned) for key_, row in group.samples)
    for finding in found.values():
        finding.samples.sort(key=lambda sample: (sample[0], sample[2].sensor.label))
        del finding.samples[SAMPLES:]
    return list(found.values())


def attempts(runs: Sequence[tuple[Learned, Aggregate]]) -> list[Attempts]:
    """Attempts by rule and position, of sensors from which attempts may be concluded; sorted."""
    found: dict[tuple[str, str], Attempts] = {}
    for learned, aggregate in runs:
        if learned.one_way:
            continue
        for (number, _), group in aggregate.groups.items():
            verdict = learned.verdicts[number]
            if verdict.verdict != ATTEMPT:
                continue
            for hit in verdict.hits:
                key = (hit.rule, learned.sensor.position or "")
                summary = found.setdefault(key, Attempts(*key))
                summary.sums.update(group.sums)
                summary.ports.update(group.ports)
                summary.sources.update(group.sources)
    return [found[key] for key in sorted(found)]


def _shown_subjects(runs: Sequence[tuple[Learned, Aggregate]]) -> dict[str, set[str]]:
    """The subjects of each rule that stay apart: the first seen, by name where two were seen at once."""
    seen: dict[str, dict[str, int]] = {}
    for learned, aggregate in runs:
        for (number, subjects), group in aggregate.groups.items():
            for hit, subject in zip(learned.verdicts[number].hits, subjects, strict=False):
                if subject and group.sums.first is not None:
                    known = seen.setdefault(hit.rule, {})
                    known[subject] = min(known.get(subject, group.sums.first), group.sums.first)
    return {
        rule: {name for name, _ in sorted(known.items(), key=lambda item: (item[1], item[0]))[:SUBJECTS]}
        for rule, known in seen.items()
    }
