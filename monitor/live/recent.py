"""The newest blocks of a sensor's rings, as long as there is room, and the packets in them.

Strategy: a flow of a live session carries places, ring number and offset in the sum of all octets fed. The blocks stay
as the very objects that were fed; of a place the packet is read out of its block, the VLAN tag that the hardware took
off put back. What is older than the room allows is gone.

Layout: `struct tpacket3_hdr` and `struct sockaddr_ll` of linux/if_packet.h.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import deque
from typing import Final

from monitor.evidence import Packet

OBJECT: Final = 150
"""Octets counted for each block beside its own: on a quiet interface it holds few packets."""

_OFFSET_BITS: Final = 48
_OFFSETS: Final = 1 << _OFFSET_BITS
_HEADER: Final = struct.Struct("=4xIIIIIHH4xIH10x")  # sec, nsec, snaplen, len, status, mac, net, vlan_tci, vlan_tpid
_ADDRESS: Final = struct.Struct("=2x2s4xH")  # sll_protocol, sll_hatype
_VLAN_VALID: Final = 0x10
_VLAN_TPID_VALID: Final = 0x40
_FRAMED: Final = (1, 772)  # ARPHRD_ETHER, ARPHRD_LOOPBACK
_ETHERNET: Final = 1
_RAW: Final = 101
_ADDRESSES: Final = 12


class Recent:
    """capacity: octets of blocks to keep, over all rings of the sensor."""

    def __init__(self, rings: int, capacity: int) -> None:
        self._left = capacity
        self._order: deque[int] = deque()  # ring of each block, oldest first
        self._blocks: list[list[bytes]] = [[] for _ in range(rings)]
        self._starts: list[list[int]] = [[] for _ in range(rings)]  # offset of each
        self._gone = [0] * rings  # blocks at the head of those lists that are gone
        self._ends = [0] * rings

    def add(self, ring: int, block: bytes) -> None:
        self._blocks[ring].append(block)
        self._starts[ring].append(self._ends[ring])
        self._ends[ring] += len(block)
        self._order.append(ring)
        self._left -= len(block) + OBJECT
        while self._left < 0:
            self._drop(self._order.popleft())

    def packet(self, place: int) -> Packet | None:
        """The packet at a place of the core; None when it is gone."""
        ring, offset = place >> _OFFSET_BITS, place % _OFFSETS
        starts, first = self._starts[ring], self._gone[ring]
        if first == len(starts):
            return None
        offset = starts[first] + (offset - starts[first]) % _OFFSETS
        if offset >= self._ends[ring]:
            return None
        number = bisect_right(starts, offset, lo=first) - 1
        return _packet(self._blocks[ring][number], offset - starts[number])

    def _drop(self, ring: int) -> None:
        first = self._gone[ring]
        self._left += len(self._blocks[ring][first]) + OBJECT
        self._blocks[ring][first] = b""
        self._gone[ring] = first + 1
        if 2 * first > len(self._starts[ring]):
            del self._blocks[ring][: first + 1], self._starts[ring][: first + 1]
            self._gone[ring] = 0


def _packet(block: bytes, at: int) -> Packet:
    seconds, nanoseconds, captured, length, status, link, network, control, protocol = _HEADER.unpack_from(block, at)
    _, device = _ADDRESS.unpack_from(block, at + _HEADER.size)
    time = seconds * 1_000_000_000 + nanoseconds
    end = at + link + captured
    if device not in _FRAMED:
        return Packet(time, _RAW, length - (network - link), block[at + network : end])
    data = block[at + link : end]
    if status & _VLAN_VALID and captured >= _ADDRESSES:
        kind = protocol if status & _VLAN_TPID_VALID else 0x8100
        tag = struct.pack("!HH", kind, control & 0xFFFF)
        return Packet(time, _ETHERNET, length + len(tag), data[:_ADDRESSES] + tag + data[_ADDRESSES:])
    return Packet(time, _ETHERNET, length, data)
