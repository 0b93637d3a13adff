"""One scenario on one topology: parts, ports and conversation made into frames and the flow that must come out.

Strategy: resolve first (`NotCast` leaves the scenario out), then speak, then put on the wire, then spoil the view as
the scenario asks (joined late, one direction). A sensor that watches both sides of the external firewall sees the
flow twice, with translated own addresses and one hop less.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from monitor.simulate import wire
from monitor.simulate.cast import Cast, NotCast
from monitor.simulate.credentials import Vault
from monitor.simulate.exchange import Speaker
from monitor.simulate.naming import Naming
from monitor.simulate.plans import on_plan
from monitor.simulate.table import Scenario, Sheet
from monitor.simulate.talks import Script, Stage, script
from rules import names
from rules.components import Address

SPACING = 7.0  # s between the starts of two scenarios; the longest takes about five
FIRST_PORT = 49300  # source ports that no scenario asks for: one each, from here
DELAYS = {"external": 18_000, "internal": 400}  # µs from one end to the other: the Internet, a data centre
SIDES = ("02:00:5e:00:00:01", "02:00:5e:00:00:02")  # the routers on either side of the sensor (local addresses)
TRANSLATION_TAKES = 90  # µs in the firewall

ANSWERED = {"yes": "yes", "none": "no", "rst": "refused", "port unreachable": "refused"}


@dataclass(frozen=True, slots=True)
class Performance:
    """A scenario on a topology: its frames, and its flows as (source, destination) each."""

    scenario: Scenario
    frames: tuple[wire.Frame, ...]
    flows: tuple[tuple[Ends, int], ...]  # with the time (µs) of the first frame


Ends = tuple[tuple[str, int | None], tuple[str, int | None]]


def perform(cast: Cast, vault: Vault, sheet: Sheet, number: int) -> Performance:
    """Scenario `number` of a sheet. Raises NotCast where the site has no such part."""
    scenario = on_plan(sheet.scenarios[number], cast)
    conditions = cast.conditions()
    for need in scenario.needs:
        if need not in conditions:
            raise ValueError(f"{scenario.id}: no such condition: {need!r}")
        if not conditions[need]:
            raise NotCast(f"the site is not: {need}")
    _keep_to_policy(cast, scenario)
    inside = scenario.view == "inside" or sheet.sensor != "external"
    pair = _pair(cast, scenario, inside=inside)
    ports = (_source_port(cast, scenario, number), cast.port(scenario.port))
    ends = ((str(pair[0]), ports[0]), (str(pair[1]), ports[1]))
    # Chance is repeatable: it depends on the scenario's name alone, so that new scenarios change no others.
    chance = random.Random(zlib.crc32(scenario.id.encode()))  # noqa: S311 — imitates traffic, guards nothing
    start = round(sheet.starts.timestamp() * wire.MICRO + number * SPACING * wire.MICRO) + chance.randrange(900_000)
    act = Stage(Naming(cast), vault, chance, ends[0], ends[1], scenario.transport)
    spoken = script(act, scenario.talk)
    flow = wire.fresh(ends[0], ends[1], SIDES, start, DELAYS.get(sheet.sensor, 400), chance)
    dropped = _send(flow, scenario, spoken)
    frames = tuple(flow.frames[dropped:])
    if scenario.one_way:
        frames = tuple(f for f in frames if Ether(f.octets).src == SIDES[0])
    flows: list[tuple[Ends, int]] = [(_without_ports(scenario, ends), frames[0].time)]
    if scenario.view == "both":
        behind = _pair(cast, scenario, inside=True)
        if behind != pair:
            moved = tuple(_translate(f, pair, behind) for f in frames)
            flows.append(
                (_without_ports(scenario, ((str(behind[0]), ports[0]), (str(behind[1]), ports[1]))), moved[0].time)
            )
            frames += moved
    return Performance(scenario, frames, tuple(flows))


def _keep_to_policy(cast: Cast, scenario: Scenario) -> None:
    """The tables speak of rules as they are shipped. Raises NotCast where the site's own policy changes the outcome."""
    expect, policy = scenario.expect, cast.topology.policy
    for rule in (*expect.rules, *expect.silenced):
        word = policy.severity_of(rule)
        if word in (names.OFF, "info") or (word is not None and len(expect.rules) > 1):
            raise NotCast(f"policy.rules sets {rule} to {word}")
    if str(scenario.talk.get("version", policy.tls_minimum)) < policy.tls_minimum:
        raise NotCast(f"policy.tls_minimum is {policy.tls_minimum}")


def _pair(cast: Cast, scenario: Scenario, *, inside: bool) -> tuple[Address, Address]:
    """The first address of each end such that both are of one family, IPv4 before IPv6."""
    sides = [cast.part(words).seen(inside) for words in (scenario.source, scenario.destination)]
    for version in (4, 6):
        found = [next((a for a in side if a.version == version), None) for side in sides]
        if found[0] is not None and found[1] is not None:
            if found[0] == found[1]:
                raise NotCast("both ends have the same address")
            return found[0], found[1]
    raise NotCast(f"{scenario.source!r} and {scenario.destination!r} share no address family")


def _source_port(cast: Cast, scenario: Scenario, number: int) -> int:
    return FIRST_PORT + number if scenario.source_port is None else cast.port(scenario.source_port)


def _without_ports(scenario: Scenario, ends: Ends) -> Ends:
    return ((ends[0][0], None), (ends[1][0], None)) if scenario.transport == "icmp" else ends


def _send(flow: wire.Wire, scenario: Scenario, spoken: Script) -> int:
    """Put the script on the wire; how many of the first frames a sensor that joined late has missed."""
    if scenario.transport == "icmp":
        wire.echo(flow, identity=flow.ends[Speaker.SOURCE].sequence & 0xFFFF)
        return 0
    if scenario.transport == "udp":
        wire.udp(flow, spoken.turns)
        if scenario.answer == "port unreachable":
            wire.port_unreachable(flow, flow.frames[-1].octets)
        return spoken.opening if scenario.joined_late else 0
    tcp = wire.Tcp(flow, scenario.upset)
    if scenario.answer == "none":
        tcp.unanswered()
        return 0
    if scenario.answer == "rst":
        tcp.refused()
        return 0
    tcp.open()
    missed = 0
    for number, turn in enumerate(spoken.turns):
        if number == spoken.opening:
            missed = len(flow.frames)
        tcp.say(turn)
    tcp.close(scenario.ending)
    return missed if scenario.joined_late else 0


def _translate(frame: wire.Frame, before: tuple[Address, Address], after: tuple[Address, Address]) -> wire.Frame:
    """The frame behind the firewall: own addresses translated, one hop on, checksums made anew."""
    packet: Any = Ether(frame.octets)
    network = packet[IPv6] if packet.haslayer(IPv6) else packet[IP]
    change = {str(old): str(new) for old, new in zip(before, after, strict=True)}
    network.src, network.dst = change.get(network.src, network.src), change.get(network.dst, network.dst)
    if packet.haslayer(IPv6):
        network.hlim -= 1
    else:
        network.ttl -= 1
        del network.chksum
    for layer in (TCP, UDP):
        if packet.haslayer(layer):
            del packet[layer].chksum
    return wire.Frame(frame.time + TRANSLATION_TAKES, bytes(packet))
