"""What audits find: a result, the findings of a record, what differs between two results."""

from __future__ import annotations

from reports.schemas import flows
from reports.schemas.words import (
    ACCOUNTING,
    COUNT,
    DIGEST,
    FLAG,
    FLOW,
    NUMBERED,
    PORT,
    POSITION,
    QUALITY,
    SAID,
    SEVERITY,
    SHA256,
    SIDES,
    TEXT,
    TEXTS,
    TIME,
    WAIVERS,
    ZONE,
    Schema,
    closed,
    document,
    listed,
    matching,
    one_of,
    or_null,
)


def definitions() -> Schema:
    return {
        **flows.definitions(),
        "ports": closed({"min": or_null(PORT), "max": or_null(PORT), "distinct": COUNT}),
        "finding": finding(),
        "attempt": attempt(),
    }


def finding() -> Schema:
    end = {"zone": or_null(ZONE), "role": or_null(TEXT), "component": or_null(TEXT)}
    sample = closed({"capture": TEXT, "frame": NUMBERED, "last_frame": NUMBERED, "display_filter": TEXT, "flow": FLOW})
    opinion = closed(
        {
            "tool": SAID,
            "version": or_null(SAID),
            "protocols": TEXTS,
            "agrees": one_of(True, False, None),
            "why": SAID,
        },
        description="What another tool reads in the samples, in its own words; agrees null: nothing to compare",
    )
    return closed(
        {
            "id": matching("^[0-9a-f]{16}$"),
            "rule": SAID,
            "severity": SEVERITY,
            "position": one_of("external", "internal", "lan", "vpn", "config"),
            "source": closed(end),
            "destination": closed({**end, "port": or_null(PORT)}),
            "ports": {"$ref": "#/$defs/ports"},
            "transport": TEXT,
            "service": TEXT,
            "subject": TEXT,
            "flows": COUNT,
            "packets": COUNT,
            "bytes": COUNT,
            "first": or_null(TIME),
            "last": or_null(TIME),
            "reason": SAID,
            "nearest_path": or_null(TEXT),
            "controls": {"type": "object", "additionalProperties": TEXTS},
            "waived_by": or_null(closed({"owner": SAID, "reason": SAID, "expires": SAID})),
            "samples": listed(sample, maxItems=8),
            "evidence": listed(closed({"path": TEXT, "sha256": SHA256, "packets": COUNT})),
            "second_opinion": or_null(opinion),
        },
        description="All violating flows of one fingerprint; at position config a fact about the declared design",
    )


def attempt() -> Schema:
    return closed(
        {
            "rule": SAID,
            "position": POSITION,
            "sources": COUNT,
            "flows": COUNT,
            "ports": {"$ref": "#/$defs/ports"},
            "first": or_null(TIME),
            "last": or_null(TIME),
        },
        description="Flows that would break the rule and did not get through",
    )


def audit() -> Schema:
    capture = closed(
        {
            "path": TEXT,
            "sensor": TEXT,
            "position": POSITION,
            "side": one_of(*SIDES, None),
            "sha256": SHA256,
            "size": COUNT,
            "first": or_null(TIME),
            "last": or_null(TIME),
            "complete": FLAG,
            "packets": COUNT,
            "bytes": COUNT,
            "accounting": closed(dict.fromkeys(ACCOUNTING, COUNT)),
            "quality": closed(dict.fromkeys(QUALITY, COUNT)),
        },
        description="packets is the sum of accounting; sha256 and size are of the bytes as stored",
    )
    totals = ("packets", "flows", "allowed", "violation", "attempt", "out_of_scope", "undecided")
    path = {"id": SAID, "flows": COUNT, "bytes": COUNT, "first": or_null(TIME), "last": or_null(TIME)}
    fields = {
        "schema": {"const": 1},
        "product": {"const": "edgewarden"},
        "version": SAID,
        "topology": closed({"organization": TEXT, "digest": DIGEST}),
        "policy": closed({"version": SAID, "digest": DIGEST}),
        "verdict": one_of("no-violation-seen", "violations", "inconclusive"),
        "why": SAID,
        "captures": listed(capture),
        "totals": closed(dict.fromkeys(totals, COUNT)),
        "paths": listed(closed(path), description="every path that applies; flows counts allowed ones"),
        "findings": listed({"$ref": "#/$defs/finding"}),
        "attempts": listed({"$ref": "#/$defs/attempt"}),
        "coverage": closed(
            {"observable": TEXTS, "not_observable": listed(closed({"rule": SAID, "why": SAID}))},
        ),
        "waivers": WAIVERS,
    }
    title = "edgewarden audit --format json"
    described = closed(fields, optional=("waivers",))
    return document(title, described, definitions())


def findings() -> Schema:
    fields = {
        "schema": {"const": 1},
        "findings": listed({"$ref": "#/$defs/finding"}),
        "attempts": listed({"$ref": "#/$defs/attempt"}),
    }
    title = "edgewarden findings --format json"
    return document(title, closed(fields), definitions())


def diff() -> Schema:
    end = {"zone": or_null(ZONE), "role": or_null(TEXT), "component": or_null(TEXT)}
    found = listed({"$ref": "#/$defs/finding"}, description="as the results have them")
    both: Schema = {"before": {}, "after": {}}
    changed = {
        **dict.fromkeys(("id", "rule", "position", "reason"), SAID),
        "severity": SEVERITY,
        "source": closed(end),
        "destination": closed({**end, "port": or_null(PORT)}),
        **dict.fromkeys(("transport", "subject"), TEXT),
        "changes": {"type": "object", "additionalProperties": closed(both), "minProperties": 1},
    }
    path = {"id": SAID, "before": or_null(COUNT), "after": or_null(COUNT)}
    fields = {
        "schema": {"const": 1},
        "new": found,
        "gone": found,
        "changed": listed(closed(changed)),
        "not_compared": found,
        "paths": listed(closed(path), description="those whose flows differ; null: did not apply"),
        "judged_alike": FLAG | {"description": "with the same topology and policy"},
    }
    title = "edgewarden diff --format json"
    return document(title, closed(fields), definitions())
