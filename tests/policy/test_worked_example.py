"""The worked example of the path document, flow by flow: what is clean, what is not, and on which row or rule.

Strategy: addresses, ports and expected rows are the document's own tables, written down here by hand. Every clean
flow is also cut after its handshake, before any payload: that must never make a finding.
"""

from __future__ import annotations

from typing import Any

import pytest

from rules.observation import XmppClear
from rules.verdict import ALLOWED, VIOLATION
from tests.policy.flows import (
    DNS,
    HTTP,
    MTLS,
    PSEUDO_TLS,
    RTP,
    SILENT,
    SIP,
    TLS,
    TURN,
    Bench,
    clear_xmpp,
    unknown,
    xmpp,
)

CLEAN = [
    ("192.0.2.25:50112", "203.0.113.10:443/tcp", TLS, "ext-access-client-sip"),
    ("172.25.33.10:49201", "192.168.10.50:5061/tcp", MTLS, "int-sip-edge-to-director"),
    ("192.168.10.90:52000", "172.25.33.11:5061/tcp", MTLS, "int-sip-fe-to-edge"),
    ("192.168.10.90:52010", "172.25.33.10:5062/tcp", MTLS, "int-av-auth"),
    ("192.0.2.25:50200", "203.0.113.30:3478/udp", TURN, "ext-av-udp-in"),
    ("192.168.20.7:50030", "172.25.33.10:3478/udp", TURN, "int-av-udp"),
    ("192.0.2.25:50201", "203.0.113.31:443/tcp", PSEUDO_TLS, "ext-av-tcp-in"),
    ("192.168.20.7:50044", "172.25.33.11:443/tcp", PSEUDO_TLS, "int-av-tcp"),
    ("203.0.113.30:50711", "198.51.100.30:443/tcp", PSEUDO_TLS, "ext-av-tcp-out"),
    ("203.0.113.30:3478", "198.51.100.30:3478/udp", TURN, "ext-av-udp-out"),
    ("198.51.100.41:51234", "203.0.113.30:50380/udp", RTP, "ext-av-range-udp-in"),
    ("192.0.2.25:50300", "203.0.113.20:443/tcp", TLS, "ext-webconf-psom"),
    ("192.168.10.91:53000", "172.25.33.10:8057/tcp", MTLS, "int-psom"),
    ("198.51.100.10:41000", "203.0.113.10:5061/tcp", MTLS, "ext-access-federation-in"),
    ("203.0.113.11:49888", "198.51.100.10:5061/tcp", MTLS, "ext-access-federation-out"),
    ("198.51.100.69:38000", "203.0.113.10:5269/tcp", "woodgrove.example", "ext-xmpp-in"),
    ("192.168.10.91:54100", "172.25.33.10:23456/tcp", MTLS, "int-xmpp-gateway"),
    ("203.0.113.10:49500", "198.51.100.200:5061/tcp", MTLS, "ext-access-push-out"),
    ("192.0.2.25:50400", "203.0.113.40:443/tcp", TLS, "ext-rp-https"),
    ("172.25.33.40:40010", "192.168.10.55:4443/tcp", TLS, "int-rp-https-director"),
    ("172.25.33.40:40011", "192.168.10.95:4443/tcp", TLS, "int-rp-https-fe"),
    ("172.25.33.40:40012", "192.168.10.60:443/tcp", TLS, "int-rp-https-owas"),
    ("192.168.10.90:55000", "172.25.33.11:4443/tcp", TLS, "int-cms-replication"),
    ("192.168.10.200:56000", "172.25.33.10:50001/tcp", MTLS, "int-cls-50001"),
    ("203.0.113.10:49900", "198.51.100.80:80/tcp", HTTP, "ext-access-crl-http"),
    ("203.0.113.200:61000", "203.0.113.40:443/tcp", TLS, "ext-rp-mobile-hairpin"),
    ("203.0.113.30:3478", "203.0.113.31:3478/udp", TURN, "ext-av-pool-hairpin"),
]


def position(source: str, destination: str) -> str:
    inner = ("172.25.33.", "192.168.", "10.99.")
    return "internal" if source.startswith(inner) or destination.startswith(inner) else "external"


def wire_of(site: Bench, wire: Any) -> dict[str, Any]:
    return xmpp(site.site.domains.number(wire)) if isinstance(wire, str) else wire


@pytest.mark.parametrize(("source", "destination", "wire", "row"), CLEAN, ids=[f"{n}" for n in range(1, 28)])
def test_clean_flow(site: Bench, source: str, destination: str, wire: Any, row: str) -> None:
    verdict = site.judge(source, destination, wire_of(site, wire), position=position(source, destination))
    assert (verdict.verdict, verdict.path, verdict.rules, verdict.rules_silenced) == (ALLOWED, row, (), ())
    assert verdict.unproved == ()


@pytest.mark.parametrize(("source", "destination", "wire", "row"), CLEAN, ids=[f"{n}" for n in range(1, 28)])
def test_clean_flow_cut_after_its_handshake(site: Bench, source: str, destination: str, wire: Any, row: str) -> None:
    verdict = site.judge(source, destination, SILENT, position=position(source, destination))
    assert (verdict.verdict, verdict.path, verdict.rules) == (ALLOWED, row, ())


