"""`edgewarden schedule` from outside: what is listed, what is made on demand, what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from monitor.cli import main
from tests.house.captures import TOPOLOGY
from tests.report.records import entry, record, watched

SETTINGS = """\
edgewarden: 1
topology: topology.yaml
store: sqlite:///record.db
reports:
  - {name: daily, every: day, at: "06:00", zone: Europe/Berlin, formats: [html, csv], deliver: [{folder: out}]}
  - {name: mondays, cron: "0 6 * * 1", zone: Asia/Kathmandu, formats: json, deliver: [{folder: out}, {folder: two}]}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Settings with two reports, their topology, no record yet."""
    text = Path(TOPOLOGY).read_text(encoding="utf-8")
    live = text + "\nsensors: [{name: outer, position: external, interfaces: [eth1]}]\n"
    (tmp_path / "topology.yaml").write_text(live, encoding="utf-8")
    (tmp_path / "edgewarden.yaml").write_text(SETTINGS, encoding="utf-8")
    return tmp_path


def told(capfd: pytest.CaptureFixture[str], site: Path, *arguments: str) -> tuple[int, str, str]:
    status = main(["schedule", *arguments, "--config", str(site / "edgewarden.yaml")])
    out, err = capfd.readouterr()
    return status, out, err


def test_a_list_before_and_after_a_report(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status, out, err = told(capfd, site, "list")
    assert (status, err) == (0, "")
    assert not (site / "record.db").exists()
    lines = out.splitlines()
    assert lines[0].split() == ["NAME", "EVERY", "ZONE", "LAST", "REPORTED", "NEXT", "DUE", "OF"]
    assert re.fullmatch(r"  daily +day at 06:00 +Europe/Berlin +- +now +\d{4}-\d\d-\d\d", lines[1])
    assert re.match(r"  mondays +0 6 \* \* 1 +Asia/Kathmandu +- +now +\d{4}-\d\d-\d\dT00:15:00Z\.\.", lines[2])
    assert told(capfd, site, "run", "mondays")[0] == 0
    line = told(capfd, site, "list")[1].splitlines()[2]
    assert re.search(r"T00:15:00Z +\d{4}-\d\d-\d\d 06:00 +\d{4}", line), line


def test_a_report_on_demand_goes_to_all_folders(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = told(capfd, site, "run", "mondays", "--period", "2026-11-01..2026-11-03")
    assert status == 0
    assert out.splitlines() == [str(site / folder / "mondays-2026-11-01..2026-11-03.json") for folder in ("out", "two")]
    assert all(Path(line).exists() for line in out.splitlines())


def test_a_period_that_is_not_over_is_marked(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record(site, entry([watched("2026-11-24T00:00:00", "2026-11-25T00:00:00")]))
    status, out, _ = told(capfd, site, "run", "daily", "--period", "2026-01-01..2500-01-01")
    assert status == 0
    html, table = (Path(line) for line in out.splitlines())
    assert html.name == "daily-2026-01-01..2500-01-01-partial.html"
    assert table.name == "daily-2026-01-01..2500-01-01-partial.csv"
    assert "(partial)" in html.read_text(encoding="utf-8")
    assert re.search(r"daily .* - ", told(capfd, site, "list")[1].splitlines()[1])


def test_settings_of_the_folder_and_none(
    site: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site)
    assert main(["schedule", "list"]) == 0
    assert "mondays" in capfd.readouterr().out
    (site / "edgewarden.yaml").unlink()
    assert main(["schedule", "list"]) == 2
    assert "edgewarden.yaml: there is no such settings file" in capfd.readouterr().err


def test_another_zone_than_that_of_the_schedule(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """06:00 in Kathmandu is 00:15 UTC."""
    status, _, _ = told(capfd, site, "run", "mondays", "--period", "2026-11-23", "--zone", "America/New_York")
    assert status == 0
    made = json.loads((site / "out" / "mondays-2026-11-23.json").read_text(encoding="utf-8"))
    assert (made["period"]["zone"], made["period"]["from"]) == ("America/New_York", "2026-11-23T05:00:00.000000Z")
    told(capfd, site, "run", "mondays")
    assert re.search(r" 00:15 ", told(capfd, site, "list", "--zone", "UTC")[1].splitlines()[2])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "weekly"), "is no report of"),
        (("run", "weekly\x1b[2J"), "\\u{001b}[2J' is no report"),
        (("run", "daily", "--period", "soon"), "is no period"),
        (("run", "daily", "--period", "2500-01-01"), "has not begun yet"),
        (("run", "daily", "--zone", "Nowhere"), "is no time zone"),
        (("list", "--zone", "Nowhere"), "is no time zone"),
    ],
)
def test_mistakes(site: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str) -> None:
    status, out, err = told(capfd, site, *arguments)
    assert (status, out) == (2, "")
    assert said in err


def test_a_folder_that_cannot_be_written(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (site / "two").write_text("a file", encoding="utf-8")
    status, out, err = told(capfd, site, "run", "mondays")
    assert (status, out) == (2, "")
    assert "cannot be written" in err
    assert " - " in told(capfd, site, "list")[1].splitlines()[2]
