"""Waivers: the file is read or refused at its place, whole findings are covered or none, and packet time ends them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from monitor.cli import main
from reports.moments import nanoseconds
from reports.render import render_html, render_text
from reports.schemas import schema
from rules.catalogue import RULE_IDS
from rules.components import Address
from rules.load import load
from rules.waivers import BROAD, Waiver, WaiverFaults, WaiversUnreadable, apply, load_waivers
from tests.house.captures import BROKEN, TOPOLOGY, addresses, all_packets, pcap
from tests.house.results import HOSTILE, finding, result

SITE = load(TOPOLOGY)
LAST = int(datetime(2026, 11, 22, 9, tzinfo=UTC).timestamp()) * 1_000_000_000
PAPERS = "reason: being replaced, owner: Web team, expires: 2026-12-31"


def read(tmp_path: Path, text: str) -> tuple[Waiver, ...]:
    file = tmp_path / "waivers.yaml"
    file.write_text(text)
    return load_waivers(file, SITE, RULE_IDS)


def faults(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(WaiverFaults) as told:
        read(tmp_path, text)
    return [str(fault).split("waivers.yaml:", 1)[1] for fault in told.value.faults]


def waived(
    waivers: tuple[Waiver, ...],
    found: list[dict[str, Any]],
    flows: Mapping[tuple[str, str], int] | None = None,
) -> list[str]:
    """Notes; `flows`: how many flows have (end, address), of every finding."""

    def flows_of(about: Mapping[str, Any], end: str, address: Address) -> int:
        return (flows or {}).get((end, str(address)), 0)

    return apply(waivers, found, LAST, lambda f: None if f["last"] is None else nanoseconds(f["last"]), flows_of)


# --- the file --------------------------------------------------------------------------------------------------------


def test_every_key_is_read(tmp_path: Path) -> None:
    [waiver] = read(
        tmp_path,
        "- {rule: xmpp-partner-not-configured, source: External, destination: 203.0.113.10,\n"
        "   port: [5269, '5300-5310'], subject: example.org, reason: on trial, owner: Mail team,\n"
        "   expires: 2026-12-31T12:00:00Z}\n",
    )
    assert (waiver.source, str(waiver.destination), waiver.subject) == ("external", "203.0.113.10", "example.org")
    assert [str(span) for span in waiver.ports] == ["5269", "5300-5310"]
    assert waiver.shown == {"owner": "Mail team", "reason": "on trial", "expires": "2026-12-31T12:00:00Z"}


def test_an_empty_list_is_no_waiver_and_an_empty_file_a_fault(tmp_path: Path) -> None:
    assert read(tmp_path, "[]\n") == ()
    assert faults(tmp_path, "# nothing\n") == ["1:1: the file is empty (a YAML list of waivers; [] for none)"]


def test_all_faults_are_told_at_their_places(tmp_path: Path) -> None:
    told = faults(
        tmp_path,
        f"- {{rule: sip-udp, {PAPERS}}}\n"
        f"- {{rule: sip-upd, port: 5060, {PAPERS}}}\n"
        f"- {{rule: sip-udp, source: edge09.contoso.net, {PAPERS}}}\n"
        "- {rule: sip-udp, port: 5060, expires: tomorrow, reason: x}\n"
        f"- {{rule: sip-udp, port: 5060, ticket: 7, {PAPERS}}}\n",
    )
    assert [line.split(":")[0] for line in told] == ["1", "2", "3", "4", "4", "5"]
    assert "one of source, destination, port, subject" in told[0]
    assert 'did you mean "sip-udp"?' in told[1]
    assert 'did you mean "edge01.contoso.net"?' in told[2] or 'did you mean "edge02.contoso.net"?' in told[2]
    assert "owner is missing" in told[3]
    assert "a date such as" in told[4]
    assert 'unknown key "ticket"' in told[5]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WaiversUnreadable, match="there is no such file of waivers"):
        load_waivers(tmp_path / "none.yaml", SITE, RULE_IDS)


# --- what they cover -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("narrowing", "covers"),
    [
        ("source: edge01.contoso.net", True),
        ("source: edge02.contoso.net", False),
        ("source: perimeter-int", True),
        ("source: internal", False),
        ("destination: fe01.contoso.net", True),
        ("source: edge01.contoso.net, destination: fe02.contoso.net", False),
        ("port: 5061", True),
        ('port: "5000-5100"', True),
        ("port: 5062", False),
        ("subject: contoso.com", False),
        ("source: 172.25.33.10", True),
        ("source: 172.25.33.11", False),
        ("destination: 172.25.33.10", False),
    ],
)
def test_each_word_narrows(tmp_path: Path, narrowing: str, covers: bool) -> None:
    """The finding: one flow of edge01 (172.25.33.10) to fe01, TCP 5061, no subject."""
    found = [finding()]
    waived(
        read(tmp_path, f"- {{rule: director-bypass-sip, {narrowing}, {PAPERS}}}\n"),
        found,
        {("source", "172.25.33.10"): 1},
    )
    assert (found[0]["waived_by"] is not None) is covers


def test_another_rule_is_not_covered(tmp_path: Path) -> None:
    found = [finding()]
    notes = waived(read(tmp_path, f"- {{rule: sip-udp, port: 5061, {PAPERS}}}\n"), found)
    assert found[0]["waived_by"] is None
    assert len(notes) == 1
    assert "waivers.yaml:1: the waiver of sip-udp covers no finding here" in notes[0]


def test_an_address_covers_only_what_it_sent_alone(tmp_path: Path) -> None:
    found = [finding(flows=10)]
    notes = waived(
        read(tmp_path, f"- {{rule: director-bypass-sip, source: 172.25.33.10, {PAPERS}}}\n"),
        found,
        {("source", "172.25.33.10"): 9},
    )
    assert found[0]["waived_by"] is None
    assert "only some flows of 1 finding (0123456789abcdef) have" in notes[0]


@pytest.mark.parametrize(
    ("ports", "covers"),
    [
        ({"min": 80, "max": 443, "distinct": 2}, True),
        ({"min": 80, "max": 443, "distinct": 3}, False),  # who knows the third
        ({"min": 8000, "max": 8100, "distinct": 3}, True),
        ({"min": None, "max": None, "distinct": 0}, False),
    ],
)
def test_all_ports_must_be_named(tmp_path: Path, ports: dict[str, Any], covers: bool) -> None:
    found = [finding(ports=ports)]
    waived(read(tmp_path, f'- {{rule: director-bypass-sip, port: [80, 443, "8000-8100"], {PAPERS}}}\n'), found)
    assert (found[0]["waived_by"] is not None) is covers


def test_the_first_that_covers_is_named_and_both_are_used(tmp_path: Path) -> None:
    found = [finding()]
    notes = waived(
        read(
            tmp_path,
            "- {rule: director-bypass-sip, port: 5061, reason: a, owner: First, expires: 2026-12-31}\n"
            "- {rule: director-bypass-sip, port: 5061, reason: b, owner: Second, expires: 2026-12-31}\n",
        ),
        found,
    )
    assert found[0]["waived_by"] == {"owner": "First", "reason": "a", "expires": "2026-12-31"}
    assert notes == []


@pytest.mark.parametrize(
    ("expires", "covers"),
    [
        ("2026-11-22", True),  # lasts to the end of the day
        ("2026-11-21", False),
        ("2026-11-22T08:00:02.500000Z", True),  # the moment of the last packet
        ("2026-11-22T08:00:02.499999Z", False),
        ("2026-11-22T09:00:02+01:00", False),  # 08:00:02 UTC
    ],
)
def test_packet_time_ends_a_waiver(tmp_path: Path, expires: str, covers: bool) -> None:
    """The finding's last packet came 2026-11-22T08:00:02.5Z."""
    text = f"- {{rule: director-bypass-sip, port: 5061, reason: x, owner: Web team, expires: '{expires}'}}\n"
    found = [finding()]
    notes = waived(read(tmp_path, text), found)
    assert (found[0]["waived_by"] is not None) is covers
    assert [note for note in notes if "they count (let Web team renew it" not in note] == []
    assert bool(notes) is not covers


