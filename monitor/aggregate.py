"""Judged flows of one sensor, added up by column: totals, paths, findings, attempts, and a few rows as samples.

Strategy: every number is a sum over groups that Arrow forms (observation, destination port, subject), so Python's work
follows the number of groups and not of flows. Verdicts are not final while the run goes on (a tap may turn out to show
one direction only, and then no attempt is concluded from it), so groups are kept per observation and read at the end.

For a record the sums are split by the quarter of an hour in which a flow began, since days of all time zones begin at
multiples of a quarter; else all stands under quarter 0, and nothing is paid for splitting.

All keeping is bounded: observations by the core, ports by a bitmap, subjects by `SUBJECTS`, source addresses by
`SOURCES`, samples by `SAMPLES` a finding. Beyond `CELLS` sums the quarters become half hours, hours and so on: what is
asked about the whole stays exact, a day is then told by the longer spells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from monitor.learned import Learned
from monitor.sums import QUARTER, Ports, Sums
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

CELLS: Final = 200_000
"""Sums kept for one sensor while they are split by quarters, about 70 MB: a month of quarters of seventy kinds of
flows. Captures with times of many years would have as many as flows."""

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


@dataclass(slots=True)
class Share:
    """What of a group falls into one quarter of an hour."""

    sums: Sums = field(default_factory=Sums)
    ports: Ports = field(default_factory=Ports)
    sources: set[str] = field(default_factory=set)

    def update(self, other: Share) -> None:
        self.sums.update(other.sums)
        self.ports.update(other.ports)
        self.sources |= other.sources


@dataclass(slots=True)
class Group:
    """Violating or attempted flows of one observation and, where its rules look at one, one subject."""

    quarters: dict[int, Share] = field(default_factory=dict)
    # (key, one-row table); live also (key, None): the flow is no sample of these any more
    samples: list[tuple[tuple[Any, ...], Any]] = field(default_factory=list)
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)  # flows by ("source", address that was asked for)

    @property
    def began(self) -> float:
        return min((_began(share.sums) for share in self.quarters.values()), default=inf)


class Aggregate:
    """The sink of one sensor's replay, or of a live session, which hands over sums with signs.

    split: by quarters of an hour, for a record. subjects, sources: other bounds than those above. addresses: whose
    flows are counted apart, as waivers ask.
    """

    def __init__(
        self,
        *,
        split: bool = False,
        subjects: int | None = None,
        sources: int | None = None,
        addresses: Collection[str] = (),
    ) -> None:
        self.by_observation: dict[tuple[int, int], Sums] = {}  # (observation, quarter)
        self.groups: dict[tuple[int, tuple[str, ...]], Group] = {}
        self.grain = QUARTER if split else 0  # nanoseconds told apart
        self._subjects: dict[str, set[str]] = {}
        self._subjects_kept = SUBJECTS_PER_SENSOR if subjects is None else subjects
        self.sources_left = SOURCES if sources is None else sources
        self._addresses = pa.array(sorted(addresses), pa.string())

    def rows(self, batch: Any, learned: Learned) -> None:
        columns = {
            "observation": batch["observation"],
            "packets": pc.add(batch["source.packets"], batch["destination.packets"]),
            "octets": pc.add(batch["source.bytes"], batch["destination.bytes"]),
            "start": batch["event.start"],
            "end": batch["event.end"],
        }
        if self.grain:
            columns["quarter"] = pc.divide(batch["event.start"].cast(pa.int64()), self.grain)
        table = pa.table(columns)
        verdicts = learned.verdicts
        if hot := self.count(table, verdicts):
            chosen = pc.is_in(batch["observation"], value_set=pa.array(sorted(hot), pa.uint32()))
            rows = pa.table(batch).filter(chosen)
            subjects = sorted({column for number in hot for column in subject_columns(verdicts[number])})
            marked = table.filter(chosen)
            marked = marked.append_column("port", rows["destination.port"]).append_column("address", rows["source.ip"])
            for column in subjects:
                marked = marked.append_column(column, rows[column].cast(pa.string()))
            self.mark(marked, subjects, verdicts)
            self._samples(rows, verdicts, subjects)
            if len(self._addresses):
                self._ends(rows, verdicts, subjects)
        while self.grain and self._cells() > CELLS:
            self._coarsen()

    def count(self, table: Any, verdicts: Sequence[Verdict]) -> set[int]:
        """Add all flows; the observations among them on which a rule holds."""
        hot: set[int] = set()
        for number, quarter, *sums in _grouped(table, []):
            self.by_observation.setdefault((number, quarter), Sums()).add(*sums)
            if verdicts[number].verdict in (VIOLATION, ATTEMPT):
                hot.add(number)
        return hot

    def mark(self, table: Any, subjects: Sequence[str], verdicts: Sequence[Verdict]) -> None:
        """Add flows on which a rule holds, with columns `port`, `address` and those of the subjects; where there is a
        column `flows`, counts have signs."""
        signed = "flows" in table.column_names
        for number, quarter, port, *rest in _grouped(table, ["port", *subjects]):
            values = dict(zip(subjects, rest, strict=False))
            share = self.group(number, verdicts[number], values).quarters.setdefault(quarter, Share())
            share.sums.add(*rest[len(subjects) :])
            if signed:
                share.ports.count(port, rest[len(subjects) + 1])
            else:
                share.ports.add(port)
        for number, quarter, address, *_ in _grouped(table, ["address"]):
            if verdicts[number].verdict == ATTEMPT and self.sources_left > 0:
                sources = self.groups[number, ()].quarters[quarter].sources  # attempts have no subject
                if address not in sources:
                    sources.add(address)
                    self.sources_left -= 1

    def _ends(self, rows: Any, verdicts: Sequence[Verdict], columns: Sequence[str]) -> None:
        """Count the violating flows of the addresses asked for."""
        for end in ("source", "destination"):
            among = rows.filter(pc.is_in(rows[f"{end}.ip"].cast(pa.string()), value_set=self._addresses))
            values = [among[column].to_pylist() for column in columns]
            for number, address, *found in zip(
                among["observation"].to_pylist(), among[f"{end}.ip"].to_pylist(), *values, strict=True
            ):
                if verdicts[number].verdict == VIOLATION:
                    group = self.group(number, verdicts[number], dict(zip(columns, found, strict=True)))
                    group.ends[end, address] += 1

    def _cells(self) -> int:
        return len(self.by_observation) + sum(len(group.quarters) for group in self.groups.values())

    def _coarsen(self) -> None:
        """Tell only spells of twice the length apart."""
        self.grain *= 2
        counted, self.by_observation = self.by_observation, {}
        for (number, quarter), sums in counted.items():
            self.by_observation.setdefault((number, quarter // 2), Sums()).update(sums)
        for group in self.groups.values():
            shares, group.quarters = group.quarters, {}
            for quarter, share in shares.items():
                group.quarters.setdefault(quarter // 2, Share()).update(share)

    def group(self, number: int, verdict: Verdict, values: Mapping[str, str | None]) -> Group:
        """That of flows of an observation. values: by the columns that its rules look at."""
        return self.groups.setdefault((number, self.subjects(verdict, values)), Group())

    def subjects(self, verdict: Verdict, values: Mapping[str, str | None]) -> tuple[str, ...]:
        """Of each hit, as far as there is room; () where there is none at all."""
        if verdict.verdict != VIOLATION:
            return ()
        subjects = tuple(
            self._subject(hit.rule, values.get(hit.subject_column) or "") if hit.subject_column else ""
            for hit in verdict.hits
        )
        return subjects if any(subjects) else ()

    def _subject(self, rule: str, value: str) -> str:
        if not value:
            return ""
        known = self._subjects.setdefault(rule, set())
        if value not in known:
            if len(known) >= self._subjects_kept:
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
            group = self.group(number, verdicts[number], dict(zip(columns, values, strict=True)))
            row = rows.take([order[position].as_py()])
            key = sample_key(row)
            group.samples.append((key, row))
            group.samples.sort(key=lambda sample: sample[0])
            del group.samples[SAMPLES:]


def subject_columns(verdict: Verdict) -> list[str]:
    """Columns that the verdict's findings are told apart by."""
    return [hit.subject_column for hit in verdict.hits if hit.subject_column]


