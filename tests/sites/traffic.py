"""A site's table of flows and the captures made of it.

A table (`SITE.flows.yaml`) names hosts, and per sensor position the flows seen there, each with what the documents
say about it. `over`: tcp (default), udp, icmp, ipv6-icmp, esp. `as` (tcp): `whole` (default), `syn` (nobody
answers), `rst` (refused), `late` (joined: no handshake, no end), `reset` (the destination ends it with RST);
(udp) `unreachable`: the destination's firewall says so by ICMP. `when`: seconds after the capture's first packet.
`several`: what takes several flows together to show; it changes no verdict.
`seen`: what of it the sensor caught, `there` or `back` (one direction), `head` or `tail` (its first, its last packets).
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import PcapWriter

from monitor.simulate.exchange import Turn
from monitor.simulate.wire import MICRO, Frame, Tcp, echo, fresh, port_unreachable, udp
from rules.load import load
from rules.topology import Topology
from tests.sites.speech import NOBODY, START, Ends, turns

FOLDER = Path(__file__).parent
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")
PROTOCOLS = {"esp": 50}
EVERY = 0.4  # seconds between the starts of two flows: a hundred of them begin inside the first 120 seconds


@dataclass(frozen=True, slots=True)
class Expectation:
    """One row of the table, resolved. `key` finds the flow again, whichever end the product takes for its source."""

    title: str
    position: str
    source: tuple[str, int | None]
    destination: tuple[str, int | None]
    protocol: str
    verdict: str
    path: str | None
    rules: list[str]
    silenced: list[str] | None
    unproved: list[str]
    source_is: str | None
    row: dict[str, Any] = field(compare=False)

    @property
    def key(self) -> tuple[str, str, frozenset[tuple[str, int | None]]]:
        return self.position, self.protocol, frozenset((self.source, self.destination))


@cache
def document(site: str) -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load(FOLDER / f"{site}.flows.yaml")
    return content


def several(site: str) -> dict[tuple[str, str], int]:
    """(rule, position) → flows of the findings over several flows that the table expects."""
    return {(entry["rule"], entry["position"]): entry["flows"] for entry in document(site).get("several", ())}


@cache
def table(site: str) -> tuple[Expectation, ...]:
    hosts, result = document(site)["hosts"], []
    for position in ("external", "internal"):
        for number, row in enumerate(document(site)[position]):
            over = str(row.get("over", "tcp"))
            ports = over in ("tcp", "udp")
            source = (hosts[row["from"]], row.get("source_port", 40000 + number) if ports else None)
            destination = (hosts[row["to"]], row["port"] if ports else None)
            result.append(
                Expectation(
                    title=f"{site}, {position} {number + 1}: {row['from']} -> {row['to']}:{row.get('port')}/{over} "
                    f"{row.get('say', 'nothing')}, {row.get('as', 'whole')}",
                    position=position,
                    source=source,
                    destination=destination,
                    protocol=over,
                    verdict=row["is"],
                    path=row.get("path"),
                    rules=row.get("rules", []),
                    silenced=row.get("silenced", []),
                    unproved=row.get("unproved", []),
                    source_is=hosts[row["source_is"]] if "source_is" in row else None,
                    row=row | {"number": number},
                )
            )
    return tuple(result)


@cache
def played(site: str) -> tuple[tuple[Expectation, list[Frame]], ...]:
    """Each row with its frames. Every flow has a handshake of its own: two alike would be one that was passed on."""
    shown = certificates(load(FOLDER / f"{site}.yaml"))
    return tuple(
        (
            expected,
            frames(expected, Ends(*(shown.get(end[0], NOBODY) for end in (expected.source, expected.destination)))),
        )
        for expected in table(site)
    )


def certificates(topology: Topology) -> dict[str, tuple[str, ...]]:
    """Address → the names that the vendor's certificate summaries ask for there, the subject first."""
    found: dict[str, tuple[str, ...]] = {}

    def show(addresses: Iterable[object], *names: str | None) -> None:
        found.update({str(address): tuple(name for name in names if name) for address in addresses})

    for pool in topology.edge_pools:
        outer = (pool.access.fqdn, pool.webconf.fqdn, pool.xmpp.fqdn, *topology.sip_domains)
        for virtual in (pool.vips.access, pool.vips.webconf, pool.vips.av):
            show(virtual.all, *outer)
        show(pool.vips.internal, pool.fqdn)
        for edge in pool.members:
            for service in (edge.access, edge.webconf, edge.av):
                show(service.all, *outer)
            show(edge.internal, pool.fqdn)
    for proxy in topology.reverse_proxies:
        for face in (proxy.external, *(member.external for member in proxy.members)):
            show(face.all, *(entry.host for entry in proxy.publishes))
    for servers in (*topology.director_pools, *topology.front_end_pools):
        show((*servers.web.vip, *servers.sip_vip), servers.fqdn, servers.web.external)
        for server in servers.members:
            show(server.address, servers.fqdn, server.fqdn, servers.web.external)
    for single in (*topology.office_web_apps, *topology.branch_appliances):
        entries = (entry for proxy in topology.reverse_proxies for entry in proxy.publishes)
        show(single.address, *(entry.host for entry in entries if entry.to == single.fqdn), single.fqdn)
    for partner in topology.federation.sip_partners:
        show(partner.access, partner.access_fqdn or f"sip.{partner.domain}")
    return found


