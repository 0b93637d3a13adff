"""What an interface is doing: is it there, up, with a signal, and does it join received packets before we see them?

Joining is GRO by the kernel and LRO by the hardware: such packets are judged alike, but their number, sizes and times
are no longer those of the wire. Interface: netdevice(7), linux/ethtool.h, linux/sockios.h.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct
from typing import Final

_SIOCGIFFLAGS: Final = 0x8913
_IFF_UP: Final = 0x1
_IFF_RUNNING: Final = 0x40
_SIOCETHTOOL: Final = 0x8946
_GET_FLAGS: Final = 0x25  # ETHTOOL_GFLAGS
_GET_GRO: Final = 0x2B  # ETHTOOL_GGRO
_FLAG_LRO: Final = 1 << 15  # ETH_FLAG_LRO

_NAME: Final = 15
"""Octets of an interface's name: IFNAMSIZ less the zero that ends it."""


def state(interface: str) -> str | None:
    """ "up", "down", "no signal" (up, but nothing is plugged in), or None: there is none of that name."""
    try:
        answer = _ask(_SIOCGIFFLAGS, interface, bytes(24))
    except (OSError, ValueError):
        return None
    [flags] = struct.unpack_from("H", answer, 16)
    if not flags & _IFF_UP:
        return "down"
    return "up" if flags & _IFF_RUNNING else "no signal"


def joining(interface: str) -> list[str]:
    """Names of what is on ("gro", "lro"), as ethtool -K takes them. An interface that does not say has none."""
    found = []
    if _ethtool(interface, _GET_GRO):
        found.append("gro")
    if _ethtool(interface, _GET_FLAGS) & _FLAG_LRO:
        found.append("lro")
    return found


def _ethtool(interface: str, command: int) -> int:
    value = array.array("I", [command, 0])  # struct ethtool_value
    address, _ = value.buffer_info()
    try:
        _ask(_SIOCETHTOOL, interface, struct.pack("P16x", address))
    except OSError:
        return 0
    return value[1]


def _ask(request: int, interface: str, data: bytes) -> bytes:
    """struct ifreq: 16 octets of name, 24 of whatever is asked."""
    name = interface.encode()
    if len(name) > _NAME:
        raise ValueError(interface)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        return fcntl.ioctl(asking, request, name.ljust(16, b"\0") + data)
