"""A flow: a line of `flows --format jsonl`, and what a finding samples."""

from __future__ import annotations

from reports.schemas.words import (
    COUNT,
    FLAG,
    FLOW,
    MD5,
    NUMBERED,
    PORT,
    POSITION,
    SAID,
    SHA256,
    SIDES,
    TEXT,
    TEXTS,
    TIME,
    ZONE,
    Schema,
    closed,
    document,
    listed,
    loose,
    matching,
    one_of,
)


def definitions() -> Schema:
    time = matching(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.(\d{6}|\d{9})Z$")
    return {
        "time": time | {"description": "ISO 8601, UTC, microseconds; nanoseconds where the time has them"},
        "flow": flow(),
    }


def flow() -> Schema:
    end = closed({"ip": TEXT, "port": PORT, "packets": COUNT, "bytes": COUNT}, optional=("port",))
    vlan = closed({"id": COUNT})
    network = closed(
        {
            "type": one_of("ipv4", "ipv6"),
            "transport": SAID,
            "protocol": SAID,
            "packets": COUNT,
            "bytes": COUNT,
            "community_id": matching("^1:"),
            "vlan": vlan,
            "inner": closed({"vlan": vlan}),
        },
        optional=("protocol", "vlan", "inner"),
    )
    fields = {
        "event": closed({"start": TIME, "end": TIME}),
        "network": network,
        "source": end | {"description": "who opened it"},
        "destination": end | {"description": "who answered, or was to"},
        "observer": closed({"name": TEXT}),
        "tls": _tls(),
        "http": closed({"request": closed({"method": TEXT})}),
        "url": loose({"domain": TEXT, "path": TEXT}),
        "dns": closed({"question": closed({"name": TEXT})}),
        "edgewarden": _edgewarden(),
    }
    return closed(
        fields,
        optional=("observer", "tls", "http", "url", "dns"),
        description="Both directions of one five-tuple from its first packet to its end; what does not apply is absent",
    )


def _tls() -> Schema:
    x509 = loose(
        {
            "subject": closed({"common_name": TEXT}),
            "alternative_names": TEXTS,
            "issuer": closed({"common_name": TEXT}),
            "not_before": TIME,
            "not_after": TIME,
            "serial_number": matching("^[0-9A-F]+$"),
            "public_key_algorithm": TEXT,
            "public_key_size": COUNT,
        }
    )
    certificate = {"x509": x509, "hash": closed({"sha256": SHA256})}
    return loose(
        {
            "version": TEXT,
            "version_protocol": one_of("tls", "ssl", "dtls", "quic"),
            "cipher": TEXT,
            "next_protocol": TEXT,
            "resumed": FLAG,
            "established": FLAG,
            "client": loose({"server_name": TEXT, "ja3": MD5, **certificate}),
            "server": loose({"ja3s": MD5, **certificate}),
        }
    )


def _edgewarden() -> Schema:
    end = loose({"zone": ZONE, "role": TEXT, "component": TEXT})
    always = {
        "services": TEXTS | {"description": "all services recognised, in the order seen"},
        "capture": TEXT,
        "frame": NUMBERED | {"description": "number of the first packet in its file, as Wireshark counts"},
        "initiator": one_of("syn", "handshake", "listener", "first"),
        "answered": one_of("yes", "refused", "no"),
        "missed_bytes": COUNT,
        "snaplen_cut": FLAG,
    }
    seen = {
        "position": POSITION,
        "side": one_of(*SIDES),
        "cut": {"const": True, "description": "a text of this flow was cut at 1,024 octets"},
        "tunnel": listed(TEXT, description="outer headers, outermost first"),
        "tcp": closed({"history": TEXT}),
        "tls": loose({"ja4": TEXT, "mutual": one_of("yes", "no", "unknown")}),
        "sip": loose(
            {
                **dict.fromkeys(("method", "call_id", "from", "to", "user_agent"), TEXT),
                "status": {"type": "integer", "minimum": 0, "maximum": 999},
            }
        ),
        "stun": loose(
            {
                "method": TEXT,
                "transaction_id": matching("^([0-9a-f]{24}|[0-9a-f]{32})$"),
                "ms_version": COUNT,
                "framing": one_of("udp", "tcp", "rfc4571", "ms-turn-tcp"),
            }
        ),
        "http": loose({"answer": one_of("redirect", "refusal", "empty", "autodiscover", "data", "content", "switch")}),
        "xmpp": loose(
            {
                **dict.fromkeys(("to", "from", "namespace"), TEXT),
                "starttls": one_of("offered", "proceeded", "no"),
            }
        ),
    }
    judged = {
        "source": end,
        "destination": end,
        "verdict": one_of("allowed", "violation", "attempt", "undecided", "out-of-scope"),
        "path": TEXT,
        "rules": TEXTS,
        "rules_silenced": TEXTS,
        "unproved": TEXTS,
        "reason": TEXT,
    }
    return closed({**always, **seen, **judged}, optional=(*seen, *judged))


def flow_line() -> Schema:
    title = "One line of edgewarden flows --format jsonl"
    return document(title, FLOW, definitions())
