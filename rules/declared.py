"""Every declared address with its role and component: the one list from which endpoints and rows are built.

Strategy: walk the model once, in the order of roles, and yield one entry per (address, role). An address with several
roles (Access Edge and XMPP proxy, a server that is also CMS master, a single-IP plan) is yielded once for each.
Component is the FQDN of the member; of a virtual address the pool's; of a partner its Access Edge's name, else its
domain; None for devices that have no name in the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from rules import names
from rules.components import Address, DirectorPool, EdgeMember, EdgePool, FrontEndPool, Network, Translated
from rules.topology import Topology

PUBLIC = "public"
PRIVATE = "private"
SAME = "same"
INNER = "inner"


@dataclass(frozen=True, slots=True)
class DeclaredAddress:
    """An own host's address in one role."""

    address: Address
    role: str | None  # rules.names.ROLES; None: infrastructure, neighbours, balancers' source addresses
    component: str | None
    pool: str | None  # FQDN of the pool the component belongs to; equal to `component` for a virtual address
    section: str  # key of the topology file that declares it
    face: str  # PUBLIC (as the Internet sees it), PRIVATE (its translation), SAME (both), INNER (no external face)
    virtual: bool = False  # a balancer's virtual address
    site: str | None = None  # None where sites do not apply


@dataclass(frozen=True, slots=True)
class DeclaredNetwork:
    """Clients or a peer: networks (an address is a network of one)."""

    network: Network
    role: str
    component: str | None
    section: str


def own_addresses(topology: Topology) -> Iterator[DeclaredAddress]:
    """All addresses of own hosts and devices, role by role."""
    for pool in topology.edge_pools:
        yield from _edge_pool(pool)
    for proxy in topology.reverse_proxies:
        section, site = "reverse_proxies", proxy.site
        yield from _faces(proxy.external, names.RP_EXT, proxy.fqdn, proxy.fqdn, section, site)
        yield from _inner(proxy.internal, names.RP_INT, proxy.fqdn, proxy.fqdn, section, site)
        for node in proxy.members:
            yield from _faces(node.external, names.RP_EXT, node.fqdn, proxy.fqdn, section, site)
            yield from _inner(node.internal, names.RP_INT, node.fqdn, proxy.fqdn, section, site)
        yield from _inner(proxy.snat, names.RP_INT, proxy.fqdn, proxy.fqdn, section, site)
    for director in topology.director_pools:
        yield from _inside_pool(director, names.DIRECTOR, "director_pools")
    masters = {member.fqdn for member in topology.cms_masters()}
    for front_end in topology.front_end_pools:
        yield from _inside_pool(front_end, names.FE, "front_end_pools")
        for member in front_end.members:
            common = (member.fqdn, front_end.fqdn, "front_end_pools", front_end.site)
            if front_end.xmpp_gateway:
                yield from _inner(member.address, names.XMPP_GATEWAY, *common)
            if member.fqdn in masters:
                yield from _inner(member.address, names.CMS_MASTER, *common)
    for farm in topology.office_web_apps:
        yield from _inner(farm.address, names.OWAS, farm.fqdn, farm.fqdn, "office_web_apps", None)
    for branch in topology.branch_appliances:
        yield from _inner(branch.address, names.SBA, branch.fqdn, branch.fqdn, "branch_appliances", None)
    for mediation in topology.mediation_pools:
        for member in mediation.members:
            common = (member.fqdn, mediation.fqdn, "mediation_pools", mediation.site)
            yield from _inner(member.address, names.MEDIATION, *common)
    for firewall in topology.firewalls:
        role = names.FW_EXT if firewall.side == "external" else names.FW_INT
        yield from _inner(firewall.addresses, role, None, None, "firewalls", firewall.site)
    yield from _inner(topology.vpn.gateways, names.VPN_GW, None, None, "vpn", None)
    lb = topology.lb
    for addresses in (lb.external_snat, lb.internal_snat, lb.self_addresses):
        yield from _inner(addresses, None, None, None, "lb", None, virtual=True)
    for host in topology.infrastructure:
        yield from _inner(host.address, None, host.fqdn, host.fqdn, "infrastructure", None)
    for neighbour in topology.others:
        yield from _inner(neighbour.addresses, None, neighbour.name, neighbour.name, "others", None)


