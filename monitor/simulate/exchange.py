"""What two ends say to each other, before it is cut into packets.

An exchange is a list of turns: who speaks, the octets, and how long the speaker thought before. On TCP one turn is a
write of any length; on UDP it is one datagram. Nothing here knows addresses or headers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Speaker(Enum):
    SOURCE = "source"
    DESTINATION = "destination"

    @property
    def other(self) -> Speaker:
        return Speaker.DESTINATION if self is Speaker.SOURCE else Speaker.SOURCE


@dataclass(frozen=True, slots=True)
class Turn:
    """`pause`: seconds between hearing what came before and speaking."""

    speaker: Speaker
    octets: bytes
    pause: float = 0.002


def source(octets: bytes, pause: float = 0.002) -> Turn:
    return Turn(Speaker.SOURCE, octets, pause)


def destination(octets: bytes, pause: float = 0.002) -> Turn:
    return Turn(Speaker.DESTINATION, octets, pause)
