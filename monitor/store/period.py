"""A record as reports see it (`reports.source.Source`): what began in a window of time, and what was watched of it.

The record counts by quarters of an hour (`monitor.sums.QUARTER`), and what is taken back stands in the quarter in which
it was counted. So a window gets whole quarters, also the one in which it begins, lest it leave out what was seen there;
days of all zones begin with one, so they add up. A window shorter than a quarter gets what begins in it, as near as the
record tells.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from typing import Any, Final

from monitor.scope import read_scope
from monitor.store.questions import ONE_WAY, Filter, listing
from monitor.store.spans import spans
from monitor.sums import QUARTER
from reports.source import Judged, PathUse, Watched
from rules.verdict import ATTEMPT, UNDECIDED

_REACHING: Final = "SELECT run FROM coverage WHERE first < ?2 AND (last > ?1 OR first >= ?1)"


class RecordSource:
    """Answers from one connection, at the moment its transaction began."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def recorded(self, since: int) -> int | None:
        [running, ended] = self._connection.execute(
            "SELECT min(last) FILTER (WHERE runs), max(last) FROM "
            "(SELECT max(last) AS last, max(closed) = 0 AS runs FROM coverage GROUP BY run) WHERE last > ?",
            (since,),
        ).fetchone()
        moment: int | None = ended if running is None else running
        return moment

    def counted(self, start: int, end: int) -> tuple[int, int]:
        return _quarters(start, end)

    def listing(self, start: int, end: int) -> dict[str, Any]:
        found = listing(self._connection, Filter(*_quarters(start, end), begun=True))
        return {"findings": found["findings"], "attempts": found["attempts"]}

    def design(self, start: int, end: int) -> list[dict[str, Any]]:
        rows = self._connection.execute(
            f"SELECT finding FROM config_findings WHERE run = (SELECT max(run) FROM ({_REACHING})) "  # noqa: S608
            "ORDER BY number",
            (start, end),
        )
        return [json.loads(text) for (text,) in rows]

    def verdicts(self, start: int, end: int) -> dict[str, int]:
        """No attempt is concluded from a tap that shows one direction only."""
        rows = self._connection.execute(
            f"SELECT CASE WHEN verdict = ?3 AND run IN ({ONE_WAY}) THEN ?4 ELSE verdict END AS last, "  # noqa: S608
            "sum(flows) FROM verdict_deltas WHERE first >= ?1 AND first < ?2 GROUP BY 1",
            (*_quarters(start, end), ATTEMPT, UNDECIDED),
        )
        return dict(rows)

    def paths(self, start: int, end: int) -> list[PathUse]:
        rows = self._connection.execute(
            "SELECT path, sum(flows), sum(bytes), min(first) FILTER (WHERE flows > 0 OR packets > 0), "
            "max(last) FILTER (WHERE flows > 0 OR packets > 0) FROM path_deltas "
            "WHERE first >= ? AND first < ? GROUP BY path HAVING sum(flows) OR sum(packets) ORDER BY path",
            _quarters(start, end),
        )
        return [PathUse(*row) for row in rows]

    def watched(self, start: int, end: int) -> list[Watched]:
        made = []
        for one in spans(self._connection, start, end):
            within = tuple(span for span in one.spans if span != (start, start))
            if within or one.packets or any(one.lost.values()):  # else what ended when the window began
                why = {(gap.first, gap.last): gap.why for gap in one.gaps}
                counts = (one.packets, one.octets, one.accounting, one.quality, one.lost)
                made.append(Watched(one.sensor, one.position, within, why, *counts))
        return sorted(made, key=lambda one: (one.position, one.sensor))

    def judged(self, start: int, end: int) -> list[Judged]:
        rows = self._connection.execute(
            "SELECT version, organization, topology, policy, count(*), scope, "  # noqa: S608
            f"max(CASE WHEN id IN ({ONE_WAY}) THEN coalesce(sensor, position) END) FROM runs "
            f"WHERE id IN ({_REACHING}) "
            "GROUP BY version, organization, topology, policy, scope ORDER BY max(id)",
            (start, end),
        )
        made = []
        for version, organization, topology, policy, runs, text, one_way in rows:
            scope = read_scope(text)
            if one_way is not None:
                doubt = f"the tap at {one_way} shows one direction only"
                scope = replace(scope, doubts=(*scope.doubts, doubt))
            made.append(Judged(version, organization, topology, json.loads(policy), runs, scope))
        return made


def _quarters(start: int, end: int) -> tuple[int, int]:
    """The beginnings of the quarter of an hour in which the window begins, and of the first behind it; of a window
    shorter than one, its own."""
    if end - start < QUARTER:
        return start, end
    return start // QUARTER * QUARTER, -(-end // QUARTER) * QUARTER
