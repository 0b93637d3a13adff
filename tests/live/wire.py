"""A wire between two interfaces that exist for one test: a network namespace with a veth pair, `near` and `far`.

What is sent at `near` arrives at `far`. The namespace is entered by the thread that tests; nothing leaves it.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

NEAR, FAR = "near", "far"
OURS = 0x88B5
"""EtherType of frames that only these tests send: IEEE 802 local experimental 1."""

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def command(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.strip()}"


@contextmanager
def namespace() -> Iterator[str]:
    """A namespace with a wire, entered; its name is for `ip netns exec`."""
    assert os.geteuid() == 0, "live tests make network namespaces: run them as root"
    assert shutil.which("ip"), "live tests need `ip` (apt-get install iproute2)"
    name = f"edgewarden-{os.getpid()}"
    command("ip", "netns", "add", name)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        inside = os.open(f"/run/netns/{name}", os.O_RDONLY)
        enter(inside)
        os.close(inside)
        connect()
        yield name
    finally:
        enter(home)
        os.close(home)
        command("ip", "netns", "delete", name)


def connect(near: str = NEAR, far: str = FAR) -> None:
    """Make a wire. No IPv6: nobody but the test is to speak."""
    command("ip", "link", "add", near, "type", "veth", "peer", "name", far)
    for interface in (near, far):
        command("ip", "link", "set", interface, "addrgenmode", "none")
        command("ip", "link", "set", interface, "up")


def enter(namespace: int) -> None:
    assert _LIBC.setns(namespace, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())


def frame(number: int, size: int = 100, kind: int = OURS) -> bytes:
    """An Ethernet frame that carries its number, to nobody in particular."""
    return b"\x02\0\0\0\0\2\x02\0\0\0\0\1" + struct.pack(">HI", kind, number) + bytes(size - 18)


def speaker() -> socket.socket:
    """What sends whole frames at `near`."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    opened.bind((NEAR, 0))
    return opened


def frames(block: bytes) -> list[bytes]:
    """The packets of a TPACKET_V3 block, read by the offsets of linux/if_packet.h."""
    count, at = struct.unpack_from("II", block, 12)
    found = []
    for _ in range(count):
        following, _, _, length, _, _, start = struct.unpack_from("IIIIIIH", block, at)
        found.append(block[at + start : at + start + length])
        at += following
    return found


def wait_for(what: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
