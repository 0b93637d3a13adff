"""Octets that look like a protocol and are not it, for the table of look-alikes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from monitor.simulate.exchange import Speaker, Turn

DICE_PACKETS = 14


def spelled_out(turns: Sequence[Mapping[str, str]]) -> tuple[Turn, ...]:
    """Turns written in the table: `source` or `destination` with text, `… hex` with hexadecimal digits."""
    made = []
    for entry in turns:
        if len(entry) != 1:
            raise ValueError(f"one speaker a turn: {entry!r}")
        ((words, content),) = entry.items()
        speaker, _, form = words.partition(" ")
        octets = bytes.fromhex(content) if form == "hex" else content.encode("latin-1")
        made.append(Turn(Speaker(speaker), octets, 0.02))
    return tuple(made)


def dice_datagrams(chance: random.Random, begins: bytes) -> tuple[Turn, ...]:
    """Datagrams that share their first octets and have chance in all others: no counter, no stream number holds."""
    return tuple(
        Turn(Speaker.SOURCE if number % 2 == 0 else Speaker.DESTINATION, begins + chance.randbytes(90), 0.01)
        for number in range(DICE_PACKETS)
    )
