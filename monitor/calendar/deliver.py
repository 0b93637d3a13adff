"""Reports into folders: one file for each format, found there whole or not at all.

Strategy: a file is written beside its place, renamed, and carried to the disk before the report is put on record. The
name says schedule and period and nothing else, so a report that is made a second time, because the machine died between
file and record, takes the place of the first.
"""

from __future__ import annotations

import os
import re
from typing import Any

from monitor.exit_status import OutputFailure
from monitor.output import Output
from monitor.reporting import Asked, rendered
from monitor.settings.config import Report


def file_name(schedule: str, report: dict[str, Any], form: str) -> str:
    """`daily-2026-11-24.html`, `weekly-2026-11-16T050000Z..2026-11-23T050000Z.csv` (a colon is not for names of files),
    `daily-2026-11-24-partial.html` of a period that was not over."""
    label = re.sub(r"[^0-9A-Za-z+.-]", "", report["period"]["label"].replace(" ", "T"))
    partial = "-partial" if report["period"]["partial"] else ""
    return f"{schedule}-{label}{partial}.{form}"


def deliver(settings: Report, asked: Asked, report: dict[str, Any]) -> list[str]:
    """Write all files of a report; their paths. Raises OutputFailure."""
    written = []
    for form in settings.formats:
        text = rendered(report, form, asked.zone)
        for folder in settings.folders:
            path = os.path.join(folder, file_name(settings.schedule.name, report, form))
            _write(path, text)
            written.append(path)
    return written


def _write(path: str, text: str) -> None:
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OutputFailure(folder, error) from error
    with Output(path) as out:
        out.write_text(text)
    for place in (path, folder):
        _carry_to_disk(place)


def _carry_to_disk(path: str) -> None:
    """A file, or the names in a folder."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OutputFailure(path, error) from error
