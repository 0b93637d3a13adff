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
    uses: frozenset[str]  # "xmpp-partner", "sip-domain", "ad-domain", "published", "internal", "admin", "edge", "host"


class Domains:
    def __init__(self, topology: Topology) -> None:
        uses: dict[str, set[str]] = {}

        def declare(text: str | None, use: str) -> None:
            if text:
                uses.setdefault(text.lower().rstrip("."), set()).add(use)

        for partner in topology.federation.xmpp_partners:
            declare(partner.domain, "xmpp-partner")
        for domain in topology.sip_domains:
            declare(domain, "sip-domain")
        for domain in topology.ad_domains:
            declare(domain, "ad-domain")
        for proxy in topology.reverse_proxies:
            for publication in proxy.publishes:
                declare(publication.host, "published")
            for host in proxy.other_sites:
                declare(host, "other-site")
        pools: list[DirectorPool | FrontEndPool] = [*topology.director_pools, *topology.front_end_pools]
        for pool in pools:
            declare(pool.web.external, "published")
            declare(pool.web.internal or pool.fqdn, "internal")
            declare(pool.fqdn, "host")
            for member in pool.members:
                declare(member.fqdn, "host")
        for server in (*topology.office_web_apps, *topology.branch_appliances):
            declare(server.fqdn, "host")
        for edge in topology.edge_pools:
            for fqdn in (edge.access.fqdn, edge.webconf.fqdn, edge.av.fqdn, edge.xmpp.fqdn):
                declare(fqdn, "edge")
            declare(edge.fqdn, "host")
            for edge_member in edge.members:
                declare(edge_member.fqdn, "host")
        for host_name in (*topology.simple_urls.meet, *topology.simple_urls.dialin, *topology.autodiscover.external):
            declare(host_name, "published")
        for host_name in topology.simple_urls.admin:
            declare(host_name, "admin")
        for host_name in topology.autodiscover.internal:
            declare(host_name, "internal")
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
