"""A period of a record becomes figures: the published dictionary of `edgewarden report` (`edgewarden schema report`).

Strategy: pure. A `Source` is asked about the period and about the one before it; then everything is decided here, in
the order of an audit's own verdict: violations seen; else what keeps us from saying "none"; else none seen. "No
violation seen" is a sentence about time and places that were watched: each position that the site requires must have
been watched for the share of the time that its `policy.coverage` asks for, with losses below what it allows.

Who must have watched: at a position where the topology names sensors that run live, each of them; elsewhere whoever
was there, taken together. What the topology does not name, such as captures audited later, counts for every sensor of
its position: that is how an outage is made good. Required are the positions that `policy.coverage.require` names;
without it those of declared live sensors; without these, too, those that were watched at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from parsers import ACCOUNTING, QUALITY
from reports.moments import SECOND, iso, iso_or_none, nanoseconds
from reports.source import LOST, Judged, Scope, Source, Span, Watched
from rules.components import Address
from rules.names import SEVERITIES
from rules.verdict import VERDICTS
from rules.waivers import Waiver, apply

SCHEMA: Final = 1

GAPS: Final = 200
"""Gaps listed for a sensor, the longest; an interface that comes and goes all night makes thousands."""

LEAST_GAP: Final = SECOND
"""Shorter ones lower the share that was watched, and are not listed."""

BEHIND: Final = 30 * SECOND
"""An unfinished period is reported up to so long ago, or to where all sensors have recorded if that is later, as they
do every ten seconds."""

REASONS: Final = 3
"""Reasons named in the one sentence of `why`; the others are counted."""

LOSSES: Final = ("fragment_incomplete", "undecodable", "table_full")
"""Packets that were read and should be in a flow, and are in none."""

CONFIG: Final = "config"


@dataclass(frozen=True, slots=True)
class Window:
    """A period: its name, and its borders in nanoseconds since 1970 UTC."""

    label: str
    start: int
    end: int


def summarise(
    source: Source,
    period: Window,
    before: Window | None,
    *,
    now: int,
    zone: str,
    version: str,
    waivers: Sequence[Waiver] | None = None,
) -> dict[str, Any]:
    """now: later than the period begins; one that is not over is reported up to about now (`BEHIND`), and marked. zone:
    the name of that in which it was cut. waivers: accepted exceptions; None: none were asked about."""
    partial = now < period.end
    until = period.end
    if partial:
        until = max(min(source.recorded(now - BEHIND) or 0, now), now - BEHIND, period.start + 1)
    judged = source.judged(period.start, until)
    scope = judged[-1].scope if judged else Scope()
    watched = source.watched(period.start, until)
    listing = source.listing(period.start, until)
    verdicts = source.verdicts(period.start, until)
    flows = {verdict.replace("-", "_"): verdicts.get(verdict, 0) for verdict in VERDICTS}
    sensors = [_sensor(one, period.start, until) for one in _with_silent(watched, scope)]
    positions = _positions(watched, scope, period.start, until)
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "product": "edgewarden",
        "version": version,
        "organization": judged[-1].organization if judged else "",
        "period": {
            "label": period.label,
            "from": iso(period.start),
            "to": iso(period.end),
            "until": iso(until),
            "zone": zone,
            "partial": partial,
        },
        "verdict": "",
        "why": "",
        "coverage": {
            "min_share": scope.min_share,
            "max_loss": scope.max_loss,
            "positions": positions,
            "sensors": sensors,
            **_rules(judged),
        },
        "totals": {"packets": sum(one.packets for one in watched), "flows": sum(flows.values()), **flows},
        "severities": dict.fromkeys(SEVERITIES, 0),
        "findings": [*listing["findings"], *source.design(period.start, until)],
        "changes": _changes(source, before, listing["findings"], watched, partial),
        "attempts": listing["attempts"],
        "paths": _paths(source, judged, period.start, until),
        "judged": [
            {"version": one.version, "topology": one.topology, "policy": dict(one.policy), "runs": one.runs}
            for one in judged
        ],
    }
    if waivers is not None:
        _waive(result, waivers, until)
    for finding in listing["findings"]:
        result["severities"][finding["severity"]] += 1
    _conclude(result, judged)
    counted = source.counted(period.start, period.end)
    if counted != (period.start, period.end):
        note = f"flows are counted by quarters of an hour, here {iso(counted[0])} to {iso(counted[1])}"
        result["why"] = f"{result['why'].rstrip('.')}; {note}"
    return result


def _waive(result: dict[str, Any], waivers: Sequence[Waiver], until: int) -> None:
    """Enter who waived which finding. Of addresses only those of a finding's sample flows are known."""

    def flows_of(finding: Mapping[str, Any], end: str, address: Address) -> int:
        return sum(sample["flow"][end]["ip"] == str(address) for sample in finding["samples"])

    found = result["findings"]
    notes = apply(waivers, found, until - 1, lambda f: None if f["last"] is None else nanoseconds(f["last"]), flows_of)
    result["waivers"] = {"findings": sum(1 for finding in found if finding["waived_by"]), "notes": notes}


