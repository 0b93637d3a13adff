"""The policy in words and as data: every row and every rule as it stands on a site, and one of them explained.

Strategy: pure functions over the table, the catalogue and a topology; commands print what these return.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from rules import names
from rules.catalogue import Entry, catalogue, severity_of
from rules.components import PortRange
from rules.endpoints import Endpoint, Endpoints
from rules.facts import Site
from rules.meant import UnknownEnd, means
from rules.paths import SHOWN, Leg, Path, derive
from rules.reach import Members
from rules.remedies import MEANINGS, REMEDIES
from rules.rows import LegSpec, Row, table
from rules.silence import silenced_by
from rules.sources import titles
from rules.switches import off_because, plan_in_words
from rules.topology import Topology
from rules.transports import PORTED, TRANSPORTS, transport_number
from rules.words import MEANT

_WIDTH = 100
_MOST = 12  # addresses named at one end of a row


def policy_list(topology: Topology) -> dict[str, Any]:
    """`{"paths": [...], "rules": [...]}`: every row of the table and every local path, applying or not with the reason;
    every rule with its severity here, its state (`on`, `off`, `not-observable`) and why."""
    return {
        "paths": [_path_entry(path) for path in derive(topology, Endpoints(topology))],
        "rules": [_rule_entry(entry, topology) for entry in catalogue()],
    }


def policy_explain(wanted: str, topology: Topology | None = None) -> str:
    """One row, local path or rule in words, or whom a word of the rows means, as it stands on the site if one is given.
    KeyError for an unknown id."""
    entry = next((e for e in catalogue() if e.id == wanted), None)
    if entry is not None:
        return _explain_rule(entry, topology)
    row = table().row(wanted)
    if topology is not None:
        endpoints = Endpoints(topology)
        path = next((p for p in derive(topology, endpoints) if p.id == wanted), None)
        if path is not None:
            return _explain_path(path, row, endpoints)
    if row is not None:
        return _explain_row(row)
    return _explain_word(wanted, topology)


def port_list(ports: tuple[PortRange, ...]) -> list[int | str]:
    """Ports as the outputs write them: numbers, and "a-b" for ranges."""
    return [span.first if span.first == span.last else str(span) for span in ports]


def _path_entry(path: Path) -> dict[str, Any]:
    return {
        "id": path.id,
        "position": path.position,
        "source": path.source,
        "destination": path.destination,
        "transport": path.transport,
        "ports": _ports_of(path),
        "service": path.service,
        "initiator": path.initiator,
        "applies": path.applies,
        "why": path.why,
    }


def _ports_of(path: Path) -> list[int | str]:
    """As `port_list`; a row over TCP or UDP that names no port allows each of them."""
    ported = any(transport_number(name) in PORTED for name in path.transport.split("/"))
    return port_list(path.ports or ((PortRange(1, 65535),) if ported else ()))


def _rule_entry(entry: Entry, topology: Topology) -> dict[str, Any]:
    state, why = _state(entry, topology)
    return {
        "id": entry.id,
        "severity": _severity(entry, topology),
        "positions": list(entry.positions),
        "state": state,
        "why": why,
    }


def _severity(entry: Entry, topology: Topology | None) -> str:
    """As it counts here; a rule that is off keeps naming the severity it would have."""
    own = topology.policy.severity_of(entry.id) if topology is not None else None
    if own is not None and own != names.OFF:
        return own
    if entry.rule is None:
        return entry.severity
    return entry.rule.default_severity(topology)


def _state(entry: Entry, topology: Topology | None) -> tuple[str, str]:
    if topology is not None and topology.policy.severity_of(entry.id) == names.OFF:
        return "off", "turned off by policy.rules"
    if entry.rule is None:
        return ("on" if "config" in entry.positions else "not-observable"), entry.why
    what = "several flows" if entry.rule.join is not None and not entry.rule.single else "flows"
    return "on", f"judged on {what} seen at position {' or '.join(entry.positions)}"


def _paragraph(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_on_hyphens=False)


def _explain_rule(entry: Entry, topology: Topology | None) -> str:
    state, why = _state(entry, topology)
    lines = [f"{entry.id}: rule, severity {_severity(entry, topology)}, {state}"]
    if entry.rule is not None:
        lines += ["", _paragraph(meaning(entry)), ""]
        if topology is not None and severity_of(entry.rule, topology) != entry.rule.default_severity(topology):
            lines.append(f"default severity: {entry.rule.default_severity(topology)}")
    else:
        lines += ["", _paragraph(meaning(entry)), ""]
    lines.append(_hanging("remedy:    ", REMEDIES[entry.id]))
    lines.append(_hanging("state:     ", why))
    lines.append(f"positions: {', '.join(entry.positions)}")
    silences = sorted(silenced_by(entry.id))
    if silences:
        lines.append(_hanging("silences:  ", ", ".join(silences)))
    silencers = [e.id for e in catalogue() if entry.id in silenced_by(e.id)]
    if silencers:
        lines.append(_hanging("yields to: ", ", ".join(silencers)))
    known = titles()
    for code in entry.sources:
        lines.append(_hanging("document:  ", f"{code}, {known[code]}" if code in known else code))
    for catalogue_name, controls in entry.controls:
        lines.append(_hanging("controls:  ", f"{catalogue_name} {', '.join(controls)}"))
    return "\n".join(lines) + "\n"


def _explain_word(word: str, topology: Topology | None) -> str:
    lines = [f"{word}: an end of rows", "", _paragraph(MEANT[word][0].upper() + MEANT[word][1:] + "."), ""]
    at = [row.id for row in table().rows if any(word in shown_ends(leg) for leg in row.legs)]
    if topology is not None:
        site = Site(topology)
        try:
            lines.append(_hanging("here:      ", _some([_place(end) for end in means(word, site)])))
        except UnknownEnd as nobody:
            lines.append(_hanging("here:      ", str(nobody)))
    return "\n".join([*lines, _hanging("rows:      ", ", ".join(at))]) + "\n"


def _place(end: Endpoint) -> str:
    if end.network is None:
        return "the Internet"
    where = end.network.network_address if end.network.num_addresses == 1 else end.network
    return f"{end.component} {where}" if end.component else str(where)


def _some(told: list[str]) -> str:
    return ", ".join(told[:_MOST]) + (f" and {len(told) - _MOST} more" if len(told) > _MOST else "")


def shown_ends(leg: LegSpec) -> tuple[str, str]:
    """As the list shows them."""
    return SHOWN.get(leg.source, leg.source), SHOWN.get(leg.destination, leg.destination)


def _explain_path(path: Path, row: Row | None, endpoints: Endpoints) -> str:
    state = "applies here" if path.applies else "does not apply here"
    lines = [f"{path.id}: allowed path, {state}", ""]
    if path.purpose:
        lines += [_paragraph(path.purpose[0].upper() + path.purpose[1:] + "."), ""]
    if not path.applies:
        lines.append(_hanging("why not:     ", path.why))
    if path.legs:
        lines += _ways(path, endpoints)
    elif row is not None and len(row.legs) > 1:
        lines += _row_ways(row)
    else:
        ports = ", ".join(str(port) for port in _ports_of(path))
        lines += _path_lines(path.position, path.source, path.destination, path.initiator)
        lines.append(f"on the wire: {' '.join((path.transport, ports)).strip()}, {path.service}")
    return "\n".join(lines + ([] if row is None else _row_lines(row)) + _document_lines(row)) + "\n"


def _ways(path: Path, endpoints: Endpoints) -> list[str]:
    """What a firewall's rules are written from: the ends of each way with what is allowed between just these. Pools
    that differ in nothing but their addresses stand together."""
    by_ends: dict[tuple[tuple[str, str], frozenset[int], frozenset[int]], list[Leg]] = {}
    for leg in path.legs:
        by_ends.setdefault((leg.between, frozenset(leg.sources), frozenset(leg.destinations)), []).append(leg)
    ways: dict[tuple[tuple[str, str], tuple[str, ...]], list[Leg]] = {}
    for (between, _, _), legs in by_ends.items():
        ways.setdefault((between, tuple(dict.fromkeys(map(_wire, legs)))), []).extend(legs)
    blocks = []
    for (between, wires), legs in ways.items():
        block = [*_path_lines(path.position, *between, path.initiator), *wires]
        for label, members in (
            ("from here:   ", [leg.sources for leg in legs]),
            ("to here:     ", [leg.destinations for leg in legs]),
        ):
            here = _own_addresses(members, endpoints)
            if here:
                block.append(_hanging(label, here))
        blocks.append(block)
    return _apart(blocks)


def _row_ways(row: Row) -> list[str]:
    """The same, without a site: in the words of the table."""
    ways: dict[tuple[str, str], list[str]] = {}
    for leg in row.legs:
        text = f"on the wire: {leg.transport} {', '.join(str(p) for p in leg.ports)}, {leg.service}"
        text += f"; from ports {', '.join(str(p) for p in leg.source_ports)}" if leg.source_ports else ""
        ways.setdefault(shown_ends(leg), []).append(text)
    return _apart(
        [[*_path_lines(row.position, *ends, row.initiator), *dict.fromkeys(wires)] for ends, wires in ways.items()]
    )


def _apart(blocks: list[list[str]]) -> list[str]:
    """Several ways of one row, a blank line after each; a lone one runs on."""
    return blocks[0] if len(blocks) == 1 else [line for block in blocks for line in (*block, "")]


def _wire(leg: Leg) -> str:
    transport = TRANSPORTS[leg.transport]
    ports = leg.ports or ((PortRange(1, 65535),) if leg.transport in PORTED else ())
    text = f"on the wire: {transport} {', '.join(map(str, ports))}".rstrip() + f", {leg.service}"
    return text + (f"; from ports {', '.join(map(str, leg.source_ports))}" if leg.source_ports else "")


def _own_addresses(members: Iterable[Members], endpoints: Endpoints) -> str:
    """Our hosts at that end, with their addresses; "" where anybody stands there too."""
    numbers = dict.fromkeys(number for each in members for number in each)
    ends = [endpoints[number] for number in numbers]
    if not all(end.own and end.network is not None for end in ends):
        return ""
    return _some([f"{end.component or 'no name'} {end.network.network_address}" for end in ends if end.network])


def _explain_row(row: Row) -> str:
    lines = [f"{row.id}: allowed path" + (", off unless the site names it" if row.optional else ""), ""]
    if row.purpose:
        lines += [_paragraph(row.purpose[0].upper() + row.purpose[1:] + "."), ""]
    lines += _row_ways(row)
    return "\n".join(lines + _row_lines(row) + _document_lines(row)) + "\n"


def _row_lines(row: Row) -> list[str]:
    return [
        _hanging("products:    ", ", ".join(row.products)),
        *(_hanging("not where:   ", off_because(name)) for name in row.needs),
        *([_hanging("variants:    ", "; ".join(told))] if (told := variants(row)) else []),
    ]


def variants(row: Row) -> list[str]:
    """How the row belongs together with those of other plans, in sentences without a full stop."""
    told = []
    if row.optional:
        told.append("off by default; policy.optional_paths turns it on")
    if row.plan is not None:
        told.append(
            f"of {plan_in_words(row.plan)}" + (f", in place of {', '.join(row.replaces)}" if row.replaces else "")
        )
    for other in table().replacements(row.id):
        if other.plan is not None:
            told.append(f"{other.id} takes its place in {plan_in_words(other.plan)}")
    if not row.alone:
        told.append("a flow that only this row names is not judged")
    return told


def meaning(entry: Entry) -> str:
    """What a rule says, judged on flows or not."""
    return entry.rule.text if entry.rule is not None else MEANINGS.get(entry.id, entry.why)


def _path_lines(position: str, source: str, destination: str, initiator: str) -> list[str]:
    return [f"firewall:    {position}", f"from:        {source} (opened by {initiator})", f"to:          {destination}"]


def _document_lines(row: Row | None) -> list[str]:
    if row is None:
        return []
    known = table().documents
    return [_hanging("documents:   ", f"{code}, {known[code]}") for code in row.documents]


def _hanging(label: str, text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=label, subsequent_indent=" " * len(label), break_on_hyphens=False)
