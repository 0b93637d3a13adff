"""Each rule: flows that trip it, and near misses that differ in one thing and must not.

Strategy: one table per rule; a flow is (source, destination, wire). Near misses come from the rule's own text: the
other port, the other source, the other direction, the bytes that prove nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rules.catalogue import catalogue
from rules.observation import Answered, Evidence, Mutual, Payload, Stun, Tls
from rules.topology import Topology
from tests.policy.flows import (
    BOTH,
    CHECK,
    DNS,
    HTTP,
    MTLS,
    PSEUDO_TLS,
    REFUSED,
    RTP,
    SILENT,
    SIP,
    SSH,
    TLS,
    TLS13,
    TLS_RECORDS,
    TURN,
    UNANSWERED,
    Bench,
    contoso,
    spoken,
    unknown,
    xmpp,
)

Flow = tuple[str, str, dict[str, Any]]

NEXT_HOP = "192.168.10.50:5061/tcp"
HELLO_ONLY = spoken("tls", tls=Tls.CLIENT_HELLO, mutual=Mutual.UNKNOWN, payload=Payload.SOURCE)
PSEUDO_HELLO_ONLY = spoken("pseudo-tls", stun=Stun.PSEUDO_HELLO)

TRIPS: dict[str, list[Flow]] = {
    "external-to-internal-direct": [
        ("192.0.2.66:50001", "192.168.10.90:5061/tcp", MTLS),
        ("192.0.2.66:50001", "10.99.0.8:3389/tcp", unknown()),
        ("192.0.2.66:0", "192.168.10.5:0/icmp", SILENT),
        ("198.51.100.10:4000", "192.168.20.9:50000/udp", RTP),
    ],
    "director-bypass-sip": [
        ("172.25.33.10:49000", "192.168.10.90:5061/tcp", MTLS),
        ("172.25.33.11:49000", "192.168.30.10:5061/tcp", TLS13),
        ("172.25.33.11:49000", "192.168.10.5:5061/tcp", SILENT),
    ],
    "reverse-proxy-bypass": [
        ("192.0.2.25:50000", "192.168.10.95:443/tcp", TLS),
        ("192.0.2.25:50000", "192.168.10.50:80/tcp", HTTP),
        ("192.0.2.25:50000", "192.168.10.60:443/tcp", TLS),
        ("10.45.16.40:50000", "192.168.10.95:4443/tcp", TLS),  # the proxy's outer face is not its inner one
        ("172.25.33.77:50000", "192.168.10.90:8080/tcp", HTTP),  # a bystander in the perimeter
    ],
    "reverse-proxy-nat-forward": [
        ("192.0.2.25:50000", "192.168.10.95:4443/tcp", TLS),
        ("192.0.2.25:50000", "192.168.10.51:8080/tcp", HTTP),
    ],
    "reverse-proxy-internal-site": [
        ("172.25.33.40:40000", "192.168.10.91:443/tcp", TLS),
        ("172.25.33.40:40000", "192.168.10.55:80/tcp", HTTP),
        ("172.25.33.40:40000", "192.168.10.95:443/tcp", TLS),
    ],
    "edge-to-internal-unlisted": [
        ("172.25.33.10:49000", "192.168.10.5:445/tcp", unknown()),
        ("172.25.33.10:49000", "192.168.10.50:443/tcp", TLS),  # the next hop, another port
        ("172.25.33.10:49000", "192.168.20.7:50000/udp", RTP),
        ("172.25.33.10:49000", "10.99.0.8:22/tcp", SSH),
        ("172.25.33.10:49000", "192.168.10.5:53/udp", unknown()),  # a tunnel on the DNS port
        ("172.25.33.10:0", "192.168.10.5:0/esp", SILENT),
    ],
    "edge-internal-dns": [
        ("172.25.33.11:49000", "192.168.10.5:53/udp", DNS),
        ("172.25.33.11:49000", "192.168.10.5:53/tcp", DNS),
        ("172.25.33.11:49000", "192.168.10.5:53/udp", UNANSWERED),
    ],
    "xmpp-direct-from-internal": [
        ("192.168.10.91:54101", "198.51.100.69:5269/tcp", xmpp()),
        ("198.51.100.69:54101", "192.168.10.91:5269/tcp", xmpp()),
        ("172.25.33.10:54101", "192.168.10.91:5269/tcp", xmpp()),
        ("192.168.10.91:54101", "172.25.33.10:5269/tcp", SILENT),
    ],
    "sip-cleartext": [
        ("192.168.10.90:50000", "172.25.33.10:5061/tcp", SIP),
        ("192.0.2.66:5060", "203.0.113.10:5060/tcp", SIP),
        ("192.0.2.66:5060", "203.0.113.40:80/tcp", spoken("http", "sip")),  # inside a WebSocket
        ("192.168.20.9:5060", "192.0.2.66:5060/tcp", SIP),
    ],
    "sip-udp": [("192.0.2.66:5060", "203.0.113.10:5060/udp", SIP)],
    "mtls-client-cert-missing": [
        ("198.51.100.10:41001", "203.0.113.10:5061/tcp", TLS),
        ("203.0.113.10:41001", "198.51.100.10:5061/tcp", TLS),
        ("172.25.33.10:49000", NEXT_HOP, TLS),
        ("192.168.10.90:50000", "172.25.33.10:5062/tcp", TLS),
        ("192.168.10.90:50000", "172.25.33.10:8057/tcp", TLS),
        ("192.168.10.90:50000", "172.25.33.10:23456/tcp", TLS),
        ("192.168.10.200:50000", "172.25.33.10:50003/tcp", TLS),
        ("192.168.20.7:50000", "172.25.33.10:5062/tcp", TLS),  # the port asks for it, whoever comes
    ],
    "tls-expected-cleartext": [
        ("192.0.2.66:50000", "203.0.113.10:443/tcp", HTTP),
        ("192.0.2.66:50000", "203.0.113.20:443/tcp", unknown()),
        ("192.168.10.91:54100", "172.25.33.10:23456/tcp", xmpp()),
        ("172.25.33.40:40010", "192.168.10.95:4443/tcp", HTTP),
    ],
    "pseudo-tls-wrong-listener": [
        ("192.0.2.25:50201", "203.0.113.10:443/tcp", PSEUDO_TLS),
        ("192.0.2.25:50201", "203.0.113.40:443/tcp", PSEUDO_HELLO_ONLY),
        ("192.168.10.90:50000", "172.25.33.10:5062/tcp", PSEUDO_TLS),
    ],
    "real-tls-on-av": [
        ("192.0.2.66:50002", "203.0.113.30:443/tcp", TLS),
        ("192.168.20.7:50044", "172.25.33.11:443/tcp", TLS13),
    ],
    "media-range-inbound": [
        ("198.51.100.30:51000", "203.0.113.30:50380/udp", RTP),
        ("192.0.2.66:51000", "10.45.16.30:50380/udp", TURN),
        ("192.0.2.66:51000", "203.0.113.30:59999/tcp", TLS),
        ("192.0.2.66:51000", "203.0.113.30:50000/udp", {**RTP, "answered": Answered.NO, "payload": Payload.SOURCE}),
    ],
    "unlisted-path": [
        ("192.0.2.66:50000", "203.0.113.10:22/tcp", SSH),
        ("203.0.113.10:50000", "192.0.2.66:25/tcp", unknown()),
        ("192.168.20.7:50000", "172.25.33.10:22/tcp", SSH),
        ("192.0.2.66:50000", "203.0.113.77:443/tcp", TLS),  # a perimeter address that nothing declares
        ("192.0.2.66:50000", "203.0.113.10:5269/tcp", TLS),  # a row fits, but it is no XMPP; see its near miss
        ("192.0.2.66:50000", "203.0.113.30:3478/udp", DNS),
    ],
    "undeclared-network": [("172.16.5.5:50000", "172.25.33.10:3478/udp", TURN)],
}

MISSES: dict[str, list[Flow]] = {
    "external-to-internal-direct": [
        ("192.168.20.7:50000", "192.0.2.66:443/tcp", TLS),
        ("192.0.2.66:50000", "203.0.113.10:443/tcp", TLS),
        ("192.0.2.66:50000", "172.25.33.10:443/tcp", PSEUDO_TLS),
        ("192.0.2.66:51000", "224.0.0.5:50000/udp", RTP),
    ],
    "director-bypass-sip": [
        ("172.25.33.10:49000", NEXT_HOP, MTLS),
        ("172.25.33.10:49000", "192.168.10.51:5061/tcp", MTLS),
        ("192.168.10.90:49000", "172.25.33.10:5061/tcp", MTLS),  # outbound SIP is legal with a Director, too
        ("172.25.33.10:49000", "192.168.10.90:5062/tcp", MTLS),
        ("172.25.33.10:49000", "192.168.10.90:5061/udp", unknown()),
    ],
    "reverse-proxy-bypass": [
        ("172.25.33.40:40000", "192.168.10.95:4443/tcp", TLS),
        ("172.25.33.10:40000", "192.168.10.95:4443/tcp", TLS),  # the Edge has rules of its own
        ("192.168.20.7:40000", "192.168.10.95:443/tcp", TLS),
        ("172.25.33.77:50000", "192.168.10.90:443/tcp", TLS),
        ("192.0.2.25:50000", "192.168.10.5:443/tcp", TLS),
    ],
    "reverse-proxy-nat-forward": [
        ("192.0.2.25:50000", "192.168.10.95:443/tcp", TLS),
        ("172.25.33.77:50000", "192.168.10.95:4443/tcp", TLS),
        ("192.0.2.25:50000", "192.168.10.60:4443/tcp", TLS),  # Office Web Apps has no external site of its own
    ],
    "reverse-proxy-internal-site": [
        ("172.25.33.40:40000", "192.168.10.60:443/tcp", TLS),
        ("172.25.33.40:40000", "192.168.10.95:4443/tcp", TLS),
        ("172.25.33.40:40000", "192.168.10.91:445/tcp", TLS),
        ("172.25.33.77:40000", "192.168.10.91:443/tcp", TLS),
    ],
    "edge-to-internal-unlisted": [
        ("172.25.33.10:49000", NEXT_HOP, MTLS),
        ("172.25.33.10:49000", NEXT_HOP, SIP),  # its bytes are another rule's business
        ("192.168.20.7:50000", "172.25.33.10:3478/udp", TURN),
        ("172.25.33.40:50000", "192.168.10.5:445/tcp", unknown()),
        ("172.25.33.10:0", "192.168.10.5:0/icmp", SILENT),
    ],
    "edge-internal-dns": [
        ("172.25.33.11:49000", "192.168.10.5:54/udp", DNS),
        ("203.0.113.10:49000", "198.51.100.53:53/udp", DNS),
        ("172.25.33.11:49000", "192.168.10.5:53/tcp", SSH),
    ],
    "xmpp-direct-from-internal": [
        ("198.51.100.69:54101", "203.0.113.10:5269/tcp", xmpp()),
        ("192.168.10.91:54101", "172.25.33.10:23456/tcp", MTLS),
        ("192.168.10.91:5269", "198.51.100.69:443/tcp", TLS),
        ("192.168.10.91:5269", "198.51.100.69:5269/udp", unknown()),
    ],
    "sip-cleartext": [
        ("192.168.10.90:50000", "172.25.33.10:5061/tcp", MTLS),
        ("192.168.10.90:50000", "192.168.20.7:5060/tcp", SIP),  # crosses nothing
    ],
    "sip-udp": [("192.0.2.66:5060", "203.0.113.10:5060/tcp", SIP)],
    "mtls-client-cert-missing": [
        ("198.51.100.10:41001", "203.0.113.10:5061/tcp", MTLS),
        ("198.51.100.10:41001", "203.0.113.10:5061/tcp", TLS13),
        ("198.51.100.10:41001", "203.0.113.10:5061/tcp", TLS_RECORDS),
        ("198.51.100.10:41001", "203.0.113.10:5061/tcp", HELLO_ONLY),
        ("192.0.2.25:50112", "203.0.113.10:443/tcp", TLS),
        ("192.168.10.90:55000", "172.25.33.11:4443/tcp", TLS),
        ("192.0.2.66:41001", "192.168.10.90:5061/tcp", TLS),
    ],
    "tls-expected-cleartext": [
        ("192.0.2.66:50000", "203.0.113.10:443/tcp", TLS),
        ("192.0.2.66:50000", "203.0.113.10:443/tcp", {**HTTP, "evidence": Evidence.RECOGNISED_LATE}),
        ("192.0.2.66:50000", "203.0.113.10:443/tcp", unknown(evidence=Evidence.UNDETERMINED)),
        ("192.0.2.66:50000", "203.0.113.40:80/tcp", HTTP),
        ("192.0.2.66:50000", "203.0.113.30:443/tcp", HTTP),  # the A/V listener's row asks for no TLS
    ],
    "pseudo-tls-wrong-listener": [
        ("192.0.2.25:50201", "203.0.113.30:443/tcp", PSEUDO_TLS),
        ("203.0.113.30:50711", "198.51.100.30:443/tcp", PSEUDO_TLS),
        ("192.168.20.7:50000", "192.0.2.9:443/tcp", PSEUDO_TLS),
        ("192.0.2.25:50201", "203.0.113.10:444/tcp", PSEUDO_TLS),  # no listener of ours
    ],
    "real-tls-on-av": [
        ("192.0.2.66:50002", "203.0.113.30:443/tcp", HELLO_ONLY),
        ("192.0.2.66:50002", "203.0.113.30:443/tcp", PSEUDO_TLS),
        ("203.0.113.30:50711", "198.51.100.30:443/tcp", TLS),
    ],
    "media-range-inbound": [
        ("198.51.100.41:51234", "203.0.113.30:50380/udp", RTP),  # the OCS 2007 partner
        ("198.51.100.30:51000", "203.0.113.30:50380/udp", CHECK),
        ("198.51.100.30:51000", "203.0.113.30:50380/tcp", UNANSWERED),
        ("198.51.100.30:51000", "203.0.113.30:50380/tcp", REFUSED),
        ("198.51.100.30:51000", "203.0.113.10:50380/udp", RTP),
        ("198.51.100.30:51000", "203.0.113.30:49999/udp", RTP),
    ],
    "unlisted-path": [
        ("192.168.20.7:50000", "192.0.2.9:443/tcp", TLS),
        ("192.0.2.66:50000", "203.0.113.10:443/tcp", SILENT),
        ("198.51.100.69:50000", "203.0.113.10:5269/tcp", unknown(evidence=Evidence.UNDETERMINED)),
        ("192.168.10.5:50000", "192.0.2.9:53/udp", DNS),
    ],
    "undeclared-network": [
        ("172.16.5.5:50000", "203.0.113.77:443/tcp", TLS),  # nobody declared at the other end
        ("192.168.20.7:50000", "172.25.33.10:3478/udp", TURN),
    ],
}

CASES = [(rule, flow, True) for rule, flows in TRIPS.items() for flow in flows]
CASES += [(rule, flow, False) for rule, flows in MISSES.items() for flow in flows]


@pytest.mark.parametrize(
    ("rule", "flow", "trips"), CASES, ids=[f"{r}-{'trips' if t else 'misses'}" for r, _, t in CASES]
)
def test_rule(site: Bench, rule: str, flow: Flow, trips: bool) -> None:
    if rule == "unlisted-path" and trips and flow[1] == "203.0.113.10:5269/tcp":
        flow = ("198.51.100.69:50000", flow[1], flow[2])  # the partner's own address, so that no other rule speaks
    verdict = site.judge(*flow)
    found = rule in (*verdict.rules, *verdict.rules_silenced)
    assert found is trips, verdict


def test_every_built_rule_has_both_kinds_of_flow() -> None:
    built = {entry.id for entry in catalogue() if entry.built}
    own_table = {"xmpp-partner-not-configured"}  # below: it needs partners of several kinds
    assert set(TRIPS) | own_table == built
    assert set(MISSES) | own_table == built


# --- XMPP partners ---------------------------------------------------------------------------------------------------


def with_partners(**changes: Any) -> Topology:
    topology = contoso()
    partner = topology.federation.xmpp_partners[0]
    partners = (replace(partner, **changes),)
    return replace(topology, federation=replace(topology.federation, xmpp_partners=partners))


@pytest.mark.parametrize(
    ("far", "domain", "addresses", "fires"),
    [
        ("198.51.100.69", "woodgrove.example", True, False),
        ("198.51.100.99", "woodgrove.example", True, True),  # the partner lists its addresses, this is none of them
        ("198.51.100.99", "woodgrove.example", False, False),
        ("198.51.100.69", "evil.example", True, True),
        ("198.51.100.69", "contoso.com", True, True),  # one of our own names is no partner
        ("198.51.100.69", "", True, False),
        ("198.51.100.99", "", True, True),
        ("198.51.100.99", "", False, False),  # a partner without addresses may be anybody
        ("198.51.100.69", "sub.woodgrove.example", True, True),
    ],
)
@pytest.mark.parametrize("peer_opens", [True, False])
def test_xmpp_partner(far: str, domain: str, addresses: bool, fires: bool, peer_opens: bool) -> None:
    bench = Bench(contoso() if addresses else with_partners(addresses=()))
    number = bench.site.domains.number(domain) if domain else 0
    if peer_opens:
        verdict = bench.judge(f"{far}:38000", "203.0.113.10:5269/tcp", xmpp(number, 3))
    else:
        verdict = bench.judge("203.0.113.10:38000", f"{far}:5269/tcp", xmpp(3, number))
    assert (("xmpp-partner-not-configured" in verdict.rules), verdict.path) == (
        fires,
        "ext-xmpp-in" if peer_opens else "ext-xmpp-out",
    )
    if fires:
        column = "edgewarden.xmpp.from" if peer_opens else "edgewarden.xmpp.to"
        assert verdict.hits[0].subject_column == (column if domain else None)


def test_xmpp_partner_is_about_products_that_have_xmpp() -> None:
    topology = contoso()
    pool = replace(topology.edge_pools[0], product="sfb-2019")
    verdict = Bench(replace(topology, edge_pools=(pool,))).judge("192.0.2.1:4000", "203.0.113.10:5269/tcp", xmpp(1))
    assert verdict.rules == ("unlisted-path",)


def test_federation_that_is_off_still_expects_certificates_on_its_port() -> None:
    topology = contoso()
    off = replace(topology, federation=replace(topology.federation, enabled=False))
    verdict = Bench(off).judge("198.51.100.10:41001", "203.0.113.10:5061/tcp", {**TLS, "payload": BOTH})
    assert verdict.rules == ("mtls-client-cert-missing",)
