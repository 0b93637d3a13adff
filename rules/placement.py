"""Servers that stand in a zone where no row looks for their role, or in no declared network at all: what crosses there
is then not judged, or judged as somebody else's (contract 2.2).

Strategy: a table says in which zones an address of each role may stand (edge-paths.md 1.2); every declared address is
compared with it, by the zone that its endpoint has. A role without an entry may stand anywhere: firewalls, neighbours,
and Office Web Apps, whose farm in the perimeter is a documented option. What `edge-same-subnet` or the plan itself
explains is not told: a perimeter host whose two sides are one, and a site with one firewall, whose perimeter hosts
may have their inner side in the network inside.

A server in no network of `zones` counts to the zone of its role, since public addresses often stand for themselves
(`rules.endpoints`); so a slip of a digit goes unseen unless it is told. One sentence a zone, however many they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import collapse_addresses, ip_network
from typing import Final

from rules import names
from rules.components import Address, Network
from rules.declared import DeclaredAddress, client_networks, own_addresses, peer_networks
from rules.document import Fault
from rules.endpoints import HOME_ZONE, PEER_ROLES, Endpoints
from rules.lint import shared_network
from rules.topology import Topology, is_private

_OUTER: Final = (names.PERIMETER_EXT,)
_INNER: Final = (names.PERIMETER_INT,)
_INSIDE: Final = (names.INTERNAL,)
_PERIMETER: Final = _OUTER + _INNER

ZONES_OF: Final[dict[str, tuple[str, ...]]] = {
    names.EDGE_EXT_ACCESS: _OUTER,
    names.EDGE_EXT_WEBCONF: _OUTER,
    names.EDGE_EXT_AV: _OUTER,
    names.EDGE_EXT_VIP_ACCESS: _OUTER,
    names.EDGE_EXT_VIP_WEBCONF: _OUTER,
    names.EDGE_EXT_VIP_AV: _OUTER,
    names.RP_EXT: _OUTER,
    names.EDGE_INT: _INNER,
    names.EDGE_INT_VIP: _INNER,
    names.RP_INT: _INNER,
    names.DIRECTOR: _INSIDE,
    names.FE: _INSIDE,
    names.WEB_VIP: _INSIDE,
    names.MEDIATION: _INSIDE,
    names.SBA: (names.INTERNAL, names.VPN),  # a branch may come through a tunnel between sites
    **dict.fromkeys(PEER_ROLES, (names.EXTERNAL,)),
}
"""The right zone first. The XMPP proxy, the XMPP gateway and the CMS master are told by the role they share."""

_INSIDE_OUT: Final = (names.PERIMETER_INT, names.INTERNAL, names.VPN)
"""Zones in which an egress address is none: it is seen on the Internet, if only on the external firewall itself."""


MAX_NAMED: Final = 8
"""Addresses that one sentence names: a pool or two. A wrong network says as much by its first as by its hundredth."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """An address, who has it, where it stands and where it should."""

    network: Network
    section: str
    owner: str
    zone: str
    right: str


def misplaced(topology: Topology) -> tuple[Fault, ...]:
    """Each address in a zone of another role, with its place in the file; sorted. The file is understood all the same,
    so these are no faults to refuse it for."""
    found = set()
    for standing in _standings(topology, Endpoints(topology)):
        message = f"{_named(standing)} is in zone {standing.zone}, where no path looks for it"
        found.add(_told(topology, standing, message, _remedy(standing)))
    return tuple(sorted(found))


def unplaced(topology: Topology) -> tuple[Fault, ...]:
    """Servers and networks of clients in no network of `zones`: a sentence for each zone they are taken for, at the
    first of them in the file. No faults to refuse it for, either."""
    endpoints = Endpoints(topology)
    found = []
    servers: dict[str, dict[Network, _Standing]] = {}
    for entry in own_addresses(topology):
        network = ip_network(entry.address)
        if entry.role in HOME_ZONE and not _covered(network, topology):
            zone = endpoints.at(str(network)).zone
            owner = f"{entry.component} ({entry.role})"
            standing = _Standing(network, entry.section, owner, zone, zone)
            servers.setdefault(zone, {}).setdefault(network, standing)
    for zone, standings in servers.items():
        found.append(_outside(topology, list(standings.values()), f"taken for {zone} by role", zone))
    clients = {
        client.network: _Standing(client.network, client.section, client.section, names.UNDECLARED, names.INTERNAL)
        for client in client_networks(topology)
        if client.section != "clients.egress" and not _covered(client.network, topology)
    }
    if clients:
        found.append(_outside(topology, list(clients.values()), "so not inside", names.INTERNAL))
    return tuple(sorted(found))


def _outside(topology: Topology, standings: Sequence[_Standing], meaning: str, zone: str) -> Fault:
    """The sentence about all that stand outside in the same way, and what to add to which zone."""
    standings = sorted(standings, key=lambda standing: _place(topology, standing))
    named = [_named(standing) for standing in standings[:MAX_NAMED]]
    more = [f"{len(standings) - MAX_NAMED} more"] if len(standings) > MAX_NAMED else []
    verb = "is" if len(standings) == 1 else "are"
    networks = list(dict.fromkeys(str(_around(topology, standing.network)) for standing in standings))
    shown = ", ".join(networks[:MAX_NAMED]) + (", …" if len(networks) > MAX_NAMED else "")
    one = "it, or add its network" if len(standings) == 1 else "them, or add their networks"
    remedy = f"correct {one} to zones.{zone}, such as {shown}"
    message = f"{', '.join(named + more)} {verb} in no network of zones, {meaning}"
    return _told(topology, standings[0], message, remedy)


def _told(topology: Topology, standing: _Standing, message: str, remedy: str) -> Fault:
    return Fault(*_place(topology, standing), message, remedy, topology.path)


def _place(topology: Topology, standing: _Standing) -> tuple[int, int]:
    mark = topology.places.get((standing.section, standing.network))
    return (mark.line, mark.column) if mark is not None else (1, 1)


def _named(standing: _Standing) -> str:
    return f"{str(standing.network).removesuffix('/32').removesuffix('/128')} of {standing.owner}"


def _covered(network: Network, topology: Topology) -> bool:
    """Whether one network of `zones` holds it, or several have all of it between them."""
    parts = [prefix.network for prefix in topology.zones if prefix.network.version == network.version]
    if any(network.subnet_of(part) for part in parts):  # type: ignore[arg-type]
        return True
    within = [part for part in parts if part.subnet_of(network)]  # type: ignore[arg-type]
    return list(collapse_addresses(within)) == [network]  # type: ignore[type-var]


def _around(topology: Topology, network: Network) -> Network:
    """The network to propose: the usual one around a private address (/24, /64) that is no other zone's. Around a
    public one are other people's."""
    usual = 24 if network.version == 4 else 64
    if network.prefixlen <= usual or not is_private(network.network_address):
        return network
    around = network.supernet(new_prefix=usual)
    return network if any(prefix.network == around for prefix in topology.zones) else around


