"""Packets as the blocks of a TPACKET_V3 ring, laid out as linux/if_packet.h says."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from monitor.evidence import Packet

ETHERNET = 1  # ARPHRD_ETHER
_BLOCK = struct.Struct(
    "=IIIIIIQIIII"
)  # version, offset_to_priv, status, num_pkts, first, blk_len, seq, ts_first, ts_last
_PACKET = struct.Struct(
    "=IIIIIIHHIIHH8x"
)  # next, sec, nsec, snaplen, len, status, mac, net, rxhash, tci, tpid, padding
_ADDRESS = struct.Struct("=H2siHBB8x")  # sockaddr_ll: family, protocol, ifindex, hatype, pkttype, halen
_MAC = 82  # so that what follows the Ethernet header is aligned, as the kernel does it


def block(packets: Sequence[Packet], number: int = 0) -> bytes:
    """One block; its packets are of Ethernet."""
    bodies = []
    for place, packet in enumerate(packets):
        size = (_MAC + len(packet.data) + 15) // 16 * 16
        seconds, nanoseconds = divmod(packet.time, 1_000_000_000)
        header = _PACKET.pack(
            size if place + 1 < len(packets) else 0,
            seconds,
            nanoseconds,
            len(packet.data),
            packet.length,
            1,
            _MAC,
            _MAC + 14,
            0,
            0,
            0,
            0,
        )
        address = _ADDRESS.pack(17, packet.data[12:14], 1, ETHERNET, 0, 6)
        bodies.append((header + address).ljust(_MAC, b"\0") + packet.data + bytes(size - _MAC - len(packet.data)))
    body = b"".join(bodies)
    times = [part for at in (packets[0].time, packets[-1].time) for part in divmod(at, 1_000_000_000)]
    return _BLOCK.pack(1, 0, 1, len(packets), _BLOCK.size, _BLOCK.size + len(body), number, *times) + body


def blocks(packets: Sequence[Packet], size: int) -> Iterator[bytes]:
    """All packets, so many in a block."""
    for number, start in enumerate(range(0, len(packets), size)):
        yield block(packets[start : start + size], number)
