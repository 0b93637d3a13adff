"""Rules about XMPP federation: with whom, and through whom.

Strategy: the stream header names both domains in the clear even where TLS follows (RFC 6120 4.7), so the partner is
judged by the name that the peer gives itself: `from` when it opened the stream, `to` when we did. Where no name was
seen the address must do, and only a list of addresses that is complete can say no.
"""

from __future__ import annotations

from rules import names
from rules.domains import NO_NAME, SIP_DOMAIN
from rules.endpoints import Endpoint
from rules.facts import Facts
from rules.observation import XmppClear, XmppNamespace
from rules.registry import rule
from rules.topology import XmppPartner, at_least

_XMPP_PRODUCTS = (names.LYNC_2013, names.SFB_2015)
"""XMPP is built into these; 2010 has a gateway server of its own, 2019 and later have none."""


def _peer_opened(facts: Facts) -> bool | None:
    """Whether the far end opened this stream at our XMPP proxy, where a later product's would be, or at the address of
    another service, where none belongs; None if it is no such stream."""
    for own, far, ours in ((facts.destination, facts.source, False), (facts.source, facts.destination, True)):
        pool = facts.site.edge_pool(own)
        if not own.has(*names.OUTER_EDGE) or far.zone != names.EXTERNAL or pool is None:
            continue
        if at_least(pool.product, names.LYNC_2013) and facts.port == (5269 if ours else pool.xmpp.port):
            return not ours
    return None


def _subject(facts: Facts) -> str | None:
    opened = _peer_opened(facts)
    if opened is None or _peer_domain(facts, opened) == NO_NAME:
        return None
    return "edgewarden.xmpp.from" if opened != _swapped(facts, opened) else "edgewarden.xmpp.to"


def _peer_domain(facts: Facts, peer_opened: bool) -> int:
    seen = facts.observation
    return seen.xmpp_from if peer_opened != _swapped(facts, peer_opened) else seen.xmpp_to


def _swapped(facts: Facts, peer_opened: bool) -> bool:
    """Whether the names are those of an answer's header: without its id, and without the header that it answers, it
    reads like an opener's, and our own domain stands where the peer's would."""
    seen, domains = facts.observation, facts.site.domains
    peer, own = (seen.xmpp_from, seen.xmpp_to) if peer_opened else (seen.xmpp_to, seen.xmpp_from)
    return SIP_DOMAIN in domains.uses(peer) and SIP_DOMAIN not in domains.uses(own)


def _listed(partner: XmppPartner, endpoint: Endpoint) -> bool:
    return endpoint.network is not None and any(
        endpoint.network.num_addresses == 1 and endpoint.network.network_address == address
        for address in partner.addresses
    )


@rule(
    "xmpp-partner-not-configured",
    severity="high",
    positions=("external",),
    text="An XMPP stream at an Edge names a domain that is no configured partner, comes from an address "
    "that the partner does not list, or names nobody and comes from an address that no partner lists.",
    sources=("COMP", "XCFG", "RFC 6120 §4.7"),
    controls=("AC-4", "CA-3"),
    subject=_subject,
)
def xmpp_partner_not_configured(facts: Facts) -> str | None:
    if not facts.tcp:
        return None
    opened = _peer_opened(facts)
    if opened is None:
        return None
    site = facts.site
    peer, own = (facts.source, facts.destination) if opened else (facts.destination, facts.source)
    pool = site.edge_pool(own)
    if pool is None or pool.product not in _XMPP_PRODUCTS:
        return None  # later products have no partners to list: `xmpp-unsupported-version`
    partners = site.topology.federation.xmpp_partners
    domain = _peer_domain(facts, opened)
    way = f"{facts.source} opened XMPP on {facts.at_port} to {facts.destination}"
    remedy = f"{'refuse it' if opened else 'find out who of ours writes there'}, or configure the partner"
    if domain == NO_NAME:
        if any(not partner.addresses for partner in partners) or any(_listed(p, peer) for p in partners):
            return None
        return f"{way}, and no configured partner lists that address: {remedy}."
    partner = _named(facts, domain)
    if partner is None:
        name = site.domains.text(domain)
        called = f"the domain {name}" if name is not None else "a domain"
        return f"{way} for {called} that is no configured partner: {remedy}."
    if partner.addresses and not _listed(partner, peer):
        return f"{way} for {partner.domain}, which lists other addresses: check who stands there."
    return None


