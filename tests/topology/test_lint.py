"""What the file alone shows: each rule with a site that has it and its nearest neighbour that has not."""

from __future__ import annotations

from itertools import product

import pytest

from rules.lint import config_findings
from rules.load import load, read
from tests.topology.plans import contoso_as, contoso_text
from tests.topology.site import SITE, changed, site
from tests.topology.test_model import CONTOSO

BALANCING = "load_balancing: {external: none, internal: none}"
PUBLIC = (
    SITE.replace(", private: 10.1.1.11}", "}")
    .replace(", private: 10.1.1.12}", "}")
    .replace(", private: 10.1.1.13}", "}")
)


def found(text: str) -> list[tuple[str, str, str | None]]:
    return [(f.rule, f.severity, f.component) for f in config_findings(site(text))]


def test_a_supported_site_has_none() -> None:
    assert found(SITE) == []
    assert config_findings(load(CONTOSO)) == []


@pytest.mark.parametrize(
    ("external", "internal", "mixed"),
    [
        ("dns", "hardware", True),
        ("hardware", "dns", True),
        ("none", "hardware", True),
        ("hardware", "hardware", False),
        ("dns", "dns", False),
        ("none", "dns", False),
    ],
)
def test_lb_mixed_mode(external: str, internal: str, mixed: bool) -> None:
    text = PUBLIC.replace(BALANCING, f"load_balancing: {{external: {external}, internal: {internal}}}")
    assert found(text) == ([("lb-mixed-mode", "high", None)] if mixed else [])


def test_virtual_addresses_without_hardware_are_mixed_mode_too() -> None:
    text = PUBLIC.replace("    serves:", "    vips: {internal: 10.1.2.9}\n    serves:")
    assert found(text) == [("lb-mixed-mode", "high", "edge.example.net")]
    text = text.replace(BALANCING, "load_balancing: {external: hardware, internal: hardware}")
    assert found(text) == []


def test_hlb_with_nat() -> None:
    hardware = "load_balancing: {external: hardware, internal: hardware}"
    assert found(changed(BALANCING, hardware)) == [("hlb-with-nat", "high", "edge.example.net")]
    assert found(PUBLIC.replace(BALANCING, hardware)) == []
    same = PUBLIC.replace("{public: 192.0.2.11}", "{public: 192.0.2.11, private: 192.0.2.11}")
    assert found(same.replace(BALANCING, hardware)) == []
    vip = PUBLIC.replace("    serves:", "    vips: {access: {public: 192.0.2.9, private: 10.1.1.9}}\n    serves:")
    assert found(vip.replace(BALANCING, hardware)) == [("hlb-with-nat", "high", "edge.example.net")]


@pytest.mark.parametrize(
    ("internal", "hit"),
    [("10.1.1.99", True), ("10.1.1.11", True), ("10.1.2.99", False), ("10.1.3.99", False), ("192.0.2.99", False)],
)
def test_edge_same_subnet(internal: str, hit: bool) -> None:
    # 192.0.2.0/25 holds the public side only: on the wire the interfaces are in 10.1.1.0/24 and elsewhere
    text = changed("internal: 10.1.2.11", f"internal: {internal}")
    assert found(text) == ([("edge-same-subnet", "high", "edge1.example.net")] if hit else [])


def test_edge_same_subnet_without_translation() -> None:
    text = PUBLIC.replace("internal: 10.1.2.11", "internal: 192.0.2.99")
    assert found(text) == [("edge-same-subnet", "high", "edge1.example.net")]


def test_the_narrowest_declared_network_decides() -> None:
    text = SITE.replace("10.1.1.0/24, ", "10.1.0.0/16, ")  # holds 10.1.2.0/24, which is declared more narrowly
    assert found(text) == []


# "Negotiation settings for XMPP federated partners", complete matrix: TLS, SASL, dialback of what it calls not valid
INVALID = {
    ("unsupported", "required", "false"),
    ("unsupported", "optional", "false"),
    ("required", "unsupported", "false"),
    ("optional", "unsupported", "false"),
    ("unsupported", "unsupported", "false"),
}


WORDS = ("required", "optional", "unsupported")


@pytest.mark.parametrize(
    ("tls", "sasl", "dialback"),
    [(*pair, dialback) for pair in product(WORDS, repeat=2) for dialback in ("true", "false")],
)
def test_xmpp_negotiation(tls: str, sasl: str, dialback: str) -> None:
    text = changed("tls: required, sasl: optional, dialback: true", f"tls: {tls}, sasl: {sasl}, dialback: {dialback}")
    expected = (
        [("xmpp-invalid-negotiation-config", "low", "jabber.example")] if (tls, sasl, dialback) in INVALID else []
    )
    assert found(text) == expected