def _remedy(standing: _Standing) -> str:
    if standing.right == names.EXTERNAL:
        return "an address on the Internet, in no network under zones"
    return f"an address in {standing.right}; correct it, or the networks under zones"


def _standings(topology: Topology, endpoints: Endpoints) -> Iterator[_Standing]:
    entries = list(own_addresses(topology))
    single_homed = _single_homed(topology, entries)
    one_firewall = topology.variant().firewalls == 1
    for entry in entries:
        network = ip_network(entry.address)
        zone, right = endpoints.at(str(network)).zone, ZONES_OF.get(entry.role or "")
        if right is None or zone in right:
            continue
        if zone in _PERIMETER and right[0] in _PERIMETER and {entry.component, entry.pool} & single_homed:
            continue
        if right == _INNER and one_firewall and zone == names.INTERNAL:
            continue
        yield _Standing(network, entry.section, f"{entry.component} ({entry.role})", zone, right[0])
    for peer in peer_networks(topology):
        zone = endpoints.at(str(peer.network)).zone
        if zone not in (names.EXTERNAL, names.UNDECLARED):
            yield _Standing(peer.network, peer.section, peer.component or "a provider", zone, names.EXTERNAL)
    for client in client_networks(topology):
        declared = next((p.zone for p in topology.zones if _within(client.network, p.network)), None)
        if client.section == "clients.egress" and declared in _INSIDE_OUT:
            yield _Standing(client.network, client.section, "clients.egress", declared, names.EXTERNAL)


def _single_homed(topology: Topology, entries: list[DeclaredAddress]) -> set[str | None]:
    """Perimeter hosts whose two sides are one: an Edge Server that `edge-same-subnet` tells, a proxy on one address."""
    roles: dict[Address, set[str | None]] = {}
    for entry in entries:
        roles.setdefault(entry.address, set()).add(entry.role)
    proxies = {entry.pool for entry in entries if {names.RP_EXT, names.RP_INT} <= roles[entry.address]}
    edges = (member for pool in topology.edge_pools for member in pool.members)
    return proxies | {member.fqdn for member in edges if shared_network(topology, member) is not None}


def _within(network: Network, around: Network) -> bool:
    """Whether a prefix of `topology.zones` (longest first) holds it: an endpoint of `clients.egress` is external
    wherever it stands."""
    return network.version == around.version and around.supernet_of(network)  # type: ignore[arg-type]
