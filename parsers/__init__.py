"""Captures to facts: the thin Python face of the native core. Nothing here judges, nothing here does I/O."""

from parsers._native import (
    ACCOUNTING,
    ANSWERED,
    FLOW_COLUMNS,
    INITIATORS,
    JOIN_COLUMNS,
    LIVE_COLUMNS,
    OBSERVATION,
    OBSERVATION_LIMIT,
    QUALITY,
    SERVICES,
    VERSION,
    Batch,
    Engine,
    Tables,
    probe_capture,
    walk,
)

__all__ = [
    "ACCOUNTING",
    "ANSWERED",
    "FLOW_COLUMNS",
    "INITIATORS",
    "JOIN_COLUMNS",
    "LIVE_COLUMNS",
    "OBSERVATION",
    "OBSERVATION_LIMIT",
    "QUALITY",
    "SERVICES",
    "VERSION",
    "Batch",
    "Engine",
    "Tables",
    "probe_capture",
    "walk",
]
