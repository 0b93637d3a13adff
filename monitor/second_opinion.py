"""A second opinion on findings: what tshark calls the sample flows whose service we named.

Strategy: the packets of all samples of a sensor go to tshark as one capture, so that the time does not follow the
number of findings; its packets are told apart again by their innermost ends. Our names are compared with tshark's by
one table. tshark goes by ports where bytes do not help, hence it never overrules: a finding carries both opinions and
whether they agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from monitor.aggregate import Finding
from monitor.dissect import TOOL, DissectedPacket, Limits, NoDissection, dissect
from monitor.evidence import Packet, Place, in_order, places_of, slice_file

NAMES: Final[Mapping[str, frozenset[str]]] = {
    service: frozenset(names.split())
    for service, names in {
        "dns": "dns mdns llmnr",
        "ike": "isakmp",
        "http": "http http2",
        "kerberos": "kerberos",
        "ldap": "ldap cldap",
        "mssql": "tds",
        "pop3": "pop",
        "pseudo-tls": "tls",  # a ClientHello that nobody means; what follows is MS-TURN, which tshark has no name for
        "rdp": "rdp tpkt cotp t125 rdpudp",
        "rtp": "rtp srtp",
        "rtcp": "rtcp srtcp",
        "smb": "smb smb2 nbss",
        "stun": "stun classicstun",
        "tls": "tls sslv2",
        "turn": "stun classicstun turnchannel",
        "wireguard": "wg",
    }.items()
}
"""Our name of a service → tshark's names for it; one that is missing here has the same name there."""

LIMITS: Final = Limits(packets=20_000, characters=0, cpu_seconds=300, output=64 * 1024**2, seconds=240.0)
"""Of all findings of a sensor: no words, but many packets, at some 3 ms each."""

Ends = tuple[str | None, frozenset[tuple[str, int | None]]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`agrees` None: one of the two says nothing that could be compared."""

    protocols: tuple[str, ...]
    agrees: bool | None
    why: str


def second_opinions(
    found: Sequence[Finding], packets: Mapping[Place, Packet], findings: Sequence[dict[str, Any]]
) -> None:
    """Fill in `second_opinion` of the findings of a result that have samples.

    found: the same findings as `monitor.aggregate` made them; packets: those of their samples.
    """
    by_sensor: dict[str, set[Place]] = {}
    for finding in found:
        for _, row, learned in finding.samples:
            by_sensor.setdefault(learned.sensor.label, set()).update(places_of(row, learned))
    slices = [slice_file(in_order(packets[p] for p in of_it if p in packets), "") for of_it in by_sensor.values()]
    version, reason = None, ""
    spoken: dict[str, dict[Ends, list[str]]] = {}
    if slices:
        try:
            said = dissect(slices, LIMITS)
        except NoDissection as error:
            reason = str(error)
        else:
            version = said.version
            spoken = {s: by_ends(part.packets) for s, part in zip(by_sensor, said.slices, strict=True)}
    sensors = {finding.id: [learned.sensor.label for _, _, learned in finding.samples] for finding in found}
    for entry in findings:
        flows = [sample["flow"] for sample in entry["samples"]]
        if flows:
            pairs = zip(flows, sensors[entry["id"]], strict=True)
            each = [compare(flow, spoken.get(sensor, {}).get(ends_of(flow))) for flow, sensor in pairs]
            entry["second_opinion"] = opinion(version, each, reason)


def opinion(version: str | None, each: Sequence[Comparison], reason: str) -> dict[str, Any]:
    """What a finding says of it. reason: why tshark could not be asked, where `version` is None."""
    if version is None:
        return {"tool": TOOL, "version": None, "protocols": [], "agrees": None, "why": reason}
    decided = {comparison.agrees for comparison in each}
    agrees = False if False in decided else None if None in decided or not decided else True
    return {
        "tool": TOOL,
        "version": version,
        "protocols": list(dict.fromkeys(name for comparison in each for name in comparison.protocols)),
        "agrees": agrees,
        "why": "; ".join(dict.fromkeys(comparison.why for comparison in each if comparison.agrees is agrees)),
    }


def compare(flow: Mapping[str, Any], spoken: Sequence[str] | None) -> Comparison:
    """One flow, as `flows` prints it, with what tshark reads in its first packets (None: it saw none of them)."""
    if spoken is None:
        return Comparison((), None, f"{TOOL} saw none of its packets")
    theirs = tuple(dict.fromkeys(spoken))
    service = flow["network"].get("protocol")
    read = f"{TOOL} reads {', '.join(theirs)}" if theirs else f"{TOOL} recognises nothing"
    if service is None:
        if not theirs:
            return Comparison(theirs, True, "neither sees a payload that it could name")
        return Comparison(theirs, None, f"{read}, where edgewarden saw no payload")
    if service == "unknown":
        if not theirs:
            return Comparison(theirs, True, "neither recognises what is spoken")
        return Comparison(theirs, False, f"{read}, which it may have from the port; edgewarden recognises nothing")
    named = [service, *(other for other in flow["edgewarden"]["services"] if other != service)]
    confirmed = [name for name in named if NAMES.get(name, frozenset({name})) & set(theirs)]
    if confirmed:
        return Comparison(theirs, True, f"{read}, edgewarden {', '.join(named)}")
    return Comparison(theirs, False if theirs else None, f"{read}, edgewarden {', '.join(named)}")


def by_ends(packets: Iterable[DissectedPacket]) -> dict[Ends, list[str]]:
    """What is spoken between two ends, in the order seen."""
    found: dict[Ends, list[str]] = {}
    for packet in packets:
        if packet.source is None or packet.destination is None:
            continue
        ends = frozenset(
            {(_plain(packet.source), packet.source_port), (_plain(packet.destination), packet.destination_port)}
        )
        known = found.setdefault((packet.transport, ends), [])
        if not {"icmp", "icmpv6"} & set(packet.protocols) or packet.transport is None:
            known.extend(packet.spoken)  # an error says nothing of the flow that it quotes
    return found


def ends_of(flow: Mapping[str, Any]) -> Ends:
    """As `by_ends` tells flows apart."""
    transport = flow["network"]["transport"]
    ends = frozenset((_plain(flow[end]["ip"]), flow[end].get("port")) for end in ("source", "destination"))
    if transport in ("tcp", "udp", "sctp"):
        return transport, ends
    return None, frozenset((address, None) for address, _ in ends)


def _plain(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return text
