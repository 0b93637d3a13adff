"""Who plays which part: role words of the scenario table → addresses, ports and names of one topology.

Strategy: a scenario says "edge 1 access" or "remote user", never an address. Own hosts and peers come from the
topology; people and hosts of the Internet come from the documentation networks (RFC 5737, RFC 3849), a preferred
address each, else the next that the topology does not use. A part that a site does not have (no XMPP partner, no
Director) raises `NotCast`, and the scenario is left out with that reason.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from rules import names
from rules.components import Address, DirectorPool, EdgeMember, EdgePool, FrontEndPool, Network, Translated
from rules.declared import client_networks, own_addresses, peer_networks
from rules.topology import Topology, at_least, is_private

DOCUMENTATION: list[Network] = [
    ipaddress.ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
]

DOCUMENTATION_SIX: Network = ipaddress.ip_network("2001:db8:7777::/112")  # a corner of RFC 3849's network

STRANGERS = {
    "remote user": ("192.0.2.25", "2001:db8:2::25"),
    "stranger": ("192.0.2.66", "2001:db8:2::66"),
    "second stranger": ("192.0.2.67", "2001:db8:2::67"),
    "unknown xmpp host": ("198.51.100.99", "2001:db8:51::99"),
    "crl host": ("198.51.100.80", "2001:db8:51::80"),
    "name server": ("198.51.100.53", "2001:db8:51::53"),
    "foreign edge": ("198.51.100.150", "2001:db8:51::150"),
    "web site": ("198.51.100.120", "2001:db8:51::120"),
    "apple push": ("198.51.100.223", "2001:db8:51::223"),
    "any provider": ("198.51.100.201", "2001:db8:51::201"),
}
"""Parties outside, with the address they have when the topology does not use it."""

STRAYS = ("10.200.0.5", "172.31.240.5", "100.64.7.5", "192.168.253.5", "fd00:ed9e::5")
"""Private addresses of which one is hopefully in no declared network."""


class NotCast(Exception):
    """The site has nobody for this part; str() says what is missing."""


@dataclass(frozen=True, slots=True)
class Part:
    """A party with its addresses: as the Internet sees them, and as they are behind the external firewall."""

    outside: tuple[Address, ...]
    inside: tuple[Address, ...]

    def seen(self, inside: bool) -> tuple[Address, ...]:
        return self.inside if inside else self.outside


def _plain(addresses: Iterable[Address]) -> Part:
    both = tuple(addresses)
    return Part(both, both)


def _translated(addresses: Translated) -> Part:
    return Part(tuple(o for o, _ in addresses.pairs), tuple(i for _, i in addresses.pairs))


@dataclass(slots=True)
class Cast:
    """The parts of one topology."""

    topology: Topology
    _used: set[Address] = field(default_factory=set)
    _networks: list[Network] = field(default_factory=list)
    _strangers: dict[str, Part] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._used = {each.address for each in own_addresses(self.topology)}
        self._networks = [each.network for each in (*client_networks(self.topology), *peer_networks(self.topology))]

    # --- the site's parts ----------------------------------------------------------------------------------------

    @property
    def edge_pool(self) -> EdgePool:
        """The pool that is published for federation, else the first."""
        pools = self.topology.edge_pools
        return next((pool for pool in pools if pool.federation), pools[0])

    def edge(self, number: int) -> EdgeMember:
        """Member 1, 2, … of the Edge pool; a pool with fewer members begins again."""
        members = self.edge_pool.members
        return members[(number - 1) % len(members)]

    @property
    def directors(self) -> DirectorPool:
        pools = self.topology.director_pools
        if not pools:
            raise NotCast("no Director is declared")
        hop = self.topology.next_hop(self.edge_pool)
        return hop if isinstance(hop, DirectorPool) else pools[0]

    @property
    def front_ends(self) -> FrontEndPool:
        pools = self.topology.front_end_pools
        if not pools:
            raise NotCast("no Front End pool is declared")
        hop = self.topology.next_hop(self.edge_pool)
        return hop if isinstance(hop, FrontEndPool) else pools[0]

    def part(self, words: str) -> Part:
        """Addresses of a role such as `edge 1 access`. NotCast: the site has none. ValueError: no such role."""
        if words in STRANGERS:
            return self._stranger(words)
        role, number = _numbered(words)
        finder = self._finders().get(role)
        if finder is None:
            raise ValueError(f"no such role: {words!r}")
        part = finder(number)
        if not part.outside and not part.inside:
            raise NotCast(f"no address is declared for {words!r}")
        return part

    def roles(self) -> frozenset[str]:
        """Every role word, numbers as `N`."""
        return frozenset(self._finders()) | frozenset(STRANGERS)

    def _finders(self) -> dict[str, Callable[[int], Part]]:
        topology = self.topology
        return {
            "edge N access": lambda n: _translated(self.edge(n).access),
            "edge N webconf": lambda n: _translated(self.edge(n).webconf),
            "edge N av": lambda n: _translated(self.edge(n).av),
            "edge N internal": lambda n: _plain(self.edge(n).internal),
            "edge virtual access": lambda n: _translated(self.edge_pool.vips.access),
            "edge virtual webconf": lambda n: _translated(self.edge_pool.vips.webconf),
            "edge virtual av": lambda n: _translated(self.edge_pool.vips.av),
            "edge virtual internal": lambda n: _plain(self.edge_pool.vips.internal),
            "reverse proxy outside": lambda n: self._proxy(outside=True),
            "reverse proxy inside": lambda n: self._proxy(outside=False),
            "next hop N": lambda n: self._member(topology.next_hop(self.edge_pool), n),
            "director N": lambda n: self._member(self.directors, n),
            "director web": lambda n: self._web(self.directors),
            "front end N": lambda n: self._member(self.front_ends, n),
            "front end web": lambda n: self._web(self.front_ends),
            "xmpp gateway N": self._gateway,
            "configuration master": lambda n: _first("configuration master", topology.cms_masters()),
            "office web apps": lambda n: _first("Office Web Apps server", topology.office_web_apps),
            "branch appliance": lambda n: _first("branch appliance", topology.branch_appliances),
            "directory server": lambda n: self._directory(),
            "external firewall": lambda n: self._firewall(),
            "internal firewall": lambda n: self._inner_firewall(),
            "admin station": lambda n: self._in("clients.admin", topology.clients.admin or topology.clients.lan, 0),
            "lan client": lambda n: self._in("clients.lan", topology.clients.lan, 7),
            "wifi client": lambda n: self._in("clients.wifi", topology.clients.wifi or topology.clients.lan, 9),
            "egress": lambda n: self._in("clients.egress", topology.clients.egress, 0),
            "vpn client": lambda n: self._in("a VPN zone", self._zone(names.VPN), 8),
            "perimeter bystander": lambda n: self._in("a perimeter-int zone", self._zone(names.PERIMETER_INT), 77),
            "undeclared host": lambda n: self._stray(),
            "partner access": lambda n: self._partner(old=False, media=False),
            "partner av": lambda n: self._partner(old=False, media=True),
            "old partner access": lambda n: self._partner(old=True, media=False),
            "old partner av": lambda n: self._partner(old=True, media=True),
            "xmpp partner": lambda n: _first("XMPP partner", self.topology.federation.xmpp_partners),
            "push service": lambda n: self._provider("push", topology.federation.push.addresses),
            "public im provider": lambda n: self._provider("public IM", topology.federation.public_im.addresses),
            "office365 sip": lambda n: self._provider("Office 365", topology.federation.office365.sip),
            "office365 media": lambda n: self._provider("Office 365", topology.federation.office365.media),
        }

    def _proxy(self, *, outside: bool) -> Part:
        if not self.topology.reverse_proxies:
            raise NotCast("no reverse proxy is declared")
        proxy = self.topology.reverse_proxies[0]
        if outside:
            external = proxy.external if proxy.external.all or not proxy.members else proxy.members[0].external
            return _translated(external)
        return _plain(proxy.members[0].internal if proxy.members else proxy.internal)

    def _member(self, pool: DirectorPool | FrontEndPool, number: int) -> Part:
        return _plain(pool.members[(number - 1) % len(pool.members)].address)

    def _web(self, pool: DirectorPool | FrontEndPool) -> Part:
        return _plain(pool.web.vip or pool.members[0].address)

    def _gateway(self, number: int) -> Part:
        for pool in self.topology.front_end_pools:
            if pool.xmpp_gateway:
                return self._member(pool, number)
        raise NotCast("no Front End pool has the XMPP gateway")

    def _directory(self) -> Part:
        if self.topology.infrastructure:
            return _plain(self.topology.infrastructure[0].address)
        return self._in("an internal zone", self._zone(names.INTERNAL), 5)

    def _firewall(self) -> Part:
        """The external firewall: its public addresses outside, those towards the perimeter inside, if it has both."""
        addresses = self.topology.firewall_addresses("external")
        inner = tuple(address for address in addresses if is_private(address))
        return Part(tuple(a for a in addresses if a not in inner) or inner, inner or addresses)

    def _inner_firewall(self) -> Part:
        """As the inner perimeter network sees it."""
        addresses = self.topology.firewall_addresses("internal")
        facing = tuple(a for a in addresses if self.topology.zone_of(a) == names.PERIMETER_INT)
        if not facing:
            raise NotCast("no internal firewall with an address in a perimeter-int zone is declared")
        return _plain(facing)

    def _partner(self, *, old: bool, media: bool) -> Part:
        for partner in self.topology.federation.sip_partners:
            addresses = partner.av if media else partner.access
            if (partner.product == names.OCS_2007) is old and addresses:
                return _plain(addresses)
        raise NotCast(f"no partner with {'OCS 2007' if old else 'a newer product'} and known addresses is declared")

    def _provider(self, name: str, networks: tuple[Network, ...]) -> Part:
        return self._in(name, networks, 0) if networks else self._stranger("any provider")

    # --- addresses -----------------------------------------------------------------------------------------------

    def _zone(self, zone: str) -> tuple[Network, ...]:
        return tuple(prefix.network for prefix in self.topology.zones if prefix.zone == zone)

    def _in(self, what: str, networks: tuple[Network, ...], offset: int) -> Part:
        """One host of each family in these networks, about `offset` from their start, that is no declared host."""
        if not networks:
            raise NotCast(f"{what} is not declared")
        found: dict[int, Address] = {}
        for network in networks:
            start = offset if network.num_addresses > offset + 1 else 0
            free = next((a for a in _walk(network, start) if a not in self._used), None)
            if free is not None:
                found.setdefault(network.version, free)
        if not found:
            raise NotCast(f"{what} has no address left")
        return _plain(found.values())

    def _stranger(self, words: str) -> Part:
        if words not in self._strangers:
            taken = {address for part in self._strangers.values() for address in part.outside}
            four = self._free(STRANGERS[words][0], DOCUMENTATION, taken)
            six = self._free(STRANGERS[words][1], [DOCUMENTATION_SIX], taken)
            self._strangers[words] = _plain((four, six))
        return self._strangers[words]

    def _free(self, preferred: str, networks: list[Network], taken: set[Address]) -> Address:
        wish = ipaddress.ip_address(preferred)
        reserved = {ipaddress.ip_address(text) for pair in STRANGERS.values() for text in pair} - {wish}
        candidates: Iterator[Address] = (a for n in networks for a in _walk(n, 1))
        for address in (wish, *candidates):
            if (
                address not in taken
                and address not in reserved
                and address not in self._used
                and self.topology.zone_of(address) == names.EXTERNAL
                and not any(address in network for network in self._networks)
            ):
                return address
        raise NotCast("the topology uses every documentation address")

    def _stray(self) -> Part:
        for text in STRAYS:
            address = ipaddress.ip_address(text)
            if self.topology.zone_of(address) == names.UNDECLARED and address not in self._used:
                return _plain((address,))
        raise NotCast("every private address is declared")

    # --- ports ---------------------------------------------------------------------------------------------------

    def ports(self) -> dict[str, int]:
        """Ports by meaning."""
        pool = self.edge_pool
        try:
            web = self.front_ends.web
        except NotCast:
            web = self.directors.web
        numbers = {
            "client sip": pool.access.port,
            "federation sip": pool.access.federation_port,
            "internal sip": pool.access.internal_port,
            "conferencing": pool.webconf.port,
            "internal conferencing": pool.webconf.internal_port,
            "media tcp": pool.av.port,
            "media udp": pool.av.udp_port,
            "internal media tcp": pool.av.internal_port,
            "internal media udp": pool.av.internal_udp_port,
            "relay": pool.av.range.first + 380,
            "second relay": pool.av.range.first + 711,
            "media authentication": pool.av.auth_port,
            "replication": pool.management.replica_port,
            "xmpp": pool.xmpp.port,
            "internal xmpp": pool.xmpp.internal_port,
            "published https": 443,
            "published http": 80,
            "external web https": web.external_https,
            "external web http": web.external_http,
            "https": 443,
            "http": 80,
            "dns": 53,
            "sip": 5060,
            "apple push": 5223,
            "ssh": 22,
        }
        numbers.update({f"logging {n}": port for n, port in enumerate(pool.management.cls_ports, start=1)})
        return numbers

    def port(self, words: str | int) -> int:
        """A port by meaning (see `ports`), or a number. ValueError: no such word."""
        if isinstance(words, int):
            return words
        numbers = self.ports()
        if words not in numbers:
            raise ValueError(f"no such port: {words!r}")
        return numbers[words]

    # --- conditions ----------------------------------------------------------------------------------------------

    def conditions(self) -> dict[str, bool]:
        """What a scenario may ask of a site, in words."""
        topology, federation = self.topology, self.topology.federation
        director = isinstance(topology.next_hop(self.edge_pool), DirectorPool)
        return {
            "director": director,
            "meeting name": bool(topology.simple_urls.meet),
            "no director": not director,
            "balanced outside": self.edge_pool.balanced_outside,
            "balanced inside": self.edge_pool.balanced_inside,
            "second edge": len(self.edge_pool.members) > 1,
            "federation": federation.enabled and self.edge_pool.federation,
            "discovery": federation.discovery,
            "xmpp": self.edge_pool.xmpp.enabled and self.edge_pool.product in (names.LYNC_2013, names.SFB_2015),
            "xmpp partner addresses": any(p.addresses for p in federation.xmpp_partners),
            "xmpp partner with tls": next((p.tls for p in federation.xmpp_partners if p.addresses), "") == "required",
            # Without addresses these peers are "any", and a federated partner is as good a reading of the same flow.
            "push": federation.push.enabled and topology.product != names.SFB_SE,
            "push addresses": bool(federation.push.addresses),
            "public im addresses": federation.public_im.enabled and bool(federation.public_im.addresses),
            "office 365 addresses": federation.office365.enabled and bool(federation.office365.sip),
            "office 365 media addresses": federation.office365.enabled and bool(federation.office365.media),
            "skype search": self.edge_pool.skype_search,
            # Else every Front End replicates, and the same flow is read as replication.
            "one configuration master": len(topology.cms_masters()) == 1,
            "mobility": topology.mobility,
            "lync-2013 or later": at_least(topology.product, names.LYNC_2013),
            "before sfb-2015": not at_least(topology.product, names.SFB_2015),
            "sfb-2015 or later": at_least(topology.product, names.SFB_2015),
            "before sfb-2019": not at_least(topology.product, names.SFB_2019),
            "sfb-2019 or later": at_least(topology.product, names.SFB_2019),
            "strict director": topology.policy.director_bypass == "strict",
            "web vip": bool(self.front_ends.web.vip) if topology.front_end_pools else False,
        }


def _numbered(words: str) -> tuple[str, int]:
    """`front end 2` → (`front end N`, 2)."""
    pieces = words.split()
    for place, piece in enumerate(pieces):
        if piece.isdigit():
            return " ".join([*pieces[:place], "N", *pieces[place + 1 :]]), int(piece)
    return words, 1


def _walk(network: Network, offset: int) -> Iterator[Address]:
    """At most 256 addresses from `offset` on; networks may be as large as a /8 or an IPv6 /48."""
    for step in range(min(256, network.num_addresses - offset)):
        yield network[offset + step]


def _first(what: str, items: tuple[object, ...]) -> Part:
    for item in items:
        addresses = getattr(item, "address", None) or getattr(item, "addresses", ())
        if addresses:
            return _plain(addresses)
    raise NotCast(f"no {what} with an address is declared")
