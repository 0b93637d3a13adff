"""Each rule: flows that trip it, and near misses that differ in one thing and must not.

Strategy: one table per rule; a flow is (source, destination, wire). Near misses come from the rule's own text: the
other port, the other source, the other direction, the bytes that prove nothing.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from rules.catalogue import catalogue
from rules.components import Provider
from rules.observation import Answered, Evidence, Initiator, Mutual, Payload, Stun, Tls, XmppClear, XmppNamespace
from rules.registry import registered
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
    clear_xmpp,
    contoso,
    spoken,
    unknown,
    xmpp,
)

Flow = tuple[str, str, dict[str, Any]]

NEXT_HOP = "192.168.10.50:5061/tcp"
HELLO_ONLY = spoken("tls", tls=Tls.CLIENT_HELLO, mutual=Mutual.UNKNOWN, payload=Payload.SOURCE)
ANSWERED_CHECK = spoken("stun", stun=Stun.REQUEST | Stun.ANSWERED | Stun.CHECK_ONLY)
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
    "internal-to-external-direct": [
        ("192.168.10.90:50000", "198.51.100.10:5061/tcp", MTLS),
        ("192.168.20.7:50000", "192.0.2.9:5061/tcp", TLS),
        ("192.168.10.91:50000", "198.51.100.69:5269/tcp", xmpp()),
        ("192.168.10.90:50000", "198.51.100.30:3478/udp", UNANSWERED),
        ("192.168.10.90:50000", "192.0.2.9:443/tcp", PSEUDO_TLS),
    ],
    "sba-direct-from-external": [
        ("192.0.2.66:50000", "192.168.30.10:5061/tcp", MTLS),
        ("192.0.2.66:0", "192.168.30.10:0/icmp", SILENT),
    ],
    "push-not-via-sipfed": [
        ("192.168.10.90:50000", "198.51.100.200:5061/tcp", MTLS),
        ("192.168.10.90:50000", "192.0.2.9:5223/tcp", TLS),
    ],
    "internal-port-exposed": [
        ("172.25.33.77:50000", "192.168.10.5:445/tcp", unknown()),
        ("203.0.113.10:50000", "192.168.10.90:444/tcp", TLS),
        ("172.25.33.77:50000", "192.168.10.5:1434/udp", unknown()),
        ("172.25.33.77:50000", "192.168.10.91:443/tcp", TLS),
        ("172.25.33.77:50000", "192.168.10.91:50000/udp", RTP),
        ("172.25.33.77:50000", "192.168.10.91:6901/tcp", SILENT),
        ("192.0.2.66:50000", "192.168.10.90:5073/tcp", TLS),
    ],
    "edge-internal-from-external": [
        ("192.0.2.66:50000", "172.25.33.10:443/tcp", PSEUDO_TLS),
        ("10.45.16.40:50000", "172.25.33.10:4443/tcp", TLS),
        ("203.0.113.10:50000", "172.25.33.11:5061/tcp", MTLS),
        ("203.0.113.77:50000", "172.25.33.11:22/tcp", UNANSWERED),
    ],
    "edge-internal-default-gateway": [
        ("172.25.33.10:50000", "192.0.2.9:443/tcp", TLS),
        ("172.25.33.10:50000", "198.51.100.53:53/udp", DNS),
    ],
    "edge-collocated-role": [
        ("192.0.2.66:50000", "203.0.113.10:8080/tcp", HTTP),
        ("192.168.20.7:50000", "172.25.33.10:445/tcp", unknown()),
        ("192.168.20.7:50000", "172.25.33.10:3389/tcp", SILENT),
        ("192.0.2.66:5060", "203.0.113.10:5060/tcp", SIP),
        ("192.0.2.66:50000", "203.0.113.20:444/tcp", TLS),
    ],
    "edge-egress-unlisted": [
        ("203.0.113.10:50000", "192.0.2.66:25/tcp", unknown()),
        ("203.0.113.10:50000", "192.0.2.66:443/tcp", TLS),
        ("203.0.113.30:50000", "192.0.2.66:22/tcp", UNANSWERED),
        ("203.0.113.10:50000", "198.51.100.53:53/tcp", SSH),  # the row's ends, another service
        ("203.0.113.10:49900", "198.51.100.10:5061/tcp", HTTP),
    ],
    "edge-wrong-external-ip": [
        ("203.0.113.30:50000", "198.51.100.10:5061/tcp", MTLS),
        ("203.0.113.10:50000", "198.51.100.30:443/tcp", PSEUDO_TLS),
        ("203.0.113.20:50000", "198.51.100.53:53/udp", DNS),
    ],
    "non-lync-endpoint-on-edge": [
        ("192.0.2.66:50000", "203.0.113.30:443/tcp", HTTP),
        ("192.0.2.66:50000", "203.0.113.30:3478/udp", DNS),
        ("198.51.100.69:50000", "203.0.113.10:5269/tcp", HTTP),
        ("192.0.2.66:50000", "203.0.113.10:443/tcp", SSH),
    ],
    "unexpected-protocol-on-listener": [
        ("192.0.2.66:50000", "203.0.113.40:80/tcp", SSH),
        ("192.168.20.7:50000", "172.25.33.10:3478/udp", DNS),
        ("192.168.20.7:50000", "172.25.33.10:5061/tcp", unknown()),
        ("172.25.33.40:50000", "192.168.10.95:8080/tcp", TLS),
    ],
    "reverse-proxy-unexpected-egress": [
        ("172.25.33.40:50000", "192.168.10.5:53/udp", DNS),
        ("172.25.33.40:50000", "192.168.10.90:4443/tcp", TLS),  # the pool has a VIP
        ("172.25.33.40:50000", "192.168.20.7:445/tcp", unknown()),
    ],
    "nat-inbound-source-changed": [
        ("10.45.16.1:50112", "10.45.16.10:443/tcp", TLS),
        ("203.0.113.77:50112", "203.0.113.40:443/tcp", TLS),
    ],
    "av-pool-hairpin-blocked": [
        ("203.0.113.30:3478", "203.0.113.31:3478/udp", {**CHECK, "answered": Answered.NO}),
        ("203.0.113.30:50500", "203.0.113.31:443/tcp", UNANSWERED),
        ("203.0.113.30:50500", "203.0.113.31:443/tcp", REFUSED),
    ],
    "media-unrelayed": [
        ("192.168.20.7:50020", "192.0.2.9:61000/udp", RTP),
        ("192.0.2.9:61000", "192.168.20.7:50020/udp", RTP),
        ("192.168.20.7:50020", "192.0.2.9:3482/udp", TURN),
        ("192.168.20.7:50020", "192.0.2.9:61000/tcp", ANSWERED_CHECK),
    ],
    "media-range-udp-legacy": [("203.0.113.30:50380", "198.51.100.30:51000/udp", RTP)],
    "ipsec-on-media": [
        ("192.0.2.66:0", "203.0.113.30:0/esp", SILENT),
        ("172.25.33.10:0", "192.168.10.90:0/ah", SILENT),
    ],
    "av-media-over-vpn": [
        ("10.99.0.8:50020", "172.25.33.10:3478/udp", TURN),
        ("10.99.0.8:50020", "192.168.20.7:50030/udp", RTP),
        ("192.168.20.7:50030", "10.99.0.8:50020/udp", RTP),
    ],
    "tls-weak": [
        ("192.0.2.25:50112", "203.0.113.10:443/tcp", {**TLS, "tls_version": 0x0300}),
        ("203.0.113.10:50112", "198.51.100.10:5061/tcp", {**MTLS, "tls_version": 0x0300}),
        ("192.168.10.90:50112", "172.25.33.10:5062/tcp", {**MTLS, "tls_version": 2}),
    ],
    "tls-ios-below-1-2": [("192.0.2.25:50112", "203.0.113.40:443/tcp", {**TLS, "tls_version": 0x0302})],
    "xmpp-gateway-direction": [
        ("172.25.33.10:49000", "192.168.10.91:23456/tcp", MTLS),
        ("172.25.33.10:49000", "192.168.10.5:23456/tcp", UNANSWERED),
        ("192.168.10.50:49000", "172.25.33.10:23456/tcp", MTLS),
        ("172.25.33.40:49000", "172.25.33.10:23456/tcp", TLS),
    ],
    "xmpp-client-port": [
        ("192.0.2.25:49000", "203.0.113.10:5222/tcp", xmpp()),
        ("192.0.2.25:49000", "203.0.113.10:5269/tcp", {**xmpp(3, 3), "xmpp_namespace": XmppNamespace.CLIENT}),
    ],
    "xmpp-sasl-without-tls": [
        ("198.51.100.69:49000", "203.0.113.10:5269/tcp", clear_xmpp(XmppClear.SASL)),
        ("203.0.113.10:49000", "198.51.100.69:5269/tcp", clear_xmpp(XmppClear.SASL | XmppClear.STANZA)),
        ("198.51.100.99:49000", "203.0.113.10:5269/tcp", clear_xmpp(XmppClear.SASL)),  # whoever it is
    ],
    "xmpp-wrong-ip": [
        ("198.51.100.69:49000", "203.0.113.30:5269/tcp", xmpp(3, 3)),
        ("203.0.113.20:49000", "198.51.100.69:5269/tcp", xmpp(3, 3)),
    ],
    "client-on-federation-port": [("192.0.2.25:41001", "203.0.113.10:5061/tcp", TLS)],
    "cms-replication-wrong-source": [
        ("172.25.33.40:40020", "172.25.33.10:4443/tcp", TLS),
        ("192.168.10.91:40020", "172.25.33.10:4443/tcp", TLS),
        ("192.168.20.7:40020", "172.25.33.10:4443/tcp", UNANSWERED),
    ],
    "cms-replication-reversed": [("172.25.33.10:40020", "192.168.10.90:4443/tcp", TLS)],
    "psom-reversed": [("172.25.33.10:40020", "192.168.10.91:8057/tcp", MTLS)],
    "av-auth-wrong-source": [
        ("192.168.20.7:40020", "172.25.33.10:5062/tcp", MTLS),
        ("10.99.0.8:40020", "172.25.33.10:5062/tcp", UNANSWERED),
        ("172.25.33.40:40020", "172.25.33.10:5062/tcp", MTLS),
    ],
    "cls-from-outside": [
        ("192.0.2.66:40020", "203.0.113.30:50001/tcp", HELLO_ONLY),
        ("192.0.2.66:40020", "203.0.113.10:50003/tcp", UNANSWERED),
        ("172.25.33.40:40020", "172.25.33.10:50002/tcp", MTLS),
    ],
    "crl-blocked": [("203.0.113.10:49900", "198.51.100.80:80/tcp", UNANSWERED)],
    "unlisted-path": [
        ("192.0.2.66:50000", "203.0.113.10:22/tcp", SSH),
        ("192.168.20.7:50000", "172.25.33.10:22/tcp", SSH),
        ("192.0.2.66:50000", "203.0.113.77:443/tcp", TLS),  # a perimeter address that nothing declares
        ("203.0.113.40:50000", "192.0.2.66:25/tcp", unknown()),
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
    "internal-to-external-direct": [
        ("192.168.20.7:50000", "192.0.2.9:3478/udp", TURN),  # a client in somebody else's meeting
        ("192.168.20.7:50000", "192.0.2.9:443/tcp", PSEUDO_TLS),
        ("192.168.10.90:50000", "192.0.2.9:443/tcp", TLS),
        ("203.0.113.10:50000", "198.51.100.10:5061/tcp", MTLS),
        ("192.168.10.90:50000", "198.51.100.10:5061/udp", unknown()),
    ],
    "sba-direct-from-external": [
        ("172.25.33.10:50000", "192.168.30.10:5061/tcp", MTLS),
        ("192.0.2.66:50000", "192.168.30.11:5061/tcp", MTLS),
    ],
    "push-not-via-sipfed": [
        ("203.0.113.10:49500", "198.51.100.200:5061/tcp", MTLS),
        ("192.168.21.9:50000", "192.0.2.9:5223/tcp", TLS),  # a phone may
        ("192.168.10.90:50000", "192.0.2.9:5223/tcp", SILENT),
        ("192.168.10.90:50000", "198.51.100.10:5061/tcp", MTLS),
    ],
    "internal-port-exposed": [
        ("172.25.33.10:49201", NEXT_HOP, MTLS),
        ("192.168.20.7:50000", "192.168.10.90:444/tcp", TLS),
        ("172.25.33.77:50000", "192.168.10.5:443/tcp", TLS),
        ("172.25.33.77:50000", "192.168.10.5:22/tcp", SSH),
        ("172.25.33.10:3478", "192.168.20.7:50030/udp", {**TURN, "initiator": Initiator.FIRST}),  # its reply
    ],
    "edge-internal-from-external": [
        ("192.168.20.7:50000", "172.25.33.10:443/tcp", PSEUDO_TLS),
        ("172.25.33.40:50000", "172.25.33.10:4443/tcp", TLS),  # the inner side has other rules
        ("10.45.16.1:50000", "172.25.33.10:443/tcp", SILENT),  # the firewall looks whether it is alive
        ("192.0.2.66:50000", "203.0.113.10:443/tcp", TLS),
    ],
    "edge-internal-default-gateway": [
        ("203.0.113.10:50000", "198.51.100.53:53/udp", DNS),
        ("172.25.33.10:49201", NEXT_HOP, MTLS),
        ("172.25.33.40:49201", "192.0.2.9:443/tcp", TLS),
    ],
    "edge-collocated-role": [
        ("192.0.2.66:50000", "203.0.113.10:8080/tcp", UNANSWERED),
        ("192.0.2.66:50000", "203.0.113.40:8080/tcp", HTTP),  # the proxy may be shared
        ("192.168.10.200:50000", "172.25.33.10:3389/tcp", SILENT),  # an administrator
        ("192.168.10.90:50000", "172.25.33.10:5062/tcp", MTLS),  # its own port
        ("192.0.2.66:50000", "203.0.113.10:22/tcp", SSH),
    ],
    "edge-egress-unlisted": [
        ("203.0.113.10:49900", "198.51.100.80:80/tcp", HTTP),
        ("203.0.113.10:49900", "198.51.100.10:5061/tcp", MTLS),
        ("203.0.113.40:49900", "192.0.2.9:443/tcp", TLS),  # no Edge
        ("203.0.113.10:49900", "192.168.10.5:445/tcp", unknown()),
    ],
    "edge-wrong-external-ip": [
        ("203.0.113.10:50000", "198.51.100.10:5061/tcp", MTLS),
        ("203.0.113.30:50000", "198.51.100.10:5061/tcp", SILENT),  # a port alone proves nothing
        ("203.0.113.30:50711", "198.51.100.30:443/tcp", PSEUDO_TLS),
        ("203.0.113.30:50000", "198.51.100.69:5269/tcp", xmpp()),  # `xmpp-wrong-ip`
    ],
    "non-lync-endpoint-on-edge": [
        ("192.0.2.66:50000", "203.0.113.30:443/tcp", PSEUDO_TLS),
        ("192.0.2.66:50000", "203.0.113.40:80/tcp", SSH),  # the proxy
        ("192.0.2.66:50000", "203.0.113.10:22/tcp", SSH),  # no listener
        ("192.0.2.66:50000", "203.0.113.30:443/tcp", unknown(evidence=Evidence.UNDETERMINED)),
        ("192.168.20.7:50000", "172.25.33.10:3478/udp", DNS),
    ],
    "unexpected-protocol-on-listener": [
        ("192.0.2.66:50000", "203.0.113.40:80/tcp", HTTP),
        ("192.168.20.7:50000", "172.25.33.10:22/tcp", SSH),
        ("192.168.20.7:50000", "172.25.33.10:5061/tcp", TLS),  # the wrong one came, with the right bytes
        ("203.0.113.10:49900", "198.51.100.53:53/tcp", SSH),  # no listener of ours
    ],
    "reverse-proxy-unexpected-egress": [
        ("172.25.33.40:40011", "192.168.10.95:4443/tcp", TLS),
        ("172.25.33.40:40011", "192.168.10.95:4443/tcp", SSH),  # a listed way
        ("172.25.33.77:40011", "192.168.10.5:53/udp", DNS),
        ("172.25.33.40:40011", "192.0.2.9:443/tcp", TLS),
    ],
    "nat-inbound-source-changed": [
        ("192.0.2.25:50112", "10.45.16.10:443/tcp", TLS),
        ("10.45.16.1:50112", "10.45.16.10:22/tcp", SSH),  # no listener
        ("10.45.16.40:50112", "10.45.16.10:443/tcp", TLS),  # a declared host
        ("203.0.113.200:50112", "203.0.113.40:443/tcp", TLS),  # what the LAN looks like
    ],
    "av-pool-hairpin-blocked": [
        ("203.0.113.30:3478", "203.0.113.31:3478/udp", TURN),
        ("203.0.113.30:50500", "203.0.113.31:443/tcp", SILENT),
        ("10.45.16.30:3478", "10.45.16.31:3478/udp", CHECK),  # it never left
        ("203.0.113.30:50500", "203.0.113.31:443/tcp", {**UNANSWERED, "initiator": Initiator.LISTENER}),
        ("203.0.113.30:3478", "198.51.100.30:3478/udp", CHECK),
    ],
    "media-unrelayed": [
        ("192.168.20.7:50020", "192.0.2.9:61000/udp", CHECK),
        ("192.168.20.7:50020", "192.0.2.9:61000/udp", spoken("rtp")),  # fewer than ten packets
        ("192.168.20.7:50020", "192.0.2.9:3478/udp", TURN),
        ("192.168.20.7:50020", "172.25.33.10:3478/udp", TURN),
    ],
    "media-range-udp-legacy": [
        ("203.0.113.30:50380", "198.51.100.41:51000/udp", RTP),  # the OCS 2007 partner
        ("203.0.113.30:40000", "198.51.100.30:51000/udp", RTP),
        ("203.0.113.30:50380", "198.51.100.30:51000/udp", spoken("rtp")),
        ("203.0.113.30:50380", "198.51.100.30:51000/tcp", ANSWERED_CHECK),
    ],
    "ipsec-on-media": [
        ("192.0.2.66:0", "203.0.113.10:0/esp", SILENT),  # not the A/V address
        ("192.0.2.66:0", "203.0.113.30:0/gre", SILENT),
    ],
    "av-media-over-vpn": [
        ("10.99.0.8:50020", "172.25.33.10:3478/udp", UNANSWERED),
        ("192.168.20.7:50020", "172.25.33.10:3478/udp", TURN),
        ("10.99.0.8:50020", "172.25.33.10:443/tcp", TLS),
        ("10.99.0.8:50020", "203.0.113.30:3478/udp", TURN),  # as it should be
    ],
    "tls-weak": [
        ("192.0.2.25:50112", "203.0.113.10:443/tcp", {**TLS, "tls_version": 0x0301}),
        ("192.0.2.25:50112", "203.0.113.10:443/tcp", {**HELLO_ONLY, "tls_version": 0x0300}),  # merely offered
        ("192.168.20.7:50112", "192.0.2.9:443/tcp", {**TLS, "tls_version": 0x0300}),
    ],
    "tls-ios-below-1-2": [
        ("192.0.2.25:50112", "203.0.113.40:443/tcp", TLS),
        ("192.0.2.25:50112", "203.0.113.40:443/tcp", {**HELLO_ONLY, "tls_version": 0x0301}),
        ("192.0.2.25:50112", "203.0.113.10:443/tcp", {**TLS, "tls_version": 0x0301}),
    ],
    "xmpp-gateway-direction": [
        ("192.168.10.91:54100", "172.25.33.10:23456/tcp", MTLS),
        ("172.25.33.10:49000", "192.168.10.91:23457/tcp", MTLS),
        ("192.0.2.66:49000", "172.25.33.10:23456/tcp", MTLS),
    ],
    "xmpp-client-port": [
        ("198.51.100.69:49000", "203.0.113.10:5269/tcp", xmpp(3, 3)),
        ("192.0.2.25:49000", "203.0.113.10:5222/tcp", UNANSWERED),
        ("192.0.2.25:49000", "203.0.113.10:5223/tcp", TLS),
    ],
    "xmpp-sasl-without-tls": [
        ("198.51.100.69:49000", "203.0.113.10:5269/tcp", xmpp()),
        ("198.51.100.69:49000", "203.0.113.10:5269/tcp", clear_xmpp(XmppClear.STANZA)),
        ("198.51.100.69:49000", "203.0.113.40:5269/tcp", clear_xmpp(XmppClear.SASL)),  # no proxy of ours
    ],
    "xmpp-wrong-ip": [
        ("198.51.100.69:49000", "203.0.113.10:5269/tcp", xmpp(3, 3)),
        ("198.51.100.69:49000", "203.0.113.30:5222/tcp", xmpp(3, 3)),
        ("203.0.113.40:49000", "198.51.100.69:5269/tcp", xmpp(3, 3)),
    ],
    "client-on-federation-port": [
        ("198.51.100.10:41001", "203.0.113.10:5061/tcp", MTLS),
        ("192.0.2.25:41001", "203.0.113.10:443/tcp", TLS),
    ],
    "cms-replication-wrong-source": [
        ("192.168.10.90:55000", "172.25.33.11:4443/tcp", TLS),
        ("192.168.10.1:55000", "172.25.33.11:4443/tcp", SILENT),  # a firewall's own probe
        ("172.25.33.40:40020", "192.168.10.95:4443/tcp", TLS),  # the proxy's 4443 is another one
    ],
    "cms-replication-reversed": [
        ("172.25.33.40:40020", "192.168.10.95:4443/tcp", TLS),
        ("192.168.10.90:55000", "172.25.33.11:4443/tcp", TLS),
    ],
    "psom-reversed": [
        ("192.168.10.91:53000", "172.25.33.10:8057/tcp", MTLS),
        ("172.25.33.10:40020", "192.168.10.50:8057/tcp", MTLS),  # no Front End
    ],
    "av-auth-wrong-source": [
        ("192.168.10.90:52010", "172.25.33.10:5062/tcp", MTLS),
        ("192.168.30.10:52010", "172.25.33.10:5062/tcp", MTLS),
        ("192.168.10.50:52010", "172.25.33.10:5062/tcp", MTLS),  # a Director is neither client nor perimeter host
    ],
    "cls-from-outside": [
        ("192.168.10.200:56000", "172.25.33.10:50001/tcp", MTLS),
        ("192.0.2.66:40020", "203.0.113.30:50001/udp", RTP),
        ("192.0.2.66:40020", "203.0.113.30:50001/tcp", SILENT),  # a relay port, and no bytes
        ("192.0.2.66:40020", "203.0.113.30:50001/tcp", ANSWERED_CHECK),  # media
        ("192.0.2.66:40020", "203.0.113.30:50004/tcp", HELLO_ONLY),
    ],
    "crl-blocked": [
        ("203.0.113.10:49900", "198.51.100.80:80/tcp", HTTP),
        ("203.0.113.10:49900", "198.51.100.80:80/tcp", REFUSED),
        ("203.0.113.10:49900", "198.51.100.10:5061/tcp", UNANSWERED),
        ("203.0.113.30:49900", "198.51.100.80:80/tcp", UNANSWERED),
        ("203.0.113.10:49900", "198.51.100.80:80/tcp", {**UNANSWERED, "initiator": Initiator.LISTENER}),  # joined late
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
    verdict = site.judge(*flow)
    found = rule in (*verdict.rules, *verdict.rules_silenced)
    assert found is trips, verdict


def test_every_built_rule_has_both_kinds_of_flow() -> None:
    built = {entry.id for entry in catalogue() if entry.built}
    assert set(TRIPS) | set(OTHER_SITES) == built
    assert set(MISSES) | set(OTHER_SITES) == built
    assert set(TRIPS) == set(MISSES)
    for where in OTHER_SITES.values():
        assert (Path(__file__).parent / where).exists()


OTHER_SITES = {
    "xmpp-partner-not-configured": "test_rules.py",  # below: partners of several kinds
    "xmpp-cleartext-not-permitted": "test_rules.py",  # below: what the partner's settings ask
    "federation-partner-not-allowed": "test_rules.py",  # below: discovery off
    "federation-disabled-5061": "test_rules.py",  # below: federation off
    "xmpp-unsupported-version": "test_rules.py",  # below: 2019
    "owas-in-perimeter": "test_rules.py",  # below: Office Web Apps elsewhere
    "cert-no-cdp": "test_revocation_lists.py",
    "reverse-proxy-http-content": "test_content.py",
    "hlb-internal-vip-webconf": "test_balancing.py",
    "hlb-internal-vip-xmpp": "test_balancing.py",
    "hlb-internal-vip-mgmt": "test_balancing.py",
    "hlb-node-direct-sip": "test_balancing.py",
    "hlb-av-snat": "test_balancing.py",
    **dict.fromkeys(
        (
            "director-bypass-web",
            "reverse-proxy-tls-passthrough",
            "reverse-proxy-ssl-offload",
            "reverse-proxy-host-rewritten",
            "mobility-not-via-proxy",
            "admin-url-exposed",
            "internal-web-fqdn-exposed",
            "external-web-fqdn-from-inside",
            "mtls-untrusted-peer",
            "turn-shared-secret",
            "cert-name-mismatch",
            "cert-wildcard-edge",
            "cert-private-ca-edge-external",
            "cert-expired",
        ),
        "test_details.py",
    ),
    **{rule: "test_correlate.py" for rule, entry in registered().items() if entry.join and entry.sources},
}
"""Rules whose flows need another site than the worked example, and where their tests are."""


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


@pytest.mark.parametrize(
    ("tls", "clear", "domain", "far", "fires"),
    [
        ("required", XmppClear.STANZA, "woodgrove.example", "198.51.100.69", True),
        ("required", XmppClear.STANZA | XmppClear.SASL, "woodgrove.example", "198.51.100.69", True),
        ("required", XmppClear.STANZA, "", "198.51.100.69", True),  # joined late: the address says who it is
        ("required", XmppClear.STANZA, "", "198.51.100.99", False),
        ("required", XmppClear.STANZA, "evil.example", "198.51.100.69", False),  # no partner: another rule's
        ("required", XmppClear.SASL, "woodgrove.example", "198.51.100.69", False),
        ("required", XmppClear(0), "woodgrove.example", "198.51.100.69", False),
        ("optional", XmppClear.STANZA, "woodgrove.example", "198.51.100.69", False),
        ("unsupported", XmppClear.STANZA, "woodgrove.example", "198.51.100.69", False),
    ],
)
@pytest.mark.parametrize("peer_opens", [True, False])
def test_xmpp_in_the_clear(tls: str, clear: XmppClear, domain: str, far: str, fires: bool, peer_opens: bool) -> None:
    bench = Bench(with_partners(tls=tls))
    number = bench.site.domains.number(domain) if domain else 0
    if peer_opens:
        verdict = bench.judge(f"{far}:38000", "203.0.113.10:5269/tcp", clear_xmpp(clear, number, 3))
    else:
        verdict = bench.judge("203.0.113.10:38000", f"{far}:5269/tcp", clear_xmpp(clear, 3, number))
    assert ("xmpp-cleartext-not-permitted" in verdict.rules) is fires, verdict
    assert ("xmpp-sasl-without-tls" in verdict.rules) is bool(clear & XmppClear.SASL)


def changed_pool(**changes: Any) -> Bench:
    topology = contoso()
    return Bench(replace(topology, edge_pools=(replace(topology.edge_pools[0], **changes),)))


def changed_federation(**changes: Any) -> Bench:
    topology = contoso()
    return Bench(replace(topology, federation=replace(topology.federation, **changes)))


@pytest.mark.parametrize(
    ("source", "destination", "wire", "silenced"),
    [
        ("192.0.2.1:4000", "203.0.113.10:5269/tcp", xmpp(1), []),
        ("203.0.113.10:4000", "192.0.2.1:5269/tcp", xmpp(1), ["edge-egress-unlisted"]),
        ("192.168.10.91:4000", "172.25.33.10:23456/tcp", MTLS, []),
        ("172.25.33.10:4000", "192.168.10.91:23456/tcp", MTLS, ["edge-to-internal-unlisted", "xmpp-gateway-direction"]),
    ],
)
def test_xmpp_with_a_product_that_has_none(
    source: str, destination: str, wire: dict[str, Any], silenced: list[str]
) -> None:
    verdict = changed_pool(product="sfb-2019").judge(source, destination, wire, position="internal")
    assert "xmpp-unsupported-version" in verdict.rules
    # what an Edge opens outward unlisted is another fact and stands beside it
    assert [*verdict.rules_silenced, *(r for r in verdict.rules if r == "edge-egress-unlisted")] == silenced


def test_an_older_edge_beside_it_keeps_xmpp() -> None:
    topology = contoso()
    newer = replace(topology.edge_pools[0], fqdn="new.contoso.net", product="sfb-2019", members=())
    both = Bench(replace(topology, edge_pools=(*topology.edge_pools, newer)))
    verdict = both.judge("198.51.100.69:4000", "203.0.113.10:5269/tcp", xmpp())
    assert "xmpp-unsupported-version" not in (*verdict.rules, *verdict.rules_silenced)


def test_federation_that_is_off() -> None:
    off = changed_federation(enabled=False)
    verdict = off.judge("198.51.100.10:41001", "203.0.113.10:5061/tcp", {**TLS, "payload": BOTH})
    assert verdict.rules == ("federation-disabled-5061",)
    assert verdict.rules_silenced == ("mtls-client-cert-missing", "client-on-federation-port")
    assert off.judge("203.0.113.10:41001", "198.51.100.10:5061/tcp", MTLS).rules == (
        "edge-egress-unlisted",
        "federation-disabled-5061",
    )
    # push has a row of its own on that port
    assert off.judge("203.0.113.10:49500", "198.51.100.200:5061/tcp", MTLS).verdict == "allowed"
    assert off.judge("192.0.2.25:41001", "203.0.113.10:443/tcp", TLS).verdict == "allowed"
    unpublished = changed_pool(federation=False).judge("198.51.100.10:41001", "203.0.113.10:5061/tcp", MTLS)
    assert unpublished.rules == ("federation-disabled-5061",)
    on = changed_pool().judge("198.51.100.10:41001", "203.0.113.10:5061/tcp", MTLS)
    assert on.verdict == "allowed"


def test_partners_that_are_not_listed_while_discovery_is_off() -> None:
    listed = changed_federation(discovery=False)
    verdict = listed.judge("192.0.2.9:41000", "203.0.113.10:5061/tcp", MTLS)
    assert (verdict.verdict, verdict.rules) == ("violation", ("federation-partner-not-allowed",))
    assert listed.judge("198.51.100.10:41000", "203.0.113.10:5061/tcp", MTLS).verdict == "allowed"
    assert changed_federation().judge("192.0.2.9:41000", "203.0.113.10:5061/tcp", MTLS).verdict == "allowed"
    partners = (replace(contoso().federation.sip_partners[0], access=()),)
    out = listed.judge("203.0.113.10:41000", "192.0.2.9:5061/tcp", MTLS)
    row = "ext-access-federation-out"
    assert (out.verdict, out.path, out.rules) == ("violation", row, ("federation-partner-not-allowed",))
    assert listed.judge("203.0.113.10:41000", "198.51.100.10:5061/tcp", MTLS).verdict == "allowed"
    assert listed.judge("203.0.113.10:41000", "192.0.2.9:5061/tcp", UNANSWERED).verdict == "allowed"
    anybody = changed_federation(discovery=False, public_im=Provider(enabled=True))
    assert anybody.judge("203.0.113.10:41000", "192.0.2.9:5061/tcp", MTLS).verdict == "allowed"
    nameless = changed_federation(discovery=False, sip_partners=partners)
    assert nameless.judge("192.0.2.9:41000", "203.0.113.10:5061/tcp", MTLS).verdict == "allowed"


def test_office_web_apps_in_the_perimeter() -> None:
    topology = contoso()
    farm = replace(topology.office_web_apps[0], address=(ip_address("203.0.113.60"),))
    bench = Bench(replace(topology, office_web_apps=(farm,)))
    inside = bench.judge("192.168.20.7:4000", "203.0.113.60:443/tcp", TLS)
    assert [(hit.rule, hit.severity) for hit in inside.hits] == [("owas-in-perimeter", "low")]
    direct = bench.judge("192.0.2.25:4000", "203.0.113.60:443/tcp", TLS)
    assert [(hit.rule, hit.severity) for hit in direct.hits] == [("owas-in-perimeter", "high")]
    silent = bench.judge("192.0.2.25:4000", "203.0.113.60:443/tcp", UNANSWERED)
    assert silent.rules == ("unlisted-path",)
    assert Bench(topology).judge("172.25.33.40:4000", "192.168.10.60:443/tcp", TLS).verdict == "allowed"
