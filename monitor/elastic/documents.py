"""A row as people find it in Kibana: fields of the Elastic Common Schema (ECS), and `edgewarden.*` for the rest.

Strategy: one function a table, from the row's own object and, for violations, from the first sample of its flows. Every
document also carries that object, unindexed, under `edgewarden.record.data`; nothing that is read again comes from
anywhere else, so names here can grow without touching an answer. A row that takes flows back (its counts are negative)
is no alert.
"""

from __future__ import annotations

import json
from typing import Any, Final

from monitor.elastic.tables import Piece
from monitor.times import iso_or_none

ECS: Final = "9.4.0"

SEVERITY: Final = {"critical": 99, "high": 73, "medium": 47, "low": 21, "info": 1}
"""`event.severity`, on the scale of Elastic's own detection rules."""

LIVE_LOSSES: Final = ("kernel", "nic", "queue", "interrupted")
"""Packets that a sensor lost before they were counted, beside those that an audit can have."""

_OF_A_FLOW: Final = ("tls", "http", "url", "dns")
_OF_A_FLOW_OURS: Final = ("services", "side", "initiator", "answered", "tcp", "tls", "sip", "stun", "xmpp")


def document(piece: Piece, record: str, version: int, namespace: str, sample: str | None = None) -> dict[str, Any]:
    """record: its name. version: of its tables. sample: of a flow behind the row, as the record keeps it."""
    row = piece.data.get("row", {})
    made = {} if piece.chunk else _fields(piece, sample)
    kind, dataset = ("logs", "violation") if piece.source.violations else ("metrics", "coverage")
    event = {"kind": "metric", **made.get("event", {}), "module": "edgewarden", "dataset": f"edgewarden.{dataset}"}
    ours = {
        **made.get("edgewarden", {}),
        "first": row.get("first"),
        "last": row.get("last"),
        "run": {"id": row.get("run"), "kind": piece.kind},
        "record": {
            "uuid": record,
            "version": version,
            "table": piece.source.table,
            "row": piece.row,
            "chunk": piece.chunk,
            "data": piece.data,
        },
    }
    moment = iso_or_none(row.get("first")) or iso_or_none(row.get("recorded")) or iso_or_none(0)
    return _without_empty(
        {
            "@timestamp": moment,
            "ecs": {"version": ECS},
            "data_stream": {"type": kind, "dataset": f"edgewarden.{dataset}", "namespace": namespace},
            **made,
            "event": {**event, "start": iso_or_none(row.get("first")), "end": iso_or_none(row.get("last"))},
            "observer": {
                "vendor": "Edgewarden",
                "product": "Edgewarden",
                "type": "sensor",
                **made.get("observer", {}),
                **({"name": row["sensor"]} if "sensor" in row else {}),
            },
            "edgewarden": ours,
        }
    )


def _fields(piece: Piece, sample: str | None) -> dict[str, Any]:
    """What people see of a row. One that cannot be shown, whatever the reason, is shipped all the same: its own object
    is what counts."""
    try:
        return _FIELDS.get(piece.source.table, _counts)(piece.data, sample)
    except (KeyError, TypeError, ValueError):
        return {"message": f"a row of {piece.source.table} that cannot be shown"}


def _violation(data: dict[str, Any], sample: str | None) -> dict[str, Any]:
    row, wording = data["row"], json.loads(data["wording"])
    shown: dict[str, Any] = {} if sample is None else json.loads(sample)
    flow = shown.get("flow", {})
    taken_back = row["flows"] < 0 or row["packets"] < 0
    source, destination = flow.get("source", {}), flow.get("destination", {})
    network = {key: value for key, value in flow.get("network", {}).items() if key not in ("packets", "bytes")}
    ours = {key: value for key, value in flow.get("edgewarden", {}).items() if key in _OF_A_FLOW_OURS}
    ends = {name: wording[name] for name in ("source", "destination")}
    return {
        "message": wording["reason"],
        "event": {
            "kind": "event" if taken_back else "alert",
            "category": ["network"],
            "type": ["info"] if taken_back else ["connection", "allowed"],
            "severity": SEVERITY[wording["severity"]],
        },
        "rule": _rule(wording["rule"]),
        "source": {key: source[key] for key in ("ip", "port") if key in source},
        "destination": {key: destination[key] for key in ("ip", "port") if key in destination},
        "related": {"ip": sorted({end["ip"] for end in (source, destination) if "ip" in end})},
        "network": {
            "transport": wording["transport"],
            "protocol": wording["service"],
            **network,
            "packets": row["packets"],
            "bytes": row["bytes"],
        },
        **{key: flow[key] for key in _OF_A_FLOW if key in flow},
        "edgewarden": {
            **ours,
            **_counted(row),
            "verdict": "violation",
            "severity": wording["severity"],
            "position": wording["position"],
            "finding": {"id": row["finding"], "subject": wording["subject"]},
            **ends,
            "nearest_path": wording["nearest_path"],
            "controls": wording["controls"],
            "capture": {"path": shown.get("capture"), "frame": shown.get("frame")},
            "display_filter": shown.get("display_filter"),
        },
    }


