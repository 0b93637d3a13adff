"""The declared site as one frozen value, and the questions that every reader of it has.

Strategy: `Topology` holds every key of a topology file; its parts are the plain dataclasses of `rules.components` and
`rules.site_policy`, all importable from here. Every cross-reference was checked by `rules.load`; whoever builds a
`Topology` by hand checks nothing. Which addresses exist in which roles is asked of `rules.declared`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any, Final

from rules.components import (
    DEFAULT_SITE,
    AccessService,
    Address,
    Autodiscover,
    AvService,
    Balancers,
    CertificateNames,
    Clients,
    DirectorPool,
    EdgeManagement,
    EdgeMember,
    EdgePool,
    EdgeVips,
    Federation,
    Firewall,
    FrontEndPool,
    LoadBalancing,
    MediationPool,
    Member,
    Neighbour,
    Network,
    Office365,
    PortRange,
    Provider,
    ProxyMember,
    Publication,
    ReverseProxy,
    Sensor,
    SimpleUrls,
    SipPartner,
    Translated,
    Vpn,
    WebconfService,
    WebServices,
    XmppPartner,
    XmppProxy,
)
from rules.document import Mark
from rules.names import EXTERNAL, PRODUCTS, UNDECLARED
from rules.site_policy import CoveragePolicy, LocalPath, Policy, RuleSeverity, Selector, Thresholds

__all__ = [
    "DEFAULT_SITE",
    "PRIVATE_NETWORKS",
    "AccessService",
    "Address",
    "Autodiscover",
    "AvService",
    "Balancers",
    "CertificateNames",
    "Clients",
    "CoveragePolicy",
    "DirectorPool",
    "EdgeManagement",
    "EdgeMember",
    "EdgePool",
    "EdgeVips",
    "Federation",
    "Firewall",
    "FrontEndPool",
    "LoadBalancing",
    "LocalPath",
    "MediationPool",
    "Member",
    "Neighbour",
    "Network",
    "Office365",
    "Policy",
    "PortRange",
    "Provider",
    "ProxyMember",
    "Publication",
    "ReverseProxy",
    "RuleSeverity",
    "Selector",
    "Sensor",
    "SimpleUrls",
    "SipPartner",
    "Thresholds",
    "Topology",
    "Translated",
    "Variant",
    "Vpn",
    "WebServices",
    "WebconfService",
    "XmppPartner",
    "XmppProxy",
    "ZonePrefix",
    "at_least",
    "is_private",
]

PRIVATE_NETWORKS: Final[tuple[Network, ...]] = tuple(
    ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
"""RFC 1918, RFC 6598 and RFC 4193: an address in here that no zone declares is `undeclared`, not `external`."""


@dataclass(frozen=True, slots=True)
class ZonePrefix:
    """One declared network of a zone."""

    network: Network
    zone: str


@dataclass(frozen=True, slots=True)
class Variant:
    """Which of the documented topology variants a site is; the rows that apply follow from it."""

    firewalls: int  # 2; 1 = external only; 0 = none declared
    three_legged: bool  # one device under both names
    single_ip: bool  # some Edge pool has its three services on one address
    separate_ip: bool  # some Edge pool has not
    hardware: bool  # some side is hardware-balanced
    dns: bool
    scaled: bool  # some Edge pool has several members
    nat: bool  # some external Edge address is translated
    director: bool

    @property
    def names(self) -> tuple[str, ...]:
        """In words, most general first; for messages."""
        count = {0: "no-firewall", 1: "one-firewall", 2: "two-firewalls"}[self.firewalls]
        balanced = "hlb" if self.hardware else "dns-lb" if self.dns else "no-lb"
        words = [
            "three-legged" if self.three_legged else count,
            " and ".join(
                word for word, there in (("single-ip", self.single_ip), ("separate-ip", self.separate_ip)) if there
            ),
            balanced,
            "nat" if self.nat else "public",
        ]
        return (*words, "director") if self.director else tuple(words)


@dataclass(frozen=True, slots=True)
class Topology:
    organization: str
    product: str
    zones: tuple[ZonePrefix, ...]  # longest prefix first, then by address: the first that holds the address wins
    edge_pools: tuple[EdgePool, ...]
    sip_domains: tuple[str, ...] = ()
    ad_domains: tuple[str, ...] = ()
    sites: tuple[str, ...] = (DEFAULT_SITE,)
    firewalls: tuple[Firewall, ...] = ()
    sensors: tuple[Sensor, ...] = ()
    load_balancing: LoadBalancing = field(default_factory=LoadBalancing)
    lb: Balancers = field(default_factory=Balancers)
    reverse_proxies: tuple[ReverseProxy, ...] = ()
    director_pools: tuple[DirectorPool, ...] = ()
    front_end_pools: tuple[FrontEndPool, ...] = ()
    mediation_pools: tuple[MediationPool, ...] = ()
    office_web_apps: tuple[Member, ...] = ()
    branch_appliances: tuple[Member, ...] = ()
    infrastructure: tuple[Member, ...] = ()
    others: tuple[Neighbour, ...] = ()
    simple_urls: SimpleUrls = field(default_factory=SimpleUrls)
    autodiscover: Autodiscover = field(default_factory=Autodiscover)
    certificates: tuple[CertificateNames, ...] = ()  # sorted by listener
    clients: Clients = field(default_factory=Clients)
    vpn: Vpn = field(default_factory=Vpn)
    federation: Federation = field(default_factory=Federation)
    mobility: bool = False
    policy: Policy = field(default_factory=Policy)
    edgewarden: int = 1  # version of the file format
    path: str = field(default="", compare=False)  # where it was read, for messages; no part of the model
    # Nor this: where an address first stands under a section (a key of the file, or "clients.egress").
    places: Mapping[tuple[str, Network], Mark] = field(default_factory=dict, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """`sha256:` and 64 hex digits over the normalised model. Comments, key order, quoting, the spelling of an
        address and defaults written out do not change it; any value does."""
        model = {f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.compare}
        text = json.dumps(model, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()

    def variant(self) -> Variant:
        sides = {firewall.side for firewall in self.firewalls}
        outer = {a for f in self.firewalls if f.side == "external" for a in f.addresses}
        inner = {a for f in self.firewalls if f.side == "internal" for a in f.addresses}
        balancing = {self.load_balancing.external, self.load_balancing.internal}
        services = [s for p in self.edge_pools for m in p.members for s in (m.access, m.webconf, m.av)]
        return Variant(
            firewalls=len(sides) if "external" in sides else 0,
            three_legged=bool(outer) and outer == inner,
            single_ip=any(pool.single_ip for pool in self.edge_pools),
            separate_ip=any(not pool.single_ip for pool in self.edge_pools),
            hardware="hardware" in balancing or any(pool.vips != EdgeVips() for pool in self.edge_pools),
            dns="dns" in balancing,
            scaled=any(len(pool.members) > 1 for pool in self.edge_pools),
            nat=any(service.translated for service in services),
            director=bool(self.director_pools),
        )

    def zone_of(self, address: Address) -> str:
        """Zone of any address, by prefixes alone: longest first, else `undeclared` or `external`."""
        for prefix in self.zones:
            if address in prefix.network:
                return prefix.zone
        return UNDECLARED if is_private(address) else EXTERNAL

    def pool(self, fqdn: str) -> DirectorPool | FrontEndPool | MediationPool | EdgePool | None:
        """The pool of that name. A Director or Front End pool comes before a Mediation pool collocated with it."""
        for pool in self.pools():
            if pool.fqdn == fqdn:
                return pool
        return None

    def pools(self) -> Iterator[DirectorPool | FrontEndPool | MediationPool | EdgePool]:
        yield from self.director_pools
        yield from self.front_end_pools
        yield from self.mediation_pools
        yield from self.edge_pools

    def next_hop(self, pool: EdgePool) -> DirectorPool | FrontEndPool:
        """Where this Edge pool hands inbound SIP. KeyError when that is not declared (the loader refuses it)."""
        found = self.pool(pool.next_hop)
        if not isinstance(found, DirectorPool | FrontEndPool):
            raise KeyError(pool.next_hop)
        return found

    def cms_masters(self) -> tuple[Member, ...]:
        """Who may replicate the configuration: each `cms_master`, else the members of pools with `cms: true`, else
        every Front End."""
        named = [m for p in self.front_end_pools for m in p.members if m.fqdn == p.cms_master]
        marked = [m for p in self.front_end_pools if p.cms for m in p.members]
        return tuple(named or marked or [m for p in self.front_end_pools for m in p.members])

    def firewall_addresses(self, side: str) -> tuple[Address, ...]:
        return tuple(address for firewall in self.firewalls if firewall.side == side for address in firewall.addresses)

    @property
    def one_firewall(self) -> bool:
        """No internal firewall is declared."""
        return not any(firewall.side == "internal" for firewall in self.firewalls)


def is_private(address: Address) -> bool:
    """RFC 1918, shared (RFC 6598) or unique local (RFC 4193)."""
    return any(address in network for network in PRIVATE_NETWORKS)


def at_least(product: str, oldest: str) -> bool:
    """Whether `product` is `oldest` or later; both of rules.names.PRODUCTS."""
    return PRODUCTS.index(product) >= PRODUCTS.index(oldest)


def _plain(value: Any) -> Any:
    """A JSON value that is equal exactly when the model value is."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool | str | int) or value is None:
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value)
