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

_WEB_ROLES = names.WEB_SERVERS


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
    text="A flow runs from the Internet straight to an inside host. The Edge and the proxy are the only ways in, and "
    "each ends the connection and opens one of its own.",
    sources=("COMP",),
    controls=("AC-4", "SC-7", "SC-7(5)"),
    only_misses_a_row=True,
    about_opener=True,
)
def external_to_internal_direct(facts: Facts) -> str | None:
    if facts.source.zone != names.EXTERNAL or not facts.destination.inside:
        return None
    return (
        f"{facts.source} {facts.reached} {facts.destination} on {facts.at_port} without passing the Edge or the "
        "reverse proxy: close both firewalls to it."
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
    controls=("AC-4", "SC-7(5)"),
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
    if pool.next_hop in facts.destination.pools:
        return None
    return (
        f"{facts.source} opened SIP on {facts.at_port} to {facts.destination} although its next hop is "
        f"{pool.next_hop}: let the internal firewall pass it to that one alone."
    )


@rule(
    "reverse-proxy-bypass",
    severity="critical",
    positions=("external", "internal"),
    text="Web services inside are addressed without the reverse proxy: from the Internet, or from a perimeter host "
    "other than the proxy on the ports of the external web site.",
    sources=("P-RP", "COMP"),
    controls=("AC-4", "SC-7"),
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
    controls=("AC-4", "SC-7"),
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


_SIP_PORT = 5061
_XMPP_PORT = 5269
_TURN_SERVICES = frozenset({"turn", "pseudo-tls"})


@rule(
    "internal-to-external-direct",
    severity="high",
    positions=("external", "internal"),
    text="An inside host opens signalling or relayed media straight to the Internet: a server SIP, XMPP or TURN, a "
    "client SIP or XMPP between servers. The Edge is the one way out for these.",
    sources=("COMP",),
    controls=("AC-4", "SC-7(5)", "SC-7(8)"),
    only_misses_a_row=True,
    about_opener=True,
)
def internal_to_external_direct(facts: Facts) -> str | None:
    if not facts.source.inside or facts.destination.zone != names.EXTERNAL:
        return None
    signalling = facts.tcp and facts.port in (_SIP_PORT, _XMPP_PORT)
    if not signalling and not (facts.source.server and _relayed_media(facts)):
        return None
    return (
        f"{facts.source} opened {facts.at_port} to {facts.destination} past the Edge: "
        "let it go through the Edge and close both firewalls to it."
    )


def _relayed_media(facts: Facts) -> bool:
    """TURN by its port, and on 443, which is everybody's, by its bytes."""
    if facts.port == 3478:
        return facts.tcp or facts.udp
    return facts.tcp and facts.port == 443 and not _TURN_SERVICES.isdisjoint(facts.services)


@rule(
    "sba-direct-from-external",
    severity="critical",
    positions=("external", "internal"),
    text="A flow runs from the Internet to a branch appliance. Branches use the central Edge; nothing reaches an "
    "appliance from outside.",
    sources=("P-SNAT",),
    controls=("AC-4", "SC-7", "SC-7(5)"),
    about_opener=True,
)
def sba_direct_from_external(facts: Facts) -> str | None:
    if facts.source.zone != names.EXTERNAL or not facts.destination.has(names.SBA):
        return None
    return (
        f"{facts.source} {facts.reached} the branch appliance {facts.destination} on {facts.at_port}: "
        "close the firewalls to it, branches use the central Edge."
    )


def _owas_published(facts: Facts) -> bool:
    farms = {facts.destination.component, *facts.destination.pools}
    return any(entry.to in farms for proxy in facts.site.topology.reverse_proxies for entry in proxy.publishes)


@rule(
    "owas-in-perimeter",
    severity="low",
    positions=("external", "internal"),
    text="Office Web Apps answers from a perimeter address. It must be a domain member, and the vendor documents the "
    "place but advises against it. Or it is reached from the Internet past the proxy that publishes it, wherever it "
    "stands: this is high.",
    sources=("CONF", "OWAS"),
    controls=("AC-4", "SC-7(5)"),
    about_opener=True,
    graver=lambda facts: "high" if facts.source.zone == names.EXTERNAL and _owas_published(facts) else None,
)
def owas_in_perimeter(facts: Facts) -> str | None:
    if not facts.destination.has(names.OWAS) or not facts.answered:
        return None
    if facts.source.zone == names.EXTERNAL and _owas_published(facts):
        return (
            f"{facts.source} reached {facts.destination} on {facts.at_port} although a reverse proxy publishes it: "
            "let the proxy alone address it."
        )
    if not facts.destination.perimeter:
        return None
    return (
        f"{facts.destination} answered {facts.source} on {facts.at_port} from the perimeter: "
        "move Office Web Apps inside, it has to be a domain member."
    )


_APPLE_PUSH = 5223


@rule(
    "push-not-via-sipfed",
    severity="medium",
    positions=("external", "internal"),
    text="An inside server opens a push service itself. Notifications go from the Access Edge to "
    "sipfed.online.lync.com on 5061, and the cloud talks to the push services.",
    sources=("PUSH",),
    controls=("AC-4", "SC-7(5)"),
    about_opener=True,
    names_ends=True,
)
def push_not_via_sipfed(facts: Facts) -> str | None:
    if not facts.tcp or not facts.source.inside or not facts.source.own or not facts.source.server:
        return None
    if facts.destination.zone != names.EXTERNAL:
        return None
    hosted = facts.port == _SIP_PORT and "federation.push" in facts.destination.sections
    # A port alone proves nothing; that a server opens TLS on Apple's own port does.
    apple = facts.port == _APPLE_PUSH and "tls" in facts.services
    if not hosted and not apple:
        return None
    return (
        f"{facts.source} opened a push service on {facts.at_port} itself: "
        "let notifications leave by the Access Edge to sipfed.online.lync.com."
    )
