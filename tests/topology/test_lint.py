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
