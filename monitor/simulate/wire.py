"""From an exchange to frames: TCP with handshake, segments, acknowledgements and close; UDP; ICMP errors.

Strategy: a flow keeps two ends with their own sequence number, IP identification and window, and a clock in
microseconds of packet time; scapy makes headers and checksums. Upsets (a lost segment sent again, segments swapped,
overlapping segments) are made where the destination's view of the stream stays whole, so that the verdict is the
same as without them. Times are whole microseconds; delay is half a round trip, the sensor stands next to our side.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from monitor.simulate.exchange import Speaker, Turn

MSS = 1460
SMALL_SEGMENT = 300  # cuts a ClientHello and every certificate, and stays above the smallest MSS hosts accept (216)
WINDOW = 64240
RETRANSMIT_AFTER = 300_000  # µs, the usual floor of retransmission timers
MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame: packet time in microseconds since 1970, and its octets."""

    time: int
    octets: bytes


@dataclass(slots=True)
class End:
    address: str
    port: int
    mac: str
    hops: int
    sequence: int = 0
    identification: int = 0


@dataclass(slots=True)
class Wire:
    """One flow being made. delay: microseconds from one end to the other."""

    ends: dict[Speaker, End]
    clock: int
    delay: int
    frames: list[Frame] = field(default_factory=list)

    def emit(self, speaker: Speaker, payload: Packet, at: int | None = None) -> None:
        sender, receiver = self.ends[speaker], self.ends[speaker.other]
        if ipaddress.ip_address(sender.address).version == 4:
            sender.identification = (sender.identification + 1) & 0xFFFF
            network = IP(
                src=sender.address, dst=receiver.address, ttl=sender.hops, id=sender.identification, flags="DF"
            )
        else:
            network = IPv6(src=sender.address, dst=receiver.address, hlim=sender.hops)
        packet = _stacked(Ether(src=sender.mac, dst=receiver.mac), network, payload)
        self.frames.append(Frame(self.clock if at is None else at, bytes(packet)))

    def wait(self, seconds: float) -> None:
        self.clock += round(seconds * MICRO)


def _stacked(*layers: Packet) -> Packet:
    """As `/` does it, which copies both sides, and each layer again when its octets are asked for: a packet that may
    stand for many (`explicit` says that it does not) is spread out first. It is three times as fast."""
    for above, below in pairwise(layers):
        above.add_payload(below)
    layer = layers[0]
    while layer:
        layer.explicit = 1
        layer = layer.payload
    return layers[0]


