"""Captures made from the shipped ones: cut, split, one direction of them, packed; written here, byte by byte."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from monitor.evidence import Packet, packets_at
from parsers import Engine

ROOT = Path(__file__).parents[2]
PCAPS = ROOT / "pcaps"
TOPOLOGY = str(PCAPS / "contoso.yaml")
CLEAN = {position: str(PCAPS / f"clean-{position}.pcapng") for position in ("external", "internal")}
BROKEN = {position: str(PCAPS / f"violations-{position}.pcapng") for position in ("external", "internal")}

ETHERNET = 1


def pcap(packets: Iterable[Packet], link_type: int = ETHERNET) -> bytes:
    """A pcap file in microseconds, little-endian."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link_type)]
    for packet in packets:
        assert packet.link_type == link_type
        seconds, nanoseconds = divmod(packet.time, 1_000_000_000)
        parts.append(struct.pack("<IIII", seconds, nanoseconds // 1000, len(packet.data), packet.length) + packet.data)
    return b"".join(parts)


@cache
def places(path: str, first: int = 16) -> tuple[tuple[int, ...], ...]:
    """For each flow of a capture the offsets of its first packets."""
    engine = Engine(positions=first)
    engine.add_capture()
    engine.feed(0, Path(path).read_bytes())
    engine.finish(0)
    engine.close()
    batch = pa.record_batch(engine.take())
    return tuple(tuple(place & ((1 << 48) - 1) for place in row) for row in batch["edgewarden.packets"].to_pylist())


@cache
def all_packets(path: str) -> tuple[Packet, ...]:
    """Every packet of a pcapng, found by walking its blocks here and read by the code under test for evidence."""
    data = Path(path).read_bytes()
    offsets, position = [], 0
    while position + 12 <= len(data):
        kind, size = struct.unpack("<II", data[position : position + 8])
        if kind == 6:
            offsets.append(position)
        position += size
    found = packets_at(path, offsets)
    return tuple(found[offset] for offset in offsets)


def first_packets(path: str, count: int) -> bytes:
    """A capture of the first packets of each flow only."""
    wanted = {offset for flow in places(path, count) for offset in flow}
    return pcap(sorted(packets_at(path, wanted).values(), key=lambda packet: packet.time))


def kept(path: str, keep: Callable[[str, str], bool]) -> bytes:
    """A capture of the IPv4 packets whose source and destination address are to be kept."""
    return pcap(packet for packet in all_packets(path) if keep(*addresses(packet)))


def addresses(packet: Packet) -> tuple[str, str]:
    """Source and destination of an untagged or tagged IPv4 packet on Ethernet; "" of others."""
    data = packet.data
    offset = 12
    while data[offset : offset + 2] in (b"\x81\x00", b"\x88\xa8"):
        offset += 4
    if data[offset : offset + 2] != b"\x08\x00":
        return "", ""
    header = data[offset + 2 :]
    return str(ipaddress.ip_address(header[12:16])), str(ipaddress.ip_address(header[16:20]))


def ports(packet: Packet) -> tuple[int, int]:
    """Of an untagged IPv4 packet without options, of TCP or UDP."""
    return int.from_bytes(packet.data[34:36]), int.from_bytes(packet.data[36:38])


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    """A row less some fields of `edgewarden`."""
    return {**row, "edgewarden": {key: value for key, value in row["edgewarden"].items() if key not in names}}
