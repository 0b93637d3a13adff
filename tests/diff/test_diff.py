"""`edgewarden diff`: what is new, gone, changed or not to be compared between two results written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from monitor.cli import main
from reports.changes import NoResult, changes, checked, render_changes
from reports.schemas import schema
from tests.house.results import HOSTILE, finding, result

XMPP = finding(
    id="fedcba9876543210",
    rule="xmpp-partner-not-configured",
    severity="medium",
    position="external",
    subject="example.org",
    reason="the domain example.org is no partner of this site",
)
BYPASS = finding()
DESIGN = result()["findings"][2]


def audited(*findings: dict[str, Any], **more: Any) -> dict[str, Any]:
    return result(findings=list(findings), **more)


def compared(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    told = changes(checked(before), checked(after))
    jsonschema.Draft202012Validator(schema("diff")).validate(told)
    return told


def ids(told: dict[str, Any], key: str) -> list[str]:
    return [entry["id"] for entry in told[key]]


def test_new_gone_and_the_same() -> None:
    told = compared(audited(BYPASS, DESIGN), audited(XMPP, DESIGN))
    assert (ids(told, "new"), ids(told, "gone")) == ([XMPP["id"]], [BYPASS["id"]])
    assert (told["changed"], told["not_compared"], told["paths"]) == ([], [], [])
    assert told["new"] == [XMPP]
    assert told["judged_alike"] is True


def test_what_changed_of_a_finding_is_named() -> None:
    accepted = {"owner": "Web team", "reason": "on trial", "expires": "2026-12-31"}
    after = finding(
        severity="high",
        flows=3,
        packets=99,
        last="2026-11-23T08:00:00.000000Z",
        ports={"min": 5061, "max": 5067, "distinct": 2},
        waived_by=accepted,
    )
    [changed] = compared(audited(BYPASS), audited(after))["changed"]
    assert changed["id"] == BYPASS["id"]
    assert changed["changes"] == {
        "severity": {"before": "critical", "after": "high"},
        "flows": {"before": 1, "after": 3},
        "ports": {
            "before": {"min": 5061, "max": 5061, "distinct": 1},
            "after": {"min": 5061, "max": 5067, "distinct": 2},
        },
        "waived_by": {"before": None, "after": accepted},
    }


def test_packets_and_times_alone_are_no_change() -> None:
    after = finding(packets=99, bytes=1, first="2026-11-23T08:00:00.000000Z", last="2026-11-23T08:00:00.000000Z")
    assert compared(audited(BYPASS), audited(after))["changed"] == []


@pytest.mark.parametrize("blind", ["position", "rule"])
def test_what_could_not_be_seen_again_is_not_gone(blind: str) -> None:
    """BYPASS was found at the internal firewall by director-bypass-sip."""
    after = audited()
    if blind == "position":
        after["captures"] = after["captures"][:1]
    else:
        after["coverage"]["observable"].remove("director-bypass-sip")
    told = compared(audited(BYPASS, XMPP, DESIGN), after)
    assert ids(told, "gone") == [XMPP["id"], DESIGN["id"]]
    assert ids(told, "not_compared") == [BYPASS["id"]]


def test_paths_whose_use_differs() -> None:
    def path(name: str, flows: int) -> dict[str, Any]:
        return {"id": name, "flows": flows, "bytes": 10 * flows, "first": None, "last": None}

    told = compared(
        audited(paths=[path("same", 2), path("more", 2), path("ceased", 1), path("dropped", 1)]),
        audited(paths=[path("same", 2), path("more", 5), path("ceased", 0), path("added", 0)]),
    )
    assert told["paths"] == [
        {"id": "more", "before": 2, "after": 5},
        {"id": "ceased", "before": 1, "after": 0},
        {"id": "added", "before": None, "after": 0},
        {"id": "dropped", "before": 1, "after": None},
    ]
    text = render_changes(told)
    for line in (
        "Paths used more or less: more (2 flows, now 5)",
        "Paths used no longer: ceased (1 flow)",
        "Paths that apply now: added",
        "Paths that apply no longer: dropped (1 flow)",
    ):
        assert line in text.splitlines()


def test_another_topology_is_said() -> None:
    other = audited(topology={"organization": "Contoso", "digest": "sha256:" + "99" * 32})
    told = compared(audited(), other)
    assert told["judged_alike"] is False
    assert render_changes(told).startswith("The topology or the policy differs")


def test_the_text_names_what_it_found() -> None:
    text = render_changes(compared(audited(BYPASS), audited(finding(flows=3), XMPP)))
    assert "New findings: 1\n\nMEDIUM  xmpp-partner-not-configured  at external  [fedcba9876543210]" in text
    assert "Findings gone: none" in text
    assert "    flows: 1, now 3\n" in text


def test_hostile_text_is_harmless_on_a_terminal() -> None:
    evil = finding(reason=f"\x1b]0;x\x07{HOSTILE}\u202e", subject="\x1b[2J")
    text = render_changes(compared(audited(), audited(evil)))
    assert all(char.isprintable() or char == "\n" for char in text)


# --- the command -----------------------------------------------------------------------------------------------------


def written(tmp_path: Path, name: str, content: Any) -> str:
    file = tmp_path / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(file)


@pytest.mark.parametrize(
    ("added", "status"),
    [
        ([], 0),
        ([XMPP], 1),
        ([DESIGN], 0),  # about the design
        ([{**XMPP, "severity": "info"}], 0),
        ([{**XMPP, "waived_by": {"owner": "a", "reason": "b", "expires": "2026-12-31"}}], 0),
    ],
)
def test_status_one_for_new_findings_that_count(
    added: list[dict[str, Any]], status: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = written(tmp_path, "a.json", audited(BYPASS))
    after = written(tmp_path, "b.json", audited(*added))
    assert main(["diff", before, after, "--format", "json"]) == status
    told = json.loads(capfd.readouterr().out)
    assert (ids(told, "new"), ids(told, "gone")) == ([f["id"] for f in added], [BYPASS["id"]])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "this is no JSON"),
        ("[" * 100_000, "this is no JSON"),
        ("[]", "this is no result of `edgewarden audit --format json`"),
        ({"schema": 1, "findings": [], "attempts": []}, "this is no result of `edgewarden audit --format json`"),
        (result(schema=2), "its `schema` is not 1"),
        (result(findings=[{"id": "x"}]), "findings[0].rule is missing"),
        (result(findings=[finding(severity="dire")]), "findings[0].severity is none of critical, high"),
        (result(findings=[finding(flows="many")]), "findings[0].flows is not what an audit writes there"),
        (result(findings=[finding(waived_by="me")]), "findings[0].waived_by is not what an audit writes there"),
        (result(paths={}), "paths is not what an audit writes there"),
        (result(coverage={"observable": [{}]}), "observable[0] is not what an audit writes there"),
    ],
)
def test_what_is_no_result_is_refused_with_file_and_reason(
    content: Any, why: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    good, bad = written(tmp_path, "good.json", audited()), written(tmp_path, "bad.json", content)
    for arguments in ((good, bad), (bad, good)):
        assert main(["diff", *arguments]) == 2
        told = capfd.readouterr()
        assert told.out == ""
        assert f"{bad}: {why}" in told.err


def test_a_file_that_is_not_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(tmp_path / "none.json"), str(tmp_path)]) == 2
    assert "none.json: cannot be read: No such file" in capfd.readouterr().err


def test_every_missing_or_wrong_part_is_refused() -> None:
    """Each value of a whole result is taken out, then replaced; what is accepted can be compared and shown."""
    whole = audited({**BYPASS, "samples": [], "controls": {}}, captures=result()["captures"][:1])
    for path in list(_places(whole)):
        for value in (None, 7, "text", [7], {"a": 1}, True):
            broken = json.loads(json.dumps(whole))
            holder = broken
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = value
            try:
                render_changes(changes(checked(broken), checked(audited(finding(flows=2)))))
            except NoResult:
                continue


def _places(value: Any, at: tuple[Any, ...] = ()) -> Any:
    if at:
        yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(inner, (*at, key))
