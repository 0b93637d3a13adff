"""Accepted exceptions: a file of waivers, and which finding each of them covers.

Strategy: a waiver covers whole findings or nothing. It names a rule and at least one of source, destination, port and
subject, each of which must hold for all that the finding is made of; where that cannot be known (an address among more
flows than were told apart), it is not covered. Nothing is hidden: a covered finding stays where it is and says by whom
it is waived. A waiver ends with its `expires`, against the time of the finding's last packet, never a clock's; then
the finding counts again, and a note says why. Waivers that cover nothing, or many components at once, are noted too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from rules import names
from rules.components import Address, PortRange
from rules.document import Faults, FileFaults, FileUnreadable, content, parse, show
from rules.endpoints import Endpoints
from rules.policy_keys import ID
from rules.shape import At, Day, Key, Keys, Many, PortOrSpan, Text, host_address
from rules.site_policy import first_instant_after
from rules.topology import Topology

BROAD: Final = 3
"""Most components that a waiver may cover at an end which it does not name before it is noted: the members of a usual
pool are one decision, more are a rule that should be lowered under `policy.rules`, where everybody sees it."""

NAMED: Final = 3
"""Findings that a note names; the others are counted."""

NARROWING: Final = ("source", "destination", "port", "subject")
"""A waiver names one of these at least: a whole rule is silenced by `policy.rules`, not by an exception."""

_END: Final = Text(hint="a declared name, a zone, or an address")

WAIVERS: Final = Many(
    Keys(
        (
            Key("rule", ID, "id of the rule, as findings name it", required=True),
            Key("source", _END, "who opened it: a component, a zone, or an address"),
            Key("destination", _END, "who answered, as `source`"),
            Key("port", Many(PortOrSpan(), 1, or_one=True), 'of the destination: number, "a-b", or a list'),
            Key("subject", Text(), "as the finding names it, such as an XMPP domain"),
            Key("reason", Text(), "why this is accepted", required=True),
            Key("owner", Text(), "who answers for it", required=True),
            Key("expires", Day(), "last day (or instant), UTC", required=True),
        )
    )
)


class WaiverFaults(FileFaults):
    """A file of waivers has faults."""


class WaiversUnreadable(FileUnreadable):
    """There is no file of waivers to be read at that place."""


@dataclass(frozen=True, slots=True)
class Waiver:
    place: str  # file and line, for notes
    rule: str
    source: str | Address | None  # a component or zone, or an address
    destination: str | Address | None
    ports: tuple[PortRange, ...]
    subject: str | None
    reason: str
    owner: str
    expires: date | datetime

    @property
    def shown(self) -> dict[str, str]:
        """As results have it under `waived_by`."""
        return {"owner": self.owner, "reason": self.reason, "expires": self.until}

    @property
    def until(self) -> str:
        return self.expires.isoformat().replace("+00:00", "Z")

    def ended(self, last: int | None) -> bool:
        """Whether it no longer held at that time, ns since 1970 UTC; None: no packet tells the time."""
        end = first_instant_after(self.expires)
        return last is not None and end is not None and last >= end


# --- the file --------------------------------------------------------------------------------------------------------


def load_waivers(
    path: str | os.PathLike[str], topology: Topology | None, known_rules: Collection[str]
) -> tuple[Waiver, ...]:
    """Reads a file of waivers for that site; without a topology names of components are taken as they are.

    Raises WaiversUnreadable, WaiverFaults."""
    name = os.fspath(path)
    try:
        data = content(name, "file of waivers")
    except FileUnreadable as error:
        raise WaiversUnreadable(str(error)) from None
    faults = Faults(name)
    root = parse(data, faults, "a YAML list of waivers; [] for none")
    read = None if root is None else WAIVERS.read(root, faults)
    entries: Sequence[At] = () if read is None else read.value
    components = None
    if topology is not None:
        components = frozenset(end.component for end in Endpoints(topology) if end.component is not None)
    for entry in entries:
        _check(entry, faults, known_rules, components)
    if faults.found:
        raise WaiverFaults(faults.sorted())
    return tuple(_waiver(entry, name) for entry in entries)


def _check(entry: At, faults: Faults, known_rules: Collection[str], components: Collection[str] | None) -> None:
    """What the keys alone do not tell."""
    keys: Mapping[str, At] = entry.value
    if not any(name in entry.written for name in NARROWING):
        faults.add(
            entry.mark,
            "a waiver of a whole rule",
            f"one of {', '.join(NARROWING)}; policy.rules in the topology lowers a rule everywhere",
        )
    rule = keys.get("rule")
    if rule is not None and rule.value not in known_rules:
        hint = faults.near(rule.value, known_rules, "an id that `edgewarden policy list` names")
        faults.add(rule.mark, f"no rule is called {show(rule.value)}", hint)
    if components is None:
        return
    known = {*names.ZONES, *components}
    for name in ("source", "destination"):
        end = keys.get(name)
        if end is not None and isinstance(_end(end.value), str) and _end(end.value) not in known:
            hint = faults.near(end.value, known, "a component as findings name it, a zone, or an address")
            faults.add(end.mark, f"{show(end.value)} is neither a declared component nor a zone nor an address", hint)


def _waiver(entry: At, file: str) -> Waiver:
    keys: Mapping[str, At] = entry.value
    value = {name: at.value for name, at in keys.items()}
    return Waiver(
        place=f"{file}:{entry.mark.line}",
        rule=value["rule"],
        source=_end(value["source"]) if "source" in value else None,
        destination=_end(value["destination"]) if "destination" in value else None,
        ports=tuple(span.value for span in value.get("port", ())),
        subject=value.get("subject"),
        reason=value["reason"],
        owner=value["owner"],
        expires=value["expires"],
    )


def _end(text: str) -> str | Address:
    address = host_address(text)
    return text.lower() if address is None else address


# --- what they cover -------------------------------------------------------------------------------------------------

FlowsOf = Callable[[Mapping[str, Any], str, Address], int]
"""How many flows of a finding have that address as their `source` or `destination`, as far as is known."""


def addresses(waivers: Iterable[Waiver]) -> frozenset[str]:
    """Those that waivers name, as flows write them."""
    return frozenset(
        str(end) for waiver in waivers for end in (waiver.source, waiver.destination) if isinstance(end, Address)
    )


def apply(
    waivers: Sequence[Waiver],
    findings: Sequence[dict[str, Any]],
    last: int | None,
    time_of: Callable[[Mapping[str, Any]], int | None],
    flows_of: FlowsOf,
) -> list[str]:
    """Enters `waived_by` into the findings that are covered; sentences about waivers that need a look.

    last: time of the last packet of all, which stands for findings without one; time_of: that of a finding.
    """
    seen = [_Seen() for _ in waivers]
    by_rule: dict[str, list[tuple[Waiver, _Seen]]] = {}
    for waiver, found in zip(waivers, seen, strict=True):
        by_rule.setdefault(waiver.rule, []).append((waiver, found))
    for finding in findings:
        moment = time_of(finding)
        for waiver, found in by_rule.get(finding["rule"], ()):
            covered = _covered(waiver, finding, flows_of)
            if covered == _PARTLY:
                found.partly.append(finding)
            elif covered and waiver.ended(last if moment is None else moment):
                found.late.append(finding)
            elif covered:
                found.whole.append(finding)
                finding["waived_by"] = finding["waived_by"] or waiver.shown
    return [note for waiver, found in zip(waivers, seen, strict=True) for note in _notes(waiver, found, last)]


@dataclass(slots=True)
class _Seen:
    """Findings that a waiver covers, would cover had it not expired, and covers some flows of."""

    whole: list[Mapping[str, Any]] = field(default_factory=list)
    late: list[Mapping[str, Any]] = field(default_factory=list)
    partly: list[Mapping[str, Any]] = field(default_factory=list)


_NOT: Final = 0
_PARTLY: Final = 1
_WHOLE: Final = 2


def _covered(waiver: Waiver, finding: Mapping[str, Any], flows_of: FlowsOf) -> int:
    """How far a finding of the waiver's rule is covered."""
    if waiver.subject is not None and waiver.subject.lower() != finding["subject"].lower():
        return _NOT
    if waiver.ports and not _ports_within(finding["ports"], waiver.ports):
        return _NOT
    covered = _WHOLE
    for name, wanted in (("source", waiver.source), ("destination", waiver.destination)):
        if isinstance(wanted, str):
            end = finding[name]
            if wanted not in ((end["component"] or "").lower(), end["zone"]):
                return _NOT
        elif wanted is not None:
            flows = flows_of(finding, name, wanted)
            if not flows:
                return _NOT
            if flows < finding["flows"]:
                covered = _PARTLY
    return covered


