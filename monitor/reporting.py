"""A report about a period: asked of a record, summed up, rendered. Where it goes is the caller's business."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from monitor.calendar.periods import Period, period_before
from monitor.store.period import RecordSource
from monitor.times import nanoseconds
from parsers import VERSION
from reports.period import render_csv, render_page
from reports.render import render_json
from reports.summary import Window, summarise
from rules.waivers import Waiver


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is about. zone_name: as the operator wrote it."""

    period: Period
    zone: tzinfo
    zone_name: str


def report_of(
    connection: sqlite3.Connection, asked: Asked, now: datetime, waivers: Sequence[Waiver] | None = None
) -> dict[str, Any]:
    """The published dictionary. The period has begun at `now`; one that is not over is cut there and marked."""
    before = period_before(asked.period, asked.zone)
    return summarise(
        RecordSource(connection),
        _window(asked.period),
        None if before is None else _window(before),
        now=nanoseconds(now),
        zone=asked.zone_name,
        version=VERSION,
        waivers=waivers,
    )


def rendered(report: dict[str, Any], form: str, zone: tzinfo) -> str:
    """form: one of `reports.period.FORMATS`."""
    if form == "html":
        return render_page(report, zone)
    return render_csv(report) if form == "csv" else render_json(report)


def _window(period: Period) -> Window:
    return Window(period.label, nanoseconds(period.start), nanoseconds(period.end))
