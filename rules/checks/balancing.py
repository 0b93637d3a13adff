"""Rules about load balancing, translation and addresses that one flow proves.

Strategy: with hardware balancing each service of an Edge pool has one right address, the virtual one or the node's; a
flow to the other one is enough. A source that only a firewall or a balancer can have, at an Edge, shows a
translation. What takes two flows to show (both sides of a firewall, a reply from another address) is in
`rules.correlate`.
"""

from __future__ import annotations

from rules import names
from rules.checks.pairs import source_changed, translated_inside
from rules.components import EdgePool
from rules.facts import Facts
from rules.observation import Answered, Initiator, Stun
from rules.paths import HAIRPIN
from rules.registry import rule

_HLB_CONTROLS = ("CM-6", "CM-7")


def _virtual_inner(facts: Facts) -> EdgePool | None:
    """The pool whose inner virtual address an inside host, or anybody else, opens a TCP flow to."""
    return facts.site.edge_pool_of(facts.destination, names.EDGE_INT_VIP) if facts.tcp else None


@rule(
    "hlb-internal-vip-webconf",
    severity="high",
    positions=("internal",),
    text="Web conferencing goes to the inner virtual address of an Edge pool. It must not be balanced: each Front "
    "End opens it to the nodes.",
    sources=("HLBREQ",),
    controls=_HLB_CONTROLS,
    about_opener=True,
)
def hlb_internal_vip_webconf(facts: Facts) -> str | None:
    pool = _virtual_inner(facts)
    if pool is None or facts.port != pool.webconf.internal_port:
        return None
    return (
        f"{facts.source} opened web conferencing on {facts.at_port} of the virtual address of {pool.fqdn}: "
        "take that port off the balancer, nodes are addressed one by one."
    )


@rule(
    "hlb-internal-vip-xmpp",
    severity="high",
    positions=("internal",),
    text="The XMPP gateway speaks to the inner virtual address of an Edge pool. It must not be balanced.",
    sources=("HLBREQ",),
    controls=_HLB_CONTROLS,
    about_opener=True,
)
def hlb_internal_vip_xmpp(facts: Facts) -> str | None:
    pool = _virtual_inner(facts)
    if pool is None or facts.port != pool.xmpp.internal_port:
        return None
    return (
        f"{facts.source} opened XMPP on {facts.at_port} of the virtual address of {pool.fqdn}: "
        "take that port off the balancer, nodes are addressed one by one."
    )


@rule(
    "hlb-internal-vip-mgmt",
    severity="medium",
    positions=("internal",),
    text="Replication or logging goes to the inner virtual address of an Edge pool. They are listed for each node "
    "only.",
    sources=("P-HLB",),
    controls=_HLB_CONTROLS,
    about_opener=True,
)
def hlb_internal_vip_mgmt(facts: Facts) -> str | None:
    pool = _virtual_inner(facts)
    if pool is None or facts.port not in (pool.management.replica_port, *pool.management.cls_ports):
        return None
    return (
        f"{facts.source} opened {facts.at_port} of the virtual address of {pool.fqdn}: "
        "address each node for replication and logging."
    )


@rule(
    "hlb-node-direct-sip",
    severity="medium",
    positions=("external", "internal"),
    text="SIP or web conferencing addresses a node of a hardware-balanced Edge pool. Those rows exist for its "
    "virtual addresses only.",
    sources=("P-HLB", "L10-HLB"),
    controls=_HLB_CONTROLS,
    only_misses_a_row=True,
    about_opener=True,
)
def hlb_node_direct_sip(facts: Facts) -> str | None:
    if not facts.tcp or facts.source.perimeter or facts.source.virtual or facts.destination.virtual:
        return None
    pool = facts.site.edge_pool_of(facts.destination, names.EDGE_EXT_ACCESS, names.EDGE_EXT_WEBCONF, names.EDGE_INT)
    if pool is None or not _at_node(facts, pool):
        return None
    return (
        f"{facts.source} opened {facts.at_port} of the node {facts.destination} although {pool.fqdn} is balanced by "
        "hardware: address its virtual address."
    )


def _at_node(facts: Facts, pool: EdgePool) -> bool:
    """Whether this node's port belongs to a virtual address of the pool."""
    node, vips = facts.destination, pool.vips
    if facts.source.zone == names.EXTERNAL:
        access = node.has(names.EDGE_EXT_ACCESS) and vips.access.all
        webconf = node.has(names.EDGE_EXT_WEBCONF) and vips.webconf.all
        return bool(
            (access and facts.port in (pool.access.port, pool.access.federation_port))
            or (webconf and facts.port == pool.webconf.port)
        )
    inner = node.has(names.EDGE_INT) and vips.internal and facts.source.inside
    return bool(inner and facts.port in (pool.access.internal_port, pool.av.auth_port))


