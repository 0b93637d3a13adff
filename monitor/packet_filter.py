"""`--filter`: an expression of pcap-filter(7) as classic BPF, one program for each link type.

Strategy: libpcap is the only judge of what an expression means, and it is C code that reads text, so it runs in a
process of its own (`filter_compiler.py`) with a limit of time: names of hosts in an expression are looked up.
A link type for which the expression has no meaning (`ether host` where there is no Ethernet) gets no program.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from monitor.exit_status import OperatorMistake
from reports.visible import visible

LONGEST: Final = 65_536
"""Octets of an expression; tcpdump's users write hundreds. The kernel takes 4,096 instructions, some 16 octets each."""

PATIENCE: Final = 20.0
"""Seconds: a resolver gives up on a name after five or ten."""

ETHERNET: Final = 1
RAW: Final = 101

LINK_TYPES: Final = (ETHERNET, 0, 9, 12, 14, 50, 51, 101, 104, 108, 113, 228, 229, 239, 276)
"""Link types that the core takes apart (parsers/src/packet/link.rs), Ethernet first: its complaint is the one told."""

_HARDWARE: Final = {1: ETHERNET, 772: ETHERNET, 768: RAW, 769: RAW, 776: RAW, 778: RAW, 823: RAW, 65534: RAW}
"""Link type of an interface by its ARPHRD_ number (linux/if_arp.h): Ethernet, loopback, tunnels of IP."""

Program = list[tuple[int, int, int, int]]
"""Classic BPF, as (code, jt, jf, k)."""


def compile_filter(expression: str, link_types: Sequence[int] = LINK_TYPES) -> dict[int, Program]:
    """Programs by link type, for those where the expression means something.

    Raises OperatorMistake: an expression that means nothing anywhere, no libpcap.
    """
    if len(expression.encode(errors="replace")) > LONGEST or "\0" in expression:
        raise OperatorMistake(f"--filter: an expression has at most {LONGEST} octets, none of them 0")
    shown = visible(expression)
    compiler = Path(__file__).with_name("filter_compiler.py")
    try:
        done = subprocess.run(  # noqa: S603 (our own interpreter and file, no shell)
            [sys.executable, "-P", str(compiler)],
            input=json.dumps({"expression": expression, "link_types": list(link_types)}),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise OperatorMistake(
            f"--filter '{shown}': not compiled within {PATIENCE:.0f} seconds (say addresses in place of names)"
        ) from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.strip().rsplit("\n", 1)[-1]
        raise OperatorMistake(f"--filter '{shown}': libpcap could not compile it: {visible(last)}") from None
    if "missing" in answer:
        raise OperatorMistake("--filter needs libpcap, which is not installed (apt-get install libpcap0.8)")
    programs: dict[int, Program] = {
        int(link_type): [(code, jt, jf, k) for code, jt, jf, k in steps]
        for link_type, steps in answer["programs"].items()
    }
    if not programs:
        raise OperatorMistake(f"--filter '{shown}': {visible(answer['error'])} (see pcap-filter(7))")
    return programs


def compile_for_core(expression: str) -> dict[int, Program]:
    """As `compile_filter`, for packets that are octets alone: in a capture, or behind the ring. An expression such as
    `inbound` asks the kernel. Raises OperatorMistake, for that too."""
    programs = compile_filter(expression)
    kept = {link_type: program for link_type, program in programs.items() if not any(map(_asks_kernel, program))}
    if not kept:
        raise OperatorMistake(f"--filter '{visible(expression)}': asks what only the kernel knows of a live packet")
    return kept


def _asks_kernel(instruction: tuple[int, int, int, int]) -> bool:
    """A load from a negative place (SKF_AD_OFF of linux/filter.h): BPF_LD, BPF_ABS."""
    code, _, _, k = instruction
    return code & 0x07 == 0 and code & 0xE0 == 0x20 and k >= 1 << 31


def link_type_of(hardware: int) -> int | None:
    """Link type of an interface by its ARPHRD_ number, None where a filter cannot be told what it looks at."""
    return _HARDWARE.get(hardware)