def test_a_design_finding_goes_by_the_last_packet_of_all(tmp_path: Path) -> None:
    """That of the run came 2026-11-22T09:00Z."""
    design = result()["findings"][2]
    for expires, covers in (("2026-11-22", True), ("2026-11-21", False)):
        text = f"- {{rule: edge-same-subnet, source: edge01.contoso.net, reason: x, owner: y, expires: {expires}}}\n"
        found = [json.loads(json.dumps(design))]
        waived(read(tmp_path, text), found)
        assert (found[0]["waived_by"] is not None) is covers


def test_a_broad_waiver_is_noted_with_its_numbers(tmp_path: Path) -> None:
    def to(number: int) -> dict[str, Any]:
        return finding(
            id=f"{number:016x}",
            destination={"zone": "internal", "role": "fe", "component": f"fe{number}.contoso.net", "port": 5061},
        )

    waivers = read(tmp_path, f"- {{rule: director-bypass-sip, source: edge01.contoso.net, {PAPERS}}}\n")
    assert waived(waivers, [to(number) for number in range(BROAD)]) == []
    [note] = waived(waivers, [to(number) for number in range(BROAD + 1)])
    assert f"is broad: it covers {BROAD + 1} findings" in note
    assert f"with {BROAD + 1} components as destination" in note


