"""The worked example as other plans: what the path document says changes at the same site, made in its file."""

from __future__ import annotations

from pathlib import Path

from rules.load import read
from rules.topology import Topology

CONTOSO = Path(__file__).parents[2] / "pcaps" / "contoso.yaml"


def contoso_text(plan: str) -> str:
    """The worked example's other plans: the same site with one address, with hardware balancing, with one firewall,
    without Director, with a product that has no XMPP."""
    text = CONTOSO.read_text()
    if plan == "single-ip":
        for service, last in (("webconf", 2), ("av", 3)):
            for node in (0, 1):
                text = text.replace(
                    f"{service}: {{public: 203.0.113.{last}{node}, private: 10.45.16.{last}{node}}}",
                    f"{service}: {{public: 203.0.113.1{node}, private: 10.45.16.1{node}}}",
                )
        text = text.replace("webcon.contoso.com, port: 443", "webcon.contoso.com, port: 444")
        text = text.replace("sip.contoso.com, port: 443", "sip.contoso.com, port: 5061")
    elif plan == "hlb":
        for last in (1, 2, 3):
            for node in (0, 1):
                address = f"203.0.113.{last}{node}, private: 10.45.16.{last}{node}"
                text = text.replace(address, f"203.0.113.{last}{node + 2}")
        vips = "vips: {access: 203.0.113.10, webconf: 203.0.113.20, av: 203.0.113.30, internal: 172.25.33.9}"
        text = text.replace("    members:\n      - fqdn: edge01", f"    {vips}\n    members:\n      - fqdn: edge01")
        text = text.replace("{external: dns, internal: dns}", "{external: hardware, internal: hardware}")
    elif plan == "one-firewall":
        text = text.replace("  internal: {addresses: [172.25.33.1, 192.168.10.1]}\n", "")
    elif plan == "no-director":
        start, end = text.index("director_pools:"), text.index("front_end_pools:")
        text = (text[:start] + text[end:]).replace("to: dirpool01.contoso.net", "to: pool01.contoso.net")
        text = text.replace("next_hop: dirpool01.contoso.net", "next_hop: pool01.contoso.net")
    elif plan == "sfb-2019":
        text = text.replace("product: lync-2013\n", "product: sfb-2019\n")
    return text


def contoso_as(plan: str) -> Topology:
    return read(contoso_text(plan).encode(), plan)
