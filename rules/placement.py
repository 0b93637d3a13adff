"""Servers that stand in a zone where no row looks for their role: what crosses there is then not judged (contract 2.2).

Strategy: a table says in which zones an address of each role may stand (edge-paths.md 1.2); every declared address is
compared with it, by the zone that its endpoint has. A role without an entry may stand anywhere: firewalls, neighbours,
and Office Web Apps, whose farm in the perimeter is a documented option. What `edge-same-subnet` or the plan itself
explains is not told: a perimeter host whose two sides are one, and a site with one firewall, whose perimeter hosts
may have their inner side in the network inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from rules import names
from rules.components import Address, Network
from rules.declared import DeclaredAddress, client_networks, own_addresses, peer_networks
from rules.document import Fault
from rules.endpoints import PEER_ROLES, Endpoints
from rules.lint import shared_network
from rules.topology import Topology

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
        mark = topology.places.get((standing.section, standing.network))
        line, column = (mark.line, mark.column) if mark is not None else (1, 1)
        address = str(standing.network).removesuffix("/32").removesuffix("/128")
        message = f"{address} of {standing.owner} is in zone {standing.zone}, where no path looks for it"
        found.add(Fault(line, column, message, _remedy(standing), topology.path))
    return tuple(sorted(found))


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