def _grouped(table: Any, keys: list[str]) -> Iterable[tuple[Any, ...]]:
    """(observation, quarter, key values…, flows, packets, octets, first, last) of each group, in order of first
    appearance; quarter 0 where the table has none."""
    split = "quarter" in table.column_names
    keys = ["observation", *(["quarter"] if split else []), *keys]
    flows = ("flows", "sum") if "flows" in table.column_names else ("packets", "count")
    made = table.group_by(keys, use_threads=False).aggregate(
        [flows, ("packets", "sum"), ("octets", "sum"), ("start", "min"), ("end", "max")]
    )
    names = [*keys, "_".join(flows), "packets_sum", "octets_sum", "start_min", "end_max"]
    columns = [made[name].to_pylist() for name in names]
    if not split:
        columns.insert(1, [0] * made.num_rows)
    return zip(*columns, strict=True)


def sample_key(row: Any) -> tuple[Any, ...]:
    """What orders samples, whatever batch they came in. row: a table of one row."""
    return tuple(_comparable(row[name][0].as_py()) for name in _SAMPLE_KEY)


def _comparable(value: Any) -> Any:
    return 0 if value is None else value


@dataclass(slots=True)
class Part:
    """What of a finding falls into one quarter of an hour. `verdict`, `hit`: those of its earliest flow there."""

    hit: Hit
    verdict: Verdict
    sums: Sums = field(default_factory=Sums)
    ports: Ports = field(default_factory=Ports)

    def update(self, hit: Hit, verdict: Verdict, share: Share) -> None:
        if (_began(share.sums), hit.reason) < (_began(self.sums), self.hit.reason):
            self.hit, self.verdict = hit, verdict
        self.sums.update(share.sums)
        self.ports.update(share.ports)


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
    quarters: dict[int, Part] = field(default_factory=dict)
    samples: list[tuple[tuple[Any, ...], Any, Learned]] = field(default_factory=list)
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)  # as those of its groups

    def update(self, hit: Hit, verdict: Verdict, group: Group) -> None:
        self.ends.update(group.ends)
        for quarter, share in group.quarters.items():
            if (_began(share.sums), hit.reason) < (_began(self.sums), self.hit.reason):
                self.hit, self.verdict = hit, verdict
            self.sums.update(share.sums)
            self.ports.update(share.ports)
            self.quarters.setdefault(quarter, Part(hit, verdict)).update(hit, verdict, share)

    @property
    def reason(self) -> str:
        return with_ports(self.hit.reason, self.hit.at_port, self.transport, self.ports)


