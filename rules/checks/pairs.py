"""Rules about one conversation seen twice: what a firewall, a balancer or a proxy changed on its way, or did not.

Strategy: two legs are one conversation when they share what only its ends choose (both initial sequence numbers, a STUN
transaction, the random of a ClientHello). Which leg is which is told by the addresses: public ones stand outside the
translation, private ones inside. Where the addresses do not tell, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator

from rules import names
from rules.components import Address
from rules.declared import PRIVATE, edge_services
from rules.endpoints import Endpoint
from rules.registry import joined
from rules.sights import Joined, Sight, Sights, pairs

_NAT_CONTROLS = ("CM-6", "SI-4")
_OUTER = (*names.OUTER_EDGE, names.RP_EXT)


def _translated(sights: Sights) -> Iterator[tuple[Sight, Sight]]:
    """(leg outside, leg inside) of each conversation that the external firewall passed on under another address."""
    for one, other in sights.one_connection(sights.at("external")):
        if one.five == other.five:
            continue
        for outside, inside in ((one, other), (other, one)):
            if _face(inside, PRIVATE) and not _face(outside, PRIVATE):
                yield outside, inside


def _face(sight: Sight, face: str) -> bool:
    """Whether an own outer end of the flow has the address of that face."""
    return any(end.has(*_OUTER) and end.faces == frozenset({face}) for end in (sight.source, sight.destination))


def _inbound(inside: Sight) -> bool:
    return inside.destination.has(*_OUTER)


def _balancer(end: Endpoint) -> bool:
    return "lb" in end.sections or end.virtual


@joined(
    "nat-outbound-dest-changed",
    severity="medium",
    positions=("external",),
    text="A flow that an Edge or proxy opens outward leaves the firewall to another destination than it had before. "
    "Outbound, translation may change the source only.",
    sources=("AVFW",),
    controls=_NAT_CONTROLS,
)
def nat_outbound_dest_changed(sights: Sights) -> Iterator[Joined]:
    for outside, inside in _translated(sights):
        if not _inbound(inside) and outside.destination_ip != inside.destination_ip:
            yield Joined(
                f"{inside.source} opened {inside.destination_ip}, and the firewall made {outside.destination_ip} of "
                f"it: "
                "translate the source alone outbound.",
                (outside, inside),
            )


@joined(
    "nat-public-ip-mismatch",
    severity="medium",
    positions=("external",),
    text="Media of an Edge leave the firewall from another public address than the one that is declared for its A/V "
    "service. Peers are told the declared one.",
    sources=("TOPO", "AVFW"),
    controls=_NAT_CONTROLS,
)
def nat_public_ip_mismatch(sights: Sights) -> Iterator[Joined]:
    for one, other in sights.one_connection(sights.at("external")):
        for outside, inside in ((one, other), (other, one)):
            if not inside.source.has(names.EDGE_EXT_AV) or inside.source.faces != frozenset({PRIVATE}):
                continue
            if outside.destination_ip != inside.destination_ip or outside.source_ip == inside.source_ip:
                continue
            declared = _public_of(sights, inside)
            if declared is not None and outside.source_ip != str(declared):
                yield Joined(
                    f"Media of {inside.source} leave from {outside.source_ip}, declared is {declared}: "
                    "translate to the declared address, or declare the right one.",
                    (outside, inside),
                )


def _public_of(sights: Sights, inside: Sight) -> Address | None:
    pool = sights.site.edge_pool(inside.source)
    for member in pool.members if pool is not None else ():
        for role, service in edge_services(member):
            if role == names.EDGE_EXT_AV:
                for public, private in service.pairs:
                    if str(private) == inside.source_ip:
                        return public
    return None


@joined(
    "nat-port-translation",
    severity="medium",
    positions=("external",),
    text="The external firewall changed a port. Translation is one address to one, ports stay.",
    sources=("HLBREQ", "AVFW"),
    controls=_NAT_CONTROLS,
)
def nat_port_translation(sights: Sights) -> Iterator[Joined]:
    for outside, inside in _translated(sights):
        if (outside.source_port, outside.port) != (inside.source_port, inside.port):
            yield Joined(
                f"Between {inside.source} and {inside.destination} the firewall changed ports {outside.source_port} to "
                f"{outside.port} into {inside.source_port} to {inside.port}: translate addresses alone.",
                (outside, inside),
            )


@joined(
    "edge-as-router",
    severity="critical",
    positions=("external", "internal"),
    all_positions=True,
    text="The same packets from outside are seen at the external firewall and behind the perimeter, and no Edge or "
    "proxy is an end of them: something forwards between the two perimeter networks.",
    sources=("NIC", "HLBREQ"),
    controls=("AC-4", "SC-7", "SC-7(5)"),
)
def edge_as_router(sights: Sights) -> Iterator[Joined]:
    if sights.site.topology.variant().three_legged:
        return  # one device is both firewalls: that it passes packets through says nothing of the Edge
    for one, other in sights.one_connection(sights.at("external", "internal")):
        if one.five != other.five or one.position == other.position:
            continue
        outer, inner = (one, other) if one.position == "external" else (other, one)
        if outer.source.zone in (names.EXTERNAL, names.PERIMETER_EXT) and outer.destination.inside:
            yield Joined(
                f"{outer.source} reached {outer.destination} through both firewalls unchanged: "
                "take away every route between the perimeter networks, an Edge never forwards.",
                (outer, inner),
            )


@joined(
    "edge-internal-nat",
    severity="high",
    positions=("internal",),
    text="The internal firewall translates between inside hosts and an Edge. It must route: the Edge tells clients "
    "its own address and needs theirs.",
    sources=("AVFW", "SFB-ENV"),
    controls=_NAT_CONTROLS,
)
def edge_internal_nat(sights: Sights) -> Iterator[Joined]:
    for one, other in sights.one_connection(sights.at("internal")):
        same_ends = (one.source_ip, one.destination_ip) == (other.source_ip, other.destination_ip)
        edge = next((e for s in (one, other) for e in (s.source, s.destination) if e.has(*names.INNER_EDGE)), None)
        balanced = any(_balancer(end) for s in (one, other) for end in (s.source, s.destination))
        if edge is not None and not same_ends and not balanced:
            yield Joined(
                f"A connection with {edge} is {one.source_ip} to {one.destination_ip} on one side of the internal "
                f"firewall and {other.source_ip} to {other.destination_ip} on the other: route, do not translate.",
                (one, other),
            )


@joined(
    "hlb-asymmetric-reply",
    severity="medium",
    positions=("external",),
    text="A client asks one of a virtual address and a node, and the other one answers. Whoever was asked must answer.",
    sources=("P-HLB",),
    controls=("CM-6",),
)
def hlb_asymmetric_reply(sights: Sights) -> Iterator[Joined]:
    def key(sight: Sight) -> tuple[object, ...] | None:
        pool = sights.site.edge_pool_of(sight.destination, *names.OUTER_EDGE)
        client = (sight.source_ip, sight.source_port, sight.port, sight.transport)
        return None if pool is None else (pool.fqdn, *client)

    for one, other in pairs(sights.at("external"), key):
        if one.destination.virtual == other.destination.virtual:
            continue
        for asked, answer in ((one, other), (other, one)):
            if asked.destination_packets == 0 and answer.source_packets == 0 and answer.destination_packets:
                yield Joined(
                    f"{asked.source_ip} asked {asked.destination} ({asked.destination_ip}), and "
                    f"{answer.destination_ip} "
                    "answered: let replies leave by the address that was asked.",
                    (asked, answer),
                )


@joined(
    "hlb-dsr",
    severity="medium",
    positions=("external", "internal"),
    text="Behind the balancer only requests to a virtual address are seen, in front of it the whole conversation: "
    "replies pass the balancer by. Direct server return is unsupported.",
    sources=("HLBREQ",),
    controls=("CM-6",),
)
def hlb_dsr(sights: Sights) -> Iterator[Joined]:
    behind = [s for s in sights.all if s.behind_lb and s.destination.virtual]
    front = [s for s in sights.all if not s.behind_lb and s.destination.virtual]
    for one, other in sights.one_connection((*front, *behind)):
        seen, part = (one, other) if other.behind_lb else (other, one)
        if part.behind_lb and not seen.behind_lb and seen.destination_packets and not part.destination_packets:
            yield Joined(
                f"Replies of {part.destination} pass the balancer by: turn off direct server return.", (seen, part)
            )


def passed_through(sights: Sights) -> Iterator[Joined]:
    """TLS of a client that reaches an inside web server as it came: the proxy did not end it."""
    outer = [s for s in sights.all if s.destination.has(names.RP_EXT)]
    inner = [s for s in sights.at("internal") if s.source.has(names.RP_INT)]
    for one, other in pairs((*outer, *inner), lambda sight: sight.client_random):
        outside, inside = (one, other) if one.destination.has(names.RP_EXT) else (other, one)
        if outside.destination.has(names.RP_EXT) and inside.source.has(names.RP_INT):
            yield Joined(
                f"The greeting that {outside.source_ip} sent to {outside.destination} reached {inside.destination} as "
                f"it "
                "was: let the proxy end TLS and open a session of its own.",
                (outside, inside),
            )


def source_changed(sights: Sights) -> Iterator[Joined]:
    """A client's address that the external firewall replaced."""
    for outside, inside in _translated(sights):
        if _inbound(inside) and outside.source_ip != inside.source_ip and not _balancer(inside.source):
            yield Joined(
                f"{outside.source_ip} asked {outside.destination}, and the firewall made {inside.source_ip} of it: "
                "translate the destination alone inbound.",
                (outside, inside),
            )
