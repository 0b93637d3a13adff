"""Periods and their names; wall times against a clock that is watched minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.calendar.periods import instant, parse_period, period_before, zone_named

# (words, zone, start, end). Offsets by the zone's law: Berlin +01:00 and +02:00 in summer.
PERIODS = [
    ("2026-11-22", "UTC", "2026-11-22T00:00Z", "2026-11-23T00:00Z"),
    ("2026-11-22", "Europe/Berlin", "2026-11-22T00:00+01:00", "2026-11-23T00:00+01:00"),
    ("2026-W47", "UTC", "2026-11-16T00:00Z", "2026-11-23T00:00Z"),
    ("2026-W53", "UTC", "2026-12-28T00:00Z", "2027-01-04T00:00Z"),  # 1 January 2026 is a Thursday
    ("2026-W01", "UTC", "2025-12-29T00:00Z", "2026-01-05T00:00Z"),
    ("2026-11", "UTC", "2026-11-01T00:00Z", "2026-12-01T00:00Z"),
    ("2026-12", "UTC", "2026-12-01T00:00Z", "2027-01-01T00:00Z"),
    ("2028-02", "UTC", "2028-02-01T00:00Z", "2028-03-01T00:00Z"),
    ("2026-Q4", "Europe/Berlin", "2026-10-01T00:00+02:00", "2027-01-01T00:00+01:00"),
    ("2026-Q1", "UTC", "2026-01-01T00:00Z", "2026-04-01T00:00Z"),
    ("2026-03-29", "Europe/Berlin", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"),  # 23 hours
    ("2026-10-25", "Europe/Berlin", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00"),  # 25 hours
    ("2026-11-01..2026-11-15", "UTC", "2026-11-01T00:00Z", "2026-11-16T00:00Z"),
    ("2026-11-01..2026-11-01", "UTC", "2026-11-01T00:00Z", "2026-11-02T00:00Z"),
    ("2026-10..2026-W47", "UTC", "2026-10-01T00:00Z", "2026-11-23T00:00Z"),
    ("2026-11-22T08:00..2026-11-22T09:30:15", "Europe/Berlin", "2026-11-22T07:00Z", "2026-11-22T08:30:15Z"),
    ("2026-11-22T08:00Z..2026-11-23", "Europe/Berlin", "2026-11-22T08:00Z", "2026-11-24T00:00+01:00"),
    ("2026-11-22 08:00+05:30..2026-11-22T08:00:00Z", "UTC", "2026-11-22T02:30Z", "2026-11-22T08:00Z"),
    # midnight that never comes: the day begins when the clock jumps (Brazil, summer time of 2017)
    ("2017-10-15", "America/Sao_Paulo", "2017-10-15T01:00-02:00", "2017-10-16T00:00-02:00"),
    # midnight that comes twice: the first (Cuba puts the clock from 01:00 to 00:00)
    ("2026-11-01", "America/Havana", "2026-11-01T00:00-04:00", "2026-11-02T00:00-05:00"),
    # Samoa went over the date line: 29 December was followed by 31 December
    ("2011-12-29", "Pacific/Apia", "2011-12-29T00:00-10:00", "2011-12-31T00:00+14:00"),
    ("2011-12-31", "Pacific/Apia", "2011-12-31T00:00+14:00", "2012-01-01T00:00+14:00"),
    ("2026-04-05", "Australia/Lord_Howe", "2026-04-05T00:00+11:00", "2026-04-06T00:00+10:30"),
]

NO_PERIODS = [
    "",
    "..",
    "today",
    "2026",
    "2026-13",
    "2026-02-29",
    "2025-W53",
    "2026-W00",
    "2026-W54",
    "2026-Q0",
    "2026-Q5",
    "2026-q4",
    "2026-11-22T08:00",
    "2026-11-22..",
    "..2026-11-22",
    "2026-11-22..2026-11-21",
    "2026-11-22T08:00..2026-11-22T08:00",
    "2026-11-22..2026-11-23..2026-11-24",
    "0001-01-01",
    "9999-12",
    "1969-12-31",
    "２０２６-11-22",
    "2026-11-22 ",
    "2026-11-22T25:00Z..2026-11-24",
    "9" * 1000,
]

ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "Europe/Dublin",  # winter time is the exception there
        "Africa/Casablanca",  # so it is in Ramadan
        "America/Sao_Paulo",
        "America/Havana",
        "America/St_Johns",
        "Asia/Tehran",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",  # half an hour
        "Antarctica/Troll",  # two hours
        "Pacific/Apia",
        "Pacific/Chatham",
    ]
)


@pytest.mark.parametrize(("words", "zone", "start", "end"), PERIODS, ids=[f"{row[0]} {row[1]}" for row in PERIODS])
def test_what_a_period_means(words: str, zone: str, start: str, end: str) -> None:
    period = parse_period(words, zone_named(zone))
    assert (period.label, period.start, period.end) == (
        words,
        datetime.fromisoformat(start),
        datetime.fromisoformat(end),
    )
    assert period.start.tzinfo is UTC
    assert period.end.tzinfo is UTC


@pytest.mark.parametrize("words", NO_PERIODS)
def test_what_is_no_period_is_told_in_one_sentence(words: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        parse_period(words, UTC)
    assert "period" in str(error.value)
    assert len(str(error.value)) < 300
    assert "\n" not in str(error.value)


def test_a_day_that_a_zone_skipped_is_no_period() -> None:
    with pytest.raises(ValueError, match="did not happen"):
        parse_period("2011-12-30", zone_named("Pacific/Apia"))


@given(st.text(max_size=50))
@settings(max_examples=200)
def test_any_text_is_a_period_or_told(words: str) -> None:
    try:
        period = parse_period(words, UTC)
    except ValueError:
        return
    assert period.start < period.end


@pytest.mark.parametrize(
    "name", ["", "Europe", "Berlin", "../UTC", "/etc/localtime", "Europe/Berlin ", "A" * 300, "\0"]
)
def test_what_is_no_zone_is_told(name: str) -> None:
    with pytest.raises(ValueError, match="is no time zone"):
        zone_named(name)


@given(ZONES, st.datetimes(datetime(2008, 1, 1), datetime(2030, 1, 1)))
@settings(max_examples=60, deadline=None)
def test_an_instant_is_when_the_wall_first_shows_it(zone_name: str, wall: datetime) -> None:
    zone, wall = zone_named(zone_name), wall.replace(second=0, microsecond=0)
    moment = wall.replace(tzinfo=UTC) - timedelta(hours=40)  # no zone is so far away, not even while it jumps a day
    while moment.astimezone(zone).replace(tzinfo=None) < wall:
        moment += timedelta(minutes=1)
    assert instant(wall, zone) == moment


@given(ZONES, st.datetimes(datetime(2008, 1, 1), datetime(2030, 1, 1)), st.timedeltas(timedelta(0), timedelta(days=2)))
@settings(max_examples=200, deadline=None)
def test_instants_keep_the_order_of_wall_times(zone_name: str, wall: datetime, more: timedelta) -> None:
    zone = zone_named(zone_name)
    assert instant(wall, zone) <= instant(wall + more, zone)


@pytest.mark.parametrize(
    ("words", "zone", "start"),
    [
        ("2026-11-22", "UTC", "2026-11-21T00:00Z"),
        ("2026-03-30", "Europe/Berlin", "2026-03-29T00:00+01:00"),  # a day of 23 hours
        ("2026-W01", "UTC", "2025-12-22T00:00Z"),
        ("2026-03", "UTC", "2026-02-01T00:00Z"),
        ("2026-Q1", "UTC", "2025-10-01T00:00Z"),
        ("2011-12-31", "Pacific/Apia", "2011-12-29T00:00-10:00"),  # the 30th did not happen
        ("2026-11-08..2026-11-14", "UTC", "2026-11-01T00:00Z"),
        ("2026-03-29..2026-04-04", "Europe/Berlin", "2026-03-22T00:00+01:00"),  # seven days, not 167 hours
        ("2026-11-22T08:00..2026-11-22T09:30", "Asia/Kathmandu", "2026-11-22T06:30+05:45"),
        ("1970-01-02..1970-01-04", "UTC", "1970-01-01T00:00Z"),  # no further back than that
    ],
)
def test_the_period_before_ends_where_this_one_begins(words: str, zone: str, start: str) -> None:
    place = zone_named(zone)
    period = parse_period(words, place)
    before = period_before(period, place)
    assert before is not None
    assert (before.start, before.end) == (datetime.fromisoformat(start).astimezone(UTC), period.start)


@pytest.mark.parametrize("words", ["1970-01-01", "1970-W02", "1970-01", "1970-Q1", "1970-01-01..9997-12-31"])
def test_nothing_is_before_the_first_year(words: str) -> None:
    assert period_before(parse_period(words, UTC), UTC) is None