def variant(*changes: tuple[str, str]) -> str:
    text = CONTOSO.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


VIPS = "    vips: {access: 203.0.113.50, webconf: 203.0.113.60, av: 203.0.113.70, internal: 172.25.33.9}\n"
HARDWARE = ("{external: dns, internal: dns}", "{external: hardware, internal: hardware}")
MEMBERS = "    members:\n      - fqdn: edge01"
SECOND_POOL = """
  - fqdn: edge2.contoso.net
    next_hop: dirpool01.contoso.net
    federation: true
    access: {fqdn: sip2.contoso.com}
    webconf: {fqdn: conf2.contoso.com}
    av: {fqdn: av2.contoso.com}
    members:
      - fqdn: edge2.contoso.net
        internal: 172.25.33.20
        access: {public: 203.0.113.12}
        webconf: {public: 203.0.113.22}
        av: {public: 203.0.113.32}

reverse_proxies:"""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # a virtual address is missing for a service of a pool of several
        (
            [HARDWARE, (MEMBERS, VIPS.replace("webconf: 203.0.113.60, ", "") + MEMBERS)],
            ["hlb-with-nat", "lb-mixed-mode"],
        ),
        ([HARDWARE, (MEMBERS, VIPS + MEMBERS)], ["hlb-with-nat"]),
        ([HARDWARE], ["hlb-with-nat", "lb-mixed-mode"]),
        # the internal firewall routes
        ([("[172.25.33.1, 192.168.10.1]}", "[172.25.33.1, 192.168.10.1], nat: static}")], ["edge-internal-nat"]),
        ([("[172.25.33.1, 192.168.10.1]}", "[172.25.33.1, 192.168.10.1], nat: none}")], []),
        # one pool for federation
        ([("\nreverse_proxies:", SECOND_POOL)], ["edge-multiple-federation-routes"]),
        ([("\nreverse_proxies:", SECOND_POOL.replace("    federation: true\n", ""))], []),
        # no XMPP since 2019 is told as a switch that fights
        ([("product: lync-2013\n", "product: sfb-2019\n")], []),
    ],
)
def test_designs_that_the_file_states(changes: list[tuple[str, str]], expected: list[str]) -> None:
    topology = read(variant(*changes).encode(), "site.yaml")
    assert sorted(finding.rule for finding in config_findings(topology)) == expected


def test_a_site_with_both_address_plans_is_called_by_both() -> None:
    for plan, called in (("single-ip", "single-ip and separate-ip"), ("", "separate-ip")):
        text = contoso_text(plan).replace("\nreverse_proxies:", SECOND_POOL)
        assert called in read(text.encode(), "site.yaml").variant().names
    assert "single-ip" in contoso_as("single-ip").variant().names


def test_xmpp_in_two_sites() -> None:
    second = SECOND_POOL.replace("    federation: true\n", "    xmpp: {enabled: true}\n    site: b\n")
    text = variant(("zones:\n", "sites: [{name: a}, {name: b}]\nzones:\n"), ("\nreverse_proxies:", second))
    topology = read(text.encode(), "site.yaml")
    assert [finding.rule for finding in config_findings(topology)] == ["xmpp-multiple-sites"]


def without_director() -> str:
    start, end = SITE.index("director_pools:"), SITE.index("front_end_pools:")
    return (SITE[:start] + SITE[end:]).replace("next_hop: dir.example.net", "next_hop: fe.example.net")


def test_director_missing() -> None:
    assert found(without_director()) == [("director-missing", "info", None)]


def test_a_site_may_set_severities_and_turn_rules_off() -> None:
    for word, expected in (("off", []), ("high", [("director-missing", "high", None)])):
        text = without_director().replace("{unlisted-path: medium}", f"{{director-missing: {word}}}")
        topology = read(text.encode(), "site.yaml")
        assert [(f.rule, f.severity, f.component) for f in config_findings(topology)] == expected


def test_gravest_first() -> None:
    text = without_director().replace(BALANCING, "load_balancing: {external: hardware, internal: dns}")
    assert [rule for rule, _, _ in found(text)] == ["lb-mixed-mode", "hlb-with-nat", "director-missing"]
