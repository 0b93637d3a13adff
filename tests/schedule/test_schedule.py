"""Each period exactly once, in order, at its time: whatever the hours at which it is asked, and in odd zones."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.calendar.cron import parse_cron
from monitor.calendar.periods import KINDS, Period, parse_period, zone_named
from monitor.calendar.schedule import Due, Run, Schedule, due, last_full
from tests.schedule.test_periods import ZONES

DAILY = Schedule("daily", "day", zone_named("Europe/Berlin"), time(6))
AT = st.sampled_from([time(0), time(2, 30), time(6), time(23, 59)])
LINES = st.sampled_from(["0 6 * * 1", "30 2 * * *", "*/30 * * * *", "0 0 1 * *", "0 0,12 * * sun"])


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def make(now: datetime, schedules: list[Schedule], runs: list[Run]) -> list[Due]:
    """As the service does it: ask, put on record, until nothing is due."""
    made: list[Due] = []
    while found := due(now, schedules, runs):
        for entry in found:
            assert entry.since <= now
            runs.append(Run(entry.schedule, entry.period.start, entry.period.end))
            made.append(entry)
        assert len(made) < 20_000
    return made


def labels(entries: list[Due]) -> list[str]:
    return [entry.period.label for entry in entries]


def test_the_first_report_is_the_last_one_whose_time_has_come() -> None:
    assert labels(make(utc("2026-11-25T05:59+01:00"), [DAILY], [])) == ["2026-11-23"]
    assert labels(make(utc("2026-11-25T06:00+01:00"), [DAILY], [])) == ["2026-11-24"]


def test_after_downtime_all_are_made_up_in_order() -> None:
    runs: list[Run] = []
    make(utc("2026-11-20T07:00+01:00"), [DAILY], runs)
    made = make(utc("2026-11-25T07:00+01:00"), [DAILY], runs)
    assert labels(made) == ["2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23", "2026-11-24"]
    assert make(utc("2026-11-25T07:00+01:00"), [DAILY], runs) == []


def test_a_clock_put_back_makes_nothing_twice() -> None:
    runs: list[Run] = []
    make(utc("2026-11-25T07:00+01:00"), [DAILY], runs)
    assert make(utc("2026-11-20T07:00+01:00"), [DAILY], runs) == []
    assert labels(make(utc("2026-11-26T07:00+01:00"), [DAILY], runs)) == ["2026-11-25"]


def test_what_was_asked_for_counts_when_it_was_whole() -> None:
    runs: list[Run] = []
    make(utc("2026-11-23T07:00+01:00"), [DAILY], runs)
    day = parse_period("2026-11-24", DAILY.zone)
    runs.append(Run("daily", day.start, day.end, asked=True, partial=True))
    assert labels(make(utc("2026-11-24T07:00+01:00"), [DAILY], runs)) == ["2026-11-23"]
    partial = list(runs)
    assert labels(make(utc("2026-11-25T07:00+01:00"), [DAILY], partial)) == ["2026-11-24"]
    runs.append(Run("daily", day.start, day.end, asked=True))
    assert make(utc("2026-11-25T07:00+01:00"), [DAILY], runs) == []
    assert labels(make(utc("2026-11-26T07:00+01:00"), [DAILY], runs)) == ["2026-11-25"]


def test_asking_out_of_turn_does_not_skip_what_was_missed() -> None:
    runs: list[Run] = []
    make(utc("2026-11-20T07:00+01:00"), [DAILY], runs)
    day = parse_period("2026-11-23", DAILY.zone)
    runs.append(Run("daily", day.start, day.end, asked=True))
    assert labels(make(utc("2026-11-25T07:00+01:00"), [DAILY], runs)) == [
        *("2026-11-20", "2026-11-21", "2026-11-22", "2026-11-24"),
    ]


def test_runs_of_another_schedule_do_not_count() -> None:
    day = parse_period("2026-11-24", DAILY.zone)
    assert labels(make(utc("2026-11-25T07:00+01:00"), [DAILY], [Run("other", day.start, day.end)])) == ["2026-11-24"]


@pytest.mark.parametrize(
    ("kind", "label", "next_due"),
    [
        ("day", "2026-11-24", "2026-11-26T06:00+01:00"),
        ("week", "2026-W47", "2026-11-30T06:00+01:00"),
        ("month", "2026-10", "2026-12-01T06:00+01:00"),
        ("quarter", "2026-Q3", "2027-01-01T06:00+01:00"),
    ],
)
def test_each_kind_reports_its_last_full_period(kind: str, label: str, next_due: str) -> None:
    schedule = Schedule("s", kind, DAILY.zone, time(6))
    now, runs = utc("2026-11-25T12:00+01:00"), list[Run]()
    assert labels(make(now, [schedule], runs)) == [label]
    assert last_full(now, schedule) == parse_period(label, DAILY.zone)
    assert make(utc(next_due) - timedelta(microseconds=1), [schedule], runs) == []
    assert len(make(utc(next_due), [schedule], runs)) == 1


def test_a_cron_schedule_reports_since_it_fired_before() -> None:
    schedule = Schedule("weekly", parse_cron("0 6 * * 1"), DAILY.zone)
    expected = Period("2026-11-16T05:00:00Z..2026-11-23T05:00:00Z", utc("2026-11-16T05:00Z"), utc("2026-11-23T05:00Z"))
    [entry] = make(utc("2026-11-25T12:00Z"), [schedule], [])
    assert (entry.period, entry.since) == (expected, utc("2026-11-23T05:00Z"))
    assert last_full(utc("2026-11-25T12:00Z"), schedule) == expected


def test_0230_when_the_clock_changes() -> None:
    """Germany in 2026: 29 March has no 02:30, 25 October has two."""
    schedule = Schedule("s", "day", DAILY.zone, time(2, 30))
    for day, since in [
        ("2026-03-28", "2026-03-29T03:00+02:00"),
        ("2026-03-29", "2026-03-30T02:30+02:00"),
        ("2026-10-24", "2026-10-25T02:30+02:00"),
        ("2026-10-25", "2026-10-26T02:30+01:00"),
    ]:
        [entry] = due(utc(since), [schedule], [])
        assert (entry.period.label, entry.since) == (day, utc(since))
        [before] = due(utc(since) - timedelta(seconds=1), [schedule], [])
        assert before.period.label == (date.fromisoformat(day) - timedelta(days=1)).isoformat()


def test_a_day_that_a_zone_skipped_is_not_reported() -> None:
    """Samoa's 29 December 2011 was followed by the 31st."""
    schedule = Schedule("s", "day", zone_named("Pacific/Apia"), time(6))
    runs: list[Run] = []
    assert labels(make(utc("2011-12-31T07:00+14:00"), [schedule], runs)) == ["2011-12-29"]
    assert labels(make(utc("2012-01-02T07:00+14:00"), [schedule], runs)) == ["2011-12-31", "2012-01-01"]


