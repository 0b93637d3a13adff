"""The words of a row's ends, resolved: which endpoint numbers a word means here, and how narrowly it names them.

Strategy: each word is one small function over the endpoints that returns number → narrowness. Narrowness decides
which of several fitting rows is the path: one that names the peer's address or domain comes before one that names its
group, its zone, or anybody. Words about an Edge pool's own hosts are resolved pool by pool, since pools may differ in
product, ports and features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from ipaddress import ip_network
from typing import Final

from rules import names
from rules.components import Address, EdgePool, Network
from rules.endpoints import Endpoint, Endpoints
from rules.site_policy import Selector
from rules.topology import Topology, at_least

Members = Mapping[int, "Narrowness"]
"""Endpoint number → how narrowly the row names it."""


class Narrowness(IntEnum):
    ADDRESS = 0  # an address or a domain
    GROUP = 1
    ZONE = 2
    ANY = 3


class Reach:
    """Resolves words on one topology."""

    def __init__(self, topology: Topology, endpoints: Endpoints) -> None:
        self.topology = topology
        self.endpoints = endpoints

    def resolve(self, word: str, pool: EdgePool | None) -> Members:
        """KeyError for a word that no function below knows."""
        return _WORDS[word](self, pool)

    # --- building blocks ---------------------------------------------------------------------------------------------

    def where(self, test: Callable[[Endpoint], bool], narrowness: Narrowness) -> Members:
        return {e.number: narrowness for e in self.endpoints if not e.special and test(e)}

    def edge(self, role: str, pool: EdgePool | None) -> Members:
        """The pool's own hosts in that role; without a pool those of all."""
        return self.where(
            lambda e: e.own and e.has(role) and (pool is None or pool.fqdn in e.pools), Narrowness.ADDRESS
        )

    def other_relays(self, pool: EdgePool | None) -> Members:
        own = self.edge(names.EDGE_EXT_AV, pool)
        return {number: n for number, n in self.edge(names.EDGE_EXT_AV, None).items() if number not in own}

    def access(self, pool: EdgePool | None, *, nodes_too: bool = False) -> Members:
        """Who speaks for the Access Edge outside: its nodes, behind a hardware balancer the virtual address."""
        virtual = self.edge(names.EDGE_EXT_VIP_ACCESS, pool)
        nodes = self.edge(names.EDGE_EXT_ACCESS, pool)
        return {**nodes, **virtual} if nodes_too else virtual or nodes

    def inward(self, pool: EdgePool | None) -> Members:
        """Who an Edge is towards the inside: its nodes, behind a hardware balancer also the virtual address and those
        that the balancer uses as source."""
        nodes, virtual = self.edge(names.EDGE_INT, pool), self.edge(names.EDGE_INT_VIP, pool)
        return {**nodes, **virtual, **(self.addresses(self.topology.lb.internal_snat) if virtual else {})}

    def addresses(self, addresses: tuple[Address, ...]) -> Members:
        return self.networks(tuple(ip_network(address) for address in addresses))

    def balancer(self, pool: EdgePool | None) -> Members:
        """What a balancer speaks to the nodes from: virtual, source and own addresses."""
        lb = self.topology.lb
        roles = (names.EDGE_EXT_VIP_ACCESS, names.EDGE_EXT_VIP_WEBCONF, names.EDGE_EXT_VIP_AV)
        virtual = {number: n for role in roles for number, n in self.edge(role, pool).items()}
        return {**virtual, **self.addresses(lb.external_snat + lb.self_addresses)}

    def role(self, *roles: str) -> Members:
        return self.where(lambda e: e.own and e.has(*roles), Narrowness.ADDRESS)

    def external(self) -> Members:
        return self.where(lambda e: e.zone == names.EXTERNAL, Narrowness.ANY)

    def networks(self, networks: tuple[Network, ...], narrowness: Narrowness = Narrowness.ADDRESS) -> Members:
        wanted = frozenset(networks)
        return self.where(lambda e: not wanted.isdisjoint(e.around), narrowness)

    def networks_or_any(self, networks: tuple[Network, ...]) -> Members:
        """A provider enabled without addresses may be anybody on the Internet."""
        return self.networks(networks) if networks else self.external()

    # --- peers -------------------------------------------------------------------------------------------------------

    def partners(self, product: str | None = None) -> Members:
        chosen = [p for p in self.topology.federation.sip_partners if product is None or p.product == product]
        addresses = {address for partner in chosen for address in partner.access + partner.av}
        return self.where(
            lambda e: e.network is not None and e.network.num_addresses == 1 and e.network.network_address in addresses,
            Narrowness.ADDRESS,
        )

    def federated(self, *, listed_only: bool) -> Members:
        """SIP partners. A listed one without addresses may be anybody: then no address can be refused by the list."""
        nameless = any(not partner.access for partner in self.topology.federation.sip_partners)
        return self.partners() if listed_only and not nameless else {**self.external(), **self.partners()}

    def relay_peers(self, pool: EdgePool | None) -> Members:
        """Peers of the relay range over UDP: anybody; before 2015 partners with OCS 2007 alone."""
        product = pool.product if pool is not None else self.topology.product
        if at_least(product, names.SFB_2015):
            return self.external()
        return self.partners(names.OCS_2007)

    def xmpp_peers(self) -> Members:
        return {**self.external(), **self.where(lambda e: e.has(names.XMPP_PARTNER), Narrowness.ADDRESS)}

    # --- inside ------------------------------------------------------------------------------------------------------

    def inside(self) -> Members:
        return self.where(lambda e: e.inside, Narrowness.ZONE)

    def clients(self) -> Members:
        """Client ranges; where the site declares none, whoever stands inside and is no declared host."""
        clients = self.topology.clients
        if clients.lan or clients.wifi:
            return self.where(lambda e: e.inside and e.has(names.INT_CLIENT, names.VPN_CLIENT), Narrowness.GROUP)
        return self.where(lambda e: e.inside and not e.own, Narrowness.ZONE)

    def controllers(self) -> Members:
        servers = self.where(lambda e: e.own and e.server and e.inside, Narrowness.GROUP)
        if not self.topology.clients.admin:
            return {**self.where(lambda e: e.zone == names.INTERNAL, Narrowness.ZONE), **servers}
        return {**servers, **self.where(lambda e: e.has(names.CLS_CONTROLLER), Narrowness.ADDRESS)}

    def next_hop(self, pool: EdgePool | None, *roles: str) -> Members:
        if pool is None:
            return {}
        return self.where(lambda e: e.own and e.has(*roles) and pool.next_hop in e.pools, Narrowness.ADDRESS)

    def directors_and_front_ends(self) -> Members:
        """With their virtual addresses. Office Web Apps has none of its own in the file."""
        return self.role(names.DIRECTOR, names.FE, names.WEB_VIP)

    def select(self, selectors: tuple[Selector, ...]) -> Members:
        """Ends of a local path. Of several selectors that name an endpoint the narrowest counts."""
        result: dict[int, Narrowness] = {}
        for endpoint in self.endpoints:
            if endpoint.special:
                continue
            found = [
                n for n in (_selected(selector, endpoint, self.topology) for selector in selectors) if n is not None
            ]
            if found:
                result[endpoint.number] = min(found)
        return result


