"""Rules about the Edge's inner services: replication, logging, media credentials, web conferencing, and inside ports.

Strategy: each of these has one side that opens and a short list of who it may be. A rule asks for that port at that end
and for a source that is not on the list; the other direction has rules of its own.
"""

from __future__ import annotations

from rules import names
from rules.components import EdgePool
from rules.facts import Facts
from rules.observation import Answered, Initiator, Tls
from rules.ports import INTERNAL_MEDIA, INTERNAL_TCP, INTERNAL_UDP
from rules.registry import rule
from rules.topology import at_least


def _inner_pool(facts: Facts) -> EdgePool | None:
    """The Edge pool whose inner address a TCP flow goes to, unless a firewall or a balancer looks whether it is
    alive."""
    if not facts.tcp or _looks_whether_alive(facts):
        return None
    return facts.site.edge_pool_of(facts.destination, *names.INNER_EDGE)


def _looks_whether_alive(facts: Facts) -> bool:
    """A balancer does, whatever it says, and a firewall that says nothing; one that speaks does so in place of whoever
    it hides, and is no better a source than any other host there."""
    silent_firewall = facts.source.has(names.FW_EXT, names.FW_INT) and not facts.opener_spoke
    return silent_firewall or "lb" in facts.source.sections


@rule(
    "cms-replication-wrong-source",
    severity="high",
    positions=("internal",),
    text="Somebody other than the configuration master opens the replication port of an Edge.",
    sources=("P-SNAT", "P-RP"),
    controls=("AC-4", "SC-7(5)"),
    only_misses_a_row=True,
    about_opener=True,
    names_ends=True,
)
def cms_replication_wrong_source(facts: Facts) -> str | None:
    pool = _inner_pool(facts)
    if pool is None or facts.port != pool.management.replica_port or facts.source.has(names.CMS_MASTER):
        return None
    return (
        f"{facts.source} opened the replication port {facts.at_port} of {facts.destination}: "
        "let the configuration master alone open it."
    )


def _opens_inside(facts: Facts) -> EdgePool | None:
    """The Edge pool whose inner address opens a TCP flow to an inside host."""
    if not facts.tcp or not facts.destination.inside:
        return None
    return facts.site.edge_pool_of(facts.source, *names.INNER_EDGE)


@rule(
    "cms-replication-reversed",
    severity="high",
    positions=("internal",),
    text="An Edge opens the replication port of an inside host. Configuration is pushed from inside to the Edge; the "
    "proxy's 4443 is something else.",
    sources=("P-RP",),
    controls=("AC-4", "SC-7(5)", "SI-4"),
    about_opener=True,
)
def cms_replication_reversed(facts: Facts) -> str | None:
    pool = _opens_inside(facts)
    if pool is None or facts.port != pool.management.replica_port:
        return None
    return (
        f"{facts.source} opened {facts.at_port} to {facts.destination}: replication is pushed from inside, "
        "close the internal firewall to it and find out what runs on the Edge."
    )


@rule(
    "psom-reversed",
    severity="high",
    positions=("internal",),
    text="An Edge opens web conferencing to a Front End. The Front End opens it, the Edge never does.",
    sources=("P-SNAT",),
    controls=("AC-4", "SC-7(5)"),
    about_opener=True,
)
def psom_reversed(facts: Facts) -> str | None:
    pool = _opens_inside(facts)
    if pool is None or facts.port != pool.webconf.internal_port or not facts.destination.has(names.FE):
        return None
    return (
        f"{facts.source} opened web conferencing on {facts.at_port} to {facts.destination}: "
        "Front Ends open it to the Edge, close the internal firewall the other way."
    )


@rule(
    "av-auth-wrong-source",
    severity="high",
    positions=("internal",),
    text="A client or a perimeter host opens the A/V authentication port of an Edge. Front Ends and branch "
    "appliances alone fetch media credentials there.",
    sources=("P-SNAT",),
    controls=("AC-4", "SC-7(5)"),
    only_misses_a_row=True,
    about_opener=True,
    names_ends=True,
)
def av_auth_wrong_source(facts: Facts) -> str | None:
    pool = _inner_pool(facts)
    if pool is None or facts.port != pool.av.auth_port:
        return None
    client = facts.source.inside and not facts.source.own
    if not client and not facts.source.perimeter and facts.source.zone != names.EXTERNAL:
        return None
    return (
        f"{facts.source} opened the A/V authentication port {facts.at_port} of {facts.destination}: "
        "let Front Ends and branch appliances alone open it."
    )


