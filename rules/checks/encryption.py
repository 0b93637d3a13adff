"""Rules about protocols and encryption: what a listener was shown that it should not have been.

Strategy: these read the bytes' facts, never ports alone, and hold on an allowed row as well as elsewhere. A row asks
for a service; a stream seen from its first byte that is something else contradicts it, a stream joined late does not.
"""

from __future__ import annotations

from rules import names
from rules.facts import Facts, State
from rules.observation import Mutual, Stun, Tls
from rules.registry import rule

_TLS_ROWS = ("tls", "mtls")


@rule(
    "sip-cleartext",
    severity="critical",
    positions=("external", "internal"),
    text="SIP is readable on a flow across a firewall. Between servers it belongs in mutual TLS, from clients in TLS.",
    sources=("TLS", "ENC", "RFC 3261 §7"),
    controls=("SC-8", "SC-8(1)"),
)
def sip_cleartext(facts: Facts) -> str | None:
    if "sip" not in facts.services or not facts.crosses:
        return None
    return (
        f"SIP between {facts.source} and {facts.destination} on {facts.at_port} can be read by anybody on the way: "
        "let both ends speak TLS only."
    )


@rule(
    "sip-udp",
    severity="high",
    positions=("external", "internal"),
    text="SIP over UDP crosses a firewall. No product of the family supports it.",
    sources=("IPS",),
    controls=("CM-7", "SC-8"),
)
def sip_udp(facts: Facts) -> str | None:
    if not facts.udp or "sip" not in facts.services or not facts.crosses:
        return None
    return (
        f"{facts.source} sent SIP over {facts.at_port} to {facts.destination}: nothing here speaks it, close the port."
    )


@rule(
    "mtls-client-cert-missing",
    severity="high",
    positions=("external", "internal"),
    text="A full TLS handshake up to 1.2 on a row or at an Edge port that asks for mutual TLS went without a client "
    "certificate: the server asked for none, or the client sent an empty one.",
    sources=("TLS", "P-SNAT", "RFC 5246 §7.4.4"),
    controls=("IA-3", "IA-3(1)", "SC-8(1)"),
)
def mtls_client_cert_missing(facts: Facts) -> str | None:
    if not facts.tcp or facts.observation.mutual != Mutual.NO:
        return None
    if facts.leg is not None:
        # On a single address clients without certificates come to the federation port as well.
        if not facts.leg.mutual or facts.leg.shared:
            return None
    elif not facts.edge_mutual_listener:
        return None
    return (
        f"{facts.source} and {facts.destination} set up TLS on {facts.at_port} without a client certificate: "
        "let the server require one there."
    )


@rule(
    "tls-expected-cleartext",
    severity="critical",
    positions=("external", "internal"),
    text="The first bytes on a row that asks for TLS are no TLS.",
    sources=("ENC", "RFC 5246 §6.2.1"),
    controls=("SC-8", "SC-8(1)"),
)
def tls_expected_cleartext(facts: Facts) -> str | None:
    if facts.leg is None or facts.leg.service not in _TLS_ROWS or facts.state is not State.CONTRADICTED:
        return None
    return (
        f"{facts.source} and {facts.destination} exchanged {facts.spoken} on {facts.at_port} where {facts.leg.row} "
        "asks for TLS: find out which program answers there in the clear."
    )


@rule(
    "pseudo-tls-wrong-listener",
    severity="high",
    positions=("external", "internal"),
    text="The fixed pseudo-TLS hello of MS-TURN came to a listener of ours that is no A/V listener. Only TURN uses it.",
    sources=("MSTURN-2.1.1",),
    controls=("CM-7", "SC-7(5)"),
)
def pseudo_tls_wrong_listener(facts: Facts) -> str | None:
    if not facts.tcp or not facts.observation.stun & (Stun.PSEUDO_HELLO | Stun.PSEUDO_REPLY):
        return None
    if not facts.listener or any(leg.service == "pseudo-tls" for leg in facts.listener):
        return None
    return (
        f"{facts.source} sent pseudo-TLS to {facts.destination} on {facts.at_port}, which is no A/V listener: "
        "check that A/V and this service have not been swapped."
    )


@rule(
    "real-tls-on-av",
    severity="high",
    positions=("external", "internal"),
    text="Ordinary TLS was answered on an A/V listener of ours, which speaks pseudo-TLS and TURN.",
    sources=("MSTURN-2.1.1",),
    controls=("CM-7", "SC-7(5)"),
)
def real_tls_on_av(facts: Facts) -> str | None:
    if not facts.tcp or not facts.observation.tls & Tls.SERVER_HELLO or "tls" not in facts.services:
        return None
    # A row may also lead to pseudo-TLS at any host inside, which is no listener of the A/V Edge for that.
    if not facts.destination.has(*names.AV_EDGE, *names.INNER_EDGE):
        return None
    if not any(leg.service == "pseudo-tls" for leg in facts.listener):
        return None
    return (
        f"{facts.destination} answered {facts.source} with real TLS on its A/V port {facts.at_port}: "
        "another program listens there, or services share the address."
    )


