"""Media that are not encrypted: told wherever they cross a firewall, but for what Live Messenger may have sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rules.observation import Stun
from rules.topology import Topology
from tests.policy.flows import RTP, TURN, Bench, contoso

RULE = "media-cleartext"
CLEAR_RTP = {**RTP, "stun": RTP["stun"] | Stun.CLEAR_MEDIA}
CLEAR_TURN = {**TURN, "stun": TURN["stun"] | Stun.CLEAR_MEDIA}
USER, STRANGER = "192.0.2.25:50200", "192.0.2.66:20000"
RELAY, INNER = "203.0.113.30:3478/udp", "172.25.33.10:3478/udp"
PARTNER, OLD_PARTNER = "198.51.100.30:51000", "198.51.100.41:51234"
CLIENT = "192.168.20.7:50020"

FLOWS = [
    ("external", USER, RELAY, TURN),  # inside of TURN
    ("external", OLD_PARTNER, "203.0.113.30:50500/udp", RTP),
    ("external", PARTNER, "203.0.113.30:50500/udp", RTP),  # nor may it go there
    ("internal", CLIENT, INNER, TURN),
    ("internal", CLIENT, "192.0.2.9:40000/udp", RTP),  # nor past the relay
]


def clear(wire: dict[str, Any]) -> dict[str, Any]:
    return {**wire, "stun": wire["stun"] | Stun.CLEAR_MEDIA}


@pytest.fixture(scope="module")
def site() -> Bench:
    return Bench(contoso())


@pytest.mark.parametrize(("position", "source", "destination", "wire"), FLOWS)
def test_media_in_the_clear(site: Bench, position: str, source: str, destination: str, wire: dict[str, Any]) -> None:
    sealed = site.judge(source, destination, wire, position=position)
    opened = site.judge(source, destination, clear(wire), position=position)
    assert RULE not in sealed.rules
    assert set(opened.rules) == {*sealed.rules, RULE}, "it stands beside the others"
    assert next(hit.severity for hit in opened.hits if hit.rule == RULE) == "high"


def test_media_of_others_are_none_of_ours(site: Bench) -> None:
    assert site.judge("192.0.2.9:4000", "192.0.2.66:4000/udp", CLEAR_RTP).verdict == "out-of-scope"


def messenger() -> Topology:
    """Public IM is on, with audio and video: rows ext-av-pic-*, whose peers may be anybody ("Encryption")."""
    topology = contoso()
    public_im = replace(topology.federation.public_im, enabled=True)
    return replace(topology, federation=replace(topology.federation, public_im=public_im))


def test_live_messenger_may_not_encrypt() -> None:
    bench = Bench(messenger())
    for position, source, destination in (
        ("external", USER, RELAY),
        ("external", "203.0.113.30:3478", "192.0.2.66:3478/udp"),
        ("internal", CLIENT, INNER),
    ):
        assert RULE not in bench.judge(source, destination, CLEAR_TURN, position=position).rules
    assert RULE in bench.judge(OLD_PARTNER, "203.0.113.30:50500/udp", CLEAR_RTP).rules, "a partner is no Messenger"
    unrelayed = bench.judge(CLIENT, "192.0.2.9:40000/udp", CLEAR_RTP, position="internal")
    assert RULE in unrelayed.rules, "nor is what goes past the relay"


def test_the_site_says_how_many_packets_it_takes() -> None:
    topology = contoso()
    thresholds = replace(topology.policy.thresholds, cleartext_media_packets=99.5)
    bench = Bench(replace(topology, policy=replace(topology.policy, thresholds=thresholds)))
    assert bench.judge_of["external"].tables["media_packets"] == 100
    assert Bench(topology).judge_of["external"].tables["media_packets"] == 50
