"""The worked example as other sites: what one switch, plan or product changes, by names that the tables use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any, Final

from rules.components import (
    Balancers,
    EdgeMember,
    EdgeVips,
    LoadBalancing,
    Office365,
    PortRange,
    Provider,
    Translated,
)
from rules.site_policy import LocalPath, RuleSeverity, Selector
from rules.topology import Sensor, Topology, WebServices
from tests.policy.flows import contoso
from tests.topology.plans import contoso_as


def _pool(**changes: Any) -> Topology:
    topology = contoso()
    return replace(topology, edge_pools=(replace(topology.edge_pools[0], **changes),))


def _federation(topology: Topology, **changes: Any) -> Topology:
    return replace(topology, federation=replace(topology.federation, **changes))


def _policy(topology: Topology, **changes: Any) -> Topology:
    return replace(topology, policy=replace(topology.policy, **changes))


def _xmpp_partner(**changes: Any) -> Topology:
    topology = contoso()
    return _federation(topology, xmpp_partners=(replace(topology.federation.xmpp_partners[0], **changes),))


def _few_messages() -> Topology:
    """Twelve a minute are as many as an unlisted partner may send."""
    thresholds = contoso().policy.thresholds
    return _policy(contoso(), thresholds=replace(thresholds, federation_messages_per_second=0.2))


def _partner_anywhere() -> Topology:
    """Partners are listed, litware.com without addresses."""
    topology = contoso()
    litware, *others = topology.federation.sip_partners
    return _federation(topology, discovery=False, sip_partners=(replace(litware, access=(), av=()), *others))


def _local_rows() -> Topology:
    """The Access Edge fetches updates; the proxy publishes a shop of the site."""

    def ends(*texts: str) -> list[tuple[Selector, ...]]:
        return [(Selector("network", text, ip_network(text)),) for text in texts]

    updates, shop = ends("203.0.113.10", "192.0.2.80"), ends("172.25.33.40", "192.168.10.70")
    rows = (
        LocalPath("local-updates", *updates, "tcp", (PortRange(443, 443),), "tls"),
        LocalPath("local-shop", *shop, "tcp", (PortRange(8443, 8443),), "http"),
    )
    return _policy(contoso(), local_paths=rows)


def _product(product: str, **changes: Any) -> Topology:
    return replace(_pool(product=product, **changes), product=product)


def _hybrid(topology: Topology) -> Topology:
    """The cloud's signalling at .201, its media at .202."""
    sip, media = ip_network("198.51.100.201/32"), ip_network("198.51.100.202/32")
    return _federation(topology, office365=Office365(enabled=True, sip=(sip,), media=(media,)))


def _public_im() -> Topology:
    provider = Provider(enabled=True, addresses=(ip_network("198.51.100.150/32"),))
    return _federation(contoso(), public_im=provider)


def _older_edge_beside() -> Topology:
    topology = contoso()
    newer = replace(topology.edge_pools[0], fqdn="new.contoso.net", product="sfb-2019", members=())
    return replace(topology, edge_pools=(*topology.edge_pools, newer))


def _owas_outside() -> Topology:
    topology = contoso()
    farm = replace(topology.office_web_apps[0], address=(ip_address("203.0.113.60"),))
    return replace(topology, office_web_apps=(farm,))


def _public(text: str) -> Translated:
    return Translated((ip_address(text),))


def balanced() -> Topology:
    """By hardware: public addresses on nodes and balancer, which has addresses of its own."""
    topology = contoso()
    pool = topology.edge_pools[0]
    nodes = (
        replace(
            member,
            access=_public(f"203.0.113.{12 + n}"),
            webconf=_public(f"203.0.113.{22 + n}"),
            av=_public(f"203.0.113.{32 + n}"),
        )
        for n, member in enumerate(pool.members)
    )
    vips = EdgeVips(
        _public("203.0.113.10"), _public("203.0.113.20"), _public("203.0.113.30"), (ip_address("172.25.33.9"),)
    )
    return replace(
        topology,
        edge_pools=(replace(pool, members=tuple(nodes), vips=vips),),
        load_balancing=LoadBalancing("hardware", "hardware"),
        lb=Balancers((ip_address("203.0.113.9"),), (ip_address("172.25.33.8"),), (ip_address("203.0.113.8"),)),
    )


def _behind() -> Topology:
    """Balanced; the balancer puts .90 in place of a client, its own address is .91."""
    balancer = Balancers(external_snat=(ip_address("203.0.113.90"),), self_addresses=(ip_address("203.0.113.91"),))
    return replace(contoso_as("hlb"), lb=balancer, sensors=(Sensor("behind", "external", behind_lb=True),))


