"""Evidence of a finding: the first packets of its sample flows, cut out of the captures into a pcapng of their own.

Strategy: a flow carries places, not packets: (capture number, offset of the record in the decoded stream). After the
verdict each capture is read once more, front to back, and the records at the wanted offsets are copied. A record of a
pcap file needs that file's header to be understood; a block of a pcapng needs the interfaces described before it in its
section, so blocks are walked by their lengths alone. Packets of all captures are written as enhanced packet blocks with
times in nanoseconds, oldest first, below a section comment that names finding and rule.

pcapng is draft-ietf-opsawg-pcapng; pcap is draft-ietf-opsawg-pcap with the modified form of libpcap (a1b2cd34).
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from monitor.aggregate import Finding
from monitor.capture_files import CaptureReader, DescriptorPool
from monitor.learned import Learned
from rules.verdict import Hit

PACKETS: Final = 16
"""Packets of each sample flow: a TCP and a TLS handshake with certificates fit."""

_OFFSET_BITS: Final = 48
_SECTION: Final = 0x0A0D0D0A
_INTERFACE: Final = 1
_PACKET: Final = 2  # obsolete, still written by old tools
_SIMPLE: Final = 3
_ENHANCED: Final = 6
_PCAP_MAGIC: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000, 16),
    b"\xa1\xb2\xc3\xd4": (">", 1000, 16),
    b"\x4d\x3c\xb2\xa1": ("<", 1, 16),
    b"\xa1\xb2\x3c\x4d": (">", 1, 16),
    b"\x34\xcd\xb2\xa1": ("<", 1000, 24),
    b"\xa1\xb2\xcd\x34": (">", 1000, 24),
}
"""Magic → byte order, nanoseconds per unit of the fraction, length of a record header."""

_LARGEST_BLOCK: Final = 64 * 1024 * 1024
"""Octets of one block that the walk still follows; a larger length is taken for damage, as the core does."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One captured packet. `time`: ns since 1970; `length`: octets on the wire."""

    time: int
    link_type: int
    length: int
    data: bytes


Place = tuple[str, int]
"""Name of a capture in the result, offset of a packet's record in it."""


def sample_packets(found: Sequence[Finding], capture_paths: Mapping[str, str]) -> dict[Place, Packet]:
    """The packets of the findings' samples; each capture is read once more.

    capture_paths: where each capture is, by the name it has in the result.
    """
    wanted: dict[str, set[int]] = {}
    for finding in found:
        for capture, offset in places(finding):
            wanted.setdefault(capture, set()).add(offset)
    return {
        (capture, offset): packet
        for capture, offsets in sorted(wanted.items())
        for offset, packet in packets_at(capture_paths[capture], offsets).items()
    }


def write_evidence(
    folder: str, found: Sequence[Finding], packets: Mapping[Place, Packet]
) -> dict[str, list[dict[str, Any]]]:
    """One file a finding in `folder` (made when missing); what to say of each, by finding id.

    packets: those of the samples. Raises OSError when nothing can be written.
    """
    os.makedirs(folder, exist_ok=True)
    evidence = {}
    for finding in found:
        mine = in_order(packets[place] for place in places(finding) if place in packets)
        name = f"{finding.hit.rule}-{finding.id}.pcapng"
        stored = slice_file(mine, comment_of(finding.id, finding.hit, finding.reason))
        replace_file(os.path.join(folder, name), stored)
        evidence[finding.id] = [
            {"path": name, "sha256": hashlib.sha256(stored).hexdigest(), "packets": len(mine)},
        ]
    return evidence


def in_order(packets: Iterable[Packet]) -> list[Packet]:
    """As they stand in a slice: by time, equal ones by their octets."""
    return sorted(packets, key=lambda packet: (packet.time, packet.data))


def places(finding: Finding) -> list[Place]:
    """Of the packets of the finding's samples, each once."""
    return list(dict.fromkeys(place for _, row, learned in finding.samples for place in places_of(row, learned)))


def places_of(row: Any, learned: Learned) -> list[Place]:
    """Of the packets of one sample."""
    return [
        (learned.origin.captures[place >> _OFFSET_BITS], place & ((1 << _OFFSET_BITS) - 1))
        for place in (row["edgewarden.packets"][0].as_py() or [])[:PACKETS]
    ]


