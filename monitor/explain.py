"""All that can be told of one finding: its rule, the row it missed, the flows, and its packets in tshark's words.

Strategy: the record says what was judged; the slices that it names are checked against their SHA-256 before anything
is believed of them, and the octets that were checked are the octets that tshark reads. Whatever is missing (a slice,
tshark) costs its part of the answer and a sentence that says so, never the rest.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any, Final

from monitor.dissect import TOOL, DissectedPacket, NoDissection, dissect
from monitor.second_opinion import by_ends, compare, ends_of, opinion
from rules.catalogue import catalogue
from rules.components import PortRange
from rules.difference import UNKNOWN, Seen, local_path, nearest
from rules.topology import Topology

SCHEMA: Final = 1

MAX_SLICE: Final = 64 * 1024 * 1024
"""Octets of the largest slice that is read: 8 flows of 16 packets are at most 32 MiB, usually some kilobytes."""

INTACT: Final = "intact"
MISSING: Final = "missing"
CHANGED: Final = "changed"
UNREADABLE: Final = "unreadable"

_FLAGS: Final = ((0x02, "SYN"), (0x01, "FIN"), (0x04, "RST"), (0x08, "PSH"), (0x20, "URG"), (0x10, "ACK"))
"""RFC 9293 section 3.1, those that tell the story first."""


def explanation(finding: dict[str, Any], topology: Topology | None) -> dict[str, Any]:
    """What `explain --format json` prints. finding: as the record gives it; its `second_opinion` is filled in."""
    slices, evidence = _slices(finding["evidence"])
    dissection, reason = _dissection(finding, slices, evidence)
    flow = finding["samples"][0]["flow"] if finding["samples"] else None
    return {
        "schema": SCHEMA,
        "finding": finding,
        "rule": _rule(finding["rule"]),
        "nearest_path": _nearest(finding["nearest_path"], flow, topology),
        "allowed_by": _allowed_by(finding, flow),
        "evidence": evidence,
        "dissection": dissection,
        "no_dissection": reason,
    }


def _rule(name: str) -> dict[str, Any]:
    entry = next((entry for entry in catalogue() if entry.id == name), None)
    rule = entry.rule if entry is not None else None
    return {
        "id": name,
        "text": rule.text if rule is not None else None,
        "sources": list(rule.sources) if rule is not None else [],
        "controls": {catalogue: list(controls) for catalogue, controls in rule.controls} if rule is not None else {},
    }


def _nearest(path: str | None, flow: Mapping[str, Any] | None, topology: Topology | None) -> dict[str, Any] | None:
    if path is None or flow is None:
        return None
    spoken = flow["edgewarden"]["services"] or ([UNKNOWN] if flow["network"].get("protocol") == UNKNOWN else [])
    seen = Seen(
        source=flow["source"]["ip"],
        destination=flow["destination"]["ip"],
        transport=flow["network"]["transport"],
        source_port=flow["source"].get("port"),
        port=flow["destination"].get("port"),
        services=tuple(spoken),
    )
    return nearest(path, seen, topology)


def _allowed_by(finding: Mapping[str, Any], flow: Mapping[str, Any] | None) -> str | None:
    """The local path that would allow it, where only the lack of one is found."""
    entry = next((entry for entry in catalogue() if entry.id == finding["rule"]), None)
    if flow is None or entry is None or entry.rule is None or not entry.rule.only_misses_a_row:
        return None
    ends = [
        finding[end]["component"] or finding[end]["role"] or finding[end]["zone"] for end in ("source", "destination")
    ]
    ports = finding["ports"]
    spans = [PortRange(ports["min"], ports["max"])] if ports["distinct"] else []
    return local_path(ends[0], ends[1], finding["transport"], spans, finding["service"])


# --- evidence --------------------------------------------------------------------------------------------------------


def _slices(named: Sequence[Mapping[str, Any]]) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """The octets, by path, of the slices that are what the record says, and what is to be said of each."""
    intact: dict[str, bytes] = {}
    told = []
    for entry in named:
        data, state, why = _slice(entry["path"], entry["sha256"])
        if state == INTACT:
            intact[entry["path"]] = data
        told.append({**entry, "state": state, "why": why})
    return intact, told


def _slice(path: str, sha256: str) -> tuple[bytes, str, str | None]:
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return b"", CHANGED, "no regular file stands there any more"
            data = file.read(MAX_SLICE + 1)
    except FileNotFoundError:
        return b"", MISSING, "the file is not there any more"
    except OSError as error:
        return b"", UNREADABLE, error.strerror or str(error)
    if hashlib.sha256(data).hexdigest() != sha256:
        return b"", CHANGED, "its SHA-256 is not the one that was recorded: it proves nothing any more"
    return data, INTACT, None


def _dissection(
    finding: dict[str, Any], slices: Mapping[str, bytes], evidence: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any] | None, str | None]:
    """The packets in tshark's words, or None and why not."""
    if not slices:
        if evidence:
            return None, "none of its evidence can be used, so what edgewarden itself read is all there is"
        return None, "no packets of it were kept (audit --evidence keeps them), so this is what edgewarden itself read"
    try:
        said = dissect(list(slices.values()))
    except NoDissection as error:
        return None, f"{error}, so this is what edgewarden itself read"
    packets = [packet for found in said.slices for packet in found.packets]
    spoken = by_ends(packets)
    each = [compare(sample["flow"], spoken.get(ends_of(sample["flow"]))) for sample in finding["samples"]]
    finding["second_opinion"] = opinion(said.version, each, "")
    faults = [found.fault for found in said.slices if found.fault is not None]
    return {
        "tool": TOOL,
        "version": said.version,
        "packets": [
            _packet(path, packet) for path, found in zip(slices, said.slices, strict=True) for packet in found.packets
        ],
        "cut": any(found.cut for found in said.slices),
        "fault": "; ".join(faults) or None,
    }, None


def _packet(path: str, packet: DissectedPacket) -> dict[str, Any]:
    flags = None
    if packet.flags is not None:
        flags = [name for bit, name in _FLAGS if packet.flags & bit]
    return {
        "evidence": path,
        "number": packet.number,
        "time": packet.time,
        "length": packet.length,
        "source": {"ip": packet.source, "port": packet.source_port},
        "destination": {"ip": packet.destination, "port": packet.destination_port},
        "transport": packet.transport,
        "flags": flags,
        "protocols": list(packet.protocols),
        "layers": [{"name": layer.name, "lines": list(layer.lines)} for layer in packet.layers],
    }
