"""Rules about the federation port of the Access Edge.

Strategy: who may come there is decided by switches (federation on or off, for which pool) and by the list of partners;
what comes must be mutual TLS. On a single address clients share the port: there only a client certificate tells that a
partner came, and all else is left alone.
"""

from __future__ import annotations

from rules import names
from rules.components import EdgePool, SipPartner
from rules.detail import Certificate
from rules.endpoints import Endpoint
from rules.facts import Facts
from rules.observation import Mutual
from rules.registry import rule


def _port_owner(facts: Facts, *, inbound: bool) -> EdgePool | None:
    """The Edge pool whose federation port a TCP flow between Access Edge and Internet is about. inbound: theirs to
    us."""
    own, far = (facts.destination, facts.source) if inbound else (facts.source, facts.destination)
    if not facts.tcp or far.zone != names.EXTERNAL:
        return None
    pool = facts.site.edge_pool_of(own, *names.ACCESS_EDGE)
    if pool is None or (pool.single_ip and facts.observation.mutual != Mutual.YES):
        return None
    return pool if facts.port == (pool.access.federation_port if inbound else 5061) else None


FEDERATION = ("ext-access-federation-", "ext-hlb-access-federation-", "ext-sip1-access-federation-")
PROVIDERS = ("ext-access-pic-", "ext-access-hybrid-sip-", "ext-access-push-")
"""How the ids begin of the rows for partners, and of those for public IM, the cloud and push."""


def _is_provider(facts: Facts, *, inbound: bool) -> bool:
    """Whether a row of push, public IM or hybrid knows the far end, also one that comes to the wrong address of ours;
    without addresses it knows any."""
    legs = (leg for leg in facts.site.legs if leg.row.startswith(PROVIDERS))
    if inbound:
        return any(facts.source.number in leg.sources for leg in legs)
    return any(facts.destination.number in leg.destinations for leg in legs)


def _peer(facts: Facts) -> tuple[Endpoint, bool] | None:
    """Whose place on the list of partners is in question, and whether that end opened: who came without a row or by
    the one for any partner, and whom the Access Edge opened by that row and found there."""
    any_partner = facts.leg is not None and facts.leg.row.startswith(FEDERATION)
    if _port_owner(facts, inbound=True) is not None:
        by_list = not facts.permitted or any_partner
        return (facts.source, True) if by_list and not _is_provider(facts, inbound=True) else None
    if _port_owner(facts, inbound=False) is None or not facts.answered or not any_partner:
        return None
    return None if _is_provider(facts, inbound=False) else (facts.destination, False)


def _is_listed(facts: Facts, peer: Endpoint, certificate: Certificate | None) -> bool:
    """By its address; where a listed partner may have any, by the names in its certificate, which must be seen."""
    partners = facts.site.topology.federation.sip_partners
    network = peer.network
    address = network.network_address if network is not None and network.num_addresses == 1 else None
    if any(address in partner.access + partner.av for partner in partners):
        return True
    if all(partner.access for partner in partners):
        return False
    return certificate is None or any(_names(certificate, partner) for partner in partners)


def _names(certificate: Certificate, partner: SipPartner) -> bool:
    """A partner's certificate has its Access Edge's name, or another one under its domain."""
    if partner.access_fqdn is not None and certificate.speaks_for(partner.access_fqdn):
        return True
    return any(name == partner.domain or name.endswith(f".{partner.domain}") for name in certificate.all_names)


def _shown(facts: Facts) -> Certificate | None:
    """The certificate of the far end of a flow at the federation port."""
    peer = _peer(facts)
    if peer is None:
        return None
    return facts.detail.client if peer[1] else facts.detail.server


def _subject(facts: Facts) -> str | None:
    if _shown(facts) is None:
        return None
    return "tls.server.hash.sha256" if facts.source.own else "tls.client.hash.sha256"


@rule(
    "federation-partner-not-allowed",
    severity="medium",
    positions=("external",),
    text="A host that belongs to no listed partner opens the federation port, or answers our Access Edge on its own, "
    "although discovery of partners is off. Its address decides; where a listed partner has no addresses, the names in "
    "its certificate do, and without one (TLS 1.3) nothing is said.",
    sources=("FEDDOM",),
    controls=("AC-4", "CA-3"),
    about_opener=True,
    subject=_subject,
)
def federation_partner_not_allowed(facts: Facts) -> str | None:
    federation, found, certificate = facts.site.topology.federation, _peer(facts), _shown(facts)
    if found is None or not federation.enabled or federation.discovery:
        return None
    peer, opened = found
    if facts.observation.mutual == Mutual.NO:
        return None  # no server at all: `mtls-client-cert-missing`
    if _is_listed(facts, peer, certificate):
        return None
    who = f"{peer}, with a certificate of {certificate.subject}," if certificate and certificate.subject else f"{peer}"
    if not opened:
        return (
            f"{facts.source} opened federation on {facts.at_port} and found {who} which is no listed partner, while "
            "discovery is off: list the partner, or find out why it is not refused."
        )
    return (
        f"{who} opened federation on {facts.at_port} of {facts.destination} and is no listed partner, while "
        "discovery is off: refuse it or list the partner."
    )


@rule(
    "federation-disabled-5061",
    severity="medium",
    positions=("external",),
    text="The federation port is in use between the Internet and an Access Edge for which federation is off.",
    sources=("TOPO",),
    controls=("AC-4", "CM-7"),
)
def federation_disabled_5061(facts: Facts) -> str | None:
    pool = _port_owner(facts, inbound=True) or _port_owner(facts, inbound=False)
    if (
        pool is None
        or pool.single_ip
        or facts.permitted
        or (facts.site.topology.federation.enabled and pool.federation)
    ):
        return None
    return (
        f"{facts.source} opened {facts.at_port} to {facts.destination} although federation is off for {pool.fqdn}: "
        "close the port, or publish that pool for federation."
    )


@rule(
    "client-on-federation-port",
    severity="medium",
    positions=("external",),
    text="TLS without a client certificate on the federation port of a site with an address for each service. "
    "Clients sign in on 443.",
    sources=("P-SNAT",),
    controls=("AC-4", "IA-3"),
)
def client_on_federation_port(facts: Facts) -> str | None:
    if _port_owner(facts, inbound=True) is None or facts.observation.mutual != Mutual.NO:
        return None
    return (
        f"{facts.source} signs in without a certificate on {facts.at_port} of {facts.destination}: "
        "let clients use the client port and require a certificate here."
    )
