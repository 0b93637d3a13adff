"""`edgewarden report` from outside, over a record of the sample site: what is written where, what is refused."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from monitor.cli import main
from reports.schemas import schema
from tests.house.captures import BROKEN, CLEAN, ROOT, TOPOLOGY

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The sample captures, all of 22 November 2026 (pcaps/README.md), in one record."""
    path = tmp_path_factory.mktemp("record") / "record.db"
    captures = [f"{position}={file}" for kind in (CLEAN, BROKEN) for position, file in kind.items()]
    assert main(["audit", "-q", "--store", f"sqlite:///{path}", "--topology", TOPOLOGY, *captures]) == 1
    return f"sqlite:///{path}"


def told(capfd: Capture, *arguments: str) -> tuple[int, str, str]:
    capfd.readouterr()
    status = main(["report", *arguments])
    out, err = capfd.readouterr()
    return status, out, err


def figures(capfd: Capture, *arguments: str) -> dict[str, Any]:
    status, out, err = told(capfd, "--format", "json", *arguments)
    assert (status, err) == (0, "")
    made: dict[str, Any] = json.loads(out)
    jsonschema.Draft202012Validator(schema("report")).validate(made)
    return made


def test_a_report_has_the_findings_that_the_record_has(store: str, capfd: Capture) -> None:
    """Flows and findings of all four captures stand in README.md, which is held against an audit."""
    made = figures(capfd, "--store", store, "--period", "2026-11-22")
    main(["findings", "--store", store, "--format", "json"])
    asked = json.loads(capfd.readouterr().out)
    assert made["findings"] == asked["findings"]
    assert made["attempts"] == asked["attempts"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    totals = made["totals"]
    assert f"VIOLATIONS: {len(made['findings'])} findings" in readme
    assert f"Flows: {totals['flows']} = {totals['allowed']} allowed, {totals['violation']} violation" in readme
    assert f"Packets: {totals['packets']:,} = " in readme
    assert {sensor["sensor"] for sensor in made["coverage"]["sensors"]} == {"external", "internal"}
    assert len(made["coverage"]["observable"]) > 10
    assert len([path for path in made["paths"] if not path["flows"]]) > 0
    assert made["judged"][0]["runs"] == 1


def test_days_begin_in_the_zone_that_is_named(store: str, capfd: Capture) -> None:
    """On Kiritimati (+14:00) the 22nd begins at 10:00 UTC of the 21st; the captures end there at 23:03:32."""
    made = figures(capfd, "--store", store, "--period", "2026-11-22", "--zone", "Pacific/Kiritimati")
    assert made["period"]["from"] == "2026-11-21T10:00:00.000000Z"
    assert made["totals"]["flows"] == figures(capfd, "--store", store, "--period", "2026-11-22")["totals"]["flows"]
    empty = figures(capfd, "--store", store, "--period", "2026-11-23", "--zone", "Pacific/Kiritimati")
    assert (empty["verdict"], empty["totals"]["flows"]) == ("inconclusive", 0)


def test_each_format(store: str, capfd: Capture, tmp_path: Path) -> None:
    html = tmp_path / "week.html"
    status, out, _ = told(capfd, "--store", store, "--period", "2026-W47", "--format", "html", "--output", str(html))
    assert (status, out) == (0, "")
    assert html.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    status, out, _ = told(capfd, "--store", store, "--period", "2026-11", "--format", "csv")
    assert status == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == len(figures(capfd, "--store", store, "--period", "2026-Q4")["findings"])
    assert {row["severity"] for row in rows} <= {"critical", "high", "medium", "low", "info"}


def test_the_record_of_the_settings_is_asked(store: str, capfd: Capture, tmp_path: Path) -> None:
    text = Path(TOPOLOGY).read_text(encoding="utf-8")
    (tmp_path / "topology.yaml").write_text(
        text + "\nsensors: [{name: outer, position: external, interfaces: [eth1]}]\n", encoding="utf-8"
    )
    settings = tmp_path / "edgewarden.yaml"
    settings.write_text(f"edgewarden: 1\ntopology: topology.yaml\nstore: {store}\n", encoding="utf-8")
    made = figures(capfd, "--config", str(settings), "--period", "2026-11-22")
    assert made["totals"]["flows"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--period", "yesterday"), "is no period"),
        (("--period", "2026-11-22", "--zone", "Mars/Olympus"), "is no time zone"),
        (("--period", "9000-01-01"), "has not begun yet"),
        (("--period", "2026-11-22", "--format", "pdf"), "PDF is not written by this version"),
        (("--period", "2026-11-22", "--format", "oscal"), "OSCAL is not written by this version"),
        (("--period", "2026-11-22", "--store", "sqlite:////nowhere/record.db"), "there is no record"),
        (("--period", "2026-11-22", "--output", "/nowhere/report.html"), "cannot be written"),
        (("--period", "2026-11-22\u202e\x1b[1m"), "\\u202e"),
    ],
)
def test_mistakes(store: str, capfd: Capture, arguments: tuple[str, ...], said: str) -> None:
    status, out, err = told(capfd, "--store", store, "--format", "json", *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert "\x1b" not in err
