"""The worked example's flows at the same site on other plans: what changes is what the document says changes.

Strategy: the clean flows of the worked example, each plan with its changes by number of flow, written from the
document's table "the same site as other plans" and the tables of each plan. No change means that the flow stays.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from rules.judge import Judge
from rules.topology import Balancers, Sensor
from rules.verdict import ALLOWED, VIOLATION
from tests.policy.flows import MTLS, RTP, SILENT, TLS, TURN, Bench
from tests.policy.test_worked_example import CLEAN, position, wire_of
from tests.topology.plans import contoso_as

Flow = tuple[str, str, Any, str]
DROPPED = None

USER = "192.0.2.25:50112"
VIP = "172.25.33.9"

CHANGES: dict[str, dict[int, Flow | None]] = {
    "one-firewall": {},
    "no-director": {
        2: ("172.25.33.10:49201", "192.168.10.91:5061/tcp", MTLS, "int-sip-edge-to-nexthop-fe"),
        20: DROPPED,
    },
    "sfb-2019": {
        # the range towards partners is open on later products, and closed inbound
        11: DROPPED,
        16: DROPPED,
        17: DROPPED,
    },
    # each node has one address: .10 and .11; the services are told apart by port
    "single-ip": {
        1: (USER, "203.0.113.10:5061/tcp", TLS, "ext-sip1-access-client"),
        5: ("192.0.2.25:50200", "203.0.113.10:3478/udp", TURN, "ext-av-udp-in"),
        7: ("192.0.2.25:50201", "203.0.113.11:443/tcp", CLEAN[6][2], "ext-sip1-av-tcp-in"),
        9: ("203.0.113.10:50711", "198.51.100.30:443/tcp", CLEAN[8][2], "ext-av-tcp-out"),
        10: ("203.0.113.10:3478", "198.51.100.30:3478/udp", TURN, "ext-av-udp-out"),
        11: ("198.51.100.41:51234", "203.0.113.10:50380/udp", RTP, "ext-av-range-udp-in"),
        12: ("192.0.2.25:50300", "203.0.113.10:444/tcp", TLS, "ext-sip1-webconf-psom"),
        14: ("198.51.100.10:41000", "203.0.113.10:5061/tcp", MTLS, "ext-sip1-access-federation-in"),
        27: ("203.0.113.10:3478", "203.0.113.11:3478/udp", TURN, "ext-av-pool-hairpin"),
    },
    # .10, .20 and .30 are virtual, the nodes have .12/.22/.32 and .13/.23/.33
    "hlb": {
        1: (USER, "203.0.113.10:443/tcp", TLS, "ext-hlb-access-client"),
        2: (f"{VIP}:49201", "192.168.10.50:5061/tcp", MTLS, "int-hlb-sip-from-edge"),
        3: ("192.168.10.90:52000", f"{VIP}:5061/tcp", MTLS, "int-hlb-sip-to-edge"),
        4: ("192.168.10.90:52010", f"{VIP}:5062/tcp", MTLS, "int-hlb-av-auth"),
        5: ("192.0.2.25:50200", "203.0.113.30:3478/udp", TURN, "ext-hlb-av-vip-udp"),
        6: ("192.168.20.7:50030", f"{VIP}:3478/udp", TURN, "int-hlb-av-udp"),
        7: ("192.0.2.25:50201", "203.0.113.33:443/tcp", CLEAN[6][2], "ext-hlb-av-node-tcp"),
        8: ("192.168.20.7:50044", f"{VIP}:443/tcp", CLEAN[7][2], "int-hlb-av-tcp"),
        9: ("203.0.113.32:50711", "198.51.100.30:443/tcp", CLEAN[8][2], "ext-hlb-node-outbound"),
        10: ("203.0.113.32:3478", "198.51.100.30:3478/udp", TURN, "ext-hlb-node-outbound"),
        11: ("198.51.100.41:51234", "203.0.113.32:50380/udp", RTP, "ext-av-range-udp-in"),
        12: ("192.0.2.25:50300", "203.0.113.20:443/tcp", TLS, "ext-hlb-webconf-psom"),
        13: ("192.168.10.91:53000", "172.25.33.10:8057/tcp", MTLS, "int-hlb-node-psom"),
        14: ("198.51.100.10:41000", "203.0.113.10:5061/tcp", MTLS, "ext-hlb-access-federation-in"),
        15: ("203.0.113.10:49888", "198.51.100.10:5061/tcp", MTLS, "ext-hlb-access-federation-out"),
        16: ("198.51.100.69:38000", "203.0.113.10:5269/tcp", "woodgrove.example", "ext-hlb-xmpp-in"),
        17: ("192.168.10.91:54100", "172.25.33.10:23456/tcp", MTLS, "int-hlb-node-xmpp"),
        23: ("192.168.10.90:55000", "172.25.33.11:4443/tcp", TLS, "int-hlb-node-cms"),
        24: ("192.168.10.200:56000", "172.25.33.10:50001/tcp", MTLS, "int-hlb-node-cls"),
        25: ("203.0.113.12:49900", "198.51.100.80:80/tcp", CLEAN[24][2], "ext-hlb-node-outbound"),
        27: ("203.0.113.32:3478", "203.0.113.33:3478/udp", TURN, "ext-av-pool-hairpin"),
    },
}


@cache
def bench(plan: str) -> Bench:
    return Bench(contoso_as(plan))


def flows(plan: str) -> list[Flow]:
    changed = [CHANGES[plan].get(number, flow) for number, flow in enumerate(CLEAN, start=1)]
    return [flow for flow in changed if flow is not None]


@pytest.mark.parametrize("plan", CHANGES)
@pytest.mark.parametrize("part", ["whole", "cut after the handshake"])
def test_clean_flows(plan: str, part: str) -> None:
    site = bench(plan)
    wrong = []
    for source, destination, wire, row in flows(plan):
        seen = wire_of(site, wire) if part == "whole" else SILENT
        if part != "whole" and (plan, row) == ("single-ip", "ext-sip1-access-federation-in"):
            continue  # who came to the shared port is told by what it shows
        verdict = site.judge(source, destination, seen, position=position(source, destination))
        if (verdict.verdict, verdict.path, verdict.rules) != (ALLOWED, row, ()):
            wrong.append((source, destination, verdict.verdict, verdict.path, verdict.rules))
    assert not wrong


@pytest.mark.parametrize(
    ("plan", "source", "destination", "wire"),
    [
        ("no-director", *CLEAN[1][:3]),
        ("sfb-2019", *CLEAN[10][:3]),
        ("sfb-2019", *CLEAN[15][:3]),
        ("sfb-2019", *CLEAN[16][:3]),
        ("single-ip", "192.0.2.25:50112", "203.0.113.10:443/tcp", TLS),  # real TLS where media is
        ("single-ip", "192.0.2.25:50112", "203.0.113.11:5061/tcp", CLEAN[6][2]),  # and media where SIP is
        ("hlb", *CLEAN[2][:3]),  # signalling to a node
        ("hlb", *CLEAN[3][:3]),
        ("hlb", *CLEAN[5][:3]),  # a client's media to a node
        ("hlb", USER, "203.0.113.12:443/tcp", TLS),
        ("hlb", "192.168.10.91:53000", f"{VIP}:8057/tcp", MTLS),  # what goes to nodes to the virtual address
        ("hlb", "192.168.10.91:54100", f"{VIP}:23456/tcp", MTLS),
        ("hlb", "192.168.10.90:55000", f"{VIP}:4443/tcp", TLS),
        ("hlb", f"{VIP}:49201", "192.168.10.90:5061/tcp", MTLS),  # past the Director
        ("hlb", "203.0.113.12:49888", "198.51.100.10:5061/tcp", MTLS),  # federation from a node
    ],
)
def test_what_a_plan_does_not_allow(plan: str, source: str, destination: str, wire: Any) -> None:
    site = bench(plan)
    verdict = site.judge(source, destination, wire_of(site, wire), position=position(source, destination))
    assert verdict.verdict == VIOLATION


def test_the_balancer_may_speak_for_a_node_that_looks_something_up() -> None:
    """The virtual access address is the nodes' default gateway, and translates their sources where it may."""
    site = bench("hlb")
    for target in ("198.51.100.80:80/tcp", "198.51.100.53:53/udp", "198.51.100.53:53/tcp"):
        verdict = site.judge("203.0.113.10:49900", target, SILENT)
        assert (verdict.verdict, verdict.path) == (ALLOWED, "ext-hlb-node-outbound")


