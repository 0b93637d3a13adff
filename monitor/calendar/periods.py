"""Spans of the calendar in a time zone: days, ISO weeks, months, quarters, and the words that name them.

Strategy: a wall time becomes an instant by one definition, "the first moment at which a clock on the wall there shows
this time or a later one". It needs no case for summer time: 02:30 that never comes is the moment of the jump, 02:30
that comes twice is the first of the two, and the order of wall times is kept. A period runs from an instant to the
next (half open), so that neighbours touch and nothing is counted twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 9997
"""Outside of these no capture has a time, and the arithmetic of dates must not run out of years."""

MAX_PERIOD: Final = 100
"""Longest text that names a period: two times with their zones have some 70 characters."""

DAY: Final = "day"
WEEK: Final = "week"
MONTH: Final = "month"
QUARTER: Final = "quarter"
KINDS: Final = (DAY, WEEK, MONTH, QUARTER)

_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,30}(/[A-Za-z0-9_+-]{1,30}){0,2}")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WEEK: Final = re.compile(r"(\d{4})-W(\d\d)", re.ASCII)
_MONTH: Final = re.compile(r"(\d{4})-(\d\d)", re.ASCII)
_QUARTER: Final = re.compile(r"(\d{4})-Q([1-4])", re.ASCII)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?", re.ASCII)

_FORMS: Final = "say 2026-11-22, 2026-W47, 2026-11, 2026-Q4, or two of these or of times as A..B"


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` (inclusive) to `end` (exclusive), both in UTC; `label` names it, as `parse_period` reads it."""

    label: str
    start: datetime
    end: datetime


def zone_named(name: str) -> tzinfo:
    """The zone of that IANA name. Raises ValueError with a sentence. UTC needs no database."""
    if name == "UTC":
        return UTC
    if _ZONE.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # unknown; damaged; the name of a folder
            pass
    raise ValueError(f"{name[:60]!r} is no time zone (say Europe/Berlin, or UTC)")


def zone_name(zone: tzinfo) -> str:
    """What `zone_named` reads to give this zone."""
    return zone.key if isinstance(zone, ZoneInfo) else "UTC"


@lru_cache(maxsize=2048)  # a schedule asks about the wall times of the same few days again and again
def instant(wall: datetime, zone: tzinfo) -> datetime:
    """The first moment, in UTC, at which a clock in `zone` shows the wall time (without zone) or a later one."""
    early = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if _shown(early, zone) == wall:
        return early
    # The clock jumps over this time (PEP 495): read with the offset after the jump it lies before it, and the other
    # way round. Jumps happen on whole seconds.
    low = wall.replace(tzinfo=zone, fold=1).astimezone(UTC).replace(microsecond=0)
    after, before = int((early - low).total_seconds()) + 1, 0
    while after - before > 1:
        middle = (after + before) // 2
        if _shown(low + timedelta(seconds=middle), zone) >= wall:
            after = middle
        else:
            before = middle
    return low + timedelta(seconds=after)


def _shown(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def first_day(kind: str, day: date) -> date:
    """The first day of the period of that kind that holds the day."""
    if kind == WEEK:
        return day - timedelta(days=day.weekday())  # ISO 8601: weeks begin on Monday
    if kind == MONTH:
        return day.replace(day=1)
    if kind == QUARTER:
        return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
    return day


def day_after(kind: str, first: date) -> date:
    """The first day of the period behind the one that begins on the day `first`."""
    if kind == DAY:
        return first + timedelta(days=1)
    if kind == WEEK:
        return first + timedelta(days=7)
    months = first.month + (1 if kind == MONTH else 3)
    return date(first.year + (months - 1) // 12, (months - 1) % 12 + 1, 1)


def calendar_period(kind: str, first: date, zone: tzinfo) -> Period:
    """The period of that kind that begins on that day. It is empty where the zone skipped the day."""
    week = first.isocalendar()
    label = {
        DAY: first.isoformat(),
        WEEK: f"{week.year}-W{week.week:02d}",
        MONTH: f"{first:%Y-%m}",
        QUARTER: f"{first:%Y}-Q{(first.month + 2) // 3}",
    }[kind]
    return Period(label, midnight(first, zone), midnight(day_after(kind, first), zone))


def midnight(day: date, zone: tzinfo) -> datetime:
    """Where the day begins in the zone, in UTC."""
    return instant(datetime(day.year, day.month, day.day), zone)


def between(start: datetime, end: datetime) -> Period:
    """The period between two moments, named by them (to the second, in UTC)."""
    return Period(f"{_utc(start)}..{_utc(end)}", start, end)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def period_before(period: Period, zone: tzinfo) -> Period | None:
    """The period that ends where this one begins: of the same kind, else as long by the clock on the wall.

    None where FIRST_YEAR leaves no room for one.
    """
    for form, kind, read in _READERS:
        found = form.fullmatch(period.label)
        if found:
            first = first_day(kind, read(found) - timedelta(days=1))
            while first.year >= FIRST_YEAR:
                before = calendar_period(kind, first, zone)
                if before.start < before.end:  # else a day that the zone skipped
                    return before
                first = first_day(kind, first - timedelta(days=1))
            return None
    start, end = _shown(period.start, zone), _shown(period.end, zone)
    beginning = datetime(FIRST_YEAR, 1, 1)
    earlier = instant(start - min(end - start, start - beginning), zone) if start > beginning else period.start
    return between(earlier, period.start) if earlier < period.start else None


def parse_period(text: str, zone: tzinfo) -> Period:
    """What a word for a period means in a zone. Raises ValueError with a sentence.

    A day, an ISO week, a month, a quarter; or A..B, from the beginning of A to the end of B, where each is one of
    these or a time (in the zone, unless it names its own): `2026-11-01..2026-11-15` holds the fifteenth, a time as B
    is the end itself.
    """
    if len(text) > MAX_PERIOD:
        raise ValueError(f"{text[:60]!r}… is no period ({_FORMS})")
    first, dots, last = text.partition("..")
    start, end = _span(first, text, zone)
    if not dots:
        if _TIME.fullmatch(text):
            raise ValueError(f"{text!r} is one time, no period ({_FORMS})")
        if start >= end:
            raise ValueError(f"{text!r} did not happen in this zone: its clock was put past the whole day")
        return Period(text, start, end)
    _, end = _span(last, text, zone)
    if start >= end:
        raise ValueError(f"the period {text!r} ends before it begins, or is empty")
    return Period(text, start, end)


def _span(text: str, whole: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """Beginning and end of one part of a period; both are the same for a time."""
    try:
        if _TIME.fullmatch(text):
            moment = datetime.fromisoformat(text)
            _check_year(moment)
            moment = instant(moment, zone) if moment.tzinfo is None else moment.astimezone(UTC)
            return moment, moment
        for form, kind, read in _READERS:
            found = form.fullmatch(text)
            if found:
                first = read(found)
                _check_year(first)
                period = calendar_period(kind, first, zone)
                return period.start, period.end
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{whole!r} is no period ({_FORMS})")


def _check_year(day: date) -> None:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError


_READERS: Final[tuple[tuple[re.Pattern[str], str, Callable[[re.Match[str]], date]], ...]] = (
    (_DAY, DAY, lambda found: date.fromisoformat(found[0])),
    (_WEEK, WEEK, lambda found: date.fromisocalendar(int(found[1]), int(found[2]), 1)),
    (_MONTH, MONTH, lambda found: date(int(found[1]), int(found[2]), 1)),
    (_QUARTER, QUARTER, lambda found: date(int(found[1]), int(found[2]) * 3 - 2, 1)),
)
