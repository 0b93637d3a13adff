"""Rules about how many: flows of one source in one minute of packet time, against the site's thresholds.

Strategy: minutes are counted from 1970, so that a rate does not depend on where a capture begins. A source is told
once, with its flows in all minutes that pass the threshold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from statistics import median_low

from rules import names
from rules.facts import Site
from rules.registry import joined
from rules.sights import HOUR, MINUTE, TAKING_PART, Joined, Keeping, Sight, Sights, by_minute


def _bursts(chosen: Iterable[Sight], threshold: float) -> Iterator[tuple[str, int, list[Sight]]]:
    """(source, flows in its first minute above the threshold, flows in all such minutes)."""
    found: dict[str, tuple[int, list[Sight]]] = {}
    for (source, _), flows in sorted(by_minute(chosen, lambda s: s.source_ip).items(), key=lambda item: item[0][1]):
        if len(flows) > threshold:
            found.setdefault(str(source), (len(flows), []))[1].extend(flows)
    for source, (count, flows) in found.items():
        yield source, count, flows


@joined(
    "signin-rate-abuse",
    severity="medium",
    positions=("external",),
    text="One source opens more TLS sessions to the client port of the Access Edge in a minute than the site's "
    "threshold. The Access Edge does not authenticate: each try burdens its next hop.",
    sources=("DIROV",),
    controls=("SC-5", "SI-4"),
)
def signin_rate_abuse(sights: Sights) -> Iterator[Joined]:
    chosen = []
    for sight in sights.at("external"):
        pool = sights.site.edge_pool_of(sight.destination, *names.ACCESS_EDGE)
        known = sight.source.peer or "clients.egress" in sight.source.sections
        stranger = sight.source.zone == names.EXTERNAL and not known
        if pool is not None and sight.port == pool.access.port and sight.hello and stranger:
            chosen.append(sight)
    limit = sights.site.topology.policy.thresholds.signin_per_source_per_minute
    for source, count, flows in _bursts(chosen, limit):
        yield Joined(
            f"{source} began {count} TLS sessions with {flows[0].destination} in a minute, more than {limit:g}: "
            "limit connections of one source at the external firewall.",
            tuple(flows),
        )


@joined(
    "turn-unauthenticated-flood",
    severity="medium",
    positions=("external",),
    text="One source sends more TURN Allocate requests in a minute than the site's threshold and never goes on after "
    "the challenge. A client that has credentials does.",
    sources=("MSTURN-3",),
    controls=("SC-5", "SI-4"),
)
def turn_unauthenticated_flood(sights: Sights) -> Iterator[Joined]:
    chosen = [
        sight
        for sight in sights.at("external")
        if sight.allocate_alone and sight.destination.has(*names.AV_EDGE) and sight.source.zone == names.EXTERNAL
    ]
    limit = sights.site.topology.policy.thresholds.turn_unauthenticated_per_source_per_minute
    for source, count, flows in _bursts(chosen, limit):
        yield Joined(
            f"{source} sent {count} requests without credentials to {flows[0].destination} in a minute, more than "
            f"{limit:g}: limit requests of one source at the external firewall.",
            tuple(flows),
        )


_QUIET = 20  # connections in a minute: below it a rise of whatever factor is ordinary traffic


def _before(sight: Sight) -> bool:
    return sight.source.has(*names.INNER_EDGE) and sight.destination.has(names.DIRECTOR)


def _behind(sight: Sight) -> bool:
    onward = sight.destination.has(names.FE) and sight.source.has(names.DIRECTOR, *names.INNER_EDGE)
    return onward and sight.port == 5061


def _usual(site: Site, sight: Sight) -> tuple[bool, int] | None:
    """One side of the Director in one minute."""
    before = _before(sight)
    return (before, sight.start // MINUTE) if before or _behind(sight) else None


@joined(
    "director-dos-past-director",
    severity="critical",
    positions=("internal",),
    text="A burst of connections from the Edge to the Director is followed in the same minute by the same rise from "
    "the Director to Front Ends, or from the Edge to Front Ends. Hostile traffic must end at the Director.",
    sources=("COMP", "DIROV"),
    controls=("SC-5", "SC-7"),
    keeps=Keeping(_usual, most=TAKING_PART, span=HOUR),
)
def director_dos_past_director(sights: Sights) -> Iterator[Joined]:
    if not sights.site.topology.director_pools:
        return
    factor = sights.site.topology.policy.thresholds.director_flood_factor
    before = [s for s in sights.all if _before(s)]
    behind = [s for s in sights.all if _behind(s)]
    risen = {minute for minute in _rises(before, factor) if minute in _rises(behind, factor)}
    for minute in sorted(risen):
        flows = [s for s in (*before, *behind) if s.start // MINUTE == minute]
        yield Joined(
            f"{len(flows)} connections in a minute from the Edge went on past the Director, {factor:g} times the "
            f"usual: "
            "find out why the Director lets them pass.",
            tuple(flows),
        )


def _rises(chosen: list[Sight], factor: float) -> set[int]:
    """Minutes with `factor` times the connections of a usual one, and not few."""
    counts = Counter(sight.start // MINUTE for sight in chosen)
    if len(counts) < 3:
        return set()  # nothing is usual yet
    usual = max(1, median_low(counts.values()))
    return {minute for minute, count in counts.items() if count >= max(_QUIET, factor * usual)}