def comment_of(finding: str, hit: Hit, reason: str | None = None) -> str:
    """What a slice says of itself. reason: that of the whole finding, where it is known."""
    return f"Edgewarden evidence. Finding {finding}. Rule {hit.rule} ({hit.severity}). {reason or hit.reason}"


def replace_file(path: str, data: bytes) -> None:
    """Write beside it and put it in its place. Raises OSError."""
    temporary = f"{path}.part"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


# --- reading ---------------------------------------------------------------------------------------------------------


class _Window:
    """Sequential access by offset to the decoded bytes of a capture."""

    def __init__(self, path: str) -> None:
        self._pool = DescriptorPool()
        self._reader = CaptureReader(path, self._pool)
        self._block = b""
        self._start = 0  # offset of the block

    def at(self, offset: int, count: int) -> bytes:
        """The octets at `offset` (never before an earlier one), fewer at the end of the file."""
        while offset >= self._start + len(self._block):
            self._start += len(self._block)
            self._block = self._reader.read()
            if not self._block:
                return b""
        begin = offset - self._start
        data = self._block[begin : begin + count]
        while len(data) < count:
            more = self._reader.read()
            if not more:
                break
            self._start += begin
            self._block = self._block[begin:] + more
            begin = 0
            data = self._block[:count]
        return data

    def close(self) -> None:
        self._reader.close()
        self._pool.close_all()


def packets_at(path: str, offsets: Iterable[int]) -> dict[int, Packet]:
    """The packets whose records begin at these offsets; one that cannot be read (again) is left out."""
    wanted = sorted(set(offsets))
    window = _Window(path)
    try:
        magic = window.at(0, 4)
        if magic in _PCAP_MAGIC:
            return _from_pcap(window, wanted, *_PCAP_MAGIC[magic])
        return _from_pcapng(window, wanted)
    finally:
        window.close()


def slice_packets(data: bytes) -> list[Packet]:
    """All packets of a slice as `slice_file` makes it; what is none has none."""
    link_types: list[int] = []
    packets = []
    offset = 0
    while offset + 32 <= len(data):
        kind, size = struct.unpack_from("<II", data, offset)
        if size < 12:
            break
        if kind == _INTERFACE:
            link_types.append(struct.unpack_from("<H", data, offset + 8)[0])
        elif kind == _ENHANCED:
            number, high, low, captured, length = struct.unpack_from("<IIIII", data, offset + 8)
            octets = data[offset + 28 : offset + 28 + captured]
            if number < len(link_types) and len(octets) == captured:
                packets.append(Packet(high << 32 | low, link_types[number], length, octets))
        offset += size
    return packets


def _from_pcap(window: _Window, wanted: Sequence[int], order: str, unit: int, header: int) -> dict[int, Packet]:
    found: dict[int, Packet] = {}
    file_header = window.at(0, 24)
    if len(file_header) < 24:
        return found
    link_type = struct.unpack(order + "I", file_header[20:24])[0] & 0xFFFF  # above: FCS length and reserved bits
    for offset in wanted:
        record = window.at(offset, header)
        if len(record) < header:
            break
        seconds, fraction, captured, length = struct.unpack(order + "IIII", record[:16])
        if captured > _LARGEST_BLOCK:
            continue
        data = window.at(offset, header + captured)[header:]
        if len(data) == captured:
            found[offset] = Packet(seconds * 1_000_000_000 + fraction * unit, link_type, length, data)
    return found


