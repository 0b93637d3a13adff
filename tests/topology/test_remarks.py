"""What a file says in vain or against itself is told, and a file that means what it says hears nothing."""

from __future__ import annotations

import pytest

from rules.load import load, read
from rules.remarks import remarks
from tests.topology.plans import CONTOSO, contoso_as, contoso_text

NOW = 1_795_000_000_000_000_000  # 18 November 2026
LOCAL = "  local_paths:\n"


def told(*changes: tuple[str, str]) -> list[str]:
    text = CONTOSO.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return remarks(read(text.encode(), "site.yaml"), NOW)


def local(*entries: str) -> list[str]:
    lines = "".join(f"    - {{{entry}}}\n" for entry in entries)
    return told(("  local_paths: []\n", LOCAL + lines))


def test_a_file_that_means_what_it_says() -> None:
    assert remarks(load(CONTOSO), NOW) == []
    for plan in ("single-ip", "hlb", "one-firewall"):  # with one address clients and partners share a port
        assert remarks(contoso_as(plan), NOW) == []


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            "id: local-a, from: fe, to: edge-int, transport: tcp, port: 5062, service: tls",
            ["local path local-a allows nothing that int-av-auth does not"],
        ),
        (
            "id: local-a, from: 192.168.10.90, to: 172.25.33.10, transport: tcp, port: 8057, service: http",
            ["local path local-a is never reached: int-psom fits the same flows first, and allows mtls"],
        ),
        # another source, another port, another transport, a wider range: each has something of its own
        ("id: local-a, from: dc01.contoso.net, to: edge-int, transport: tcp, port: 5062", []),
        ("id: local-a, from: fe, to: edge-int, transport: tcp, port: 5064", []),
        ("id: local-a, from: fe, to: edge-int, transport: udp, port: 5062", []),
        ('id: local-a, from: fe, to: edge-int, transport: tcp, port: "5062-5063", service: tls', []),
        ("id: local-a, from: fe, to: edge-int, transport: esp", []),
        (
            "id: local-a, from: fe, to: edge-int, transport: tcp, port: 9, expires: 2026-11-17",
            ["local path local-a has expired (2026-11-17): flows after that fit it no longer"],
        ),
        ("id: local-a, from: fe, to: edge-int, transport: tcp, port: 9, expires: 2026-11-19", []),
        (
            "id: local-a, from: mediation, to: edge-int, transport: tcp, port: 9",
            ["local path local-a fits nothing: no address of this site is meant by its `from` or `to`"],
        ),
        (
            "id: local-a, from: external, to: 192.168.10.90, transport: tcp, port: 443",
            [
                "local path local-a lets the Internet straight inside: external-to-internal-direct and "
                "reverse-proxy-bypass will not speak on it"
            ],
        ),
    ],
)
def test_local_paths(entry: str, words: list[str]) -> None:
    assert local(entry) == words


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ("from: fe, to: dc01.contoso.net", "stays in internal, where no firewall is crossed"),
        ("from: vpn, to: internal", "stays in internal and vpn, where no firewall is crossed"),
        ("from: external, to: 198.51.100.7", "stays in external, where no firewall is crossed"),
        ("from: 10.45.16.50, to: 10.45.16.51", "stays in perimeter-ext, where no firewall is crossed"),
        ("from: edge-int, to: 10.200.0.5", "allows nothing: the addresses of its `to` are in no zone"),
        ("from: 10.200.0.0/24, to: edge-int", "allows nothing: the addresses of its `from` are in no zone"),
    ],
)
def test_local_paths_that_change_nothing(ends: str, words: str) -> None:
    (remark,) = local(f"id: local-a, {ends}, transport: tcp, port: 9")
    assert words in remark


@pytest.mark.parametrize(
    "ends",
    [
        "from: 172.25.33.50, to: dc01.contoso.net",  # it crosses the internal firewall
        "from: edge-int, to: edge-int",  # between Edge nodes some rules speak
        "from: edge-int, to: [10.200.0.5, dc01.contoso.net]",  # one of two is declared
        "from: rp-ext, to: edge-int",
    ],
)
def test_local_paths_that_change_something(ends: str) -> None:
    assert local(f"id: local-a, {ends}, transport: tcp, port: 9") == []


def publishing(host: str) -> list[str]:
    return told(("      - {host: meet.contoso.com,", f"      - {host}\n      - {{host: meet.contoso.com,"))


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("admin.contoso.com", "publishes admin.contoso.com, the administrators' name"),
        ("admin.fabrikam.com", "publishes admin.fabrikam.com, the administrators' name"),
        ("lyncdiscoverinternal.fabrikam.com", "the name of Autodiscover inside"),
        ("pool01.contoso.net", "a name of `ad_domains`"),
        ("contoso.net", "a name of `ad_domains`"),
    ],
)
def test_the_proxy_publishes_what_is_for_inside(host: str, words: str) -> None:
    """Path document 2.7: internal only, and findings when seen at the external firewall."""
    (remark,) = publishing(host)
    assert words in remark


def test_the_proxy_publishes_what_it_may() -> None:
    assert publishing("notcontoso.net") == []
    shared = (("ad_domains: [contoso.net]", "ad_domains: [contoso.com]"),)  # the same domain inside and outside
    assert told(*shared) == []


