"""A network interface as blocks of packets: an AF_PACKET socket whose ring (TPACKET_V3) is shared with the kernel.

Strategy: the standard library is all it takes, so that the process that opens sockets can stay small. `open_socket`
needs CAP_NET_RAW and hands out a socket with ring and filter that nothing reaches yet. `Ring` needs no privilege, in
whatever process: it maps and binds the socket, copies each block that the kernel has closed, gives the place back and
hands out the octets, which only the core understands. An interface that goes down or away is waited for, and the time
without it is counted.

Interface: linux/if_packet.h, Documentation/networking/packet_mmap.rst of the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from monitor.exit_status import OperatorMistake
from reports.visible import visible

BLOCK: Final = 1 << 20
"""Octets of a block: twice the largest packet that segmentation offload makes (512 KiB), and at 1 Gbit/s a hundred
blocks a second, so that handing one on costs nothing that counts."""

BLOCKS: Final = 64
"""Blocks of a ring: 64 MiB are half a second at 1 Gbit/s, in which the reader may be at its record, and six seconds of
quiet traffic, which fills one block every `RETIRE` milliseconds."""

TURN: Final = 8
"""Blocks taken at a time, so that a reader who is slower than the traffic still comes to its other rings and work."""

RETIRE: Final = 100
"""Milliseconds after which the kernel hands over a block that is not full."""

_FRAME: Final = 2048  # has no meaning in version 3 but must divide the block

Program = Sequence[tuple[int, int, int, int]]
"""Classic BPF, as (code, jt, jf, k)."""

REJECT: Final[Program] = ((0x06, 0, 0, 0),)  # BPF_RET | BPF_K, 0: no octet of any packet

# linux/if_packet.h, linux/if_ether.h, asm-generic/socket.h, linux/sockios.h, linux/if.h
_SOL_PACKET: Final = 263
_ADD_MEMBERSHIP: Final = 1
_RX_RING: Final = 5
_STATISTICS: Final = 6
_VERSION: Final = 10
_IGNORE_OUTGOING: Final = 23
_TPACKET_V3: Final = 2
_MR_PROMISC: Final = 1
_ETH_P_ALL: Final = 3
_SO_ATTACH_FILTER: Final = 26
_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFHWADDR: Final = 0x8927
_IFF_UP: Final = 1
_ARPHRD_LOOPBACK: Final = 772

# struct tpacket_block_desc, in words of four octets
_STATUS: Final = 2
_PACKETS: Final = 3
_LENGTH: Final = 5
_OURS: Final = 1  # TP_STATUS_USER


@dataclass(frozen=True, slots=True)
class KernelCounters:
    """Of one interface since its socket was opened. received: packets put into the ring; dropped: for which it had no
    room; nic: that the interface itself could not take; down: nanoseconds in which there was nothing to listen to."""

    received: int = 0
    dropped: int = 0
    nic: int = 0
    down: int = 0


def interfaces() -> list[str]:
    """Names of the interfaces that can be listened to, in order."""
    return sorted(name for _, name in socket.if_nameindex())


def hardware_type(interface: str) -> int:
    """ARPHRD_ number of an interface (linux/if_arp.h). Raises OperatorMistake where there is none of that name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking, _SIOCGIFHWADDR, _request(interface))
        except (OSError, ValueError):
            raise _missing(interface) from None
    [number] = struct.unpack_from("H", answer, 16)
    return int(number)


def open_socket(interface: str, program: Program = ()) -> socket.socket:
    """A socket for `Ring`, which takes what passes the filter, in both directions and whoever it is for.

    Raises OperatorMistake: no such interface, no right to listen, a filter that the kernel refuses, no memory.
    """
    kind = hardware_type(interface)
    try:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # protocol 0: nothing comes in before bind
    except PermissionError:
        raise OperatorMistake(
            "listening to an interface needs CAP_NET_RAW: run it as root, or as a service with "
            "AmbientCapabilities=CAP_NET_RAW"
        ) from None
    try:
        opened.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
        opened.setsockopt(_SOL_PACKET, _RX_RING, _layout())
        if kind == _ARPHRD_LOOPBACK:  # there every packet comes by twice, on its way out and in
            opened.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        if program:
            _attach(opened, program)
    except OSError as error:
        opened.close()
        if error.errno == errno.ENOMEM:
            raise OperatorMistake(
                f"{visible(interface)}: no memory for a ring of {BLOCK * BLOCKS >> 20} MiB: free some"
            ) from None
        raise OperatorMistake(f"{visible(interface)}: cannot be listened to: {error.strerror}") from None
    return opened


