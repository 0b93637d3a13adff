# ruff: noqa: E501  (the table has one case a line)
"""Crontab lines against a table written by hand from crontab(5) and a printed calendar of 2026."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.calendar.cron import MAX_LINE, parse_cron
from monitor.calendar.periods import zone_named

BERLIN = "Europe/Berlin"  # 2026: +01:00 to +02:00 on 29 March at 02:00, back on 25 October at 03:00
NEW_YORK = "America/New_York"  # 2026: back from -04:00 to -05:00 on 1 November at 02:00

# (line, zone, after, when it fires next). 22 November 2026 is a Sunday.
FIRES = [
    ("0 6 * * 1", "UTC", "2026-11-22T00:00Z", ["2026-11-23T06:00Z", "2026-11-30T06:00Z"]),
    ("0 6 * * Mon", "UTC", "2026-11-22T00:00Z", ["2026-11-23T06:00Z", "2026-11-30T06:00Z"]),
    ("0 6 * * 1", BERLIN, "2026-11-22T00:00Z", ["2026-11-23T05:00Z", "2026-11-30T05:00Z"]),
    ("0 0 * * 0", "UTC", "2026-11-22T00:00Z", ["2026-11-29T00:00Z", "2026-12-06T00:00Z"]),
    ("0 0 * * 7", "UTC", "2026-11-21T23:59Z", ["2026-11-22T00:00Z", "2026-11-29T00:00Z"]),
    ("0 0 * * 0,7", "UTC", "2026-11-22T00:00Z", ["2026-11-29T00:00Z", "2026-12-06T00:00Z"]),
    ("0 0 * * 5-7", "UTC", "2026-11-23T00:00Z", ["2026-11-27T00:00Z", "2026-11-28T00:00Z", "2026-11-29T00:00Z", "2026-12-04T00:00Z"]),
    ("0 0 * * sat-sun", "UTC", "2026-11-23T00:00Z", ["2026-11-28T00:00Z", "2026-11-29T00:00Z", "2026-12-05T00:00Z"]),
    ("0 0 * * sun-tue", "UTC", "2026-11-23T00:00Z", ["2026-11-24T00:00Z", "2026-11-29T00:00Z", "2026-11-30T00:00Z"]),
    ("0 0 * * mon-fri", "UTC", "2026-11-27T00:00Z", ["2026-11-30T00:00Z", "2026-12-01T00:00Z"]),
    ("0 0 * * */2", "UTC", "2026-11-22T00:00Z", ["2026-11-24T00:00Z", "2026-11-26T00:00Z", "2026-11-28T00:00Z", "2026-11-29T00:00Z"]),
    ("*/20 9-10 * * *", "UTC", "2026-11-22T09:20Z", ["2026-11-22T09:40Z", "2026-11-22T10:00Z", "2026-11-22T10:20Z", "2026-11-22T10:40Z", "2026-11-23T09:00Z"]),
    ("5-35/15 0 * * *", "UTC", "2026-11-22T00:00Z", ["2026-11-22T00:05Z", "2026-11-22T00:20Z", "2026-11-22T00:35Z", "2026-11-23T00:05Z"]),
    # both day fields restricted: either fits
    ("0 0 13 * 5", "UTC", "2026-11-21T00:00Z", ["2026-11-27T00:00Z", "2026-12-04T00:00Z", "2026-12-11T00:00Z", "2026-12-13T00:00Z", "2026-12-18T00:00Z"]),
    ("0 0 30 2 1", "UTC", "2026-11-22T00:00Z", ["2027-02-01T00:00Z", "2027-02-08T00:00Z"]),
    # one begins with a star: both must fit
    ("0 0 */2 * 1", "UTC", "2026-11-01T00:00Z", ["2026-11-09T00:00Z", "2026-11-23T00:00Z", "2026-12-07T00:00Z", "2026-12-21T00:00Z"]),
    # days that not every month has
    ("0 0 31 * *", "UTC", "2026-11-01T00:00Z", ["2026-12-31T00:00Z", "2027-01-31T00:00Z", "2027-03-31T00:00Z"]),
    ("0 0 29 2 *", "UTC", "2026-11-01T00:00Z", ["2028-02-29T00:00Z", "2032-02-29T00:00Z"]),
    ("0 0 29 2 *", "UTC", "2096-03-01T00:00Z", ["2104-02-29T00:00Z"]),
    ("0 0 1 jan,JUL *", "UTC", "2026-11-01T00:00Z", ["2027-01-01T00:00Z", "2027-07-01T00:00Z"]),
    # 02:30 never comes: when the clock jumps over it
    ("30 2 * * *", BERLIN, "2026-03-28T03:00+01:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
    ("15,45 2 * * *", BERLIN, "2026-03-28T03:00+01:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:15+02:00"]),
    # it comes twice: the first time
    ("30 2 * * *", BERLIN, "2026-10-24T12:00+02:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
    ("30 1 * * *", NEW_YORK, "2026-10-31T12:00-04:00", ["2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"]),
]  # fmt: skip

REFUSED = [
    ("", "five fields"),
    ("0 6 * *", "five fields"),
    ("0 6 * * 1 root", "five fields"),
    ("@daily", "five fields"),
    ("60 6 * * *", "'60' is no minute: 0 to 59"),
    ("0 24 * * *", "'24' is no hour: 0 to 23"),
    ("0 6 0 * *", "'0' is no day of month: 1 to 31"),
    ("0 6 * 13 *", "'13' is no month: 1 to 12"),
    ("0 6 * * 8", "'8' is no day of week: 0 to 7"),
    ("0 6 * * monday", "'monday' is no day of week"),
    ("0 6 * * xyz", "'xyz' is no day of week"),
    ("0 6 * mon *", "'mon' is no month"),
    ("30-10 6 * * *", "low to high"),
    ("*/0 6 * * *", "a step is 1 or more"),
    ("5/10 6 * * *", "behind * or a range"),
    ("-5 6 * * *", "is no minute"),
    ("1,,2 6 * * *", "is no minute"),
    ("1.5 6 * * *", "is no minute"),
    ("٣ 6 * * *", "is no minute"),
    ("0 0 30 2 *", "never fires"),
    ("0 0 31 4,6,9,11 *", "never fires"),
    ("0 0 30 2 */9", "never fires"),
    ("0 " * 200, f"at most {MAX_LINE}"),
]


@pytest.mark.parametrize(("line", "zone", "after", "expected"), FIRES, ids=[f"{row[0]} {row[1]}" for row in FIRES])
def test_when_a_line_fires(line: str, zone: str, after: str, expected: list[str]) -> None:
    moments = parse_cron(line).after(datetime.fromisoformat(after), zone_named(zone))
    assert list(islice(moments, len(expected))) == [datetime.fromisoformat(text) for text in expected]


@pytest.mark.parametrize(("line", "why"), REFUSED)
def test_what_is_no_line_is_told(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        parse_cron(line)
    assert why in str(error.value)


LINES = st.sampled_from(
    [
        "* * * * *",
        "*/7 * * * *",
        "30 2 * * *",
        "0 0 * * 0",
        "0 6 * * mon-fri",
        "59 23 31 * *",
        "0 0 13 * 5",
        "15 0-3 * * *",
    ]
)
ZONES = st.sampled_from(["UTC", BERLIN, NEW_YORK, "Australia/Lord_Howe", "America/Havana", "Antarctica/Troll"])


@given(LINES, ZONES, st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1)))
@settings(max_examples=60, deadline=None)
def test_looking_back_sees_what_looking_ahead_saw(line: str, zone_name: str, naive: datetime) -> None:
    cron, zone, moment = parse_cron(line), zone_named(zone_name), naive.replace(tzinfo=UTC)
    ahead = list(islice(cron.after(moment, zone), 5))
    assert ahead == sorted(set(ahead))
    assert ahead[0] > moment
    back = list(islice(cron.before(ahead[-1], zone), 6))
    assert list(reversed(back[:5])) == ahead
    assert back[5] <= moment


@given(LINES, ZONES, st.dates(datetime(2015, 1, 1).date(), datetime(2030, 1, 1).date()))
@settings(max_examples=30, deadline=None)
def test_each_wall_time_that_comes_fires_once_and_no_other(line: str, zone_name: str, day: datetime) -> None:
    """Minute by minute over three days, walking the wall clock instead of computing with offsets."""
    cron, zone = parse_cron(line), zone_named(zone_name)
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    reached = (start - timedelta(days=2)).astimezone(zone).replace(tzinfo=None)
    expected = set()
    for minute in range(-2 * 1440 + 1, 3 * 1440):
        moment = start + timedelta(minutes=minute)
        wall = moment.astimezone(zone).replace(tzinfo=None)
        while reached < wall:  # each wall time that is reached for the first time, skipped ones at the jump
            reached += timedelta(minutes=1)
            if cron.fits(reached.date()) and reached.time() in cron.times and moment > start:
                expected.add(moment)
    found = set()
    for fired in cron.after(start, zone):
        if fired >= start + timedelta(days=3):
            break
        found.add(fired)
    assert found == expected
