"""Names that certificates and requests carry, for one topology.

The subjects and alternative names follow the vendor's certificate summaries for Edge Servers, reverse proxy, Director
and internal servers. Words of the scenario table (`access`, `front end web`, …) are the keys of `certificate`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from monitor.simulate.cast import Cast, NotCast
from monitor.simulate.credentials import Name
from rules.topology import Topology

FOREIGN_DOMAIN = "adatum.example"
"""The organisation that hosts other people's meetings."""


@dataclass(frozen=True, slots=True)
class Naming:
    cast: Cast

    @property
    def topology(self) -> Topology:
        return self.cast.topology

    @property
    def domain(self) -> str:
        return self.topology.sip_domains[0] if self.topology.sip_domains else "contoso.example"

    @property
    def partner(self) -> str:
        partners = self.topology.federation.sip_partners
        return partners[0].domain if partners else "litware.example"

    @property
    def xmpp_partner(self) -> str:
        partners = self.topology.federation.xmpp_partners
        if not partners:
            raise NotCast("no XMPP partner is declared")
        return next((p.domain for p in partners if p.addresses), partners[0].domain)

    def host(self, words: str) -> str:
        """A host name by meaning, as a client would ask for it. ValueError: no such word."""
        pool = self.cast.edge_pool
        urls, discover = self.topology.simple_urls, self.topology.autodiscover
        match words:
            case "access":
                return pool.access.fqdn
            case "webconf":
                return pool.webconf.fqdn
            case "meet":
                return next(iter(urls.meet), f"meet.{self.domain}")
            case "lyncdiscover":
                return next(iter(discover.external), f"lyncdiscover.{self.domain}")
            case "front end web":
                return self.cast.front_ends.web.external or f"webext.{self.domain}"
            case "admin":
                return next(iter(urls.admin), f"admin.{self.domain}")
            case "front end inside web":
                return self.cast.front_ends.web.internal or self.cast.front_ends.fqdn
            case "director web":
                return self.cast.directors.web.external or f"webdirext.{self.domain}"
            case "edge internal":
                return pool.fqdn
            case "front end":
                return self.cast.front_ends.fqdn
            case "office web apps":
                return self._office()
            case "crl":
                return "crl.public-ca.example"
            case "partner":
                return self._partner_edge()
            case "foreign edge":
                return f"sip.{FOREIGN_DOMAIN}"
            case "web site":
                return "www.wingtip.example"
            case "push":
                return "sipfed.online.lync.com"
        raise ValueError(f"no such host name: {words!r}")

    def certificate(self, words: str) -> Name:
        """The certificate of a listener or a peer, by meaning. ValueError: no such word."""
        pool, domain = self.cast.edge_pool, self.domain
        match words:
            case "access" | "webconf":
                further = [f"sip.{each}" for each in self.topology.sip_domains[1:]]
                root = [domain] if pool.xmpp.enabled else []
                return _name(pool.access.fqdn, [pool.webconf.fqdn, *further, *root], public=True)
            case "access wildcard":
                return _name(f"*.{domain}", [pool.access.fqdn], public=True)
            case "access expired":
                return replace(self.certificate("access"), expired=True)
            case "access irrevocable":
                return replace(self.certificate("access"), revocable=False)
            case "edge internal":
                return _name(pool.fqdn, [], public=False)
            case "reverse proxy":
                hosts = [p.host for proxy in self.topology.reverse_proxies for p in proxy.publishes]
                return _name(next(iter(hosts), self.host("front end web")), hosts, public=True)
            case "director":
                directors = self.cast.directors
                return _name(directors.fqdn, [m.fqdn for m in directors.members], public=False)
            case "next hop":
                hop = self.topology.next_hop(pool)
                return _name(hop.fqdn, [m.fqdn for m in hop.members], public=False)
            case "director web":
                directors = self.cast.directors
                hosts = [self.host("director web"), self.host("meet"), self.host("lyncdiscover")]
                return _name(directors.members[0].fqdn, hosts, public=False)
            case "front end":
                front = self.cast.front_ends
                return _name(front.fqdn, [m.fqdn for m in front.members] + [f"sip.{domain}"], public=False)
            case "front end web":
                return _name(self.cast.front_ends.fqdn, [self.host("front end web"), self.host("meet")], public=False)
            case "configuration master web":
                masters = self.topology.cms_masters()
                held = next(p for p in self.topology.front_end_pools if masters and masters[0] in p.members)
                host = held.web.external or self.host("front end web")
                return _name(held.fqdn, [host, self.host("meet")], public=False)
            case "office web apps":
                return _name(self._office(), [], public=False)
            case "branch appliance":
                boxes = self.topology.branch_appliances
                return _name(boxes[0].fqdn if boxes else f"sba.{domain}", [f"sip.{domain}"], public=False)
            case "admin station":
                inner = next(iter(self.topology.ad_domains), domain)
                return _name(f"adm01.{inner}", [], public=False)
            case "partner":
                return _name(self._partner_edge(), [f"sip.{self.partner}"], public=True)
            case "push":
                return _name(self.host("push"), [], public=True)
            case "xmpp partner":
                return _name(f"xmpp.{self.xmpp_partner}", [self.xmpp_partner], public=True)
            case "foreign edge":
                return _name(f"sip.{FOREIGN_DOMAIN}", [], public=True)
            case "web site":
                return _name("www.wingtip.example", [], public=True)
            case "evil":
                return _name("xmpp.evil.example", ["evil.example"], public=True)
        raise ValueError(f"no such certificate: {words!r}")

    def xmpp_domain(self, words: str) -> str:
        """`ours`, `partner`, or a domain as it stands."""
        if words == "ours":
            return self.domain
        return self.xmpp_partner if words == "partner" else words

    def _office(self) -> str:
        farms = {farm.fqdn for farm in self.topology.office_web_apps}
        for proxy in self.topology.reverse_proxies:
            for publication in proxy.publishes:
                if publication.to in farms:
                    return publication.host
        if not farms:
            raise NotCast("no Office Web Apps server is declared")
        return self.topology.office_web_apps[0].fqdn

    def _partner_edge(self) -> str:
        partners = self.topology.federation.sip_partners
        named = next((p.access_fqdn for p in partners if p.access_fqdn), None)
        return named or f"sip.{self.partner}"


def _name(subject: str, further: list[str], *, public: bool) -> Name:
    return Name(subject, tuple(dict.fromkeys([subject, *further])), public)