@rule(
    "media-range-inbound",
    severity="high",
    positions=("external",),
    text="A peer that is neither an OCS 2007 partner nor Office 365 opened a flow into the A/V Edge's relay range "
    "and was answered, or sent media there. The range is for those two alone; everybody else comes by 3478 and "
    "443.",
    sources=("P-SNAT", "AVFW"),
    controls=("AC-4", "SC-7(5)"),
    only_misses_a_row=True,
    about_opener=True,
)
def media_range_inbound(facts: Facts) -> str | None:
    if not (facts.tcp or facts.udp) or facts.source.zone != names.EXTERNAL:
        return None
    if not facts.site.in_relay_range(facts.destination, facts.port):
        return None
    media = facts.answered and not facts.unanswered_check
    if not media and not facts.observation.stun & Stun.RTP_10:
        return None
    if _ranged_peer(facts):
        return None
    return (
        f"{facts.source} opened {facts.at_port} to {facts.destination}, inside the relay range: "
        "close the range inbound but for OCS 2007 partners and Office 365."
    )


def _ranged_peer(facts: Facts) -> bool:
    """An OCS 2007 partner or Office 365: the range is theirs."""
    federation = facts.site.topology.federation
    network = facts.source.network
    hybrid = federation.office365
    if hybrid.enabled and (not hybrid.media or facts.source.has(names.O365_SIPFED, names.O365_MEDIA)):
        return True  # enabled without addresses: anybody may be Office 365, and the rule must prove its case
    if network is None or network.num_addresses != 1:
        return False
    address = network.network_address
    return any(
        partner.product == names.OCS_2007 and address in partner.access + partner.av
        for partner in federation.sip_partners
    )


# --- versions --------------------------------------------------------------------------------------------------------

_VERSIONS = {"1.0": 0x0301, "1.1": 0x0302, "1.2": 0x0303, "1.3": 0x0304}
_VERSION_NAMES = {0x0002: "SSL 2.0", 0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2"}


def _negotiated(facts: Facts) -> int:
    """The version that a server chose on a TCP stream, 0 where none was seen: an offer is not yet one."""
    chosen = facts.tcp and facts.observation.tls & Tls.SERVER_HELLO and "tls" in facts.services
    return facts.observation.tls_version if chosen else 0


def _ours_or_a_partner(facts: Facts) -> bool:
    """Sessions that are ours to answer for: at our own listeners, and with a partner at the two federation ports."""
    if facts.listener:
        return True
    partner = facts.destination.zone == names.EXTERNAL and facts.source.has(*names.ACCESS_EDGE)
    return partner and facts.port in (5061, 5269)


@rule(
    "tls-weak",
    severity="medium",
    positions=("external", "internal"),
    text="A server chose SSL, or a version of TLS older than the site's `tls_minimum`, or a suite without "
    "authentication or encryption.",
    sources=("ENC", "KSF", "RFC 5246 App. E.2"),
    controls=("SC-8(1)", "SC-13"),
)
def tls_weak(facts: Facts) -> str | None:
    version = _negotiated(facts)
    if not version or not _ours_or_a_partner(facts):
        return None
    minimum = facts.site.topology.policy.tls_minimum
    if not facts.detail.weak_suite and version >= _VERSIONS[minimum]:
        return None
    # One finding may hold sessions of either kind: the sentence has to be true of both.
    return (
        f"{facts.destination} chose a version older than TLS {minimum}, or a suite that hides or proves nothing, with "
        f"{facts.source} on {facts.at_port}: turn off both."
    )


@rule(
    "tls-ios-below-1-2",
    severity="low",
    positions=("external",),
    text="The reverse proxy chose a version older than TLS 1.2, which current iOS clients need.",
    sources=("HLBREQ",),
    controls=("SC-8(1)",),
)
def tls_ios_below_1_2(facts: Facts) -> str | None:
    version = _negotiated(facts)
    if not version or version >= _VERSIONS["1.2"] or not facts.destination.has(names.RP_EXT):
        return None
    return (
        f"{facts.destination} chose {_VERSION_NAMES.get(version, 'an old version')} with {facts.source} on "
        f"{facts.at_port}: let the proxy offer TLS 1.2."
    )
