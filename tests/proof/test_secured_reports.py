"""SRTCP on its own ports, whose allocation lies before the capture, is the media that it is: every running call has it.
What only resembles it is still found."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from monitor.evidence import Packet
from tests.house.captures import ETHERNET, pcap
from tests.proof.test_contoso import judge

CLIENT, RELAY = bytes([192, 0, 2, 26]), bytes([203, 0, 113, 30])
"""A user at home, and the public address of contoso's A/V Edge service."""
PORTS = (52010, 3478)
SECONDS = 1_000_000_000
INTERVAL = 5 * SECONDS
"""Between two reports of one source (RFC 3550 6.2)."""


def report(chance: random.Random, source: int, word: int, key: bytes = b"") -> bytes:
    """A receiver report with one block, as RFC 3711 3.4 leaves it: header and SSRC, what is encrypted, E flag and
    index, key identifier, tag."""
    head = b"\x81\xc9\x00\x07" + source.to_bytes(4)
    return head + chance.randbytes(24) + word.to_bytes(4) + key + chance.randbytes(10)


def datagram(outward: bool, payload: bytes) -> bytes:
    """On Ethernet, IPv4 and UDP; checksums are never looked at."""
    (source, destination), ports = ((RELAY, CLIENT), PORTS[::-1]) if outward else ((CLIENT, RELAY), PORTS)
    udp = b"".join(number.to_bytes(2) for number in (*ports, 8 + len(payload), 0)) + payload
    ip = b"\x45\x00" + (20 + len(udp)).to_bytes(2) + b"\x00\x07\x00\x00\x40\x11\x00\x00" + source + destination
    return b"\x02\0\0\0\0\2\x02\0\0\0\0\1\x08\x00" + ip + udp


def audit(tmp_path: Path, payloads: Iterable[tuple[bool, bytes]], snap_length: int = 1_500) -> dict[str, Any]:
    """The result of an audit of these datagrams, (from the relay, octets)."""
    capture = tmp_path / "media.pcap"
    frames = [datagram(outward, payload) for outward, payload in payloads]
    start = 1_400_000_000 * SECONDS
    capture.write_bytes(
        pcap(
            Packet(start + at * INTERVAL, ETHERNET, len(frame), frame[:snap_length]) for at, frame in enumerate(frames)
        )
    )
    result = judge({"external": capture})
    assert result["totals"]["flows"] == 1
    return result


@pytest.mark.parametrize("key", [b"", b"\x01", b"\x00\x00\x00\x01", b"\x2a" * 8])
@pytest.mark.parametrize("flag", [0, 1 << 31])
def test_reports_that_follow_each_other_are_media(tmp_path: Path, key: bytes, flag: int) -> None:
    chance = random.Random(1)
    talk = [(bool(n % 2), report(chance, 100 + n % 2, flag + 70 + n // 2, key)) for n in range(40)]
    result = audit(tmp_path, talk)
    assert (result["findings"], result["totals"]["allowed"]) == ([], 1)
    used = {path["id"] for path in result["paths"] if path["flows"]}
    assert used == {"ext-av-udp-in"}


@pytest.mark.parametrize("count", [1, 2])
def test_a_lone_report_of_each_side_accuses_nobody(tmp_path: Path, count: int) -> None:
    chance = random.Random(2)
    talk = [(bool(n), report(chance, 100 + n, (1 << 31) + 9) + chance.randbytes(60)) for n in range(count)]
    result = audit(tmp_path, talk)
    assert (result["findings"], result["totals"]["undecided"]) == ([], 1)


def test_reports_whose_end_was_cut_off_accuse_nobody(tmp_path: Path) -> None:
    chance = random.Random(3)
    sender = b"\x80\xc8\x00\x06" + bytes(3) + b"\x07"
    talk = [(bool(n % 2), sender + chance.randbytes(120)) for n in range(40)]
    result = audit(tmp_path, talk, snap_length=128)
    assert (result["findings"], result["totals"]["undecided"]) == ([], 1)


def test_what_only_begins_like_reports_is_found(tmp_path: Path) -> None:
    """A header that fits, and no index behind it."""
    chance = random.Random(4)
    talk = [(bool(n % 2), b"\x81\xc9\x00\x07" + bytes(3) + b"\x07" + chance.randbytes(60)) for n in range(40)]
    result = audit(tmp_path, talk)
    assert [finding["severity"] for finding in result["findings"]] == ["high"]
