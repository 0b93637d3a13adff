"""Rules about the federation port of the Access Edge.

Strategy: who may come there is decided by switches (federation on or off, for which pool) and by the list of partners;
what comes must be mutual TLS. On a single address clients share the port: there only a client certificate tells that a
partner came, and all else is left alone.
"""

from __future__ import annotations

from rules import names
from rules.components import EdgePool
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


_FEDERATION_OUT = ("ext-access-federation-out", "ext-hlb-access-federation-out")
_PROVIDERS_OUT = ("ext-access-pic-out", "ext-access-hybrid-sip-out", "ext-access-push-out")


def _is_provider(facts: Facts) -> bool:
    """Whether a row of push, public IM or hybrid allows the flow, too; without addresses it allows any."""
    return any(
        leg.row in _PROVIDERS_OUT
        and facts.source.number in leg.sources
        and facts.destination.number in leg.destinations
        for leg in facts.site.legs
    )


def _unlisted_peer(facts: Facts) -> Endpoint | None:
    """Who came without a row, or whom the Access Edge opened by the row for any partner and found there."""
    if _port_owner(facts, inbound=True) is not None:
        return None if facts.permitted else facts.source
    if _port_owner(facts, inbound=False) is None or facts.leg is None or not facts.answered:
        return None
    return facts.destination if facts.leg.row in _FEDERATION_OUT and not _is_provider(facts) else None


@rule(
    "federation-partner-not-allowed",
    severity="medium",
    positions=("external",),
    text="A host that belongs to no listed partner opens the federation port, or answers our Access Edge on its own, "
    "although discovery of partners is off.",
    sources=("FEDDOM",),
    controls=("AC-4", "CA-3"),
    about_opener=True,
)
def federation_partner_not_allowed(facts: Facts) -> str | None:
    federation, peer = facts.site.topology.federation, _unlisted_peer(facts)
    if peer is None or not federation.enabled or federation.discovery:
        return None
    if facts.observation.mutual == Mutual.NO:
        return None  # no server at all: `mtls-client-cert-missing`
    network = peer.network
    address = network.network_address if network is not None and network.num_addresses == 1 else None
    if any(not partner.access or address in partner.access + partner.av for partner in federation.sip_partners):
        return None  # a partner that lists no address may be anybody
    if peer is facts.destination:
        return (
            f"{facts.source} opened federation on {facts.at_port} of {peer}, which is no listed partner, while "
            "discovery is off: list the partner, or find out why it is not refused."
        )
    return (
        f"{peer} opened federation on {facts.at_port} of {facts.destination} and is no listed partner, while "
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
