"""Rules about one conversation seen twice: what a firewall, a balancer or a proxy changed on its way, or did not.

Strategy: two legs are one conversation when they share what only its ends choose (both initial sequence numbers, a STUN
transaction, the random of a ClientHello). At the external firewall the leg nearer to the opener is told from the other:
by the addresses (public ones stand outside the translation, private ones inside), else by the sides of the sensors,
else by the clock of the one sensor that saw both. Then the opener says what may change: of a stranger nothing but where
it goes; of an own host where it comes from, even if the flow comes straight back (edge-paths 2.1, both hairpins). Where
nothing tells which leg is which, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator

from rules import names
from rules.components import Address
from rules.declared import PRIVATE, edge_services
from rules.endpoints import FIREWALL_ROLES, Endpoint
from rules.registry import joined
from rules.sights import Joined, Sight, Sights, pairs
from rules.transports import TCP

_NAT_CONTROLS = ("CM-6", "SI-4")
_OUTER = (*names.OUTER_EDGE, names.RP_EXT)


def _changed(sights: Sights, position: str) -> Iterator[tuple[Sight, Sight]]:
    """Two legs of each conversation that differ in an address or a port. Requests may be numbered alike: where one came
    through to the other sensor as it was, they are two conversations."""
    seen = {(sight.sensor, sight.five) for sight in sights.at(position)}
    for one, other in sights.connections(position):
        if one.five == other.five:
            continue
        unchanged = {(one.sensor, other.five), (other.sensor, one.five)} & seen
        if one.transport == TCP or one.sensor == other.sensor or not unchanged:
            yield one, other


def _passed_on(sights: Sights) -> Iterator[tuple[Sight, Sight]]:
    """(leg nearer to the opener, leg behind it) of each conversation that does not pass the external firewall as it
    came."""
    for one, other in _changed(sights, "external"):
        for precedes in (_goes_in, _goes_out, _is_nearer, _is_earlier):
            if precedes(one, other) or precedes(other, one):
                yield (one, other) if precedes(one, other) else (other, one)
                break


def _goes_in(before: Sight, after: Sight) -> bool:
    """A listener's private address takes the place of its public one."""
    return _has_private(after.destination) and not _has_private(before.destination)


def _goes_out(before: Sight, after: Sight) -> bool:
    """An own host's public address takes the place of its private one."""
    return _has_private(before.source) and not _has_private(after.source)


def _is_nearer(before: Sight, after: Sight) -> bool:
    """To the opener: the deeper leg, if that is a host of ours, or the flow goes to the Internet."""
    one, other = _depth(before), _depth(after)
    if one is None or other is None or one == other:
        return False
    inner = before if one > other else after
    outward = _is_ours(inner.source) or not inner.destination.has(*_OUTER)
    return (before is inner) == outward


def _is_earlier(before: Sight, after: Sight) -> bool:
    """TCP alone: of two requests that one sensor sees, and that are numbered alike, each may be its own."""
    return before.transport == TCP and before.sensor == after.sensor and before.start < after.start


def _has_private(end: Endpoint) -> bool:
    return end.has(*_OUTER) and end.faces == frozenset({PRIVATE})


def _depth(sight: Sight) -> int | None:
    """How many of firewall and balancer stand between the Internet and the sensor, where that is declared."""
    return None if sight.side not in ("outside", "inside") else (sight.side == "inside") + sight.behind_lb


def _is_ours(end: Endpoint) -> bool:
    """A host of ours; a firewall or a balancer would have the address in place of somebody else."""
    if _balancer(end) or FIREWALL_ROLES.intersection(end.roles):
        return False
    return end.own or end.inside or end.zone == names.UNDECLARED


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
    for before, after in _passed_on(sights):
        if before.source.has(*_OUTER) and not _same_target(before, after):
            yield Joined(
                f"{before.source} opened {before.destination_ip}, and the firewall made {after.destination_ip} of it: "
                "translate the source alone outbound.",
                (before, after),
            )


def _same_target(before: Sight, after: Sight) -> bool:
    """The same address; or both are ours, and what came back in was translated like anything that comes in."""
    ours = before.destination.has(*_OUTER) and after.destination.has(*_OUTER)
    return ours or before.destination_ip == after.destination_ip


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
    for before, after in _passed_on(sights):
        if not before.source.has(names.EDGE_EXT_AV) or not _same_target(before, after):
            continue
        declared = _public_of(sights, before)
        if declared is not None and after.source_ip != str(declared):
            yield Joined(
                f"Media of {before.source} leave from {after.source_ip}, declared is {declared}: "
                "translate to the declared address, or declare the right one.",
                (before, after),
            )


def _public_of(sights: Sights, before: Sight) -> Address | None:
    """None for an address that is public already and has another one on the wire."""
    pool = sights.site.edge_pool(before.source)
    for member in pool.members if pool is not None else ():
        for role, service in edge_services(member):
            if role == names.EDGE_EXT_AV:
                for public, private in service.pairs:
                    if str(private) == before.source_ip:
                        return public
    return None


