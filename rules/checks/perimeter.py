"""Rules about ways around the perimeter, the Director and the reverse proxy.

Strategy: each asks who opened what to whom. Most say "no row allows this" in a more telling way than `unlisted-path`;
those are marked, and step back where a row does permit the flow.
"""

from __future__ import annotations

from rules import names
from rules.endpoints import Endpoint
from rules.facts import Facts
from rules.registry import rule
from rules.switches import DOCUMENTED_OPEN, OTHER_FE
from rules.topology import Topology

_WEB_ROLES = (names.FE, names.DIRECTOR, names.WEB_VIP)


def _external_web_ports(facts: Facts, target: Endpoint) -> tuple[int, ...]:
    """Ports of the external web site behind the target: what a reverse proxy alone may address."""
    pool = facts.site.web_pool(target)
    if pool is None:  # Office Web Apps has no such site of its own: the vendor's numbers
        return (4443, 8080)
    return (pool.web.external_https, pool.web.external_http)


@rule(
    "external-to-internal-direct",
    severity="critical",
    positions=("external", "internal"),
    text="A flow runs from the Internet straight to an inside host. The Edge and the proxy are the only ways in, "
    "and each ends the connection and opens one of its own.",
    sources=("COMP",),
    controls=("AC-4", "SC-7", "SC-7(5)"),
    only_misses_a_row=True,
    about_opener=True,
)
def external_to_internal_direct(facts: Facts) -> str | None:
    if facts.source.zone != names.EXTERNAL or not facts.destination.inside:
        return None
    return (
        f"{facts.source} reached {facts.destination} on {facts.at_port} without passing the Edge or the reverse proxy: "
        "close both firewalls to it."
    )


def _director_bypass_severity(topology: Topology) -> str:
    return "info" if topology.policy.director_bypass == DOCUMENTED_OPEN else "critical"


@rule(
    "director-bypass-sip",
    severity="critical",
    positions=("internal",),
    text="An Edge opens SIP to an inside host that is not its next hop although a Director is deployed. "
    "Unauthenticated traffic is meant to end at the Director; `director_bypass: documented-open` notes it as "
    "info instead.",
    sources=("COMP", "TOPO", "AUTH", "P-DIR1"),
    controls=("AC-4", "SC-7(5)", "SC-7(8)"),
    only_misses_a_row=True,
    about_opener=True,
    even_on=(OTHER_FE,),
    severity_on=_director_bypass_severity,
)
def director_bypass_sip(facts: Facts) -> str | None:
    if not facts.tcp or not facts.source.has(*names.INNER_EDGE) or not facts.destination.inside:
        return None
    pool = facts.site.edge_pool(facts.source)
    topology = facts.site.topology
    if pool is None or facts.port != pool.access.internal_port or not topology.director_pools:
        return None
    if pool.next_hop in facts.destination.pools or facts.destination.has(names.DIRECTOR):
        return None
    return (
        f"{facts.source} opened SIP on {facts.at_port} to {facts.destination} although {pool.next_hop} is its hop: "
        "let the internal firewall pass it to the Director alone."
    )


@rule(
    "reverse-proxy-bypass",
    severity="critical",
    positions=("external", "internal"),
    text="Web services inside are addressed without the reverse proxy: from the Internet, or from a perimeter host "
    "other than the proxy on the ports of the external web site.",
    sources=("P-RP", "COMP"),
    controls=("AC-4", "SC-7", "SC-7(8)"),
    only_misses_a_row=True,
    about_opener=True,
)
def reverse_proxy_bypass(facts: Facts) -> str | None:
    if not facts.tcp or not facts.destination.has(*_WEB_ROLES, names.OWAS) or not facts.destination.inside:
        return None
    ports = _external_web_ports(facts, facts.destination)
    if facts.source.zone == names.EXTERNAL:
        ports = (*ports, 80, 443)
    elif not facts.source.perimeter or facts.source.has(names.RP_INT, *names.INNER_EDGE):
        return None
    if facts.port not in ports:
        return None
    return (
        f"{facts.source} opened {facts.at_port} to {facts.destination}, past the reverse proxy: "
        "only the proxy's inside address may address these services."
    )


@rule(
    "reverse-proxy-nat-forward",
    severity="critical",
    positions=("external", "internal"),
    text="A connection for the external web site arrives with the client's own address: something forwards by "
    "address translation where a proxy should end the connection and open a new one.",
    sources=("RPREQ", "RPRULE"),
    controls=("AC-4", "SC-7(8)"),
    about_opener=True,
)
def reverse_proxy_nat_forward(facts: Facts) -> str | None:
    if not facts.tcp or facts.source.zone != names.EXTERNAL or not facts.destination.has(*_WEB_ROLES):
        return None
    if not facts.destination.inside or facts.port not in _external_web_ports(facts, facts.destination):
        return None
    return (
        f"{facts.destination} was addressed on {facts.at_port} by the client's own Internet address: "
        "publish it through a proxy that bridges, not by translating the destination."
    )


@rule(
    "reverse-proxy-internal-site",
    severity="high",
    positions=("internal",),
    text="The proxy addresses the internal web site (443, 80) of a Director or Front End. External requests must "
    "reach the external site (4443, 8080), by which the servers tell them apart.",
    sources=("P-RP", "HLBREQ"),
    controls=("AC-4", "SC-7(5)"),
    only_misses_a_row=True,
    about_opener=True,
)
def reverse_proxy_internal_site(facts: Facts) -> str | None:
    if not facts.tcp or not facts.source.has(names.RP_INT) or not facts.destination.has(*_WEB_ROLES):
        return None
    if not facts.destination.inside or facts.port not in (80, 443):
        return None
    if facts.port in _translated_ports(facts) or facts.port in _external_web_ports(facts, facts.destination):
        return None
    secure, plain = _external_web_ports(facts, facts.destination)
    return (
        f"{facts.source} opened {facts.at_port} to the internal web site of {facts.destination}: "
        f"send published requests to {secure} (or {plain})."
    )


def _translated_ports(facts: Facts) -> tuple[int, ...]:
    """443 and 80 of a VIP that maps them to the external site."""
    pool = facts.site.web_pool(facts.destination)
    if pool is None or not facts.destination.has(names.WEB_VIP) or not pool.web.vip_translates:
        return ()
    return (443, 80)
