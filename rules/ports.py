"""From ports to port classes: which ports the policy can tell apart.

Strategy: every single port that a row or a rule names stands for itself; all others fall into intervals that are cut
at the bounds of every range in use. A class is named by its lowest port, so a representative lies in a range exactly
when its whole class does, and a scan of 65,536 ports is a few hundred observations.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from rules.components import PortRange

# The vendor's port table of internal servers, and the ports that rules name themselves.
NAMED_PORTS: Final = frozenset(
    {53, 80, 123, 135, 443, 444, 445, 448, 881, 1434, 3389, 3478, 3479, 3480, 3481, 4443}
    | {5041, *range(5060, 5069), 5070, 5071, 5072, 5073, 5075, 5076, 5080, 5081, 5082, 5086, 5087, 5088, 5089}
    | {5222, 5223, 5269, 8057, 8058, 8060, 8061, 8080, 8404, 23456, 50001, 50002, 50003}
)

# Ports that only inside servers own ("Ports and protocols for internal servers"): a perimeter or Internet host never
# has a reason to open one. 80 and 443 belong to it where a Director or Front End answers; rules ask that themselves.
INTERNAL_TCP: Final = (
    *(
        PortRange(port, port)
        for port in (135, 444, 445, 448, 881, 5041, 5060, 5080, 5081, 5082, 8057, 8058, 8060, 8061)
    ),
    PortRange(5062, 5068),
    PortRange(5070, 5073),
    PortRange(5075, 5076),
    PortRange(5086, 5089),
    PortRange(6891, 6901),
    PortRange(8404, 8404),
)
INTERNAL_UDP: Final = (PortRange(1434, 1434),)
INTERNAL_MEDIA: Final = PortRange(49152, 65535)  # media of servers and clients, TCP and UDP

SYSTEM_END: Final = 1024  # RFC 6335 6: system ports are below
DYNAMIC_START: Final = 49152  # RFC 6335 6: dynamic ports from here on


class Ports:
    """The classes of one topology, or of one question about it. `named`: ports that always stand for themselves."""

    def __init__(self, ranges: Iterable[PortRange], named: frozenset[int] = NAMED_PORTS) -> None:
        cuts = {0, 1, SYSTEM_END, DYNAMIC_START}
        for span in (*ranges, *(PortRange(port, port) for port in named)):
            cuts.update((span.first, span.last + 1))
        self._starts = sorted(cut for cut in cuts if 0 <= cut <= 65535)

    @property
    def classes(self) -> tuple[int, ...]:
        """65,536 numbers: the class of each port, by its lowest."""
        table: list[int] = []
        for start, after in zip(self._starts, [*self._starts[1:], 65536], strict=True):
            table.extend([start] * (after - start))
        return tuple(table)

    def representative(self, port: int) -> int:
        """Lowest port of the class of `port`."""
        return self._starts[bisect_right(self._starts, port) - 1]

    def span(self, representative: int) -> PortRange:
        """All ports of the class."""
        place = bisect_right(self._starts, representative)
        after = self._starts[place] if place < len(self._starts) else 65536
        return PortRange(self._starts[place - 1], after - 1)


CLASS_WORDS: Final = {
    "system": f"a system port (below {SYSTEM_END})",
    "registered": f"a registered port ({SYSTEM_END} to {DYNAMIC_START - 1})",
    "dynamic": f"a dynamic port ({DYNAMIC_START} and above)",
    "relay-range": "a port of the relay range",
}
"""What a sentence calls the port of a class."""


def class_name(port: int, *, relay: bool) -> str:
    """What a finding calls a port that is no listener's; `relay`: in the A/V range of an A/V address."""
    if port < SYSTEM_END:
        return "system"
    if relay:
        return "relay-range"
    return "dynamic" if port >= DYNAMIC_START else "registered"
