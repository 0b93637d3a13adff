"""One conversation seen twice at the external firewall: what translation may do in every plan, and what it may not.

Required (edge-paths 1.4, from AVFW): inbound a new destination only, outbound a new source only, ports as they were;
without translation nothing changes. Own clients may be hidden behind one address (2.1 `ext-rp-mobile-hairpin`), and a
flow to our own public address comes straight back in (2.1, both hairpins): each part of that way by itself is clean.
A balancer may put its address in place of a client of SIP and conferencing (2.3).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from rules.components import Translated
from rules.facts import Site
from rules.sights import Sight
from rules.topology import Topology
from tests.policy.flows import contoso
from tests.policy.test_correlate import INSIDE, ISN, NOW, OUTSIDE, SECOND, sight, told
from tests.policy.variants import balanced

BEHIND = 4  # between balancer and nodes, at the external firewall


def untranslated() -> Topology:
    """The worked example with public addresses on its Edge Servers and its proxy."""
    topology = contoso()
    pool, proxy = topology.edge_pools[0], topology.reverse_proxies[0]
    bare = (
        replace(m, **{name: Translated(getattr(m, name).public) for name in ("access", "webconf", "av")})
        for m in pool.members
    )
    return replace(
        topology,
        edge_pools=(replace(pool, members=tuple(bare)),),
        reverse_proxies=(replace(proxy, external=Translated(proxy.external.public)),),
    )


PLANS = {"translated": contoso(), "public": untranslated(), "balanced": balanced()}
SITES = {name: Site(topology) for name, topology in PLANS.items()}

Leg = tuple[int, str, str]


def legs(plan: str, *seen: Leg, **more: object) -> list[Sight]:
    """In the order in which the packets pass, a millisecond apart."""
    made = []
    for number, (sensor, source, destination) in enumerate(seen):
        place = INSIDE if sensor == BEHIND else sensor
        leg = sight(
            source, destination, place, site=SITES[plan], **{**ISN, **more}, start=NOW + number * SECOND // 1000
        )
        made.append(replace(leg, sensor=sensor, behind_lb=sensor == BEHIND))
    return made


CLEAN: list[tuple[str, str, list[Leg]]] = [
    (
        "a phone on the own Wi-Fi, hidden behind the egress address",
        "translated",
        [
            (INSIDE, "192.168.21.6:51003", "203.0.113.40:443"),
            (OUTSIDE, "203.0.113.200:61003", "203.0.113.40:443"),
            (INSIDE, "203.0.113.200:61003", "10.45.16.40:443"),
        ],
    ),
    (
        "the same, and its port stays",
        "translated",
        [
            (INSIDE, "192.168.21.6:51003", "203.0.113.40:443"),
            (OUTSIDE, "203.0.113.200:51003", "203.0.113.40:443"),
            (INSIDE, "203.0.113.200:51003", "10.45.16.40:443"),
        ],
    ),
    (
        "the same without translation of the proxy",
        "public",
        [
            (INSIDE, "192.168.21.6:51003", "203.0.113.40:443"),
            (OUTSIDE, "203.0.113.200:61003", "203.0.113.40:443"),
            (INSIDE, "203.0.113.200:61003", "203.0.113.40:443"),
        ],
    ),
    (
        "from a network that is not declared",
        "public",
        [(INSIDE, "10.7.7.7:51003", "203.0.113.40:443"), (OUTSIDE, "203.0.113.200:61003", "203.0.113.40:443")],
    ),
    (
        "one relay to the other by their public addresses",
        "translated",
        [
            (INSIDE, "10.45.16.31:50811", "203.0.113.30:443"),
            (OUTSIDE, "203.0.113.31:50811", "203.0.113.30:443"),
            (INSIDE, "203.0.113.31:50811", "10.45.16.30:443"),
        ],
    ),
    (
        "the same with public addresses",
        "public",
        [(INSIDE, "203.0.113.31:50811", "203.0.113.30:443"), (OUTSIDE, "203.0.113.31:50811", "203.0.113.30:443")],
    ),
    (
        "in, with a balancer that keeps the client's address",
        "balanced",
        [
            (OUTSIDE, "192.0.2.25:50112", "203.0.113.10:443"),
            (INSIDE, "192.0.2.25:50112", "203.0.113.10:443"),
            (BEHIND, "192.0.2.25:50112", "203.0.113.12:443"),
        ],
    ),
    (
        "in, with a balancer that takes its declared address and a port of its own",
        "balanced",
        [(OUTSIDE, "192.0.2.25:50112", "203.0.113.10:443"), (BEHIND, "203.0.113.9:40001", "203.0.113.12:443")],
    ),
    (
        "in, with a balancer that takes its virtual address",
        "balanced",
        [(INSIDE, "192.0.2.25:50112", "203.0.113.20:443"), (BEHIND, "203.0.113.20:40001", "203.0.113.22:443")],
    ),
    (
        "federation out, from the virtual address",
        "balanced",
        [
            (BEHIND, "203.0.113.12:50000", "198.51.100.10:5061"),
            (INSIDE, "203.0.113.10:41000", "198.51.100.10:5061"),
            (OUTSIDE, "203.0.113.10:41000", "198.51.100.10:5061"),
        ],
    ),
    (
        "a client in somebody else's meeting",
        "public",
        [(INSIDE, "192.168.20.7:51004", "198.51.100.30:443"), (OUTSIDE, "203.0.113.200:61004", "198.51.100.30:443")],
    ),
    (
        "another host of the perimeter that leaves by a relay's public address",
        "translated",
        [(INSIDE, "10.45.16.77:51004", "192.0.2.80:443"), (OUTSIDE, "203.0.113.30:51004", "192.0.2.80:443")],
    ),
]


@pytest.mark.parametrize(("plan", "seen"), [case[1:] for case in CLEAN], ids=[case[0] for case in CLEAN])
def test_what_translation_may_do(plan: str, seen: list[Leg]) -> None:
    made = legs(plan, *seen)
    assert told(made, PLANS[plan]) == {}
    assert told(reversed(made), PLANS[plan]) == {}
    for some in permutations(made, 2):  # a sensor that missed a part of the way
        assert told(some, PLANS[plan]) == {}
    one_tap = [replace(leg, sensor=OUTSIDE, side="both", behind_lb=False) for leg in made]
    assert told(one_tap, PLANS[plan]) == {}


def test_a_relays_datagrams_come_straight_back() -> None:
    """UDP 3478, joined by their transaction; the leg that comes back in has the ports of the first."""
    stun = {"transport": 17, "isn": None, "transaction": "0102030405060708090a0b0c", "first_payload": 77}
    ways: list[Leg] = [
        (INSIDE, "10.45.16.30:3478", "203.0.113.31:3478"),
        (OUTSIDE, "203.0.113.30:3478", "203.0.113.31:3478"),
        (INSIDE, "203.0.113.30:3478", "10.45.16.31:3478"),
    ]
    assert told(legs("translated", *ways, **stun)) == {}
    assert told(legs("translated", *ways[:2], **stun)) == {}
    assert told(legs("translated", *ways[:2], **stun, answered=False, destination_packets=0)) == {}


WRONG: list[tuple[str, str, list[Leg], dict[str, int]]] = [
    (
        "in: the source by another one",
        "public",
        [(OUTSIDE, "192.0.2.25:50112", "203.0.113.10:443"), (INSIDE, "198.51.100.222:50112", "203.0.113.10:443")],
        {"nat-inbound-source-changed": 1},
    ),
    (
        "in: the source by the firewall's",
        "public",
        [(OUTSIDE, "192.0.2.25:50112", "203.0.113.40:443"), (INSIDE, "203.0.113.1:50112", "203.0.113.40:443")],
        {"nat-inbound-source-changed": 1},
    ),
    (
        "in, before the balancer: the source by another one",
        "balanced",
        [(OUTSIDE, "192.0.2.25:50112", "203.0.113.10:443"), (INSIDE, "198.51.100.222:50112", "203.0.113.10:443")],
        {"nat-inbound-source-changed": 1},
    ),
    (
        "in: the port of a client",
        "public",
        [(OUTSIDE, "192.0.2.25:50112", "203.0.113.20:443"), (INSIDE, "192.0.2.25:61005", "203.0.113.20:443")],
        {"nat-port-translation": 1},
    ),
    (
        "in: the port of a service",
        "public",
        [(OUTSIDE, "192.0.2.25:50112", "203.0.113.30:443"), (INSIDE, "192.0.2.25:50112", "203.0.113.30:444")],
        {"nat-port-translation": 1},
    ),
    (
        "in, by the balancer: the port of a service",
        "balanced",
        [(INSIDE, "192.0.2.25:50112", "203.0.113.10:443"), (BEHIND, "192.0.2.25:50112", "203.0.113.12:5061")],
        {"nat-port-translation": 1},
    ),
    (
        "out: the destination",
        "public",
        [(INSIDE, "203.0.113.30:50714", "198.51.100.30:443"), (OUTSIDE, "203.0.113.30:50714", "198.51.100.31:443")],
        {"nat-outbound-dest-changed": 1},
    ),
    (
        "out, of a node: the destination",
        "balanced",
        [(INSIDE, "203.0.113.32:50714", "198.51.100.30:443"), (OUTSIDE, "203.0.113.32:50714", "198.51.100.31:443")],
        {"nat-outbound-dest-changed": 1},
    ),
    (
        "out: the port",
        "public",
        [(INSIDE, "203.0.113.30:50716", "198.51.100.30:443"), (OUTSIDE, "203.0.113.30:50999", "198.51.100.30:443")],
        {"nat-port-translation": 1},
    ),
    (
        "out: a relay by an address of nobody",
        "public",
        [(INSIDE, "203.0.113.30:50717", "198.51.100.30:443"), (OUTSIDE, "203.0.113.39:50717", "198.51.100.30:443")],
        {"nat-public-ip-mismatch": 1},
    ),
    (
        "out: a relay by the other one's",
        "public",
        [(INSIDE, "203.0.113.31:50717", "198.51.100.30:443"), (OUTSIDE, "203.0.113.30:50717", "198.51.100.30:443")],
        {"nat-public-ip-mismatch": 1},
    ),
    (
        "out of a node and back in: a relay by an address of nobody",
        "translated",
        [(INSIDE, "10.45.16.31:50811", "203.0.113.30:443"), (INSIDE, "203.0.113.39:50811", "10.45.16.30:443")],
        {"nat-public-ip-mismatch": 1},
    ),
]


@pytest.mark.parametrize(("plan", "seen", "expected"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_translation_may_not_do(plan: str, seen: list[Leg], expected: dict[str, int]) -> None:
    made = legs(plan, *seen)
    assert told(made, PLANS[plan]) == expected
    assert told(reversed(made), PLANS[plan]) == expected
    one_tap = [replace(leg, sensor=OUTSIDE, side="both", behind_lb=False) for leg in made]
    assert told(one_tap, PLANS[plan]) == expected, "its clock tells which leg comes first"
    assert told([made[0], replace(made[1], isn=(1001, 2003))], PLANS[plan]) == {}, "the port used again"


def test_requests_numbered_alike_are_two_conversations() -> None:
    """A relay that asks two peers at once, unchanged on both sides of the firewall."""
    alike = {"transport": 17, "isn": None, "transaction": "0102030405060708090a0b0c", "first_payload": 77}
    ways: list[Leg] = [
        (sensor, "203.0.113.30:3478", f"198.51.100.{peer}:3478") for sensor in (INSIDE, OUTSIDE) for peer in (30, 31)
    ]
    made = legs("public", *ways, **alike)
    assert told(made, PLANS["public"]) == {}
    assert told(made[:2], PLANS["public"]) == {}
    assert told([made[0], made[3]], PLANS["public"]) == {"nat-outbound-dest-changed": 1}


def test_where_nothing_tells_which_leg_comes_first_nothing_is_said() -> None:
    for _, plan, seen, _ in WRONG:
        if plan == "public":
            assert told([replace(leg, side=None) for leg in legs(plan, *seen)], PLANS[plan]) == {}
