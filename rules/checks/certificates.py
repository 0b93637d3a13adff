"""Rules about certificates: of our own listeners, and of a partner its validity and its name.

Strategy: what is expected where comes from `rules.certificates`; whether a certificate is valid the core has said,
against packet time. Each finding is about one certificate, so its fingerprint is the subject. Where no certificate
was seen (TLS 1.3, resumption, joined late) nothing is said.
"""

from __future__ import annotations

from rules import names
from rules.certificates import expected_of_listener, expected_of_peer
from rules.checks.pairs import passed_through
from rules.components import DirectorPool, FrontEndPool
from rules.detail import Certificate
from rules.facts import Facts
from rules.observation import Mutual, Validity
from rules.registry import rule

_SERVER = "tls.server.hash.sha256"
_CLIENT = "tls.client.hash.sha256"


def _server(facts: Facts) -> Certificate | None:
    """The certificate that a listener of ours showed; what else an own host shows is no service of the edge."""
    return facts.detail.server if facts.tcp and facts.listener else None


def _of_server(facts: Facts) -> str | None:
    return _SERVER if facts.detail.server is not None else None


@rule(
    "cert-name-mismatch",
    severity="high",
    positions=("external", "internal"),
    text="A listener of ours shows a certificate that lacks the name it must have there.",
    sources=("C-EXT", "C-INT", "C-HLB", "C-RP"),
    controls=("SC-17", "IA-5(2)", "SC-23"),
    subject=_of_server,
)
def cert_name_mismatch(facts: Facts) -> str | None:
    certificate = _server(facts)
    expected = expected_of_listener(facts) if certificate is not None else None
    if certificate is None or expected is None:
        return None
    missing = expected.missing(certificate)
    if missing is None:
        return None
    return (
        f"{facts.destination} showed {facts.source} a certificate of {certificate.subject or 'nobody'} on "
        f"{facts.at_port} that lacks {missing}: issue one with that name."
    )


@rule(
    "cert-wildcard-edge",
    severity="medium",
    positions=("external", "internal"),
    text="A certificate of ours has a wildcard where none is supported: as subject anywhere, among the alternative "
    "names on an Edge's outer side.",
    sources=("C-WILD", "C-HLB"),
    controls=("SC-17",),
    subject=_of_server,
)
def cert_wildcard_edge(facts: Facts) -> str | None:
    certificate = _server(facts)
    if certificate is None:
        return None
    wild = certificate.subject.startswith("*.")
    # One table of the vendor shows a wildcard for XMPP.
    if not wild and facts.destination.has(*names.OUTER_EDGE) and "xmpp" not in facts.services:
        wild = any(name.startswith("*.") for name in certificate.names)
    if not wild:
        return None
    return (
        f"{facts.destination} showed a certificate of {certificate.subject} with a wildcard on {facts.at_port}: "
        "issue one with full names."
    )


@rule(
    "cert-private-ca-edge-external",
    severity="medium",
    positions=("external",),
    text="An Edge's outer side shows a certificate of a private authority (`private_cas`), or one that signed "
    "itself. Federation and public IM need a public one.",
    sources=("C-EXT",),
    controls=("SC-17", "IA-5(2)"),
    subject=_of_server,
)
def cert_private_ca_edge_external(facts: Facts) -> str | None:
    certificate = _server(facts)
    if certificate is None or not facts.destination.has(*names.OUTER_EDGE):
        return None
    if not _private(facts, certificate):
        return None
    return (
        f"{facts.destination} showed a certificate issued by {certificate.issuer} on {facts.at_port}: "
        "use a public authority on the outer side."
    )


def _private(facts: Facts, certificate: Certificate) -> bool:
    private = {name.lower() for name in facts.site.topology.policy.private_cas}
    issuer = certificate.issuer.lower()
    return bool(issuer) and (issuer in private or issuer == certificate.subject)


@rule(
    "reverse-proxy-tls-passthrough",
    severity="high",
    positions=("external", "internal"),
    text="The proxy's outer address shows an inside server's certificate: it passes TLS through where it should end "
    "it, look at the request and open a session of its own.",
    sources=("RPREQ", "RPRULE", "C-INT"),
    controls=("AC-4", "SC-7"),
    subject=_of_server,
    join=passed_through,
)
def reverse_proxy_tls_passthrough(facts: Facts) -> str | None:
    certificate = facts.detail.server
    if certificate is None or not facts.tcp or not facts.destination.has(names.RP_EXT):
        return None
    topology = facts.site.topology
    pools: list[DirectorPool | FrontEndPool] = [*topology.director_pools, *topology.front_end_pools]
    servers = {pool.fqdn for pool in pools} | {member.fqdn for pool in pools for member in pool.members}
    published = {entry.host for proxy in topology.reverse_proxies for entry in proxy.publishes}
    if certificate.subject not in servers - published:
        return None
    return (
        f"{facts.destination} showed the certificate of {certificate.subject}, an inside server, on {facts.at_port}: "
        "let the proxy end TLS and open a session of its own."
    )


