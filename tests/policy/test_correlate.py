"""Rules over several flows, beyond what `tables/joined.yaml` says of each: legs that only partly tell that they are one
conversation, clocks that differ, floods, and the site's own severities.

Flows are written as what a firewall, a balancer or a proxy would leave of them; expected findings come from the path
document.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from rules.correlate import correlate
from rules.facts import Site
from rules.sights import MINUTE, TAKING_PART, WINDOW, Sight, Sights, pairs
from rules.site_policy import RuleSeverity
from rules.topology import Topology
from tests.policy.flows import contoso
from tests.policy.joined_cases import JoinedCase, found, joined_cases, seen
from tests.policy.joined_cases import sight as seen_at
from tests.policy.variants import balanced

SECOND = 1_000_000_000
NOW = 1_795_338_000 * SECOND
CONTOSO = Site(contoso())
OUTSIDE, INSIDE, INNER, INNER_LAN = 0, 1, 2, 3  # sensors


def sight(source: str, destination: str, sensor: int = OUTSIDE, *, site: Site = CONTOSO, **more: Any) -> Sight:
    return seen_at(site, sensor, source, destination, **{"start": NOW, **more})


def told(sights: Iterable[Sight], topology: Topology | None = None) -> dict[str, int]:
    """Rule → number of its findings."""
    site = CONTOSO if topology is None else Site(topology)
    counts: dict[str, int] = {}
    for rule, _, finding in correlate(Sights(site, tuple(sights))):
        assert finding.reason.endswith(".")
        assert finding.sights
        counts[rule.id] = counts.get(rule.id, 0) + 1
    return counts


ISN = {"isn": (1001, 2002)}
USER = "192.0.2.25:50112"

# --- one conversation on both sides of the external firewall ---------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [case for case in joined_cases() if case.of.startswith("nat-")],
    ids=lambda case: f"{case.of}-{case.where}",
)
def test_translation(case: JoinedCase) -> None:
    legs = seen(case)
    one_sensor = [replace(leg, sensor=0) for leg in legs]
    assert found(case, one_sensor) == case.rules, "whoever watches both sides sees the same"
    assert found(case, [replace(leg, isn=None) for leg in legs]) == (), "nothing says that it is one connection"


def test_a_datagram_is_joined_by_its_transaction() -> None:
    common = {"transport": 17, "isn": None, "transaction": "0102030405060708090a0b0c", "first_payload": 77}
    legs = [
        sight("203.0.113.77:3478", "198.51.100.30:3478", OUTSIDE, **common),
        sight("10.45.16.30:3478", "198.51.100.30:3478", INSIDE, **common),
    ]
    assert told(legs) == {"nat-public-ip-mismatch": 1}
    for change in ({"source_port": 3479}, {"first_payload": 78}, {"transaction": "0102030405060708090a0b0d"}):
        assert told([legs[0], replace(legs[1], **change)]) == {}


# --- both firewalls --------------------------------------------------------------------------------------------------


def test_packets_that_pass_the_perimeter_unchanged() -> None:
    flow = (USER, "192.168.10.95:4443")
    legs = [sight(*flow, INSIDE, **ISN), sight(*flow, INNER, **ISN)]
    assert told(legs) == {"edge-as-router": 1}
    assert told([replace(leg, isn=None, transport=17) for leg in legs]) == {"edge-as-router": 1}  # RTP, DNS
    syn = {"isn": (1001, None), "answered": False, "destination_packets": 0}
    [(_, _, silent)] = correlate(Sights(CONTOSO, tuple(replace(leg, **syn) for leg in legs)))
    assert silent.reason.startswith("a host on the Internet addressed "), "nothing shows that it came there"
    assert told([replace(legs[0], **syn), replace(legs[1], **{**syn, "isn": (5, None)})]) == {}
    assert told([legs[0], replace(legs[1], source_port=50113)]) == {}
    inner = (USER, "172.25.33.10:5061")  # NIC: no route between the two perimeter networks
    assert told([sight(*inner, INSIDE, **ISN), sight(*inner, INNER, **ISN)]) == {"edge-as-router": 1}
    edge = ("172.25.33.10:49000", "192.168.10.50:5061")
    assert told([sight(*edge, INNER, **ISN), sight(*edge, INNER_LAN, **ISN)]) == {}  # its own way in
    one_device = replace(contoso(), firewalls=tuple(replace(f, addresses=()) for f in contoso().firewalls))
    both = [replace(f, addresses=contoso().firewalls[0].addresses) for f in one_device.firewalls]
    assert told(legs, replace(contoso(), firewalls=tuple(both))) == {}


# --- balancers -------------------------------------------------------------------------------------------------------


def test_replies_that_pass_the_balancer_by() -> None:
    topology = balanced()
    site = Site(topology)
    front = sight(USER, "203.0.113.10:443", OUTSIDE, site=site, **ISN)
    one_way = {"isn": (1001, None), "destination_packets": 0}  # the SYN-ACK, and with it that number, was not seen
    behind = sight(USER, "203.0.113.10:443", INSIDE, site=site, **one_way, behind_lb=True)
    assert told([front, behind], topology) == {"hlb-dsr": 1}
    assert told([front, replace(behind, isn=(1002, None))], topology) == {}  # the port used again, and nobody answers
    assert told([front, replace(behind, source_ip="203.0.113.9", source_port=40001)], topology) == {}
    before = replace(behind, behind_lb=False)
    assert told([front, before], topology) == {"hlb-dsr": 1}  # the balancer is farther in than both sensors
    assert told([replace(front, side="inside"), before], topology) == {}  # no nearer to it
    node = sight(USER, "203.0.113.12:443", INSIDE, site=site, **one_way, behind_lb=True)
    assert told([front, node], topology) == {"hlb-dsr": 1}  # asked by its own address
    assert told([replace(front, destination=node.destination, destination_ip="203.0.113.12"), node], topology) == {}


def test_replies_of_an_inner_edge_that_pass_the_balancer_by() -> None:
    topology = balanced()
    site = Site(topology)
    flow = ("192.168.10.90:51022", "172.25.33.9:5061")
    one_way = {"isn": (1001, None), "destination_packets": 0}
    lan = sight(*flow, INNER_LAN, site=site, **ISN)
    assert told([lan, sight(*flow, INNER, site=site, **one_way)], topology) == {"hlb-dsr": 1}
    assert told([lan, sight(*flow, INNER, site=site, **ISN)], topology) == {}
    away = sight(*flow, INNER_LAN, site=site, **one_way)
    assert told([sight(*flow, INNER, site=site, **ISN), away], topology) == {}  # lost on the far side of the firewall
    relay = ("192.168.20.7:50030", "172.25.33.9:3478")
    stun = {"transport": 17, "transaction": "0102030405060708090a0b0c", "first_payload": 77}
    heard = sight(*relay, INNER_LAN, site=site, **stun)
    silent = sight(*relay, INNER, site=site, **stun, destination_packets=0, answered=False)
    assert told([heard, silent], topology) == {"hlb-dsr": 1}
    assert told([heard, replace(silent, source_packets=1)], topology) == {}  # the capture ended


# --- rates -----------------------------------------------------------------------------------------------------------


def many(count: int, source: str, destination: str, sensor: int = OUTSIDE, **more: Any) -> list[Sight]:
    """That many flows in one minute."""
    start = NOW // MINUTE * MINUTE
    made = sight(source, destination, sensor, **more)
    return [replace(made, start=start + n * (MINUTE // (count + 1)), source_port=10000 + n) for n in range(count)]


def test_sign_ins_of_several_minutes() -> None:
    spread = [replace(s, start=s.start + n % 2 * MINUTE) for n, s in enumerate(many(100, USER, "203.0.113.10:443"))]
    assert told([replace(s, hello=True) for s in spread]) == {}
    two = many(61, "192.0.2.66:1", "203.0.113.10:443", hello=True)
    again = [*two, *(replace(s, start=s.start + MINUTE) for s in two), replace(two[0], start=NOW + 3 * MINUTE)]
    [(_, _, finding)] = correlate(Sights(CONTOSO, tuple(again)))
    assert len(finding.sights) == 122, "told once, with the flows of both minutes and not the one of the third"


def test_the_first_flow_is_the_same_whatever_the_order() -> None:
    """It decides what a finding is called; each live sensor reads what the others saw in an order of its own."""
    flows = many(70, "192.0.2.66:1", "203.0.113.10:443", hello=True)
    for given in (flows, flows[::-1], [*flows[35:], *flows[:35]]):
        [(_, _, finding)] = correlate(Sights(CONTOSO, tuple(given)))
        assert finding.sights == tuple(flows)


# --- joining ---------------------------------------------------------------------------------------------------------


def test_clocks_of_two_sensors_may_differ() -> None:
    """By the difference that most pairs show; a leg far from it is another conversation."""
    ahead = 40 * SECOND
    ones = [sight(f"192.0.2.25:{50000 + n}", "203.0.113.10:443", isn=(n, n), start=NOW + n * SECOND) for n in range(9)]
    others = [replace(one, sensor=INSIDE, start=one.start + ahead + SECOND // 10) for one in ones]
    assert len(list(pairs([*ones, *others], lambda s: s.isn))) == 9
    late = replace(others[4], start=others[4].start + WINDOW + SECOND)
    assert len(list(pairs([*ones, *others[:4], late, *others[5:]], lambda s: s.isn))) == 8
    asked = sight("192.0.2.25:50000", "192.168.10.90:50001", transport=17, transaction="21" * 12, first_payload=7)
    again = replace(asked, sensor=INNER, position="internal", start=NOW + 30 * SECOND)
    assert told([asked, again]) == {}, "a request sent again tells nothing of clocks"
    assert told([asked, replace(again, start=NOW + 3 * SECOND)]) == {"edge-as-router": 1}
    same = [ones[0], replace(ones[0], start=ones[0].start + WINDOW + SECOND)]
    assert list(pairs(same, lambda s: s.isn)) == []  # one clock
    assert list(pairs(ones, lambda s: None)) == []


def test_a_flood_of_flows_alike_is_compared_no_further_than_its_first() -> None:
    """Each SYN with a number of its own is a flow; the square of a full table would take hours."""
    one, other = (sight(USER, "192.168.10.95:4443", sensor) for sensor in (INSIDE, INNER))
    flood = [replace(one, isn=(n, None), start=NOW + n) for n in range(20_000)]
    legs = [replace(other, isn=(n, None), start=NOW + n) for n in range(10)]
    assert told([*flood, *legs]) == {"edge-as-router": 10}


def test_a_rule_that_is_off_says_nothing_and_the_sites_severity_counts() -> None:
    flows = many(2000, "192.0.2.66:1", "203.0.113.10:443", hello=True)
    topology = contoso()
    off = replace(topology, policy=replace(topology.policy, rules=(RuleSeverity("signin-rate-abuse", "off"),)))
    assert told(flows, off) == {}
    high = replace(topology, policy=replace(topology.policy, rules=(RuleSeverity("signin-rate-abuse", "high"),)))
    [(rule, severity, finding)] = correlate(Sights(Site(high), tuple(flows)))
    assert (rule.id, severity, len(finding.sights)) == ("signin-rate-abuse", "high", TAKING_PART)
