"""Each period once, in files and on record, whatever happens in between: downtime, kill -9, a folder that is not there,
a clock put back, a report that somebody asked for."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time as clock
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from monitor.calendar.cron import parse_cron
from monitor.calendar.periods import parse_period, zone_named
from monitor.calendar.schedule import Schedule
from monitor.calendar.scheduler import Calendar, awaited, make
from monitor.cli.messages import Messages
from monitor.settings.config import Report
from monitor.store.sqlite import open_record, reading
from tests.house.captures import ROOT
from tests.report.records import entry, finding, record, watched

BERLIN = zone_named("Europe/Berlin")
PATIENCE = 60.0


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def daily(folder: Path, name: str = "daily", at: time = time(6)) -> Report:
    return Report(Schedule(name, "day", BERLIN, at), ("json",), (str(folder),))


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A record of one capture that watched a week, with a finding on each day."""
    captures = [watched("2026-11-18T00:00:00", "2026-11-28T00:00:00")]
    return str(record(tmp_path, entry(captures, [finding(day, f"2026-11-{day}T12:00:00") for day in range(18, 28)])))


class Service:
    """A calendar that is asked when the test says so, and what it said."""

    def __init__(self, path: str, *reports: Report) -> None:
        self._said = io.StringIO()
        self._path = path
        self.calendar = Calendar(reports, path, Messages(stream=self._said))

    def tick(self, moment: str) -> str:
        self._said.seek(0)
        self._said.truncate()
        self.calendar.tick(utc(moment))
        return self._said.getvalue()

    def rows(self) -> list[tuple[str, str, int, int]]:
        with reading(self._path) as connection:
            return connection.execute("SELECT schedule, label, asked, partial FROM report_runs ORDER BY id").fetchall()


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def test_a_day_is_reported_at_its_time_and_once(path: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    service = Service(path, daily(out))
    service.tick("2026-11-24T06:00+01:00")
    assert names(out) == ["daily-2026-11-23.json"]
    for minute in ("05:59", "06:00", "06:01", "23:59"):
        service.tick(f"2026-11-25T{minute}+01:00")
    assert names(out) == ["daily-2026-11-23.json", "daily-2026-11-24.json"]
    assert service.rows() == [("daily", "2026-11-23", 0, 0), ("daily", "2026-11-24", 0, 0)]
    made = json.loads((out / "daily-2026-11-24.json").read_text(encoding="utf-8"))
    assert made["period"]["from"] == "2026-11-23T23:00:00.000000Z"
    assert [f["id"] for f in made["findings"]] == [f"{24:016x}"]


def test_what_was_missed_is_made_up_and_a_clock_put_back_makes_nothing(path: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    Service(path, daily(out)).tick("2026-11-20T07:00+01:00")
    service = Service(path, daily(out))
    service.tick("2026-11-24T07:00+01:00")
    days = [f"daily-2026-11-{day}.json" for day in (19, 20, 21, 22, 23)]
    assert names(out) == days
    written = {name: (out / name).stat().st_mtime_ns for name in days}
    service.tick("2026-11-21T07:00+01:00")
    service.tick("2026-11-24T08:00+01:00")
    assert {name: (out / name).stat().st_mtime_ns for name in names(out)} == written
    assert len(service.rows()) == len(days)


def test_sensors_get_time_to_record_the_end_of_a_day(path: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    service = Service(path, daily(out, at=time(0)))
    service.tick("2026-11-24T12:00+01:00")
    service.tick("2026-11-25T00:00+01:00")
    assert names(out) == ["daily-2026-11-23.json"]
    service.tick("2026-11-25T00:01+01:00")
    assert names(out) == ["daily-2026-11-23.json", "daily-2026-11-24.json"]


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
import monitor.calendar.scheduler
from tests.schedule.test_scheduler import Service, daily
def die(*ignored): os.kill(os.getpid(), signal.SIGKILL)
monitor.calendar.scheduler.enter = die
Service(sys.argv[1], daily(Path(sys.argv[2]))).tick("2026-11-24T06:00+01:00")
"""


def test_killed_between_file_and_record_the_same_file_is_made_again(path: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", KILLED, path, str(out)], cwd=ROOT, timeout=PATIENCE, check=False)
    assert killed.returncode == -signal.SIGKILL
    before = (out / "daily-2026-11-23.json").read_bytes()
    service = Service(path, daily(out))
    assert service.rows() == []
    service.tick("2026-11-24T06:02+01:00")
    service.tick("2026-11-24T06:03+01:00")
    assert names(out) == ["daily-2026-11-23.json"]
    assert (out / "daily-2026-11-23.json").read_bytes() == before
    assert service.rows() == [("daily", "2026-11-23", 0, 0)]


def test_a_folder_that_cannot_be_written_delays(path: str, tmp_path: Path) -> None:
    """Said once, not on record, and made when the folder is there; the other schedule does not wait."""
    out, blocked = tmp_path / "out", tmp_path / "blocked"
    blocked.write_text("a file where a folder should be", encoding="utf-8")
    service = Service(path, daily(blocked, "a"), daily(out, "b"))
    said = service.tick("2026-11-24T06:00+01:00")
    assert "report a of 2026-11-23 waits" in said
    assert "cannot be written" in said
    assert names(out) == ["b-2026-11-23.json"]
    assert service.rows() == [("b", "2026-11-23", 0, 0)]
    assert service.tick("2026-11-24T06:01+01:00") == ""
    blocked.unlink()
    assert "report a of 2026-11-23: " in service.tick("2026-11-25T06:02+01:00")
    assert names(blocked) == ["a-2026-11-23.json", "a-2026-11-24.json"]


def test_of_two_folders_both_must_have_it(path: str, tmp_path: Path) -> None:
    out, blocked = tmp_path / "out", tmp_path / "blocked"
    blocked.write_text("", encoding="utf-8")
    both = Report(Schedule("daily", "day", BERLIN, time(6)), ("json", "csv"), (str(out), str(blocked)))
    service = Service(path, both)
    service.tick("2026-11-24T06:00+01:00")
    assert service.rows() == []
    blocked.unlink()
    service.tick("2026-11-24T06:01+01:00")
    assert names(out) == names(blocked) == ["daily-2026-11-23.csv", "daily-2026-11-23.json"]


def test_a_partial_report_that_was_asked_for_is_made_again_when_it_is_whole(path: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    service = Service(path, daily(out))
    service.tick("2026-11-24T06:00+01:00")
    with closing(open_record(path, writing=True)) as opened:
        day = parse_period("2026-11-24", BERLIN)
        for hour in ("11", "12"):
            make(daily(out), day, opened, utc(f"2026-11-24T{hour}:00+01:00"), asked=True)
    made = json.loads((out / "daily-2026-11-24-partial.json").read_text(encoding="utf-8"))
    assert made["period"]["partial"] is True
    assert made["period"]["until"] == "2026-11-24T11:00:00.000000Z"
    service.tick("2026-11-25T06:00+01:00")
    assert "daily-2026-11-24.json" in names(out)
    with closing(open_record(path, writing=True)) as opened:
        make(daily(out), parse_period("2026-11-26", BERLIN), opened, utc("2026-11-27T01:00+01:00"), asked=True)
    service.tick("2026-11-27T06:00+01:00")
    assert service.rows() == [
        ("daily", "2026-11-23", 0, 0),
        ("daily", "2026-11-24", 1, 1),
        ("daily", "2026-11-24", 1, 1),
        ("daily", "2026-11-24", 0, 0),
        ("daily", "2026-11-26", 1, 0),
        ("daily", "2026-11-25", 0, 0),
    ]


def test_two_services_on_one_record_make_one_row(path: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with closing(open_record(path, writing=True)) as opened:
        for _ in range(2):  # both had asked before either was done
            make(daily(out), parse_period("2026-11-23", BERLIN), opened, utc("2026-11-24T06:00Z"), asked=False)
    assert Service(path).rows() == [("daily", "2026-11-23", 0, 0)]


def test_names_of_files_by_crontab_lines_are_names_everywhere(path: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    weekly = Report(Schedule("weekly", parse_cron("0 6 * * 1"), BERLIN), ("csv",), (str(out),))
    Service(path, weekly).tick("2026-11-24T06:00+01:00")
    assert names(out) == ["weekly-2026-11-16T050000Z..2026-11-23T050000Z.csv"]


def test_without_a_record_one_is_made(tmp_path: Path) -> None:
    out = tmp_path / "out"
    Service(str(tmp_path / "new.db"), daily(out)).tick("2026-11-24T06:00+01:00")
    made = json.loads((out / "daily-2026-11-23.json").read_text(encoding="utf-8"))
    assert (made["verdict"], made["why"]) == ("inconclusive", "nothing was watched")


def test_a_record_that_is_none_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "record.db").write_bytes(b"no record at all" * 100)
    service = Service(str(tmp_path / "record.db"), daily(tmp_path / "out"))
    assert "is no record" in service.tick("2026-11-24T06:00+01:00")
    assert service.tick("2026-11-24T06:01+01:00") == ""
    assert names(tmp_path / "out") == []


def test_a_tick_out_of_reach_means_that_the_clock_was_put_back() -> None:
    now = utc("2026-11-24T06:00:30Z")
    assert awaited(now + timedelta(seconds=30), now)
    assert awaited(now - timedelta(hours=1), now)
    assert not awaited(now + timedelta(hours=1), now)


WORKING = """
import sys
from pathlib import Path
from monitor.cli.messages import Messages
from monitor.live.launcher import Signals
from monitor.calendar.scheduler import work
from tests.schedule.test_scheduler import daily
sys.exit(work([daily(Path(sys.argv[2]))], sys.argv[1], (), Signals(), messages=Messages()))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_process_makes_what_is_due_and_ends_when_told(path: str, tmp_path: Path, number: signal.Signals) -> None:
    """By the real clock and apscheduler: yesterday, or the day before, in Berlin, at once."""
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", WORKING, path, str(out)], cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        until = clock.monotonic() + PATIENCE
        while not Service(path).rows():
            assert process.poll() is None, process.communicate()[1]
            assert clock.monotonic() < until, "no report was made"
            clock.sleep(0.05)
        os.kill(process.pid, number)
        _, said = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == (0 if number == signal.SIGTERM else -number)
    assert b"makes reports: daily" in said
    [name] = names(out)
    assert name.startswith("daily-20")
