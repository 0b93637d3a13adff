"""Conclusions from who answered whom: which address is an Edge interface, a proxy, an inside server, a partner.

Strategy: what the protocols force comes first, names last. Only an Edge Server's internal interface answers both as a
Microsoft relay and with TLS on ports of the inside; an outer interface is ours, and not a partner's, if it served
somebody from the Internet who is no Edge himself; servers of one pool show one certificate. Each conclusion keeps its
sightings, so that a person can weigh it. An address that fits nothing gets no role.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final

from rules.components import Address, Network
from rules.sightings import Sighting, Sightings
from rules.topology import is_private

INSIDE_PORTS: Final = frozenset({5062, 8057, 4443, 23456})
"""Ports that the internal interface of an Edge Server has and an external one has not."""

POOL_PORTS: Final = frozenset({5062, 8057, 23456})
"""Those that Front Ends open and Directors do not: A/V authentication, web conferencing, XMPP gateway."""

FRONT_END_PORTS: Final = frozenset({8057, 23456, 4443})
"""Those that no branch appliance and no administrator opens either: conferencing, XMPP gateway, replication."""

SHARED_PORTS: Final = frozenset({5061, 5062})
"""Those that a hardware balancer has on its virtual address inside, and its nodes then have not."""

NODE_PORTS: Final = frozenset({8057, 4443, 23456, 50001, 50002, 50003})
"""Those that are addressed at the nodes with every kind of balancing: conferencing, replication, XMPP, logging."""

LEAST_NODES: Final = 2
"""With fewer behind it nobody buys a balancer, and two servers of which each was seen at something else look alike."""

LEAST_FLOWS: Final = 2
"""Fewer make no role: one flow may be anybody's, an attacker's or a test's, and would be allowed ever after."""

CLS_PORTS: Final = frozenset({50001, 50002, 50003})
WEB_PORTS: Final = frozenset({4443, 8080})
WEB_NAMES: Final = ("lyncdiscover.", "meet.", "dialin.")
"""Names by convention, all of them published through the reverse proxy."""


@dataclass(slots=True)
class Pool:
    """Inside servers that show one certificate."""

    name: str
    members: dict[Address, list[Sighting]] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)
    opened: set[int] = field(default_factory=set)  # ports of the Edge that its servers used
    next_hop: int = 0  # flows by which the Edge handed SIP to it
    web: dict[Address, list[Sighting]] = field(default_factory=dict)  # where the proxy opened its web site

    @property
    def director(self) -> bool:
        return bool(self.next_hop) and not self.opened & POOL_PORTS

    @property
    def flows(self) -> int:
        return sum(seen.flows for found in self.members.values() for seen in found)

    @property
    def sure(self) -> bool:
        """Whether more than a lone flow says so, and something that no other server of the inside does."""
        told = self.next_hop >= LEAST_FLOWS if self.director else bool(self.opened & FRONT_END_PORTS)
        return told and self.flows >= LEAST_FLOWS

    @property
    def hosts(self) -> set[str]:
        """Names of the pool and its servers: those in the pool's domain."""
        return {name for name in self.names if _domain(name) == _domain(self.name)} | {self.name}

    @property
    def lone(self) -> bool:
        """One server, and no other name of its domain in its certificate: its own name is the pool's."""
        return len(self.members) == 1 and len(self.hosts) == 1


