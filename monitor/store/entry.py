"""What an audit or a live session adds to a record: plain rows of deltas, made from its sums, sensor by sensor.

Strategy: pure. The sums of an audit are read a second time, now for each sensor alone, so that a record can be asked
about one of them, and by the quarters of an hour in which flows began, so that it can be asked about a day; all else
(which flow is a finding's earliest, which subjects stay apart) is decided as the audit itself decides it, hence the sum
over an audit's rows is that audit's result.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from monitor.aggregate import OTHER, Aggregate, Finding, Part, findings
from monitor.audit import CONFIG, LOSSES, Audit, samples_of
from monitor.judged import final_verdict
from monitor.learned import Learned
from monitor.replay import CaptureFigures
from monitor.rows import compact
from monitor.scope import scope_of
from monitor.store.sights import Showing
from monitor.sums import Ports, Sums
from reports.visible import visible
from rules.catalogue import controls_of
from rules.verdict import ALLOWED, ATTEMPT, Verdict, finding_id

AUDIT: Final = "audit"
SENSOR: Final = "sensor"

_EVER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture that is to be counted, and what its sensor watched. Times in nanoseconds; window None = open end."""

    sha256: str
    sensor: str
    position: str
    side: str | None
    interface: int | None
    path: str
    size: int
    window: tuple[int | None, int | None]
    complete: bool
    first: int | None
    last: int | None
    packets: int
    octets: int
    accounting: str
    quality: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A violating flow: its place among the finding's flows, and the sample as an audit prints it, in JSON; "" where it
    turned out to be none of the finding's."""

    first: int
    last: int
    place: str
    text: str


@dataclass(frozen=True, slots=True)
class FindingDelta:
    """Violating flows of one finding at one sensor in a quarter of an hour. `wording`: what the earliest of them
    says, in JSON."""

    finding: str
    rule: str
    position: str
    source: str | None
    destination: str | None
    subject: str
    sensor: str
    wording: str
    sums: Sums
    ports: Ports
    samples: tuple[Sample, ...]
    instead: tuple[str, str]  # (id, wording) where the record has no room for another subject of the rule

    def without_subject(self) -> FindingDelta:
        finding, wording = self.instead
        return replace(self, finding=finding, wording=wording, subject=OTHER)


@dataclass(slots=True)
class AttemptDelta:
    """Attempts on one rule at one sensor between two components in a quarter of an hour."""

    rule: str
    severity: str
    sensor: str
    position: str
    source: str | None
    destination: str | None
    sums: Sums = field(default_factory=Sums)
    ports: Ports = field(default_factory=Ports)
    addresses: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Count:
    """Flows of one verdict, or on one path, at one sensor in a quarter of an hour."""

    name: str
    sensor: str
    position: str
    sums: Sums


