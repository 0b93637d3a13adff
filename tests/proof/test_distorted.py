"""What the quality of a capture may and may not change: allowed traffic seen badly gives no finding at any site, what
only looks different is judged the same, and what is lost makes no flow guilty of another thing than it did.

The first half takes what the tables of `tests/sites` allow, so it holds for products and plans that the shipped site
has not. The second compares the shipped violations with themselves: each verdict of the whole captures is proved by
`test_contoso`, here only that it stays.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from monitor.audit import audit
from monitor.capture_arguments import CaptureArgument, SensorName
from monitor.replay import Replay, Settings
from rules.catalogue import catalogue
from rules.load import load
from rules.topology import Topology
from rules.verdict import Verdict
from tests.house.captures import BROKEN, CLEAN, TOPOLOGY, all_packets
from tests.proof import distortions as seen
from tests.proof.distortions import ACK, SECOND, SYN, Frames, View
from tests.sites.speech import NOBODY, Ends
from tests.sites.traffic import FOLDER, certificates, frames, table
from tests.topology.plans import contoso_as

SITES: Final = ("adventure", "lucerne", "alpine", "humongous", "proseware", "tailwind")
"""All five products; one address and three, translated and public, balanced by DNS and by hardware, one firewall and
two, with and without Director, IPv4 alone and with IPv6."""

OF_SILENCE: Final = {"crl-blocked", "av-pool-hairpin-blocked"}
"""Rules that say no more than that nobody answered: a tap that lost every answer of a flow cannot know better."""

ABOUT_OPENER: Final = {entry.id for entry in catalogue() if entry.rule is not None and entry.rule.about_opener}

HARMLESS: Final[dict[str, View]] = {
    "VLAN": seen.tagged(seen.VLAN + b"\0\x64"),
    "QinQ": seen.tagged(seen.QINQ + b"\0\x07", seen.VLAN + b"\0\x09"),
    "MPLS": seen.labelled(),
    "padding and FCS": seen.padded(),
    "mirrored": seen.twice(),
    "mirrored behind a router": seen.twice(seen.one_hop_on, 100_000),
    "segments of one octet": seen.split(1),
    "segments of 48": seen.split(48),
    "segments joined": seen.joined(),
    "segments sent again": seen.again(),
    "fragments of 24": seen.fragments(24),
    "fragments of 576": seen.fragments(576),
}

LOSSY: Final[dict[str, View]] = {
    **{f"from packet {count}": seen.beginning_at(count) for count in (1, 2, 3, 4, 6, 9)},
    **{f"{count} packets": seen.ending_at(count) for count in (1, 2, 3, 4, 6, 9)},
    **{f"without each {number}.": seen.every(number, number // 2) for number in (2, 3, 5, 10)},
    "three in ten lost": seen.losing(0.3),
    "the opener alone": seen.one_way(opener=True),
    "the answerer alone": seen.one_way(opener=False),
    "payload alone": seen.without_headers_only(),
    "answers before requests": seen.late(opener=True),
    "requests long before answers": seen.late(opener=False, by=300 * seen.MILLI),
    "a pause": seen.paused(3, 70),
    "an hour's pause": seen.paused(5, 3_700),
    "fragments lost": seen.both(seen.fragments(64), seen.losing(0.1)),
    "joined late and in pieces": seen.both(seen.beginning_at(4), seen.split(7)),
}

WHOLE: Final[dict[str, View]] = {
    "the opener alone": seen.one_way(opener=True),
    "the answerer alone": seen.one_way(opener=False),
    "the clock set back": seen.set_back(3_600),
    "the file out of order": seen.displaced(3),
}
"""What befalls a capture as a whole: a tap of one direction is known as one."""

SNAPS: Final = (54, 96, 200)


@dataclass(frozen=True)
class Judged:
    """One flow as the audit saw it."""

    position: str
    row: dict[str, Any]
    verdict: Verdict

    @property
    def way(self) -> tuple[Any, ...]:
        source, destination = ((self.row[f"{end}.ip"], self.row[f"{end}.port"]) for end in ("source", "destination"))
        return self.position, self.row["network.transport"], source, destination


Whole = tuple[dict[str, Any], list[Judged]]


@dataclass
class Gather:
    """A sink that keeps all flows."""

    flows: list[Judged]

    def rows(self, batch: Any, replay: Replay) -> None:
        assert replay.sensor.position is not None
        for row in batch.to_pylist():
            self.flows.append(Judged(replay.sensor.position, row, replay.verdicts[row["observation"]]))


def judge(topology: Topology, folder: Path, captures: dict[str, list[bytes]]) -> Whole:
    """Result and flows of an audit; each sensor's captures are files of their own."""
    arguments = []
    for position, files in captures.items():
        for number, content in enumerate(files):
            path = folder / f"{position}-{number}"
            path.write_bytes(content)
            arguments.append(CaptureArgument(f"{position}={path}", SensorName(position, position), str(path)))
    gather = Gather([])
    outcome = audit(topology, arguments, Settings(digests=False), beside=gather)
    assert not outcome.mistakes
    assert not outcome.notes
    assert_adds_up(outcome.result, gather.flows)
    return outcome.result, gather.flows