def test_a_local_path_behind_another() -> None:
    wide = "id: local-wide, from: internal, to: edge-int, transport: tcp, port: 9"
    narrow = "id: local-narrow, from: fe, to: edge-int, transport: tcp, port: 9, service: tls"
    assert local(wide, narrow) == ["local path local-narrow allows nothing that local-wide does not"]
    assert local(narrow, wide) == []
    assert local(wide + ", expires: 2026-12-01", narrow) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("federation:\n  enabled: true", "federation:\n  enabled: false")], "federation is off, yet partners"),
        ([("    federation: true", "    federation: false")], "federation is on, yet no Edge pool is published"),
        ([("xmpp: {enabled: true", "xmpp: {enabled: false")], "XMPP partners are listed, yet no Edge pool has XMPP on"),
        ([("    xmpp_gateway: true\n", "")], "no Front End pool is its gateway"),
        ([("product: lync-2013\n", "product: sfb-se\n")], "push is on, yet sfb-se"),
        ([("product: lync-2013\n", "product: sfb-2019\n")], "XMPP is on at lsedge.contoso.net, which sfb-2019"),
        ([("product: lync-2013\n", "product: lync-2010\n")], "XMPP is on at a lync-2010 Edge"),
        (
            [
                ("public_im: {enabled: false}", "public_im: {enabled: true}"),
                ("product: lync-2013\n", "product: sfb-2019\n"),
            ],
            "no public provider is left",
        ),
        ([("    next_hop: dirpool01.contoso.net", "    next_hop: pool01.contoso.net")], "a Director is declared, yet"),
        (
            [("optional_paths: []", "optional_paths: [int-hlb-av-tcp-out]")],
            "which does not apply here: belongs to the hardware-balanced plan",
        ),
        ([("optional_paths: []", "optional_paths: [int-sip-edge-to-other-fe]")], "alone turns on"),
        (
            [("    cms_master:", "    cms: true\n    cms_master:")],
            "counts for nothing: `cms_master` names fe01.contoso.net",
        ),
        ([("fqdn: sip.contoso.com, port: 443", "fqdn: sip.contoso.com, port: 5061")], "on one port, 5061"),
        ([("rules: {}", "rules: {undeclared-network: critical}")], "sets undeclared-network to critical, yet it stays"),
        (
            [("    federation: true", "    federation: true\n    skype_search: true")],
            "skype_search is on at an Edge older",
        ),
    ],
)
def test_switches_that_fight(changes: list[tuple[str, str]], words: str) -> None:
    assert any(words in remark for remark in told(*changes)), told(*changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([(", vip: 192.168.10.95}", "}")], "pool01.contoso.net has several members and no `web.vip`"),
        ([("internal: 172.25.33.10\n", "internal: [172.25.33.10, 172.25.33.12]\n")], "has 2 internal IPv4 addresses"),
        (
            [("external: webdirext.contoso.com, vip", "external: webext.contoso.com, vip")],
            "web name of several",
        ),
        (
            [("external: webext.contoso.com, vip", "external: webext.contoso.com, internal: webext.contoso.com, vip")],
            "has one web name inside and outside",
        ),
    ],
)
def test_addresses_and_names_that_do_not_fit(changes: list[tuple[str, str]], words: str) -> None:
    (remark,) = told(*changes)
    assert words in remark


def test_one_address_translated_for_some_of_its_services() -> None:
    """Contract 2.1: without `private` an address is not translated, so this is no single-IP plan any more."""
    text = contoso_text("single-ip")
    for service in ("webconf", "av"):
        pair = f"{service}: {{public: 203.0.113.10, private: 10.45.16.10}}"
        text = text.replace(pair, f"{service}: {{public: 203.0.113.10}}")
    site = read(text.encode(), "site.yaml")
    assert not site.edge_pools[0].single_ip
    told_of = [remark for remark in remarks(site, NOW) if remark.startswith("edge01.contoso.net: ")]
    assert told_of == [
        "edge01.contoso.net: 203.0.113.10 is translated to 10.45.16.10 for access, not for webconf and av: "
        "without `private: 10.45.16.10` there these count as another, untranslated address"
    ]
    assert not [remark for remark in remarks(site, NOW) if "edge02" in remark]


def test_no_director_to_bypass() -> None:
    topology = contoso_as("no-director")
    assert remarks(topology, NOW) == []


def test_keys_that_change_nothing_say_so() -> None:
    assert told(("report_attempts: false", "report_attempts: true")) == [
        "policy.report_attempts changes nothing: attempts are always told, apart from findings"
    ]
    assert told(("attempts_per_source_per_minute: 100", "attempts_per_source_per_minute: 10")) == [
        "policy.thresholds.attempts_per_source_per_minute changes nothing: no rule counts attempts"
    ]


def test_a_vpn_gateway_in_the_perimeter_needs_a_row_of_the_site() -> None:
    gateway = ("\nfederation:\n", "\nvpn: {gateways: [203.0.113.60]}\nfederation:\n")
    (remark,) = told(gateway)
    assert "203.0.113.60 (vpn-gw) stands in perimeter-ext" in remark
    row = "    - {id: local-vpn, from: external, to: vpn-gw, transport: udp, port: [500, 4500], service: ike}\n"
    assert told(gateway, ("  local_paths: []\n", LOCAL + row)) == []
    assert told((gateway[0], gateway[1].replace("203.0.113.60", "198.51.100.60"))) == []
