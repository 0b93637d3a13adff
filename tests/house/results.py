"""A result of an audit, written by hand from the published format, with hostile text where it can come from outside."""

from __future__ import annotations

from typing import Any

HOSTILE = '<script src="https://evil.example/x.js"></script><img src=x onerror=alert(1)>'

FLOW: dict[str, Any] = {
    "event": {"start": "2026-11-22T08:00:00.000000Z", "end": "2026-11-22T08:00:02.500000Z"},
    "network": {
        "type": "ipv4",
        "transport": "tcp",
        "protocol": "tls",
        "packets": 12,
        "bytes": 3456,
        "community_id": "1:wCb3OG7yAFWelaUydu0D+125CLM=",
    },
    "source": {"ip": "172.25.33.10", "port": 50012, "packets": 7, "bytes": 1400},
    "destination": {"ip": "192.168.10.90", "port": 5061, "packets": 5, "bytes": 2056},
    "observer": {"name": "internal"},
    "tls": {"version": "1.2", "version_protocol": "tls", "resumed": False, "established": True},
    "edgewarden": {
        "services": ["tls"],
        "position": "internal",
        "capture": "inside.pcapng",
        "frame": 7,
        "initiator": "syn",
        "answered": "yes",
        "missed_bytes": 0,
        "snaplen_cut": False,
        "tcp": {"history": "ShADadFf"},
        "source": {"zone": "perimeter-int", "role": "edge-int", "component": "edge01.contoso.net"},
        "destination": {"zone": "internal", "role": "fe", "component": "fe01.contoso.net"},
        "verdict": "violation",
        "rules": ["director-bypass-sip"],
        "rules_silenced": ["edge-to-internal-unlisted"],
        "unproved": [],
        "reason": "edge01.contoso.net opened SIP to fe01.contoso.net past the Director",
    },
}


def finding(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": "0123456789abcdef",
        "rule": "director-bypass-sip",
        "severity": "critical",
        "position": "internal",
        "source": {"zone": "perimeter-int", "role": "edge-int", "component": "edge01.contoso.net"},
        "destination": {"zone": "internal", "role": "fe", "component": "fe01.contoso.net", "port": 5061},
        "ports": {"min": 5061, "max": 5061, "distinct": 1},
        "transport": "tcp",
        "service": "tls",
        "subject": "",
        "flows": 1,
        "packets": 12,
        "bytes": 3456,
        "first": "2026-11-22T08:00:00.000000Z",
        "last": "2026-11-22T08:00:02.500000Z",
        "reason": "edge01.contoso.net opened SIP to fe01.contoso.net although dirpool01.contoso.net is its next hop",
        "nearest_path": "int-sip-edge-to-director",
        "controls": {"nist-800-53": ["AC-4", "SC-7(5)"]},
        "waived_by": None,
        "samples": [
            {
                "capture": "inside.pcapng",
                "frame": 7,
                "last_frame": 31,
                "display_filter": "ip.addr==172.25.33.10 && ip.addr==192.168.10.90 && tcp.port==50012 "
                "&& tcp.port==5061",
                "flow": FLOW,
            }
        ],
        "evidence": [{"path": "director-bypass-sip-0123456789abcdef.pcapng", "sha256": "ab" * 32, "packets": 12}],
        "second_opinion": None,
    }
    return {**made, **changes}


def capture(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "path": "captures/a-rather-long-folder-name/outside-firewall-2026-11-22T08-00-00.pcapng.zst",
        "sensor": "external",
        "position": "external",
        "side": None,
        "sha256": "cd" * 32,
        "size": 123456,
        "first": "2026-11-22T08:00:00.000000Z",
        "last": "2026-11-22T09:00:00.123456789Z",
        "complete": True,
        "packets": 1000,
        "bytes": 654321,
        "accounting": {
            "in_flows": 980,
            "non_ip": 12,
            "duplicate": 5,
            "fragment_incomplete": 1,
            "undecodable": 2,
            "table_full": 0,
            "filtered": 0,
        },
        "quality": {"snaplen_cut": 3, "stream_gap": 0, "clock_backward": 0, "buffer_evicted": 0},
    }
    return {**made, **changes}


def result(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "schema": 1,
        "product": "edgewarden",
        "version": "0.1.0",
        "topology": {"organization": "Contoso", "digest": "sha256:" + "12" * 32},
        "policy": {"version": "1", "digest": "sha256:" + "34" * 32},
        "verdict": "violations",
        "why": "2 findings, the gravest critical: edge01.contoso.net opened SIP to fe01.contoso.net",
        "captures": [capture(), capture(path="inside.pcapng", sensor="internal", position="internal")],
        "totals": {
            "packets": 2000,
            "flows": 31,
            "allowed": 20,
            "violation": 2,
            "attempt": 4,
            "out_of_scope": 3,
            "undecided": 2,
        },
        "paths": [
            {
                "id": "ext-access-client-sip",
                "flows": 20,
                "bytes": 1234567,
                "first": "2026-11-22T08:00:00.000000Z",
                "last": "2026-11-22T08:59:00.000000Z",
            },
            {"id": "ext-xmpp-in", "flows": 0, "bytes": 0, "first": None, "last": None},
            {"id": "int-psom", "flows": 0, "bytes": 0, "first": None, "last": None},
        ],
        "findings": [
            finding(),
            finding(
                id="fedcba9876543210",
                rule="xmpp-partner-not-configured",
                severity="medium",
                position="external",
                subject=HOSTILE,
                reason=f"the domain {HOSTILE} is no partner of this site",
                ports={"min": 5000, "max": 60000, "distinct": 77},
                nearest_path=None,
                evidence=[],
            ),
            finding(
                id="00000000000000ff",
                rule="edge-same-subnet",
                severity="high",
                position="config",
                source={"zone": None, "role": None, "component": "edge01.contoso.net"},
                destination={"zone": None, "role": None, "component": None, "port": None},
                ports={"min": None, "max": None, "distinct": 0},
                transport="",
                service="",
                flows=0,
                packets=0,
                bytes=0,
                first=None,
                last=None,
                reason="both faces of edge01.contoso.net are in one network",
                nearest_path=None,
                controls={},
                samples=[],
                evidence=[],
            ),
        ],
        "attempts": [
            {
                "rule": "external-to-internal-direct",
                "position": "external",
                "sources": 3,
                "flows": 4,
                "ports": {"min": 22, "max": 3389, "distinct": 3},
                "first": "2026-11-22T08:00:00.000000Z",
                "last": "2026-11-22T08:10:00.000000Z",
            }
        ],
        "coverage": {
            "observable": ["director-bypass-sip", "xmpp-partner-not-configured"],
            "not_observable": [
                {"rule": "sip-udp", "why": "no sensor at position lan"},
                {"rule": "cert-expired", "why": "no sensor at the internal firewall"},
                {"rule": "cert-no-cdp", "why": "no sensor at the internal firewall"},
            ],
        },
    }
    return {**made, **changes}
