"""What befalls packets between the wire and a capture file, made here octet by octet.

A `Frame` is a time in nanoseconds and the octets from Ethernet on; a view takes the frames of one sensor and gives
those that a worse, or only another, tap would have written. The first half leaves everything to be known, the second
half does not. Chance comes from a `Random` that the caller seeds. Checksums are not kept: nobody validates them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

SECOND: Final = 1_000_000_000
MILLI: Final = 1_000_000

ETHERNET: Final = 14
TCP, UDP, FRAGMENT = 6, 17, 44
FIN, SYN, RST, PUSH, ACK = 1, 2, 4, 8, 16
VLAN, QINQ, MPLS, IPV4 = b"\x81\x00", b"\x88\xa8", b"\x88\x47", b"\x08\x00"

Frame = tuple[int, bytes]
Frames = list[Frame]
View = Callable[[Frames, Random], Frames]


@dataclass(frozen=True, slots=True)
class Read:
    """Where things stand in an untagged frame without options of IP."""

    time: int
    octets: bytes
    protocol: int
    sender: tuple[bytes, int]
    receiver: tuple[bytes, int]
    upper: int  # where the header behind IP begins
    payload: int
    end: int  # less padding

    @property
    def six(self) -> bool:
        return self.upper == ETHERNET + 40

    @property
    def flags(self) -> int:
        return self.octets[self.upper + 13] if self.protocol == TCP else 0

    @property
    def sequence(self) -> int:
        return int.from_bytes(self.octets[self.upper + 4 : self.upper + 8])

    @property
    def body(self) -> bytes:
        return self.octets[self.payload : self.end]

    @property
    def frame(self) -> Frame:
        return self.time, self.octets


def read(frame: Frame) -> Read:
    time, octets = frame
    four = octets[12:14] == IPV4
    length = int.from_bytes(octets[16:18] if four else octets[18:20])
    upper = ETHERNET + (20 if four else 40)
    end = ETHERNET + length + (0 if four else 40)
    protocol = octets[23 if four else 20]
    addresses = (octets[26:30], octets[30:34]) if four else (octets[22:38], octets[38:54])
    ports = struct.unpack_from(">HH", octets, upper) if protocol in (TCP, UDP) else (0, 0)
    size = {TCP: octets[upper + 12] >> 4 << 2 if protocol == TCP else 0, UDP: 8}.get(protocol, 0)
    sender, receiver = zip(addresses, ports, strict=True)
    return Read(time, octets, protocol, sender, receiver, upper, upper + size, end)


def flows(frames: Frames) -> list[list[Read]]:
    """Frames by five-tuple. An ICMP error stays apart from what it quotes."""
    found: dict[tuple[int, frozenset[tuple[bytes, int]]], list[Read]] = {}
    for packet in map(read, frames):
        found.setdefault((packet.protocol, frozenset((packet.sender, packet.receiver))), []).append(packet)
    return list(found.values())


def each_flow(change: Callable[[list[Read], Random], Iterable[Read]]) -> View:
    """A view of what happens to each flow by itself."""

    def view(frames: Frames, chance: Random) -> Frames:
        changed = (packet.frame for flow in flows(frames) for packet in change(flow, chance))
        return sorted(changed, key=lambda frame: frame[0])

    return view


def each_frame(change: Callable[[bytes], bytes]) -> View:
    return lambda frames, chance: [(time, change(octets)) for time, octets in frames]


def both(first: View, second: View) -> View:
    return lambda frames, chance: second(first(frames, chance), chance)


def in_turn(views: Sequence[View], first: int) -> View:
    """Each flow through the next of the views, so that one capture meets them all."""

    def view(frames: Frames, chance: Random) -> Frames:
        changed: Frames = []
        for number, flow in enumerate(flows(frames), start=first):
            changed += views[number % len(views)]([packet.frame for packet in flow], chance)
        return sorted(changed, key=lambda frame: frame[0])

    return view


def carrying(packet: Read, body: bytes, skipped: int = 0, flags: int | None = None) -> Read:
    """The packet with another payload, `skipped` octets further on in its stream."""
    octets = bytearray(packet.octets[: packet.payload] + body)
    if packet.protocol == TCP:
        struct.pack_into(">I", octets, packet.upper + 4, (packet.sequence + skipped) & 0xFFFFFFFF)
        octets[packet.upper + 13] = packet.flags if flags is None else flags
    place, length = (18, len(octets) - packet.upper) if packet.six else (16, len(octets) - ETHERNET)
    struct.pack_into(">H", octets, place, length)
    return read((packet.time, bytes(octets)))


# --- another view of the same ----------------------------------------------------------------------------------------


def tagged(*tags: bytes) -> View:
    return each_frame(lambda octets: octets[:12] + b"".join(tags) + octets[12:])


def labelled() -> View:
    """One MPLS label, bottom of the stack (RFC 3032 §2.1)."""
    return each_frame(lambda octets: octets[:12] + MPLS + struct.pack(">I", 17 << 12 | 1 << 8 | 64) + octets[14:])


def padded() -> View:
    """To the shortest frame, with a check sequence behind it."""
    return each_frame(lambda octets: octets.ljust(60, b"\0") + b"\xde\xad\xbe\xef")


def twice(change: Callable[[bytes], bytes] = bytes, after: int = 1_000) -> View:
    """Each packet a second time, as of two mirrored ports."""

    def view(frames: Frames, chance: Random) -> Frames:
        again = [(time + after, change(octets)) for time, octets in frames]
        return sorted(frames + again, key=lambda frame: frame[0])

    return view


def one_hop_on(octets: bytes) -> bytes:
    place = 22 if octets[12:14] == IPV4 else 21
    return octets[:place] + bytes([octets[place] - 1]) + octets[place + 1 :]


def split(size: int) -> View:
    """Segments cut into pieces of `size` octets."""

    def change(flow: list[Read], chance: Random) -> Iterable[Read]:
        for packet in flow:
            body = packet.body
            if packet.protocol != TCP or len(body) <= size:
                yield packet
                continue
            for start in range(0, len(body), size):
                last = start + size >= len(body)
                flags = packet.flags if last else packet.flags & ~(FIN | PUSH)
                yield carrying(packet, body[start : start + size], start, flags)

    return each_flow(change)


def joined() -> View:
    """Segments that follow each other as one, as cards with receive offload hand them over."""

    def change(flow: list[Read], chance: Random) -> Iterable[Read]:
        kept: list[Read] = []
        for packet in flow:
            last = kept[-1] if kept else packet
            follows = last.sequence + len(last.body) & 0xFFFFFFFF == packet.sequence
            plain = not (last.flags | packet.flags) & (SYN | FIN | RST)
            bodies = packet.protocol == TCP and bool(packet.body) and bool(last.body)
            if last is not packet and bodies and plain and follows and last.sender == packet.sender:
                kept[-1] = carrying(last, last.body + packet.body, flags=last.flags | packet.flags)
            else:
                kept.append(packet)
        return kept

    return each_flow(change)


def again(after: int = 300 * MILLI) -> View:
    """Each segment with payload sent a second time."""

    def change(flow: list[Read], chance: Random) -> Iterable[Read]:
        resent = [replace(p, time=p.time + after) for p in flow if p.protocol == TCP and p.body]
        return sorted(flow + resent, key=lambda packet: packet.time)

    return each_flow(change)


def fragments(size: int) -> View:
    """IP fragments of `size` octets (a multiple of 8), in any order (RFC 791 §3.2, RFC 8200 §4.5)."""

    def view(frames: Frames, chance: Random) -> Frames:
        made: Frames = []
        for identification, packet in enumerate(map(read, frames)):
            whole = packet.octets[packet.upper : packet.end]
            pieces = []
            for start in range(0, len(whole), size):
                piece, more = whole[start : start + size], start + size < len(whole)
                header = bytearray(packet.octets[: packet.upper])
                if packet.six:
                    header[20] = FRAGMENT
                    struct.pack_into(">H", header, 18, 8 + len(piece))
                    header += struct.pack(">BBHI", packet.protocol, 0, start | more, identification)
                else:
                    more_and_place = more << 13 | start // 8
                    struct.pack_into(">HHH", header, 16, 20 + len(piece), identification & 0xFFFF, more_and_place)
                pieces.append(bytes(header) + piece)
            chance.shuffle(pieces)
            made += [(packet.time, octets) for octets in pieces]
        return made

    return view


def displaced(by: int) -> View:
    """Written to the file up to `by` places late, as several queues of a card do it."""

    def view(frames: Frames, chance: Random) -> Frames:
        places = sorted((number + chance.uniform(0, by), number) for number in range(len(frames)))
        return [frames[number] for _, number in places]

    return view


def shifted(seconds: int) -> View:
    return lambda frames, chance: [(time + seconds * SECOND, octets) for time, octets in frames]


# --- less to be known ------------------------------------------------------------------------------------------------


def beginning_at(count: int) -> View:
    """A sensor that joined each flow after its first packets."""
    return each_flow(lambda flow, chance: flow[count:])


def ending_at(count: int) -> View:
    return each_flow(lambda flow, chance: flow[:count])


def every(number: int, lost: int) -> View:
    """Of so many packets one is lost, counted over the whole capture."""
    return lambda frames, chance: [frame for place, frame in enumerate(frames) if place % number != lost]


def losing(share: float) -> View:
    return lambda frames, chance: [frame for frame in frames if chance.random() >= share]


def one_way(*, opener: bool, share: float = 1) -> View:
    """Of a share of the flows one direction only."""

    def change(flow: list[Read], chance: Random) -> Iterable[Read]:
        whole = chance.random() >= share
        return [packet for packet in flow if whole or (packet.sender == flow[0].sender) is opener]

    return each_flow(change)


def without_headers_only() -> View:
    """Of TCP what carries payload, as some recorders write it."""
    return each_flow(lambda flow, chance: [packet for packet in flow if packet.protocol != TCP or packet.body])


def late(*, opener: bool, by: int = 60 * MILLI) -> View:
    """The clock of one direction's tap is slow: answers are captured before what they answer."""

    def change(flow: list[Read], chance: Random) -> Iterable[Read]:
        slow = [replace(p, time=p.time + by) if (p.sender == flow[0].sender) is opener else p for p in flow]
        return sorted(slow, key=lambda packet: packet.time)

    return each_flow(change)