def _from_pcapng(window: _Window, wanted: Sequence[int]) -> dict[int, Packet]:
    found: dict[int, Packet] = {}
    order = "<"
    interfaces: list[_Interface] = []
    last_time = 0
    targets = set(wanted)
    offset = 0
    while targets and offset <= wanted[-1]:
        head = window.at(offset, 28)
        if len(head) < 12:
            break
        kind = struct.unpack("<I", head[:4])[0]
        if kind == _SECTION:
            order = "<" if head[8:12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        kind, size = struct.unpack(order + "II", head[:8])
        if size < 12 or size % 4 or size > _LARGEST_BLOCK:
            break
        if kind == _INTERFACE:
            interfaces.append(_interface(window.at(offset, size), order))
        elif kind in (_ENHANCED, _PACKET) and len(head) >= 28:
            last_time = _block_time(head, order, kind, interfaces)
        if offset in targets:
            packet = _packet_of_block(window.at(offset, size), order, kind, interfaces, last_time)
            if packet is not None:
                found[offset] = packet
            targets.discard(offset)
        offset += size
    return found


@dataclass(frozen=True, slots=True)
class _Interface:
    link_type: int
    snap_length: int
    resolution: int  # if_tsresol as stored: power of ten, or of two with the high bit
    offset_seconds: int

    def nanoseconds(self, units: int) -> int:
        power = self.resolution & 0x7F
        per_second: int = 1 << power if self.resolution & 0x80 else 10**power
        return self.offset_seconds * 1_000_000_000 + units * 1_000_000_000 // per_second


def _interface(block: bytes, order: str) -> _Interface:
    link_type, _, snap_length = struct.unpack(order + "HHI", block[8:16].ljust(8, b"\0"))
    resolution, offset_seconds = 6, 0
    position = 16
    while position + 4 <= len(block) - 4:
        code, length = struct.unpack(order + "HH", block[position : position + 4])
        value = block[position + 4 : position + 4 + length]
        if code == 0:
            break
        if code == 9 and length == 1:  # if_tsresol
            resolution = value[0]
        elif code == 14 and length == 8:  # if_tsoffset
            offset_seconds = struct.unpack(order + "q", value)[0]
        position += 4 + (length + 3) // 4 * 4
    return _Interface(link_type, snap_length, resolution, offset_seconds)


def _block_time(head: bytes, order: str, kind: int, interfaces: Sequence[_Interface]) -> int:
    number, high, low = struct.unpack(order + ("III" if kind == _ENHANCED else "HxxII"), head[8:20])
    if number >= len(interfaces):
        return 0
    interface: _Interface = interfaces[number]
    return interface.nanoseconds(high << 32 | low)


def _packet_of_block(
    block: bytes, order: str, kind: int, interfaces: Sequence[_Interface], last_time: int
) -> Packet | None:
    if kind == _SIMPLE and interfaces and len(block) >= 16:  # no time of its own: that of the packet before it
        length = struct.unpack(order + "I", block[8:12])[0]
        snap = interfaces[0].snap_length
        captured = min(length, snap) if snap else length
        data = block[12 : 12 + captured]
        return Packet(last_time, interfaces[0].link_type, length, data) if len(data) == captured else None
    if kind not in (_ENHANCED, _PACKET) or len(block) < 32:
        return None
    number = struct.unpack(order + ("I" if kind == _ENHANCED else "H"), block[8 : 12 if kind == _ENHANCED else 10])[0]
    captured, length = struct.unpack(order + "II", block[20:28])
    data = block[28 : 28 + captured]
    if number >= len(interfaces) or len(data) != captured:
        return None
    return Packet(last_time, interfaces[number].link_type, length, data)


# --- writing ---------------------------------------------------------------------------------------------------------


def slice_file(packets: Sequence[Packet], comment: str) -> bytes:
    """A whole pcapng, little-endian, one interface for each link type. Equal input gives equal bytes."""
    link_types = sorted({packet.link_type for packet in packets})
    section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _options((1, comment.encode()), (4, b"Edgewarden"))
    blocks = [_block(_SECTION, section)]
    for link_type in link_types:
        blocks.append(_block(_INTERFACE, struct.pack("<HHI", link_type, 0, 0) + _options((9, b"\x09"))))
    for packet in packets:
        body = struct.pack(
            "<IIIII",
            link_types.index(packet.link_type),
            packet.time >> 32 & 0xFFFFFFFF,
            packet.time & 0xFFFFFFFF,
            len(packet.data),
            packet.length,
        )
        blocks.append(_block(_ENHANCED, body + _padded(packet.data)))
    return b"".join(blocks)


def _block(kind: int, body: bytes) -> bytes:
    size = len(body) + 12
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


def _options(*options: tuple[int, bytes]) -> bytes:
    stored = b"".join(struct.pack("<HH", code, len(value[:65535])) + _padded(value[:65535]) for code, value in options)
    return stored + bytes(4)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