class Roles:
    def __init__(self, sightings: Sightings) -> None:
        self.all = sightings
        self.by_listener: dict[Address, list[Sighting]] = {}
        self.by_opener: dict[Address, list[Sighting]] = {}
        self.seen = sorted(_undisputed(sightings.pairs.values()), key=lambda seen: order(seen.listener))
        for seen in self.seen:
            self.by_listener.setdefault(seen.listener, []).append(seen)
            self.by_opener.setdefault(seen.opener, []).append(seen)
        self.relays = {a for a, found in self.by_listener.items() if any(seen.relay for seen in found)}
        self.internal = self._internal()
        self.virtual = self._virtual()
        pools = self._pools()
        self.pools = [pool for pool in pools if pool.sure]
        self.perhaps_pools = [pool for pool in pools if not pool.sure]
        self.firewalls_perhaps = {address for pool in pools for address in self._beside_the_edge(pool)}
        inside = {address for pool in pools for address in pool.members}
        self.sip = self._matching(
            lambda seen: "tls" in seen.services and (seen.port == 5061 or _asked_sip(seen)),
            but={*self.internal, *inside},
        )
        self.access = self._ours(self.sip)
        self.av = self._ours(self._matching(self._relays, but=self.internal))
        own = {name for address in self.access for name in sightings.names.get(address, ())}
        self.webconf = {
            address: found
            for address, found in self._ours(self._matching(_is_tls, but={*self.sip, *self.internal, *inside})).items()
            if set(sightings.names.get(address, ())) & own and not self._web_name(address)
        } or {address: found for address, found in self.access.items() if any(seen.port == 444 for seen in found)}
        self.proxy_outside = {
            address: found
            for address, found in self._ours(self._matching(_is_web, but={*self.sip, *self.webconf})).items()
            if self._web_name(address)
        }
        proxies = self._proxy_inside(inside)
        edge = self.internal or self.access or self.av
        self.proxy_inside = {
            address: found
            for address, found in proxies.items()
            if edge and is_private(address) and sum(seen.flows for seen in found) >= LEAST_FLOWS
        }
        self.perhaps_proxies = {a: found for a, found in proxies.items() if a not in self.proxy_inside}
        self.farms = self._farms({*inside, *self.access, *self.webconf, *self.proxy_outside, *self.internal})
        self.partners = {
            address: [s for s in self.by_listener.get(address, ()) if s.opener in self.access]
            + [s for s in self.by_opener.get(address, ()) if s.listener in self.access]
            for address in self._federated()
        }
        admins = {
            address: found
            for address, seen in self.by_opener.items()
            if (found := [s for s in seen if s.port in CLS_PORTS and s.listener in self.internal])
        }
        self.admins = {a: found for a, found in admins.items() if sum(s.flows for s in found) >= LEAST_FLOWS}
        self.perhaps_admins = {a: found for a, found in admins.items() if a not in self.admins}

    def _matching(
        self, fits: Callable[[Sighting], bool], *, but: Iterable[Address] = ()
    ) -> dict[Address, list[Sighting]]:
        """Listeners with a sighting that fits; all sightings of each."""
        without = set(but)
        return {
            address: found
            for address, found in self.by_listener.items()
            if address not in without and any(fits(seen) for seen in found)
        }

    def _internal(self) -> dict[Address, list[Sighting]]:
        """Internal interfaces of Edge Servers: relays with TLS on ports of the inside, and what shows the certificate
        of one on these ports. The Internet never sees them, so a public address shows it elsewhere."""
        inside = self._matching(lambda seen: seen.port in INSIDE_PORTS and "tls" in seen.services)
        sure = {address for address in inside if address in self.relays}
        names = {self.all.common_name(address) for address in sure} - {None}
        inside |= self._matching(lambda seen: seen.port in {5061, *CLS_PORTS} and "tls" in seen.services)
        return {
            address: found
            for address, found in inside.items()
            if address in sure or (is_private(address) and self.all.common_name(address) in names)
        }

    def _virtual(self) -> Address | None:
        """The balancer's address inside: it alone answers SIP, and what belongs to nodes is answered by the others."""
        ports = {address: {seen.port for seen in found} for address, found in self.internal.items()}
        shared = [address for address, answered in ports.items() if answered & SHARED_PORTS]
        nodes = [address for address, answered in ports.items() if answered & NODE_PORTS]
        apart = len(shared) == 1 and len(nodes) == len(ports) - 1 >= LEAST_NODES and shared[0] not in nodes
        return shared[0] if apart and ports[shared[0]] >= SHARED_PORTS else None

    def _ours(self, found: dict[Address, list[Sighting]]) -> dict[Address, list[Sighting]]:
        """Those that served somebody from the Internet who shows no certificate and is no relay: a client, not the
        Edge of somebody else. What only inside clients open is somebody else's."""
        return {
            address: seen
            for address, seen in found.items()
            if any(
                not is_private(s.opener) and s.opener not in self.all.names and s.opener not in self.relays
                for s in seen
            )
        }

    def _pools(self) -> list[Pool]:
        """Servers that opened the Edge's internal interface with a certificate, or to which it opened SIP. One with an
        address on the Internet must be named in a domain of the Edge's internal certificates, too."""
        domains = {_domain(self.all.common_name(address)) for address in self.internal}
        pools: dict[str, Pool] = {}
        for seen in self.seen:
            outward = seen.listener in self.internal and seen.port in INSIDE_PORTS | {5061}
            inward = seen.opener in self.internal and seen.port == 5061
            server = seen.opener if outward else seen.listener
            name = self.all.common_name(server)
            if not (outward or inward) or name is None or server in self.internal:
                continue
            if not is_private(server) and _domain(name) not in domains:
                continue
            pool = pools.setdefault(name, Pool(name))
            pool.members.setdefault(server, []).append(seen)
            pool.names.update(self.all.names[server])
            if outward:
                pool.opened.add(seen.port)
            else:
                pool.next_hop += seen.flows
        return list(pools.values())

    def _beside_the_edge(self, pool: Pool) -> set[Address]:
        """Members in a network of the Edge's internal interfaces while others of the pool are not: where the inner
        firewall translates, its address shows the certificate of whichever server is behind it."""
        networks = {_network(address) for address in self.internal}
        beside = {address for address in pool.members if _network(address) in networks}
        return beside if len(beside) < len(pool.members) else set()

    def _proxy_inside(self, inside: set[Address]) -> dict[Address, list[Sighting]]:
        """Addresses that open the external web sites of inside servers. Whoever was a client of our outer side is
        none: that would be a client past the proxy."""
        outer = {*self.access, *self.webconf, *self.av, *self.proxy_outside}
        clients = {seen.opener for address in outer for seen in self.by_listener[address]}
        proxies: dict[Address, list[Sighting]] = {}
        for seen in self.seen:
            web = seen.port in WEB_PORTS and seen.services & {"tls", "http"} and seen.listener not in self.internal
            if web and seen.opener not in inside | clients | set(self.internal):
                proxies.setdefault(seen.opener, []).append(seen)
        for found in proxies.values():
            for seen in found:
                for pool in self.pools:
                    if pool.hosts & set(self.all.names.get(seen.listener, ())):
                        pool.web.setdefault(seen.listener, []).append(seen)
        return proxies

    def _farms(self, known: set[Address]) -> dict[Address, list[Sighting]]:
        """What a proxy opens by TLS on 443 inside."""
        farms: dict[Address, list[Sighting]] = {}
        for proxy in self.proxy_inside:
            for seen in self.by_opener[proxy]:
                named = self.all.common_name(seen.listener) is not None and is_private(seen.listener)
                if seen.port == 443 and "tls" in seen.services and named and seen.listener not in known:
                    farms.setdefault(seen.listener, []).append(seen)
        return farms

    def _relays(self, seen: Sighting) -> bool:
        """On an address with SIP only where the relay has the port that clients use: all services on one address."""
        return seen.relay and (seen.port == 443 or seen.listener not in self.sip)

    def _web_name(self, address: Address) -> bool:
        names = {*self.all.names.get(address, ())}
        for seen in self.by_listener[address]:
            names.update(seen.asked)
        return any(name.startswith(WEB_NAMES) for name in names)

    def _federated(self) -> list[Address]:
        """Ends of SIP between Edges, one of them ours."""
        found = [s.listener for s in self.seen if s.opener in self.access and s.port == 5061]
        found += [s.opener for s in self.seen if s.listener in self.access and s.port == 5061]
        named = [address for address in dict.fromkeys(found) if self.all.common_name(address)]
        return [address for address in named if address not in self.access and address not in self.internal]