def _began(sums: Sums) -> float:
    return inf if sums.first is None else sums.first


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
    runs: Sequence[tuple[Learned, Aggregate]],
    among: Sequence[tuple[Learned, Aggregate]] | None = None,
    samples: int | None = SAMPLES,
) -> list[Finding]:
    """Findings over all sensors given, in no order. among: the sensors over which the subjects that stay apart are
    chosen; None: these. samples: how many stay of each; None: all, what is taken back first."""
    shown = _shown_subjects(runs if among is None else among)
    found: dict[str, Finding] = {}
    for learned, aggregate in runs:
        position = learned.sensor.position or ""
        for (number, subjects), group in aggregate.groups.items():
            verdict = learned.verdicts[number]
            if verdict.verdict != VIOLATION:
                continue
            transport = TRANSPORTS[learned.protocols[number]]
            for index, hit in enumerate(verdict.hits):
                if learned.one_way and hit.needs_both_ways:
                    continue
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
                finding.update(hit, verdict, group)
                finding.samples.extend((key_, row, learned) for key_, row in group.samples)
    for finding in found.values():
        finding.samples.sort(key=lambda sample: (sample[0], sample[2].sensor.label, sample[1] is not None))
        finding.samples = finding.samples[:samples]
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
                for share in group.quarters.values():
                    summary.sums.update(share.sums)
                    summary.ports.update(share.ports)
                    summary.sources.update(share.sources)
    return [found[key] for key in sorted(found)]


def _shown_subjects(runs: Sequence[tuple[Learned, Aggregate]]) -> dict[str, set[str]]:
    """The subjects of each rule that stay apart: the first seen, by name where two were seen at once."""
    seen: dict[str, dict[str, float]] = {}
    for learned, aggregate in runs:
        for (number, subjects), group in aggregate.groups.items():
            for hit, subject in zip(learned.verdicts[number].hits, subjects, strict=False):
                if subject:
                    known = seen.setdefault(hit.rule, {})
                    known[subject] = min(known.get(subject, inf), group.began)
    return {
        rule: {name for name, _ in sorted(known.items(), key=lambda item: (item[1], item[0]))[:SUBJECTS]}
        for rule, known in seen.items()
    }