def assert_adds_up(result: dict[str, Any], flows: list[Judged]) -> None:
    """What holds of every audit: each packet has one name, and whoever does not decide says why."""
    for capture in result["captures"]:
        assert capture["packets"] == sum(capture["accounting"].values())
    in_flows = sum(capture["accounting"]["in_flows"] for capture in result["captures"])
    assert in_flows == sum(f.row["source.packets"] + f.row["destination.packets"] for f in flows)
    assert result["totals"]["flows"] == len(flows)
    assert [flow.way for flow in flows if flow.verdict.verdict == "undecided" and not flow.verdict.reason] == []


def through(captures: dict[str, Frames], view: View, seed: str) -> dict[str, Frames]:
    chance = Random(seed)
    changed = {position: view(packets, chance) for position, packets in captures.items()}
    return {position: packets for position, packets in changed.items() if packets}


def findings(result: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Those about traffic: the declared design has its own, at position `config`."""
    return [(f["rule"], f["id"], f["flows"]) for f in result["findings"] if f["position"] != "config"]


# --- allowed traffic -------------------------------------------------------------------------------------------------


@cache
def allowed(name: str) -> tuple[Topology, dict[str, Frames]]:
    """A site, and what its table allows, by sensor position."""
    topology = load(FOLDER / f"{name}.yaml")
    shown = certificates(topology)
    captures: dict[str, Frames] = {}
    for row in table(name):
        if row.verdict == "allowed" and not row.rules:
            ends = Ends(*(shown.get(end[0], NOBODY) for end in (row.source, row.destination)))
            sent = [(frame.time * 1_000, frame.octets) for frame in frames(row, ends)]
            captures.setdefault(row.position, []).extend(sent)
    return topology, {position: sorted(sent, key=lambda frame: frame[0]) for position, sent in captures.items()}


@pytest.mark.parametrize("name", SITES)
def test_allowed_traffic_that_only_looks_different_stays_allowed(name: str, tmp_path: Path) -> None:
    topology, captures = allowed(name)
    wanted = Counter(row.path for row in table(name) if row.verdict == "allowed" and not row.rules)
    changed = through(captures, seen.in_turn(list(HARMLESS.values()), SITES.index(name)), name)
    for shown in (captures, changed):
        result, flows = judge(topology, tmp_path, {at: [seen.pcap(packets)] for at, packets in shown.items()})
        assert (findings(result), result["attempts"]) == ([], [])
        assert Counter(flow.verdict.path for flow in flows) == wanted


@pytest.mark.parametrize("name", SITES)
def test_allowed_traffic_seen_badly_gives_no_finding(name: str, tmp_path: Path) -> None:
    """Flows of a site meet different losses, each time others; one loss of the whole capture for each site."""
    topology, captures = allowed(name)
    number = SITES.index(name)
    losses = list(LOSSY.values())
    views = [seen.in_turn(losses, number + turn) for turn in range(0, len(losses), 8)]
    for view in (*views, list(WHOLE.values())[number % len(WHOLE)]):
        shown = through(captures, view, name)
        result, flows = judge(topology, tmp_path, {at: [seen.pcap(packets)] for at, packets in shown.items()})
        assert [found for found in findings(result) if found[0] not in OF_SILENCE] == []
        assert len(flows) > 20
    snap = SNAPS[number % len(SNAPS)]
    result, _ = judge(topology, tmp_path, {at: [seen.pcap(packets, snap)] for at, packets in captures.items()})
    assert findings(result) == []


# --- violations ------------------------------------------------------------------------------------------------------


@cache
def broken() -> dict[str, Frames]:
    return {position: [(p.time, p.data) for p in all_packets(path)] for position, path in BROKEN.items()}


@cache
def contoso() -> Topology:
    return load(TOPOLOGY)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    files = {position: [seen.pcap(packets)] for position, packets in broken().items()}
    return judge(contoso(), tmp_path_factory.mktemp("whole"), files)


def told(flows: list[Judged]) -> Counter[tuple[Any, ...]]:
    return Counter(
        (flow.way, flow.verdict.verdict, flow.verdict.path, flow.verdict.rules, tuple(flow.row["edgewarden.services"]))
        for flow in flows
    )


def parts(frames: Frames, count: int) -> list[Frames]:
    size = len(frames) // count + 1
    return [frames[start : start + size] for start in range(0, len(frames), size)]


def by_direction(frames: Frames) -> list[Frames]:
    """As the two fibres of a tap, the second first."""
    first = frames[0][1][6:12]
    return [[f for f in frames if (f[1][6:12] == first) is way] for way in (False, True)]


FILES: Final[dict[str, Callable[[Frames], list[bytes]]]] = {
    "five days on": lambda frames: [seen.pcap(seen.shifted(5 * 86_400)(frames, Random()))],
    "nanoseconds": lambda frames: [seen.pcap(frames, nano=True)],
    "pcapng of the other byte order, packed": lambda frames: [gzip.compress(seen.pcapng(frames, order=">"), 1)],
    "ten files, the last first": lambda frames: [seen.pcap(part) for part in reversed(parts(frames, 10))],
    "a file a direction": lambda frames: [seen.pcapng(part) for part in by_direction(frames)],
}


@pytest.mark.parametrize("title", [*range(0, len(HARMLESS), 4), *FILES])
def test_violations_that_only_look_different_stay_what_they_are(title: int | str, whole: Whole, tmp_path: Path) -> None:
    """Identities, sums, verdicts, paths, rules and services; a number is where the views of single flows begin."""
    wanted, before = whole
    captures, write = broken(), FILES.get(str(title), lambda frames: [seen.pcap(frames)])
    if isinstance(title, int):
        captures = through(captures, seen.in_turn(list(HARMLESS.values()), title), str(title))
    result, after = judge(contoso(), tmp_path, {position: write(packets) for position, packets in captures.items()})
    assert findings(result) == findings(wanted)
    attempts = [[(each["rule"], each["flows"], each["sources"]) for each in r["attempts"]] for r in (result, wanted)]
    assert attempts[0] == attempts[1]
    assert told(after) == told(before)


@pytest.mark.parametrize("title", [*range(0, len(LOSSY), 7), *WHOLE])
def test_what_is_lost_makes_nobody_guilty_of_something_else(title: int | str, whole: Whole, tmp_path: Path) -> None:
    """Of a flow whose opener is still known, no rule holds but those that held, those they silenced, and the general
    one that takes the place of what can no longer be told."""
    known: dict[tuple[Any, ...], list[Judged]] = {}
    for flow in whole[1]:
        known.setdefault(flow.way, []).append(flow)
    view = WHOLE[title] if isinstance(title, str) else seen.in_turn(list(LOSSY.values()), title)
    captures = through(broken(), view, str(title))
    _, flows = judge(contoso(), tmp_path, {position: [seen.pcap(packets)] for position, packets in captures.items()})
    compared = 0
    for flow in flows:
        before = known.get(flow.way)
        rules = set(flow.verdict.rules) - OF_SILENCE
        if before is None:  # taken for the other way round, or an ICMP error whose flow was not seen
            assert not rules & ABOUT_OPENER or flow.row["network.transport"] == seen.UDP, flow.way
            continue
        compared += 1
        held = {rule for was in before for rule in (*was.verdict.rules, *was.verdict.rules_silenced)}
        assert rules <= held | {"unlisted-path"}, flow.way
        assert rules == set() or any(was.verdict.verdict in ("violation", "attempt") for was in before), flow.way
    assert compared > 30


# --- a sensor that begins anew ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        pytest.param(150, ("violation", None), id="watched all the time"),
        pytest.param(3_300, ("allowed", "ext-av-range-udp-out"), id="after most of an hour"),
    ],
)
def test_media_that_ran_while_nobody_watched(seconds: int, said: tuple[str, str | None], tmp_path: Path) -> None:
    """Captures of some minutes an hour: the partner's packet is the first of ours in the second one. Two-way UDP is
    opened by its first sender once the sensor has watched for two minutes, which after a long silence it has not."""
    flows = seen.flows([(packet.time, packet.data) for packet in all_packets(CLEAN["external"])])
    media = next(f for f in flows if f[0].protocol == seen.UDP and (f[0].sender[1], f[0].receiver[1]) == (52000, 51502))
    start = media[0].time
    other = next(f for f in flows if f[0].flags == SYN and f[2].flags == ACK)
    first = [(start - seconds * SECOND + 20_000 * n, packet.octets) for n, packet in enumerate(other)]
    second = [packet.frame for packet in media[1:]]
    assert media[1].sender == media[0].receiver
    topology = contoso_as("sfb-2019")  # with this product nobody may open the range from outside
    _, judged = judge(topology, tmp_path, {"external": [seen.pcap(first), seen.pcap(second)]})
    (flow,) = (flow for flow in judged if flow.row["network.transport"] == seen.UDP)
    assert (flow.verdict.verdict, flow.verdict.path) == said