def behind() -> Bench:
    topology = contoso_as("hlb")
    first = topology.edge_pools[0].vips.access.public[0]
    return Bench(
        replace(
            topology,
            lb=Balancers(external_snat=(first + 80,), self_addresses=(first + 81,)),
            sensors=(Sensor("behind", "external", behind_lb=True),),
        )
    )


@pytest.mark.parametrize(
    ("source", "destination", "wire", "elsewhere"),
    [
        # from the balancer: virtual, source and own address
        ("203.0.113.10:40000", "203.0.113.12:443/tcp", TLS, "out-of-scope"),
        ("203.0.113.90:40000", "203.0.113.12:5061/tcp", MTLS, "out-of-scope"),
        ("203.0.113.91:40000", "203.0.113.22:443/tcp", SILENT, "out-of-scope"),
        # the client's address is kept, the virtual address has become the node's
        (USER, "203.0.113.12:443/tcp", TLS, VIOLATION),
        ("198.51.100.10:41000", "203.0.113.12:5061/tcp", MTLS, VIOLATION),
        ("192.0.2.25:50300", "203.0.113.23:443/tcp", TLS, VIOLATION),
        ("192.168.10.90:52000", "172.25.33.11:5061/tcp", MTLS, VIOLATION),
        ("192.168.20.7:50030", "172.25.33.10:3478/udp", TURN, VIOLATION),
        # and what a node opens has not met the balancer yet
        ("203.0.113.12:49888", "198.51.100.10:5061/tcp", MTLS, VIOLATION),
        ("203.0.113.13:49500", "198.51.100.200:5061/tcp", MTLS, VIOLATION),
    ],
)
def test_between_balancer_and_nodes(source: str, destination: str, wire: Any, elsewhere: str) -> None:
    """Allowed at a sensor that stands there, and there alone."""
    site = behind()
    seen = site.observe(source, destination, wire)
    place = position(source, destination)
    verdict = Judge(site.topology, place, behind_lb=True, site=site.site).judge(seen)
    assert (verdict.verdict, verdict.path) == (ALLOWED, "ext-hlb-leg")
    away = Judge(site.topology, place, site=site.site).judge(seen)
    assert away.verdict == elsewhere
    assert "ext-hlb-leg" not in {hit.nearest_path for hit in away.hits}


