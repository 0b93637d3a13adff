"""Sites the tables are cast on: contoso, a small one, and contoso with some answers changed."""

from __future__ import annotations

from pathlib import Path

from tests.topology.plans import contoso_text

ROOT = Path(__file__).parents[2]
CONTOSO = ROOT / "pcaps" / "contoso.yaml"

SMALL_SITE = """
edgewarden: 1
organization: Fabrikam
product: sfb-2019
sip_domains: [fabrikam.example]
zones:
  perimeter-ext: ["203.0.113.128/28", "2001:db8:aaaa::/64"]
  perimeter-int: ["2001:db8:bbbb::/64"]
  internal: ["2001:db8:cccc::/48"]
firewalls:
  external: {addresses: [203.0.113.129]}
  internal: {addresses: ["2001:db8:bbbb::1"]}
edge_pools:
  - fqdn: edge.fabrikam.example
    next_hop: fe.fabrikam.example
    access: {fqdn: sip.fabrikam.example}
    webconf: {fqdn: wc.fabrikam.example}
    av: {fqdn: av.fabrikam.example, range: "40000-49999"}
    members:
      - fqdn: edge.fabrikam.example
        internal: "2001:db8:bbbb::10"
        access: {public: 203.0.113.130}
        webconf: {public: 203.0.113.131}
        av: {public: 203.0.113.132}
front_end_pools:
  - fqdn: fe.fabrikam.example
    edition: standard
    members: [{fqdn: fe.fabrikam.example, address: "2001:db8:cccc::20"}]
clients: {lan: ["2001:db8:cccc:1::/64"]}
"""


def changed(*pairs: tuple[str, str]) -> str:
    """Contoso's file with each `before` replaced; every one must occur."""
    text = CONTOSO.read_text(encoding="utf-8")
    for before, after in pairs:
        assert before in text, before
        text = text.replace(before, after)
    return text


HYBRID = "office365: {enabled: true, sip: [198.51.100.210], media: [198.51.100.211]}"
OTHER_SITES = {
    "small": SMALL_SITE,
    "without a Director as next hop": changed(("next_hop: dirpool01", "next_hop: pool01")),
    "Lync 2010 with public IM": changed(
        ("product: lync-2013\nsip", "product: lync-2010\nsip"),
        ("public_im: {enabled: false}", "public_im: {enabled: true, addresses: [198.51.100.220]}"),
        ("mobility: true", "mobility: false"),
    ),
    "2019, hybrid, directory search": changed(
        ("product: lync-2013\nsip", "product: sfb-2019\nsip"),
        ("xmpp: {enabled: true", "skype_search: true\n    xmpp: {enabled: false"),
        ("office365: {enabled: false}", HYBRID),
        ("discovery: true", "discovery: false"),
    ),
    **{plan: contoso_text(plan) for plan in ("single-ip", "hlb")},
}
