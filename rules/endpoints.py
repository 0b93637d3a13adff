"""From addresses to endpoint numbers: what the core looks up, and what each number means to a rule.

Strategy: every network that anything in the topology can tell apart gets a number: each declared address its own, and
zones, client ranges, peers, networks of local paths, private and special ranges. Prefixes nest or are disjoint, so
the longest prefix around an address settles its membership in all others: an `Endpoint` is computed once per number
and the core needs a longest-prefix match, nothing else. Number 0 is an address in no prefix: the Internet. The table
is as long as the topology file, never as the traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Final

from rules import names
from rules.components import Network
from rules.declared import DeclaredAddress, client_networks, own_addresses, peer_networks
from rules.topology import PRIVATE_NETWORKS, Topology

SPECIAL_NETWORKS: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # "this" network, RFC 1122 3.2.1.3
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, RFC 3927
        "224.0.0.0/4",  # multicast, RFC 5771
        "255.255.255.255/32",  # limited broadcast, RFC 919
        "::/128",
        "::1/128",
        "fe80::/10",  # link-local, RFC 4291 2.5.6
        "ff00::/8",  # multicast, RFC 4291 2.7
    )
)
"""Addresses that never cross a firewall by routing: flows with such an end are out of scope."""

# Zone of an own interface whose address no declared prefix holds. Prefixes decide wherever there is one; without this
# a site that lists its public addresses but not their network would have its Edge stand on the Internet.
HOME_ZONE: Final = {
    **dict.fromkeys(
        (
            names.EDGE_EXT_ACCESS,
            names.EDGE_EXT_WEBCONF,
            names.EDGE_EXT_AV,
            names.EDGE_XMPP_PROXY,
            names.EDGE_EXT_VIP_ACCESS,
            names.EDGE_EXT_VIP_WEBCONF,
            names.EDGE_EXT_VIP_AV,
            names.RP_EXT,
        ),
        names.PERIMETER_EXT,
    ),
    **dict.fromkeys((names.EDGE_INT, names.EDGE_INT_VIP, names.RP_INT), names.PERIMETER_INT),
    **dict.fromkeys(
        (
            names.DIRECTOR,
            names.FE,
            names.XMPP_GATEWAY,
            names.CMS_MASTER,
            names.OWAS,
            names.SBA,
            names.WEB_VIP,
            names.MEDIATION,
        ),
        names.INTERNAL,
    ),
}

_RANK: Final = {role: rank for rank, role in enumerate(names.ROLES)}

EDGE_ROLES: Final = frozenset(
    {
        names.EDGE_EXT_ACCESS,
        names.EDGE_EXT_WEBCONF,
        names.EDGE_EXT_AV,
        names.EDGE_XMPP_PROXY,
        names.EDGE_INT,
        names.EDGE_EXT_VIP_ACCESS,
        names.EDGE_EXT_VIP_WEBCONF,
        names.EDGE_EXT_VIP_AV,
        names.EDGE_INT_VIP,
    }
)
PROXY_ROLES: Final = frozenset({names.RP_EXT, names.RP_INT})
FIREWALL_ROLES: Final = frozenset({names.FW_EXT, names.FW_INT})
PEER_ROLES: Final = frozenset(
    {names.PARTNER_EDGE, names.PIC_PROVIDER, names.XMPP_PARTNER, names.O365_SIPFED, names.O365_MEDIA}
)
CLIENT_ROLES: Final = frozenset({names.INT_CLIENT, names.VPN_CLIENT, names.EXT_CLIENT})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What all addresses of one number have in common."""

    number: int
    network: Network | None  # None: number 0
    zone: str
    roles: tuple[str, ...] = ()  # in the order in which they are named when nothing else decides
    component: str | None = None
    pools: frozenset[str] = frozenset()  # FQDNs of pools it belongs to
    sections: frozenset[str] = frozenset()  # keys of the topology file that declare it
    faces: frozenset[str] = frozenset()  # rules.declared faces of an own address
    own: bool = False  # a declared address of an own host
    virtual: bool = False
    special: bool = False
    around: frozenset[Network] = frozenset()  # every tabled network that holds it, itself included

    def has(self, *roles: str) -> bool:
        for role in roles:  # noqa: SIM110  (asked of every flow by many rules: `any` takes three times as long)
            if role in self.roles:
                return True
        return False

    @property
    def role(self) -> str | None:
        return self.roles[0] if self.roles else None

    def called(self, role: str | None) -> Endpoint:
        """The same, named by that one of its roles; of one that it has not, as it was."""
        if role is None or role == self.role or role not in self.roles:
            return self
        return replace(self, roles=(role, *(other for other in self.roles if other != role)))

    @property
    def server(self) -> bool:
        """Has a role that is neither a client's nor a firewall's; entries of `clients` have none."""
        listed = self.own or bool(PEER_ROLES.intersection(self.roles))
        return listed and any(role not in names.NON_SERVER_ROLES for role in self.roles)

    @property
    def peer(self) -> bool:
        """A declared partner or provider."""
        return bool(PEER_ROLES.intersection(self.roles))

    @property
    def client(self) -> bool:
        """In a client network: LAN, Wi-Fi, egress, administrators, VPN pool; no server of ours."""
        return not self.server and (
            bool(CLIENT_ROLES.intersection(self.roles)) or any(s.startswith("clients.") for s in self.sections)
        )

    @property
    def neighbour(self) -> bool:
        """Shares the perimeter but is no part of the edge."""
        return "others" in self.sections and not self.roles

    @property
    def inside(self) -> bool:
        return self.zone in (names.INTERNAL, names.VPN)

    @property
    def perimeter(self) -> bool:
        return self.zone in (names.PERIMETER_EXT, names.PERIMETER_INT)

    @property
    def nameless(self) -> bool:
        """A sentence can call it by nothing but its zone."""
        single = self.network is not None and self.network.num_addresses == 1
        return self.component is None and not single and not self.roles

    def __str__(self) -> str:
        """As a sentence names it: component and role, else what little is known."""
        if self.component is not None:
            return f"{self.component} ({self.role})" if self.role else self.component
        if self.network is not None and self.network.num_addresses == 1:
            address = str(self.network.network_address)
            return f"{address} ({self.role})" if self.role else address
        if self.roles:
            article = "an" if self.roles[0][0] in "aeio" else "a"
            return f"{article} {self.role} address in {self.network}"
        return "a host on the Internet" if self.zone == names.EXTERNAL else f"a host in zone {self.zone}"