_AV_SERVICES = frozenset({"stun", "turn", "pseudo-tls", "rtp", "rtcp"})


@rule(
    "hlb-av-snat",
    severity="high",
    positions=("external", "internal"),
    text="Media arrive at an Edge node from the balancer's own address. The A/V Edge must see the client's: "
    "translating the source is forbidden for it.",
    sources=("P-HLB",),
    controls=_HLB_CONTROLS,
    about_opener=True,
    names_ends=True,
)
def hlb_av_snat(facts: Facts) -> str | None:
    if not (facts.tcp or facts.udp) or _AV_SERVICES.isdisjoint(facts.services):
        return None
    network = facts.source.network
    if not facts.source.own or network is None:
        return None
    lb = facts.site.topology.lb
    for role, vip, snat in (
        (names.EDGE_EXT_AV, names.EDGE_EXT_VIP_AV, lb.external_snat),
        (names.EDGE_INT, names.EDGE_INT_VIP, lb.internal_snat),
    ):
        if facts.destination.has(role) and (facts.source.has(vip) or network.network_address in snat):
            return (
                f"{facts.destination} got media on {facts.at_port} from the balancer {facts.source} in place of the "
                "client: turn off translation of the source for A/V."
            )
    return None


@rule(
    "nat-inbound-source-changed",
    severity="high",
    positions=("external",),
    text="A flow comes to an outer listener of an Edge or a proxy from the firewall, or from a perimeter address "
    "that is nobody's: something translates the source. Inbound, only the destination may change.",
    sources=("AVFW", "SFB-ENV"),
    controls=("CM-6", "SI-4"),
    about_opener=True,
    names_ends=True,
    join=source_changed,
)
def nat_inbound_source_changed(facts: Facts) -> str | None:
    if not facts.listener or not facts.destination.has(*names.OUTER_EDGE, names.RP_EXT):
        return None
    source = facts.source
    nameless = source.zone == names.PERIMETER_EXT and not source.roles and not source.sections
    if not nameless and not (source.has(names.FW_EXT) and source.zone != names.EXTERNAL):
        return None
    return (
        f"{source} opened {facts.at_port} of {facts.destination}, whose clients stand on the Internet: "
        "translate the destination alone and leave the client's address."
    )


@rule(
    "edge-internal-nat",
    severity="high",
    positions=("internal",),
    text="A firewall's own inside address speaks to an inner listener of an Edge, or the two sides of the internal "
    "firewall show a connection with an Edge under different addresses: it translates. It must route: the Edge tells "
    "clients its own address and needs theirs.",
    sources=("AVFW", "SFB-ENV"),
    controls=("CM-6", "SI-4"),
    about_opener=True,
    names_ends=True,
    join=translated_inside,
)
def edge_internal_nat(facts: Facts) -> str | None:
    if not facts.listener or not facts.destination.has(*names.INNER_EDGE):
        return None
    outer = facts.source.zone in (names.EXTERNAL, names.PERIMETER_EXT)
    if outer or not facts.source.has(names.FW_INT, names.FW_EXT) or not facts.opener_spoke:
        return None  # without a byte it looks whether the Edge is alive
    return (
        f"{facts.source} speaks to {facts.at_port} of {facts.destination} in place of whoever it hides: "
        "let the internal firewall route, without translation."
    )


@rule(
    "av-pool-hairpin-blocked",
    severity="medium",
    positions=("external",),
    text="Members of an Edge pool try to reach one another by their public A/V addresses, and nobody answers. Two "
    "relayed users on different members then have no media.",
    sources=("SFB-ENV",),
    controls=("CM-6",),
    about_opener=True,
    of_silence=True,
)
def av_pool_hairpin_blocked(facts: Facts) -> str | None:
    if facts.leg is None or facts.leg.row != HAIRPIN or facts.observation.answered == Answered.YES:
        return None
    asked = facts.observation.stun & Stun.REQUEST if facts.udp else facts.observation.initiator == Initiator.SYN
    if not asked:
        return None  # the end of an exchange whose beginning was not seen
    return (
        f"{facts.source} got no answer from {facts.destination} on {facts.at_port}: "
        "let the external firewall pass the pool's public A/V addresses to each other."
    )