def _partner(facts: Facts) -> XmppPartner | None:
    """The configured partner of a stream at an Edge of ours, by the name it gives itself, else by a listed address."""
    opened = _peer_opened(facts)
    if not facts.tcp or opened is None:
        return None
    peer, domain = facts.source if opened else facts.destination, _peer_domain(facts, opened)
    if domain == NO_NAME:
        return next((p for p in facts.site.topology.federation.xmpp_partners if _listed(p, peer)), None)
    return _named(facts, domain)


def _named(facts: Facts, domain: int) -> XmppPartner | None:
    """The configured partner of a domain, by its number."""
    site = facts.site
    partners = site.topology.federation.xmpp_partners
    return next((partner for partner in partners if site.domains.number(partner.domain) == domain), None)


@rule(
    "xmpp-cleartext-not-permitted",
    severity="high",
    positions=("external",),
    text="Messages, presence or queries crossed an XMPP stream without TLS, and the partner's setting `tls` is "
    "`required`.",
    sources=("XNEG", "RFC 6120 §5.3.1"),
    controls=("SC-8", "SC-8(1)", "CM-6"),
    subject=_subject,
)
def xmpp_cleartext_not_permitted(facts: Facts) -> str | None:
    if not facts.observation.xmpp_clear & XmppClear.STANZA:
        return None
    partner = _partner(facts)
    if partner is None or partner.tls != "required":
        return None
    return f"{facts.source} and {facts.destination} exchange XMPP for {partner.domain} in the clear: TLS is required."


@rule(
    "xmpp-sasl-without-tls",
    severity="high",
    positions=("external",),
    text="SASL began on an XMPP stream at an Edge before TLS, which it needs whatever the partner's settings are.",
    sources=("XNEG", "RFC 6120 §13.8.3"),
    controls=("SC-8", "SC-8(1)"),
    subject=_subject,
)
def xmpp_sasl_without_tls(facts: Facts) -> str | None:
    if not facts.tcp or not facts.observation.xmpp_clear & XmppClear.SASL or _peer_opened(facts) is None:
        return None
    return f"{facts.source} and {facts.destination} began SASL on {facts.at_port} in the clear: let TLS come first."


@rule(
    "xmpp-direct-from-internal",
    severity="critical",
    positions=("external", "internal"),
    text="Server-to-server XMPP (5269) runs past the Edge's proxy: between an inside host and the Internet, or "
    "across the internal firewall at all.",
    sources=("P-XMPP",),
    controls=("AC-4", "SC-7(5)", "SC-7(8)"),
)
def xmpp_direct_from_internal(facts: Facts) -> str | None:
    if not facts.tcp or facts.port != 5269 or not facts.crosses_internal or facts.undeclared:
        return None
    return (
        f"{facts.source} opened XMPP on {facts.at_port} to {facts.destination} across the internal firewall: "
        "5269 ends at the Edge's XMPP proxy, the Front End reaches it there."
    )


