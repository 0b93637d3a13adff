"""`audit --second-opinion`: tshark's names beside ours, and whether they agree, without ever changing a verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from monitor.cli import main
from monitor.second_opinion import compare
from reports.schemas import schema
from tests.house.captures import BROKEN, TOPOLOGY


def flow(*services: str, protocol: str | None = None) -> dict[str, Any]:
    network = {} if protocol is None else {"protocol": protocol}
    return {"network": {"transport": "tcp", **network}, "edgewarden": {"services": list(services)}}


@pytest.mark.parametrize(
    ("ours", "theirs", "agrees"),
    [
        (flow("sip", protocol="sip"), ["sip", "sdp"], True),
        (flow("sip", protocol="sip"), ["http"], False),
        (flow("sip", protocol="sip"), [], None),
        (flow("sip", protocol="sip"), None, None),
        (flow("stun", "turn", protocol="turn"), ["stun"], True),  # tshark: RFC 5766 is in its STUN dissector
        (flow("pseudo-tls", protocol="pseudo-tls"), ["tls"], True),
        (flow("ike", protocol="ike"), ["isakmp"], True),
        (flow("xmpp", "tls", protocol="xmpp"), ["tls"], True),  # its packets may begin behind STARTTLS
        (flow(protocol="unknown"), [], True),
        (flow(protocol="unknown"), ["nbss"], False),
        (flow(), [], True),
        (flow(), ["tls"], None),
    ],
)
def test_names_are_compared(ours: dict[str, Any], theirs: list[str] | None, agrees: bool | None) -> None:
    comparison = compare(ours, theirs)
    assert comparison.agrees is agrees
    assert comparison.why


def test_the_sample_captures_are_read_alike(capfd: pytest.CaptureFixture[str]) -> None:
    """Both sensors. The services are those of the scenarios that made the captures. The two may differ where we name
    nothing alone; an SSH banner is known to tshark at port 22 only."""
    captures = [f"{position}={path}" for position, path in BROKEN.items()]
    words = ["audit", "-q", "--topology", TOPOLOGY, "--format", "json", *captures]
    assert main([*words, "--second-opinion"]) == 1
    result = json.loads(capfd.readouterr().out)
    jsonschema.validate(result, schema("audit"))
    differing, undecided = set(), set()
    for finding in result["findings"]:
        second = finding["second_opinion"]
        if not finding["samples"]:
            assert second is None
            continue
        assert second["tool"] == "tshark"
        assert second["version"]
        if second["agrees"] is False:
            differing.add(finding["service"])
        elif second["agrees"] is None:
            undecided.add((finding["service"], *second["protocols"]))
        elif finding["service"] in ("sip", "http", "dns", "rtp", "xmpp", "ssh"):
            assert finding["service"] in second["protocols"]
    assert differing <= {"unknown"}
    assert undecided == {("ssh",)}

    for finding in result["findings"]:
        finding["second_opinion"] = None
    assert main(words) == 1
    assert json.loads(capfd.readouterr().out) == result


def test_it_is_told_in_the_text_and_the_report(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "r.html"
    words = ["audit", "--topology", TOPOLOGY, "--report", str(report), f"external={BROKEN['external']}"]
    assert main([*words, "--second-opinion"]) == 1
    assert "second opinion: agrees: tshark reads sip" in capfd.readouterr().out
    assert "<dt>Second opinion</dt><dd>agrees: tshark reads" in report.read_text(encoding="utf-8")


def test_what_cannot_be_read_twice_is_a_mistake(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--topology", TOPOLOGY, "--second-opinion", "external=-"]) == 2
    assert "--second-opinion reads captures a second time" in capfd.readouterr().err


def test_without_tshark_it_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["audit", "--topology", TOPOLOGY, "--second-opinion", f"external={BROKEN['external']}"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "apt install tshark" in err