class Ring:
    """A socket of `open_socket`, listening. Take `blocks` whenever `fileno` is readable, call `tend` now and then."""

    def __init__(self, interface: str, opened: socket.socket) -> None:
        self.interface = interface
        self._socket = opened
        self._memory = mmap.mmap(opened.fileno(), BLOCK * BLOCKS)
        self._octets = memoryview(self._memory)
        self._words = self._octets.cast("I")
        self._next = 0
        self._taken = 0
        self._received = 0
        self._dropped = 0
        self._index: int | None = None
        self._nic_seen = _nic_losses(interface)
        self._nic = 0
        self._down = 0
        self._down_since: int | None = None
        if not self._took_up():
            self._down_since = time.monotonic_ns()

    def fileno(self) -> int:
        return self._socket.fileno()

    def blocks(self) -> Iterator[bytes]:
        """The octets in use of each block that is closed; at most `TURN`."""
        for _ in range(TURN):
            word = self._next * (BLOCK // 4)
            if not self._words[word + _STATUS] & _OURS:
                return
            start = self._next * BLOCK
            self._taken += self._words[word + _PACKETS]
            block = bytes(self._octets[start : start + self._words[word + _LENGTH]])
            self._words[word + _STATUS] = 0  # TP_STATUS_KERNEL: the place is free again
            self._next = (self._next + 1) % BLOCKS
            yield block

    def counters(self) -> KernelCounters:
        self._ask()
        nic = _nic_losses(self.interface)
        if nic is not None:
            # an interface that was made anew counts from 0
            self._nic += nic - self._nic_seen if self._nic_seen is not None and nic >= self._nic_seen else 0
            self._nic_seen = nic
        down = self._down
        if self._down_since is not None:
            down += time.monotonic_ns() - self._down_since
        return KernelCounters(self._received, self._dropped, self._nic, down)

    def tend(self) -> str | None:
        """See whether the interface went or came back, and take it up again; a sentence about what is new.

        One system call while all is well. The kernel itself takes up an interface that was only down; one that was
        made anew under the old name needs binding, which a process without privileges may do.
        """
        failed = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if self._down_since is None:
            if not failed:
                return None
            self._down_since = time.monotonic_ns()
            if not self._took_up():
                return f"{self.absence}; listening goes on when it is back"
        elif not self._took_up():
            return None
        self._down += time.monotonic_ns() - self._down_since
        self._down_since = None
        return f"{self.interface}: the interface is back"

    @property
    def absence(self) -> str | None:
        """A sentence while there is nothing to listen to."""
        if self._down_since is None:
            return None
        missing = "gone" if _index(self.interface) is None else "down"
        return f"{self.interface}: the interface is {missing}"

    def stop(self) -> None:
        """Nothing more comes in; what the ring holds can still be taken."""
        _attach(self._socket, REJECT)

    @property
    def drained(self) -> bool:
        """Whether all that came in has been taken; the kernel hands over the last block after `RETIRE`."""
        self._ask()
        return self._taken >= self._received

    def close(self) -> None:
        self._words.release()
        self._octets.release()
        self._memory.close()
        self._socket.close()

    def _ask(self) -> None:
        """Reading the kernel's figures sets them to 0; its packets include those that it dropped."""
        packets, dropped, _ = struct.unpack("III", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 12))
        self._received += packets - dropped
        self._dropped += dropped

    def _took_up(self) -> bool:
        """Whether the interface is up, and ours."""
        index = _index(self.interface)
        if index is None or not _is_up(self._socket, self.interface):
            return False
        if index != self._index:
            try:
                _bind(self._socket, self.interface)
            except OSError:  # gone once more
                return False
            self._index = index
        return True


def _layout() -> bytes:
    """struct tpacket_req3"""
    return struct.pack("IIIIIII", BLOCK, BLOCKS, _FRAME, BLOCK // _FRAME * BLOCKS, RETIRE, 0, 0)


def _bind(opened: socket.socket, interface: str) -> None:
    opened.bind((interface, _ETH_P_ALL))
    membership = struct.pack("iHH8s", socket.if_nametoindex(interface), _MR_PROMISC, 0, b"")
    opened.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, membership)


def _attach(opened: socket.socket, program: Program) -> None:
    """struct sock_fprog: how many, where they are."""
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    held = ctypes.create_string_buffer(code, len(code))
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(held)))


def _index(interface: str) -> int | None:
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return None


def _is_up(opened: socket.socket, interface: str) -> bool:
    try:
        answer = fcntl.ioctl(opened, _SIOCGIFFLAGS, _request(interface))
    except OSError:
        return False
    return bool(struct.unpack_from("H", answer, 16)[0] & _IFF_UP)


def _request(interface: str) -> bytes:
    """struct ifreq"""
    name = os.fsencode(interface)
    if not 0 < len(name) < 16 or b"\0" in name:
        raise ValueError(interface)
    return struct.pack("16s24x", name)


def _nic_losses(interface: str) -> int | None:
    """As libpcap counts them; rx_dropped is no loss of ours, since the kernel counts there also what it handed to us
    and to nobody else."""
    total = 0
    for name in ("rx_missed_errors", "rx_fifo_errors"):
        try:
            with open(f"/sys/class/net/{interface}/statistics/{name}", encoding="ascii") as file:
                total += int(file.read())
        except (OSError, ValueError):
            return None
    return total


def _missing(interface: str) -> OperatorMistake:
    there = ", ".join(interfaces()) or "none"
    return OperatorMistake(f"{visible(interface)}: no such interface on this machine (there are: {there})")
