"""What a topology file alone shows: designs that can be understood but that the vendor does not support.

Strategy: one small function per rule, each reading the model and yielding its findings; no traffic, no side effects.
These findings are at position `config`: they change neither verdict nor exit status of an audit. What the file states
counts here (a second pool published for federation); what it merely makes likely (Office Web Apps in the perimeter)
counts once the traffic proves it. What has no effect or contradicts itself is told by `rules.remarks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from rules import names
from rules.components import Address, EdgeMember, EdgePool, Translated
from rules.declared import edge_services
from rules.topology import Topology


@dataclass(frozen=True, slots=True)
class ConfigFinding:
    """A finding at position `config`. `component`: FQDN of the pool or server, None when it is the site as a whole."""

    rule: str
    severity: str  # rules.names.SEVERITIES
    message: str  # one sentence
    component: str | None = None


Check = Callable[[Topology], Iterator[ConfigFinding]]


def config_findings(topology: Topology) -> list[ConfigFinding]:
    """All of them, gravest first, then in the order of the file. Severities the site has set hold; `off` drops."""
    found: list[ConfigFinding] = []
    for check in CHECKS:
        for finding in check(topology):
            severity = topology.policy.severity_of(finding.rule) or finding.severity
            if severity != names.OFF:
                found.append(ConfigFinding(finding.rule, severity, finding.message, finding.component))
    return sorted(found, key=lambda finding: names.SEVERITIES.index(finding.severity))


def _lb_mixed_mode(topology: Topology) -> Iterator[ConfigFinding]:
    """Both sides of an Edge pool must be balanced in the same way ("Components required for external user access",
    "Load balancing requirements")."""
    external, internal = topology.load_balancing.external, topology.load_balancing.internal
    if external != internal and "hardware" in (external, internal):
        yield ConfigFinding(
            "lb-mixed-mode",
            "high",
            f"external interfaces are balanced by {_balanced(external)}, internal ones by {_balanced(internal)}; "
            "both sides must use the same",
        )
        return
    for pool in topology.edge_pools:
        sides = {"external": bool(_virtual(pool)), "internal": bool(pool.vips.internal)}
        for side, virtual in sides.items():
            if virtual and external != "hardware":
                yield ConfigFinding(
                    "lb-mixed-mode",
                    "high",
                    f"{pool.fqdn} has {side} virtual addresses, yet its {side} interfaces are balanced by "
                    f"{_balanced(external)}; only hardware load balancing has virtual addresses",
                    pool.fqdn,
                )
        if external == "hardware" and len(pool.members) > 1:
            lacking = [name for name, there in _virtual_names(pool) if not there]
            if lacking:
                yield ConfigFinding(
                    "lb-mixed-mode",
                    "high",
                    f"{pool.fqdn} is hardware-balanced without a virtual address for {', '.join(lacking)}: its peers "
                    "address the nodes there",
                    pool.fqdn,
                )


def _virtual_names(pool: EdgePool) -> tuple[tuple[str, bool], ...]:
    vips = pool.vips
    outside = (("access", vips.access), ("webconf", vips.webconf), ("av", vips.av))
    return (*((name, vip != Translated()) for name, vip in outside), ("internal", bool(vips.internal)))


def _balanced(mode: str) -> str:
    return {"none": "nothing", "dns": "DNS", "hardware": "hardware"}[mode]


def _virtual(pool: EdgePool) -> tuple[Translated, ...]:
    return tuple(vip for vip in (pool.vips.access, pool.vips.webconf, pool.vips.av) if vip != Translated())


def _hlb_with_nat(topology: Topology) -> Iterator[ConfigFinding]:
    """Hardware-balanced Edges need public addresses on nodes and balancer ("Hardware load balancer requirements")."""
    for pool in topology.edge_pools:
        if topology.load_balancing.external != "hardware" and not _virtual(pool):
            continue
        nodes = [service for member in pool.members for _role, service in edge_services(member)]
        pairs = [(a, b) for service in (*_virtual(pool), *nodes) for a, b in service.pairs if a != b]
        if pairs:
            public, private = pairs[0]
            more = f", and {len(pairs) - 1} more" if len(pairs) > 1 else ""
            yield ConfigFinding(
                "hlb-with-nat",
                "high",
                f"{pool.fqdn} is hardware-balanced, yet {public} is translated to {private}{more}; "
                "public addresses must be on nodes and balancer",
                pool.fqdn,
            )


def _edge_same_subnet(topology: Topology) -> Iterator[ConfigFinding]:
    """External and internal interface must be in different networks ("Set up network interfaces for Edge Servers")."""
    for pool in topology.edge_pools:
        for member in pool.members:
            shared = shared_network(topology, member)
            if shared is not None:
                yield ConfigFinding(
                    "edge-same-subnet",
                    "high",
                    f"{member.fqdn} has an external and an internal address in {shared}; "
                    "its interfaces must be in different networks",
                    member.fqdn,
                )


def shared_network(topology: Topology, member: EdgeMember) -> str | None:
    """The narrowest declared network (or the one address) that holds an external and an internal address."""
    inside = {_network_of(topology, address) for address in member.internal} - {None}
    for _role, service in edge_services(member):
        for address in service.on_wire:
            if address in member.internal:
                return str(address)
            network = _network_of(topology, address)
            if network in inside:
                return network
    return None


def _network_of(topology: Topology, address: Address) -> str | None:
    return next((str(prefix.network) for prefix in topology.zones if address in prefix.network), None)


def _edge_internal_nat(topology: Topology) -> Iterator[ConfigFinding]:
    """The internal firewall routes, it never translates ("Determine external A/V firewall and port requirements")."""
    outer = topology.firewall_addresses("external")
    for firewall in topology.firewalls:
        if firewall.side == "internal" and firewall.nat == "static" and firewall.addresses != outer:
            yield ConfigFinding(
                "edge-internal-nat",
                "high",
                "the internal firewall translates addresses; towards an Edge's internal interface it must route",
            )


def _edge_multiple_federation_routes(topology: Topology) -> Iterator[ConfigFinding]:
    """Only one Edge pool may be published for federation ("Define your edge topology")."""
    published = [pool.fqdn for pool in topology.edge_pools if pool.federation]
    if topology.federation.enabled and len(published) > 1:
        yield ConfigFinding(
            "edge-multiple-federation-routes",
            "medium",
            f"{', '.join(published)} are all published for federation; one pool of an organisation may be",
        )


def _xmpp_multiple_sites(topology: Topology) -> Iterator[ConfigFinding]:
    """XMPP is hosted in one site ("Changes in Lync Server that affect Edge Server planning")."""
    sites = dict.fromkeys(pool.site for pool in topology.edge_pools if pool.xmpp.enabled)
    if len(sites) > 1:
        yield ConfigFinding(
            "xmpp-multiple-sites", "medium", f"XMPP is on at the sites {', '.join(sites)}; it may be hosted in one"
        )


INVALID_NEGOTIATION: Final = frozenset(
    {
        ("unsupported", "required"),
        ("unsupported", "optional"),
        ("required", "unsupported"),
        ("optional", "unsupported"),
        ("unsupported", "unsupported"),
    }
)
"""(TLS, SASL) that leave no way to authenticate when dialback is off, too: the five combinations that "Negotiation
settings for XMPP federated partners" calls not valid. SASL needs TLS; without SASL only dialback is left."""


def _xmpp_invalid_negotiation(topology: Topology) -> Iterator[ConfigFinding]:
    for partner in topology.federation.xmpp_partners:
        if not partner.dialback and (partner.tls, partner.sasl) in INVALID_NEGOTIATION:
            yield ConfigFinding(
                "xmpp-invalid-negotiation-config",
                "low",
                f"XMPP partner {partner.domain}: TLS {partner.tls}, SASL {partner.sasl} and no dialback "
                "leave no way to authenticate",
                partner.component,
            )


def _director_missing(topology: Topology) -> Iterator[ConfigFinding]:
    """A Director is optional but recommended with external access ("Overview of the Director")."""
    if not topology.director_pools:
        yield ConfigFinding(
            "director-missing",
            "info",
            "there is no Director: sign-ins from the Internet reach a Front End pool unauthenticated",
        )


CHECKS: Final[tuple[Check, ...]] = (
    _lb_mixed_mode,
    _hlb_with_nat,
    _edge_same_subnet,
    _edge_internal_nat,
    _edge_multiple_federation_routes,
    _xmpp_multiple_sites,
    _xmpp_invalid_negotiation,
    _director_missing,
)
