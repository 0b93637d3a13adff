"""Proves that the core reads what this kernel writes into a TPACKET_V3 ring: a VLAN tag that the kernel took out of the
frame is put back, a device without Ethernet header is read, and the loopback device counts each packet once."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

import parsers

SOL_PACKET, PACKET_RX_RING, PACKET_VERSION, PACKET_STATISTICS, TPACKET_V3 = 263, 5, 10, 6, 2
BLOCK, BLOCKS = 1 << 16, 4
BLOCK_STATUS, BLOCK_LENGTH = 8, 20  # offsets in struct tpacket_block_desc
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN_NO_PI = 0x400454CA, 0x1001


def packet(port: int) -> bytes:
    """IPv4 192.0.2.25 to 203.0.113.10, UDP to port 53, eight octets."""
    header = bytes.fromhex("450000240001400040110000c0000219cb00710a")
    return header + struct.pack("!HHHH", port, 53, 16, 0) + b"12345678"


def in_a_network_of_its_own(work: Callable[[], None]) -> None:
    """Run in a thread that has a network namespace to itself, which ends with it."""
    failed: list[BaseException] = []

    def body() -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.unshare(CLONE_NEWNET) == 0, "making a network namespace needs root"
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


@contextmanager
def ring(interface: str) -> Iterator[tuple[socket.socket, mmap.mmap]]:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as tap:
        tap.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
        shape = struct.pack("7I", BLOCK, BLOCKS, 2048, BLOCK * BLOCKS // 2048, 10, 0, 0)
        tap.setsockopt(SOL_PACKET, PACKET_RX_RING, shape)
        with mmap.mmap(tap.fileno(), BLOCK * BLOCKS) as memory:
            tap.bind((interface, 3))  # ETH_P_ALL
            yield tap, memory


def kernel_count(tap: socket.socket) -> int:
    """Packets that the kernel put into the ring (`tp_packets` of struct tpacket_stats_v3)."""
    return int(struct.unpack_from("I", tap.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12))[0])


def read(taps: list[tuple[socket.socket, mmap.mmap]], packets: list[int]) -> Any:
    """The flows of one engine over these rings, once so many packets of each were seen."""
    engine = parsers.Engine()
    turns = [0] * len(taps)
    for number in range(len(taps)):
        assert engine.add_ring() == number
    deadline = time.monotonic() + 30
    waiting = set(range(len(taps)))
    while waiting:
        assert time.monotonic() < deadline, [engine.capture_info(number) for number in range(len(taps))]
        for number in list(waiting):
            memory, at = taps[number][1], turns[number] * BLOCK
            (status,) = struct.unpack_from("I", memory, at + BLOCK_STATUS)
            if not status & 1:
                continue
            (length,) = struct.unpack_from("I", memory, at + BLOCK_LENGTH)
            engine.feed(number, memory[at : at + length])
            struct.pack_into("I", memory, at + BLOCK_STATUS, 0)
            turns[number] = (turns[number] + 1) % BLOCKS
            engine.advance(time.time_ns())
            if int(str(engine.capture_info(number)["packets"])) >= packets[number]:
                waiting.remove(number)
    engine.close()
    batch: Any = pa.record_batch(engine.take())
    return batch.to_pylist(), [engine.capture_info(number) for number in range(len(taps))]


def speak() -> None:
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        sender.bind(("there", 0))
        addresses = b"\x02\0\0\0\0\x01" + b"\x02\0\0\0\0\x02"
        for port, tags in enumerate(("", "81006007", "88a80064 81000009"), 4000):
            sender.send(addresses + bytes.fromhex(tags) + b"\x08\0" + packet(port))
        client.sendto(b"hello", ("127.0.0.1", 9))
        client.sendto(b"hello", ("10.98.0.2", 9))


def test_what_the_kernel_writes_is_read() -> None:
    def work() -> None:
        ip("link set lo up")
        ip("link add here type veth peer name there")
        with open("/dev/net/tun", "r+b", buffering=0) as device:
            fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", b"tunnel", IFF_TUN_NO_PI))
            for name in ("here", "there", "tunnel"):
                # Without IPv6 nobody speaks unasked.
                Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
                ip(f"link set {name} up")
            ip("addr add 10.98.0.1/24 dev tunnel")
            with ring("here") as here, ring("lo") as loopback, ring("tunnel") as tunnel:
                speak()
                flows, infos = read([here, loopback, tunnel], [3, 4, 1])
                received = [kernel_count(tap) for tap, _ in (here, loopback, tunnel)]
        assert [info["packets"] for info in infos] == received, "the kernel counts as we do"
        assert [info["kind"] for info in infos] == ["ring"] * 3
        # The refusal of nobody at port 9 comes back, and both are seen twice.
        assert infos[1]["accounting"]["duplicate"] == 2
        assert infos[1]["accounting"]["in_flows"] == 2
        tags_of = {
            flow["source.port"]: (flow["network.vlan.id"], flow["network.inner.vlan.id"])
            for flow in flows
            if flow["source.ip"] == "192.0.2.25"
        }
        assert tags_of == {4000: (None, None), 4001: (7, None), 4002: (100, 9)}
        [through] = [flow for flow in flows if flow["edgewarden.capture"] == 2]
        assert (through["destination.ip"], through["source.bytes"]) == ("10.98.0.2", 20 + 8 + 5)

    in_a_network_of_its_own(work)