# --- verdict ---------------------------------------------------------------------------------------------------------


def _conclude(result: dict[str, Any], judged: Sequence[Judged]) -> None:
    """Verdict of the period and its reason."""
    counted = [
        finding
        for finding in result["findings"]
        if finding["position"] != CONFIG and finding["severity"] != "info" and not finding["waived_by"]
    ]
    doubts = _doubts(result, judged)
    if counted:
        worst = min(counted, key=lambda finding: SEVERITIES.index(finding["severity"]))
        count = len(counted)
        result["verdict"] = "violations"
        result["why"] = (
            f"{count} finding{'s' if count != 1 else ''}, the gravest {worst['severity']}: {worst['reason']}"
        )
    elif doubts:
        more = f"; and {len(doubts) - REASONS} more" if len(doubts) > REASONS else ""
        result["verdict"] = "inconclusive"
        result["why"] = "; ".join(doubts[:REASONS]) + more
    else:
        flows = result["totals"]["flows"] - result["totals"]["out_of_scope"]
        places = ", ".join(
            f"{one['position']} ({percent(one['share'])} of the time)" for one in result["coverage"]["positions"]
        )
        so_far = " so far" if result["period"]["partial"] else ""
        result["verdict"] = "no-violation-seen"
        result["why"] = f"none of the {flows} judged flows seen{so_far} at {places} violates the policy"
        if waived := sum(1 for f in result["findings"] if f["waived_by"] and f["position"] != CONFIG):
            result["why"] = f"{waived} finding{'s are' if waived != 1 else ' is'} waived; {result['why']} otherwise"


def _doubts(result: dict[str, Any], judged: Sequence[Judged]) -> list[str]:
    """What keeps the period from being conclusive, gravest first."""
    coverage = result["coverage"]
    doubts = list(dict.fromkeys(doubt for one in judged for doubt in one.scope.doubts))
    if not any(sensor["share"] for sensor in coverage["sensors"]):
        return [*doubts, "nothing was watched"]
    for position in coverage["positions"]:
        if not position["share"]:
            doubts.append(f"position {position['position']} was not watched")
        elif position["share"] < coverage["min_share"]:
            doubts.append(
                f"position {position['position']} was watched {percent(position['share'])} of the time, less than the "
                f"{percent(coverage['min_share'])} that policy.coverage.min_share asks for"
            )
        elif not any(
            one["packets"] > one["accounting"]["non_ip"]
            for one in coverage["sensors"]
            if one["position"] == position["position"]
        ):
            doubts.append(f"no IP packet was seen at position {position['position']}")
    for sensor in coverage["sensors"]:
        if sensor["loss"] > coverage["max_loss"]:
            doubts.append(
                f"{sensor['sensor'] or sensor['position']} lost {sensor['loss']:.2%} of its packets, more than the "
                f"{coverage['max_loss']:.2%} that policy.coverage.max_loss allows"
            )
    return doubts


# --- what was watched ------------------------------------------------------------------------------------------------


def _with_silent(watched: Sequence[Watched], scope: Scope) -> list[Watched]:
    """The sensors that were seen, and those that should run and were not."""
    seen = {(one.sensor, one.position) for one in watched}
    silent = [Watched(*name, (), {}, 0, 0, {}, {}, {}) for name in scope.sensors if name not in seen]
    return sorted([*watched, *silent], key=lambda one: (one.position, one.sensor))


def _sensor(one: Watched, start: int, end: int) -> dict[str, Any]:
    lost = sum(one.lost.values())
    missed = lost + sum(one.accounting.get(name, 0) for name in LOSSES)
    gaps = [gap for gap in gaps_between(one.spans, start, end) if gap[1] - gap[0] >= LEAST_GAP]
    listed = sorted(sorted(gaps, key=lambda gap: gap[0] - gap[1])[:GAPS])
    return {
        "sensor": one.sensor,
        "position": one.position,
        "share": _share(one.spans, start, end),
        "first": iso_or_none(one.spans[0][0] if one.spans else None),
        "last": iso_or_none(one.spans[-1][1] if one.spans else None),
        "gaps": [{"from": iso(first), "to": iso(last), "why": one.why.get((first, last))} for first, last in listed],
        "gap_count": len(gaps),
        "packets": one.packets,
        "bytes": one.octets,
        "accounting": {name: one.accounting.get(name, 0) for name in ACCOUNTING},
        "quality": {name: one.quality.get(name, 0) for name in (*QUALITY, "unjoined")},
        "lost": {name: one.lost.get(name, 0) for name in LOST},
        "loss": missed / (one.packets + lost) if one.packets + lost else 0.0,
    }


