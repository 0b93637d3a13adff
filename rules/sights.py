"""Flows as their sensors saw them, side by side: what a rule over several flows may see, and what it says.

Strategy: one plain value a flow, with the keys that a firewall, relay or balancer leaves unchanged. `pairs` joins two
legs of one conversation by such a key; clocks of two sensors may differ, so the difference that most joined legs of TCP
connections show between them is taken for it, and legs further apart than `WINDOW` beyond that are none. Pure, in
memory, as long as the list it is given.

Live, a rule is asked every minute, with the flows of the last two. One that compares over longer says what it needs of
earlier flows (`Keeping`): a few of each kind, for a day or an hour.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median_low
from typing import Final, NamedTuple

from rules.endpoints import Endpoint
from rules.facts import Site
from rules.verdict import End

WINDOW: Final = 5_000_000_000
"""Nanoseconds between two legs of one conversation, apart from the clocks: a balancer that holds a request back."""

CLOCKS: Final = 300_000_000_000
"""Nanoseconds by which two clocks may differ: beyond five minutes neither logs nor captures can be compared."""

MINUTE: Final = 60_000_000_000

HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

ALIKE: Final = 100
"""Flows with one key that are compared with each other: a conversation has a leg for each sensor and device on its way,
a flood may have as many flows as a table holds, and their pairs would be its square."""

TAKING_PART: Final = 1000
"""Flows that a finding over several refers to."""


class Spoken(NamedTuple):
    """What a flow showed in one minute."""

    minute: int  # since 1970
    source: int = 0  # records of TLS application data that may hold a message, of each end
    destination: int = 0
    allocates: int = 0  # TURN Allocate requests by UDP without credentials, whose challenge was not taken up


@dataclass(frozen=True, slots=True)
class Sight:
    """One flow at one sensor. `ref`: the caller's own."""

    ref: int
    sensor: int
    position: str
    side: str | None
    behind_lb: bool
    start: int  # ns
    transport: int
    source: Endpoint
    destination: Endpoint
    ends: tuple[End, End]
    source_ip: str
    destination_ip: str
    source_port: int
    port: int
    source_packets: int
    destination_packets: int
    answered: bool
    refused: bool
    services: frozenset[str]
    established: bool = False  # a TLS handshake was completed
    hello: bool = False  # a ClientHello was seen
    spoken: tuple[Spoken, ...] = ()
    path: str | None = None
    certificate: str = ""  # SHA-256 of the listener's leaf
    isn: tuple[int | None, int | None] | None = None  # of source and destination, as far as their packets were seen
    client_random: str | None = None
    transaction: str | None = None  # STUN
    first_payload: int | None = None
    service: str = ""  # recognised first
    octets: int = 0
    last: int = 0  # ns

    @property
    def reached(self) -> str:
        """As of `rules.facts.Facts`."""
        return "reached" if self.answered else "addressed"

    @property
    def five(self) -> Hashable:
        return (self.transport, self.source_ip, self.source_port, self.destination_ip, self.port)


@dataclass(frozen=True, slots=True)
class Joined:
    """A finding over several flows. The first of `sights` gives it its ends, its port and its place. The first `apart`
    of them are one of each kind that should not be together: they are shown before all others, whenever they began."""

    reason: str
    sights: tuple[Sight, ...]
    apart: int = 0

    def later(self, place: int) -> int:
        """What orders the flow at that place among samples before its time does."""
        return int(place >= self.apart)


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a rule needs of flows that are no more, while traffic goes on: of each `kind` (None: it needs none) the
    first `most`, for `span` nanoseconds."""

    kind: Callable[[Site, Sight], Hashable | None]
    most: int = 1
    span: int = DAY


def in_order(sights: Iterable[Sight]) -> list[Sight]:
    """By their beginning, whoever looks: the first flow of a finding over several decides what it is called."""
    return sorted(sights, key=lambda s: (s.start, s.position, s.side or "", s.source_ip, s.source_port, s.port))


@dataclass(frozen=True, slots=True)
class Sights:
    site: Site
    all: tuple[Sight, ...]
    _connections: dict[tuple[str, ...], list[tuple[Sight, Sight]]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def at(self, *positions: str) -> tuple[Sight, ...]:
        return tuple(sight for sight in self.all if sight.position in positions)

    def connections(self, *positions: str) -> list[tuple[Sight, Sight]]:
        """Each two legs of one connection that were seen there; several rules ask for the same."""
        if positions not in self._connections:
            self._connections[positions] = list(one_connection(self.at(*positions)))
        return self._connections[positions]


def one_connection(chosen: Iterable[Sight]) -> Iterator[tuple[Sight, Sight]]:
    """Two legs of one TCP connection that nothing between them ended, else of one STUN transaction with the same
    octets and ports: clients exist that number their transactions alike."""

    def key(sight: Sight) -> Hashable | None:
        if sight.transaction is None:
            return sight.isn if sight.isn is not None and None not in sight.isn else None
        return (sight.transaction, sight.first_payload, sight.source_port, sight.port)

    return pairs(chosen, key)


def pairs(chosen: Iterable[Sight], key: Callable[[Sight], Hashable | None]) -> Iterator[tuple[Sight, Sight]]:
    """Each two of the first `ALIKE` flows that share a key and are no two views of the same packets, in the order
    given."""
    groups: dict[Hashable, list[Sight]] = defaultdict(list)
    for sight in chosen:
        shared = key(sight)
        if shared is not None:
            groups[shared].append(sight)
    near = [
        (one, other)
        for group in groups.values()
        for number, one in enumerate(group[:ALIKE])
        for other in group[number + 1 : ALIKE]
        if abs(one.start - other.start) <= CLOCKS + WINDOW
    ]
    gaps: dict[tuple[int, int], list[int]] = defaultdict(list)
    for one, other in near:
        if one.sensor != other.sensor and _are_surely_one(one, other):
            gaps[one.sensor, other.sensor].append(other.start - one.start)
    offsets = {sensors: median_low(found) for sensors, found in gaps.items()}
    for one, other in near:
        if abs(other.start - one.start - offsets.get((one.sensor, other.sensor), 0)) <= WINDOW:
            yield one, other


def _are_surely_one(one: Sight, other: Sight) -> bool:
    """Whether two legs can tell how clocks differ: by what a client draws anew for each connection. Ports are used
    again, and a STUN request is sent again for 40 seconds (RFC 8489 6.2.1)."""
    first, second = ((sight.isn or (None, None))[0] for sight in (one, other))
    drawn = ((first, second), (one.client_random, other.client_random))
    return any(mine is not None and mine == theirs for mine, theirs in drawn)
