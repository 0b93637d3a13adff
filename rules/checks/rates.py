"""Rules about how many: what one host does in one minute of packet time, against the site's thresholds.

Strategy: minutes are counted from 1970, so that a rate does not depend on where a capture begins. A host is told once,
with its flows in all minutes that pass the threshold. Flows count by their beginning; of what is counted within flows
the core has kept each one's minutes. Each sensor counts by itself: what two of them saw of one flow is not added up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from statistics import median_low

from rules import names
from rules.checks.federation import FEDERATION, PROVIDERS
from rules.facts import Site
from rules.registry import joined
from rules.sights import HOUR, MINUTE, TAKING_PART, Joined, Keeping, Sight, Sights


def _peaks(counted: Iterable[tuple[str, Sight, int, int]], limit: float) -> Iterator[tuple[str, int, list[Sight]]]:
    """(host, count in its first minute above the limit, flows in all such minutes).

    counted: host, flow, minute, and what that minute of the flow adds."""
    sums: Counter[tuple[int, str, int]] = Counter()
    flows: dict[tuple[int, str, int], list[Sight]] = defaultdict(list)
    for host, sight, minute, count in counted:
        sums[minute, host, sight.sensor] += count
        flows[minute, host, sight.sensor].append(sight)
    found: dict[str, tuple[int, dict[int, Sight]]] = {}
    for minute, host, sensor in sorted(sums):
        count = sums[minute, host, sensor]
        if count > limit:
            # A flow of several minutes takes part once.
            found.setdefault(host, (count, {}))[1].update((id(sight), sight) for sight in flows[minute, host, sensor])
    for host, (count, taking_part) in found.items():
        yield host, count, list(taking_part.values())


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
    counted = ((sight.source_ip, sight, sight.start // MINUTE, 1) for sight in chosen)
    for source, count, flows in _peaks(counted, limit):
        yield Joined(
            f"{source} began {count} TLS sessions with {flows[0].destination} in a minute, more than {limit:g}: "
            "limit connections of one source at the external firewall.",
            tuple(flows),
        )


@joined(
    "turn-unauthenticated-flood",
    severity="medium",
    positions=("external",),
    text="One source sends more TURN Allocate requests by UDP in a minute than the site's threshold without going on "
    "after the challenge, on one flow or on many. A client that has credentials does.",
    sources=("MSTURN-3",),
    controls=("SC-5", "SI-4"),
)
def turn_unauthenticated_flood(sights: Sights) -> Iterator[Joined]:
    counted = (
        (sight.source_ip, sight, spoken.minute, spoken.allocates)
        for sight in sights.at("external")
        if sight.destination.has(*names.AV_EDGE) and sight.source.zone == names.EXTERNAL
        for spoken in sight.spoken
        if spoken.allocates
    )
    limit = sights.site.topology.policy.thresholds.turn_unauthenticated_per_source_per_minute
    for source, count, flows in _peaks(counted, limit):
        yield Joined(
            f"{source} sent {count} requests without credentials to {flows[0].destination} in a minute, more than "
            f"{limit:g}: limit requests of one source at the external firewall.",
            tuple(flows),
        )


def _discovered(site: Site, sight: Sight) -> str | None:
    """The address of a host that spoke in federation, and that only discovery admits."""
    if sight.position != "external" or not (sight.path or "").startswith(FEDERATION) or not sight.spoken:
        return None
    inbound = sight.source.zone == names.EXTERNAL
    if (sight.source if inbound else sight.destination).peer:
        return None
    legs = (leg for leg in site.legs if leg.row.startswith(PROVIDERS) and sight.source.number in leg.sources)
    if any(sight.destination.number in leg.destinations for leg in legs):
        return None  # a provider without stated addresses may be anybody
    return sight.source_ip if inbound else sight.destination_ip


@joined(
    "federation-discovered-partner-rate",
    severity="low",
    positions=("external",),
    text="A host of federation that no partner lists, and that only discovery admits, sends more messages in a minute "
    "than the site's threshold allows. Messages are encrypted: counted are records of TLS long enough for one, of each "
    "address by itself. Several messages in one record, and records behind lost packets, count as fewer; a message in "
    "several records counts as more. How many users it reaches cannot be seen. Where a listed partner has no addresses "
    "anybody may be it, and nothing is said.",
    sources=("FEDDOM",),
    controls=("CA-3", "SC-5", "SI-4"),
    keeps=Keeping(_discovered, most=TAKING_PART, span=HOUR),
)
def federation_discovered_partner_rate(sights: Sights) -> Iterator[Joined]:
    federation = sights.site.topology.federation
    if not federation.discovery or any(not partner.access for partner in federation.sip_partners):
        return
    counted = (
        (host, sight, spoken.minute, sent)
        for sight in sights.all
        if (host := _discovered(sights.site, sight)) is not None
        for spoken in sight.spoken
        if (sent := spoken.source if host == sight.source_ip else spoken.destination)
    )
    limit = sights.site.topology.policy.thresholds.federation_messages_per_second
    for partner, count, flows in _peaks(counted, limit * 60):
        yield Joined(
            f"{partner}, which discovery alone admits to federation, sent about {count} messages in a minute, more "
            f"than {limit:g} a second: list it as a partner if it is one, or bar it.",
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
            "usual: find out why the Director lets them pass.",
            tuple(flows),
        )


def _rises(chosen: list[Sight], factor: float) -> set[int]:
    """Minutes with `factor` times the connections of a usual one, and not few; of several sensors the one that saw
    most."""
    counts: dict[int, int] = {}
    for (minute, _), count in Counter((sight.start // MINUTE, sight.sensor) for sight in chosen).items():
        counts[minute] = max(count, counts.get(minute, 0))
    if len(counts) < 3:
        return set()  # nothing is usual yet
    usual = max(1, median_low(counts.values()))
    return {minute for minute, count in counts.items() if count >= max(_QUIET, factor * usual)}
