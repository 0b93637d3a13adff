"""From names on the wire to name numbers: SNI, HTTP Host, XMPP domains.

Strategy: every name that the topology declares gets a number from 2 on, exactly as spelled (lower case, no trailing
dot); 0 is "no name seen" and 1 "a name in no entry". What a name is (our host, a partner's domain) stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rules.topology import DirectorPool, FrontEndPool, Topology

NO_NAME: Final = 0
OTHER_NAME: Final = 1


@dataclass(frozen=True, slots=True)
class Name:
    number: int
    text: str
    uses: frozenset[str]  # what the site has it for, several words below


XMPP_PARTNER: Final = "xmpp-partner"
SIP_DOMAIN: Final = "sip-domain"
AD_DOMAIN: Final = "ad-domain"
PUBLISHED: Final = "published"
OTHER_SITE: Final = "other-site"
WEB_EXTERNAL: Final = "web-external"  # the external web site of a pool
WEB_INTERNAL: Final = "internal"  # names that are for inside alone
MEETING: Final = "meeting"  # simple URLs for meetings and dial-in
AUTODISCOVER: Final = "autodiscover"
ADMIN: Final = "admin"
EDGE: Final = "edge"
HOST: Final = "host"


class Domains:
    def __init__(self, topology: Topology) -> None:
        uses: dict[str, set[str]] = {}

        def declare(text: str | None, use: str) -> None:
            if text:
                uses.setdefault(text.lower().rstrip("."), set()).add(use)

        for partner in topology.federation.xmpp_partners:
            declare(partner.domain, XMPP_PARTNER)
        for domain in topology.sip_domains:
            declare(domain, SIP_DOMAIN)
        for domain in topology.ad_domains:
            declare(domain, AD_DOMAIN)
        for proxy in topology.reverse_proxies:
            for publication in proxy.publishes:
                declare(publication.host, PUBLISHED)
            for host in proxy.other_sites:
                declare(host, OTHER_SITE)
        pools: list[DirectorPool | FrontEndPool] = [*topology.director_pools, *topology.front_end_pools]
        for pool in pools:
            declare(pool.web.external, PUBLISHED)
            declare(pool.web.external, WEB_EXTERNAL)
            declare(pool.web.internal or pool.fqdn, WEB_INTERNAL)
            declare(pool.fqdn, HOST)
            for member in pool.members:
                declare(member.fqdn, HOST)
        for server in (*topology.office_web_apps, *topology.branch_appliances):
            declare(server.fqdn, HOST)
        for edge in topology.edge_pools:
            for fqdn in (edge.access.fqdn, edge.webconf.fqdn, edge.av.fqdn, edge.xmpp.fqdn):
                declare(fqdn, EDGE)
            declare(edge.fqdn, HOST)
            for edge_member in edge.members:
                declare(edge_member.fqdn, HOST)
        for host_name in (*topology.simple_urls.meet, *topology.simple_urls.dialin):
            declare(host_name, PUBLISHED)
            declare(host_name, MEETING)
        for host_name in (*topology.autodiscover.external, *(f"lyncdiscover.{d}" for d in topology.sip_domains)):
            declare(host_name, PUBLISHED)
            declare(host_name, AUTODISCOVER)
        for host_name in (*topology.simple_urls.admin, *(f"admin.{d}" for d in topology.sip_domains)):
            declare(host_name, ADMIN)
        internal = (*topology.autodiscover.internal, *(f"lyncdiscoverinternal.{d}" for d in topology.sip_domains))
        for host_name in internal:
            declare(host_name, WEB_INTERNAL)
        self.names = tuple(Name(n, text, frozenset(uses[text])) for n, text in enumerate(sorted(uses), start=2))
        self._numbers = {name.text: name.number for name in self.names}

    @property
    def table(self) -> tuple[tuple[str, bool, int], ...]:
        """(name, also its sub-domains?, number): the core's name table."""
        return tuple((name.text, False, name.number) for name in self.names)

    def number(self, text: str) -> int:
        """Number of a name, OTHER_NAME when it is not declared."""
        return self._numbers.get(text.lower().rstrip("."), OTHER_NAME)

    def text(self, number: int) -> str | None:
        """The declared name of that number, None for the two that mean no name or another one."""
        return self.names[number - 2].text if 2 <= number < len(self.names) + 2 else None

    def uses(self, number: int) -> frozenset[str]:
        """What the site has a name for; nothing for the two numbers that are no declared name."""
        return self.names[number - 2].uses if 2 <= number < len(self.names) + 2 else frozenset()
