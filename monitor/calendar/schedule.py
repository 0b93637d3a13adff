"""Which report is due: a pure function of the time, the schedules and the runs on record. It neither waits nor writes.

Strategy: a schedule cuts all of time into periods that touch; each becomes due at a moment of its own. The record of
runs says how far a schedule has come: what ends later is still to be made, one by one and in order, however long the
machine was off and whenever it is asked. A clock that is put back makes nothing due twice. A schedule without any run
begins with the last period whose moment has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from monitor.calendar.cron import Cron
from monitor.calendar.periods import Period, between, calendar_period, day_after, first_day, instant


@dataclass(frozen=True, slots=True)
class Schedule:
    """A report by the calendar. `every`: a kind of period (`periods.KINDS`), reported on the day after it at
    the wall time `at`; or a crontab line, each time about the time since it fired before (`at` means nothing then)."""

    name: str
    every: str | Cron
    zone: tzinfo
    at: time = time(0, 0)


@dataclass(frozen=True, slots=True)
class Run:
    """A report that was made. `asked`: by a person, out of turn. `partial`: the period was not over."""

    schedule: str
    start: datetime
    end: datetime
    asked: bool = False
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """A report to be made now, and since when (UTC) it could have been."""

    schedule: str
    period: Period
    since: datetime


def due(now: datetime, schedules: Iterable[Schedule], runs: Iterable[Run]) -> tuple[Due, ...]:
    """The oldest outstanding report of each schedule, by `since`; ask again when they are on record.

    now: with a zone. A whole period that somebody asked for is not made again; a partial one is.
    """
    known = list(runs)
    next_ones = (outstanding(now, schedule, known) for schedule in schedules)
    found = [entry for entry in next_ones if entry is not None and entry.since <= now]
    return tuple(sorted(found, key=lambda entry: (entry.since, entry.schedule)))


def outstanding(now: datetime, schedule: Schedule, runs: Iterable[Run]) -> Due | None:
    """The oldest report that is not on record, due at `now` or later; None where there will be none."""
    mine = [run for run in runs if run.schedule == schedule.name and not run.partial]
    made = {(run.start, run.end) for run in mine}
    reached = max((run.end for run in mine if not run.asked), default=None)
    entries = _begin(schedule, now) if reached is None else _after(schedule, reached)
    return next((entry for entry in entries if (entry.period.start, entry.period.end) not in made), None)


def last_full(now: datetime, schedule: Schedule) -> Period | None:
    """The last period that is over at `now`, due or not; None for a crontab line that has not fired twice."""
    if isinstance(schedule.every, Cron):
        return next((entry.period for entry in _begin(schedule, now)), None)
    for first in _firsts(schedule.every, _local_day(now, schedule.zone, 1), -1):
        period = calendar_period(schedule.every, first, schedule.zone)
        if period.start < period.end <= now:
            return period
    return None


def _begin(schedule: Schedule, now: datetime) -> Iterator[Due]:
    """The last period whose moment has come at `now`, then those that follow."""
    if isinstance(schedule.every, Cron):
        fired = schedule.every.before(now, schedule.zone)
        end, start = next(fired, None), next(fired, None)
        if end is not None and start is not None:
            yield Due(schedule.name, between(start, end), end)
            yield from _after(schedule, end)
        return
    for first in _firsts(schedule.every, _local_day(now, schedule.zone, 1), -1):
        entry = _calendar(schedule, schedule.every, first)
        if entry is not None and entry.since <= now:
            yield entry
            yield from _after(schedule, entry.period.end)
            return


def _after(schedule: Schedule, reached: datetime) -> Iterator[Due]:
    """All periods that end later than `reached`, in order."""
    if isinstance(schedule.every, Cron):
        start = next(schedule.every.before(reached, schedule.zone), None)
        for end in schedule.every.after(reached, schedule.zone):
            if start is not None:
                yield Due(schedule.name, between(start, end), end)
            start = end
        return
    for first in _firsts(schedule.every, _local_day(reached, schedule.zone, -2), 1):
        entry = _calendar(schedule, schedule.every, first)
        if entry is not None and entry.period.end > reached:
            yield entry


def _calendar(schedule: Schedule, kind: str, first: date) -> Due | None:
    """None for a day that the zone skipped."""
    period = calendar_period(kind, first, schedule.zone)
    if period.start >= period.end:
        return None
    since = instant(datetime.combine(day_after(kind, first), schedule.at), schedule.zone)
    return Due(schedule.name, period, since)


def _firsts(kind: str, day: date, direction: int) -> Iterator[date]:
    """First days of periods, from the one that holds `day`, forwards (1) or backwards (-1), to the end of dates."""
    first = first_day(kind, day)
    try:
        while True:
            yield first
            first = day_after(kind, first) if direction > 0 else first_day(kind, first - timedelta(days=1))
    except (OverflowError, ValueError):  # year 0 or 10,000
        return


def _local_day(moment: datetime, zone: tzinfo, days: int) -> date:
    """The date in the zone, and so many days later: a margin that no shift of a clock exceeds."""
    return (moment.astimezone(UTC).astimezone(zone) + timedelta(days=days)).date()