def frames(expected: Expectation, ends: Ends) -> list[Frame]:
    row = expected.row
    start = round((START.timestamp() + row.get("when", EVERY * row["number"])) * MICRO)
    one, other = ((end[0], end[1] or 0) for end in (expected.source, expected.destination))
    wire = fresh(one, other, MACS, start, 2_000, random.Random(row["number"]))
    how, said = row.get("as", "whole"), row.get("say", "nothing")
    if expected.protocol in ("icmp", "ipv6-icmp"):
        echo(wire, 77 + row["number"])
        if how == "unanswered":
            wire.frames = wire.frames[::2]
    elif expected.protocol == "udp":
        udp(wire, turns(said, ends))
        if how == "unreachable":
            port_unreachable(wire, wire.frames[0].octets)
    elif expected.protocol == "tcp":
        _tcp(Tcp(wire), how, turns(said, ends))
    else:
        number = PROTOCOLS[expected.protocol]
        layer = (IPv6 if ":" in expected.source[0] else IP)(src=expected.source[0], dst=expected.destination[0])
        setattr(layer, "nh" if ":" in expected.source[0] else "proto", number)
        wire.frames.append(Frame(start, bytes(Ether(src=MACS[0], dst=MACS[1]) / layer / Raw(bytes(40)))))
    return _seen(wire.frames, row.get("seen", "all"))


def _seen(sent: list[Frame], what: str) -> list[Frame]:
    if what in ("there", "back"):
        opener = sent[0].octets[6:12]  # the Ethernet source of the first frame
        return [frame for frame in sent if (frame.octets[6:12] == opener) == (what == "there")]
    return {"all": sent, "head": sent[:4], "tail": sent[len(sent) // 2 :]}[what]


def _tcp(tcp: Tcp, how: str, said: Iterable[Turn]) -> None:
    if how == "syn":
        tcp.unanswered()
        return
    if how == "rst":
        tcp.refused()
        return
    if how != "late":
        tcp.open()
    for turn in said:
        tcp.say(turn)
    tcp.close({"whole": "fin", "late": "open", "reset": "rst"}[how])


def write(flows: Iterable[tuple[Expectation, list[Frame]]], position: str, path: Path) -> None:
    """A capture of the flows at one position."""
    pcap((frame for expected, sent in flows if expected.position == position for frame in sent), path)


def pcap(frames: Iterable[Frame], path: Path) -> None:
    """A capture of these frames in the order of time."""
    with PcapWriter(str(path), linktype=1) as writer:
        writer.write_header(Ether())
        for frame in sorted(frames, key=lambda frame: frame.time):
            writer.write_packet(frame.octets, sec=frame.time // MICRO, usec=frame.time % MICRO)