def _attempt(data: dict[str, Any], sample: str | None) -> dict[str, Any]:
    row = data["row"]
    addresses = [part["address"] for part in data["parts"]]
    taken_back = row["flows"] < 0 or row["packets"] < 0
    return {
        "message": f"attempts on {row['rule']} at {row['position']} that did not get through",
        "event": {
            "kind": "event" if taken_back else "alert",
            "category": ["network"],
            "type": ["info"] if taken_back else ["connection", "start"],
            "severity": SEVERITY[row["severity"]],
        },
        "rule": _rule(row["rule"]),
        "source": {"ip": addresses[0]} if len(addresses) == 1 else {},
        "related": {"ip": addresses},
        "network": {"packets": row["packets"], "bytes": row["bytes"]},
        "edgewarden": {
            **_counted(row),
            "verdict": "attempt",
            "severity": row["severity"],
            "position": row["position"],
            "source": {"component": row["source_component"]},
            "destination": {"component": row["destination_component"]},
        },
    }


def _counts(data: dict[str, Any], sample: str | None) -> dict[str, Any]:
    """Deltas of a verdict or a path, and whatever table comes: the columns that have a field."""
    row = data["row"]
    named = {key: row[key] for key in ("verdict", "path", "position") if key in row}
    return {"edgewarden": {**_counted(row), **named}}


def _coverage(data: dict[str, Any], sample: str | None) -> dict[str, Any]:
    row = data["row"]
    return {
        "edgewarden": {
            "position": row["position"],
            "side": row["side"],
            "packets": row["packets"],
            "bytes": row["bytes"],
            "accounting": {**json.loads(row["accounting"]), **{name: row[name] for name in LIVE_LOSSES}},
            "quality": json.loads(row["quality"]),
        }
    }


def _capture(data: dict[str, Any], sample: str | None) -> dict[str, Any]:
    row = data["row"]
    named = {key: row[key] for key in ("path", "sha256", "size")}
    return {"edgewarden": {"position": row["position"], "capture": named}}


def _kept_flow(data: dict[str, Any], sample: str | None) -> dict[str, Any]:
    """A violating flow that was kept as a sample: all that is known of it, with the counts of its own."""
    if not data["row"]["sample"]:
        return {"message": "a sample that was taken back", "event": {"kind": "event"}}
    shown = json.loads(data["row"]["sample"])
    flow = shown["flow"]
    return {
        "event": {"kind": "event", "category": ["network"], "type": ["connection"]},
        **{key: flow[key] for key in ("source", "destination", "network", *_OF_A_FLOW) if key in flow},
        "rule": _rule(data["finding"]["rule"]),
        "edgewarden": {
            **{key: value for key, value in flow["edgewarden"].items() if key in _OF_A_FLOW_OURS},
            "position": data["finding"]["position"],
            "finding": {"id": data["row"]["finding"], "subject": data["finding"]["subject"]},
            "capture": {"path": shown["capture"], "frame": shown["frame"]},
            "display_filter": shown["display_filter"],
        },
    }


def _slice(data: dict[str, Any], sample: str | None) -> dict[str, Any]:
    row = data["row"]
    named = {key: row[key] for key in ("path", "sha256", "packets")}
    return {
        "event": {"kind": "event"},
        "rule": _rule(data["finding"]["rule"]),
        "edgewarden": {"finding": {"id": row["finding"]}, "evidence": named},
    }


def _slice_gone(data: dict[str, Any], sample: str | None) -> dict[str, Any]:
    return {"message": "a slice of evidence that is no more", "event": {"kind": "event"}}


def _run(data: dict[str, Any], sample: str | None) -> dict[str, Any]:
    row = data["row"]
    return {
        "message": row["why"],
        "event": {"kind": "state", "created": iso_or_none(row["recorded"])},
        "organization": {"name": row["organization"]},
        "observer": {"version": row["version"]},
        "edgewarden": {"verdict": row["verdict"], "topology": {"digest": row["topology"]}},
    }


_FIELDS: Final = {
    "finding_deltas": _violation,
    "attempt_deltas": _attempt,
    "coverage": _coverage,
    "captures": _capture,
    "flows": _kept_flow,
    "evidence": _slice,
    "evidence_gone": _slice_gone,
    "runs": _run,
}


def _rule(identifier: str) -> dict[str, Any]:
    return {"id": identifier, "name": identifier.replace("-", " "), "category": "edge policy", "ruleset": "edgewarden"}


def _counted(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("flows", "packets", "bytes", "ports") if key in row}


def _without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields without a value are left out, as everywhere in ECS; the row's own object stays as it is."""
    made = {}
    for key, value in fields.items():
        kept = _without_empty(value) if isinstance(value, dict) and key != "data" else value
        if kept is not None and kept != {} and kept != [] and kept != "":
            made[key] = kept
    return made
