"""Rules of the hardware-balanced plan: a flow to the wrong one of a node and its virtual address, and near misses.

The site is the worked example as the path document changes it for this plan: public addresses on nodes and balancer.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from rules.components import Balancers, EdgeVips, LoadBalancing, Translated
from rules.topology import Topology
from tests.policy.flows import HTTP, MTLS, PSEUDO_TLS, TLS, TURN, Bench, contoso


def public(text: str) -> Translated:
    return Translated((ip_address(text),))


def balanced() -> Topology:
    topology = contoso()
    pool = topology.edge_pools[0]
    nodes = (
        replace(
            member,
            access=public(f"203.0.113.{12 + n}"),
            webconf=public(f"203.0.113.{22 + n}"),
            av=public(f"203.0.113.{32 + n}"),
        )
        for n, member in enumerate(pool.members)
    )
    vips = EdgeVips(
        public("203.0.113.10"), public("203.0.113.20"), public("203.0.113.30"), (ip_address("172.25.33.9"),)
    )
    return replace(
        topology,
        edge_pools=(replace(pool, members=tuple(nodes), vips=vips),),
        load_balancing=LoadBalancing("hardware", "hardware"),
        lb=Balancers((ip_address("203.0.113.9"),), (ip_address("172.25.33.8"),), (ip_address("203.0.113.8"),)),
    )


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(balanced(), "internal")


@pytest.mark.parametrize(
    ("rule", "source", "destination", "wire", "holds"),
    [
        ("hlb-internal-vip-webconf", "192.168.10.91:53000", "172.25.33.9:8057/tcp", MTLS, True),
        ("hlb-internal-vip-webconf", "192.168.10.91:53000", "172.25.33.10:8057/tcp", MTLS, False),
        ("hlb-internal-vip-webconf", "192.168.10.91:53000", "172.25.33.9:5061/tcp", MTLS, False),
        ("hlb-internal-vip-xmpp", "192.168.10.91:53000", "172.25.33.9:23456/tcp", MTLS, True),
        ("hlb-internal-vip-xmpp", "192.168.10.91:53000", "172.25.33.11:23456/tcp", MTLS, False),
        ("hlb-internal-vip-mgmt", "192.168.10.90:53000", "172.25.33.9:4443/tcp", TLS, True),
        ("hlb-internal-vip-mgmt", "192.168.10.200:53000", "172.25.33.9:50002/tcp", MTLS, True),
        ("hlb-internal-vip-mgmt", "192.168.10.90:53000", "172.25.33.10:4443/tcp", TLS, False),
        ("hlb-internal-vip-mgmt", "192.168.10.90:53000", "172.25.33.9:5062/tcp", MTLS, False),
        ("hlb-node-direct-sip", "192.0.2.25:50112", "203.0.113.12:443/tcp", TLS, True),
        ("hlb-node-direct-sip", "198.51.100.10:50112", "203.0.113.13:5061/tcp", MTLS, True),
        ("hlb-node-direct-sip", "192.0.2.25:50112", "203.0.113.22:443/tcp", TLS, True),
        ("hlb-node-direct-sip", "192.168.10.90:50112", "172.25.33.10:5062/tcp", MTLS, True),
        ("hlb-node-direct-sip", "192.0.2.25:50112", "203.0.113.10:443/tcp", TLS, False),
        ("hlb-node-direct-sip", "192.0.2.25:50112", "203.0.113.32:443/tcp", PSEUDO_TLS, False),  # A/V may
        ("hlb-node-direct-sip", "192.0.2.25:50112", "203.0.113.12:8443/tcp", TLS, False),
        ("hlb-node-direct-sip", "203.0.113.9:50112", "203.0.113.12:443/tcp", TLS, False),  # the balancer itself
        ("hlb-av-snat", "203.0.113.30:50112", "203.0.113.32:443/tcp", PSEUDO_TLS, True),
        ("hlb-av-snat", "203.0.113.9:50112", "203.0.113.32:3478/udp", TURN, True),
        ("hlb-av-snat", "172.25.33.8:50112", "172.25.33.10:3478/udp", TURN, True),
        ("hlb-av-snat", "203.0.113.8:50112", "203.0.113.32:443/tcp", PSEUDO_TLS, False),  # a health probe
        ("hlb-av-snat", "203.0.113.9:50112", "203.0.113.12:443/tcp", TLS, False),  # allowed for signalling
        ("hlb-av-snat", "203.0.113.9:50112", "203.0.113.32:443/tcp", HTTP, False),
        ("hlb-av-snat", "192.0.2.25:50112", "203.0.113.32:443/tcp", PSEUDO_TLS, False),
    ],
)
def test_rule(bench: Bench, rule: str, source: str, destination: str, wire: dict[str, Any], holds: bool) -> None:
    verdict = bench.judge(source, destination, wire)
    assert (rule in (*verdict.rules, *verdict.rules_silenced)) is holds, verdict
