"""Which names a listener's certificate must carry, and which a peer's.

Strategy: section 5 of the path document as a function of the listener: all of some names, or one of several where pools
and servers may be named either way. A site's own `certificates` replace what is derived. No expectation, no finding.
"""

from __future__ import annotations

from dataclasses import dataclass

from rules import names
from rules.components import EdgePool
from rules.detail import Certificate
from rules.domains import OTHER_SITE, PUBLISHED
from rules.endpoints import Endpoint
from rules.facts import Facts, Site


@dataclass(frozen=True, slots=True)
class Expected:
    """all_of: every one must be there; any_of: one of them."""

    all_of: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()

    def missing(self, certificate: Certificate) -> str | None:
        """The name that lacks (the first of several that would do), None when the certificate is right."""
        lacking = next((name for name in self.all_of if not certificate.speaks_for(name)), None)
        if lacking is not None or not self.any_of:
            return lacking
        return None if any(certificate.speaks_for(name) for name in self.any_of) else self.any_of[0]


def expected_of_listener(facts: Facts) -> Expected | None:
    """What the certificate of the destination must say; None where nothing is known."""
    listener, derived = _listener(facts)
    if listener is None:
        return None
    own = next((entry.names for entry in facts.site.topology.certificates if entry.listener == listener), None)
    return Expected(all_of=own) if own is not None else derived


def _listener(facts: Facts) -> tuple[str | None, Expected | None]:
    end, site = facts.destination, facts.site
    if not end.own or not facts.tcp:
        return None, None
    pool = site.edge_pool(end)
    if pool is not None:
        return _edge_listener(facts, pool)
    if end.has(names.RP_EXT):
        return ("rp-ext", _published(facts)) if facts.port == 443 else (None, None)
    servers = _fqdns(end)
    web = site.web_pool(end)
    if web is not None and end.has(*names.WEB_SERVERS):
        director = any(p.fqdn == web.fqdn for p in site.topology.director_pools)
        kind = "director" if director else "fe"
        known = servers if director else (web.fqdn,)  # a Front End's own name stands beside its pool's
        if facts.port in (web.web.external_https, 443):
            outer = (web.web.external,) if web.web.external else ()
            return f"{kind}-web", Expected(any_of=(*known, *outer))
        return (kind, Expected(any_of=known)) if facts.port == 5061 else (None, None)
    if end.has(names.OWAS) and facts.port == 443:
        entries = (entry for proxy in site.topology.reverse_proxies for entry in proxy.publishes)
        published = tuple(entry.host for entry in entries if entry.to in servers)
        return "owas", Expected(any_of=published or servers)
    if end.has(names.SBA) and facts.port == 5061:
        return "sba", Expected(any_of=servers)
    return None, None


def _fqdns(end: Endpoint) -> tuple[str, ...]:
    """The names of an own host and of its pools."""
    return tuple(sorted({*end.pools, *((end.component,) if end.component is not None else ())}))


def _edge_listener(facts: Facts, pool: EdgePool) -> tuple[str | None, Expected | None]:
    end = facts.destination
    if end.has(*names.INNER_EDGE):
        management = (pool.management.replica_port, *pool.management.cls_ports)
        services = (pool.access.internal_port, pool.av.auth_port, pool.webconf.internal_port, pool.xmpp.internal_port)
        if facts.port not in (*services, *management):
            return None, None
        return "edge-int", Expected(all_of=(pool.fqdn,))  # a member's own name is none that anybody asks for
    if end.has(*names.ACCESS_EDGE):
        if facts.port == pool.xmpp.port and "xmpp" in facts.services:
            own = (pool.xmpp.fqdn,) if pool.xmpp.fqdn else ()
            return "xmpp", Expected(any_of=(*own, pool.access.fqdn, *facts.site.topology.sip_domains))
        if facts.port in (pool.access.port, pool.access.federation_port):
            return "access", Expected(all_of=(pool.access.fqdn,))
    if end.has(*names.WEBCONF_EDGE) and facts.port == pool.webconf.port:
        return "webconf", Expected(all_of=(pool.webconf.fqdn,))
    return None, None  # media shows none


def _published(facts: Facts) -> Expected | None:
    """Of the proxy: the name that was asked for where it is published, else any that is; of other people's sites
    nothing."""
    domains = facts.site.domains
    asked = facts.observation.server_name
    uses = domains.uses(asked)
    if OTHER_SITE in uses:
        return None
    text = domains.text(asked)
    if text is not None and PUBLISHED in uses:
        return Expected(all_of=(text,))
    proxies = facts.site.topology.reverse_proxies
    hosts = tuple(entry.host for proxy in proxies for entry in proxy.publishes)
    others = tuple(host for proxy in proxies for host in proxy.other_sites)
    return Expected(any_of=(*hosts, *others)) if hosts else None


def expected_of_peer(site: Site, end: Endpoint) -> Expected | None:
    """What the certificate of this end must say when it opens, or of a partner also when it answers: the name that the
    site gives for its address."""
    if end.own:
        if end.has(*names.OUTER_EDGE):
            return None  # what our own Edge shows to others is no peer's
        known = _fqdns(end)
        return Expected(any_of=known) if known and end.server else None
    if not end.has(names.PARTNER_EDGE) or end.network is None:
        return None
    for partner in site.topology.federation.sip_partners:
        if end.network.network_address in partner.access:
            return Expected(any_of=(partner.access_fqdn,)) if partner.access_fqdn else None
    return None
