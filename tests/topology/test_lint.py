"""What the file alone shows: each rule with a site that has it and its nearest neighbour that has not."""

from __future__ import annotations

from itertools import product

import pytest

from rules.lint import config_findings
from rules.load import load, read
from tests.topology.site import SITE, changed, site
from tests.topology.test_model import CONTOSO

BALANCING = "load_balancing: {external: none, internal: none}"
PUBLIC = (
    SITE.replace(", private: 10.1.1.11}", "}")
    .replace(", private: 10.1.1.12}", "}")
    .replace(", private: 10.1.1.13}", "}")
)
SECOND_POOL = """\
  - fqdn: edge9.example.net
    site: south
    next_hop: dir.example.net
    federation: true
    access: {fqdn: sip9.example.com}
    webconf: {fqdn: webconf9.example.com}
    av: {fqdn: av9.example.com}
    xmpp: {enabled: true}
    members:
      - fqdn: edge91.example.net
        internal: 10.1.2.91
        access: {public: 192.0.2.91}
        webconf: {public: 192.0.2.92}
        av: {public: 192.0.2.93}
reverse_proxies:
"""


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


def test_one_pool_federates_and_one_site_has_xmpp() -> None:
    both = changed("reverse_proxies:\n", SECOND_POOL).replace(
        "    serves:", "    federation: true\n    xmpp: {enabled: true}\n    serves:"
    )
    assert found(both) == [("edge-multiple-federation-routes", "medium", None), ("xmpp-multiple-sites", "medium", None)]
    assert found(both.replace("site: south\n    next_hop", "site: north\n    next_hop")) == [
        ("edge-multiple-federation-routes", "medium", None)
    ]
    assert found(both.replace("    federation: true\n    xmpp", "    xmpp")) == [
        ("xmpp-multiple-sites", "medium", None)
    ]
    assert ("edge-multiple-federation-routes", "medium", None) not in found(
        both.replace("federation:\n  enabled: true", "federation:\n  enabled: false")
    )


@pytest.mark.parametrize(("version", "hit"), [("sfb-2015", False), ("sfb-2019", True), ("sfb-se", True)])
def test_xmpp_needs_an_edge_that_still_has_it(version: str, hit: bool) -> None:
    text = changed("    serves:", "    xmpp: {enabled: true}\n    serves:").replace(
        "product: sfb-2015", f"product: {version}"
    )
    assert found(text) == ([("xmpp-unsupported-version", "medium", "edge.example.net")] if hit else [])
    beside = text.replace("reverse_proxies:\n", SECOND_POOL.replace("    xmpp", "    product: lync-2013\n    xmpp"))
    assert not any(rule == "xmpp-unsupported-version" for rule, _, _ in found(beside))


def test_owas_in_perimeter() -> None:
    text = SITE + "office_web_apps: [{fqdn: owas.example.net, address: 10.1.2.77}]\n"
    assert found(text) == [("owas-in-perimeter", "low", "owas.example.net")]
    assert found(text.replace("10.1.2.77", "10.10.1.77")) == []


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
