"""Which applying row comes nearest to a flow that fits none: where a reader should look first.

Strategy: score each row by what agrees, ends before ports before transport, and let document order break ties. An end
that is not the row's but belongs to the same pool agrees in part (a member where the row wants the VIP).
"""

from __future__ import annotations

from typing import Final

from rules.endpoints import Endpoint
from rules.facts import Facts, Site
from rules.paths import Leg
from rules.reach import Members

_END: Final = 6
_SAME_POOL: Final = 5
_SAME_ZONE: Final = 1
_PORT: Final = 4
_TRANSPORT: Final = 2
_SOURCE_PORT: Final = 1
_LEAST: Final = _END + _TRANSPORT  # less than one end and the transport helps nobody


def nearest_path(site: Site, facts: Facts) -> str | None:
    """Id of the row, None when no row is near."""
    best, name = _LEAST - 1, None
    for leg in site.legs:
        score = _score(site, facts, leg)
        if score > best:
            best, name = score, leg.row
    return name


def _score(site: Site, facts: Facts, leg: Leg) -> int:
    ends = _end(site, facts.source, leg.sources) + _end(site, facts.destination, leg.destinations)
    if facts.source.number not in leg.sources and facts.destination.number not in leg.destinations:
        return 0
    score = ends
    if leg.transport == facts.observation.transport:
        score += _TRANSPORT
        if not leg.ports or any(facts.port in span for span in leg.ports):
            score += _PORT
        if not leg.source_ports or any(facts.source_port in span for span in leg.source_ports):
            score += _SOURCE_PORT
    return score


def _end(site: Site, endpoint: Endpoint, members: Members) -> int:
    if endpoint.number in members:
        return _END
    if not endpoint.own:
        return 0
    for number in members:
        member = site.endpoints[number]
        if member.own and endpoint.pools & member.pools:
            return _SAME_POOL
    return _SAME_ZONE if any(site.endpoints[n].zone == endpoint.zone for n in members if site.endpoints[n].own) else 0
