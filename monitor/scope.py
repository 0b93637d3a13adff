"""What stands behind a run's silence, as the record keeps it: `reports.source.Scope` to JSON and back.

Strategy: a report says "no violation seen" long after the run, perhaps under another topology; so each run leaves in
the record what it could see and what its site asked for. Only what differs from the defaults is written: rows of older
records say nothing and are read as the defaults.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from monitor.rows import compact
from reports.source import Scope
from reports.visible import visible
from rules.topology import Topology


def scope_of(
    topology: Topology,
    paths: Iterable[str],
    rules: tuple[Sequence[str], Sequence[Mapping[str, str]]],
    doubts: Iterable[str] = (),
) -> str:
    """paths: ids of the rows that apply. rules: what `rules.catalogue.coverage` says for the positions of the run.
    doubts: sentences about what is amiss with what was seen."""
    asked = topology.policy.coverage
    observable, not_observable = rules
    said: dict[str, Any] = {
        "paths": list(paths),
        "observable": list(observable),
        "not_observable": [dict(entry) for entry in not_observable],
        "require": list(asked.require),
        "max_loss": asked.max_loss,
        "min_share": asked.min_share,
        "sensors": [[visible(one.name), one.position] for one in topology.sensors if one.interfaces],
        "doubts": [visible(doubt) for doubt in doubts],
    }
    return compact({key: value for key, value in said.items() if value not in ([], getattr(Scope(), key))})


def read_scope(text: str) -> Scope:
    said: dict[str, Any] = json.loads(text)
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}
    values["sensors"] = tuple((name, position) for name, position in said.get("sensors", ()))
    return Scope(**values)