def client_networks(topology: Topology) -> Iterator[DeclaredNetwork]:
    """Clients, administrators and the VPN pools. `egress` keeps zone external."""
    clients = topology.clients
    for section, networks, role in (
        ("clients.lan", clients.lan, names.INT_CLIENT),
        ("clients.wifi", clients.wifi, names.INT_CLIENT),
        ("clients.egress", clients.egress, names.INT_CLIENT),
        ("clients.admin", clients.admin, names.CLS_CONTROLLER),
    ):
        for network in networks:
            yield DeclaredNetwork(network, role, None, section)
    for prefix in topology.zones:
        if prefix.zone == names.VPN:
            yield DeclaredNetwork(prefix.network, names.VPN_CLIENT, None, "zones.vpn")


def peer_networks(topology: Topology) -> Iterator[DeclaredNetwork]:
    """Partners and providers that the file gives addresses for, whether federation is on or not."""
    federation = topology.federation
    for partner in federation.sip_partners:
        for address in partner.access + partner.av:
            network = ip_network(address)
            yield DeclaredNetwork(network, names.PARTNER_EDGE, partner.component, "federation.sip_partners")
    for xmpp in federation.xmpp_partners:
        for address in xmpp.addresses:
            network = ip_network(address)
            yield DeclaredNetwork(network, names.XMPP_PARTNER, xmpp.component, "federation.xmpp_partners")
    for section, networks, role in (
        ("federation.office365", federation.office365.sip, names.O365_SIPFED),
        ("federation.office365", federation.office365.media, names.O365_MEDIA),
        ("federation.push", federation.push.addresses, names.O365_SIPFED),
        ("federation.public_im", federation.public_im.addresses, names.PIC_PROVIDER),
    ):
        for network in networks:
            yield DeclaredNetwork(network, role, None, section)


def edge_services(member: EdgeMember) -> tuple[tuple[str, Translated], ...]:
    """(role, addresses) of the three external services."""
    return (
        (names.EDGE_EXT_ACCESS, member.access),
        (names.EDGE_EXT_WEBCONF, member.webconf),
        (names.EDGE_EXT_AV, member.av),
    )


def _edge_pool(pool: EdgePool) -> Iterator[DeclaredAddress]:
    section, site = "edge_pools", pool.site
    for member in pool.members:
        for role, addresses in edge_services(member):
            yield from _faces(addresses, role, member.fqdn, pool.fqdn, section, site)
        if pool.xmpp.enabled:  # the XMPP proxy shares the Access Edge's address
            yield from _faces(member.access, names.EDGE_XMPP_PROXY, member.fqdn, pool.fqdn, section, site)
        yield from _inner(member.internal, names.EDGE_INT, member.fqdn, pool.fqdn, section, site)
    for role, addresses in (
        (names.EDGE_EXT_VIP_ACCESS, pool.vips.access),
        (names.EDGE_EXT_VIP_WEBCONF, pool.vips.webconf),
        (names.EDGE_EXT_VIP_AV, pool.vips.av),
    ):
        yield from _faces(addresses, role, pool.fqdn, pool.fqdn, section, site, virtual=True)
    yield from _inner(pool.vips.internal, names.EDGE_INT_VIP, pool.fqdn, pool.fqdn, section, site, virtual=True)


def _inside_pool(pool: DirectorPool | FrontEndPool, role: str, section: str) -> Iterator[DeclaredAddress]:
    for member in pool.members:
        yield from _inner(member.address, role, member.fqdn, pool.fqdn, section, pool.site)
    yield from _inner(pool.sip_vip, role, pool.fqdn, pool.fqdn, section, pool.site, virtual=True)
    yield from _inner(pool.web.vip, names.WEB_VIP, pool.fqdn, pool.fqdn, section, pool.site, virtual=True)


def _faces(
    addresses: Translated,
    role: str,
    component: str,
    pool: str,
    section: str,
    site: str,
    *,
    virtual: bool = False,
) -> Iterator[DeclaredAddress]:
    on_wire = set(addresses.on_wire)
    for address in addresses.all:
        face = PRIVATE if address not in addresses.public else SAME if address in on_wire else PUBLIC
        yield DeclaredAddress(address, role, component, pool, section, face, virtual, site)


def _inner(
    addresses: Iterable[Address],
    role: str | None,
    component: str | None,
    pool: str | None,
    section: str,
    site: str | None,
    *,
    virtual: bool = False,
) -> Iterator[DeclaredAddress]:
    for address in addresses:
        yield DeclaredAddress(address, role, component, pool, section, INNER, virtual, site)