@pytest.mark.parametrize(
    ("source", "destination", "wire", "row"),
    [
        ("192.0.2.25:50112", "10.45.16.10:443/tcp", TLS, "ext-access-client-sip"),  # flow 1 behind the translation
        ("10.45.16.30:3478", "203.0.113.31:3478/udp", TURN, "ext-av-pool-hairpin"),  # flow 27 on its way out
        ("203.0.113.30:3478", "10.45.16.31:3478/udp", TURN, "ext-av-pool-hairpin"),  # and on its way back in
        ("10.45.16.30:50711", "203.0.113.31:443/tcp", PSEUDO_TLS, "ext-av-pool-hairpin"),
    ],
)
def test_clean_flow_behind_the_translation(site: Bench, source: str, destination: str, wire: Any, row: str) -> None:
    verdict = site.judge(source, destination, wire)
    assert (verdict.verdict, verdict.path, verdict.rules) == (ALLOWED, row, ())


VIOLATING = {
    "V1": (
        "172.25.33.10:49000",
        "192.168.10.90:5061/tcp",
        MTLS,
        ["director-bypass-sip"],
        ["edge-to-internal-unlisted"],
    ),
    "V2": (
        "192.0.2.25:50000",
        "192.168.10.95:4443/tcp",
        TLS,
        ["reverse-proxy-bypass", "reverse-proxy-nat-forward"],
        ["external-to-internal-direct"],
    ),
    "V5": (
        "172.25.33.40:40013",
        "192.168.10.91:443/tcp",
        TLS,
        ["reverse-proxy-internal-site"],
        ["internal-port-exposed", "reverse-proxy-unexpected-egress"],
    ),
    "V6": ("192.0.2.66:50001", "192.168.10.90:5061/tcp", TLS, ["external-to-internal-direct"], []),
    "V7": (
        "172.25.33.10:49001",
        "192.168.10.5:445/tcp",
        unknown(),
        ["edge-to-internal-unlisted"],
        ["internal-port-exposed"],
    ),
    "V8": ("198.51.100.99:38001", "203.0.113.10:5269/tcp", "evil.example", ["xmpp-partner-not-configured"], []),
    "V9": (
        "198.51.100.69:38002",
        "203.0.113.10:5269/tcp",
        clear_xmpp(XmppClear.STANZA),
        ["xmpp-cleartext-not-permitted"],
        [],
    ),
    "V10": (
        "172.25.33.10:49003",
        "192.168.10.91:23456/tcp",
        MTLS,
        ["xmpp-gateway-direction"],
        ["edge-to-internal-unlisted"],
    ),
    "V11": (
        "192.168.10.91:54101",
        "198.51.100.69:5269/tcp",
        "",
        ["xmpp-direct-from-internal"],
        ["internal-to-external-direct"],
    ),
    "V12": ("192.0.2.66:5060", "203.0.113.10:5060/udp", SIP, ["sip-cleartext", "sip-udp"], []),
    "V13": (
        "198.51.100.10:41001",
        "203.0.113.10:5061/tcp",
        TLS,
        ["mtls-client-cert-missing"],
        ["client-on-federation-port"],
    ),
    "V14": (
        "192.0.2.66:50002",
        "203.0.113.30:443/tcp",
        TLS,
        ["real-tls-on-av"],
        ["non-lync-endpoint-on-edge", "unexpected-protocol-on-listener"],
    ),
    "V15": ("198.51.100.30:51000", "203.0.113.30:50380/udp", RTP, ["media-range-inbound"], []),
    "V16": (
        "172.25.33.11:49002",
        "192.168.10.5:53/udp",
        DNS,
        ["edge-internal-dns"],
        ["edge-to-internal-unlisted"],
    ),
    "V17": ("10.45.16.1:50112", "10.45.16.10:443/tcp", TLS, ["nat-inbound-source-changed"], []),
    "V18": ("172.25.33.40:40020", "172.25.33.10:4443/tcp", TLS, ["cms-replication-wrong-source"], []),
    "V19": ("10.99.0.8:50020", "172.25.33.10:3478/udp", TURN, ["av-media-over-vpn"], []),
    "V20": ("192.0.2.66:50003", "203.0.113.30:50001/tcp", TLS, ["cls-from-outside"], ["media-range-inbound"]),
}


@pytest.mark.parametrize("name", VIOLATING)
def test_violating_flow(site: Bench, name: str) -> None:
    source, destination, wire, rules, silenced = VIOLATING[name]
    verdict = site.judge(source, destination, wire_of(site, wire), position=position(source, destination))
    assert verdict.verdict == VIOLATION
    assert list(verdict.rules) == rules
    assert list(verdict.rules_silenced) == silenced
    assert all(hit.reason.endswith(".") and hit.rule in rules for hit in verdict.hits)


def test_the_same_flows_name_their_nearest_row_and_their_ends(site: Bench) -> None:
    verdict = site.judge("172.25.33.10:49000", "192.168.10.90:5061/tcp", MTLS, position="internal")
    hit = verdict.hits[0]
    assert (hit.severity, hit.nearest_path, hit.port_or_class, hit.service) == (
        "critical",
        "int-sip-edge-to-director",
        "registered",
        "tls",
    )
    assert (verdict.source.zone, verdict.source.role, verdict.source.component) == (
        "perimeter-int",
        "edge-int",
        "edge01.contoso.net",
    )
    assert (verdict.destination.zone, verdict.destination.role, verdict.destination.component) == (
        "internal",
        "fe",
        "fe01.contoso.net",
    )
    assert "edge01.contoso.net" in hit.reason
    assert "fe01.contoso.net" in hit.reason