def paused(after: int, seconds: int) -> View:
    """Each flow rests after so many packets."""

    def change(flow: list[Read], chance: Random) -> Iterable[Read]:
        rested = [replace(packet, time=packet.time + seconds * SECOND) for packet in flow[after:]]
        return flow[:after] + rested

    return each_flow(change)


def set_back(seconds: int) -> View:
    """The clock is set back in the middle."""

    def view(frames: Frames, chance: Random) -> Frames:
        middle = len(frames) // 2
        return frames[:middle] + [(time - seconds * SECOND, octets) for time, octets in frames[middle:]]

    return view


# --- files -----------------------------------------------------------------------------------------------------------


def pcap(frames: Frames, snap: int = 262_144, *, nano: bool = False) -> bytes:
    """`snap`: octets kept of each packet."""
    parts = [struct.pack("<IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, snap, 1)]
    for time, octets in frames:
        seconds, rest = divmod(time, SECOND)
        kept = octets[:snap]
        parts.append(struct.pack("<IIII", seconds, rest if nano else rest // 1000, len(kept), len(octets)) + kept)
    return b"".join(parts)


def pcapng(frames: Frames, *, order: str = "<") -> bytes:
    """Times in nanoseconds, octets of numbers in either order."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        return struct.pack(f"{order}II", kind, 12 + len(body)) + body + struct.pack(f"{order}I", 12 + len(body))

    resolution = struct.pack(f"{order}HHBxxxHH", 9, 1, 9, 0, 0)
    parts = [
        block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1)),
        block(1, struct.pack(f"{order}HHI", 1, 0, 0) + resolution),
    ]
    for time, octets in frames:
        head = struct.pack(f"{order}IIIII", 0, time >> 32, time & 0xFFFFFFFF, len(octets), len(octets))
        parts.append(block(6, head + octets))
    return b"".join(parts)
