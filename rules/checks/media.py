"""Rules about media: which way it may take, and what must not be around it.

Strategy: media proves itself by an answered STUN or MS-TURN request or by ten RTP packets in one direction; a check
that nobody answers is what ICE does all the time. Ends then say whether it went by the A/V Edge.
"""

from __future__ import annotations

from rules import names
from rules.facts import Facts
from rules.observation import Stun
from rules.registry import rule
from rules.topology import at_least
from rules.transports import AH, ESP

_MEDIA = frozenset({"stun", "turn", "pseudo-tls", "rtp", "rtcp"})


def _is_media(facts: Facts) -> bool:
    return (facts.tcp or facts.udp) and facts.spoke_media and not _MEDIA.isdisjoint(facts.services)


@rule(
    "media-unrelayed",
    severity="high",
    positions=("internal", "external"),
    text="Media run directly between an inside host and the Internet. They must be relayed by the A/V Edge.",
    sources=("COMP",),
    controls=("AC-4", "SC-7(5)", "SC-7(8)"),
    only_misses_a_row=True,
)
def media_unrelayed(facts: Facts) -> str | None:
    if not facts.bypasses_perimeter or not _is_media(facts):
        return None
    return (
        f"{facts.source} and {facts.destination} exchanged media on {facts.at_port} past the A/V Edge: "
        "close both firewalls to it, so that they use the relay."
    )


_MESSENGER = ("ext-av-pic-range-tcp-out", "ext-av-pic-udp-out", "ext-av-pic-udp-in")


def _may_be_messenger(facts: Facts) -> bool:
    """Relayed media on a site with audio and video to Live Messenger, whose clients are anybody and may not encrypt;
    on the way to our client the relay carries it on as it is."""
    if facts.source.peer or facts.destination.peer or not any(leg.row in _MESSENGER for leg in facts.site.legs):
        return False
    relays = (*names.AV_EDGE, *names.INNER_EDGE)
    return facts.source.has(*relays) or facts.destination.has(*relays)


@rule(
    "media-cleartext",
    severity="high",
    positions=("external", "internal"),
    text="Media by UDP, also inside of TURN, are not encrypted: octets of a source repeat from packet to packet as "
    "those of one SRTP source in 10^12 do at most. Not judged are what repeats too little to tell, short packets, what "
    "comes after a flow's first 2,048 packets of media, media over TCP, and what Live Messenger may have sent where "
    "the site has it.",
    sources=("ENC", "KSF"),
    controls=("SC-8", "SC-8(1)", "SC-13"),
)
def media_cleartext(facts: Facts) -> str | None:
    if not facts.observation.stun & Stun.CLEAR_MEDIA or _may_be_messenger(facts):
        return None
    return (
        f"{facts.source} and {facts.destination} exchanged media on {facts.at_port} that are not encrypted: "
        "let both demand SRTP."
    )


@rule(
    "media-range-udp-legacy",
    severity="low",
    positions=("external",),
    text="An A/V Edge of a product before 2015 sends media from its relay range by UDP to a peer without OCS 2007. "
    "That range is open outbound for such partners alone.",
    sources=("P-SNAT", "L10-AV"),
    controls=("AC-4", "SC-7(5)"),
    only_misses_a_row=True,
    about_opener=True,
)
def media_range_udp_legacy(facts: Facts) -> str | None:
    if not facts.udp or not _is_media(facts) or facts.destination.zone != names.EXTERNAL:
        return None
    pool = facts.site.edge_pool_of(facts.source, names.EDGE_EXT_AV)
    if pool is None or at_least(pool.product, names.SFB_2015) or facts.source_port not in pool.av.range:
        return None
    return (
        f"{facts.source} sent media from its relay range to {facts.destination} on {facts.at_port}: "
        "close the range outbound by UDP but for OCS 2007 partners."
    )


@rule(
    "ipsec-on-media",
    severity="medium",
    positions=("external", "internal"),
    text="IPsec involves an A/V address of an Edge. It must be off for media: it delays and breaks them.",
    sources=("IPSEC",),
    controls=("CM-6",),
)
def ipsec_on_media(facts: Facts) -> str | None:
    if facts.observation.transport not in (ESP, AH) and "ike" not in facts.services:
        return None
    if facts.permitted:
        return None  # a local path that names IPsec: the site knows of it
    for end, far in ((facts.destination, facts.source), (facts.source, facts.destination)):
        if end.has(*names.AV_EDGE, *names.INNER_EDGE):
            return f"IPsec runs between {far} and the A/V address of {end}: except media from IPsec."
    return None


@rule(
    "av-media-over-vpn",
    severity="medium",
    positions=("vpn", "lan", "internal"),
    text="Media of a VPN client run through the tunnel, to the Edge's inner address or to an inside host. They "
    "should go to the public A/V Edge.",
    sources=("COMP", "NH-VPN"),
    controls=("SC-7", "CM-6"),
    names_ends=True,
)
def av_media_over_vpn(facts: Facts) -> str | None:
    if not _is_media(facts):
        return None
    for client, far in ((facts.source, facts.destination), (facts.destination, facts.source)):
        if client.zone == names.VPN and (far.zone == names.INTERNAL or far.has(*names.INNER_EDGE)):
            return (
                f"{client} exchanged media with {far} on {facts.at_port} through the tunnel: "
                "send media of VPN clients past the tunnel to the public A/V Edge."
            )
    return None


@rule(
    "turn-shared-secret",
    severity="medium",
    positions=("external", "internal"),
    text="Somebody asks an A/V Edge for a shared secret by TURN. The product never does, and must not answer.",
    sources=("MSTURN-2.2.1",),
    controls=("CM-7",),
)
def turn_shared_secret(facts: Facts) -> str | None:
    if not facts.detail.shared_secret or not facts.destination.has(*names.AV_EDGE, *names.INNER_EDGE):
        return None
    return (
        f"{facts.source} asked {facts.destination} for a shared secret on {facts.at_port}: "
        "find out which program that is, the product never does."
    )
