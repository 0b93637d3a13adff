"""JSON Schemas (2020-12) of the published outputs, printed by `edgewarden schema`.

Strategy: written as data, apart from the code that makes the outputs, so that the tests compare two statements and not
one with itself. Every object is closed: a field that is not described here may not appear.
"""

from __future__ import annotations

import json
from typing import Any, Final

Schema = dict[str, Any]

NAMES: Final = ("audit", "flows", "findings", "explain", "report", "diff")

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema(name: str) -> Schema:
    """The schema of one output. name: one of NAMES."""
    described = {
        "audit": _audit,
        "flows": _flow_line,
        "findings": _findings,
        "explain": _explain,
        "report": _report,
        "diff": _diff,
    }
    return described[name]()


def schema_text(name: str) -> str:
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


# --- words -----------------------------------------------------------------------------------------------------------


def _object(properties: Schema, *, optional: tuple[str, ...] = (), **more: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        **more,
    }


def _loose(properties: Schema) -> Schema:
    """An object of which every field may be absent, but not all."""
    return _object(properties, optional=tuple(properties), minProperties=1)


def _list(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def _one_of(*values: Any) -> Schema:
    return {"enum": list(values)}


def _or_null(kind: Schema) -> Schema:
    return {"anyOf": [kind, {"type": "null"}]}


def _matching(pattern: str) -> Schema:
    return {"type": "string", "pattern": pattern}


_TEXT: Final = {"type": "string"}
_SAID: Final = {"type": "string", "minLength": 1}
_TEXTS: Final = _list(_TEXT)
_FLAG: Final = {"type": "boolean"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_NUMBERED: Final = {"type": "integer", "minimum": 1}
_PORT: Final = {"type": "integer", "minimum": 0, "maximum": 65535}
_SHA256: Final = _matching("^[0-9a-f]{64}$")
_MD5: Final = _matching("^[0-9a-f]{32}$")
_DIGEST: Final = _matching("^sha256:[0-9a-f]{64}$")
_TIME: Final = {"$ref": "#/$defs/time"}
_WAIVERS: Final = _object(
    {"findings": _COUNT, "notes": _TEXTS},
    description="with --waivers: how many findings are waived, and which waivers need a look",
)
_FLOW: Final = {"$ref": "#/$defs/flow"}
_POSITION: Final = _one_of("external", "internal", "lan", "vpn")
_SIDES: Final = ("outside", "inside", "both")
_SEVERITY: Final = _one_of("critical", "high", "medium", "low", "info")
_ZONE: Final = _one_of("external", "perimeter-ext", "perimeter-int", "internal", "vpn", "undeclared")

_ACCOUNTING: Final = (
    "in_flows",
    "non_ip",
    "duplicate",
    "fragment_incomplete",
    "undecodable",
    "table_full",
    "filtered",
)
_QUALITY: Final = ("snaplen_cut", "stream_gap", "clock_backward", "buffer_evicted")


def _definitions(*, results: bool) -> Schema:
    made = {
        "time": _matching(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.(\d{6}|\d{9})Z$")
        | {"description": "ISO 8601, UTC, microseconds; nanoseconds where the time has them"},
        "flow": _flow(),
    }
    if results:
        made |= {
            "ports": _object({"min": _or_null(_PORT), "max": _or_null(_PORT), "distinct": _COUNT}),
            "finding": _finding(),
            "attempt": _attempt(),
        }
    return made


# --- flows -----------------------------------------------------------------------------------------------------------


def _flow() -> Schema:
    end = _object({"ip": _TEXT, "port": _PORT, "packets": _COUNT, "bytes": _COUNT}, optional=("port",))
    vlan = _object({"id": _COUNT})
    network = _object(
        {
            "type": _one_of("ipv4", "ipv6"),
            "transport": _SAID,
            "protocol": _SAID,
            "packets": _COUNT,
            "bytes": _COUNT,
            "community_id": _matching("^1:"),
            "vlan": vlan,
            "inner": _object({"vlan": vlan}),
        },
        optional=("protocol", "vlan", "inner"),
    )
    fields = {
        "event": _object({"start": _TIME, "end": _TIME}),
        "network": network,
        "source": end | {"description": "who opened it"},
        "destination": end | {"description": "who answered, or was to"},
        "observer": _object({"name": _TEXT}),
        "tls": _tls(),
        "http": _object({"request": _object({"method": _TEXT})}),
        "url": _loose({"domain": _TEXT, "path": _TEXT}),
        "dns": _object({"question": _object({"name": _TEXT})}),
        "edgewarden": _edgewarden(),
    }
    return _object(
        fields,
        optional=("observer", "tls", "http", "url", "dns"),
        description="Both directions of one five-tuple from its first packet to its end; what does not apply is absent",
    )


def _tls() -> Schema:
    x509 = _loose(
        {
            "subject": _object({"common_name": _TEXT}),
            "alternative_names": _TEXTS,
            "issuer": _object({"common_name": _TEXT}),
            "not_before": _TIME,
            "not_after": _TIME,
            "serial_number": _matching("^[0-9A-F]+$"),
            "public_key_algorithm": _TEXT,
            "public_key_size": _COUNT,
        }
    )
    certificate = {"x509": x509, "hash": _object({"sha256": _SHA256})}
    return _loose(
        {
            "version": _TEXT,
            "version_protocol": _one_of("tls", "ssl", "dtls", "quic"),
            "cipher": _TEXT,
            "next_protocol": _TEXT,
            "resumed": _FLAG,
            "established": _FLAG,
            "client": _loose({"server_name": _TEXT, "ja3": _MD5, **certificate}),
            "server": _loose({"ja3s": _MD5, **certificate}),
        }
    )


def _edgewarden() -> Schema:
    end = _loose({"zone": _ZONE, "role": _TEXT, "component": _TEXT})
    always = {
        "services": _TEXTS | {"description": "all services recognised, in the order seen"},
        "capture": _TEXT,
        "frame": _NUMBERED | {"description": "number of the first packet in its file, as Wireshark counts"},
        "initiator": _one_of("syn", "handshake", "listener", "first"),
        "answered": _one_of("yes", "refused", "no"),
        "missed_bytes": _COUNT,
        "snaplen_cut": _FLAG,
    }
    seen = {
        "position": _POSITION,
        "side": _one_of(*_SIDES),
        "cut": {"const": True, "description": "a text of this flow was cut at 1,024 octets"},
        "tunnel": _list(_TEXT, description="outer headers, outermost first"),
        "tcp": _object({"history": _TEXT}),
        "tls": _loose({"ja4": _TEXT, "mutual": _one_of("yes", "no", "unknown")}),
        "sip": _loose(
            {
                **dict.fromkeys(("method", "call_id", "from", "to", "user_agent"), _TEXT),
                "status": {"type": "integer", "minimum": 0, "maximum": 999},
            }
        ),
        "stun": _loose(
            {
                "method": _TEXT,
                "transaction_id": _matching("^([0-9a-f]{24}|[0-9a-f]{32})$"),
                "ms_version": _COUNT,
                "framing": _one_of("udp", "tcp", "rfc4571", "ms-turn-tcp"),
            }
        ),
        "xmpp": _loose(
            {
                **dict.fromkeys(("to", "from", "namespace"), _TEXT),
                "starttls": _one_of("offered", "proceeded", "no"),
            }
        ),
    }
    judged = {
        "source": end,
        "destination": end,
        "verdict": _one_of("allowed", "violation", "attempt", "undecided", "out-of-scope"),
        "path": _TEXT,
        "rules": _TEXTS,
        "rules_silenced": _TEXTS,
        "unproved": _TEXTS,
        "reason": _TEXT,
    }
    return _object({**always, **seen, **judged}, optional=(*seen, *judged))


def _flow_line() -> Schema:
    title = "One line of edgewarden flows --format jsonl"
    return {"$schema": _DIALECT, "title": title, "$ref": "#/$defs/flow", "$defs": _definitions(results=False)}


# --- audits ----------------------------------------------------------------------------------------------------------


def _finding() -> Schema:
    end = {"zone": _or_null(_ZONE), "role": _or_null(_TEXT), "component": _or_null(_TEXT)}
    sample = _object(
        {"capture": _TEXT, "frame": _NUMBERED, "last_frame": _NUMBERED, "display_filter": _TEXT, "flow": _FLOW}
    )
    opinion = _object(
        {
            "tool": _SAID,
            "version": _or_null(_SAID),
            "protocols": _TEXTS,
            "agrees": _one_of(True, False, None),
            "why": _SAID,
        },
        description="What another tool reads in the samples, in its own words; agrees null: nothing to compare",
    )
    return _object(
        {
            "id": _matching("^[0-9a-f]{16}$"),
            "rule": _SAID,
            "severity": _SEVERITY,
            "position": _one_of("external", "internal", "lan", "vpn", "config"),
            "source": _object(end),
            "destination": _object({**end, "port": _or_null(_PORT)}),
            "ports": {"$ref": "#/$defs/ports"},
            "transport": _TEXT,
            "service": _TEXT,
            "subject": _TEXT,
            "flows": _COUNT,
            "packets": _COUNT,
            "bytes": _COUNT,
            "first": _or_null(_TIME),
            "last": _or_null(_TIME),
            "reason": _SAID,
            "nearest_path": _or_null(_TEXT),
            "controls": {"type": "object", "additionalProperties": _TEXTS},
            "waived_by": _or_null(_object({"owner": _SAID, "reason": _SAID, "expires": _SAID})),
            "samples": _list(sample, maxItems=8),
            "evidence": _list(_object({"path": _TEXT, "sha256": _SHA256, "packets": _COUNT})),
            "second_opinion": _or_null(opinion),
        },
        description="All violating flows of one fingerprint; at position config a fact about the declared design",
    )


def _attempt() -> Schema:
    return _object(
        {
            "rule": _SAID,
            "position": _POSITION,
            "sources": _COUNT,
            "flows": _COUNT,
            "ports": {"$ref": "#/$defs/ports"},
            "first": _or_null(_TIME),
            "last": _or_null(_TIME),
        },
        description="Flows that would break the rule and did not get through",
    )


def _audit() -> Schema:
    capture = _object(
        {
            "path": _TEXT,
            "sensor": _TEXT,
            "position": _POSITION,
            "side": _one_of(*_SIDES, None),
            "sha256": _SHA256,
            "size": _COUNT,
            "first": _or_null(_TIME),
            "last": _or_null(_TIME),
            "complete": _FLAG,
            "packets": _COUNT,
            "bytes": _COUNT,
            "accounting": _object(dict.fromkeys(_ACCOUNTING, _COUNT)),
            "quality": _object(dict.fromkeys(_QUALITY, _COUNT)),
        },
        description="packets is the sum of accounting; sha256 and size are of the bytes as stored",
    )
    totals = ("packets", "flows", "allowed", "violation", "attempt", "out_of_scope", "undecided")
    path = {"id": _SAID, "flows": _COUNT, "bytes": _COUNT, "first": _or_null(_TIME), "last": _or_null(_TIME)}
    fields = {
        "schema": {"const": 1},
        "product": {"const": "edgewarden"},
        "version": _SAID,
        "topology": _object({"organization": _TEXT, "digest": _DIGEST}),
        "policy": _object({"version": _SAID, "digest": _DIGEST}),
        "verdict": _one_of("no-violation-seen", "violations", "inconclusive"),
        "why": _SAID,
        "captures": _list(capture),
        "totals": _object(dict.fromkeys(totals, _COUNT)),
        "paths": _list(_object(path), description="every path that applies; flows counts allowed ones"),
        "findings": _list({"$ref": "#/$defs/finding"}),
        "attempts": _list({"$ref": "#/$defs/attempt"}),
        "coverage": _object(
            {"observable": _TEXTS, "not_observable": _list(_object({"rule": _SAID, "why": _SAID}))},
        ),
        "waivers": _WAIVERS,
    }
    title = "edgewarden audit --format json"
    closed = _object(fields, optional=("waivers",))
    return {"$schema": _DIALECT, "title": title, **closed, "$defs": _definitions(results=True)}


def _findings() -> Schema:
    fields = {
        "schema": {"const": 1},
        "findings": _list({"$ref": "#/$defs/finding"}),
        "attempts": _list({"$ref": "#/$defs/attempt"}),
    }
    title = "edgewarden findings --format json"
    return {"$schema": _DIALECT, "title": title, **_object(fields), "$defs": _definitions(results=True)}


# --- one finding ------------------------------------------------------------------------------------------------------


def _explain() -> Schema:
    path = {
        **dict.fromkeys(("id", "purpose", "position", "source", "destination", "transport", "service"), _TEXT),
        "ports": _list({"type": ["integer", "string"]}),
        "ends_compared": _FLAG,
        "differs": _TEXTS,
    }
    slice_ = {
        "path": _TEXT,
        "sha256": _SHA256,
        "packets": _COUNT,
        "state": _one_of("intact", "missing", "changed", "unreadable"),
        "why": _or_null(_SAID),
    }
    end = _object({"ip": _or_null(_TEXT), "port": _or_null(_PORT)})
    packet = {
        "evidence": _TEXT,
        "number": _NUMBERED,
        "time": _TEXT,
        "length": _COUNT,
        "source": end,
        "destination": end,
        "transport": _or_null(_TEXT),
        "flags": _or_null(_TEXTS),
        "protocols": _TEXTS,
        "layers": _list(_object({"name": _TEXT, "lines": _TEXTS})),
    }
    dissection = {
        "tool": _SAID,
        "version": _SAID,
        "packets": _list(_object(packet)),
        "cut": _FLAG,
        "fault": _or_null(_SAID),
    }
    fields = {
        "schema": {"const": 1},
        "finding": {"$ref": "#/$defs/finding"},
        "rule": _object(
            {
                "id": _SAID,
                "text": _or_null(_SAID),
                "sources": _TEXTS,
                "controls": {"type": "object", "additionalProperties": _TEXTS},
            }
        ),
        "nearest_path": _or_null(_object(path)),
        "allowed_by": _or_null(_SAID) | {"description": "the local path in YAML that would allow it"},
        "evidence": _list(_object(slice_)),
        "dissection": _or_null(_object(dissection)),
        "no_dissection": _or_null(_SAID) | {"description": "why there is none"},
    }
    title = "edgewarden explain --format json"
    return {"$schema": _DIALECT, "title": title, **_object(fields), "$defs": _definitions(results=True)}


# --- two audits -------------------------------------------------------------------------------------------------------


def _diff() -> Schema:
    end = {"zone": _or_null(_ZONE), "role": _or_null(_TEXT), "component": _or_null(_TEXT)}
    found = _list({"$ref": "#/$defs/finding"}, description="as the results have them")
    both: Schema = {"before": {}, "after": {}}
    changed = {
        **dict.fromkeys(("id", "rule", "position", "reason"), _SAID),
        "severity": _SEVERITY,
        "source": _object(end),
        "destination": _object({**end, "port": _or_null(_PORT)}),
        **dict.fromkeys(("transport", "subject"), _TEXT),
        "changes": {"type": "object", "additionalProperties": _object(both), "minProperties": 1},
    }
    path = {"id": _SAID, "before": _or_null(_COUNT), "after": _or_null(_COUNT)}
    fields = {
        "schema": {"const": 1},
        "new": found,
        "gone": found,
        "changed": _list(_object(changed)),
        "not_compared": found,
        "paths": _list(_object(path), description="those whose flows differ; null: did not apply"),
        "judged_alike": _FLAG | {"description": "with the same topology and policy"},
    }
    title = "edgewarden diff --format json"
    return {"$schema": _DIALECT, "title": title, **_object(fields), "$defs": _definitions(results=True)}


# --- a period ---------------------------------------------------------------------------------------------------------


def _report() -> Schema:
    share = {"type": "number", "minimum": 0, "maximum": 1}
    sensor = _object(
        {
            "sensor": _TEXT,
            "position": _POSITION,
            "share": share | {"description": "of the time from period.from to period.until"},
            "first": _or_null(_TIME),
            "last": _or_null(_TIME),
            "gaps": _list(
                _object({"from": _TIME, "to": _TIME, "why": _or_null(_SAID)}),
                description="of a second or more, the 200 longest; why: as far as the record knows",
            ),
            "gap_count": _COUNT,
            "packets": _COUNT,
            "bytes": _COUNT,
            "accounting": _object(dict.fromkeys(_ACCOUNTING, _COUNT)),
            "quality": _object(dict.fromkeys(_QUALITY, _COUNT)),
            "lost": _object(dict.fromkeys(("queue", "interrupted", "kernel", "nic"), _COUNT)),
            "loss": share | {"description": "share of the packets on the wire that could not be judged"},
        }
    )
    coverage = _object(
        {
            "min_share": share,
            "max_loss": share,
            "positions": _list(
                _object({"position": _POSITION, "share": share}),
                description="required ones, and for how much of the time all was watched there",
            ),
            "sensors": _list(sensor),
            "observable": _TEXTS,
            "not_observable": _list(_object({"rule": _SAID, "why": _SAID})),
        }
    )
    totals = ("packets", "flows", "allowed", "violation", "attempt", "out_of_scope", "undecided")
    brief = {"id": _SAID, "rule": _SAID, "severity": _SEVERITY, "position": _POSITION, "reason": _TEXT}
    changes = _object(
        {
            "before": _or_null(_object({"label": _SAID, "from": _TIME, "to": _TIME})),
            "compared": _list(_POSITION, description="positions that were watched in both periods"),
            "new": _list(_SAID, description="ids of findings"),
            "gone": _list(_object({**brief, "first": _TIME, "last": _TIME})),
        }
    )
    path = {"id": _SAID, "flows": _COUNT, "bytes": _COUNT, "first": _or_null(_TIME), "last": _or_null(_TIME)}
    judged = {
        "version": _SAID,
        "topology": _DIGEST,
        "policy": _object({"version": _SAID, "digest": _DIGEST}),
        "runs": _NUMBERED,
    }
    fields = {
        "schema": {"const": 1},
        "product": {"const": "edgewarden"},
        "version": _SAID,
        "organization": _TEXT,
        "period": _object(
            {
                "label": _SAID,
                "from": _TIME,
                "to": _TIME,
                "until": _TIME | {"description": "to, or shortly before the report was made if it is partial"},
                "zone": _SAID,
                "partial": _FLAG,
            }
        ),
        "verdict": _one_of("no-violation-seen", "violations", "inconclusive"),
        "why": _SAID,
        "coverage": coverage,
        "totals": _object(dict.fromkeys(totals, _COUNT)),
        "severities": _object(
            dict.fromkeys(("critical", "high", "medium", "low", "info"), _COUNT),
            description="findings in traffic; those at position config do not count",
        ),
        "findings": _list({"$ref": "#/$defs/finding"}),
        "changes": changes,
        "attempts": _list({"$ref": "#/$defs/attempt"}),
        "paths": _list(_object(path), description="every path that applied; flows counts allowed ones"),
        "judged": _list(_object(judged), description="what judged, the last last"),
        "waivers": _WAIVERS,
    }
    title = "edgewarden report --format json"
    closed = _object(fields, optional=("waivers",))
    return {"$schema": _DIALECT, "title": title, **closed, "$defs": _definitions(results=True)}
