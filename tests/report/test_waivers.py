"""Waivers of a report: what was recorded stays what it was, and the period's verdict goes by what is not waived."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from monitor.cli import main
from reports.schemas import schema
from tests.house.captures import TOPOLOGY
from tests.waivers.test_waivers import only_lookups

DAY = ["--period", "2026-11-22"]


@pytest.fixture
def store(tmp_path: Path) -> str:
    """One finding: edge02's lookup inside, from 172.25.33.11."""
    url = f"sqlite:///{tmp_path / 'record.db'}"
    assert main(["audit", "-q", "--store", url, "--topology", TOPOLOGY, only_lookups(tmp_path)]) == 1
    return url


@pytest.mark.parametrize("source", ["172.25.33.11", "edge02.contoso.net", "perimeter-int"])
def test_a_waived_finding_stays_and_does_not_count(
    source: str, store: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "waivers.yaml"
    file.write_text(
        f"- {{rule: edge-internal-dns, source: {source}, reason: no hosts file, owner: DNS team, "
        "expires: 2026-11-22}\n"
    )
    waivers = ["--waivers", str(file), "--topology", TOPOLOGY]
    capfd.readouterr()
    assert main(["report", "--store", store, *DAY, "--format", "json", *waivers]) == 0
    report = json.loads(capfd.readouterr().out)
    jsonschema.Draft202012Validator(schema("report")).validate(report)
    [finding] = report["findings"]
    assert finding["waived_by"] == {"owner": "DNS team", "reason": "no hosts file", "expires": "2026-11-22"}
    assert report["verdict"] != "violations"
    assert report["waivers"] == {"findings": 1, "notes": []}
    for form in ("html", "csv"):
        assert main(["report", "--store", store, *DAY, "--format", form, *waivers]) == 0
        assert "DNS team until 2026-11-22: no hosts file" in capfd.readouterr().out

    assert main(["report", "--store", store, *DAY, "--format", "json"]) == 0
    plain = json.loads(capfd.readouterr().out)
    assert (plain["verdict"], plain["findings"][0]["waived_by"]) == ("violations", None)
    assert "waivers" not in plain


def test_an_expired_one_counts_and_is_told(store: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "waivers.yaml"
    file.write_text(
        "- {rule: edge-internal-dns, source: edge02.contoso.net, reason: x, owner: DNS team, expires: 2026-11-21}\n"
    )
    capfd.readouterr()
    assert main(["report", "--store", store, *DAY, "--format", "json", "--waivers", str(file)]) == 0
    told = capfd.readouterr()
    assert json.loads(told.out)["verdict"] == "violations"
    assert "expired on 2026-11-21" in told.err


def test_names_are_checked_with_a_topology(store: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "waivers.yaml"
    file.write_text(
        "- {rule: edge-internal-dns, source: edge9.contoso.net, reason: x, owner: y, expires: 2026-12-31}\n"
    )
    arguments = ["report", "--store", store, *DAY, "--format", "json", "--waivers", str(file)]
    capfd.readouterr()
    assert main(arguments) == 0
    assert "covers no finding here" in capfd.readouterr().err
    assert main([*arguments, "--topology", TOPOLOGY]) == 2
    assert "neither a declared component" in capfd.readouterr().err