def order(address: Address) -> tuple[int, int]:
    return address.version, int(address)


def _network(address: Address) -> Network:
    """The usual network around it."""
    return ip_network(f"{address}/{24 if address.version == 4 else 64}", strict=False)


def _domain(name: str | None) -> str | None:
    return name.partition(".")[2] if name else None


def _undisputed(found: Iterable[Sighting]) -> list[Sighting]:
    """Without what few clients did at a listener where most did something else: one port has one service, and a
    violation must not become a role."""
    counts: dict[tuple[Address, str, int], Counter[str]] = {}
    for seen in found:
        counts.setdefault((seen.listener, seen.transport, seen.port), Counter())[_kind(seen)] += seen.flows
    return [
        seen for seen in found if counts[seen.listener, seen.transport, seen.port].most_common(1)[0][0] == _kind(seen)
    ]


def _kind(seen: Sighting) -> str:
    relay = seen.relay or "pseudo-tls" in seen.services
    return "relay" if relay else next((name for name in ("tls", "http", "xmpp") if name in seen.services), "other")


def _is_tls(seen: Sighting) -> bool:
    return seen.port in (443, 444) and "tls" in seen.services


def _is_web(seen: Sighting) -> bool:
    return seen.port in (80, 443) and bool(seen.services & {"tls", "http"})


def _asked_sip(seen: Sighting) -> bool:
    return any(name.startswith("sip.") for name in seen.asked)
