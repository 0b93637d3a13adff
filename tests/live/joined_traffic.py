"""Conversations that rules over several flows are about, packet by packet as the sensors of a site saw them: of each
rule at least one that trips it, and of those with a border the nearest that does not."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.capture_arguments import SensorName
from monitor.simulate import msturn
from monitor.simulate.exchange import Turn, destination, source
from monitor.simulate.messages import xmpp_header
from monitor.simulate.relay import Relay
from tests.house.captures import addresses
from tests.live.conversations import (
    IN,
    INNER,
    OUT,
    SECOND,
    START,
    Address,
    Seen,
    connection,
    datagrams,
    refused,
    tls,
)

LAN = SensorName("if-lan", "internal", "inside")
BEHIND = SensorName("lb", "external", "inside", behind_lb=True)

USER = ("192.0.2.25", 50112)
ACCESS = [("203.0.113.10", 443), ("203.0.113.11", 443)]
AV = ("203.0.113.30", 3478)
PARTNER = ("198.51.100.30", 443)


def translated(at: float, seed: int, inside: tuple[str, int] = ("10.45.16.10", 443), **other: int) -> Seen:
    """A connection on both sides of the external firewall, a fifth of a second apart."""
    client = ("192.0.2.25", other.get("port", 50112))
    return {
        OUT: connection(USER, ACCESS[0], at, seed),
        IN: connection(client, inside, at + 0.2, other.get("inner_seed", seed)),
    }


def merged(*seen: Seen) -> Seen:
    sensors = dict.fromkeys(sensor for one in seen for sensor in one)
    return {sensor: [packet for one in seen for packet in one.get(sensor, [])] for sensor in sensors}


def snat(at: float) -> Seen:
    return {
        OUT: connection(USER, ACCESS[0], at, 3),
        IN: connection(("10.45.16.99", 50112), ("10.45.16.10", 443), at + 0.2, 3),
    }


def forwarded(at: float, seed: int = 4) -> Seen:
    flow = (USER, ("192.168.10.95", 4443))
    return {IN: connection(*flow, at, 4), INNER: connection(*flow, at + 0.01, seed)}


def passed(at: float, inner: tuple[Turn, ...]) -> Seen:
    outer = tls("webext.contoso.com")
    return {
        OUT: connection(USER, ("203.0.113.40", 443), at, 5, outer),
        INNER: connection(("172.25.33.40", 40010), ("192.168.10.95", 4443), at + 0.1, 6, inner),
    }


def forwarded_past_three(at: float) -> Seen:
    """One connection that two sensors see behind the firewall, too."""
    return {**forwarded(at), LAN: connection(USER, ("192.168.10.95", 4443), at + 0.02, 4)}


def passed_twice(at: float) -> Seen:
    """The client asks twice with one greeting, and so does what forwards it."""
    turns = tls("webext.contoso.com")
    proxy, web = "172.25.33.40", ("192.168.10.95", 4443)
    return {
        OUT: [
            *connection(USER, ("203.0.113.40", 443), at, 5, turns),
            *connection((USER[0], 50113), ("203.0.113.40", 443), at + 1, 7, turns),
        ],
        INNER: [
            *connection((proxy, 40010), web, at + 0.1, 6, turns),
            *connection((proxy, 40011), web, at + 1.1, 8, turns),
        ],
    }


def allocations(at: float, count: int, *, go_on: bool = False) -> Seen:
    """Of one source, from a port each, all in half a minute."""
    found: Seen = {OUT: []}
    for number in range(count):
        ask = msturn.message(msturn.ALLOCATE, bytes.fromhex("2112a442") + random.Random(number).randbytes(12), [])
        client, moment = ("192.0.2.66", 20000 + number), at + number * 30 / count
        relay = Relay(random.Random(number), client, AV, datetime.datetime.fromtimestamp(START // SECOND, datetime.UTC))
        turns = relay.dialogue(media=False, framed=False) if go_on else [source(ask)]
        found[OUT] += datagrams(client, AV, moment, turns)
    return found


def sign_ins(at: float, count: int) -> Seen:
    """Each as far as its ClientHello."""
    found: Seen = {OUT: []}
    for number in range(count):
        opener = ("192.0.2.66", 30000 + number)
        found[OUT] += connection(opener, ACCESS[0], at + number * 30 / count, number, tls()[:1])
    return found


def members(at: float, apart: float, *other: str) -> Seen:
    """Both members of the Edge pool show a certificate."""
    return {
        OUT: [
            *connection(USER, ACCESS[0], at, 1, tls()),
            *connection(("192.0.2.26", 50000), ACCESS[1], at + apart, 2, tls("sip.contoso.com", *other)),
        ]
    }


def past_the_director(quiet: int, burst: int) -> Seen:
    """Minutes with a few connections to the Director and beyond, then one with more."""
    found: Seen = {INNER: []}
    legs = (("172.25.33.10", ("192.168.10.50", 5061)), ("192.168.10.50", ("192.168.10.90", 5061)))
    for minute, count in enumerate([*[quiet] * 4, burst]):
        for number in range(count):
            for leg, (address, to) in enumerate(legs):
                at = minute * 60 + 5 + number * 40 / count
                opener = (address, 2000 + 100 * minute + number)
                found[INNER] += connection(opener, to, at, 1000 * minute + 2 * number + leg)
    return found


def outbound(before: Address, after: tuple[Address, Address]) -> Seen:
    """The A/V Edge opens a connection to a partner, and the external firewall makes `after` of it."""
    return {IN: connection(("10.45.16.30", 50711), before, 20, 1), OUT: connection(*after, 20.1, 1)}


def hidden_inside() -> Seen:
    """The internal firewall puts its own address in place of an Edge's."""
    director = ("192.168.10.50", 5061)
    return {
        INNER: connection(("172.25.33.10", 51019), director, 59.95, 1),
        LAN: connection(("192.168.10.1", 51019), director, 60.05, 1),
    }


