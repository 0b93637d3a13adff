"""Crontab lines of five fields (minute, hour, day of month, month, day of week), and when they fire in a time zone.

Strategy: the fields become sets of numbers; firing is asked of days first, then of the times of a day, and wall times
become instants by `periods.instant`, so that every time fires once, also when summer time begins or ends.
Meaning as in crontab(5) of Vixie's cron: weekdays 0 and 7 are Sunday, and when both day fields are restricted (do not
begin with `*`) either may fit. Names of three letters may stand wherever numbers do, in ranges, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from monitor.calendar.periods import instant

MAX_LINE: Final = 200
"""Longest line: five fields of a dozen list entries each fit."""

SEARCH_DAYS: Final = 41 * 366
"""29 February on a given weekday comes every 28 years, every 40 across a year such as 2100; what does not come in that
time never comes."""

_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ENTRY: Final = re.compile(r"(?:\*|([a-z]{3}|[0-9]{1,2})(?:-([a-z]{3}|[0-9]{1,2}))?)(?:/([0-9]{1,2}))?")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    least: int
    most: int
    words: tuple[str, ...] = ()
    first: int = 0  # number of the first word


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS, 1),
    _Field("day of week", 0, 7, _WEEKDAYS),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """One line, understood. `either`: a day fits by its number or by its weekday; else by both."""

    text: str
    times: tuple[time, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def fits(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_number, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_number or by_weekday if self.either else by_number and by_weekday

    def after(self, moment: datetime, zone: tzinfo) -> Iterator[datetime]:
        """All instants (UTC) at which it fires later than `moment`, in order."""
        last = moment.astimezone(UTC)
        # Wall dates run ahead of the instants by a day at most when a clock is put back over midnight.
        for day in self._days(moment.astimezone(zone).date() - timedelta(days=1), 1):
            for wall in self.times:
                fired = instant(datetime.combine(day, wall), zone)
                if fired > last:  # times that a jump skips come together: they fire once
                    last = fired
                    yield fired

    def before(self, moment: datetime, zone: tzinfo) -> Iterator[datetime]:
        """All instants (UTC) at which it fires at `moment` or earlier, the last first."""
        last: datetime | None = None
        for day in self._days(moment.astimezone(zone).date() + timedelta(days=1), -1):
            for wall in reversed(self.times):
                fired = instant(datetime.combine(day, wall), zone)
                if fired <= moment and (last is None or fired < last):
                    last = fired
                    yield fired

    def _days(self, day: date, step: int) -> Iterator[date]:
        """Days on which it fires, from `day` on in steps; ends when none comes in SEARCH_DAYS, or the years end."""
        idle = 0
        while idle <= SEARCH_DAYS:
            if self.fits(day):
                idle = 0
                yield day
            else:
                idle += 1
            try:
                day += timedelta(days=step)
            except OverflowError:
                return


def parse_cron(text: str) -> Cron:
    """A crontab line, without its command. Raises ValueError with a sentence."""
    if len(text) > MAX_LINE:
        raise ValueError(f"a crontab line has at most {MAX_LINE} characters")
    words = text.lower().split()
    if len(words) != len(_FIELDS):
        raise ValueError("five fields: minute, hour, day of month, month, day of week, such as 0 6 * * 1")
    minutes, hours, days, months, weekdays = (_numbers(word, field) for word, field in zip(words, _FIELDS, strict=True))
    cron = Cron(
        " ".join(words),
        tuple(time(hour, minute) for hour in sorted(hours) for minute in sorted(minutes)),
        days,
        months,
        frozenset(number % 7 for number in weekdays),
        either=not words[2].startswith("*") and not words[4].startswith("*"),
    )
    if next(cron._days(date(2000, 1, 1), 1), None) is None:
        raise ValueError(f"no month has such a day: {cron.text} never fires")
    return cron


def _numbers(word: str, field: _Field) -> frozenset[int]:
    found: set[int] = set()
    for entry in word.split(","):
        match = _ENTRY.fullmatch(entry)
        if not match:
            raise ValueError(f"{entry[:20]!r} is no {field.name}: numbers, lists, ranges, * and steps such as */5")
        first, last, step = match.groups()
        low = field.least if first is None else _number(first, field)
        high = _number(last, field) if last is not None else low if first is not None else field.most
        if first is None and field.name == "day of week":
            high = 6  # Sunday once: */2 is 0, 2, 4, 6
        if last == "sun":
            high = 7  # sat-sun
        if step is not None and (int(step) == 0 or (first is not None and last is None)):
            raise ValueError(f"{entry[:20]!r}: a step is 1 or more, behind * or a range")
        if low > high:
            raise ValueError(f"{entry[:20]!r} is no {field.name}: a range goes from low to high")
        found.update(range(low, high + 1, int(step or 1)))
    return frozenset(found)


def _number(word: str, field: _Field) -> int:
    if word in field.words:
        return field.first + field.words.index(word)
    if not word.isdigit() or not field.least <= int(word) <= field.most:
        raise ValueError(f"{word[:20]!r} is no {field.name}: {field.least} to {field.most}")
    return int(word)
