"""What can be asked of a record: its findings and attempts, and what there is of it.

Strategy: sums over the deltas that a filter chooses, read at one moment; the answer has the form in which an audit
prints its own findings, so that whatever reads one reads the other. A filter on time chooses by the quarter of an hour:
what a sensor saw in one counts whole when it reaches into the window, and so goes together with what was taken back of
it.

A row that adds something tells when its finding was seen; once all that a quarter held of it is taken back, its rows so
far tell nothing. Where other flows of the finding stand in the quarter, a time of one that was taken back may stay: a
row has the first and the last moment of all its flows, and a row for each would be as long as a flood. Counts are exact
whatever is taken back.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from monitor.aggregate import SAMPLES, with_ports
from monitor.audit import CONFIG
from monitor.store.spans import spans
from monitor.sums import QUARTER, Ports, Sums
from monitor.times import iso, iso_or_none
from rules.names import SEVERITIES

SCHEMA: Final = 1

ONE_WAY: Final = (
    "SELECT run FROM coverage WHERE one_way AND id IN (SELECT max(id) FROM coverage WHERE capture IS NULL GROUP BY run)"
)
"""Live runs whose tap, as last seen, shows one direction only: nothing is concluded from its silence."""

ADDED: Final = "(flows > 0 OR packets > 0)"
"""Of a delta that does not only take back what an earlier one said."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Nothing = everything. Times in nanoseconds, `time_to` exclusive; `severity`: the lowest; `sensor`: a name or a
    position; `component`: of either end, in any case; `finding`: how its id begins; `begun`: deltas that begin in the
    time asked for (of a report, whose days add up to weeks) instead of those that reach into it."""

    time_from: int | None = None
    time_to: int | None = None
    sensor: str | None = None
    severity: str | None = None
    rule: str | None = None
    component: str | None = None
    finding: str | None = None
    begun: bool = False

    def where(
        self, *, component: tuple[str, str] | None = None, rule: str | None = "rule", whole: str | None = None
    ) -> tuple[str, list[Any]]:
        """Condition and values over a table of deltas. component, rule: how their columns are called there; whole: the
        table, where its rows may take something back."""
        conditions: list[str] = []
        values: list[Any] = []
        if self.time_from is not None or self.time_to is not None:
            reach = "last >= ? AND first < ?"
            quarter = f"run, sensor, finding, first / {QUARTER}"
            if self.begun:
                reach = "first >= ? AND first < ?"
            elif whole is not None:
                reach = f"({quarter}) IN (SELECT {quarter} FROM {whole} WHERE {ADDED} AND {reach})"  # noqa: S608
            conditions.append(reach)
            values += [self.time_from or 0, _NEVER if self.time_to is None else self.time_to]
        if self.sensor is not None:
            conditions.append("(sensor = ? OR position = ?)")
            values += [self.sensor, self.sensor]
        if self.rule is not None and rule is not None:
            conditions.append(f"{rule} = ?")
            values.append(self.rule)
        if self.component is not None and component is not None:
            conditions.append(f"? IN ({', '.join(f'lower({name})' for name in component)})")
            values.append(self.component.lower())
        return " AND ".join(conditions) or "1", values

    @property
    def about_traffic(self) -> bool:
        """Whether it asks for something only traffic has."""
        return self.time_from is not None or self.time_to is not None or self.sensor is not None

    def grave_enough(self, severity: str) -> bool:
        return self.severity is None or SEVERITIES.index(severity) <= SEVERITIES.index(self.severity)


_ENDS: Final = ("source_component", "destination_component")
_NEVER: Final = 2**63 - 1


def listing(connection: sqlite3.Connection, chosen: Filter) -> dict[str, Any]:
    """`findings --format json`: findings gravest first as an audit sorts them, attempts by rule and position."""
    found = [finding for finding in _findings(connection, chosen) if chosen.grave_enough(finding["severity"])]
    found.sort(key=lambda f: (SEVERITIES.index(f["severity"]), f["rule"], f["first"], f["id"]))
    for finding in found:
        finding["samples"] = _samples(connection, finding["id"], chosen)
        finding["evidence"] = _evidence(connection, finding["id"])
        finding["first"], finding["last"] = iso(finding["first"]), iso(finding["last"])
    return {
        "schema": SCHEMA,
        "findings": [*found, *_config_findings(connection, chosen)],
        "attempts": _attempts(connection, chosen),
    }


@dataclass(slots=True)
class _Sum:
    sums: Sums
    ports: Ports
    wording: list[Any]  # [first, reason, id] of the earliest delta


def _findings(connection: sqlite3.Connection, chosen: Filter) -> Iterator[dict[str, Any]]:
    where, values = chosen.where(component=_ENDS, whole="finding_deltas")
    if chosen.finding is not None:
        where += " AND substr(finding, 1, ?) = ?"
        values += [len(chosen.finding), chosen.finding]
    wordings: dict[int, dict[str, Any]] = {}
    found: dict[str, _Sum] = {}
    for number, text in connection.execute("SELECT id, text FROM wordings"):
        wordings[number] = json.loads(text)
    quarter = f"finding, run, sensor, first / {QUARTER}"
    rows = connection.execute(
        f"SELECT {quarter}, wording, ports, flows, packets, bytes, first, last FROM finding_deltas "  # noqa: S608
        f"JOIN findings ON findings.id = finding WHERE {where} ORDER BY {quarter}, finding_deltas.id",
        values,
    )
    for (finding, *_), its in groupby(rows, lambda row: row[:4]):
        known = found.setdefault(finding, _Sum(Sums(), Ports(), []))
        left = Sums()
        said: list[Any] = []
        for *_, wording, ports, flows, packets, octets, first, last in its:
            added = flows > 0 or packets > 0
            left.add(flows, packets, octets, *((first, last) if added else (None, None)))
            if added:
                said = min(filter(None, (said, [first, wordings[wording]["reason"], wording])))
            if not left:
                left, said = Sums(), []
            known.ports.update(Ports.of(ports))
        known.sums.update(left)
        known.wording = min(filter(None, (known.wording, said)), default=[])
    for finding, known in found.items():
        if known.sums and known.wording:  # a short window may hold what takes back and not what it takes back
            yield _finding(finding, known, wordings[known.wording[2]])


def _finding(finding: str, known: _Sum, wording: dict[str, Any]) -> dict[str, Any]:
    ports = known.ports.summary()
    one_port = ports["min"] if ports["distinct"] == 1 else None
    return {
        "id": finding,
        "rule": wording["rule"],
        "severity": wording["severity"],
        "position": wording["position"],
        "source": dict(wording["source"]),
        "destination": {**wording["destination"], "port": one_port},
        "ports": ports,
        "transport": wording["transport"],
        "service": wording["service"],
        "subject": wording["subject"],
        "flows": known.sums.flows,
        "packets": known.sums.packets,
        "bytes": known.sums.octets,
        "first": known.sums.first,
        "last": known.sums.last,
        "reason": with_ports(wording["reason"], wording["at_port"], wording["transport"], known.ports),
        "nearest_path": wording["nearest_path"],
        "controls": dict(wording["controls"]),
        "waived_by": None,
        "samples": [],
        "evidence": [],
        "second_opinion": None,
    }


def _samples(connection: sqlite3.Connection, finding: str, chosen: Filter) -> list[dict[str, Any]]:
    where, values = chosen.where(rule=None)
    places = [
        (json.loads(place), number)
        for number, place in connection.execute(
            "SELECT max(flows.id), place FROM flows JOIN findings ON findings.id = finding "  # noqa: S608
            f"WHERE finding = ? AND {where} GROUP BY run, sensor, place HAVING sample != ''",  # of the newest row
            [finding, *values],
        )
    ]
    made = []
    for _, number in sorted(places)[:SAMPLES]:
        [text] = connection.execute("SELECT sample FROM flows WHERE id = ?", (number,)).fetchone()
        made.append(json.loads(text))
    return made


def _evidence(connection: sqlite3.Connection, finding: str) -> list[dict[str, Any]]:
    rows = connection.execute("SELECT path, sha256, packets FROM evidence WHERE finding = ? ORDER BY path", (finding,))
    return [{"path": path, "sha256": sha256, "packets": packets} for path, sha256, packets in rows]


def _config_findings(connection: sqlite3.Connection, chosen: Filter) -> Iterator[dict[str, Any]]:
    """Those of the last run: of an earlier design nothing is known to hold any more."""
    if chosen.about_traffic and chosen.sensor != CONFIG:
        return
    for (text,) in connection.execute(
        "SELECT finding FROM config_findings WHERE run = (SELECT max(id) FROM runs) ORDER BY number"
    ):
        finding: dict[str, Any] = json.loads(text)
        component = (finding["source"]["component"] or "").lower()
        if (
            chosen.grave_enough(finding["severity"])
            and chosen.rule in (None, finding["rule"])
            and finding["id"].startswith(chosen.finding or "")
            and (chosen.component is None or chosen.component.lower() == component)
        ):
            yield finding


def _attempts(connection: sqlite3.Connection, chosen: Filter) -> list[dict[str, Any]]:
    where, values = chosen.where(component=_ENDS)
    where += f" AND run NOT IN ({ONE_WAY})"
    found: dict[tuple[str, str], tuple[Sums, Ports]] = {}
    addresses: dict[tuple[str, str], int] = {}
    graves = [severity for severity in SEVERITIES if chosen.grave_enough(severity)]
    where += f" AND severity IN ({', '.join('?' * len(graves))})"
    values += graves
    for rule, position, ports, *sums in connection.execute(
        "SELECT rule, position, ports, flows, packets, bytes, first, last FROM attempt_deltas "  # noqa: S608
        f"WHERE {where}",
        values,
    ):
        known, seen = found.setdefault((rule, position), (Sums(), Ports()))
        known.add(*sums)
        seen.update(Ports.of(ports))
    for rule, position, count in connection.execute(
        "SELECT rule, position, count(DISTINCT address) FROM attempt_deltas "  # noqa: S608
        f"JOIN attempt_sources ON delta = attempt_deltas.id WHERE {where} GROUP BY rule, position",
        values,
    ):
        addresses[rule, position] = count
    return [
        {
            "rule": rule,
            "position": position,
            "sources": addresses.get((rule, position), 0),
            "flows": sums.flows,
            "ports": ports.summary(),
            "first": iso_or_none(sums.first),
            "last": iso_or_none(sums.last),
        }
        for (rule, position), (sums, ports) in sorted(found.items())
    ]


def one_way_taps(connection: sqlite3.Connection) -> list[str]:
    """Names of sensors from whose runs no attempts are concluded."""
    return [
        name
        for (name,) in connection.execute(
            f"SELECT DISTINCT coalesce(sensor, position) FROM runs WHERE id IN ({ONE_WAY}) ORDER BY 1"  # noqa: S608
        )
    ]


def info(connection: sqlite3.Connection) -> dict[str, Any]:
    """What there is of a record: counts, and for each sensor what it watched. Times in nanoseconds."""
    [version] = connection.execute("PRAGMA user_version").fetchone()
    first, last = connection.execute("SELECT min(recorded), max(recorded) FROM runs").fetchone()
    asked = {
        "audits": "SELECT count(*) FROM runs WHERE kind = 'audit'",
        "sessions": "SELECT count(*) FROM runs WHERE kind = 'sensor'",
        "captures": "SELECT count(*) FROM captures",
        "flows": "SELECT coalesce(sum(flows), 0) FROM verdict_deltas",
        "findings": "SELECT count(*) FROM (SELECT 1 FROM finding_deltas GROUP BY finding "
        "HAVING sum(flows) <> 0 OR sum(packets) <> 0)",
    }
    counts = {name: connection.execute(question).fetchone()[0] for name, question in asked.items()}
    watched = sorted(spans(connection), key=lambda watched: (watched.sensor, watched.position))
    return {"version": version, **counts, "recorded": (first, last), "watched": watched}
