"""Who opened, where no packet says so outright: from packets at a sensor of tailwind.yaml to the command's verdict.

A conversation that went quiet and is resumed by the other side was opened by who opened it before: nothing from outside
reached a server because of it. An answer alone accuses nobody: anybody can send it, and of a tap that shows one
direction nobody can say more. The near misses show that what really comes from outside is found as before.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monitor.simulate.exchange import Speaker, Turn, destination, source
from monitor.simulate.wire import MICRO, Frame, Tcp, fresh, port_unreachable, udp
from tests.sites.speech import BINDING, BOUND, START, dns, rtp
from tests.sites.test_sites import edgewarden
from tests.sites.traffic import FOLDER, MACS, pcap

AV, TAILSPIN_AV, LAN, WEB, ANCHOR = "203.0.113.30", "198.51.100.41", "10.73.20.7", "192.0.2.80", "192.0.2.1"
ACCESS, STRANGER = "203.0.113.10", "192.0.2.200"
SECRET = b"\xe7\x5c\x1f\x80 sealed from end to end"
ON_HOLD = 130  # seconds: longer than a flow over UDP stays one without packets

MEDIA = [turn for one, other in zip(rtp(12), rtp(12, 400), strict=True) for turn in (source(one), destination(other))]
CALL = [source(BINDING), destination(BOUND), *MEDIA]
RESUMED = [destination(rtp(1, 900)[0], ON_HOLD), *MEDIA]


def talk(one: tuple[str, int], other: tuple[str, int], turns: Sequence[Turn], at: float = 300) -> list[Frame]:
    """Datagrams of a conversation that begins so many seconds after the sensor's first packet."""
    wire = fresh(one, other, MACS, round((START.timestamp() + at) * MICRO), 2_000, random.Random(at))
    udp(wire, turns)
    return wire.frames


def judged(folder: Path, position: str, frames: Sequence[Frame]) -> list[dict[str, Any]]:
    """The flows of these frames as the command judges them, in the order of their start."""
    first = talk((ANCHOR, 9), (ANCHOR, 10), [source(b"first")], 0)
    pcap([*first, *frames], folder / "seen.pcap")
    arguments = ["--sort", "start", "--topology", str(FOLDER / "tailwind.yaml"), f"{position}={folder / 'seen.pcap'}"]
    _, output = edgewarden("flows", "--quiet", "--format", "jsonl", *arguments)
    return [json.loads(line) for line in output.splitlines()[1:]]


def said(flows: Sequence[dict[str, Any]]) -> list[tuple[str, str, tuple[str, ...]]]:
    """(source, verdict, rules) of each."""
    return [
        (flow["source"]["ip"], flow["edgewarden"]["verdict"], tuple(flow["edgewarden"].get("rules", ())))
        for flow in flows
    ]


def test_media_on_hold_that_the_partner_resumes_is_still_ours(tmp_path: Path) -> None:
    flows = judged(tmp_path, "external", talk((AV, 50101), (TAILSPIN_AV, 50200), CALL + RESUMED))
    assert said(flows) == [(AV, "allowed", ()), (AV, "allowed", ())]
    assert {flow["edgewarden"]["path"] for flow in flows} == {"ext-av-range-udp-out"}


def test_media_that_the_partner_begins_is_found(tmp_path: Path) -> None:
    flows = judged(tmp_path, "external", talk((TAILSPIN_AV, 50200), (AV, 50101), CALL))
    assert said(flows) == [(TAILSPIN_AV, "violation", ("unlisted-path",))]


def test_a_tunnel_of_a_user_that_its_server_resumes_is_no_way_in(tmp_path: Path) -> None:
    turns = [source(SECRET), destination(SECRET), destination(SECRET, ON_HOLD), source(SECRET)]
    flows = judged(tmp_path, "internal", talk((LAN, 4500), (WEB, 4500), turns))
    assert said(flows) == [(LAN, "out-of-scope", ()), (LAN, "out-of-scope", ())]


