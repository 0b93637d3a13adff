"""Which applying row comes nearest to a flow that fits none: where a reader should look first.

Strategy: score each row by what agrees, ends before ports before transport, and let document order break ties. An end
that is not the row's but belongs to the same pool agrees in part (a member where the row wants the VIP).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rules.endpoints import Endpoint, Endpoints
from rules.facts import Facts
from rules.paths import Leg
from rules.reach import Members

_END: Final = 6
_SAME_POOL: Final = 5
_SAME_ZONE: Final = 1
_PORT: Final = 4
_TRANSPORT: Final = 2
_SOURCE_PORT: Final = 1
_LEAST: Final = _END + _TRANSPORT  # less than one end and the transport helps nobody


class Nearest:
    """Asks the legs of one site; what their own members have in common is worked out once."""

    def __init__(self, legs: tuple[Leg, ...], endpoints: Endpoints) -> None:
        self._legs = [(leg, _common(leg.sources, endpoints), _common(leg.destinations, endpoints)) for leg in legs]

    def path(self, facts: Facts) -> str | None:
        """Id of the row, None when no row is near."""
        best, name = _LEAST - 1, None
        for leg, sources, destinations in self._legs:
            score = _score(facts, leg, sources, destinations)
            if score > best:
                best, name = score, leg.row
        return name


@dataclass(frozen=True, slots=True)
class _Common:
    """Pools and zones of the own hosts that a row names at one end."""

    pools: frozenset[str]
    zones: frozenset[str]


def _common(members: Members, endpoints: Endpoints) -> _Common:
    own = [endpoints[number] for number in members if endpoints[number].own]
    return _Common(frozenset(pool for e in own for pool in e.pools), frozenset(e.zone for e in own))


def _score(facts: Facts, leg: Leg, sources: _Common, destinations: _Common) -> int:
    if facts.source.number not in leg.sources and facts.destination.number not in leg.destinations:
        return 0
    score = _end(facts.source, leg.sources, sources) + _end(facts.destination, leg.destinations, destinations)
    if leg.transport == facts.observation.transport:
        score += _TRANSPORT
        if not leg.ports or any(facts.port in span for span in leg.ports):
            score += _PORT
        if not leg.source_ports or any(facts.source_port in span for span in leg.source_ports):
            score += _SOURCE_PORT
    return score


def _end(endpoint: Endpoint, members: Members, common: _Common) -> int:
    if endpoint.number in members:
        return _END
    if not endpoint.own:
        return 0
    if endpoint.pools & common.pools:
        return _SAME_POOL
    return _SAME_ZONE if endpoint.zone in common.zones else 0
