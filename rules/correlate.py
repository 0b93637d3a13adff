"""Rules over several flows: two sensors, a pool, a rate. Asked once when all flows of a run are known, and live every
minute.

Strategy: each rule is a function over `rules.sights.Sights` with its papers, entered in the same registry as the
others. It gives findings with the flows that take part; verdicts of these flows stay what they are. `wanted` says which
flows a rule may need, so that nobody has to keep all of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from rules import names
from rules.catalogue import ORDER, catalogue, severity_of
from rules.facts import Site
from rules.observation import Observation
from rules.registry import Rule
from rules.sights import TAKING_PART, Joined, Sights, in_order
from rules.topology import Topology
from rules.transports import TCP
from rules.verdict import OUT_OF_SCOPE, Verdict


def correlate(sights: Sights) -> Iterator[tuple[Rule, str, Joined]]:
    """(rule, severity here, finding) in document order, of all rules that the site has not turned off."""
    ordered = Sights(sights.site, tuple(in_order(sights.all)))
    for rule, severity in joining(sights.site.topology):
        for found in joins(rule, ordered):
            yield rule, severity, found


def joining(topology: Topology) -> list[tuple[Rule, str]]:
    """The rules over several flows that the site has not turned off, with their severity there, in document order."""
    order = {rule: place for place, rule in enumerate(ORDER)}
    rules = sorted((e.rule for e in catalogue() if e.rule is not None and e.rule.join), key=lambda rule: order[rule.id])
    graded = ((rule, severity_of(rule, topology)) for rule in rules)
    return [(rule, severity) for rule, severity in graded if severity != names.OFF]


def wanted(site: Site, verdict: Verdict, seen: Observation) -> bool:
    """Judged flows; from Director to Front End, where what should have ended at the Director goes on; of an inner Edge
    or the internal firewall, where one may stand in the other's place; and what a server of ours opens inside to a host
    that is none, at a port at which an Edge awaits servers alone: it may be an Edge by an address of the firewall's
    making. Who opens a flow by such an address could be any client, and all that clients open is too much to keep."""
    roles = (verdict.source.role, verdict.destination.role)
    if verdict.verdict != OUT_OF_SCOPE or roles == (names.DIRECTOR, names.FE):
        return True
    if {names.FW_INT, *names.INNER_EDGE}.intersection(roles):
        return True
    source, destination = site.endpoints[seen.source], site.endpoints[seen.destination]
    stays_inside = source.inside and destination.zone in (names.INTERNAL, names.UNDECLARED)
    if not stays_inside or not source.server or destination.own or seen.transport != TCP:
        return False
    ports = (port for pool in site.topology.edge_pools for port in (pool.access.internal_port, pool.av.auth_port))
    return seen.destination_port in ports


def joins(rule: Rule, sights: Sights) -> Iterator[Joined]:
    """What one of them finds. sights: in order."""
    assert rule.join is not None
    for found in rule.join(sights):
        yield Joined(found.reason, found.sights[:TAKING_PART], found.apart)