@dataclass(frozen=True, slots=True)
class Evidence:
    """A slice that was cut. `path`: absolute."""

    finding: str
    path: str
    sha256: str
    packets: int


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A live session as it begins. config: findings about the design, in JSON. scope: as of an `Entry`."""

    version: str
    organization: str
    topology: str
    policy: str
    sensor: str
    position: str
    side: str | None
    interfaces: tuple[str, ...]
    config: tuple[str, ...]
    scope: str


@dataclass(frozen=True, slots=True)
class Span:
    """Wall time that a live session watched, and what came and was lost in it."""

    first: int
    last: int
    packets: int = 0
    octets: int = 0
    accounting: Mapping[str, int] = field(default_factory=dict)
    quality: Mapping[str, int] = field(default_factory=dict)
    kernel: int = 0
    nic: int = 0
    queue: int = 0
    interrupted: int = 0
    one_way: bool = False
    closed: bool = False

    @property
    def on_the_wire(self) -> int:
        return self.packets + self.queue + self.interrupted + self.kernel + self.nic

    @property
    def lost(self) -> int:
        """Packets on the wire that could not be judged."""
        unread = self.queue + self.interrupted + self.kernel + self.nic
        return unread + sum(self.accounting.get(name, 0) for name in LOSSES)


@dataclass(frozen=True, slots=True)
class Deltas:
    """What a live session has to say since it said something last."""

    findings: tuple[FindingDelta, ...] = ()
    attempts: tuple[AttemptDelta, ...] = ()
    verdicts: tuple[Count, ...] = ()
    paths: tuple[Count, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    sights: tuple[Showing, ...] = ()
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """All that one audit adds."""

    version: str
    organization: str
    topology: str
    policy: str
    verdict: str
    why: str
    captures: tuple[Capture, ...]
    findings: tuple[FindingDelta, ...]
    attempts: tuple[AttemptDelta, ...]
    verdicts: tuple[Count, ...]
    paths: tuple[Count, ...]
    config: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    scope: str = "{}"


def figures(outcome: Audit) -> list[CaptureFigures]:
    """The captures of an audit in the order of its sensors."""
    return [capture for replay, _ in outcome.runs for capture in replay.captures]


def entry_of(outcome: Audit, window: tuple[int | None, int | None], evidence: Mapping[str, Evidence]) -> Entry:
    """outcome: a finished audit. window: `--from` and `--to`. evidence: slices by finding id."""
    deltas: list[FindingDelta] = []
    attempts: list[AttemptDelta] = []
    verdicts: list[Count] = []
    paths: list[Count] = []
    for run in outcome.runs:
        over_several = [finding for learned, finding in outcome.joined if learned is run[0]]
        several = [*findings([run], among=outcome.runs), *over_several]
        deltas += finding_deltas(run[0].sensor.name, run[1].grain, several)
        attempts += [] if run[0].one_way else attempt_deltas(*run)
        verdicts += counts(*run, partial(final_verdict, one_way=run[0].one_way))
        paths += counts(*run, path_of)
    result = outcome.result
    return Entry(
        version=result["version"],
        organization=visible(result["topology"]["organization"]),
        topology=result["topology"]["digest"],
        policy=compact(result["policy"]),
        verdict=result["verdict"],
        why=visible(result["why"]),
        captures=tuple(_capture(capture, window) for capture in figures(outcome)),
        findings=tuple(deltas),
        attempts=tuple(attempts),
        verdicts=tuple(verdicts),
        paths=tuple(paths),
        config=tuple(  # the record holds what was seen; a waiver is the reader's
            compact({**finding, "waived_by": None}) for finding in result["findings"] if finding["position"] == CONFIG
        ),
        evidence=tuple(evidence[name] for name in dict.fromkeys(d.finding for d in deltas) if name in evidence),
        scope=scope_of(
            outcome.topology,
            [path["id"] for path in result["paths"]],
            (result["coverage"]["observable"], result["coverage"]["not_observable"]),
            outcome.doubts,
        ),
    )


def evidence_of(folder: str, findings: Sequence[Mapping[str, Any]]) -> dict[str, Evidence]:
    """The slices that an audit cut into `folder`, by finding id."""
    return {
        finding["id"]: Evidence(
            finding["id"],
            visible(os.path.join(os.path.abspath(folder), evidence["path"])),
            evidence["sha256"],
            evidence["packets"],
        )
        for finding in findings
        for evidence in finding["evidence"]
    }


def _capture(capture: CaptureFigures, window: tuple[int | None, int | None]) -> Capture:
    sensor = capture.sensor
    return Capture(
        sha256=capture.sha256,
        sensor=_name(sensor.name),
        position=_name(sensor.position),
        side=sensor.side,
        interface=capture.argument.interface,
        path=visible(os.path.abspath(capture.argument.path)) if capture.argument.path != "-" else "-",
        size=capture.size,
        window=window,
        complete=capture.complete,
        first=capture.first,
        last=capture.last,
        packets=capture.packets,
        octets=capture.octets,
        accounting=compact(capture.accounting),
        quality=compact(capture.quality),
    )


def finding_deltas(sensor: str | None, grain: int, found: Sequence[Finding]) -> Iterator[FindingDelta]:
    """Those of one sensor, one for each quarter of an hour, or `grain`; the samples stand with the first."""
    kept = [sample for finding in found for sample in finding.samples]
    told = iter(samples_of([(row, whose) for _, row, whose in kept if row is not None]))
    for finding in found:
        samples = tuple(
            _sample(key, row, whose, None if row is None else next(told)) for key, row, whose in finding.samples
        )
        for quarter, part in sorted(finding.quarters.items()):
            if part.sums or samples:
                _date(part.sums, quarter * grain)
                yield _finding_delta(sensor, finding, part, samples)
                samples = ()


def _date(sums: Sums, begin: int) -> None:
    """Of sums that only take something back nothing is known but the quarter in which it had been counted."""
    if sums.first is None:
        sums.first = sums.last = begin


def _finding_delta(sensor: str | None, found: Finding, part: Part, samples: tuple[Sample, ...]) -> FindingDelta:
    source, destination, hit = part.verdict.source, part.verdict.destination, part.hit
    wording = {
        "rule": hit.rule,
        "severity": hit.severity,
        "position": found.position,
        "source": {"zone": source.zone, "role": source.role, "component": source.component},
        "destination": {"zone": destination.zone, "role": destination.role, "component": destination.component},
        "transport": found.transport,
        "service": hit.service,
        "subject": visible(found.subject),
        "reason": hit.reason,
        "at_port": hit.at_port,
        "nearest_path": hit.nearest_path,
        "controls": controls_of(hit.rule),
    }
    other = finding_id(
        hit.rule, found.position, source, destination, found.transport, hit.port_or_class, hit.service, OTHER
    )
    return FindingDelta(
        finding=found.id,
        rule=hit.rule,
        position=found.position,
        source=source.component,
        destination=destination.component,
        subject=visible(found.subject),
        sensor=_name(sensor),
        wording=compact(wording),
        sums=part.sums,
        ports=part.ports,
        samples=samples,
        instead=(other, compact({**wording, "subject": OTHER})),
    )


def _sample(key: tuple[Any, ...], row: Any, learned: Learned, told: dict[str, Any] | None) -> Sample:
    """told: the row as an audit prints it; None where there is none: the flow was taken back."""
    place = json.dumps([*key, learned.sensor.label])
    if told is None:
        return Sample(first=key[0], last=_EVER, place=place, text="")
    return Sample(
        first=row["event.start"][0].as_py(),
        last=row["event.end"][0].as_py(),
        place=place,
        text=compact(told),
    )


def attempt_deltas(learned: Learned, aggregate: Aggregate) -> list[AttemptDelta]:
    made: dict[tuple[str, str, str | None, str | None, int], AttemptDelta] = {}
    sensor, position = _name(learned.sensor.name), _name(learned.sensor.position)
    for (number, _), group in aggregate.groups.items():
        verdict = learned.verdicts[number]
        if verdict.verdict != ATTEMPT:
            continue
        source, destination = verdict.source.component, verdict.destination.component
        for hit in verdict.hits:
            for quarter, share in group.quarters.items():
                delta = made.setdefault(
                    (hit.rule, hit.severity, source, destination, quarter),
                    AttemptDelta(hit.rule, hit.severity, sensor, position, source, destination),
                )
                delta.sums.update(share.sums)
                delta.ports.update(share.ports)
                delta.addresses.update(share.sources)
    return list(made.values())


def counts(learned: Learned, aggregate: Aggregate, name_of: Callable[[Verdict], str | None]) -> list[Count]:
    """Flows by a name that their verdict gives (None: not counted) and quarters of an hour."""
    sums: dict[tuple[str, int], Sums] = {}
    for (number, quarter), added in aggregate.by_observation.items():
        name = name_of(learned.verdicts[number])
        if name is not None:
            sums.setdefault((name, quarter), Sums()).update(added)
    sensor, position = _name(learned.sensor.name), _name(learned.sensor.position)
    made = []
    for (name, quarter), added in sums.items():
        if added:
            _date(added, quarter * aggregate.grain)
            made.append(Count(name, sensor, position, added))
    return made


def path_of(verdict: Verdict) -> str | None:
    return verdict.path if verdict.verdict == ALLOWED else None


def _name(text: str | None) -> str:
    return visible(text or "")
