"""Whom a question means: the endpoints behind a zone, a role, a word of the rows, a name, an address or a network.

Strategy: a word is looked up where the policy itself defines it, so that a question and a row mean the same hosts. A
pool's name is the name of several services: on a port it means the addresses that rows lead to there (its members for
SIP, the virtual address for the web). Of a dual-homed host the side that faces the other end speaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from rules import names
from rules.declared import INNER
from rules.endpoints import PEER_ROLES, Endpoint
from rules.facts import Site
from rules.paths import Leg
from rules.reach import WEB_WORDS, WORDS, Reach


class UnknownEnd(Exception):
    """The text names no end on this site; str() says what would."""


def means(text: str, site: Site) -> list[Endpoint]:
    """All endpoints that a word, name, address or network means. Raises UnknownEnd."""
    endpoints = [endpoint for endpoint in site.endpoints if not endpoint.special]
    if text in names.ZONES:
        return [endpoint for endpoint in endpoints if endpoint.zone == text]
    if text in names.ROLES:
        return _of_role(text, site, endpoints)
    if text in WORDS or text in WEB_WORDS:
        return _of_word(text, site)
    try:
        network = ip_network(text)
    except ValueError:
        name = text.lower().removesuffix(".")
        partners = site.topology.federation.sip_partners
        called = {name} | {p.component for p in partners if name in (p.domain, p.access_fqdn)}
        found = [e for e in endpoints if e.component in called or name in e.pools]
        found = found or _published(name, site)
        if not found:
            kinds = "zone, role id, word of a row, declared name, address or network"
            raise UnknownEnd(f"'{text}' is no {kinds} here") from None
        return found
    within = [
        e
        for e in endpoints
        if e.network is not None and e.network.prefixlen > network.prefixlen and e.network.network_address in network
    ]
    return [site.endpoints.at(text), *within]


def of_family(ends: list[Endpoint], text: str, far: str) -> list[Endpoint]:
    """Those of what `text` means that packets of the far end can reach, where that is an address or network: one that
    stands for the whole Internet has a family, too. Raises UnknownEnd when there is none."""
    version, own = _version(far), _version(text)
    if version is None:
        return ends
    left = [e for e in ends if (e.network.version if e.network is not None else own) in (None, version)]
    if not left:
        raise UnknownEnd(f"'{far}' is IPv{version}, '{text}' is not: no packet goes between them")
    return left


def _version(text: str) -> int | None:
    try:
        return ip_network(text).version
    except ValueError:  # a word or a name
        return None


def _of_word(word: str, site: Site) -> list[Endpoint]:
    """The hosts that a word means at the end of a row, over all Edge pools."""
    if word in WEB_WORDS:
        legs = (leg for path in site.paths if path.destination == word for leg in path.legs)
        numbers = dict.fromkeys(number for leg in legs for number in leg.destinations)
    else:
        reach = Reach(site.topology, site.endpoints)
        numbers = dict.fromkeys(n for pool in site.topology.edge_pools for n in reach.resolve(word, pool))
    if not numbers:
        raise UnknownEnd(f"no address of this site is meant by '{word}'")
    return [site.endpoints[number] for number in numbers]


def listening(text: str, ends: list[Endpoint], transport: int, port: int, site: Site) -> list[Endpoint]:
    """Of a pool's name the addresses that rows lead to on that port, those of rows that apply before others; all of
    them where none does, and all ends of anything that is no pool's name."""
    name = text.lower().removesuffix(".")
    if not any(name in end.pools for end in ends):
        return ends
    off = tuple(leg for path in site.paths for leg in path.off_legs)
    for legs in (site.legs, off):
        found = [end for end in ends if any(_leads(leg, end, transport, port) for leg in legs)]
        if found:
            return found
    return ends


def _leads(leg: Leg, end: Endpoint, transport: int, port: int) -> bool:
    held = leg.transport == transport and any(port in span for span in leg.ports)
    return held and end.number in leg.destinations and not leg.behind_balancer and not leg.local


def _published(name: str, site: Site) -> list[Endpoint]:
    """The outer addresses behind a name that the Internet knows: of an Edge service, or on a reverse proxy."""
    topology, found = site.topology, list[Endpoint]()
    for pool in topology.edge_pools:
        for fqdn, roles in (
            (pool.access.fqdn, names.ACCESS_EDGE),
            (pool.xmpp.fqdn, names.ACCESS_EDGE),
            (pool.webconf.fqdn, names.WEBCONF_EDGE),
            (pool.av.fqdn, names.AV_EDGE),
        ):
            if fqdn == name:
                there = [e for e in site.endpoints if pool.fqdn in e.pools and e.has(*roles)]
                found += [e for e in there if e.virtual] or there
    for proxy in topology.reverse_proxies:
        if any(entry.host == name for entry in proxy.publishes) or name in proxy.other_sites:
            found += [e for e in site.endpoints if proxy.fqdn in e.pools and e.has(names.RP_EXT)]
    return list(dict.fromkeys(found))


def _of_role(role: str, site: Site, endpoints: list[Endpoint]) -> list[Endpoint]:
    """Clients and hosts of the Internet have no address in the file; nor have peers who may be anybody."""
    found = [e for e in endpoints if e.has(role) and (role != names.INT_CLIENT or "clients.egress" not in e.sections)]
    if not found and (role in PEER_ROLES or role in (names.EXT_CLIENT, names.CRL_HOST, names.DNS_RESOLVER)):
        return [site.endpoints[0]]
    if not found:
        raise UnknownEnd(f"no address of this site has the role '{role}'")
    return found


def pairs(sources: list[Endpoint], destinations: list[Endpoint]) -> Iterator[tuple[Endpoint, Endpoint]]:
    """Pairs that can speak: of one address family, and of a dual-homed host the side that faces the other end."""
    possible = [
        (source, destination)
        for source in sources
        for destination in destinations
        if source != destination and _family(source, destination)
    ]
    facing = [pair for pair in possible if _faces(*pair, sources) and _faces(pair[1], pair[0], destinations)]
    yield from facing or possible


def _family(one: Endpoint, other: Endpoint) -> bool:
    return one.network is None or other.network is None or one.network.version == other.network.version


def _faces(end: Endpoint, far: Endpoint, all_of_it: list[Endpoint]) -> bool:
    """The Edge and the proxy reach the inside from their inner addresses and the Internet from their outer ones."""
    if end.component is None or not end.perimeter:
        return True
    sides = {(e.faces == {INNER}) for e in all_of_it if e.component == end.component}
    if len(sides) < 2:
        return True
    inward = far.inside or far.zone in (names.PERIMETER_INT, names.UNDECLARED)
    return (end.faces == {INNER}) == inward