def _ports_within(seen: Mapping[str, Any], spans: Sequence[PortRange]) -> bool:
    """Whether every port of a finding, of which the smallest and the largest are known, lies in the spans."""
    if not seen["distinct"]:
        return False
    if seen["distinct"] <= 2:
        return all(any(port in span for span in spans) for port in (seen["min"], seen["max"]))
    return any(seen["min"] in span and seen["max"] in span for span in spans)


def _notes(waiver: Waiver, seen: _Seen, last: int | None) -> list[str]:
    what = f"{waiver.place}: the waiver of {waiver.rule}"
    notes = []
    if seen.late:
        notes.append(
            f"{what} expired on {waiver.until}, before the last packet of {_findings(seen.late)} that it would cover: "
            f"they count (let {waiver.owner} renew it, or end what it was for)"
        )
    if seen.partly:
        notes.append(
            f"{what} names an address that only some flows of {_findings(seen.partly)} have: they count "
            "(name a component or zone)"
        )
    if not (seen.whole or seen.late or seen.partly):
        why = f"expired on {waiver.until} and covers" if waiver.ended(last) else "covers"
        notes.append(f"{what} {why} no finding here: take it out, or correct it where it should cover one")
    for name, named in (("source", waiver.source), ("destination", waiver.destination)):
        there = {finding[name]["component"] or finding[name]["zone"] for finding in seen.whole}
        if (named is None or named in names.ZONES) and len(there) > BROAD:
            notes.append(
                f"{what} is broad: it covers {_findings(seen.whole)} with {len(there)} components as {name} "
                "(name those that are meant, or lower the rule under policy.rules)"
            )
    return notes


def _findings(found: Sequence[Mapping[str, Any]]) -> str:
    named = ", ".join(finding["id"] for finding in found[:NAMED]) + (", …" if len(found) > NAMED else "")
    return f"{len(found)} finding{'' if len(found) == 1 else 's'} ({named})"
