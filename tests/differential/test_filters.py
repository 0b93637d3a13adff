"""Compares which packets a filter wants with tcpdump's own answer: over packets of the shipped captures, the same
inside VLANs, in IPv6 and without a link header, and copies with octets changed or cut off."""

from __future__ import annotations

import random
import re
import struct
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from scapy.utils import RawPcapReader

from monitor.packet_filter import ETHERNET, RAW, Program, compile_filter
from parsers import Engine
from tests.corpus import SHIPPED

EXPRESSIONS = (
    "tcp port 5061",
    "udp portrange 50000-59999 or portrange 3000-4000",
    "host 192.0.2.10 or net 203.0.113.0/24 and not ip6",
    "src net 10.0.0.0/8 and dst port 443",
    "ip6 and tcp",
    "icmp or icmp6 or ip proto 50",
    "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn",
    "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420 or tcp[((tcp[12:1] & 0xf0) >> 2)] = 22",
    "udp[8:2] & 0xc000 = 0x8000 and udp[4:2] >= 172",
    "ip[6:2] & 0x1fff != 0 or ip[8] * 3 - 100 > ip[9] + 7",
    "greater 90 and less 400 and len & 1 = 1",
    "ip[ip[0] & 15] > 3 and ip[2:2] % 7 = 3 or ip[4:2] / 5 = 100",
)
ON_ETHERNET = (
    "vlan 7 and tcp port 5061",
    "vlan and udp",
    "not vlan and ether[6:4] > 1",
    "vlan and vlan and ip",
    "arp",
)


def pcap(path: Path, link_type: int, frames: list[bytes]) -> Path:
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, link_type))
        for at, frame in enumerate(frames):
            out.write(struct.pack("<IIII", at, 0, len(frame), len(frame) + at % 3) + frame)
    return path


def shipped() -> list[bytes]:
    """Every tenth frame of the shipped captures, all of them Ethernet."""
    found: list[bytes] = []
    for capture in SHIPPED:
        with RawPcapReader(str(capture)) as reader:
            found += [bytes(octets) for octets, _ in list(reader)[::10]]
    return found


def changed(frames: list[bytes]) -> Iterator[bytes]:
    chance = random.Random("changed")
    for frame in frames:
        copy = bytearray(frame[: chance.randrange(len(frame) + 1)] if chance.random() < 0.5 else frame)
        for _ in range(chance.randrange(4) if copy else 0):
            copy[chance.randrange(min(len(copy), 60))] = chance.randrange(256)
        yield bytes(copy)


def within(frames: list[bytes]) -> Iterator[bytes]:
    """In VLAN 7, in VLAN 7 and 9, and as they are, in turn."""
    tags = (bytes.fromhex("81000007"), bytes.fromhex("88a8006481000009"), b"")
    for at, frame in enumerate(frames):
        yield frame[:12] + tags[at % 3] + frame[12:]


def in_ipv6(frames: list[bytes]) -> Iterator[bytes]:
    """What IPv4 carries, in IPv6 (RFC 8200 section 3)."""
    for frame in frames:
        if frame[12:15] == b"\x08\x00\x45":
            network = bytes.fromhex("20010db80000000000000000")
            length = struct.pack("!H", len(frame) - 34)
            head = b"\x60\0\0\0" + length + frame[23:24] + frame[22:23]
            yield frame[:12] + b"\x86\xdd" + head + network + frame[26:30] + network + frame[30:]


def tcpdump(path: Path, expression: str) -> int:
    done = subprocess.run(
        ["tcpdump", "-Z", "root", "-n", "--count", "-r", str(path), expression],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"^(\d+) packets?$", done.stdout, re.MULTILINE)
    assert found, done
    return int(found[1])


@cache
def programs(expression: str) -> dict[int, Program]:
    return compile_filter(expression, [ETHERNET, RAW])


def wanted(path: Path, link_type: int, expression: str) -> int:
    engine = Engine()
    engine.filter(link_type, programs(expression)[link_type])
    engine.feed(engine.add_capture(), path.read_bytes())
    engine.finish(0)
    info = engine.capture_info(0)
    assert info["error"] is None
    accounting = info["accounting"]
    assert isinstance(accounting, dict)
    return int(str(info["packets"])) - int(accounting["filtered"])


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Path]]:
    folder = tmp_path_factory.mktemp("filters")
    frames = shipped()
    frames += in_ipv6(frames)
    bare = [frame[14:] for frame in frames]
    made = {
        ETHERNET: {"whole": frames, "changed": list(changed(frames)), "tagged": list(within(frames))},
        RAW: {"whole": bare, "changed": list(changed(bare))},
    }
    return {
        link_type: [pcap(folder / f"{link_type}-{name}.pcap", link_type, frames) for name, frames in kinds.items()]
        for link_type, kinds in made.items()
    }


@pytest.mark.parametrize("expression", EXPRESSIONS + ON_ETHERNET)
def test_wants_what_tcpdump_wants(captures: dict[int, list[Path]], expression: str) -> None:
    some = 0
    for link_type in (ETHERNET, RAW) if expression in EXPRESSIONS else (ETHERNET,):
        for path in captures[link_type]:
            theirs = tcpdump(path, expression)
            assert wanted(path, link_type, expression) == theirs, path.name
            some += theirs
    if expression != "arp":
        assert some, "an expression that wants nothing proves little"


def test_a_link_type_without_a_program_is_said(captures: dict[int, list[Path]]) -> None:
    engine = Engine()
    engine.filter(ETHERNET, [(6, 0, 0, 1)])
    path = captures[RAW][0]
    engine.feed(engine.add_capture(), path.read_bytes())
    info = engine.capture_info(0)
    assert "link type 101, for which the filter has no meaning" in str(info["error"])
    accounting = info["accounting"]
    assert isinstance(accounting, dict)
    assert accounting["filtered"] == info["packets"]


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ([], "1 to 4096 instructions"),
        ([(0x28, 0, 0, 0xFFFFF004), (6, 0, 0, 1)], "instruction 0 asks what only the kernel knows"),
        ([(5, 0, 0, 9), (6, 0, 0, 1)], "instruction 0 jumps out of the program"),
    ],
)
def test_a_program_that_cannot_be_run_is_refused(program: list[tuple[int, int, int, int]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Engine().filter(ETHERNET, program)