class Endpoints:
    """All endpoints of a topology; `endpoints[n]` is what number n means."""

    def __init__(self, topology: Topology) -> None:
        own: dict[Network, list[DeclaredAddress]] = {}
        for entry in own_addresses(topology):
            own.setdefault(ip_network(entry.address), []).append(entry)
        clients: dict[Network, list[tuple[str, str]]] = {}
        for client in client_networks(topology):
            clients.setdefault(client.network, []).append((client.role, client.section))
        peers: dict[Network, list[tuple[str, str | None, str]]] = {}
        for peer in peer_networks(topology):
            peers.setdefault(peer.network, []).append((peer.role, peer.component, peer.section))
        zones = {prefix.network: prefix.zone for prefix in topology.zones}
        local = {s.network for p in topology.policy.local_paths for s in p.source + p.destination if s.network}
        special, private = set(SPECIAL_NETWORKS), set(PRIVATE_NETWORKS)
        every = sorted(
            {*own, *clients, *peers, *zones, *local, *special, *private},
            key=lambda n: (n.version, int(n.network_address), n.prefixlen),
        )
        self._of: dict[Network, Endpoint] = {}
        self._all: list[Endpoint] = [Endpoint(0, None, names.EXTERNAL)]
        around = _Nesting(every)
        for number, network in enumerate(every, start=1):
            holders = around(network)  # longest first, the network itself included
            declared = own.get(network, [])
            roles = {entry.role for entry in declared if entry.role is not None}
            sections = {entry.section for entry in declared}
            component = next((entry.component for entry in declared if entry.component is not None), None)
            for holder in holders:
                for role, section in clients.get(holder, ()):
                    # A server inside a client range stays a server. An administrator's host is one wherever it stands,
                    # and a firewall whose own address hides the LAN is what the LAN looks like from outside.
                    admin = section == "clients.admin" and not roles - {role}
                    egress = section == "clients.egress" and FIREWALL_ROLES.issuperset(roles)
                    if not declared or admin or egress:
                        roles.add(role)
                        sections.add(section)
            if not declared:
                for holder in holders:
                    for role, name, section in peers.get(holder, ()):
                        roles.add(role)
                        sections.add(section)
                        component = component or name
            ordered = tuple(sorted(roles, key=_RANK.__getitem__))
            zone = next((zones[holder] for holder in holders if holder in zones), None)
            if "clients.egress" in sections:
                zone = names.EXTERNAL
            if zone is None:
                zone = next((HOME_ZONE[role] for role in ordered if declared and role in HOME_ZONE), None)
            if zone is None:
                zone = names.UNDECLARED if private.intersection(holders) else names.EXTERNAL
            if zone != names.VPN and not declared and names.VPN_CLIENT in ordered:  # a network carved out of the pool
                ordered = tuple(role for role in ordered if role != names.VPN_CLIENT)
            endpoint = Endpoint(
                number=number,
                network=network,
                zone=zone,
                roles=ordered,
                component=component,
                pools=frozenset(entry.pool for entry in declared if entry.pool is not None),
                sections=frozenset(sections),
                faces=frozenset(entry.face for entry in declared),
                own=bool(declared),
                virtual=bool(declared) and all(entry.virtual for entry in declared),
                special=not declared and bool(special.intersection(holders)),
                around=frozenset(holders),
            )
            self._of[network] = endpoint
            self._all.append(endpoint)

    def __getitem__(self, number: int) -> Endpoint:
        """Raises IndexError for a number that no prefix has."""
        if number < 0:
            raise IndexError(number)
        return self._all[number]

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._all)

    @property
    def prefixes(self) -> tuple[tuple[str, int], ...]:
        """(CIDR, number): the core's prefix table."""
        return tuple((str(network), endpoint.number) for network, endpoint in self._of.items())

    def at(self, text: str) -> Endpoint:
        """The endpoint of an address, by longest prefix; of a network, the one that is all around it. ValueError if the
        text is neither."""
        wanted = ip_network(text)
        for length in range(wanted.prefixlen, -1, -1):
            found = self._of.get(wanted.supernet(new_prefix=length))
            if found is not None:
                return found
        return self._all[0]


class _Nesting:
    """Which of a set of networks hold a network: one look-up for each prefix length in use."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._known = set(networks)
        self._lengths = {v: sorted({n.prefixlen for n in self._known if n.version == v}, reverse=True) for v in (4, 6)}

    def __call__(self, network: Network) -> tuple[Network, ...]:
        holders: list[Network] = []
        for length in self._lengths[network.version]:
            if length <= network.prefixlen:
                candidate = network.supernet(new_prefix=length)
                if candidate in self._known:
                    holders.append(candidate)
        return tuple(holders)