# --- in an audit -----------------------------------------------------------------------------------------------------


def only_lookups(tmp_path: Path) -> str:
    """Of the violations only the Edge's name lookups inside: one finding, `edge-internal-dns`."""
    document = json.loads((Path(TOPOLOGY).parent / "expected.json").read_text(encoding="utf-8"))
    flows = document["captures"]["violations-internal.pcapng"]["flows"]
    ends = {
        frozenset((flow["source"]["ip"], flow["destination"]["ip"]))
        for flow in flows
        if flow["rules"] == ["edge-internal-dns"]
    }
    capture = tmp_path / "dns.pcap"
    packets = (p for p in all_packets(BROKEN["internal"]) if frozenset(addresses(p)) in ends and p.data[23] == 17)
    capture.write_bytes(pcap(p for p in packets if b"\0\x35" in (p.data[34:36], p.data[36:38])))
    return f"internal={capture}"


@pytest.mark.parametrize(
    ("waiver", "status", "verdict"),
    [
        ("source: 172.25.33.11, expires: 2026-11-22", 0, "no-violation-seen"),
        ("source: edge02.contoso.net, expires: 2026-11-22", 0, "no-violation-seen"),
        ("source: 172.25.33.10, expires: 2026-11-22", 1, "violations"),
        ("source: edge02.contoso.net, expires: 2026-11-21", 1, "violations"),
    ],
)
def test_what_is_waived_stays_visible_and_does_not_count(
    waiver: str, status: int, verdict: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The lookup over UDP is edge02's, of 22 November 2026."""
    file = tmp_path / "waivers.yaml"
    file.write_text(f"- {{rule: edge-internal-dns, {waiver}, reason: no hosts file yet, owner: DNS team}}\n")
    arguments = ["audit", "--topology", TOPOLOGY, "--waivers", str(file), only_lookups(tmp_path)]
    assert main([*arguments, "--format", "json"]) == status
    told = capfd.readouterr()
    audited = json.loads(told.out)
    jsonschema.Draft202012Validator(schema("audit")).validate(audited)
    assert audited["verdict"] == verdict
    [found] = audited["findings"]
    assert found["rule"] == "edge-internal-dns"
    if status:
        assert found["waived_by"] is None
        assert audited["waivers"]["findings"] == 0
        assert audited["waivers"]["notes"][0] in told.err
    else:
        expected = {"owner": "DNS team", "reason": "no hosts file yet", "expires": "2026-11-22"}
        assert found["waived_by"] == expected
        assert audited["waivers"] == {"findings": 1, "notes": []}
        assert "1 finding is waived" in audited["why"]
        assert "waived by DNS team until 2026-11-22: no hosts file yet" in render_text(audited)
        assert "DNS team until 2026-11-22: no hosts file yet" in render_html(audited)


def test_a_faulty_file_is_refused_before_anything_is_judged(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "waivers.yaml"
    file.write_text("- {rule: sip-udp, port: 5060}\n")
    assert main(["audit", "--topology", TOPOLOGY, "--waivers", str(file), f"internal={BROKEN['internal']}"]) == 2
    told = capfd.readouterr()
    assert told.out == ""
    assert f"{file}:1:3: owner is missing" in told.err


def test_hostile_words_of_a_waiver_are_harmless_in_a_page() -> None:
    waived_by = {"owner": HOSTILE, "reason": HOSTILE, "expires": "2026-12-31"}
    page = render_html(result(findings=[finding(waived_by=waived_by)], waivers={"findings": 1, "notes": [HOSTILE]}))
    assert "<script" not in page
    assert "<img" not in page
