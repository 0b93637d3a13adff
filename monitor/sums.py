"""What is added up of flows: counts with the first and the last moment, and ports.

Strategy: sums of sums. Whatever is kept in a record is such a sum, and what is asked of it is the sum over them; so
they can be taken back, too: a live flow that turns out to be another thing is subtracted where it stood. Ports cannot
be subtracted from a set, so of live flows each port is kept with the packets that went there, and one whose packets are
all taken back is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

QUARTER: Final = 15 * 60 * 1_000_000_000
"""Nanoseconds of a quarter of an hour: days begin at multiples of it in all time zones of today."""

PORTS_NAMED: Final = 4
"""Ports that a sentence lists; with more of them it names the lowest, the highest and how many."""


class Ports:
    """Which of the 65,536 ports were seen, and of live flows how many packets went to each."""

    def __init__(self) -> None:
        self._lowest = 0  # bit 0 is this port: of one high port one bit is kept
        self._bits = 0
        self._packets: dict[int, int] = {}

    def add(self, port: int | None) -> None:
        if port is not None:
            self._set(port, 1)

    def count(self, port: int | None, packets: int) -> None:
        """Packets of a live flow, fewer than 0 to take them back."""
        if port is not None:
            self._packets[port] = self._packets.get(port, 0) + packets

    def update(self, other: Ports) -> None:
        self._set(other._lowest, other._bits)
        for port, packets in other._packets.items():
            self.count(port, packets)

    def summary(self) -> dict[str, int | None]:
        lowest, bits = self._seen()
        if not bits:
            return {"min": None, "max": None, "distinct": 0}
        return {"min": lowest, "max": lowest + bits.bit_length() - 1, "distinct": bits.bit_count()}

    def ranges(self) -> str:
        """ "389,1024-1031": all of them, for `Ports.of`; counted ones as "5061*12,50000-50003*-7"."""
        found = [_range(first, last) for first, last in _runs(self._lowest, self._bits)]
        counted = sorted((port, packets) for port, packets in self._packets.items() if packets)
        start = 0
        for end in range(1, len(counted) + 1):
            port, packets = counted[start]
            if end == len(counted) or counted[end] != (port + end - start, packets):
                found.append(f"{_range(port, port + end - start - 1)}*{packets}")
                start = end
        return ",".join(found)

    @classmethod
    def of(cls, ranges: str) -> Ports:
        made = cls()
        for part in filter(None, ranges.split(",")):
            ports, _, packets = part.partition("*")
            lowest, _, highest = ports.partition("-")
            first, last = int(lowest), int(highest or lowest)
            if packets:
                for port in range(first, last + 1):
                    made.count(port, int(packets))
            else:
                made._set(first, (1 << last - first + 1) - 1)
        return made

    def __str__(self) -> str:
        """ "389, 445"; more than `PORTS_NAMED` as "1-1023" when there is none missing, else "22-8443 (514 ports)"."""
        lowest, bits = self._seen()
        count = bits.bit_count()
        if count <= PORTS_NAMED:
            return ", ".join(str(lowest + port) for port in range(bits.bit_length()) if bits >> port & 1)
        highest = lowest + bits.bit_length() - 1
        return f"{lowest}-{highest}" + ("" if highest - lowest + 1 == count else f" ({count} ports)")

    def _seen(self) -> tuple[int, int]:
        """(lowest port, bits from it on) of all that were seen and not taken back."""
        whole = Ports()
        whole._set(self._lowest, self._bits)
        for port, packets in self._packets.items():
            if packets > 0:
                whole._set(port, 1)
        return whole._lowest, whole._bits

    def _set(self, lowest: int, bits: int) -> None:
        """Add the ports whose bits are set, bit 0 being `lowest`, which is one of them."""
        if not bits:
            return
        if not self._bits:
            self._lowest = lowest
        elif lowest < self._lowest:
            self._bits <<= self._lowest - lowest
            self._lowest = lowest
        self._bits |= bits << lowest - self._lowest


def _runs(lowest: int, bits: int) -> list[tuple[int, int]]:
    """(first, last) of each run of bits that are set; bit 0 is port `lowest`."""
    runs, start = [], lowest
    while bits:
        skipped = (bits & -bits).bit_length() - 1
        start, bits = start + skipped, bits >> skipped
        length = (~bits & bits + 1).bit_length() - 1
        runs.append((start, start + length - 1))
        start, bits = start + length, bits >> length
    return runs


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


@dataclass(slots=True)
class Sums:
    """Flows, packets, octets, and when the first and the last was: None where all that was added was taken back."""

    flows: int = 0
    packets: int = 0
    octets: int = 0
    first: int | None = None
    last: int | None = None

    def add(self, flows: int, packets: int, octets: int, first: int | None, last: int | None) -> None:
        self.flows += flows
        self.packets += packets
        self.octets += octets
        if first is not None:
            self.first = first if self.first is None else min(self.first, first)
        if last is not None:
            self.last = last if self.last is None else max(self.last, last)

    def update(self, other: Sums) -> None:
        self.add(other.flows, other.packets, other.octets, other.first, other.last)

    def __bool__(self) -> bool:
        """Whether anything is left of it."""
        return bool(self.flows or self.packets or self.octets)