def renamed_inside() -> Seen:
    """The internal firewall shows an Edge to the inside by an address of its own making."""
    server = ("192.168.10.90", 50030)
    return {
        LAN: connection(server, ("192.168.10.99", 5062), 59.95, 1),
        INNER: connection(server, ("172.25.33.10", 5062), 60.05, 1),
    }


def another_answers() -> Seen:
    """The virtual address is asked, a node answers by its own."""
    asked, answer = connection(USER, ACCESS[0], 20, 1), connection(USER, ("203.0.113.12", 443), 20, 1)
    asking = [packet for packet in asked if addresses(packet)[0] == USER[0]]
    return {OUT: asking + [packet for packet in answer if addresses(packet)[0] != USER[0]]}


def past_the_balancer() -> Seen:
    """Between balancer and node the requests alone."""
    whole = connection(USER, ACCESS[0], 59.9, 1)
    near = connection(USER, ACCESS[0], 60.1, 1)
    return {OUT: whole, BEHIND: [packet for packet in near if addresses(packet)[0] == USER[0]]}


def federated(apart: float) -> Seen:
    """A partner speaks with both Edges."""
    partner = ("198.51.100.10", 5061)
    return {
        OUT: [
            *connection(("198.51.100.10", 41000), ("203.0.113.10", 5061), 20, 1, tls()),
            *connection(("203.0.113.11", 41000), partner, 20 + apart, 2, tls()),
        ]
    }


def xmpp(apart: float) -> Seen:
    partner = "198.51.100.69"
    theirs = [source(xmpp_header("woodgrove.example", "contoso.com"))]
    ours = [source(xmpp_header("contoso.com", "woodgrove.example"))]
    theirs.append(destination(xmpp_header("contoso.com", "woodgrove.example", identity="a1")))
    ours.append(destination(xmpp_header("woodgrove.example", "contoso.com", identity="b2")))
    return {
        OUT: [
            *connection((partner, 38000), ("203.0.113.10", 5269), 20, 1, theirs),
            *connection(("203.0.113.11", 38000), (partner, 5269), 20 + apart, 2, ours),
        ]
    }


def spread_by_the_proxy(apart: float) -> Seen:
    proxy = "172.25.33.40"
    return {
        INNER: [
            *connection((proxy, 40010), ("192.168.10.90", 4443), 20, 1),
            *connection((proxy, 40011), ("192.168.10.91", 4443), 20 + apart, 2),
        ]
    }


def balanced_outside(apart: float) -> Seen:
    """Clients ask the virtual address, servers a node."""
    return {
        OUT: connection(USER, ACCESS[0], 20, 1),
        INNER: connection(("192.168.10.90", 50113), ("172.25.33.10", 5061), 20 + apart, 2),
    }


def split(apart: float) -> Seen:
    """One Edge serves clients and refuses conferences, the other one the other way round."""
    web = [("203.0.113.20", 443), ("203.0.113.21", 443)]
    flows = ((connection, ACCESS[0]), (refused, web[0]), (refused, ACCESS[1]), (connection, web[1]))
    ports = range(50112, 50116)
    times = (20, 21, 20 + apart, 21 + apart)
    return {
        OUT: [
            packet
            for number, ((made, to), port, at) in enumerate(zip(flows, ports, times, strict=True))
            for packet in made((USER[0], port), to, at, number)
        ]
    }


def talkative(messages: int) -> Seen:
    """A host that only discovery admits to federation sends so many within a minute."""
    turns = tls("sip.contoso.com", messages=messages)
    return {OUT: connection(("192.0.2.66", 41000), ("203.0.113.10", 5061), 20, 1, turns)}


