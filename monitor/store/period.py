"""A record as reports see it (`reports.source.Source`): what began in a window of time, and what was watched of it."""

from __future__ import annotations

import json
import sqlite3
from typing import Any, Final

from monitor.scope import read_scope
from monitor.store.entry import AUDIT
from monitor.store.questions import Filter, listing
from reports.moments import SECOND
from reports.source import Judged, PathUse, Span, Watched

ROTATION: Final = 60 * SECOND
"""Between two captures of one sensor this much silence is the pause from the last packet of a file to the first of the
next, as `tcpdump -G` leaves it; keep-alives alone are more frequent at an edge. Longer is a gap."""

_REACHING: Final = "first < ?2 AND (last > ?1 OR first >= ?1)"
_BEGUN: Final = "first >= ?1 AND first < ?2"
_RUNS: Final = f"SELECT run FROM coverage WHERE {_REACHING}"  # noqa: S608 (texts of our own)


class RecordSource:
    """Answers from one connection, at the moment its transaction began."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def listing(self, start: int, end: int) -> dict[str, Any]:
        found = listing(self._connection, Filter(start, end, begun=True))
        return {"findings": found["findings"], "attempts": found["attempts"]}

    def design(self, start: int, end: int) -> list[dict[str, Any]]:
        rows = self._connection.execute(
            f"SELECT finding FROM config_findings WHERE run = (SELECT max(run) FROM ({_RUNS})) "  # noqa: S608
            "ORDER BY number",
            (start, end),
        )
        return [json.loads(text) for (text,) in rows]

    def verdicts(self, start: int, end: int) -> dict[str, int]:
        rows = self._connection.execute(
            f"SELECT verdict, sum(flows) FROM verdict_deltas WHERE {_BEGUN} GROUP BY verdict",  # noqa: S608
            (start, end),
        )
        return dict(rows)

    def paths(self, start: int, end: int) -> list[PathUse]:
        rows = self._connection.execute(
            "SELECT path, sum(flows), sum(bytes), min(first), max(last) FROM path_deltas "  # noqa: S608
            f"WHERE {_BEGUN} GROUP BY path ORDER BY path",
            (start, end),
        )
        return [PathUse(*row) for row in rows]

    def watched(self, start: int, end: int) -> list[Watched]:
        spans: dict[tuple[str, str, bool], list[Span]] = {}
        for sensor, position, kind, first, last in self._connection.execute(
            "SELECT sensor, position, kind, first, last FROM coverage JOIN runs ON runs.id = run "  # noqa: S608
            f"WHERE {_REACHING} ORDER BY first",
            (start, end),
        ):
            spans.setdefault((sensor, position, kind != AUDIT), []).append((max(first, start), min(last, end)))
        made = []
        for (sensor, position, live), seen in sorted(spans.items()):
            sums = self._sums(sensor, position, live, (start, end))
            made.append(Watched(sensor, position, live, _merged(seen, 0 if live else ROTATION), *sums, {}))
        return made

    def _sums(
        self, sensor: str, position: str, live: bool, window: tuple[int, int]
    ) -> tuple[int, int, dict[str, int], dict[str, int]]:
        """Packets, octets, accounting and quality of what began in the window."""
        packets = octets = 0
        names: tuple[dict[str, int], dict[str, int]] = ({}, {})
        for counted, size, *texts in self._connection.execute(
            "SELECT packets, bytes, accounting, quality FROM coverage JOIN runs ON runs.id = run "  # noqa: S608
            f"WHERE {_BEGUN} AND sensor = ?3 AND position = ?4 AND (kind = ?5) = ?6",
            (*window, sensor, position, AUDIT, not live),
        ):
            packets, octets = packets + counted, octets + size
            for sums, text in zip(names, texts, strict=True):
                for name, count in json.loads(text).items():
                    sums[name] = sums.get(name, 0) + count
        return packets, octets, *names

    def judged(self, start: int, end: int) -> list[Judged]:
        rows = self._connection.execute(
            "SELECT version, organization, topology, policy, count(*), scope FROM runs "  # noqa: S608
            f"WHERE id IN ({_RUNS}) GROUP BY version, organization, topology, policy, scope ORDER BY max(id)",
            (start, end),
        )
        return [
            Judged(version, organization, topology, json.loads(policy), runs, read_scope(scope))
            for version, organization, topology, policy, runs, scope in rows
        ]


def _merged(spans: list[Span], patience: int) -> tuple[Span, ...]:
    """The same time, and pauses up to `patience`, in as few spans as it takes. spans: by their beginning."""
    made = spans[:1]
    for first, last in spans[1:]:
        start, end = made[-1]
        if first <= end + patience:
            made[-1] = (start, max(end, last))
        else:
            made.append((first, last))
    return tuple(made)
