"""JSON Schemas (2020-12) of the published outputs, printed by `edgewarden schema`.

Strategy: written as data, apart from the code that makes the outputs, so that the tests compare two statements and not
one with itself. `words` are what they are written in; `flows`, `results` and `record` describe the outputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from reports.schemas.flows import flow_line
from reports.schemas.record import explain, report
from reports.schemas.results import audit, diff, findings
from reports.schemas.words import Schema

_OUTPUTS: Final[dict[str, Callable[[], Schema]]] = {
    "audit": audit,
    "flows": flow_line,
    "findings": findings,
    "explain": explain,
    "report": report,
    "diff": diff,
}

NAMES: Final = tuple(_OUTPUTS)


def schema(name: str) -> Schema:
    """The schema of one output. name: one of NAMES."""
    return _OUTPUTS[name]()


def schema_text(name: str) -> str:
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"