@dataclass(slots=True)
class Tcp:
    """A TCP connection on a wire. upset: None, `retransmission`, `reorder`, `overlap`, `small segments`."""

    wire: Wire
    upset: str | None = None
    segments: int = 0

    def segment(self, speaker: Speaker, flags: str, data: bytes = b"", *, at: int | None = None, back: int = 0) -> None:
        """One segment; `back`: how many octets before the next sequence number it begins."""
        sender, receiver = self.wire.ends[speaker], self.wire.ends[speaker.other]
        options = [("MSS", MSS), ("NOP", None), ("NOP", None), ("SAckOK", b"")] if "S" in flags else []
        header = TCP(
            sport=sender.port,
            dport=receiver.port,
            seq=(sender.sequence - back) & 0xFFFFFFFF,
            ack=receiver.sequence if "A" in flags else 0,
            flags=flags,
            window=WINDOW,
            options=options,
        )
        self.wire.emit(speaker, _stacked(header, Raw(data)) if data else header, at)

    def _advance(self, speaker: Speaker, count: int) -> None:
        end = self.wire.ends[speaker]
        end.sequence = (end.sequence + count) & 0xFFFFFFFF

    def open(self) -> None:
        self.segment(Speaker.SOURCE, "S")
        self._advance(Speaker.SOURCE, 1)
        self.wire.clock += self.wire.delay
        self.segment(Speaker.DESTINATION, "SA")
        self._advance(Speaker.DESTINATION, 1)
        self.wire.clock += self.wire.delay
        self.segment(Speaker.SOURCE, "A")

    def unanswered(self, tries: int = 3) -> None:
        """SYNs that nobody answers, at the usual 3 and 6 seconds."""
        for number in range(tries):
            self.segment(Speaker.SOURCE, "S")
            self.wire.wait(3 * 2**number)

    def refused(self) -> None:
        self.segment(Speaker.SOURCE, "S")
        self._advance(Speaker.SOURCE, 1)
        self.wire.clock += self.wire.delay
        self.segment(Speaker.DESTINATION, "RA")

    def say(self, turn: Turn) -> None:
        self.wire.wait(turn.pause)
        size = SMALL_SEGMENT if self.upset else MSS
        pieces = [turn.octets[start : start + size] for start in range(0, len(turn.octets), size)]
        if self.upset and self.upset != "small segments" and len(pieces) >= 3:
            self._upset(turn.speaker, pieces)
        else:
            for piece in pieces:
                self._piece(turn.speaker, piece)
        self.wire.clock += self.wire.delay
        self.segment(turn.speaker.other, "A")

    def _upset(self, speaker: Speaker, pieces: Sequence[bytes]) -> None:
        """The second of three or more pieces comes late (swapped, or lost and sent again) or over its neighbour."""
        first, second = pieces[0], pieces[1]
        self._piece(speaker, first)
        if self.upset == "overlap":
            # The second piece begins inside the first, with the same octets where they meet.
            half = len(first) // 2
            self.segment(speaker, "A", first[half:] + second, back=len(first) - half)
            self._advance(speaker, len(second))
            self.wire.clock += 12
            for piece in pieces[2:]:
                self._piece(speaker, piece)
            return
        if self.upset == "retransmission":
            # Captured here, lost beyond the sensor, sent again: the sensor sees it twice.
            self.segment(speaker, "A", second)
        self._advance(speaker, len(second))
        self.wire.clock += 12
        for piece in pieces[2:]:
            self._piece(speaker, piece)
        self.wire.clock += 0 if self.upset == "reorder" else RETRANSMIT_AFTER
        self.segment(speaker, "A", second, back=sum(map(len, pieces[1:])))

    def _piece(self, speaker: Speaker, octets: bytes) -> None:
        self.segment(speaker, "PA", octets)
        self._advance(speaker, len(octets))
        self.wire.clock += 12  # what 1,500 octets take at a gigabit a second

    def close(self, how: str) -> None:
        """how: `fin` (source first, then destination), `destination fin`, `rst` (by the destination), `open`."""
        if how == "open":
            return
        self.wire.wait(0.02)
        if how == "rst":
            self.segment(Speaker.DESTINATION, "RA")
            return
        first = Speaker.DESTINATION if how == "destination fin" else Speaker.SOURCE
        for speaker in (first, first.other):
            self.segment(speaker, "FA")
            self._advance(speaker, 1)
            self.wire.clock += self.wire.delay
        self.segment(first, "A")


def udp(wire: Wire, turns: Sequence[Turn]) -> None:
    """One datagram a turn."""
    for turn in turns:
        wire.wait(turn.pause)
        sender, receiver = wire.ends[turn.speaker], wire.ends[turn.speaker.other]
        wire.emit(turn.speaker, UDP(sport=sender.port, dport=receiver.port) / Raw(turn.octets))


def port_unreachable(wire: Wire, quoted: bytes) -> None:
    """The destination's ICMP error about the frame `quoted` (RFC 792: IP header and at least 64 bits)."""
    wire.clock += wire.delay
    packet = quoted[14:]
    if packet[0] >> 4 == 4:
        wire.emit(Speaker.DESTINATION, ICMP(type=3, code=3) / Raw(packet[:28]))
    else:
        wire.emit(Speaker.DESTINATION, ICMPv6DestUnreach(code=4) / Raw(packet[:1232]))


def echo(wire: Wire, identity: int, count: int = 3) -> None:
    """ICMP echo requests and their replies."""
    six = ipaddress.ip_address(wire.ends[Speaker.SOURCE].address).version == 6
    for number in range(count):
        payload = bytes(range(32))
        ask = ICMPv6EchoRequest(id=identity, seq=number) if six else ICMP(type=8, id=identity, seq=number)
        reply = ICMPv6EchoReply(id=identity, seq=number) if six else ICMP(type=0, id=identity, seq=number)
        wire.emit(Speaker.SOURCE, ask / Raw(payload))
        wire.clock += wire.delay
        wire.emit(Speaker.DESTINATION, reply / Raw(payload))
        wire.wait(1)


def fresh(source: tuple[str, int], destination: tuple[str, int], macs: tuple[str, str], start: int, delay: int,
          chance: random.Random) -> Wire:  # fmt: skip
    """A wire with random but repeatable initial numbers."""
    ends = {
        speaker: End(address, port, mac, hops, chance.getrandbits(32), chance.getrandbits(16))
        for speaker, (address, port), mac, hops in (
            (Speaker.SOURCE, source, macs[0], 57),
            (Speaker.DESTINATION, destination, macs[1], 126),
        )
    }
    return Wire(ends, start, delay)
