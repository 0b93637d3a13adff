"""`python filter_compiler.py`, a process of its own: a filter expression becomes programs, by libpcap through scapy.

Reads {"expression", "link_types"} as JSON from standard input and prints {"programs": {link type: [[code, jt, jf, k],
…]}, "error": what libpcap says of the first link type for which it cannot be done}; or {"missing": why there is no
libpcap}. It imports nothing of ours, so that it can be run by its file name whatever the working folder holds.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

_SNAPSHOT: Final = 262_144
"""Octets of a packet that a program lets through: the most that tcpdump takes."""

_DLT_OF: Final = {101: 12, 14: 12}
"""Link types of files whose number inside libpcap differs (pcap-common.c): RAW, and what BSDs called it before."""

_UNKNOWN_NETMASK: Final = -1  # PCAP_NETMASK_UNKNOWN


def compile_all(expression: bytes, link_types: list[int]) -> dict[str, Any]:
    from ctypes import byref

    from scapy.libs import winpcapy as libpcap  # libpcap under every system, whatever the name says
    from scapy.libs.structures import bpf_program

    programs: dict[int, list[tuple[int, int, int, int]]] = {}
    error = None
    for link_type in link_types:
        handle = libpcap.pcap_open_dead(_DLT_OF.get(link_type, link_type), _SNAPSHOT)
        program = bpf_program()
        if libpcap.pcap_compile(handle, byref(program), expression, 1, _UNKNOWN_NETMASK):
            error = error or bytes(libpcap.pcap_geterr(handle)).split(b"\0")[0].decode(errors="replace")
            continue
        steps = [program.bf_insns[number] for number in range(program.bf_len)]
        # scapy reads k as a signed number.
        programs[link_type] = [(step.code, step.jt, step.jf, step.k & 0xFFFFFFFF) for step in steps]
    return {"programs": programs, "error": error}


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    try:
        answer = compile_all(asked["expression"].encode(), asked["link_types"])
    except OSError as reason:  # scapy finds no library
        answer = {"missing": str(reason)}
    json.dump(answer, sys.stdout)
