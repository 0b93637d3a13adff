"""Who opened, where no packet says so outright: from packets at a sensor of tailwind.yaml to the command's verdict.

A conversation that went quiet and is resumed by the other side was opened by who opened it before: nothing from outside
reached a server because of it. The near misses show that what really comes from outside is found as before.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monitor.simulate.exchange import Turn, destination, source
from monitor.simulate.wire import MICRO, Frame, fresh, udp
from tests.sites.speech import BINDING, BOUND, START, rtp
from tests.sites.test_sites import edgewarden
from tests.sites.traffic import FOLDER, MACS, pcap

AV, TAILSPIN_AV, LAN, WEB, ANCHOR = "203.0.113.30", "198.51.100.41", "10.73.20.7", "192.0.2.80", "192.0.2.1"
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