def _selected(selector: Selector, endpoint: Endpoint, topology: Topology) -> Narrowness | None:
    if selector.kind == "zone":
        return Narrowness.ZONE if endpoint.zone == selector.name else None
    if selector.kind == "role":
        return Narrowness.GROUP if selector.name in endpoint.roles else None
    if selector.kind == "fqdn":
        named = endpoint.component == selector.name or selector.name in endpoint.pools
        return Narrowness.ADDRESS if named or _partner_named(selector.name, endpoint, topology) else None
    network = selector.network
    if network is None or network not in endpoint.around:
        return None
    return Narrowness.ADDRESS if network.num_addresses == 1 else Narrowness.GROUP


def _partner_named(name: str, endpoint: Endpoint, topology: Topology) -> bool:
    """A partner is one component however the file spells it: by its domain or by its Access Edge's name."""
    return any(
        endpoint.component == partner.component and name in (partner.domain, partner.access_fqdn)
        for partner in topology.federation.sip_partners
    )


_Word = Callable[[Reach, EdgePool | None], Members]

_WORDS: Final[Mapping[str, _Word]] = {
    "external": lambda r, _: r.external(),
    "partner-edge": lambda r, _: r.federated(listed_only=False),
    "partner-edge-in": lambda r, _: r.federated(listed_only=not r.topology.federation.discovery),
    "ocs-2007-partner": lambda r, _: r.partners(names.OCS_2007),
    "relay-peer": lambda r, p: r.relay_peers(p),
    "pic-provider": lambda r, _: r.networks_or_any(r.topology.federation.public_im.addresses),
    "o365-sipfed": lambda r, _: r.networks_or_any(r.topology.federation.office365.sip),
    "o365-media": lambda r, _: r.networks_or_any(r.topology.federation.office365.media),
    "office365": lambda r, _: r.networks_or_any(
        r.topology.federation.office365.sip + r.topology.federation.office365.media
    ),
    "push-service": lambda r, _: r.networks_or_any(r.topology.federation.push.addresses),
    "xmpp-partner": lambda r, _: r.xmpp_peers(),
    "edge-ext-access-or-vip": lambda r, p: r.access(p),
    "edge-ext-access-and-vip": lambda r, p: r.access(p, nodes_too=True),
    "edge-ext-access": lambda r, p: r.edge(names.EDGE_EXT_ACCESS, p),
    "edge-ext-webconf": lambda r, p: r.edge(names.EDGE_EXT_WEBCONF, p),
    "edge-ext-av": lambda r, p: r.edge(names.EDGE_EXT_AV, p),
    # Of these two the pair is checked by the leg.
    "edge-ext-av-of-other-member": lambda r, p: r.edge(names.EDGE_EXT_AV, p),
    "edge-ext-av-of-other-pool": lambda r, p: r.other_relays(p),
    "edge-xmpp-proxy": lambda r, p: r.edge(names.EDGE_EXT_ACCESS, p),  # the proxy shares the Access Edge's address
    "edge-int": lambda r, p: r.edge(names.EDGE_INT, p),
    "edge-ext-vip-access": lambda r, p: r.edge(names.EDGE_EXT_VIP_ACCESS, p),
    "edge-ext-vip-webconf": lambda r, p: r.edge(names.EDGE_EXT_VIP_WEBCONF, p),
    "edge-ext-vip-av": lambda r, p: r.edge(names.EDGE_EXT_VIP_AV, p),
    "edge-int-vip": lambda r, p: r.edge(names.EDGE_INT_VIP, p),
    "edge-inward": lambda r, p: r.inward(p),
    "balancer": lambda r, p: r.balancer(p),
    "rp-ext": lambda r, _: r.role(names.RP_EXT),
    "rp-int": lambda r, _: r.role(names.RP_INT),
    "next-hop": lambda r, p: r.next_hop(p, names.DIRECTOR, names.FE),
    "next-hop-director": lambda r, p: r.next_hop(p, names.DIRECTOR),
    "next-hop-fe": lambda r, p: r.next_hop(p, names.FE),
    "director": lambda r, _: r.role(names.DIRECTOR),
    "fe": lambda r, _: r.role(names.FE),
    "director-or-fe": lambda r, _: r.directors_and_front_ends(),
    "fe-or-sba": lambda r, _: r.role(names.FE, names.SBA),
    "xmpp-gateway": lambda r, _: r.role(names.XMPP_GATEWAY),
    "cms-master": lambda r, _: r.role(names.CMS_MASTER),
    "owas": lambda r, _: r.role(names.OWAS),
    "cls-controller": lambda r, _: r.controllers(),
    "int-any": lambda r, _: r.inside(),
    "inside": lambda r, _: r.inside(),
    "int-client": lambda r, _: r.clients(),
    "egress-client": lambda r, _: r.networks(r.topology.clients.egress, Narrowness.GROUP),
    "inside-server": lambda r, _: r.where(lambda e: e.own and e.server and e.inside, Narrowness.GROUP),
    # The page names no host. A relay is none: to the same peers and port it opens media, by rows of its own.
    "on-premises": lambda r, _: r.where(
        lambda e: e.zone not in (names.EXTERNAL, names.UNDECLARED) and not e.has(*names.AV_EDGE), Narrowness.ZONE
    ),
}

WORDS: Final = frozenset(_WORDS)
"""Every word that a row's `source` or `destination` may be, but for the two below."""

WEB_WORDS: Final = frozenset({"fe-web", "director-web"})
"""External web sites of a pool: their addresses and ports depend on each other, so `rules.paths` builds these legs."""
