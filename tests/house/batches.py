"""Batches as the core hands them out, made by hand: what a test does not say has a plain default."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

SCHEMA = pa.schema(
    [
        *((name, pa.int64()) for name in ("event.start", "event.end")),
        *((name, pa.uint8()) for name in ("network.type", "network.transport")),
        *((name, pa.string()) for name in ("source.ip", "destination.ip")),
        *((name, pa.uint16()) for name in ("source.port", "destination.port")),
        *(
            (name, pa.uint64())
            for name in ("source.packets", "source.bytes", "destination.packets", "destination.bytes")
        ),
        *((name, pa.uint16()) for name in ("network.vlan.id", "network.inner.vlan.id")),
        ("network.community_id", pa.string()),
        ("network.protocol", pa.uint8()),
        ("edgewarden.services", pa.list_(pa.uint8())),
        ("edgewarden.tunnel", pa.list_(pa.string())),
        ("edgewarden.capture", pa.uint32()),
        *((name, pa.uint64()) for name in ("edgewarden.frame", "edgewarden.last_frame")),
        *((name, pa.uint8()) for name in ("edgewarden.initiator", "edgewarden.answered")),
        ("edgewarden.tcp.history", pa.string()),
        ("edgewarden.missed_bytes", pa.uint64()),
        *((name, pa.bool_()) for name in ("edgewarden.snaplen_cut", "edgewarden.cut")),
        *((name, pa.string()) for name in ("tls.version", "tls.version_protocol", "tls.cipher", "tls.next_protocol")),
        *((name, pa.bool_()) for name in ("tls.resumed", "tls.established")),
        *(
            (name, pa.string())
            for name in (
                "tls.client.server_name",
                "tls.client.ja3",
                "tls.server.ja3s",
                "edgewarden.tls.ja4",
                "edgewarden.tls.mutual",
            )
        ),
        *((name, pa.list_(pa.uint32())) for name in ("edgewarden.tls.server_chain", "edgewarden.tls.client_chain")),
        *((f"edgewarden.sip.{name}", pa.string()) for name in ("method", "call_id", "from", "to", "user_agent")),
        ("edgewarden.sip.status", pa.uint16()),
        *((f"edgewarden.stun.{name}", pa.string()) for name in ("method", "transaction_id", "framing")),
        ("edgewarden.stun.ms_version", pa.uint32()),
        *((f"edgewarden.xmpp.{name}", pa.string()) for name in ("to", "from", "namespace", "starttls")),
        *((name, pa.string()) for name in ("http.request.method", "url.domain", "url.path", "edgewarden.http.answer")),
        ("dns.question.name", pa.string()),
        ("observation", pa.uint32()),
        ("edgewarden.packets", pa.list_(pa.uint64())),
    ]
)

START = 1_795_334_400_000_000_000  # 2026-11-22T08:00:00Z

DEFAULTS: dict[str, Any] = {
    "event.start": START,
    "event.end": START + 1_000_000_000,
    "network.type": 4,
    "network.transport": 6,
    "source.ip": "198.51.100.7",
    "destination.ip": "203.0.113.10",
    "source.port": 40000,
    "destination.port": 443,
    "source.packets": 6,
    "source.bytes": 900,
    "destination.packets": 5,
    "destination.bytes": 3000,
    "network.community_id": "1:abc=",
    "edgewarden.services": [],
    "edgewarden.tunnel": [],
    "edgewarden.capture": 0,
    "edgewarden.frame": 1,
    "edgewarden.last_frame": 11,
    "edgewarden.initiator": 0,
    "edgewarden.answered": 2,
    "edgewarden.missed_bytes": 0,
    "edgewarden.snaplen_cut": False,
    "edgewarden.cut": False,
    "edgewarden.tls.server_chain": [],
    "edgewarden.tls.client_chain": [],
    "observation": 0,
    "edgewarden.packets": [],
}


def batch(*rows: dict[str, Any]) -> Any:
    """A record batch; each row is what differs from DEFAULTS (absent columns are null)."""
    names = set(SCHEMA.names)
    for row in rows:
        assert names.issuperset(row), sorted(set(row) - names)
    return pa.RecordBatch.from_pylist([{**DEFAULTS, **row} for row in rows], schema=SCHEMA)


CERTIFICATES = pa.schema(
    [
        ("number", pa.uint32()),
        ("sha256", pa.string()),
        ("subject_common_name", pa.string()),
        ("alternative_names", pa.list_(pa.string())),
        ("issuer_common_name", pa.string()),
        ("not_before", pa.int64()),
        ("not_after", pa.int64()),
        ("serial_number", pa.string()),
        ("public_key_algorithm", pa.string()),
        ("public_key_size", pa.uint32()),
        ("revocation_list", pa.bool_()),
    ]
)