def _positions(watched: Sequence[Watched], scope: Scope, start: int, end: int) -> list[dict[str, Any]]:
    """The required positions and the share of the time for which all was watched there."""
    required = (
        set(scope.require)
        or {position for _, position in scope.sensors}
        or {one.position for one in watched if one.spans}
    )
    made = []
    for position in sorted(required):
        here = [one for one in watched if one.position == position]
        names = {name for name, place in scope.sensors if place == position}
        others = _spans(one for one in here if one.sensor not in names)
        alone = [others + _spans(one for one in here if one.sensor == name) for name in names]
        made.append({"position": position, "share": min(_share(spans, start, end) for spans in alone or [others])})
    return made


def _spans(watched: Iterable[Watched]) -> list[Span]:
    return [span for one in watched for span in one.spans]


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same time in as few spans as it takes, in order."""
    made: list[Span] = []
    for start, end in sorted(spans):
        if made and start <= made[-1][1]:
            made[-1] = (made[-1][0], max(made[-1][1], end))
        else:
            made.append((start, end))
    return made


def gaps_between(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    """What lies between `start` and `end` and in none of the spans, which lie there too."""
    gaps, reached = [], start
    for first, last in joined(spans):
        if first > reached:
            gaps.append((reached, first))
        reached = last
    return [*gaps, (reached, end)] if reached < end else gaps


def _share(spans: Iterable[Span], start: int, end: int) -> float:
    return sum(last - first for first, last in joined(spans)) / (end - start)


def percent(share: float) -> str:
    """Cut, not rounded: 100 % is said of the whole alone, 0 % of nothing."""
    if 0 < share < 0.001:
        return "under 0.1 %"
    return f"{int(share * 1000 + 1e-9) / 10:.1f} %".replace(".0 %", " %")


# --- what it says ----------------------------------------------------------------------------------------------------


def _rules(judged: Sequence[Judged]) -> dict[str, Any]:
    """Rules that some run of the period could observe; and why not, as the last run knew it, of the others."""
    observable = list(dict.fromkeys(rule for one in judged for rule in one.scope.observable))
    not_observable = {entry["rule"]: dict(entry) for one in judged for entry in one.scope.not_observable}
    for rule in observable:
        not_observable.pop(rule, None)
    return {"observable": observable, "not_observable": list(not_observable.values())}


def _paths(source: Source, judged: Sequence[Judged], start: int, end: int) -> list[dict[str, Any]]:
    """Every path that applied, used or not, as the last run orders them; then those that were used before."""
    used = {path.id: path for path in source.paths(start, end)}
    ids = dict.fromkeys([*(path for one in reversed(judged) for path in one.scope.paths), *used])
    made = []
    for name in ids:
        path = used.get(name)
        made.append(
            {
                "id": name,
                "flows": path.flows if path else 0,
                "bytes": path.octets if path else 0,
                "first": iso_or_none(path.first if path else None),
                "last": iso_or_none(path.last if path else None),
            }
        )
    return made


def _changes(
    source: Source, before: Window | None, found: Sequence[dict[str, Any]], watched: Sequence[Watched], partial: bool
) -> dict[str, Any]:
    """Findings that are new or gone since the period before, at positions that were watched in both.

    Of an unfinished period nothing is said to be gone.
    """
    now = {one.position for one in watched if one.spans}
    then = set() if before is None else {w.position for w in source.watched(before.start, before.end) if w.spans}
    earlier: dict[str, dict[str, Any]] = {}
    if before is not None and now & then:
        earlier = {finding["id"]: finding for finding in source.listing(before.start, before.end)["findings"]}
    here = {finding["id"] for finding in found}
    return {
        "before": None if before is None else {"label": before.label, "from": iso(before.start), "to": iso(before.end)},
        "compared": sorted(now & then),
        "new": [f["id"] for f in found if f["position"] in then and f["id"] not in earlier],
        "gone": [
            {key: finding[key] for key in ("id", "rule", "severity", "position", "reason", "first", "last")}
            for finding in earlier.values()
            if not partial and finding["id"] not in here and finding["position"] in now
        ],
    }
