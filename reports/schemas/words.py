"""The words that the schemas of the outputs are written in: shapes, and values that stand in several of them.

Strategy: every object is closed, a field that is not described may not appear.
"""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]


def document(title: str, described: Schema, definitions: Schema) -> Schema:
    """The schema of a whole output."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "title": title, **described, "$defs": definitions}


def closed(properties: Schema, *, optional: tuple[str, ...] = (), **more: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        **more,
    }


def loose(properties: Schema) -> Schema:
    """An object of which every field may be absent, but not all."""
    return closed(properties, optional=tuple(properties), minProperties=1)


def listed(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def one_of(*values: Any) -> Schema:
    return {"enum": list(values)}


def or_null(kind: Schema) -> Schema:
    return {"anyOf": [kind, {"type": "null"}]}


def matching(pattern: str) -> Schema:
    return {"type": "string", "pattern": pattern}


TEXT: Final = {"type": "string"}
SAID: Final = {"type": "string", "minLength": 1}
TEXTS: Final = listed(TEXT)
FLAG: Final = {"type": "boolean"}
COUNT: Final = {"type": "integer", "minimum": 0}
NUMBERED: Final = {"type": "integer", "minimum": 1}
PORT: Final = {"type": "integer", "minimum": 0, "maximum": 65535}
SHA256: Final = matching("^[0-9a-f]{64}$")
MD5: Final = matching("^[0-9a-f]{32}$")
DIGEST: Final = matching("^sha256:[0-9a-f]{64}$")
TIME: Final = {"$ref": "#/$defs/time"}
WAIVERS: Final = closed(
    {"findings": COUNT, "notes": TEXTS},
    description="with --waivers: how many findings are waived, and which waivers need a look",
)
FLOW: Final = {"$ref": "#/$defs/flow"}
POSITION: Final = one_of("external", "internal", "lan", "vpn")
SIDES: Final = ("outside", "inside", "both")
SEVERITY: Final = one_of("critical", "high", "medium", "low", "info")
ZONE: Final = one_of("external", "perimeter-ext", "perimeter-int", "internal", "vpn", "undeclared")

ACCOUNTING: Final = (
    "in_flows",
    "non_ip",
    "duplicate",
    "fragment_incomplete",
    "undecodable",
    "table_full",
    "filtered",
)
QUALITY: Final = ("snaplen_cut", "stream_gap", "clock_backward", "buffer_evicted")
