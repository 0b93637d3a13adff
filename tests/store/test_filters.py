"""The filters of `findings`: each against the same choice made from the audit's own output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from rules.names import SEVERITIES
from tests.house.captures import BROKEN
from tests.store.conftest import Ask, Audit, both

Finding = dict[str, Any]


def ids(findings: list[Finding]) -> list[str]:
    return [finding["id"] for finding in findings]


def components(finding: Finding) -> set[str | None]:
    return {finding["source"]["component"], finding["destination"]["component"]}


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        (["--sensor", "internal"], lambda f: f["position"] == "internal"),
        (["--rule", "director-bypass-sip"], lambda f: f["rule"] == "director-bypass-sip"),
        (["--severity", "critical"], lambda f: f["severity"] == "critical"),
        (["--severity", "high"], lambda f: SEVERITIES.index(f["severity"]) <= SEVERITIES.index("high")),
        (["--severity", "info"], lambda f: True),
        (["--component", "FE01.contoso.net"], lambda f: "fe01.contoso.net" in components(f)),
        (["--from", "2026-11-22T09:02:00"], lambda f: f["last"] >= "2026-11-22T09:02:00"),
        (["--to", "2026-11-22T09:01:00"], lambda f: f["first"] < "2026-11-22T09:01:00"),
        (["--from", "2026-11-23", "--to", "2026-11-24"], lambda f: False),
        (["--sensor", "lan"], lambda f: False),
        (
            ["--sensor", "internal", "--severity", "critical", "--component", "edge01.contoso.net"],
            lambda f: (
                f["position"] == "internal" and f["severity"] == "critical" and "edge01.contoso.net" in components(f)
            ),
        ),
    ],
)
def test_a_filter_chooses(audit: Audit, ask: Ask, arguments: list[str], chosen: Callable[[Finding], bool]) -> None:
    _, result, _ = audit(*both(BROKEN))
    status, answer, _ = ask(*arguments)
    assert status == 0
    wanted = [finding for finding in result["findings"] if chosen(finding)]
    assert ids(answer["findings"]) == ids(wanted)
    for kept, finding in zip(answer["findings"], wanted, strict=True):
        counted = ("flows", "packets", "bytes", "first", "last", "ports", "reason")
        assert [kept[name] for name in counted] == [finding[name] for name in counted]


def test_attempts_are_chosen_too(audit: Audit, ask: Ask) -> None:
    _, result, _ = audit(*both(BROKEN))
    assert ask("--sensor", "internal")[1]["attempts"] == [a for a in result["attempts"] if a["position"] == "internal"]
    assert ask("--rule", "sip-udp")[1]["attempts"] == [a for a in result["attempts"] if a["rule"] == "sip-udp"]
    assert ask("--from", "2026-11-23")[1]["attempts"] == []
    assert ask("--component", "nobody.example")[1]["attempts"] == []


def test_a_filter_by_sensor_counts_that_sensor_alone(audit: Audit, ask: Ask) -> None:
    """The same finding seen by two sensors at one position: by name each has its own share."""
    capture = BROKEN["internal"]
    _, result, _ = audit(f"internal={capture}")
    shares = ask("--sensor", "internal")[1]["findings"]
    assert [f["flows"] for f in shares] == [f["flows"] for f in result["findings"]]
    samples = [sample["flow"]["observer"]["name"] for f in shares for sample in f["samples"]]
    assert set(samples) == {"internal"}


def test_text_shows_the_findings(audit: Audit, path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    _, result, _ = audit(*both(BROKEN))
    assert main(["findings", "--store", f"sqlite:///{path}"]) == 0
    out = capfdbinary.readouterr().out.decode()
    assert f"Findings: {len(result['findings'])}" in out
    for finding in result["findings"]:
        assert f"[{finding['id']}]" in out
    assert "Attempts that did not get through:" in out
