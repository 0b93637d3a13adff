"""Reports by the calendar: a process that asks every ten seconds what is due, makes it, and puts it on record.

Strategy: apscheduler gives the beat and nothing else; which report is due is decided by `schedule.due` from
the time and the record, so it does not matter how often or how late it is asked. A report is files first, then its row:
killed between the two, the process makes the same files again when it is back. What cannot be written is said, is not
on record, and so is due again with the next beat.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from monitor.calendar.deliver import deliver
from monitor.calendar.periods import Period, zone_name
from monitor.calendar.schedule import Due, Run, due
from monitor.exit_status import DONE, OperatorMistake, OutputFailure
from monitor.reporting import Asked, report_of
from monitor.settings.config import Report
from monitor.store.report_runs import enter, made
from monitor.store.sqlite import open_record, reading
from monitor.store.writing import Record

if TYPE_CHECKING:
    import socket

    from monitor.cli.messages import Messages
    from monitor.live.launcher import Signals

MINUTE: Final = timedelta(minutes=1)

SETTLED: Final = timedelta(seconds=15)
"""A period is reported no sooner than this after its end: sensors record their totals every ten seconds."""


def work(
    reports: Sequence[Report],
    record: str,
    sockets: Sequence[socket.socket],
    signals: Signals,
    *,
    messages: Messages,
) -> int:
    """Make reports until told to end; what is being written is finished first. A job of `monitor.live.supervisor`."""
    from apscheduler.schedulers.background import BackgroundScheduler
    from apscheduler.triggers.cron import CronTrigger

    logging.getLogger("apscheduler").addHandler(logging.NullHandler())  # what is to be said, `messages` says
    calendar = Calendar(reports, record, messages)
    beats = BackgroundScheduler(timezone=UTC)
    job = beats.add_job(
        lambda: calendar.tick(datetime.now(UTC)),
        CronTrigger(second="*/10", timezone=UTC),
        next_run_time=datetime.now(UTC),
        coalesce=True,
        max_instances=1,
        misfire_grace_time=None,
    )
    beats.start()
    messages.note(f"makes reports: {', '.join(report.schedule.name for report in reports)}")
    while signals.next(MINUTE.total_seconds()) is None:
        if not awaited(job.next_run_time, datetime.now(UTC)):
            job.modify(next_run_time=datetime.now(UTC))
    calendar.stopping = True
    beats.shutdown(wait=True)
    return DONE


def awaited(next_tick: datetime, now: datetime) -> bool:
    """Whether the next tick comes within reach; else the clock was put back, and apscheduler waits for the old time."""
    return next_tick - now <= 2 * MINUTE


class Calendar:
    """The schedules, the record that says how far they have come, and what was last said of each."""

    def __init__(self, reports: Iterable[Report], record: str, messages: Messages) -> None:
        self.stopping = False
        self._reports = {report.schedule.name: report for report in reports}
        self._record = record
        self._messages = messages
        self._said: dict[str, str] = {}
        self._begun: dict[str, Run] = {}  # where a schedule without any run begins, however long the first one waits

    def tick(self, now: datetime) -> None:
        """Make all that is due, oldest first; a schedule that fails does not hold up the others."""
        try:
            with closing(open_record(self._record, writing=True)) as record:
                self._make_due(record, now)
        except (OperatorMistake, OutputFailure) as error:
            self._trouble("reports", str(error))
        else:
            self._said.pop("reports", None)

    def _make_due(self, record: Record, now: datetime) -> None:
        waiting = dict(self._reports)
        while not self.stopping:
            schedules = [report.schedule for report in waiting.values()]
            entry = next(iter(due(now, schedules, [*made(record.connection), *self._begun.values()])), None)
            if entry is None:
                return
            start = entry.period.start
            self._begun.setdefault(entry.schedule, Run(entry.schedule, start, start))
            if entry.period.end + SETTLED > now or not self._make(record, entry, now):
                del waiting[entry.schedule]

    def _make(self, record: Record, entry: Due, now: datetime) -> bool:
        name = entry.schedule
        try:
            files = make(self._reports[name], entry.period, record, now, asked=False)
        except (OperatorMistake, OutputFailure) as error:
            self._trouble(name, f"report {name} of {entry.period.label} waits: {error}")
        except Exception as error:  # the others are made; the next minute tries again
            self._trouble(name, f"report {name} of {entry.period.label} failed: {type(error).__name__}: {error}")
        else:
            self._said.pop(name, None)
            self._messages.note(f"report {name} of {entry.period.label}: {', '.join(files)}")
            return True
        return False

    def _trouble(self, name: str, sentence: str) -> None:
        """Once, as long as it stays the same."""
        if self._said.get(name) != sentence:
            self._messages.error(sentence)
        self._said[name] = sentence


def make(settings: Report, period: Period, record: Record, now: datetime, *, asked: bool) -> list[str]:
    """A report into its folders and on record; its files. asked: out of turn.

    Raises OutputFailure, OperatorMistake; then it is not on record.
    """
    about = Asked(period, settings.schedule.zone, zone_name(settings.schedule.zone))
    with reading(record.path) as connection:
        report = report_of(connection, about, now)
    files = deliver(settings, about, report)
    run = Run(settings.schedule.name, period.start, period.end, asked, report["period"]["partial"])
    enter(record, run, period.label, files, now)
    return files