@rule(
    "cert-no-cdp",
    severity="low",
    positions=("external", "internal"),
    text="A listener of ours that serves TLS shows a certificate that does not say where its revocation list is. Every "
    "certificate of the product must, so that whoever is shown it can ask whether it was revoked. Said only of "
    "certificates whose extensions could be read to the end.",
    sources=("C-INFRA", "RFC 5280 §4.2.1.13"),
    controls=("SC-17", "IA-5(2)"),
    subject=_of_server,
)
def cert_no_cdp(facts: Facts) -> str | None:
    certificate = _server(facts)
    # Other people's sites at the proxy, and ports that are none of the product's, have certificates of their own.
    if certificate is None or certificate.revocation_list is not False or expected_of_listener(facts) is None:
        return None
    return (
        f"{facts.destination} showed a certificate of {certificate.subject or 'nobody'} on {facts.at_port} that names "
        "no place of a revocation list: request one that does."
    )


def _partner_port(facts: Facts) -> bool:
    federated = facts.leg is not None and facts.leg.service in ("mtls", "xmpp")
    return facts.tcp and (federated or facts.port in (5061, 5269))


def _expired_side(facts: Facts) -> str | None:
    """Whose certificate is outside its days: `_SERVER`, `_CLIENT`, or nobody's that we answer for or federate with."""
    bad = (Validity.EXPIRED, Validity.NOT_YET)
    outbound = facts.source.has(*names.ACCESS_EDGE) and facts.destination.zone == names.EXTERNAL
    if facts.observation.server_validity in bad and (facts.listener or (outbound and _partner_port(facts))):
        return _SERVER
    inbound = facts.destination.has(*names.ACCESS_EDGE) and facts.source.zone == names.EXTERNAL
    if facts.observation.client_validity in bad and inbound and _partner_port(facts):
        return _CLIENT
    return None


def _expired_subject(facts: Facts) -> str | None:
    side = _expired_side(facts)
    certificate = facts.detail.server if side == _SERVER else facts.detail.client
    return side if certificate is not None else None


@rule(
    "cert-expired",
    severity="high",
    positions=("external", "internal"),
    text="A certificate of ours, or of a partner on the federation ports, was shown outside the days it is valid.",
    sources=("RFC 5280 §4.1.2.5",),
    controls=("SC-17", "IA-5(2)"),
    subject=_expired_subject,
)
def cert_expired(facts: Facts) -> str | None:
    side = _expired_side(facts)
    if side is None or not facts.tcp:
        return None
    certificate = facts.detail.server if side == _SERVER else facts.detail.client
    validity = facts.observation.server_validity if side == _SERVER else facts.observation.client_validity
    whose = facts.destination if side == _SERVER else facts.source
    what = f"a certificate of {certificate.subject}" if certificate and certificate.subject else "a certificate"
    when = "has expired" if validity == Validity.EXPIRED else "is not valid yet"
    return f"{whose} showed {what} on {facts.at_port} that {when}: renew it."


def _untrusted_side(facts: Facts) -> str | None:
    """Whose certificate has a name that is not its host's: that of a client on a row of mutual TLS, or a partner's.
    At the Access Edge's port a partner's is judged while federation is off, too."""
    at_access = facts.edge_mutual_listener and facts.destination.has(*names.ACCESS_EDGE)
    mutual = facts.leg.mutual if facts.leg is not None else at_access
    if not mutual or facts.observation.mutual != Mutual.YES:
        return None
    client = facts.detail.client
    expected = expected_of_peer(facts.site, facts.source) if client is not None else None
    if client is not None and expected is not None and expected.missing(client) is not None:
        return _CLIENT
    server = facts.detail.server
    expected = expected_of_peer(facts.site, facts.destination) if server and not facts.destination.own else None
    if server is not None and expected is not None and expected.missing(server) is not None:
        return _SERVER
    return None


@rule(
    "mtls-untrusted-peer",
    severity="high",
    positions=("external", "internal"),
    text="A peer of mutual TLS shows a certificate without the name that the site gives for its address.",
    sources=("TLS", "C-EXT"),
    controls=("IA-3", "IA-3(1)", "SC-23"),
    subject=_untrusted_side,
)
def mtls_untrusted_peer(facts: Facts) -> str | None:
    side = _untrusted_side(facts)
    if side is None:
        return None
    certificate = facts.detail.client if side == _CLIENT else facts.detail.server
    peer, own = (facts.source, facts.destination) if side == _CLIENT else (facts.destination, facts.source)
    name = certificate.subject if certificate is not None and certificate.subject else "nobody"
    return (
        f"{peer} showed {own} a certificate of {name} on {facts.at_port}, which is not its name: "
        "find out who stands there."
    )
