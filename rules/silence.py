"""Which rule silences which: on one flow the more specific statement of a fact stands, the general one steps back.

Strategy: one table of direct relations in the order a reader would argue them, and its transitive closure computed
once. A silenced rule is kept beside the flow and is no finding. `unlisted-path` needs no entry: it only ever fires
when no other rule does (see `rules.judge`). Facts about a joined pair of flows (`nat-*`, `hlb-av-snat`,
`hlb-asymmetric-reply`) and `reverse-proxy-nat-forward` silence nothing: they stand beside the flow's own rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

_MTLS: Final = ("mtls-client-cert-missing", "mtls-untrusted-peer")
_HLB_INTERNAL: Final = ("hlb-internal-vip-webconf", "hlb-internal-vip-xmpp", "hlb-internal-vip-mgmt")
_XMPP_BUT_DIRECT: Final = (
    "xmpp-partner-not-configured",
    "xmpp-cleartext-not-permitted",
    "xmpp-sasl-without-tls",
    "xmpp-invalid-negotiation-config",
    "xmpp-gateway-direction",
    "xmpp-client-port",
    "xmpp-multiple-sites",
    "xmpp-wrong-ip",
)

# (the more specific rules, what each of them silences)
_DIRECT: Final[tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = (
    # What an Edge opens inward: the rule that names the port says more than "nothing is listed".
    (
        (
            "director-bypass-sip",
            "edge-internal-dns",
            "xmpp-gateway-direction",
            "cms-replication-reversed",
            "psom-reversed",
        ),
        ("edge-to-internal-unlisted",),
    ),
    (("edge-to-internal-unlisted",), ("internal-port-exposed",)),
    # From the Internet straight inside.
    (
        ("reverse-proxy-bypass", "sba-direct-from-external", "xmpp-direct-from-internal"),
        ("external-to-internal-direct",),
    ),
    (("external-to-internal-direct",), ("internal-port-exposed",)),
    # From inside straight out.
    (("xmpp-direct-from-internal", "push-not-via-sipfed", "media-unrelayed"), ("internal-to-external-direct",)),
    # What the proxy opens inward.
    (
        ("reverse-proxy-internal-site", "director-bypass-web", "dns-lb-for-web", "reverse-proxy-ssl-offload"),
        ("reverse-proxy-unexpected-egress",),
    ),
    (("reverse-proxy-unexpected-egress",), ("internal-port-exposed",)),
    # The wrong side of the Edge's inner address: where it came from outweighs which port it tried.
    (
        ("edge-internal-from-external",),
        ("cms-replication-wrong-source", "av-auth-wrong-source", "cls-from-outside", *_HLB_INTERNAL),
    ),
    # Bytes that contradict a listener, from the most telling to the least.
    (("sip-cleartext", "sip-udp"), ("tls-expected-cleartext", "edge-egress-unlisted", "non-lync-endpoint-on-edge")),
    (
        (
            "tls-expected-cleartext",
            "pseudo-tls-wrong-listener",
            "real-tls-on-av",
            "xmpp-client-port",
            "xmpp-wrong-ip",
            "edge-wrong-external-ip",
        ),
        ("non-lync-endpoint-on-edge",),
    ),
    (("non-lync-endpoint-on-edge",), ("unexpected-protocol-on-listener",)),
    (("pseudo-tls-wrong-listener",), ("tls-expected-cleartext",)),
    # Who is at the federation port.
    (("mtls-client-cert-missing",), ("client-on-federation-port",)),
    (
        ("federation-disabled-5061",),
        (*_MTLS, "client-on-federation-port", "federation-partner-not-allowed"),
    ),
    # A certificate that should not be there at all is not also judged by its names.
    (
        ("reverse-proxy-tls-passthrough", "admin-url-exposed", "internal-web-fqdn-exposed"),
        ("cert-name-mismatch", "cert-private-ca-edge-external"),
    ),
    # 50001 to 50003 lie inside the media range. `cls-from-outside` speaks of an external address here: on `edge-int`
    # no media range exists, so the two never meet there.
    (("cls-from-outside",), ("media-range-inbound",)),
    (("media-range-udp-legacy",), ("edge-egress-unlisted",)),
    # A product without XMPP: how it was negotiated no longer matters.
    (("xmpp-unsupported-version",), _XMPP_BUT_DIRECT),
)


def _closure(direct: Iterable[tuple[tuple[str, ...], tuple[str, ...]]]) -> Mapping[str, frozenset[str]]:
    first: dict[str, set[str]] = {}
    for specific, general in direct:
        for rule in specific:
            first.setdefault(rule, set()).update(general)
    result: dict[str, frozenset[str]] = {}
    for rule in first:
        seen: set[str] = set()
        open_ends = list(first[rule])
        while open_ends:
            silenced = open_ends.pop()
            if silenced not in seen:
                seen.add(silenced)
                open_ends.extend(first.get(silenced, ()))
        result[rule] = frozenset(seen)
    return result


SILENCES: Final[Mapping[str, frozenset[str]]] = _closure(_DIRECT)
"""Rule → every rule it silences, directly or through others."""


def silenced_by(rule: str) -> frozenset[str]:
    """What `rule` silences on the same flow."""
    return SILENCES.get(rule, frozenset())
