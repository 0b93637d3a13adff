"""The main job: captures of several sensors against one topology, and what came of it as one plain dictionary.

Strategy: the replays run side by side, each into an `Aggregate`; then the sums are read once into the published result
(its JSON Schema is `reports/schemas/audit.json`). Nothing is judged or rendered here. The verdict of the run is decided
in one place, `_conclude`, in the order: violations seen; else what keeps us from saying "none"; else none seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

import pyarrow as pa

import parsers
from monitor.aggregate import Aggregate, Finding, attempts, findings
from monitor.capture_arguments import CaptureArgument
from monitor.fields import columns
from monitor.joins import Kept, mark, together
from monitor.judged import final_verdict, judged_values
from monitor.judges import Judges
from monitor.learned import Learned
from monitor.replay import CaptureFigures, Replay, Settings, Sink, by_sensor, run_side_by_side
from monitor.rows import JSON_END, json_judged, json_lines
from monitor.sums import Sums
from monitor.times import iso, iso_or_none
from parsers import VERSION
from reports.moments import nanoseconds
from rules.catalogue import controls_of, coverage, policy_identity
from rules.lint import ConfigFinding, config_findings
from rules.names import SEVERITIES
from rules.topology import Topology
from rules.verdict import ALLOWED, VERDICTS, End, finding_id
from rules.waivers import Waiver, addresses, apply

SCHEMA: Final = 1

LOSSES: Final = ("fragment_incomplete", "undecodable", "table_full")
"""Packets that should have been in a flow and are in none; the other names of the accounting were not meant to be."""

CONFIG: Final = "config"
"""Position of findings about the design itself: they change neither verdict nor exit status."""

MISSING_HERE: Final = 3
"""Reasons named in the one sentence of `why`; the others are counted."""


@dataclass(slots=True)
class Audit:
    """What a run gave: the published dictionary, and what decides the exit status and feeds the evidence.

    doubts: what is amiss with what was seen, whatever else was watched."""

    result: dict[str, Any]
    topology: Topology
    mistakes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)
    runs: list[tuple[Replay, Aggregate]] = field(default_factory=list)
    joined: list[tuple[Learned, Finding]] = field(default_factory=list)  # over several flows; those are in `found`
    inconclusive: bool = False
    doubts: list[str] = field(default_factory=list)

    def worst(self) -> str | None:
        """Severity of the gravest finding that counts: not at position `config`, not waived."""
        counted = {f["severity"] for f in self.result["findings"] if f["position"] != CONFIG and not f["waived_by"]}
        return next((severity for severity in SEVERITIES if severity in counted), None)


def audit(
    topology: Topology,
    captures: Sequence[CaptureArgument],
    settings: Settings,
    mistakes: Sequence[str] = (),
    progress: Callable[[int], None] = lambda octets: None,
    *,
    split: bool = False,
    waivers: Sequence[Waiver] | None = None,
    beside: Sink | None = None,
) -> Audit:
    """Judge the captures. mistakes: sentences about arguments that could not be read. split: as a record wants it.
    waivers: accepted exceptions; None: none were asked about. beside: takes the batches of all sensors, too."""
    asked = addresses(waivers or ())
    judges = Judges(topology)
    runs: list[tuple[Replay, Aggregate]] = []
    for sensor, arguments in by_sensor(captures).items():
        assert sensor.position is not None, "a judged capture has a position"
        judge = judges.at(sensor.position, sensor.side, behind_lb=sensor.behind_lb)
        replay = Replay(sensor, arguments, judge, replace(settings, joins=True))
        runs.append((replay, Aggregate(split=split, addresses=asked)))
    kept = [Kept(aggregate, judges.site) for _, aggregate in runs]
    sinks: list[Sink] = [each if beside is None else _Both(each, beside) for each in kept]
    run_side_by_side([replay for replay, _ in runs], sinks, progress)

    several = together(judges.site, [(replay, each) for (replay, _), each in zip(runs, kept, strict=True)])
    for (_, aggregate), marked in zip(runs, several.marked, strict=True):
        mark(aggregate, marked)
    found = findings(runs)
    told = {finding.id for finding in found}  # what one flow shows need not be told by two
    joined = [(learned, finding) for learned, finding in several.findings if finding.id not in told]
    found += [finding for _, finding in joined]
    found.sort(key=lambda f: (SEVERITIES.index(f.hit.severity), f.hit.rule, f.sums.first or 0, f.id))
    figures = [capture for replay, _ in runs for capture in replay.captures]
    order = {capture.path: number for number, capture in enumerate(captures)}
    figures.sort(key=lambda capture: order.get(capture.path, 0))
    positions = sorted({capture.sensor.position or "" for capture in figures})
    observable, not_observable = coverage(topology, positions)

    result: dict[str, Any] = {
        "schema": SCHEMA,
        "product": "edgewarden",
        "version": VERSION,
        "topology": {"organization": topology.organization, "digest": topology.digest},
        "policy": policy_identity(),
        "verdict": "",
        "why": "",
        "captures": [_capture(capture) for capture in figures],
        "totals": _totals(runs, figures),
        "paths": _paths(runs, judges.applying()),
        "findings": [*_findings(found), *config_rows(topology)],
        "attempts": [
            {
                "rule": summary.rule,
                "position": summary.position,
                "sources": len(summary.sources),
                "flows": summary.sums.flows,
                "ports": summary.ports.summary(),
                "first": iso_or_none(summary.sums.first),
                "last": iso_or_none(summary.sums.last),
            }
            for summary in attempts(runs)
        ],
        "coverage": {"observable": observable, "not_observable": not_observable},
    }
    outcome = Audit(result, topology, mistakes=list(mistakes), found=found, runs=runs, joined=joined)
    for replay, _ in runs:
        outcome.mistakes.extend(replay.mistakes)
        outcome.notes.extend(replay.broken)
    if waivers is not None:
        _waive(outcome, waivers)
    _conclude(outcome, topology, runs)
    return outcome


@dataclass(frozen=True, slots=True)
class _Both:
    first: Sink
    second: Sink

    def rows(self, batch: Any, replay: Replay) -> None:
        self.first.rows(batch, replay)
        self.second.rows(batch, replay)


def _waive(outcome: Audit, waivers: Sequence[Waiver]) -> None:
    """Enter who waived which finding, and what is to be said about the waivers."""
    result = outcome.result
    ends = {finding.id: finding.ends for finding in outcome.found}
    lasts = [capture.last for replay, _ in outcome.runs for capture in replay.captures if capture.last is not None]
    notes = apply(
        waivers,
        result["findings"],
        max(lasts, default=None),
        lambda finding: None if finding["last"] is None else nanoseconds(finding["last"]),
        lambda finding, end, address: ends[finding["id"]][end, str(address)] if finding["id"] in ends else 0,
    )
    result["waivers"] = {"findings": sum(1 for f in result["findings"] if f["waived_by"]), "notes": notes}
    outcome.notes.extend(notes)


def _conclude(outcome: Audit, topology: Topology, runs: Sequence[tuple[Replay, Aggregate]]) -> None:
    """Verdict and reason of the whole run."""
    doubts = _doubts(outcome, topology, runs)
    outcome.inconclusive = bool(doubts)
    outcome.doubts = _amiss(runs)
    result = outcome.result
    counted = [f for f in result["findings"] if f["position"] != CONFIG and f["severity"] != "info"]
    open_ones = [f for f in counted if not f["waived_by"]]
    if open_ones:
        result["verdict"] = "violations"
        worst = min(open_ones, key=lambda f: SEVERITIES.index(f["severity"]))
        count = len(open_ones)
        result["why"] = (
            f"{count} finding{'s' if count != 1 else ''}, the gravest {worst['severity']}: {worst['reason']}"
        )
    elif doubts:
        result["verdict"] = "inconclusive"
        more = f"; and {len(doubts) - MISSING_HERE} more" if len(doubts) > MISSING_HERE else ""
        result["why"] = "; ".join(doubts[:MISSING_HERE]) + more
    else:
        result["verdict"] = "no-violation-seen"
        judged = result["totals"]["flows"] - result["totals"]["out_of_scope"]
        seen = ", ".join(sorted({c["position"] for c in result["captures"]}))
        result["why"] = f"none of the {judged} judged flows seen at {seen} violates the policy"
        if counted:
            waived = f"{len(counted)} findings are" if len(counted) != 1 else "1 finding is"
            result["why"] = f"{waived} waived; {result['why']} otherwise"


def _doubts(outcome: Audit, topology: Topology, runs: Sequence[tuple[Replay, Aggregate]]) -> list[str]:
    """What keeps the run from being conclusive, gravest first."""
    doubts = []
    given = {replay.sensor.position for replay, _ in runs if replay.sensor.position}
    watched = {replay.sensor.position for replay, _ in runs if replay.totals.get("ip_packets")}
    required = set(topology.policy.coverage.require) or given
    for position in sorted(required - watched):
        doubts.append(f"no IP packet was seen at position {position}")
    for replay, _ in runs:
        if replay.one_way:
            doubts.append(_one_way(replay))
        for capture in replay.captures:
            if not capture.packets:
                doubts.append(f"{capture.path} holds no packet")
    doubts.extend(note for replay, _ in runs for note in replay.broken)
    accounting = [capture.accounting for replay, _ in runs for capture in replay.captures]
    packets = sum(sum(names.values()) for names in accounting)
    lost = sum(names.get(name, 0) for names in accounting for name in LOSSES)
    if packets and lost / packets > topology.policy.coverage.max_loss:
        doubts.append(
            f"{lost} of {packets} packets could not be judged, more than the {topology.policy.coverage.max_loss:.2%} "
            "that policy.coverage.max_loss allows"
        )
    doubts.extend(f"not judged: {mistake}" for mistake in outcome.mistakes)
    return doubts


def _amiss(runs: Sequence[tuple[Replay, Aggregate]]) -> list[str]:
    """Those of the doubts that stay whatever else is watched of the same time."""
    one_way = [_one_way(replay) for replay, _ in runs if replay.one_way]
    return one_way + [note for replay, _ in runs for note in replay.broken]


def _one_way(replay: Replay) -> str:
    return f"the tap at {replay.sensor.label} shows one direction only"


def _totals(runs: Sequence[tuple[Replay, Aggregate]], figures: Sequence[CaptureFigures]) -> dict[str, int]:
    totals = {"packets": sum(capture.packets for capture in figures), "flows": 0}
    totals.update({verdict.replace("-", "_"): 0 for verdict in VERDICTS})
    for replay, aggregate in runs:
        for (number, _), sums in aggregate.by_observation.items():
            totals["flows"] += sums.flows
            totals[final_verdict(replay.verdicts[number], replay.one_way).replace("-", "_")] += sums.flows
    return totals


def _paths(runs: Sequence[tuple[Replay, Aggregate]], ids: Sequence[str]) -> list[dict[str, Any]]:
    used = {path: Sums() for path in dict.fromkeys(ids)}
    for replay, aggregate in runs:
        for (number, _), sums in aggregate.by_observation.items():
            verdict = replay.verdicts[number]
            if verdict.verdict == ALLOWED and verdict.path is not None:
                used.setdefault(verdict.path, Sums()).update(sums)
    return [
        {
            "id": path,
            "flows": sums.flows,
            "bytes": sums.octets,
            "first": iso_or_none(sums.first),
            "last": iso_or_none(sums.last),
        }
        for path, sums in used.items()
    ]


def _capture(capture: CaptureFigures) -> dict[str, Any]:
    return {
        "path": capture.path,
        "sensor": capture.sensor.name,
        "position": capture.sensor.position,
        "side": capture.sensor.side,
        "sha256": capture.sha256,
        "size": capture.size,
        "first": iso_or_none(capture.first),
        "last": iso_or_none(capture.last),
        "complete": capture.complete,
        "packets": capture.packets,
        "bytes": capture.octets,
        "accounting": {name: capture.accounting.get(name, 0) for name in parsers.ACCOUNTING},
        "quality": {name: capture.quality.get(name, 0) for name in parsers.QUALITY},
    }


def _findings(found: Sequence[Finding]) -> Iterator[dict[str, Any]]:
    samples = iter(samples_of([(row, learned) for finding in found for _, row, learned in finding.samples]))
    for finding in found:
        yield _finding(finding, list(islice(samples, len(finding.samples))))


def _finding(finding: Finding, samples: list[dict[str, Any]]) -> dict[str, Any]:
    ports = finding.ports.summary()
    one_port = ports["min"] if ports["distinct"] == 1 else None
    verdict = finding.verdict
    assert finding.sums.first is not None
    assert finding.sums.last is not None
    return {
        "id": finding.id,
        "rule": finding.hit.rule,
        "severity": finding.hit.severity,
        "position": finding.position,
        "source": {
            "zone": verdict.source.zone,
            "role": verdict.source.role,
            "component": verdict.source.component,
        },
        "destination": {
            "zone": verdict.destination.zone,
            "role": verdict.destination.role,
            "component": verdict.destination.component,
            "port": one_port,
        },
        "ports": ports,
        "transport": finding.transport,
        "service": finding.hit.service,
        "subject": finding.subject,
        "flows": finding.sums.flows,
        "packets": finding.sums.packets,
        "bytes": finding.sums.octets,
        "first": iso(finding.sums.first),
        "last": iso(finding.sums.last),
        "reason": finding.reason,
        "nearest_path": finding.hit.nearest_path,
        "controls": controls_of(finding.hit.rule),
        "waived_by": None,
        "samples": samples,
        "evidence": [],
        "second_opinion": None,
    }


def config_rows(topology: Topology) -> list[dict[str, Any]]:
    """Findings about the declared design, as a result has them."""
    return [_config_finding(finding) for finding in config_findings(topology)]


def _config_finding(finding: ConfigFinding) -> dict[str, Any]:
    """A finding about the declared design: nothing was seen, so it has neither flows nor times."""
    site = End("", None, finding.component)
    return {
        "id": finding_id(finding.rule, CONFIG, site, End("", None, None), "", "", "", ""),
        "rule": finding.rule,
        "severity": finding.severity,
        "position": CONFIG,
        "source": {"zone": None, "role": None, "component": finding.component},
        "destination": {"zone": None, "role": None, "component": None, "port": None},
        "ports": {"min": None, "max": None, "distinct": 0},
        "transport": "",
        "service": "",
        "subject": "",
        "flows": 0,
        "packets": 0,
        "bytes": 0,
        "first": None,
        "last": None,
        "reason": finding.message,
        "nearest_path": None,
        "controls": controls_of(finding.rule),
        "waived_by": None,
        "samples": [],
        "evidence": [],
        "second_opinion": None,
    }


def samples_of(rows: Sequence[tuple[Any, Learned]]) -> list[dict[str, Any]]:
    """Flows as samples of findings, in the order given. rows: tables of one row, each with what its sensor learned. All
    of one sensor become text at once: a row by itself takes milliseconds."""
    made: list[dict[str, Any]] = [{}] * len(rows)
    places: dict[int, list[int]] = {}
    for place, (_, learned) in enumerate(rows):
        places.setdefault(id(learned), []).append(place)
    for its in places.values():
        learned = rows[its[0]][1]
        [batch] = pa.concat_tables([rows[place][0] for place in its]).combine_chunks().to_batches()
        for place, flow, last in zip(its, _as_json(batch, learned), batch["edgewarden.last_frame"], strict=True):
            made[place] = {
                "capture": flow["edgewarden"]["capture"],
                "frame": flow["edgewarden"]["frame"],
                "last_frame": last.as_py(),
                "display_filter": display_filter(flow),
                "flow": flow,
            }
    return made


def _as_json(batch: Any, learned: Learned) -> Iterator[dict[str, Any]]:
    """Flows as `flows --format jsonl` writes them."""
    lines = json_lines(columns(batch, learned.origin)).to_pylist()
    for line, number in zip(lines, batch["observation"].to_pylist(), strict=True):
        judged = json_judged(judged_values(learned.verdicts[number], learned.one_way))
        flow: dict[str, Any] = json.loads(line + judged + JSON_END)
        yield flow


def display_filter(flow: dict[str, Any]) -> str:
    """What shows this flow in Wireshark."""
    network, source, destination = flow["network"], flow["source"], flow["destination"]
    family = "ipv6" if network["type"] == "ipv6" else "ip"
    parts = [f"{family}.addr=={source['ip']}", f"{family}.addr=={destination['ip']}"]
    transport = network["transport"]
    if "port" in source and transport in ("tcp", "udp", "sctp"):
        parts += [f"{transport}.port=={source['port']}", f"{transport}.port=={destination['port']}"]
    elif transport in ("icmp", "ipv6-icmp"):
        parts.append("icmp" if transport == "icmp" else "icmpv6")
    return " && ".join(parts)