@joined(
    "nat-port-translation",
    severity="medium",
    positions=("external",),
    text="The external firewall changed a port of a flow from or to an Edge or a proxy. Translation is one address to "
    "one, ports stay; only what hides our clients and a balancer choose new source ports.",
    sources=("HLBREQ", "AVFW"),
    controls=_NAT_CONTROLS,
)
def nat_port_translation(sights: Sights) -> Iterator[Joined]:
    for before, after in _passed_on(sights):
        ours = before.source.has(*_OUTER)
        if not ours and not after.destination.has(*_OUTER):
            continue
        kept = (ours or before.source.zone == names.EXTERNAL) and not _balancer(after.source)
        if before.port != after.port or (kept and before.source_port != after.source_port):
            yield Joined(
                f"Between {before.source} and {after.destination} the firewall changed ports {before.source_port} to "
                f"{before.port} into {after.source_port} to {after.port}: translate addresses alone.",
                (before, after),
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
    for one, other in pairs(sights.at("external", "internal"), lambda sight: sight.five):
        if one.position == other.position or _are_two(one, other):
            continue
        outer, inner = (one, other) if one.position == "external" else (other, one)
        if outer.source.zone in (names.EXTERNAL, names.PERIMETER_EXT) and _is_behind(outer.destination):
            yield Joined(
                f"{outer.source} {inner.reached} {outer.destination} through both firewalls unchanged: "
                "take away every route between the perimeter networks, an Edge never forwards.",
                (outer, inner),
            )


def _are_two(one: Sight, other: Sight) -> bool:
    """Connections of the same ends and ports, as their sequence numbers show, where both sensors saw them."""
    numbers = zip(one.isn or (), other.isn or (), strict=False)
    return any(None not in (a, b) and a != b for a, b in numbers)


def _is_behind(end: Endpoint) -> bool:
    """On the far side of the Edge, its inner network included."""
    return end.inside or end.zone == names.PERIMETER_INT


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
    text="Near the balancer only requests to a virtual address are seen, before it the whole conversation: replies "
    "pass the balancer by. Direct server return is unsupported.",
    sources=("HLBREQ",),
    controls=("CM-6",),
)
def hlb_dsr(sights: Sights) -> Iterator[Joined]:
    def key(sight: Sight) -> tuple[object, ...] | None:
        """What the client alone chooses: the answer to it is missing."""
        number = sight.isn[0] if sight.isn is not None else sight.transaction
        return None if number is None else (number, sight.source_ip, sight.source_port, sight.port)

    chosen = [s for s in sights.all if s.destination.own and s.destination.pools]
    for one, other in pairs(chosen, key):
        for seen, part in ((one, other), (other, one)):
            asked = seen.destination.virtual and seen.destination.pools & part.destination.pools
            replied = seen.destination_packets and not part.destination_packets and _goes_on(part)
            if asked and replied and _is_nearer_balancer(part, seen):
                yield Joined(
                    f"Replies of {seen.destination} pass the balancer by: turn off direct server return.", (seen, part)
                )


def _goes_on(part: Sight) -> bool:
    """Whether the client of a flow without replies got some all the same: it acknowledges them, or asks again. With
    the first packet alone the capture may have ended."""
    return part.answered if part.transport == TCP else part.source_packets > 1


def _is_nearer_balancer(part: Sight, seen: Sight) -> bool:
    if part.behind_lb != seen.behind_lb:
        return part.behind_lb
    to_perimeter_int = part.position == "internal" and part.destination.perimeter
    near, far = ("outside", "inside") if to_perimeter_int else ("inside", "outside")
    return part.position == seen.position and (part.side, seen.side) == (near, far)


def translated_inside(sights: Sights) -> Iterator[Joined]:
    """Another address on the other side of the internal firewall, of an Edge or of whom it speaks with."""
    for one, other in _changed(sights, "internal"):
        if one.transport != TCP and one.sensor == other.sensor:
            continue  # numbered alike, each may be its own
        edge = next((e for s in (one, other) for e in (s.source, s.destination) if e.has(*names.INNER_EDGE)), None)
        changed: list[Endpoint] = []
        if one.source_ip != other.source_ip:
            changed += (one.source, other.source)
        if one.destination_ip != other.destination_ip:
            changed += (one.destination, other.destination)
        if edge is not None and changed and not any(_balancer(end) for end in changed):
            yield Joined(
                f"A connection with {edge} is {one.source_ip} to {one.destination_ip} on one side of the internal "
                f"firewall and {other.source_ip} to {other.destination_ip} on the other: route, do not translate.",
                (one, other),
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
    """A stranger's address that the external firewall replaced."""
    for before, after in _passed_on(sights):
        stranger = before.source.zone == names.EXTERNAL and after.destination.has(*_OUTER)
        if stranger and before.source_ip != after.source_ip and not _balancer(after.source):
            yield Joined(
                f"{before.source_ip} asked {before.destination}, and the firewall made {after.source_ip} of it: "
                "translate the destination alone inbound.",
                (before, after),
            )