def test_media_from_the_balancer_is_no_better_behind_it() -> None:
    site = behind()
    seen = site.observe("203.0.113.90:40000", "203.0.113.32:3478/udp", TURN)
    verdict = Judge(site.topology, "external", behind_lb=True, site=site.site).judge(seen)
    assert (verdict.verdict, verdict.rules) == (VIOLATION, ("hlb-av-snat",))


def test_past_the_next_hop_where_the_site_lets_it() -> None:
    """Documented-open: allowed and noted, from a node, the virtual address or the balancer's own."""
    topology = contoso_as("hlb")
    outside = topology.edge_pools[0].vips.internal[0]
    opened = replace(
        topology,
        policy=replace(topology.policy, director_bypass="documented-open"),
        lb=Balancers(internal_snat=(outside - 1,)),
    )
    site = Bench(opened, "internal")
    for source, noted in (("172.25.33.9", True), ("172.25.33.10", True), ("172.25.33.8", False)):
        verdict = site.judge(f"{source}:49201", "192.168.10.90:5061/tcp", MTLS)
        assert (verdict.verdict, verdict.path) == (ALLOWED, "int-sip-edge-to-other-fe")
        assert verdict.rules == (("director-bypass-sip",) if noted else ())


def test_the_row_that_one_page_alone_lists_is_off_until_it_is_named() -> None:
    topology = contoso_as("hlb")
    flow = (f"{VIP}:49201", "192.168.20.7:443/tcp", CLEAN[7][2])
    assert bench("hlb").judge(*flow, position="internal").verdict == VIOLATION
    named = replace(topology, policy=replace(topology.policy, optional_paths=("int-hlb-av-tcp-out",)))
    verdict = Bench(named, "internal").judge(*flow)
    assert (verdict.verdict, verdict.path) == (ALLOWED, "int-hlb-av-tcp-out")


def test_each_pool_follows_its_own_plan() -> None:
    """A balanced pool beside a lone server on one address: each is judged by its own rows."""
    topology = contoso_as("hlb")
    balanced = topology.edge_pools[0]
    member = balanced.members[0]
    one = replace(member.access, public=tuple(address + 50 for address in member.access.public))
    lone = replace(
        balanced,
        fqdn="edge3.contoso.net",
        vips=type(balanced.vips)(),
        federation=False,
        access=replace(balanced.access, port=5061),
        webconf=replace(balanced.webconf, port=444),
        members=(
            replace(
                member,
                fqdn="edge3.contoso.net",
                access=one,
                webconf=one,
                av=one,
                internal=tuple(address + 50 for address in member.internal),
            ),
        ),
    )
    site = Bench(replace(topology, edge_pools=(balanced, lone)))
    for destination, wire, row in (
        ("203.0.113.10:443/tcp", TLS, "ext-hlb-access-client"),
        ("203.0.113.62:5061/tcp", TLS, "ext-sip1-access-client"),
        ("203.0.113.62:443/tcp", CLEAN[6][2], "ext-sip1-av-tcp-in"),
        ("203.0.113.32:443/tcp", CLEAN[6][2], "ext-hlb-av-node-tcp"),
    ):
        verdict = site.judge(USER, destination, wire)
        assert (verdict.verdict, verdict.path) == (ALLOWED, row), destination
    inside = site.judge("192.168.10.90:52000", "172.25.33.60:5061/tcp", MTLS, position="internal")
    assert (inside.verdict, inside.path) == (ALLOWED, "int-sip-fe-to-edge")


