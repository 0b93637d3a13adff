"""What is told from a record: one finding with its evidence, and the report of a period."""

from __future__ import annotations

from reports.schemas.results import definitions
from reports.schemas.words import (
    ACCOUNTING,
    COUNT,
    DIGEST,
    FLAG,
    NUMBERED,
    PORT,
    POSITION,
    QUALITY,
    SAID,
    SEVERITY,
    SHA256,
    TEXT,
    TEXTS,
    TIME,
    WAIVERS,
    Schema,
    closed,
    document,
    listed,
    one_of,
    or_null,
)


def explain() -> Schema:
    path = {
        **dict.fromkeys(("id", "purpose", "position", "source", "destination", "transport", "service"), TEXT),
        "ports": listed({"type": ["integer", "string"]}),
        "ends_compared": FLAG,
        "differs": TEXTS,
    }
    slice_ = {
        "path": TEXT,
        "sha256": SHA256,
        "packets": COUNT,
        "state": one_of("intact", "missing", "changed", "unreadable"),
        "why": or_null(SAID),
    }
    end = closed({"ip": or_null(TEXT), "port": or_null(PORT)})
    packet = {
        "evidence": TEXT,
        "number": NUMBERED,
        "time": TEXT,
        "length": COUNT,
        "source": end,
        "destination": end,
        "transport": or_null(TEXT),
        "flags": or_null(TEXTS),
        "protocols": TEXTS,
        "layers": listed(closed({"name": TEXT, "lines": TEXTS})),
    }
    dissection = {
        "tool": SAID,
        "version": SAID,
        "packets": listed(closed(packet)),
        "cut": FLAG,
        "fault": or_null(SAID),
    }
    fields = {
        "schema": {"const": 1},
        "finding": {"$ref": "#/$defs/finding"},
        "rule": closed(
            {
                "id": SAID,
                "text": or_null(SAID),
                "sources": TEXTS,
                "controls": {"type": "object", "additionalProperties": TEXTS},
            }
        ),
        "nearest_path": or_null(closed(path)),
        "allowed_by": or_null(SAID) | {"description": "the local path in YAML that would allow it"},
        "evidence": listed(closed(slice_)),
        "dissection": or_null(closed(dissection)),
        "no_dissection": or_null(SAID) | {"description": "why there is none"},
    }
    title = "edgewarden explain --format json"
    return document(title, closed(fields), definitions())


def report() -> Schema:
    share = {"type": "number", "minimum": 0, "maximum": 1}
    sensor = closed(
        {
            "sensor": TEXT,
            "position": POSITION,
            "share": share | {"description": "of the time from period.from to period.until"},
            "first": or_null(TIME),
            "last": or_null(TIME),
            "gaps": listed(
                closed({"from": TIME, "to": TIME, "why": or_null(SAID)}),
                description="of a second or more, the 200 longest; why: as far as the record knows",
            ),
            "gap_count": COUNT,
            "packets": COUNT,
            "bytes": COUNT,
            "accounting": closed(dict.fromkeys(ACCOUNTING, COUNT)),
            "quality": closed(dict.fromkeys((*QUALITY, "unjoined"), COUNT)),
            "lost": closed(dict.fromkeys(("queue", "interrupted", "kernel", "nic"), COUNT)),
            "loss": share | {"description": "share of the packets on the wire that could not be judged"},
        }
    )
    coverage = closed(
        {
            "min_share": share,
            "max_loss": share,
            "positions": listed(
                closed({"position": POSITION, "share": share}),
                description="required ones, and for how much of the time all was watched there",
            ),
            "sensors": listed(sensor),
            "observable": TEXTS,
            "not_observable": listed(closed({"rule": SAID, "why": SAID})),
        }
    )
    totals = ("packets", "flows", "allowed", "violation", "attempt", "out_of_scope", "undecided")
    brief = {"id": SAID, "rule": SAID, "severity": SEVERITY, "position": POSITION, "reason": TEXT}
    changes = closed(
        {
            "before": or_null(closed({"label": SAID, "from": TIME, "to": TIME})),
            "compared": listed(POSITION, description="positions that were watched in both periods"),
            "new": listed(SAID, description="ids of findings"),
            "gone": listed(closed({**brief, "first": TIME, "last": TIME})),
        }
    )
    path = {"id": SAID, "flows": COUNT, "bytes": COUNT, "first": or_null(TIME), "last": or_null(TIME)}
    judged = {
        "version": SAID,
        "topology": DIGEST,
        "policy": closed({"version": SAID, "digest": DIGEST}),
        "runs": NUMBERED,
    }
    fields = {
        "schema": {"const": 1},
        "product": {"const": "edgewarden"},
        "version": SAID,
        "organization": TEXT,
        "period": closed(
            {
                "label": SAID,
                "from": TIME,
                "to": TIME,
                "until": TIME | {"description": "to, or shortly before the report was made if it is partial"},
                "zone": SAID,
                "partial": FLAG,
            }
        ),
        "verdict": one_of("no-violation-seen", "violations", "inconclusive"),
        "why": SAID,
        "coverage": coverage,
        "totals": closed(dict.fromkeys(totals, COUNT)),
        "severities": closed(
            dict.fromkeys(("critical", "high", "medium", "low", "info"), COUNT),
            description="findings in traffic; those at position config do not count",
        ),
        "findings": listed({"$ref": "#/$defs/finding"}),
        "changes": changes,
        "attempts": listed({"$ref": "#/$defs/attempt"}),
        "paths": listed(closed(path), description="every path that applied; flows counts allowed ones"),
        "judged": listed(closed(judged), description="what judged, the last last"),
        "waivers": WAIVERS,
    }
    title = "edgewarden report --format json"
    described = closed(fields, optional=("waivers",))
    return document(title, described, definitions())
