"""`edgewarden schedule`: the reports by the calendar of a settings file, and one of them out of turn."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import add_output, command, load_settings
from monitor.cli.messages import Messages
from monitor.exit_status import DONE, OperatorMistake
from monitor.output import Output
from monitor.store.location import default_path, prepare_default
from reports.visible import visible

if TYPE_CHECKING:
    from monitor.calendar.periods import Period
    from monitor.calendar.schedule import Run, Schedule
    from monitor.settings.config import Report, Settings


def add(commands: Any) -> None:
    parser = command(
        commands,
        "schedule",
        None,
        summary="the reports that are made by the calendar",
        description="Reports under `reports` of a settings file. `edgewarden run` makes each period of each once,\n"
        "also what became due while it was not running.",
        example="edgewarden schedule list --config /etc/edgewarden/edgewarden.yaml",
    )
    groups = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listed = command(
        groups,
        "list",
        run_list,
        summary="names, the last period reported, and when the next is due",
        description="One line a schedule, times in its zone unless another is named.",
        example="edgewarden schedule list --config edgewarden.yaml",
    )
    _add_config(listed)
    add_output(listed, "the list")
    asked = command(
        groups,
        "run",
        run_now,
        summary="make one report now",
        description="Writes the report of the last full period, or of the one named, into the folders of the\n"
        "schedule, puts it on record and prints the names of the files. A period that is not over is reported up to\n"
        "now and marked partial, also in the name; it is made again when it is over.",
        example="edgewarden schedule run daily --config edgewarden.yaml\n"
        "edgewarden schedule run daily --period 2026-11-22",
    )
    asked.add_argument("name", metavar="NAME", help="of a report in the settings")
    asked.add_argument("--period", metavar="P", help="as of edgewarden report, in the zone of the schedule")
    _add_config(asked)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", default="edgewarden.yaml", metavar="FILE", help="the settings (default ./edgewarden.yaml)"
    )
    parser.add_argument("--zone", metavar="Z", help="a time zone in place of that of the schedule")


def run_list(arguments: argparse.Namespace, messages: Messages) -> int:
    from monitor.store.report_runs import last_label, made
    from monitor.store.sqlite import NoRecord, reading
    from reports.render import render_schedules

    settings = load_settings(arguments.config)
    zone = _zone(arguments)
    now = datetime.now(UTC)
    try:
        with reading(_record(settings)) as connection:
            runs = made(connection)
            last = {report.schedule.name: last_label(connection, report.schedule.name) for report in settings.reports}
    except NoRecord:
        runs, last = [], {}
    rows = [_row(report.schedule, last.get(report.schedule.name), now, runs, zone) for report in settings.reports]
    with Output(arguments.output) as out:
        out.write_text(render_schedules(rows))
    return DONE


def _row(
    schedule: Schedule, last: str | None, now: datetime, runs: Sequence[Run], zone: tzinfo | None
) -> tuple[str, ...]:
    """zone: in which times are shown, None = in that of the schedule."""
    from monitor.calendar.cron import Cron
    from monitor.calendar.periods import zone_name
    from monitor.calendar.schedule import outstanding

    every = schedule.every.text if isinstance(schedule.every, Cron) else f"{schedule.every} at {schedule.at:%H:%M}"
    entry = outstanding(now, schedule, runs)
    when, label = "-", "-"
    if entry is not None:
        when = "now" if entry.since <= now else f"{entry.since.astimezone(zone or schedule.zone):%Y-%m-%d %H:%M}"
        label = entry.period.label
    return schedule.name, every, zone_name(schedule.zone), last or "-", when, label


def run_now(arguments: argparse.Namespace, messages: Messages) -> int:
    from contextlib import closing

    from monitor.calendar.scheduler import make
    from monitor.store.sqlite import open_record

    settings = load_settings(arguments.config)
    report = next((report for report in settings.reports if report.schedule.name == arguments.name), None)
    if report is None:
        names = ", ".join(report.schedule.name for report in settings.reports) or "none"
        raise OperatorMistake(f"'{arguments.name}' is no report of {arguments.config} (it has: {names})")
    if (zone := _zone(arguments)) is not None:
        report = replace(report, schedule=replace(report.schedule, zone=zone))
    now = datetime.now(UTC)
    period = _period(report, arguments.period, now)
    path = _record(settings)
    prepare_default(path)
    with closing(open_record(path, writing=True)) as record:
        files = make(report, period, record, now, asked=True)
    with Output(None) as out:
        out.write_text("".join(f"{visible(file)}\n" for file in files))
    return DONE


def _period(report: Report, named: str | None, now: datetime) -> Period:
    from monitor.calendar.periods import parse_period
    from monitor.calendar.schedule import last_full

    if named is None:
        full = last_full(now, report.schedule)
        if full is None:
            raise OperatorMistake(f"report {report.schedule.name} has no full period yet: name one with --period")
        return full
    try:
        period = parse_period(named, report.schedule.zone)
    except ValueError as error:
        raise OperatorMistake(str(error)) from None
    if period.start >= now:
        raise OperatorMistake(f"the period {named} has not begun yet")
    return period


def _zone(arguments: argparse.Namespace) -> tzinfo | None:
    """The zone of `--zone`. Raises OperatorMistake."""
    from monitor.calendar.periods import zone_named

    try:
        return None if arguments.zone is None else zone_named(arguments.zone)
    except ValueError as error:
        raise OperatorMistake(str(error)) from None


def _record(settings: Settings) -> str:
    return settings.store or default_path()