def test_a_service_without_a_virtual_address_is_addressed_at_the_nodes() -> None:
    """The design is told by `topology check`; traffic is judged as the site stands."""
    topology = contoso_as("hlb")
    pool = topology.edge_pools[0]
    bare = type(pool.vips)(access=pool.vips.access)
    site = Bench(replace(topology, edge_pools=(replace(pool, vips=bare),)))
    for source, destination, wire, row in (
        (USER, "203.0.113.10:443/tcp", TLS, "ext-hlb-access-client"),
        (USER, "203.0.113.22:443/tcp", TLS, "ext-webconf-psom"),
        (USER, "203.0.113.32:3478/udp", TURN, "ext-hlb-av-node-udp"),
        ("192.168.10.90:52000", "172.25.33.10:5061/tcp", MTLS, "int-sip-fe-to-edge"),
    ):
        verdict = site.judge(source, destination, wire, position=position(source, destination))
        assert (verdict.verdict, verdict.path) == (ALLOWED, row), destination


@pytest.mark.parametrize(
    ("changes", "wire", "said"),
    [
        ({}, MTLS, (ALLOWED, "ext-sip1-access-federation-in", ())),
        ({"discovery": False}, MTLS, (VIOLATION, None, ("federation-partner-not-allowed",))),
        ({"discovery": False}, TLS, (ALLOWED, "ext-sip1-access-client", ())),
        ({"enabled": False}, MTLS, (ALLOWED, "ext-sip1-access-client", ())),
    ],
)
def test_a_certificate_tells_partners_from_clients_on_one_address(
    changes: dict[str, bool], wire: dict[str, Any], said: tuple[Any, ...]
) -> None:
    """Clients have none; without federation nobody else is expected there."""
    topology = contoso_as("single-ip")
    site = Bench(replace(topology, federation=replace(topology.federation, **changes)))
    verdict = site.judge("192.0.2.66:41000", "203.0.113.10:5061/tcp", wire)
    assert (verdict.verdict, verdict.path, verdict.rules) == said


def test_one_virtual_address_and_one_for_each_node() -> None:
    """Hardware balancing in its form with a single address: the rows of that plan, the ports of the other."""
    topology = contoso_as("hlb")
    pool = topology.edge_pools[0]
    one = replace(
        pool,
        access=replace(pool.access, port=5061),
        webconf=replace(pool.webconf, port=444),
        vips=replace(pool.vips, webconf=pool.vips.access, av=pool.vips.access),
        members=tuple(replace(member, webconf=member.access, av=member.access) for member in pool.members),
    )
    site = Bench(replace(topology, edge_pools=(one,)))
    pseudo = CLEAN[6][2]
    for source, destination, wire, row in (
        (USER, "203.0.113.10:5061/tcp", TLS, "ext-hlb-access-client"),
        (USER, "203.0.113.10:444/tcp", TLS, "ext-hlb-webconf-psom"),
        (USER, "203.0.113.10:443/tcp", pseudo, "ext-hlb-av-vip-tcp"),
        (USER, "203.0.113.12:443/tcp", pseudo, "ext-hlb-av-node-tcp"),
        ("198.51.100.10:41000", "203.0.113.10:5061/tcp", MTLS, "ext-hlb-access-federation-in"),
        ("198.51.100.10:41000", "203.0.113.10:5061/tcp", TLS, "ext-hlb-access-federation-in"),
        ("192.0.2.66:41000", "203.0.113.10:5061/tcp", MTLS, "ext-hlb-access-federation-in"),
        ("203.0.113.10:41000", "198.51.100.10:5061/tcp", MTLS, "ext-hlb-access-federation-out"),
        ("203.0.113.12:3478", "203.0.113.13:3478/udp", TURN, "ext-av-pool-hairpin"),
        ("203.0.113.12:50711", "198.51.100.30:443/tcp", pseudo, "ext-hlb-node-outbound"),
    ):
        verdict = site.judge(source, destination, wire)
        assert (verdict.verdict, verdict.path, verdict.rules) == (ALLOWED, row, ()), (source, destination)
    direct = site.judge(USER, "203.0.113.12:5061/tcp", TLS)
    assert (direct.verdict, direct.rules) == (VIOLATION, ("hlb-node-direct-sip",))