@dataclass(frozen=True, slots=True)
class Case:
    """What is seen, and the rules over several flows that hold of it. site: of `tests.policy.variants`. flows: of the
    findings, where several pairs share them: each that a sensor saw counts once."""

    seen: Callable[[], Seen]
    rules: set[str] = field(default_factory=set)
    site: str = "contoso"
    flows: dict[str, int] = field(default_factory=dict)


CASES: dict[str, Case] = {
    "a port changed": Case(lambda: translated(20, 1, port=1024), {"nat-port-translation"}),
    "a port changed while a minute ended": Case(lambda: translated(59.9, 1, port=1024), {"nat-port-translation"}),
    "as it should be": Case(lambda: translated(59.9, 1)),
    "two conversations": Case(lambda: translated(59.9, 1, port=1024, inner_seed=2)),
    "the source changed": Case(lambda: snat(59.95), {"nat-inbound-source-changed"}),
    "through both firewalls": Case(lambda: forwarded(119.995), {"edge-as-router"}),
    "at both firewalls, not the same": Case(lambda: forwarded(119.995, 5)),
    "TLS passed through": Case(lambda: passed(59.95, tls("webext.contoso.com")), {"reverse-proxy-tls-passthrough"}),
    "through both firewalls at three sensors": Case(
        lambda: forwarded_past_three(119.98), {"edge-as-router"}, flows={"edge-as-router": 3}
    ),
    "TLS passed through twice": Case(
        lambda: passed_twice(57.95), {"reverse-proxy-tls-passthrough"}, flows={"reverse-proxy-tls-passthrough": 4}
    ),
    "TLS of its own": Case(lambda: passed(59.95, tls("webext.contoso.com", "fe.contoso.net"))),
    "31 allocations in a minute": Case(lambda: allocations(10, 31), {"turn-unauthenticated-flood"}),
    "30 allocations in a minute": Case(lambda: allocations(10, 30)),
    "40 allocations in two minutes": Case(lambda: allocations(45, 40)),
    "31 allocations that go on": Case(lambda: allocations(10, 31, go_on=True)),
    "61 sign-ins in a minute": Case(lambda: sign_ins(10, 61), {"signin-rate-abuse"}),
    "60 sign-ins in a minute": Case(lambda: sign_ins(10, 60)),
    "61 sign-ins, minute after minute": Case(
        lambda: merged(sign_ins(10, 61), sign_ins(70, 70), sign_ins(130, 5)),
        {"signin-rate-abuse"},
    ),
    "two certificates": Case(lambda: members(10, 20, "x.contoso.com"), {"cert-differs-in-pool"}),
    "two certificates, minutes apart": Case(lambda: members(10, 400, "x.contoso.com"), {"cert-differs-in-pool"}),
    "one certificate": Case(lambda: members(10, 20)),
    "past the Director": Case(lambda: past_the_director(3, 40), {"director-dos-past-director"}),
    "not many past the Director": Case(lambda: past_the_director(3, 12)),
    "another destination outbound": Case(
        lambda: outbound(PARTNER, (("203.0.113.30", 50711), ("198.51.100.31", 443))), {"nat-outbound-dest-changed"}
    ),
    "another source outbound": Case(
        lambda: outbound(PARTNER, (("203.0.113.77", 50711), PARTNER)), {"nat-public-ip-mismatch"}
    ),
    "the declared source outbound": Case(lambda: outbound(PARTNER, (("203.0.113.30", 50711), PARTNER))),
    "an Edge hidden inside": Case(hidden_inside, {"edge-internal-nat"}),
    "an Edge by another address inside": Case(renamed_inside, {"edge-internal-nat"}),
    "a node answers": Case(another_answers, {"hlb-asymmetric-reply"}, "hlb"),
    "past the balancer": Case(past_the_balancer, {"hlb-dsr"}, "hlb"),
    "two pools, minutes apart": Case(lambda: federated(400), {"edge-multiple-federation-routes"}, "two-pools"),
    "two sites, minutes apart": Case(lambda: xmpp(400), {"xmpp-multiple-sites"}, "two-sites"),
    "two web servers, minutes apart": Case(lambda: spread_by_the_proxy(400), {"dns-lb-for-web"}, "no-web-vip"),
    "balanced outside, minutes apart": Case(lambda: balanced_outside(400), {"lb-mixed-mode"}, "hlb"),
    "services split, minutes apart": Case(lambda: split(400), {"edge-service-split"}),
    "13 messages in a minute": Case(lambda: talkative(13), {"federation-discovered-partner-rate"}, "few-messages"),
    "12 messages in a minute": Case(lambda: talkative(12), set(), "few-messages"),
}