MOMENTS = st.lists(st.integers(0, 40 * 24 * 60), min_size=2, max_size=12)


@given(
    ZONES,
    AT,
    # around changes of clocks in both hemispheres, and Samoa's lost day
    st.sampled_from(["2026-03-05", "2026-10-10", "2017-10-01", "2018-02-01", "2011-12-10"]),
    MOMENTS,
)
@settings(max_examples=80, deadline=None)
def test_every_day_exactly_once_whatever_the_ticks(zone_name: str, at: time, start: str, minutes: list[int]) -> None:
    """Ticks come in any order, also back in time; days are counted by date, which knows nothing of our periods."""
    zone, runs, made = zone_named(zone_name), list[Run](), list[Due]()
    schedule = Schedule("s", "day", zone, at)
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    for minute in minutes:
        made += make(begin + timedelta(minutes=minute), [schedule], runs)
    first, last = (date.fromisoformat(label) for label in (labels(made)[0], labels(made)[-1]))
    days = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
    if zone_name == "Pacific/Apia":
        days = [day for day in days if day != "2011-12-30"]
    assert labels(made) == days
    assert all(one.period.end == next_one.period.start for one, next_one in pairwise(made))
    latest = begin + timedelta(minutes=max(minutes))
    behind = latest.astimezone(zone).date() - last  # yesterday, or the day before when it is not yet time
    assert timedelta(days=1) <= behind <= timedelta(days=2 if zone_name != "Pacific/Apia" else 3)


@given(ZONES, st.one_of(st.sampled_from(KINDS), LINES), AT, MOMENTS)
@settings(max_examples=60, deadline=None)
def test_asking_often_or_once_makes_the_same(zone_name: str, every: str, at: time, minutes: list[int]) -> None:
    schedule = Schedule("s", every if every in KINDS else parse_cron(every), zone_named(zone_name), at)
    begin = datetime(2026, 10, 10, tzinfo=UTC)
    ticks = [begin + timedelta(minutes=minute) for minute in sorted(minutes)]
    often, once = list[Run](), list[Run]()
    many = [entry for tick in ticks for entry in make(tick, [schedule], often)]
    assert many == make(ticks[0], [schedule], once) + make(ticks[-1], [schedule], once)
    assert all(one.period.end == next_one.period.start for one, next_one in pairwise(many))
    assert all(one.since <= next_one.since for one, next_one in pairwise(many))


@given(ZONES, st.one_of(st.sampled_from(KINDS), LINES), AT, st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1)))
@settings(max_examples=60, deadline=None)
def test_the_name_of_a_period_means_that_period(zone_name: str, every: str, at: time, naive: datetime) -> None:
    schedule = Schedule("s", every if every in KINDS else parse_cron(every), zone_named(zone_name), at)
    now = naive.replace(tzinfo=UTC)
    [entry] = due(now, [schedule], [])
    assert parse_period(entry.period.label, schedule.zone) == entry.period
    full = last_full(now, schedule)
    assert full is not None
    assert entry.period.end <= full.end <= now