def test_what_reaches_inside_first_is_a_way_in_however_often_it_goes_quiet(tmp_path: Path) -> None:
    turns = [source(SECRET), destination(SECRET), destination(SECRET, ON_HOLD), source(SECRET)]
    flows = judged(tmp_path, "internal", talk((WEB, 4500), (LAN, 4500), turns))
    assert said(flows) == [(WEB, "violation", ("external-to-internal-direct",))] * 2


# --- answers first ---------------------------------------------------------------------------------------------------


def test_an_answered_check_whose_request_was_lost_is_ours(tmp_path: Path) -> None:
    turns = [destination(BOUND), *MEDIA]
    flows = judged(tmp_path, "external", talk((AV, 50101), (TAILSPIN_AV, 50200), turns))
    assert said(flows) == [(AV, "allowed", ())]


# --- what anybody can send -------------------------------------------------------------------------------------------


def answers(ports: range, flags: str) -> list[Frame]:
    """Segments of a stranger to the Access Edge, which sent nothing."""
    frames = []
    for port in ports:
        wire = fresh(
            (ACCESS, port), (STRANGER, 22), MACS, round((START.timestamp() + port) * MICRO), 1, random.Random(port)
        )
        Tcp(wire).segment(Speaker.DESTINATION, flags)
        frames += wire.frames
    return frames


def test_answers_to_forged_packets_accuse_no_server(tmp_path: Path) -> None:
    """RFC 4987 1: a flood with our addresses as sources; what it hit answers us."""
    question = talk((ACCESS, 30100), (STRANGER, 53413), [source(SECRET)])
    refused = fresh((ACCESS, 30101), (STRANGER, 53413), MACS, question[0].time, 2_000, random.Random(1))
    port_unreachable(refused, question[0].octets)
    name = talk((AV, 30102), (STRANGER, 53), [destination(dns(True))])
    flows = judged(
        tmp_path, "external", [*answers(range(300, 303), "SA"), *answers(range(303, 306), "RA"), *refused.frames, *name]
    )
    assert len(flows) == 8
    assert {flow["edgewarden"]["verdict"] for flow in flows} == {"undecided"}
    assert all(not flow["edgewarden"]["rules"] for flow in flows)
    told = {flow["edgewarden"]["reason"] for flow in flows}
    assert "only an answer from outside was seen, which anybody can send" in told


def test_what_the_server_itself_sent_is_found(tmp_path: Path) -> None:
    wire = fresh(
        (ACCESS, 30103), (STRANGER, 22), MACS, round((START.timestamp() + 300) * MICRO), 2_000, random.Random(2)
    )
    Tcp(wire).open()
    flows = judged(tmp_path, "external", wire.frames)
    assert said(flows) == [(ACCESS, "violation", ("edge-egress-unlisted",))]


# --- one-way taps ----------------------------------------------------------------------------------------------------


def test_a_tap_that_shows_what_comes_in_makes_no_way_in_of_answers(tmp_path: Path) -> None:
    """Twenty connections and a tunnel of users, of which the tap has the servers' packets alone."""
    frames = []
    for port in range(40_000, 40_020):
        wire = fresh(
            (LAN, port), (WEB, 443), MACS, round((START.timestamp() + 200) * MICRO), 2_000, random.Random(port)
        )
        Tcp(wire).open()
        frames += [wire.frames[1]]
    tunnel = talk((LAN, 4500), (WEB, 4500), [destination(SECRET), destination(SECRET)])
    flows = judged(tmp_path, "internal", [*frames, *tunnel])
    of_tunnel = [flow["edgewarden"] for flow in flows if flow["network"]["transport"] == "udp"]
    assert [(flow["verdict"], flow["reason"]) for flow in of_tunnel] == [
        ("undecided", "this tap shows one direction only, so nobody can say who opened it")
    ]
    arguments = ["--topology", str(FOLDER / "tailwind.yaml"), f"internal={tmp_path / 'seen.pcap'}"]
    status, output = edgewarden("audit", "--quiet", "--format", "json", *arguments)
    audit = json.loads(output)
    assert (status, audit["verdict"]) == (3, "inconclusive")
    assert [finding["rule"] for finding in audit["findings"] if finding["position"] != "config"] == []