_MEDIA = frozenset({"stun", "turn", "pseudo-tls", "rtp", "rtcp"})


@rule(
    "cls-from-outside",
    severity="high",
    positions=("external", "internal"),
    text="A perimeter or Internet host opens a port of centralized logging: on an Edge's inner address, or on an "
    "outer one, where on the A/V address the same numbers are also relay ports. Inside controllers alone use "
    "them.",
    sources=("P-SNAT",),
    controls=("AC-4", "SC-7(5)"),
    only_misses_a_row=True,
    about_opener=True,
    names_ends=True,
)
def cls_from_outside(facts: Facts) -> str | None:
    if not facts.tcp or not (facts.source.perimeter or facts.source.zone == names.EXTERNAL):
        return None
    if _looks_whether_alive(facts):
        return None
    outer = facts.source.zone == names.EXTERNAL
    pool = facts.site.edge_pool_of(facts.destination, *names.INNER_EDGE, *(names.OUTER_EDGE if outer else ()))
    if pool is None or not at_least(pool.product, names.LYNC_2013) or facts.port not in pool.management.cls_ports:
        return None
    relay = facts.site.in_relay_range(facts.destination, facts.port)
    if relay and not (facts.observation.tls & Tls.CLIENT_HELLO and _MEDIA.isdisjoint(facts.services)):
        return None  # a relay port: media is expected there, and no bytes prove nothing
    return (
        f"{facts.source} opened the logging port {facts.at_port} of {facts.destination} from outside: "
        "let inside controllers alone open it."
    )


@rule(
    "internal-port-exposed",
    severity="critical",
    positions=("external", "internal"),
    text="A perimeter or Internet host opens a port that only inside servers own: file sharing, conferencing and "
    "mediation services, the internal web site, media of servers and clients.",
    sources=("INTP", "CSSVC"),
    controls=("AC-4", "SC-7(5)"),
    only_misses_a_row=True,
    about_opener=True,
)
def internal_port_exposed(facts: Facts) -> str | None:
    if not facts.destination.inside or not (facts.source.perimeter or facts.source.zone == names.EXTERNAL):
        return None
    spans = INTERNAL_TCP if facts.tcp else INTERNAL_UDP if facts.udp else ()
    listed = any(facts.port in span for span in spans)
    media = (facts.tcp or facts.udp) and facts.port in INTERNAL_MEDIA
    web = facts.tcp and facts.port in (80, 443) and facts.destination.has(*names.WEB_SERVERS)
    if not listed and not media and not web:
        return None
    return (
        f"{facts.source} opened {facts.at_port} to {facts.destination}, a port for inside hosts alone: "
        "close the internal firewall to it."
    )


@rule(
    "crl-blocked",
    severity="low",
    positions=("external",),
    text="The Access Edge asks a host on port 80 and nobody answers. Revocation lists are fetched there; without "
    "them certificates of partners cannot be checked.",
    sources=("P-SNAT", "RFC 5280 §4.2.1.13"),
    controls=("SC-17", "IA-5(2)"),
    about_opener=True,
    of_silence=True,
)
def crl_blocked(facts: Facts) -> str | None:
    if facts.leg is None or not facts.tcp or facts.port != 80 or facts.observation.answered != Answered.NO:
        return None
    if facts.observation.initiator != Initiator.SYN:
        return None  # the end of a connection whose beginning was not seen
    if not facts.source.has(names.EDGE_EXT_ACCESS) or facts.destination.zone != names.EXTERNAL:
        return None
    return (
        f"{facts.source} asked {facts.destination} on {facts.at_port} and nobody answered: "
        "let the external firewall pass revocation lists."
    )
