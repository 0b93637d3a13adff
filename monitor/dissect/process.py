"""The process in which foreign dissectors run: reads small captures through pyshark and tshark, prints what they say.

Strategy: started by path in Python's isolated mode, in a folder that holds the captures and nothing else; it imports
nothing of Edgewarden. Limits are set before the first foreign import and pass on to tshark; root becomes nobody before
the first octet is read. One line of JSON for the version, then one for each capture, so that what was said before an
end by force is kept. Numbers of packets and characters are bounded here, the size of the whole by RLIMIT_FSIZE.

    python -I process.py PACKETS CHARACTERS CPU_SECONDS MEMORY OUTPUT CAPTURE…
"""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import Any, Final

NOBODY: Final = 65534
"""User and group without rights, by the custom of Linux (`overflowuid`)."""

PARAMETERS: Final = (
    *("-n",),  # no look-up of names, which would speak to the network
    # Bytes before ports, where a dissector can tell by them; RTP only when asked for, since its header says little.
    *("-o", "tcp.try_heuristic_first:TRUE", "-o", "udp.try_heuristic_first:TRUE", "--enable-heuristic", "rtp_udp"),
    *("-d", "tcp.port==5269,xmpp"),  # tshark knows the clients' port alone; RFC 6120 section 14.7
)

MAX_LINE: Final = 300
"""Characters of one field in words."""

MAX_LINES: Final = 60
"""Fields of one layer in words: a ClientHello has 90 of which the last 40 are signature algorithms."""

_CARRIERS: Final = frozenset(
    "geninfo frame eth ethertype vlan sll sll2 null raw ip ipv6 tcp udp sctp".split()  # noqa: SIM905  (a list to edit)
)
"""Layers whose fields are not put into words: the line of the packet says what they have to say."""

_NO_NEW_PRIVILEGES: Final = 38  # PR_SET_NO_NEW_PRIVS of prctl(2)


def main() -> None:
    packets, characters, cpu, memory, output = map(int, sys.argv[1:6])
    for what, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, output),
        (resource.RLIMIT_NOFILE, 256),
    ):
        _, most = resource.getrlimit(what)
        limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(what, (limit, limit))
    import pyshark
    from pyshark.tshark import tshark

    settings = tshark.get_config()
    tshark.get_config = lambda: settings  # it reads them at each start of tshark, where nobody may (/root)
    _give_up_privileges()
    _say({"version": str(tshark.get_tshark_version())})
    for name in sys.argv[6:]:
        _say(_dissect(pyshark, name, packets, characters))


def _give_up_privileges() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def _dissect(pyshark: Any, name: str, most: int, characters: int) -> dict[str, Any]:
    """{"packets": [...], "cut": were there more?, "fault": None or what ended it early}."""
    said: list[dict[str, Any]] = []
    result: dict[str, Any] = {"packets": said, "cut": False, "fault": None}
    capture = pyshark.FileCapture(name, keep_packets=False, custom_parameters=list(PARAMETERS))
    try:
        for packet in capture:
            if len(said) == most:
                result["cut"] = True
                break
            found = _packet(packet)
            for layer in found["layers"]:
                kept = []
                for line in layer["lines"]:
                    characters -= len(line)
                    if characters < 0:
                        result["cut"] = True
                        break
                    kept.append(line)
                layer["lines"] = kept
            said.append(found)
    except Exception as error:  # a cut or foreign file, a dissector that crashed, pyshark itself
        result["fault"] = f"{type(error).__name__}: {error}"[:MAX_LINE]
    if not said and result["fault"] is None:  # pyshark misses an early end of tshark as often as not
        result["fault"] = "no packet was found in it"
    return result


def _packet(packet: Any) -> dict[str, Any]:
    layers = [
        {"name": str(layer.layer_name), "lines": _lines(layer)}
        for layer in packet.layers
        if str(layer.layer_name) not in _CARRIERS
    ]
    said = {
        "number": int(packet.number),
        "time": str(packet.frame_info.time_epoch),
        "length": int(packet.frame_info.len),
        "protocols": str(packet.frame_info.protocols),
        "source": None,
        "destination": None,
        "transport": None,
        "source_port": None,
        "destination_port": None,
        "flags": None,
        "layers": layers,
    }
    for layer in packet.layers:  # the innermost counts
        name = str(layer.layer_name)
        if name in ("ip", "ipv6"):
            said["source"], said["destination"] = str(layer.get("src")), str(layer.get("dst"))
            said["transport"] = said["source_port"] = said["destination_port"] = said["flags"] = None
        elif name in ("tcp", "udp", "sctp"):
            said["transport"] = name
            said["source_port"], said["destination_port"] = int(layer.get("srcport")), int(layer.get("dstport"))
            said["flags"] = int(str(layer.get("flags")), 16) if name == "tcp" else None
    return said


def _lines(layer: Any) -> list[str]:
    """The fields in words, in the order of the octets; pyshark keeps them by name."""
    fields = [field for field in layer._get_all_fields_with_alternates() if not field.hide]
    fields.sort(key=lambda field: int(field.pos or 0))
    lines = (str(field.showname or "")[:MAX_LINE].strip() for field in fields)
    return [line for line in dict.fromkeys(lines) if line][:MAX_LINES]


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    status = 4
    try:
        main()
        status = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # pyshark would raise once more when its captures are collected
