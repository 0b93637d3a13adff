"""JSON Schema of a topology file, for editors and other tools; made from the description that the loader reads by."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from rules.keys import TOPOLOGY


def topology_schema(known_rules: Collection[str] | None = None) -> dict[str, Any]:
    """JSON Schema 2020-12. `known_rules`: the ids that may stand under `policy.rules`, when they are to be named.

    Whatever this schema refuses the loader refuses, too. What it cannot say (names that must exist, addresses that
    belong to one host, duplicate keys) only the loader reports.
    """
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Edgewarden topology",
        **TOPOLOGY.schema(),
    }
    if known_rules is not None:
        rules = schema["properties"]["policy"]["properties"]["rules"]
        rules["propertyNames"] = {"enum": sorted(known_rules)}
    return schema