@rule(
    "xmpp-gateway-direction",
    severity="high",
    positions=("internal",),
    text="The port between XMPP gateway and proxy is opened the wrong way: by the Edge, or by a host that is no "
    "Front End.",
    sources=("P-SNAT",),
    controls=("AC-4", "SC-7(5)"),
    about_opener=True,
    names_ends=True,
)
def xmpp_gateway_direction(facts: Facts) -> str | None:
    if not facts.tcp:
        return None
    opener = facts.site.edge_pool_of(facts.source, *names.INNER_EDGE)
    if opener is not None and facts.destination.inside:
        if not at_least(opener.product, names.LYNC_2013) or facts.port != opener.xmpp.internal_port:
            return None
        return (
            f"{facts.source} opened {facts.at_port} to {facts.destination}: the Front End opens XMPP to the Edge, "
            "close the internal firewall the other way."
        )
    pool = facts.site.edge_pool_of(facts.destination, *names.INNER_EDGE)
    if pool is None or not at_least(pool.product, names.LYNC_2013) or facts.port != pool.xmpp.internal_port:
        return None
    source = facts.source
    if source.has(names.FE, names.FW_INT, names.FW_EXT) or "lb" in source.sections:
        return None
    if not source.inside and source.zone != names.PERIMETER_INT:
        return None  # from outside it is no matter of direction: `edge-internal-from-external`
    return f"{source} opened {facts.at_port} to {facts.destination}: let Front Ends alone open XMPP to the Edge."


@rule(
    "xmpp-client-port",
    severity="medium",
    positions=("external",),
    text="An XMPP client's stream comes to an Edge. The proxy speaks with servers alone and serves no clients.",
    sources=("COMP", "RFC 6120 §4.8.2"),
    controls=("CM-7", "SC-7(5)"),
    about_opener=True,
)
def xmpp_client_port(facts: Facts) -> str | None:
    if not facts.tcp or facts.source.zone != names.EXTERNAL or not facts.destination.has(*names.OUTER_EDGE):
        return None
    if "xmpp" not in facts.services:
        return None
    client = facts.observation.xmpp_namespace == XmppNamespace.CLIENT
    if not client and facts.port not in (5222, 5223):
        return None
    return (
        f"{facts.source} speaks XMPP as a client to {facts.destination} on {facts.at_port}: "
        "close the port, the proxy federates with servers alone."
    )


@rule(
    "xmpp-unsupported-version",
    severity="medium",
    positions=("external", "internal"),
    text="XMPP ports of an Edge are in use with a product that has no XMPP any more, and no older Edge stands beside "
    "it.",
    sources=("S19-DEP",),
    controls=("CM-7",),
    about_opener=True,
)
def xmpp_unsupported_version(facts: Facts) -> str | None:
    if not facts.tcp or any(not at_least(p.product, names.SFB_2019) for p in facts.site.topology.edge_pools):
        return None
    for own, far, listens in ((facts.destination, facts.source, True), (facts.source, facts.destination, False)):
        pool = facts.site.edge_pool(own) if own.own else None
        if pool is None:
            continue
        outer = own.has(*names.OUTER_EDGE) and far.zone == names.EXTERNAL
        inner = own.has(*names.INNER_EDGE) and far.inside
        federated = outer and facts.port == (pool.xmpp.port if listens else 5269)
        if federated or (inner and facts.port == pool.xmpp.internal_port):
            return (
                f"{facts.source} opened {facts.at_port} to {facts.destination}, and {pool.product} has no XMPP: "
                "close the port or keep an older Edge for it."
            )
    return None


@rule(
    "xmpp-wrong-ip",
    severity="low",
    positions=("external",),
    text="Server-to-server XMPP uses the address of Web Conferencing or A/V. The proxy shares the Access Edge's "
    "address.",
    sources=("P-SNAT",),
    controls=("CM-6",),
    about_opener=True,
)
def xmpp_wrong_ip(facts: Facts) -> str | None:
    if not facts.tcp:
        return None
    for own, far, listens in ((facts.destination, facts.source, True), (facts.source, facts.destination, False)):
        pool = facts.site.edge_pool_of(own, *names.OUTER_EDGE)
        if pool is None or own.has(*names.ACCESS_EDGE) or far.zone != names.EXTERNAL:
            continue
        if at_least(pool.product, names.LYNC_2013) and facts.port == (pool.xmpp.port if listens else 5269):
            return (
                f"{facts.source} opened XMPP on {facts.at_port} to {facts.destination}: "
                "the proxy's address is the Access Edge's, publish that one."
            )
    return None