def _two_pools(**changes: Any) -> Topology:
    """The second Edge as a pool of its own."""
    topology = contoso()
    pool = topology.edge_pools[0]
    second = replace(pool, fqdn="edge02.contoso.net", members=pool.members[1:], **changes)
    return replace(topology, edge_pools=(replace(pool, members=pool.members[:1]), second))


def _no_web_vip() -> Topology:
    topology = contoso()
    pool = replace(topology.front_end_pools[0], web=WebServices(external="webext.contoso.com"))
    return replace(topology, front_end_pools=(pool,))


def _remote_desktop() -> Topology:
    """A path of the site for one host, to the end of 2026."""
    host = Selector("network", "192.168.10.210", ip_network("192.168.10.210/32"))
    edge, port = Selector("role", "edge-int"), (PortRange(3389, 3389),)
    path = LocalPath("local-desktop", (host,), (edge,), "tcp", port, "rdp", "administration", "ops", date(2026, 12, 31))
    return _policy(contoso(), local_paths=(path,))


def _branch() -> Topology:
    """A second Edge pool, whose next hop is a Standard Edition server of its own."""
    topology = contoso()
    access, webconf, av = (Translated((ip_address(f"203.0.113.{last}"),)) for last in (71, 72, 73))
    member = EdgeMember("edge11.contoso.net", (ip_address("172.25.33.71"),), access, webconf, av)
    pool = replace(
        topology.edge_pools[0],
        fqdn="edge11.contoso.net",
        next_hop="se11.contoso.net",
        federation=False,
        members=(member,),
    )
    front_end = topology.front_end_pools[0]
    server = replace(front_end.members[0], fqdn="se11.contoso.net", address=(ip_address("192.168.40.10"),))
    se = replace(front_end, fqdn="se11.contoso.net", members=(server,), web=replace(front_end.web, vip=()))
    return replace(topology, edge_pools=(*topology.edge_pools, pool), front_end_pools=(*topology.front_end_pools, se))


SITES: Final[dict[str, Callable[[], Topology]]] = {
    "contoso": contoso,
    "single-ip": lambda: contoso_as("single-ip"),
    "hlb": balanced,
    "hlb-out": lambda: _policy(balanced(), optional_paths=("int-hlb-av-tcp-out",)),
    "behind": _behind,
    "two-pools": lambda: _two_pools(federation=False),
    "two-sites": lambda: _two_pools(site="branch"),
    "no-web-vip": _no_web_vip,
    "behind-2015": lambda: replace(
        _behind(), product="sfb-2015", edge_pools=(replace(_behind().edge_pools[0], product="sfb-2015"),)
    ),
    "branch": _branch,
    "remote-desktop": _remote_desktop,
    "no-director": lambda: contoso_as("no-director"),
    "documented-open": lambda: _policy(contoso(), director_bypass="documented-open"),
    "sfb-2015": lambda: _product("sfb-2015", skype_search=True),
    "sfb-2019": lambda: _product("sfb-2019"),
    "older-edge-beside": _older_edge_beside,
    "hybrid": lambda: _hybrid(contoso()),
    "hybrid-2019": lambda: _hybrid(_product("sfb-2019")),
    "public-im": _public_im,
    "no-federation": lambda: _federation(contoso(), enabled=False),
    "unpublished": lambda: _pool(federation=False),
    "unpublished-listed": lambda: _federation(_pool(federation=False), discovery=False),
    "listed-partners": lambda: _federation(contoso(), discovery=False),
    "partner-anywhere": _partner_anywhere,
    "listed-hlb": lambda: _federation(_hybrid(balanced()), discovery=False),
    "few-messages": _few_messages,
    "no-mobility": lambda: replace(contoso(), mobility=False),
    "local-rows": _local_rows,
    "optional": lambda: _policy(contoso(), optional_paths=("int-cac-bandwidth-policy", "int-edge-dns")),
    "private-ca": lambda: _policy(contoso(), private_cas=("Contoso Private CA",)),
    "certificate-optional": lambda: _policy(contoso(), rules=(RuleSeverity("mtls-client-cert-missing", "off"),)),
    "owas-outside": _owas_outside,
    "xmpp-optional": lambda: _xmpp_partner(tls="optional"),
    "xmpp-unsupported": lambda: _xmpp_partner(tls="unsupported"),
    "xmpp-anywhere": lambda: _xmpp_partner(addresses=()),
}


@cache
def site(name: str) -> Topology:
    return SITES[name]()
