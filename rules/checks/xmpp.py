"""Rules about XMPP federation: with whom, and through whom.

Strategy: the stream header names both domains in the clear even where TLS follows (RFC 6120 4.7), so the partner is
judged by the name that the peer gives itself: `from` when it opened the stream, `to` when we did. Where no name was
seen the address must do, and only a list of addresses that is complete can say no.
"""

from __future__ import annotations

from rules import names
from rules.domains import NO_NAME
from rules.endpoints import Endpoint
from rules.facts import Facts
from rules.registry import rule
from rules.topology import XmppPartner

_XMPP_PRODUCTS = (names.LYNC_2013, names.SFB_2015)


def _peer_opened(facts: Facts) -> bool | None:
    """Whether the far end opened this stream at our XMPP proxy; None if it is no such stream."""
    for own, far, ours in ((facts.destination, facts.source, False), (facts.source, facts.destination, True)):
        pool = facts.site.edge_pool(own)
        if not own.has(*names.ACCESS_EDGE) or far.zone != names.EXTERNAL or pool is None:
            continue
        if pool.product in _XMPP_PRODUCTS and facts.port == (5269 if ours else pool.xmpp.port):
            return not ours
    return None


def _subject(facts: Facts) -> str | None:
    opened = _peer_opened(facts)
    if opened is None or _peer_domain(facts, opened) == NO_NAME:
        return None
    return "edgewarden.xmpp.from" if opened else "edgewarden.xmpp.to"


def _peer_domain(facts: Facts, peer_opened: bool) -> int:
    return facts.observation.xmpp_from if peer_opened else facts.observation.xmpp_to


def _listed(partner: XmppPartner, endpoint: Endpoint) -> bool:
    return endpoint.network is not None and any(
        endpoint.network.num_addresses == 1 and endpoint.network.network_address == address
        for address in partner.addresses
    )


@rule(
    "xmpp-partner-not-configured",
    severity="high",
    positions=("external",),
    text="An XMPP stream at the Edge's proxy names a domain that is no configured partner, comes from an address "
    "that the partner does not list, or names nobody and comes from an address that no partner lists.",
    sources=("COMP", "XCFG", "RFC 6120 §4.7"),
    controls=("AC-4", "AC-17", "CA-3"),
    subject=_subject,
)
def xmpp_partner_not_configured(facts: Facts) -> str | None:
    if not facts.tcp:
        return None
    opened = _peer_opened(facts)
    if opened is None:
        return None
    site = facts.site
    peer = facts.source if opened else facts.destination
    partners = site.topology.federation.xmpp_partners
    domain = _peer_domain(facts, opened)
    if domain == NO_NAME:
        if any(not partner.addresses for partner in partners) or any(_listed(p, peer) for p in partners):
            return None
        return f"{peer} speaks with our XMPP proxy and no configured partner lists that address: refuse it."
    partner = next((p for p in partners if site.domains.number(p.domain) == domain), None)
    if partner is None:
        name = site.domains.text(domain)
        called = f"the domain {name}" if name is not None else "a domain"
        return f"{peer} speaks XMPP for {called} that is no configured partner: refuse it or configure the partner."
    if partner.addresses and not _listed(partner, peer):
        return f"{peer} speaks XMPP for {partner.domain}, which lists other addresses: check who stands there."
    return None


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
