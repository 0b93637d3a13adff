"""The reports that were made, in the record: one row each, and of a whole period of a schedule one and no more."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from monitor.calendar.schedule import Run
from monitor.store.trouble import patiently, told
from monitor.store.writing import Record
from monitor.times import nanoseconds
from reports.moments import EPOCH


def made(connection: sqlite3.Connection) -> list[Run]:
    """What decides what is due: of each schedule the last report that came in turn, and what was asked for since."""
    rows = connection.execute(
        "WITH reached AS (SELECT schedule, max(end) AS end FROM report_runs WHERE NOT asked AND NOT partial "
        "GROUP BY schedule) "
        "SELECT report_runs.schedule, start, report_runs.end, asked, partial FROM report_runs "
        "LEFT JOIN reached ON reached.schedule = report_runs.schedule "
        "WHERE NOT partial AND report_runs.end >= coalesce(reached.end, 0) ORDER BY id"
    )
    return [
        Run(schedule, _moment(start), _moment(end), bool(asked), bool(partial))
        for schedule, start, end, asked, partial in rows
    ]


def last_label(connection: sqlite3.Connection, schedule: str) -> str | None:
    """The last whole period that was reported for a schedule; None where there is none."""
    row = connection.execute(
        "SELECT label FROM report_runs WHERE schedule = ? AND NOT partial ORDER BY end DESC, id DESC LIMIT 1",
        (schedule,),
    ).fetchone()
    return None if row is None else str(row[0])


def enter(record: Record, run: Run, label: str, files: Sequence[str], now: datetime) -> None:
    """Put a report on record; one that stands there already is left alone. Raises OutputFailure, OperatorMistake."""
    values = (
        *(run.schedule, label, nanoseconds(run.start), nanoseconds(run.end)),
        *(int(run.asked), int(run.partial), nanoseconds(now), json.dumps(files)),
    )
    with told(record.path):
        patiently(
            lambda: record.connection.execute(
                "INSERT OR IGNORE INTO report_runs (schedule, label, start, end, asked, partial, made, files) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
        )


def _moment(number: int) -> datetime:
    return (EPOCH + timedelta(microseconds=number // 1000)).astimezone(UTC)
